# SPDX-License-Identifier: Apache-2.0
"""The tests of small_dpif.py; in a directory with both files: pytest [--ovsdp-node fuse]"""

from errno import ENOSPC

import pytest
from small_dpif import SmallDpif

from ovsdp_cuse.wire.fault import FaultEffect

ONE, TWO = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def frame(source, destination, text=b"hello"):
    """An Ethernet frame of a type for experiments."""
    return (destination + source + b"\x88\xb5" + text).ljust(60, b"\0")


TO_TWO, TO_ONE = frame(ONE, TWO), frame(TWO, ONE)


@pytest.fixture
def dpif(ovsdp_client, ovsdp_ports):
    """A datapath with three ports."""
    dpif = SmallDpif(ovsdp_client, "dp0")
    for name in ("eth1", "eth2", "eth3"):
        ovsdp_ports.add_interface(name)
        dpif.add_port(name)
    return dpif


def learn(dpif, ports):
    """Let it learn where both hosts are, which puts the flow from two to one."""
    ports.inject("eth1", TO_TWO)
    ports.inject("eth2", TO_ONE)
    assert dpif.run() == 2
    assert ports.take_sent("eth1") == [TO_ONE]
    assert ports.take_sent("eth2") == ports.take_sent("eth3") == [TO_TWO]


def test_a_flow_takes_over(dpif, ovsdp_ports):
    learn(dpif, ovsdp_ports)
    assert len(dpif.flows()) == 1
    ovsdp_ports.inject("eth2", TO_ONE)
    assert ovsdp_ports.take_sent("eth1") == [TO_ONE]
    assert ovsdp_ports.take_sent("eth3") == []
    assert dpif.run() == 0  # no upcall: the switch has done it alone


def test_a_packet_goes_on_where_its_flow_is_refused(dpif, ovsdp_ports, ovsdp_faults):
    fault = ovsdp_faults.add(FaultEffect.FAIL, errno=ENOSPC, command="OVS_FLOW_CMD_NEW", times=1)
    learn(dpif, ovsdp_ports)
    assert (dpif.refused, dpif.flows()) == (1, [])
    assert ovsdp_faults.get(fault.id).applied == 1
    ovsdp_ports.inject("eth2", TO_ONE)
    assert dpif.run() == 1
    assert ovsdp_ports.take_sent("eth1") == [TO_ONE]
    assert len(dpif.flows()) == 1


def test_lost_upcalls_are_survived(dpif, ovsdp_ports, ovsdp_faults):
    ovsdp_faults.add(FaultEffect.OVERFLOW, command="OVS_PACKET_CMD_MISS", times=1)
    ovsdp_ports.inject("eth1", TO_TWO)
    dpif.run()
    assert dpif.lost == 1
    learn(dpif, ovsdp_ports)


@pytest.mark.ovsdp(queue_limit=4096)
def test_a_flood_of_upcalls(dpif, ovsdp_ports):
    for number in range(100):
        ovsdp_ports.inject("eth1", frame(ONE, TWO, b"%d" % number))
    while dpif.run():
        pass
    assert dpif.lost == 1
    assert 0 < len(ovsdp_ports.take_sent("eth2")) < 100


def test_flows_that_nobody_uses_go(dpif, ovsdp_ports, ovsdp_clock):
    dpif.now_ms = lambda: ovsdp_clock.now_ms
    learn(dpif, ovsdp_ports)
    ovsdp_clock.advance(9)
    ovsdp_ports.inject("eth2", TO_ONE)
    ovsdp_clock.advance(9)
    assert dpif.expire() == 0  # used 9 s ago
    ovsdp_clock.advance(2)
    assert dpif.expire() == 1
    assert dpif.flows() == []
