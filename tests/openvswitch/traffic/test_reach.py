"""Hosts reach each other: ARP, IPv4 and IPv6, of all sizes, and broadcast."""

from __future__ import annotations

import socket

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import ARP, Ether

from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge, datapath_flows
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import BROADCAST, ether, udp
from tests.openvswitch.traffic.hosts import Host

SIZES = (56, 1600, 3200)
"""Bytes of data in an echo request: in one frame, in two and in three."""
LARGE_MTU = 9000
NEW_SOURCES = {4: "10.9.1.1", 6: "fd09::1"}


def first_fragment(sender: Host, receiver: Host, source: str) -> bytes:
    """The first fragment of a datagram from this address, with the datagram's checksum."""
    datagram = UDP(sport=1000, dport=2000) / bytes(range(200))
    link = ether(sender, receiver)
    if ":" in source:
        addresses = IPv6(src=source, dst=receiver.address6)
        return bytes(
            fragment6(  # type: ignore[no-untyped-call]
                link / addresses / IPv6ExtHdrFragment(id=7) / datagram, 166
            )[0]
        )
    whole = link / IP(src=source, dst=receiver.address, id=7) / datagram
    return bytes(fragment(whole, fragsize=104)[0])  # type: ignore[no-untyped-call]


@pytest.mark.emulated
def test_ipv4(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.normal()
    one.ping(other, *SIZES, count=3)
    other.ping(one, *SIZES)


@pytest.mark.emulated
def test_ipv6(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.normal()
    for host in (one, other):
        host.use_ipv6()
    one.ping_until(other.address6)
    one.ping(other.address6, *SIZES, count=3)


def test_the_bridge_is_an_interface_of_the_host(
    stack: Stack, bridge: Bridge, new_hosts: NewHosts
) -> None:
    (host,) = new_hosts(1)
    bridge.connect(host)
    bridge.normal()
    stack.namespace.add_address("br0", "10.1.1.100", 24)
    stack.namespace.set_up("br0")
    host.ping("10.1.1.100", *SIZES)


def test_an_internal_port_is_moved_to_a_namespace(
    stack: Stack, bridge: Bridge, new_hosts: NewHosts, expected_complaints: list[str]
) -> None:
    expected_complaints.append("removing policing failed: No such device")
    one, other = new_hosts(2)
    bridge.connect(one)
    bridge.normal()
    stack.vsctl("add-port", "br0", "inside", "--", "set", "interface", "inside", "type=internal")
    stack.namespace.move_link("inside", other.namespace)
    other.ip("address flush dev eth0", "address add 10.1.1.50/24 dev inside", "link set inside up")
    other.namespace.wait_running("inside")
    one.ping("10.1.1.50", *SIZES)


def test_patch_ports_join_bridges(stack: Stack, bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    second = Bridge(stack, "br1")
    for here, there in ((bridge, second), (second, bridge)):
        settings = ("type=patch", f"options:peer=to-{here.name}")
        port = f"to-{there.name}"
        stack.vsctl("add-port", here.name, port, "--", "set", "interface", port, *settings)
        here.normal()
    bridge.connect(one)
    second.connect(other)
    one.ping(other, *SIZES)


def test_large_frames(stack: Stack, bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    for host in (one, other):
        host.ip(f"link set eth0 mtu {LARGE_MTU}")
        stack.namespace.set_link(host.port, ("IFLA_MTU", LARGE_MTU))
    bridge.connect(one, other)
    bridge.normal()
    with other.capture() as capture:
        one.ping(other, LARGE_MTU - 28)
        capture.wait(lambda frame: len(frame) == LARGE_MTU + 14)


def test_arp_is_asked_of_all_and_answered_to_one(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other, third = new_hosts(3)
    bridge.connect(one, other, third)
    bridge.normal()
    with third.capture() as seen_by_third, one.capture() as seen_by_one:
        one.ping(other)
        seen_by_third.wait(lambda frame: ARP in Ether(frame) and Ether(frame)[ARP].op == 1)
        (reply,) = seen_by_one.wait(lambda frame: ARP in Ether(frame))
        assert Ether(reply)[ARP].hwsrc == other.mac
        # What is known goes to that port alone; a broadcast comes after it by the same way
        one.send(bytes(udp(one, other)), bytes(ether(one, BROADCAST, type=0x88B5) / bytes(60)))
        seen_by_third.wait(lambda frame: Ether(frame).type == 0x88B5)
        assert not seen_by_third.seen(lambda frame: Ether(frame).dst == other.mac)


def test_broadcast_reaches_all_but_the_sender(bridge: Bridge, new_hosts: NewHosts) -> None:
    hosts = new_hosts(4)
    bridge.connect(*hosts)
    bridge.normal()
    receivers = []
    for host in hosts[1:]:
        receiver = host.socket(socket.SOCK_DGRAM)
        receiver.bind(("", 7000))
        receivers.append(receiver)
    sender = hosts[0].socket(socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    with hosts[0].capture() as own:
        sender.sendto(b"all", ("10.1.1.255", 7000))
        for receiver in receivers:
            assert receiver.recvfrom(16)[0] == b"all"
        hosts[1].send(bytes(ether(hosts[1], hosts[0], type=0x88B5) / bytes(60)))
        own.wait(lambda frame: Ether(frame).type == 0x88B5)
        assert not own.seen(lambda frame: Ether(frame).dst == BROADCAST)
    for open_socket in (*receivers, sender):
        open_socket.close()


def test_datagrams_of_all_sizes(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.normal()
    receiver, sender = (host.socket(socket.SOCK_DGRAM) for host in (other, one))
    with receiver, sender:
        receiver.bind(("", 7000))
        for size in (0, 1, 17, 1472, 1473, 8000, 65507):
            data = bytes(index & 0xFF for index in range(size))
            sender.sendto(data, (other.address, 7000))
            assert receiver.recv(1 << 16) == data


def test_later_fragments_are_of_their_own_protocol(
    stack: Stack, bridge: Bridge, new_hosts: NewHosts
) -> None:
    """An IPv6 fragment that is not the first has no transport header: its protocol in the key is
    44, the fragment header's. The flow for TCP has ovs-vswitchd look at the protocol."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows("priority=1,actions=NORMAL", "priority=2,tcp6,actions=drop")
    for host in (one, other):
        host.use_ipv6()
    one.ping_until(other.address6)
    one.ping(other.address6, 3200, count=3)
    later = datapath_flows(stack, "frag=later")
    assert later
    assert all("proto=44" in flow for flow in later), later


def test_headers_are_rewritten_in_fragments_too(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    for host in (one, other):
        host.use_ipv6()
    alias = "fc00::77"
    one.know(other, alias)
    bridge.add_flows(
        "priority=0,actions=NORMAL",
        f"in_port=1,ipv6,ipv6_dst={alias},actions=set_field:{other.address6}->ipv6_dst,2",
        f"in_port=2,ipv6,ipv6_dst={one.address6},ipv6_src={other.address6},"
        f"actions=set_field:{alias}->ipv6_src,1",
        "priority=65000,icmp6,icmp_type=135,actions=NORMAL",
        "priority=65000,icmp6,icmp_type=136,actions=NORMAL",
    )
    one.ping_until(alias)
    one.ping(alias, *SIZES, count=3)


@pytest.mark.parametrize("version", [4, 6])
def test_checksums_of_first_fragments_follow(
    version: int, bridge: Bridge, new_hosts: NewHosts
) -> None:
    """The transport checksum lies in the first fragment, and covers the address."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    frame = first_fragment(one, other, one.address if version == 4 else one.address6)
    wanted = first_fragment(one, other, NEW_SOURCES[version])
    bridge.add_flows(
        f"in_port=1,ip,actions=mod_nw_src:{NEW_SOURCES[4]},2",
        f"in_port=1,ipv6,actions=set_field:{NEW_SOURCES[6]}->ipv6_src,2",
    )
    with other.capture() as capture:
        for count in range(1, 4):  # the first one goes by ovs-vswitchd
            one.send(frame)
            capture.wait_frame(wanted, count)


def test_a_learned_address_is_moved_with_its_host(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other, third = new_hosts(3)
    bridge.connect(one, other, third)
    bridge.normal()
    one.ping(other)
    with third.capture() as capture:
        # The third host says that it is the other one
        third.send(bytes(ether(other, BROADCAST, type=0x88B5) / bytes(60)))
        frame = bytes(ether(one, other, type=0x88B5) / bytes(60))

        def arrives() -> bool:
            one.send(frame)
            return bool(capture.seen(frame.__eq__))

        wait_until(arrives, "frames go where the address was seen last")
