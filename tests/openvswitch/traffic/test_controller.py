"""A controller is told of packets, and sends packets.

Flows are added when it is there: ovs-vswitchd removes all when a bridge gets its first controller.
"""

from __future__ import annotations

import threading

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether

from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import PAYLOAD, ether, packet, udp
from tests.openvswitch.traffic.openflow import PacketIn, Port, Reason, controller


@pytest.mark.emulated
def test_packet_in_and_packet_out(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    frame = bytes(udp(one, other))
    with controller(bridge) as openflow, other.capture() as capture:
        bridge.add_flows("cookie=0x77,in_port=1,actions=controller:65535")
        for count in (1, 2, 3):
            one.send(frame)
            told = openflow.packet_in()
            assert told == PacketIn(Reason.ACTION, 0, 0x77, len(frame), one.number, frame)
            openflow.packet_out(frame, other.number, told.in_port)
            capture.wait_frame(frame, count)


def test_the_controller_sees_the_packet_as_it_is_by_then(
    bridge: Bridge, new_hosts: NewHosts
) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    frame = bytes(udp(one, other))
    with controller(bridge) as openflow, other.capture() as capture:
        bridge.add_flows(
            "in_port=1,ip,actions="
            "clone(mod_dl_dst:02:00:00:00:0b:0b,mod_nw_dst:192.0.2.44,controller),push_vlan:0x8100,mod_vlan_vid:9,controller,pop_vlan,2"
        )
        for count in (1, 2):
            one.send(frame)
            # Two threads of ovs-vswitchd may have had one each
            told = openflow.packet_in(), openflow.packet_in()
            cloned, tagged = sorted(told, key=lambda packet: packet.length)
            assert Ether(cloned.data).dst == "02:00:00:00:0b:0b"
            assert Ether(cloned.data)[IP].dst == "192.0.2.44"
            assert tagged.data == frame[:12] + bytes.fromhex("81000009") + frame[12:]
            capture.wait_frame(frame, count)


def test_the_controller_is_told_of_what_is_too_old(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    old, young = (bytes(packet(one, other, ttl=ttl, proto=253) / PAYLOAD) for ttl in (1, 9))
    with controller(bridge) as openflow, other.capture() as capture:
        bridge.add_flows("in_port=1,ip,actions=dec_ttl,2")
        openflow.want_packets_for(Reason.INVALID_TTL)
        one.send(old)
        told = openflow.packet_in()
        assert (told.reason, told.data) == (Reason.INVALID_TTL, old)
        one.send(young)
        capture.wait(lambda frame: IP in Ether(frame) and Ether(frame)[IP].ttl == 8)
        assert len(bridge.all_seen(other, capture)) == 1


def test_table_misses_reach_a_controller(bridge: Bridge, new_hosts: NewHosts) -> None:
    (one,) = new_hosts(1)
    bridge.connect(one)
    frame = bytes(ether(one, "02:00:00:00:0b:0b", type=0x88B5) / PAYLOAD)
    with controller(bridge) as openflow:
        bridge.add_flows("priority=0,actions=controller:65535")
        one.send(frame)
        assert openflow.packet_in()[-2:] == (one.number, frame)


def test_hosts_reach_each_other_through_a_controller(bridge: Bridge, new_hosts: NewHosts) -> None:
    """A hub whose packets all take the way by the controller."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    told = 0
    with controller(bridge) as openflow:
        bridge.add_flows("ip,actions=controller:65535", "arp,actions=controller:65535")

        def forward() -> None:
            nonlocal told
            while told < 22:  # the ARP request and its reply, ten requests and their replies
                packet = openflow.packet_in()
                openflow.packet_out(packet.data, Port.FLOOD, packet.in_port)
                told += 1

        thread = threading.Thread(target=forward)
        thread.start()
        one.ping(other, count=10)
        thread.join()
    assert told == 22


@pytest.mark.parametrize("actions", ["2", "NORMAL", "FLOOD", "resubmit(,5)", "group:1"])
def test_packet_out(actions: str, bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_groups("group_id=1,type=all,bucket=output:2")
    bridge.add_flows("table=5,in_port=1,actions=2")
    frame = bytes(ether(one, "02:00:00:00:0b:0b", type=0x88B5) / PAYLOAD)
    with other.capture() as capture, one.capture() as own:
        bridge.packet_out(frame, actions, in_port="1")
        capture.wait_frame(frame)
        assert bridge.all_seen(one, own) == []
