"""VLANs: access and trunk ports, two tags, and tags that flows push, pop and match.

Where a host is to have a tagged wire it is behind a bridge of its own whose ports do that: no host
needs VLAN devices.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scapy.layers.l2 import Dot1Q, Ether

from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.capture import Capture
from tests.openvswitch.traffic.conftest import NewBridge, NewHosts
from tests.openvswitch.traffic.frames import BROADCAST, PAYLOAD, ether
from tests.openvswitch.traffic.hosts import Host, ip

SIZES = (56, 1600, 3200)
CUSTOMER, SERVICE = 100, 4094
TAGGED = "vlan_tci=0x1000/0x1000"
WIDE_MTU = 1600
"""Of wires on which frames have several tags."""


def tags(frame: bytes) -> list[tuple[int, int]]:
    """TPID and VLAN of each tag of a frame."""
    found = []
    packet, tpid = Ether(frame).payload, Ether(frame).type
    while isinstance(packet, Dot1Q):
        found.append((tpid, packet.vlan))
        packet, tpid = packet.payload, packet.type
    return found


class Core:
    """Two customers, each behind an edge bridge that tags its frames, and a bridge between these.

    Port 10 of the core leads to customer 1, and port 20 to customer 2; these ports are 1 there.
    """

    def __init__(self, new_bridge: NewBridge, hosts: list[Host], stack: Stack) -> None:
        self.stack = stack
        self.hosts = hosts
        self.bridge = new_bridge("core")
        self.edges = [new_bridge("edge1"), new_bridge("edge2")]
        for edge, host, number in zip(self.edges, hosts, (10, 20), strict=True):
            here, there = f"c{number}", f"e{number}"
            stack.namespace.add_veth(here, there)
            for name in (here, there):
                ip(stack.namespace, f"link set {name} mtu {WIDE_MTU}")
            self.bridge.add_port(here, number)
            edge.add_port(there, 1)
            edge.add_port(host.port, 2)

    def tag(self, *tags: tuple[int, int]) -> None:
        """The edges push tags (TPID and VLAN, the inner one first), and pop as many."""
        push = ",".join(f"push_vlan:{tpid:#x},mod_vlan_vid:{vlan}" for tpid, vlan in tags)
        last = len(tags) - 1
        pops = [
            f"table={table},in_port=1,{TAGGED},actions=pop_vlan,"
            + ("output:2" if table == last else f"resubmit(,{table + 1})")
            for table in range(len(tags))
        ]
        for edge in self.edges:
            edge.add_flows(f"in_port=2,actions={push},output:1", *pops)

    def capture(self) -> Capture:
        """What comes from customer 1's edge, on the wire to the core."""
        return Capture(self.stack.namespace, "c10")


@pytest.fixture
def two_tags(stack: Stack) -> Iterator[None]:
    """Open vSwitch looks at as many tags as the datapath does, which is two."""
    stack.vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=0")
    yield
    stack.vsctl("remove", "Open_vSwitch", ".", "other_config", "vlan-limit")


@pytest.fixture
def core(stack: Stack, two_tags: None, new_bridge: NewBridge, new_hosts: NewHosts) -> Core:
    """A core with two customers."""
    return Core(new_bridge, new_hosts(2), stack)


STACKS = {
    "one": [(0x8100, CUSTOMER)],
    "customer and service": [(0x8100, CUSTOMER), (0x88A8, SERVICE)],
    "two of customers": [(0x8100, CUSTOMER), (0x8100, SERVICE)],
}


@pytest.mark.parametrize("stacked", STACKS)
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_tagged_hosts_reach_each_other(stacked: str, ipv6: bool, core: Core) -> None:
    core.tag(*STACKS[stacked])
    core.bridge.normal()
    one, other = core.hosts
    if ipv6:
        for host in core.hosts:
            host.use_ipv6()
    address = other.address6 if ipv6 else other.address
    one.ping_until(address)
    with core.capture() as capture:
        one.ping(address, *SIZES, count=2)
        assert {tuple(tags(frame)) for frame in capture.seen(bool)} == {
            tuple(reversed(STACKS[stacked]))
        }


def tagged(sender: Host, receiver: Host | str, *vlans: int, tpid: int = 0x8100) -> bytes:
    """A frame with tags, the outer one first, that no host answers; the inner TPID is 0x8100."""
    packet = ether(sender, receiver, type=tpid if vlans else 0x88B5)
    for vlan in vlans:
        packet /= Dot1Q(vlan=vlan, type=0x8100)
    if vlans:
        packet.lastlayer().type = 0x88B5
    return bytes(packet / PAYLOAD)


@pytest.mark.emulated
def test_access_ports_of_a_vlan_are_a_switch_of_their_own(
    bridge: Bridge, new_hosts: NewHosts
) -> None:
    one, same, elsewhere, trunk = new_hosts(4)
    bridge.connect(one, same, settings=("tag=100",))
    bridge.connect(elsewhere, settings=("tag=200",))
    bridge.connect(trunk, settings=("trunks=100,300",))
    bridge.normal()
    with elsewhere.capture() as elsewhere_sees, trunk.capture() as trunk_sees:
        one.ping(same)
        one.send(tagged(one, BROADCAST))
        trunk_sees.wait_frame(tagged(one, BROADCAST, 100))
        assert bridge.all_seen(elsewhere, elsewhere_sees) == []


def test_trunk_ports_take_their_vlans_alone(
    bridge: Bridge, new_hosts: NewHosts, expected_complaints: list[str]
) -> None:
    expected_complaints.append("dropping VLAN 200 packet received on port")
    trunk, one, elsewhere = new_hosts(3)
    bridge.connect(trunk, settings=("trunks=100,300",))
    bridge.connect(one, settings=("tag=100",))
    bridge.connect(elsewhere, settings=("tag=200",))
    bridge.normal()
    with one.capture() as one_sees, elsewhere.capture() as elsewhere_sees:
        trunk.send(tagged(trunk, BROADCAST, 200), tagged(trunk, BROADCAST, 100))
        one_sees.wait_frame(tagged(trunk, BROADCAST))
        bridge.wait_packets("table=0", 2)
        assert bridge.all_seen(elsewhere, elsewhere_sees) == []


@pytest.mark.parametrize("mode", ["native-untagged", "native-tagged"])
def test_native_vlan(mode: str, bridge: Bridge, new_hosts: NewHosts) -> None:
    trunk, one = new_hosts(2)
    bridge.connect(trunk, settings=("tag=100", f"vlan_mode={mode}"))
    bridge.connect(one, settings=("tag=100",))
    bridge.normal()
    with trunk.capture() as trunk_sees, one.capture() as one_sees:
        trunk.send(tagged(trunk, BROADCAST))
        one_sees.wait_frame(tagged(trunk, BROADCAST))
        one.send(tagged(one, BROADCAST))
        trunk_sees.wait_frame(tagged(one, BROADCAST, *([100] if mode == "native-tagged" else [])))


def test_a_tunnel_port_puts_customers_tags_into_its_own(
    core: Core, expected_complaints: list[str]
) -> None:
    """802.1Q tunneling of two of a customer's VLANs; others do not enter."""
    core.bridge.normal()
    stack = core.stack
    # The core's tunnel ports face the customers, a third bridge sees the frames between them
    for number in (10, 20):
        settings = ("vlan_mode=dot1q-tunnel", f"tag={SERVICE}", "cvlans=100,200")
        stack.vsctl("set", "port", f"c{number}", *settings)
    expected_complaints.append("packet received on dot1q-tunnel port")
    one, other = core.hosts
    stack.namespace.add_veth("c30", "e30")
    core.bridge.add_port("c30", 30)
    for edge in core.edges:
        edge.add_flows("in_port=2,actions=1", "in_port=1,actions=2")
    with Capture(stack.namespace, "e30") as trunk, other.capture() as other_sees:
        for vlan in (100, 300, 200):
            one.send(tagged(one, BROADCAST, vlan))
        for vlan in (100, 200):
            other_sees.wait_frame(tagged(one, BROADCAST, vlan))
            trunk.wait_frame(tagged(one, BROADCAST, SERVICE, vlan, tpid=0x88A8))
        core.bridge.wait_packets("table=0", 3)
        assert not trunk.seen(lambda frame: (0x8100, 300) in tags(frame))
        assert not other_sees.seen(lambda frame: (0x8100, 300) in tags(frame))


def test_flows_match_both_tags(core: Core) -> None:
    core.tag(*STACKS["customer and service"])
    core.bridge.add_flows(
        "priority=1,actions=drop",
        f"dl_vlan={SERVICE},actions=pop_vlan,resubmit(,1)",
        f"table=1,dl_vlan={CUSTOMER},actions=push_vlan:0x88a8,mod_vlan_vid:{SERVICE},NORMAL",
    )
    one, other = core.hosts
    one.ping(other, 56, 1600, count=2)
    one.send(tagged(one, other))  # of another customer it would be
    assert core.bridge.counts("table=1").packets >= 4


def test_the_limit_of_tags_decides_what_flows_see(
    two_tags: None, bridge: Bridge, new_hosts: NewHosts
) -> None:
    """With a limit of one, the inner tag is the packet's EtherType."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows("priority=1,actions=NORMAL", "priority=2,cookie=7,dl_type=0x8100,actions=drop")
    frame = tagged(one, BROADCAST, SERVICE, CUSTOMER, tpid=0x88A8)
    with other.capture() as capture:
        one.send(frame)
        capture.wait_frame(frame)
        bridge.stack.vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=1")
        bridge.stack.appctl("revalidator/purge")
        one.send(frame)
        bridge.wait_packets("cookie=7/-1", 1)
        assert bridge.all_seen(other, capture) == [frame]


@pytest.mark.parametrize(
    ("sent", "actions", "wanted"),
    [
        ((), "push_vlan:0x8100,mod_vlan_vid:5", [(0x8100, 5)]),
        ((), "push_vlan:0x88a8,mod_vlan_vid:5", [(0x88A8, 5)]),
        ((7,), "pop_vlan", []),
        ((7,), "mod_vlan_vid:9", [(0x8100, 9)]),
        ((7,), "push_vlan:0x88a8,mod_vlan_vid:9", [(0x88A8, 9), (0x8100, 7)]),
        ((9, 7), "pop_vlan", [(0x8100, 7)]),
        ((9, 7), "pop_vlan,resubmit(,1)", []),
        ((9, 7), "pop_vlan,resubmit(,2)", [(0x8100, 3)]),
    ],
)
def test_tags_are_pushed_popped_and_changed(
    sent: tuple[int, ...],
    actions: str,
    wanted: list[tuple[int, int]],
    two_tags: None,
    bridge: Bridge,
    new_hosts: NewHosts,
) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows(
        f"in_port=1,{TAGGED if sent else 'vlan_tci=0'},actions={actions},output:2",
        f"table=1,{TAGGED},actions=pop_vlan",
        f"table=2,{TAGGED},actions=mod_vlan_vid:3",
    )
    with other.capture() as capture:
        for count in (1, 2):  # the first one goes by ovs-vswitchd
            one.send(tagged(one, other, *sent))
            found = capture.wait(lambda frame: frame.endswith(PAYLOAD), count)
            assert tags(found[-1]) == wanted


def test_priorities_are_kept_and_set(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows(
        "in_port=1,dl_vlan=5,actions=mod_vlan_vid:6,output:2",
        "in_port=1,dl_vlan=8,actions=mod_vlan_pcp:2,output:2",
    )
    with other.capture() as capture:
        for vlan, prio, wanted in ((5, 7, (6, 7)), (8, 7, (8, 2))):
            frame = ether(one, other) / Dot1Q(vlan=vlan, prio=prio, type=0x88B5) / PAYLOAD
            one.send(bytes(frame))
            (found,) = capture.wait(lambda frame: frame.endswith(PAYLOAD))
            assert (Ether(found)[Dot1Q].vlan, Ether(found)[Dot1Q].prio) == wanted
            capture.frames.clear()
