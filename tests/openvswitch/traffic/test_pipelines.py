"""OpenFlow pipelines: tables, registers, groups, learned flows, clones, and flows that change."""

from __future__ import annotations

from typing import Final

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from tests.nodes.calls import wait_until
from tests.openvswitch.traffic.bridges import Bridge, datapath_flows
from tests.openvswitch.traffic.capture import Capture
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import BROADCAST, PAYLOAD, ether, packet, tcp, udp

MANY: Final = 64
"""Connections, of which each bucket of a group is to have its part."""


@pytest.mark.emulated
def test_tables_and_registers(bridge: Bridge, new_hosts: NewHosts) -> None:
    """What one table finds out another one uses, and the packet comes back to the first."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows(
        "in_port=1,actions=set_field:2->reg0,resubmit(,10)",
        "in_port=2,actions=set_field:1->reg0,resubmit(,10)",
        "table=10,ip,actions=resubmit(,20),set_field:7->reg1,resubmit(,30)",
        "table=10,arp,actions=resubmit(,30)",
        "table=20,cookie=20,actions=move:NXM_OF_IN_PORT[]->NXM_NX_REG2[0..15]",
        "table=30,cookie=30,ip,reg1=7,actions=output:NXM_NX_REG0[]",
        "table=30,arp,actions=output:NXM_NX_REG0[]",
    )
    one.ping(other, count=5)
    assert bridge.counts("cookie=20/-1").packets == bridge.counts("cookie=30/-1").packets == 10


def test_goto_table_and_metadata(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows(
        "in_port=1,actions=write_actions(output:2),write_metadata:0x55,goto_table:1",
        "in_port=2,actions=write_actions(output:1),write_metadata:0x66,goto_table:1",
        "table=1,metadata=0x66,actions=goto_table:2",
        "table=1,metadata=0x55,actions=goto_table:2",
        "table=2,ip,actions=goto_table:3",
        "table=2,arp,actions=goto_table:3",
        "table=2,priority=0,actions=clear_actions",
        "table=3,actions=",
    )
    one.ping(other, count=3)


def test_group_all_copies(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, second, third, fourth = new_hosts(4)
    bridge.connect(one, second, third, fourth)
    bridge.add_groups(
        "group_id=1,type=all,bucket=actions=set_field:192.0.2.2->ip_dst,output:2,"
        "bucket=actions=output:3,bucket=actions=push_vlan:0x8100,mod_vlan_vid:5,output:4"
    )
    bridge.add_flows("in_port=1,ip,actions=group:1")
    frame = udp(one, third)
    with second.capture() as seen2, third.capture() as seen3, fourth.capture() as seen4:
        for count in (1, 2):
            one.send(bytes(frame))
            seen3.wait_frame(bytes(frame), count)
            seen2.wait(lambda seen: Ether(seen)[IP].dst == "192.0.2.2", count)
            seen4.wait(lambda seen: seen[12:16] == bytes.fromhex("81000005"), count)
    # Each bucket has the packet as it came
    assert (
        bytes(seen4.frames[0]) == bytes(frame)[:12] + bytes.fromhex("81000005") + bytes(frame)[12:]
    )


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("selection_method=hash,fields(udp_src)", id="hash"),
        pytest.param("selection_method=dp_hash", id="dp_hash", marks=pytest.mark.emulated),
        pytest.param("", id="default"),
    ],
)
def test_group_select_spreads_and_keeps_connections(
    method: str, bridge: Bridge, new_hosts: NewHosts
) -> None:
    one, second, third = new_hosts(3)
    bridge.connect(one, second, third)
    group = ",".join(
        filter(None, ["group_id=1,type=select", method, "bucket=output:2", "bucket=output:3"])
    )
    bridge.add_groups(group)
    bridge.add_flows("in_port=1,udp,actions=group:1")
    frames = [bytes(udp(one, second, sport=2000 + index, dport=9)) for index in range(MANY)]
    with second.capture() as second_sees, third.capture() as third_sees:
        for count in (1, 2, 3):
            one.send(*frames)
            _wait_together(count * MANY, second_sees, third_sees)
    ways = [
        {frame for frame in frames if frame in seen.frames} for seen in (second_sees, third_sees)
    ]
    assert all(ways)
    assert not ways[0] & ways[1]
    for seen in (second_sees, third_sees):
        assert {seen.frames.count(frame) for frame in seen.frames} == {3}


def _wait_together(count: int, *captures: Capture) -> None:
    wait_until(
        lambda: sum(len(capture.seen(_is_sent)) for capture in captures) >= count,
        f"{count} frames come",
    )


def _is_sent(frame: bytes) -> bool:
    return frame.endswith(PAYLOAD)


def test_group_fast_failover(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, second, third = new_hosts(3)
    bridge.connect(one, second, third)
    bridge.add_groups(
        "group_id=1,type=ff,bucket=watch_port:2,actions=output:2,"
        "bucket=watch_port:3,actions=output:3"
    )
    bridge.add_flows("in_port=1,actions=group:1")
    frame = bytes(ether(one, second, type=0x88B5) / PAYLOAD)
    with second.capture() as second_sees, third.capture() as third_sees:
        one.send(frame)
        second_sees.wait_frame(frame)
        bridge.stack.namespace.set_up(second.port, False)

        def goes_elsewhere() -> bool:
            one.send(frame)
            return bool(third_sees.seen(frame.__eq__))

        wait_until(goes_elsewhere, "frames go where the second bucket sends them")
        bridge.stack.namespace.set_up(second.port)
        second.namespace.wait_running("eth0")
        second_sees.frames.clear()

        def comes_back() -> bool:
            one.send(frame)
            return bool(second_sees.seen(frame.__eq__))

        wait_until(comes_back, "frames go by the first bucket again")


@pytest.mark.emulated
def test_learned_flows(bridge: Bridge, new_hosts: NewHosts) -> None:
    """A learning switch of two flows."""
    one, other, third = new_hosts(3)
    bridge.connect(one, other, third)
    bridge.add_flows(
        "actions=learn(table=1,hard_timeout=300,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
        "output:NXM_OF_IN_PORT[]),resubmit(,1)",
        "table=1,priority=0,actions=FLOOD",
    )
    with third.capture() as capture:
        one.ping(other, count=3)
        learned = bridge.stack.ofctl("dump-flows", bridge.name, "table=1")
        for host in (one, other):
            assert f"dl_dst={host.mac} actions=output:{host.number}" in learned
        # The request for an address is all that a third host has seen
        assert all(Ether(frame).dst == BROADCAST for frame in bridge.all_seen(third, capture))


def test_learned_flows_limit(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows(
        "udp,in_port=1,actions=learn(table=1,limit=3,result_dst=NXM_NX_REG0[0],eth_type=0x800,"
        "nw_proto=17,NXM_OF_UDP_DST[]),resubmit(,2)",
        "table=2,reg0=1,actions=2",
        "table=2,reg0=0,actions=drop",
    )
    frames = [bytes(udp(one, other, dport=3000 + index)) for index in range(6)]
    with other.capture() as capture:
        for frame in frames:
            one.send(frame)
            bridge.wait_packets("table=0", frames.index(frame) + 1)
        assert bridge.all_seen(other, capture) == frames[:3]


def test_clones_change_nothing(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other, third = new_hosts(3)
    bridge.connect(one, other, third)
    bridge.add_flows(
        f"in_port=1,ip,actions=clone(mod_dl_dst:{third.mac},set_field:{third.address}->ip_dst,"
        "clone(mod_nw_ttl:5,output:3),output:3),output:2"
    )
    frame = bytes(udp(one, other))
    with other.capture() as other_sees, third.capture() as third_sees:
        for count in (1, 2):
            one.send(frame)
            other_sees.wait_frame(frame, count)
            copies = third_sees.wait(_is_sent, 2 * count)
            assert [Ether(copy)[IP].ttl for copy in copies] == [5, 64] * count
            assert {Ether(copy)[IP].dst for copy in copies} == {third.address}


def test_arp_is_answered_by_moving_fields(bridge: Bridge, new_hosts: NewHosts) -> None:
    """The switch answers for an address that nobody has, and rewrites what then goes there."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    virtual, mac = "10.1.1.200", "02:00:00:00:02:00"
    bridge.add_flows(
        f"arp,arp_op=1,arp_tpa={virtual},actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
        f"mod_dl_src:{mac},load:2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],"
        "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
        f"load:0x{mac.replace(':', '')}->NXM_NX_ARP_SHA[],load:0x0a0101c8->NXM_OF_ARP_SPA[],"
        "IN_PORT",
        f"in_port=1,ip,nw_dst={virtual},actions=mod_dl_dst:{other.mac},mod_nw_dst:{other.address},2",
        f"in_port=2,ip,actions=mod_dl_src:{mac},mod_nw_src:{virtual},1",
        "priority=1,actions=NORMAL",
    )
    with one.capture() as capture:
        one.ping(virtual, count=3)
        (reply,) = capture.wait(lambda frame: ARP in Ether(frame) and Ether(frame)[ARP].op == 2)
    answer = Ether(reply)[ARP]
    assert (answer.hwsrc, answer.psrc, answer.hwdst, answer.pdst) == (
        mac,
        virtual,
        one.mac,
        one.address,
    )


def test_flows_change_while_they_are_used(bridge: Bridge, new_hosts: NewHosts) -> None:
    """The flow of the datapath is changed, and keeps its counts."""
    one, other, third = new_hosts(3)
    bridge.connect(one, other, third)
    frame = bytes(udp(one, other))
    with other.capture() as other_sees, third.capture() as third_sees:
        for number, (actions, to_third) in enumerate((("2,3", 1), ("2", 1), ("3,2", 2)), 1):
            bridge.stack.ofctl(
                "mod-flows" if number > 1 else "add-flow", "br0", f"in_port=1,actions={actions}"
            )
            bridge.stack.appctl("revalidator/wait")
            one.send(frame)
            other_sees.wait_frame(frame, number)
            third_sees.wait_frame(frame, to_third)
            assert bridge.all_seen(third, third_sees) == [frame] * to_third
            (flow,) = datapath_flows(bridge.stack, "eth_type(0x0800)")
            names = {"2": other.port, "3": third.port}
            assert f"packets:{number - 1}," in flow
            assert flow.endswith("actions:" + ",".join(names[port] for port in actions.split(",")))


def test_too_many_resubmits_end_in_a_drop(
    bridge: Bridge, new_hosts: NewHosts, expected_complaints: list[str]
) -> None:
    expected_complaints += ("over max translation depth", "|WARN|Flow: ")
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows("ip,actions=resubmit(,0),2", "priority=1,actions=2")
    with other.capture() as capture:
        one.send(bytes(udp(one, other)), bytes(ether(one, other, type=0x88B5) / PAYLOAD))
        capture.wait(lambda frame: Ether(frame).type == 0x88B5)
        wait_until(
            lambda: bool(datapath_flows(bridge.stack, "actions:drop")), "the datapath drops it"
        )
        assert not [frame for frame in bridge.all_seen(other, capture) if IP in Ether(frame)]


def test_output_to_the_port_it_came_from(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows("in_port=1,actions=1,in_port,2")
    frame = bytes(ether(one, other, type=0x88B5) / PAYLOAD)
    with one.capture() as one_sees, other.capture() as other_sees:
        one.send(frame)
        other_sees.wait_frame(frame)
        # Only with its reserved name is the port that a packet came from sent to
        assert bridge.all_seen(one, one_sees) == [frame]


def test_first_packets_of_many_flows_arrive_once(bridge: Bridge, new_hosts: NewHosts) -> None:
    """Each of these misses, is executed by ovs-vswitchd, and puts a flow."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows(
        *(f"in_port=1,tcp,tp_dst={port},cookie=1,actions=2" for port in range(1000, 1400))
    )
    frames = [bytes(tcp(one, other, dport=port)) for port in range(1000, 1400)]
    with other.capture() as capture:
        one.send(*frames)
        capture.wait(_is_sent, len(frames))
        bridge.wait_packets("cookie=1/-1", len(frames))
        assert sorted(bridge.all_seen(other, capture)) == sorted(frames)


def test_a_connection_is_balanced_by_its_fields(bridge: Bridge, new_hosts: NewHosts) -> None:
    """multipath and bundle, of Open vSwitch, hash in ovs-vswitchd."""
    one, second, third = new_hosts(3)
    bridge.connect(one, second, third)
    bridge.add_flows(
        "in_port=1,tcp,actions=bundle(symmetric_l4,60,hrw,ofport,members:2,3)",
    )
    frames = [bytes(tcp(one, second, sport=4000 + index, dport=9)) for index in range(MANY)]
    with second.capture() as second_sees, third.capture() as third_sees:
        for count in (1, 2):
            one.send(*frames)
            _wait_together(count * MANY, second_sees, third_sees)
        assert second_sees.frames
        assert third_sees.frames
        assert not {*second_sees.frames} & {*third_sees.frames}


def test_dropped_packets_are_counted(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows("in_port=1,udp,cookie=1,actions=drop", "priority=1,in_port=1,actions=2")
    dropped = bytes(packet(one, other) / UDP(sport=1, dport=2) / PAYLOAD)
    with other.capture() as capture:
        one.send(*[dropped] * 10)
        assert bridge.wait_packets("cookie=1/-1", 10) == (10, 10 * len(dropped))
        assert bridge.all_seen(other, capture) == []
