"""The cache of microflows: it never says anything else than the long way would."""

from __future__ import annotations

import weakref
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.flow_table import Flow, FlowActions, FlowTable
from ovsdp_cuse.switch.key import IN_PORT, MAC_PROTO
from ovsdp_cuse.switch.microflow import MicroflowCache, Microflows
from ovsdp_cuse.switch.packet import VIRTIO_NET_HDR_GSO_UDP, Offload, Packet

METADATA: Final = IN_PORT.place(3) | MAC_PROTO.place(1)
ACTIONS: Final = FlowActions((), b"", lambda packet: None)


def new_cache() -> MicroflowCache:
    return Microflows().add(1)


def some_flow(bits: int = 0) -> tuple[FlowTable, Flow]:
    table = FlowTable()
    return table, table.insert(0, bits, ACTIONS)


def built(frame: Frame) -> bytes:
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / frame)


BODY: Final = Raw(b"x" * 20)
TCP_FRAME: Final = built(IP(src="1.2.3.4", dst="5.6.7.8") / TCP(sport=1, dport=2) / BODY)
UDP_FRAME: Final = built(IP(src="1.2.3.4", dst="5.6.7.8") / UDP(sport=1, dport=2) / BODY)


def extracted(frame: bytes, offload: Offload | None = None) -> Packet:
    packet = Packet.of(frame, offload)
    assert extract(packet, METADATA)
    return packet


@pytest.mark.parametrize("frame", [TCP_FRAME, UDP_FRAME])
def test_a_packet_is_found_again(frame: bytes) -> None:
    cache = new_cache()
    _table, flow = some_flow()
    first = extracted(frame)
    assert cache.find(first) is None
    cache.remember(first, flow)
    again = Packet.of(frame)
    assert cache.find(again) is flow
    assert (again.key, again.network, again.transport) == (
        first.key,
        first.network,
        first.transport,
    )


def test_packets_of_a_connection_are_alike() -> None:
    cache = new_cache()
    _table, flow = some_flow()
    cache.remember(extracted(TCP_FRAME), flow)
    other = IP(src="1.2.3.4", dst="5.6.7.8", id=77) / TCP(sport=1, dport=2, seq=9, window=5)
    assert cache.find(Packet.of(built(other / Raw(b"another body, and longer")))) is flow


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(built(IP(ttl=9) / TCP() / BODY), id="ttl"),
        pytest.param(built(IP(tos=4) / TCP() / BODY), id="tos"),
        pytest.param(built(IP(dst="9.9.9.9") / TCP() / BODY), id="destination"),
        pytest.param(built(IP() / TCP(dport=9) / BODY), id="port"),
        pytest.param(built(IP() / TCP(flags="FA") / BODY), id="flags"),
        pytest.param(bytes(Ether(dst="02:00:00:00:00:09") / IP() / TCP() / BODY), id="address"),
    ],
)
def test_what_a_key_has_makes_a_difference(frame: bytes) -> None:
    cache = new_cache()
    _table, flow = some_flow()
    cache.remember(extracted(built(IP() / TCP() / BODY)), flow)
    assert cache.find(Packet.of(frame)) is None


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(built(ARP() / BODY / BODY), id="ARP"),
        pytest.param(built(IP(options=[IPOption_NOP()]) / TCP() / BODY), id="options"),
        pytest.param(built(IP(flags="MF") / UDP() / BODY), id="first fragment"),
        pytest.param(built(IP(frag=5) / UDP() / BODY), id="later fragment"),
        pytest.param(built(Dot1Q(vlan=5) / IP() / TCP() / BODY), id="a tag"),
        pytest.param(built(IP(proto=1) / BODY / BODY), id="ICMP"),
        pytest.param(built(IP(proto=6) / Raw(bytes(12) + b"\x40" + bytes(20))), id="TCP, short"),
        pytest.param(UDP_FRAME[:50], id="shorter than all"),
    ],
)
def test_what_is_not_remembered(frame: bytes) -> None:
    cache = new_cache()
    _table, flow = some_flow()
    cache.remember(extracted(frame), flow)
    assert cache.find(Packet.of(frame)) is None


def test_fragments_that_are_still_one_are_not_remembered() -> None:
    offload = Offload(0, VIRTIO_NET_HDR_GSO_UDP, 42, 1400, 0, 0)
    cache = new_cache()
    _table, flow = some_flow()
    cache.remember(extracted(UDP_FRAME, offload), flow)
    assert cache.find(Packet.of(UDP_FRAME)) is None
    cache.remember(extracted(UDP_FRAME), flow)
    assert cache.find(Packet.of(UDP_FRAME, offload)) is None


def test_a_removed_flow_is_not_found() -> None:
    cache = new_cache()
    table, flow = some_flow()
    cache.remember(extracted(TCP_FRAME), flow)
    table.remove(flow)
    assert cache.find(Packet.of(TCP_FRAME)) is None
    table, flow = some_flow()
    cache.remember(extracted(TCP_FRAME), flow)
    table.flush()
    assert cache.find(Packet.of(TCP_FRAME)) is None


def test_all_start_afresh_when_they_are_full() -> None:
    microflows = Microflows(limit=10)
    one, other = microflows.add(1), microflows.add(2)
    _table, flow = some_flow()
    frame = bytearray(UDP_FRAME)
    other.remember(extracted(TCP_FRAME), flow)
    for number in range(9):
        frame[26:30] = number.to_bytes(4, "big")
        one.remember(extracted(bytes(frame)), flow)
    assert other.find(Packet.of(TCP_FRAME)) is one.find(Packet.of(bytes(frame))) is flow
    other.remember(extracted(UDP_FRAME), flow)
    assert other.find(Packet.of(TCP_FRAME)) is one.find(Packet.of(bytes(frame))) is None
    assert other.find(Packet.of(UDP_FRAME)) is flow


def test_a_cache_that_is_cleared_keeps_no_flow_alive() -> None:
    microflows = Microflows()
    table, flow = some_flow()
    microflows.add(1).remember(extracted(TCP_FRAME), flow)
    there = weakref.ref(flow)
    table.flush()
    del flow
    assert there() is not None
    microflows.clear()
    assert there() is None


CHANGES = st.lists(st.tuples(st.integers(0, 73), st.integers(0, 255)), max_size=4)


@settings(max_examples=500)
@given(
    base=st.sampled_from([TCP_FRAME, UDP_FRAME]),
    first=CHANGES,
    second=CHANGES,
    cut=st.integers(0, 40),
)
def test_it_says_what_extraction_says(
    base: bytes, first: list[tuple[int, int]], second: list[tuple[int, int]], cut: int
) -> None:
    """Whatever was remembered before, and however odd both frames are."""
    cache = new_cache()
    _table, flow = some_flow()
    frame = bytearray(base)
    for at, value in first:
        frame[at % len(frame)] = value
    packet = Packet.of(bytes(frame))
    if extract(packet, METADATA):
        cache.remember(packet, flow)
    for at, value in second:
        frame[at % len(frame)] = value
    found = Packet.of(bytes(frame[: len(frame) - cut]))
    if cache.find(found) is not None:
        expected = Packet.of(bytes(frame[: len(frame) - cut]))
        assert extract(expected, METADATA)
        assert (found.key, found.network, found.transport) == (
            expected.key,
            expected.network,
            expected.transport,
        )
