"""sFlow and IPFIX: what collectors are told of the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

import pytest

from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.collectors import (
    Collector,
    Exporter,
    FlowSample,
    PortCounters,
    sflow_samples,
)
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import udp
from tests.openvswitch.traffic.hosts import Host

SOURCE_ADDRESS, DESTINATION_ADDRESS, SOURCE_PORT, DESTINATION_PORT = 8, 12, 7, 11
PROTOCOL, OBSERVATION_POINT = 4, 138
"""Information elements of RFC 7012."""
DOMAIN, POINT = 123, 456
SENT: Final = 5


@pytest.fixture
def collector(stack: Stack) -> Iterator[Collector]:
    """A collector where Open vSwitch is."""
    with Collector(stack.namespace) as collector:
        yield collector


def sflow(bridge: Bridge, collector: Collector, *settings: str) -> None:
    """Have a bridge tell of its traffic by sFlow."""
    bridge.stack.vsctl(
        *("--", "--id=@s", "create", "sflow", "agent=lo", f"targets={collector.target}", *settings),
        *("--", "set", "bridge", bridge.name, "sflow=@s"),
    )


def records(collector: Collector) -> Iterator[tuple[int, dict[int, bytes]]]:
    """The records that an IPFIX collector is sent."""
    exporter = Exporter()
    while True:
        yield from exporter.records(collector.receive())


def fields_of(sender: Host, receiver: Host) -> dict[int, bytes]:
    """What IPFIX tells of `frames.udp`."""
    return {
        SOURCE_ADDRESS: ip_address(sender.address).packed,
        DESTINATION_ADDRESS: ip_address(receiver.address).packed,
        SOURCE_PORT: (1000).to_bytes(2, "big"),
        DESTINATION_PORT: (2000).to_bytes(2, "big"),
        PROTOCOL: bytes([17]),
    }


@pytest.mark.emulated
def test_sflow_samples_packets(
    bridge: Bridge, collector: Collector, new_hosts: NewHosts, stack: Stack
) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    sflow(bridge, collector, "sampling=1", "header=64")
    bridge.add_flows("in_port=1,actions=2")
    frame = bytes(udp(one, other))
    links = [stack.namespace.link(host.port).ifindex for host in (one, other)]
    with other.capture() as capture:
        one.send(*[frame] * SENT)
        capture.wait_frame(frame, SENT)
    found: list[FlowSample] = []
    while len(found) < SENT:
        samples = sflow_samples(collector.receive())
        found += (
            sample
            for sample in samples
            if isinstance(sample, FlowSample) and sample.header == frame[:64]
        )
    # The length is with the frame check sequence
    assert set(found) == {FlowSample(1, links[0], links[1], len(frame) + 4, frame[:64])}


def test_sflow_samples_some_packets(
    bridge: Bridge, collector: Collector, new_hosts: NewHosts
) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    sflow(bridge, collector, "sampling=20")
    bridge.add_flows("in_port=1,actions=2")
    frame, count = bytes(udp(one, other)), 2000
    with other.capture() as capture:
        for _ in range(count // 100):
            one.send(*[frame] * 100)
        capture.wait_frame(frame, count)
    last = bytes(udp(one, other, sport=7))
    found: list[FlowSample] = []
    while not any(sample.header == last for sample in found):
        one.send(*[last] * 20)
        samples = sflow_samples(collector.receive())
        found += (sample for sample in samples if isinstance(sample, FlowSample))
    sampled = sum(sample.header == frame for sample in found)
    assert {sample.rate for sample in found} == {20}
    assert 50 < sampled < 200, "a twentieth of 2000, by chance"


def test_sflow_tells_counters(
    bridge: Bridge, collector: Collector, new_hosts: NewHosts, stack: Stack
) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows("in_port=1,actions=2")
    frame = bytes(udp(one, other))
    with other.capture() as capture:
        one.send(*[frame] * SENT)
        capture.wait_frame(frame, SENT)
    sflow(bridge, collector, "sampling=1000", "polling=1")
    index = stack.namespace.link(one.port).ifindex
    found: list[PortCounters] = []
    while index not in (counters.interface for counters in found):
        samples = sflow_samples(collector.receive())
        found += (sample for sample in samples if isinstance(sample, PortCounters))
    (counters,) = (counters for counters in found if counters.interface == index)
    assert counters == (index, SENT * len(frame), SENT)


@pytest.mark.emulated
def test_ipfix_of_a_bridge(bridge: Bridge, collector: Collector, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.stack.vsctl(
        *("--", "--id=@i", "create", "ipfix", f"targets={collector.target}", "sampling=1"),
        *(f"obs_domain_id={DOMAIN}", f"obs_point_id={POINT}"),
        *("--", "set", "bridge", bridge.name, "ipfix=@i"),
    )
    bridge.add_flows("in_port=1,actions=2")
    one.send(*[bytes(udp(one, other))] * SENT)
    wanted = fields_of(one, other) | {OBSERVATION_POINT: POINT.to_bytes(4, "big")}
    for domain, record in records(collector):
        if record.get(SOURCE_ADDRESS) == wanted[SOURCE_ADDRESS]:
            assert domain == DOMAIN
            assert {element: record[element] for element in wanted} == wanted
            break


@pytest.mark.parametrize("probability", [65535, 65534])
def test_flows_sample_to_collectors(
    probability: int, bridge: Bridge, collector: Collector, new_hosts: NewHosts
) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.stack.vsctl(
        *("--", "--id=@b", "get", "bridge", bridge.name),
        *("--", "--id=@i", "create", "ipfix", f"targets={collector.target}"),
        *("--", "create", "flow_sample_collector_set", "id=5", "bridge=@b", "ipfix=@i"),
    )
    sampling = f"sample(probability={probability},collector_set_id=5"
    bridge.add_flows(
        f"in_port=1,actions={sampling},obs_domain_id={DOMAIN},obs_point_id={POINT}),2",
        f"in_port=2,actions={sampling},obs_domain_id=9,obs_point_id=8,sampling_port=1,egress),1",
    )
    frames = {
        host: bytes(udp(*pair)) for host, pair in ((one, (one, other)), (other, (other, one)))
    }
    points = {one.address: (DOMAIN, POINT), other.address: (9, 8)}
    for host, frame in frames.items():
        host.send(*[frame] * SENT)
    seen = {}
    for domain, record in records(collector):
        if PROTOCOL in record and record[PROTOCOL] == bytes([17]):
            source = str(ip_address(record[SOURCE_ADDRESS]))
            seen[source] = domain, int.from_bytes(record[OBSERVATION_POINT], "big")
        if seen == points:
            break
    statistics = bridge.stack.ofctl("dump-ipfix-flow", bridge.name)
    assert "id   5:" in statistics
    assert "pkts errs=0" in statistics
