"""Bridges and their ports, as ovs-vsctl makes them and ovs-appctl shows them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.namespaces import Namespace
from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.hosts import Host

BROADCAST = b"\xff" * 6
EXPERIMENTAL = b"\x88\xb5"
"""A type for experiments: IEEE 802."""
ICMP = 1

NewHosts = Callable[[int], list[Host]]


@pytest.fixture
def new_hosts(stack: Stack, new_namespace: Callable[[], Namespace]) -> NewHosts:
    """Makes hosts, which are connected with nothing yet."""

    def make(count: int) -> list[Host]:
        return [Host(new_namespace(), stack.namespace, number + 1) for number in range(count)]

    return make


def ports_shown(stack: Stack) -> dict[str, str]:
    """Name and kind of each port in `dpif/show`."""
    found = re.findall(
        r"^    (\S+) \d+/(\S+): \((\S+?)[):]", stack.appctl("dpif/show"), re.MULTILINE
    )
    return {name: kind for name, _number, kind in found}


@pytest.mark.emulated
def test_ports_of_each_kind(stack: Stack) -> None:
    stack.namespace.add_veth("v1", "v2")
    stack.add_bridge("br0")
    stack.add_bridge("br1")
    stack.vsctl("add-port", "br0", "v1")
    stack.vsctl("add-port", "br0", "i0", "--", "set", "interface", "i0", "type=internal")
    for bridge, name, peer in (("br0", "p0", "p1"), ("br1", "p1", "p0")):
        patch = ("type=patch", f"options:peer={peer}")
        stack.vsctl("add-port", bridge, name, "--", "set", "interface", name, *patch)
    assert ports_shown(stack) == {
        "br0": "internal",
        "br1": "internal",
        "i0": "internal",
        "v1": "system",
        "p0": "patch",
        "p1": "patch",
    }
    shown = stack.dpctl("show", "ovs-system")
    assert {"br0 (internal)", "br1 (internal)", "i0 (internal)", "v1"} <= {
        line.partition(": ")[2] for line in shown.splitlines()
    }
    assert stack.namespace.has_link("i0")
    stack.vsctl("del-port", "br0", "i0", "--", "del-port", "br0", "v1")
    assert not stack.namespace.has_link("i0")
    assert stack.namespace.has_link("v1"), "it is the host's again"
    assert ports_shown(stack).keys() == {"br0", "br1", "p0", "p1"}
    stack.vsctl("del-br", "br0", "--", "del-br", "br1")
    assert stack.dpctl("dump-dps") == "", "the datapath goes with its last bridge"
    assert stack.complaints() == []


def test_a_port_that_is_not_there_comes_later(stack: Stack) -> None:
    stack.add_bridge("br0")
    stack.vsctl("add-port", "br0", "later")
    assert stack.vsctl("get", "interface", "later", "error") == (
        '"could not open network device later (No such device)"\n'
    )
    stack.namespace.add_veth("later", "far")
    stack.vsctl("wait-until", "interface", "later", "ofport>0")
    assert ports_shown(stack)["later"] == "system"
    stack.namespace.delete_link("later")
    stack.vsctl("wait-until", "interface", "later", "ofport=-1")
    assert "later" not in ports_shown(stack)


def test_access_and_trunk_ports(stack: Stack, new_hosts: NewHosts) -> None:
    """Hosts 1 and 2 are in VLAN 10, host 3 in VLAN 20; host 4 gets both, tagged."""
    hosts = new_hosts(4)
    stack.add_bridge("br0")
    for host, setting in zip(hosts, ("tag=10", "tag=10", "tag=20", "trunks=10,20"), strict=True):
        stack.vsctl("add-port", "br0", host.port, setting)
    one, two, three, four = hosts
    one.ping(two)
    plain = BROADCAST + bytes.fromhex("020000000103") + EXPERIMENTAL + bytes(46)
    tagged = plain[:12] + bytes.fromhex("81000014") + plain[12:]
    with one.capture() as other, three.capture() as untagged, four.capture() as trunk:
        three.send(plain)
        trunk.wait_frame(tagged)
        four.send(tagged)
        untagged.wait_frame(plain)
        one.ping(two)
        assert other.seen(plain.__eq__) == other.seen(tagged.__eq__) == [], "another VLAN"


@pytest.fixture
def ends(stack: Stack, new_hosts: NewHosts) -> tuple[Host, str]:
    """A host at br0, and the address of a port of br1; two wires may connect these."""
    (host,) = new_hosts(1)
    for number in (1, 2):
        stack.namespace.add_veth(f"b{number}", f"c{number}")
    for bridge in ("br0", "br1"):
        stack.add_bridge(bridge)
    stack.vsctl("add-port", "br0", host.port)
    stack.vsctl("add-port", "br1", "i0", "--", "set", "interface", "i0", "type=internal")
    stack.namespace.set_up("i0")
    stack.namespace.add_address("i0", "10.1.1.9", 24)
    return host, "10.1.1.9"


def test_a_bond_fails_over(stack: Stack, ends: tuple[Host, str]) -> None:
    host, address = ends
    stack.vsctl("add-port", "br1", "c1", "--", "add-port", "br1", "c2")
    stack.vsctl("add-bond", "br0", "bond", "b1", "b2", "bond_mode=active-backup")
    host.ping_until(address)
    stack.vsctl("set", "port", "bond", "other_config:bond-primary=b1")
    wait_until(lambda: active_member(stack) == "b1", "the primary member is used")
    stack.namespace.set_up("b1", False)
    wait_until(lambda: active_member(stack) == "b2", "the other one is used")
    host.ping_until(address)


def active_member(stack: Stack) -> str:
    """Which member of a bond is used."""
    found = re.search(r"^active member mac: \S+?\((\w+)\)", stack.appctl("bond/show"), re.MULTILINE)
    return found[1] if found else ""


def test_a_bond_balances_as_lacp_agrees(stack: Stack, ends: tuple[Host, str]) -> None:
    """By hashes of the datapath, and recirculation."""
    host, address = ends
    settings = ("bond_mode=balance-tcp", "lacp=active", "other_config:lacp-time=fast")
    stack.vsctl("add-bond", "br0", "bond", "b1", "b2", *settings)
    stack.vsctl("add-bond", "br1", "bond1", "c1", "c2", *settings)
    wait_until(
        lambda: "status: active negotiated" in stack.appctl("lacp/show", "bond"), "LACP agrees"
    )
    host.ping_until(address)
    host.ping(address, count=3)
    assert re.search(r"hash\(\S+\),recirc\(", stack.appctl("dpctl/dump-flows"))


def test_a_mirror_gets_a_copy(stack: Stack, new_hosts: NewHosts) -> None:
    one, two, three = new_hosts(3)
    stack.add_bridge("br0")
    for host in (one, two, three):
        stack.vsctl("add-port", "br0", host.port)
    stack.vsctl(
        *("--", "--id=@from", "get", "port", one.port),
        *("--", "--id=@to", "get", "port", three.port),
        *("--", "--id=@mirror", "create", "mirror", "name=m0"),
        *("select-dst-port=@from", "select-src-port=@from", "output-port=@to"),
        *("--", "set", "bridge", "br0", "mirrors=@mirror"),
    )
    with three.capture() as heard:
        one.ping(two, count=3)
        heard.wait(lambda frame: frame[12:14] == b"\x08\0" and frame[23] == ICMP, 6)
    stack.vsctl("clear", "bridge", "br0", "mirrors")


@pytest.mark.emulated
def test_what_is_shown(stack: Stack, new_hosts: NewHosts) -> None:
    """Commands of ovs-appctl that look at the datapath, while there are flows in it."""
    one, two = new_hosts(2)
    stack.add_bridge("br0")
    for host in (one, two):
        stack.vsctl("add-port", "br0", host.port)
    one.ping(two, count=3)

    assert stack.appctl("dpctl/dump-dps") == "system@ovs-system\n"
    assert re.search(r"flows: [1-9]", stack.appctl("dpctl/show"))
    flows = stack.appctl("dpctl/dump-flows", "-m")
    assert f"in_port({one.port})" in flows
    assert "dp:ovs" in flows
    ufid = re.findall(r"ufid:[0-9a-f-]+", flows)[0]
    assert "actions:" in stack.appctl("dpctl/get-flow", ufid)
    shown = stack.appctl("dpif/show")
    assert re.search(r"system@ovs-system: hit:[1-9]\d* missed:[1-9]", shown), shown
    assert "in_port" in stack.appctl("dpif/dump-flows", "br0")
    packet = f"in_port={one.port},icmp,dl_src={one.mac},dl_dst={two.mac}"
    traced = stack.appctl("ofproto/trace", "br0", packet)
    assert "Datapath actions: " in traced
    assert re.search(
        r"system@ovs-system:\n  flows         : \(current [1-9]", stack.appctl("upcall/show")
    )
    assert "dpif_flow_put" in stack.appctl("coverage/show")
    assert re.search(r"netlink_sent .*total: [1-9]", stack.appctl("coverage/show"))
    assert stack.appctl("revalidator/wait") == ""
    stack.appctl("revalidator/purge")
    assert stack.appctl("dpctl/dump-flows") == ""
    one.ping(two)
    stack.appctl("dpctl/del-flows")
    one.ping(two)
    assert stack.complaints() == []
