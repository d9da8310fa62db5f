"""What depends on the length of packets: truncated output, and check_pkt_larger."""

from __future__ import annotations

import pytest

from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import ether
from tests.openvswitch.traffic.hosts import Host

LENGTH = 242


def frame_of(length: int, sender: Host, receiver: Host) -> bytes:
    """A frame that no host answers."""
    header = bytes(ether(sender, receiver, type=0x88B5))
    return header + bytes(index & 0xFF for index in range(length - len(header)))


@pytest.mark.parametrize("in_datapath", [True, False], ids=["datapath", "slow path"])
@pytest.mark.parametrize(
    ("actions", "to_second", "to_third"),
    [
        ("output(port=2,max_len=100),3", [100], [LENGTH]),
        (
            "output(port=2,max_len=100),3,output(port=2,max_len=100),output(port=3,max_len=100),"
            "2,output(port=3,max_len=200),output(port=2,max_len=65535)",
            [100, 100, LENGTH, LENGTH],
            [LENGTH, 100, 200],
        ),
    ],
    ids=["one", "many"],
)
def test_output_is_truncated(
    actions: str,
    to_second: list[int],
    to_third: list[int],
    in_datapath: bool,
    bridge: Bridge,
    new_hosts: NewHosts,
) -> None:
    one, second, third = new_hosts(3)
    bridge.connect(one, second, third)
    if not in_datapath:
        bridge.stack.appctl("dpif/set-dp-features", bridge.name, "trunc", "false")
    bridge.add_flows(f"in_port=1,actions={actions}")
    assert ("slow path" in bridge.trace("in_port=1,dl_type=0x88b5")) is not in_datapath
    frame = frame_of(LENGTH, one, second)
    with second.capture() as second_sees, third.capture() as third_sees:
        for count in (1, 2):
            one.send(frame)
            for capture, wanted in ((second_sees, to_second), (third_sees, to_third)):
                found = capture.wait(bool, count * len(wanted))
                assert [len(part) for part in found] == wanted * count
                assert all(part == frame[: len(part)] for part in found)
    assert bridge.counts("in_port=1").octets == 2 * LENGTH


@pytest.mark.emulated
def test_longer_packets_go_elsewhere(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, second, third = new_hosts(3)
    bridge.connect(one, second, third)
    bridge.add_flows(
        "in_port=1,actions=check_pkt_larger(300)->NXM_NX_REG0[0],resubmit(,1)",
        "table=1,reg0=0/1,actions=2",
        "table=1,reg0=1/1,actions=3",
    )
    short, long = (frame_of(length, one, second) for length in (300, 301))
    with second.capture() as second_sees, third.capture() as third_sees:
        for count in (1, 2, 3):
            one.send(short, long)
            second_sees.wait_frame(short, count)
            third_sees.wait_frame(long, count)
        assert second_sees.seen(bool) == [short] * 3
        assert third_sees.seen(bool) == [long] * 3


def test_a_packet_larger_than_the_mtu_of_the_next_link_is_not_sent(
    bridge: Bridge, new_hosts: NewHosts
) -> None:
    one, other = new_hosts(2)
    one.ip("link set eth0 mtu 2000")
    bridge.connect(one, other)
    bridge.stack.namespace.set_link(one.port, ("IFLA_MTU", 2000))
    bridge.add_flows("in_port=1,actions=2")
    fits, too_long = (frame_of(length, one, other) for length in (1514, 1515))
    with other.capture() as capture:
        one.send(fits, too_long, fits)
        capture.wait_frame(fits, 2)
        bridge.wait_packets("in_port=1", 3)
        assert bridge.all_seen(other, capture) == [fits, fits]
