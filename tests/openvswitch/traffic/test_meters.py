"""Meters: what is too fast is dropped, and counted."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import PAYLOAD, ether
from tests.openvswitch.traffic.openflow import management

STATS: Final = re.compile(
    r"packet_in_count:(\d+) byte_in_count:(\d+).*?bands:\s*0: packet_count:(\d+)", re.S
)
SENT: Final = 60
METERS: Final = 900
"""Of the 1024 places that meters have at first, two others must be free: the numbers (modulo 1024)
of the meters with which ovs-vswitchd probes the datapath."""


@pytest.mark.parametrize(
    ("meter", "least", "most"),
    [
        # The burst, and what comes in while they are sent
        pytest.param(
            *("meter=1,pktps,burst,stats,bands=type=drop,rate=1,burst_size=10", 10, 30),
            id="packets",
            marks=pytest.mark.emulated,
        ),
        pytest.param(
            *("meter=1,kbps,burst,stats,bands=type=drop,rate=1,burst_size=16", 20, 50),
            id="kilobits",
        ),
        pytest.param(
            *("meter=1,pktps,stats,bands=type=drop,rate=100000", SENT, SENT), id="all pass"
        ),
    ],
)
def test_meters(meter: str, least: int, most: int, bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_meter(meter)
    bridge.add_flows("in_port=1,actions=meter:1,2")
    frame = bytes(ether(one, other, type=0x88B5) / PAYLOAD)
    with other.capture() as capture:
        one.send(*[frame] * SENT)
        bridge.wait_packets("in_port=1", SENT)
        passed = len(bridge.all_seen(other, capture))
    found = STATS.search(bridge.stack.ofctl("meter-stats", bridge.name))
    assert found is not None
    seen, octets, dropped = map(int, found.groups())
    assert (seen, octets) == (SENT, SENT * len(frame))
    assert least <= passed <= most
    assert passed + dropped == SENT


def test_the_features_of_meters(bridge: Bridge) -> None:
    features = bridge.stack.ofctl("meter-features", bridge.name)
    assert re.search(r"max_meter:[1-9]", features), features
    assert "drop" in features


def test_meters_are_there_after_a_restart(own_stack: Stack) -> None:
    """ovs-vswitchd finds meters of its predecessor, and does not take that for a fault."""
    bridge = Bridge(own_stack, "br0")
    with management(bridge) as openflow:
        for number in range(1, METERS + 1):
            openflow.add_meter(number, 100)
        openflow.barrier()
    own_stack.openvswitch.stop_vswitchd()
    own_stack.openvswitch.start_vswitchd()
    wait_until((own_stack.directory / "br0.mgmt").exists, "the bridge is there")
    bridge.add_meter("meter=1,kbps,bands=type=drop,rate=100")
    assert "meter=1 " in own_stack.ofctl("dump-meters", bridge.name)
    assert "broken meter" not in own_stack.log
