"""Multicast: flooded, or with snooping only sent to who has joined."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests.nodes.calls import wait_until
from tests.openvswitch.traffic.bridges import Bridge, datapath_flows
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import PAYLOAD
from tests.openvswitch.traffic.hosts import Host
from tests.openvswitch.traffic.ping import checksum

GROUP, GROUP6 = "239.1.1.3", "ff05::1:3"
GROUP_MAC = "01:00:5e:01:01:03"
IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP = 35, 36
IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP = 20, 21


def datagram(sender: Host, port: int = 2000) -> bytes:
    """A datagram to the group."""
    header = Ether(src=sender.mac, dst=GROUP_MAC) / IP(src=sender.address, dst=GROUP, ttl=1)
    return bytes(header / UDP(sport=1000, dport=port) / PAYLOAD)


def membership_report() -> bytes:
    """IGMP version 2 (RFC 2236): this host is a member."""
    group = IPv4Address(GROUP).packed
    return struct.pack("!BBH4s", 0x16, 0, checksum(bytes([0x16, 0, 0, 0]) + group), group)


def test_reports_and_data_are_flooded(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, second, third = new_hosts(3)
    bridge.connect(one, second, third)
    bridge.normal()
    header = Ether(src=one.mac, dst=GROUP_MAC) / IP(src=one.address, dst=GROUP, ttl=1, proto=2)
    report = bytes(header / membership_report() / bytes(20))
    with second.capture() as second_sees, third.capture() as third_sees:
        for frame in (report, datagram(one)):
            for count in (1, 2):
                one.send(frame)
                second_sees.wait_frame(frame, count)
                third_sees.wait_frame(frame, count)
    (flow,) = datapath_flows(bridge.stack, GROUP_MAC)
    assert set(flow.rsplit("actions:")[1].split(",")) == {"br0", second.port, third.port}


@pytest.mark.emulated
def test_snooping(bridge: Bridge, new_hosts: NewHosts) -> None:
    """A member joins and leaves."""
    one, member, other = new_hosts(3)
    bridge.connect(one, member, other)
    bridge.normal()
    snoop(bridge)
    request = struct.pack("4s4s", IPv4Address(GROUP).packed, IPv4Address(member.address).packed)
    with member.capture() as member_sees, other.capture() as other_sees:
        with member.socket(socket.SOCK_DGRAM) as receiver:
            receiver.bind(("", 2000))
            receiver.setsockopt(socket.IPPROTO_IP, IP_ADD_MEMBERSHIP, request)
            wait_for_members(bridge, GROUP, [member.number])
            for count in (1, 2):
                one.send(datagram(one))
                member_sees.wait_frame(datagram(one), count)
                assert len(receiver.recv(1 << 16)) == len(PAYLOAD)
            receiver.setsockopt(socket.IPPROTO_IP, IP_DROP_MEMBERSHIP, request)
        wait_for_members(bridge, GROUP, [])
        bridge.stack.appctl("revalidator/wait")
        late = datagram(one, port=2001)
        one.send(late)
        bridge.wait_counts("table=0", lambda counts: counts.packets >= 3)
        assert late not in bridge.all_seen(member, member_sees)
        assert not [frame for frame in bridge.all_seen(other, other_sees) if is_data(frame)]


def test_snooping_of_ipv6(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, member = new_hosts(2)
    bridge.connect(one, member)
    bridge.normal()
    snoop(bridge)
    member.use_ipv6()
    with member.namespace:
        index = socket.if_nametoindex("eth0")
    request = socket.inet_pton(socket.AF_INET6, GROUP6) + struct.pack("=i", index)
    with member.socket(socket.SOCK_DGRAM, ipv6=True) as receiver:
        receiver.setsockopt(socket.IPPROTO_IPV6, IPV6_JOIN_GROUP, request)
        wait_for_members(bridge, GROUP6, [member.number])


def snoop(bridge: Bridge) -> None:
    """Send multicast only to members."""
    bridge.stack.vsctl(
        *("set", "bridge", bridge.name, "mcast_snooping_enable=true"),
        "other_config:mcast-snooping-disable-flood-unregistered=true",
    )


def is_data(frame: bytes) -> bool:
    """Whether it is of `datagram`."""
    return frame.endswith(PAYLOAD) and UDP in Ether(frame)


def wait_for_members(bridge: Bridge, group: str, ports: list[int]) -> None:
    """Return when the bridge knows these ports as those of the group's members."""

    def members() -> list[int]:
        table = bridge.stack.appctl("mdb/show", bridge.name).splitlines()[1:]
        rows = [line.split() for line in table]
        return sorted(int(row[0]) for row in rows if group in row)

    wait_until(lambda: members() == ports, f"{group} has members on ports {ports}")
