"""Segments in software are those that scapy builds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Ether

from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import ETH_TYPE, IP_FRAG
from ovsdp_cuse.switch.offload import is_gso, segments
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_F_DATA_VALID,
    VIRTIO_NET_HDR_GSO_ECN,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6,
    VIRTIO_NET_HDR_GSO_UDP,
    VIRTIO_NET_HDR_GSO_UDP_L4,
    Offload,
    Packet,
)
from tests.switch.superframes import (
    ETHER,
    OPTIONS,
    OUTER,
    check,
    ipv4,
    ipv6,
    payload_of,
    split,
    superframe,
)


@pytest.mark.parametrize("partial", [True, False])
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("flags", ["A", "FPA", "FPACE", "S"])
def test_tcp_over_ipv4(outer: str, partial: bool, flags: str) -> None:
    payload = payload_of(3500)

    def build(number: int, part: bytes, part_flags: str) -> Any:
        sequence = 0xFFFFFE00 + number * 1000 & 0xFFFFFFFF
        tcp = TCP(sport=1, dport=2, seq=sequence, ack=9, flags=part_flags, options=OPTIONS)
        return OUTER[outer] / ipv4(0xFFFE + number, flags="DF", tos=2) / tcp / part

    gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | (VIRTIO_NET_HDR_GSO_ECN if "C" in flags else 0)
    whole = build(0, payload, flags)
    packet = superframe(whole, 6, payload, Offload(0, gso_type, 0, 1000, 0, 0), partial)
    parts = split(payload, 1000)
    first, middle, last = (
        "".join(flag for flag in flags if flag not in dropped) for dropped in ("FP", "FPC", "C")
    )
    kept = [first, *[middle] * (len(parts) - 2), last]
    check(packet, [build(n, part, kept[n]) for n, part in enumerate(parts)])


@settings(max_examples=40)
@given(st.integers(1, 5000), st.integers(8, 1500), st.booleans(), st.sampled_from(sorted(OUTER)))
def test_tcp_over_ipv6(size: int, gso_size: int, partial: bool, outer: str) -> None:
    payload = payload_of(size)
    extensions = (IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt())

    def build(number: int, part: bytes) -> Any:
        tcp = TCP(sport=1, dport=2, seq=number * gso_size, flags="A")
        return OUTER[outer] / ipv6(*extensions) / tcp / part

    offload = Offload(0, VIRTIO_NET_HDR_GSO_TCPV6, 0, gso_size, 0, 0)
    packet = superframe(build(0, payload), 6, payload, offload, partial)
    check(packet, [build(n, part) for n, part in enumerate(split(payload, gso_size))])


@settings(max_examples=40)
@given(st.integers(1, 5000), st.integers(100, 1500), st.booleans(), st.sampled_from(sorted(OUTER)))
def test_udp_segments(size: int, gso_size: int, is_ipv6: bool, outer: str) -> None:
    payload = payload_of(size)

    def build(number: int, part: bytes) -> Any:
        ip = ipv6() if is_ipv6 else ipv4(100 + number)
        return OUTER[outer] / ip / UDP(sport=4001, dport=4003) / part

    offload = Offload(0, VIRTIO_NET_HDR_GSO_UDP_L4, 0, gso_size, 0, 0)
    packet = superframe(build(0, payload), 17, payload, offload, True)
    check(packet, [build(n, part) for n, part in enumerate(split(payload, gso_size))])


def test_udp_checksums_of_zero_are_ffff() -> None:
    """Each segment's payload is made so that the sum is 0."""
    empty: Any = UDP(bytes(ETHER / ipv4() / UDP(sport=4001, dport=4003) / bytes(8))[34:])
    part = int(empty.chksum).to_bytes(2, "big") + bytes(6)
    frame = ETHER / ipv4() / UDP(sport=4001, dport=4003) / (part * 2)
    packet = superframe(
        frame, 17, part * 2, Offload(0, VIRTIO_NET_HDR_GSO_UDP_L4, 0, 8, 0, 0), True
    )
    for piece in segments(packet):
        assert piece.frame[40:42] == b"\xff\xff"


@pytest.mark.parametrize("partial", [True, False])
@pytest.mark.parametrize("outer", ["ethernet", "vlan", "mpls"])
def test_udp_over_ipv4_in_fragments(outer: str, partial: bool) -> None:
    payload = payload_of(3000)
    udp = UDP(sport=4001, dport=4003)
    whole: Any = OUTER[outer] / ipv4(55) / udp / payload
    offload = Offload(0, VIRTIO_NET_HDR_GSO_UDP, 0, 1480, 0, 0)
    packet = superframe(whole, 17, payload, offload, partial)
    datagram = bytes(Ether(bytes(whole))[UDP])
    parts = split(datagram, 1480)
    pieces = check(
        packet,
        [
            OUTER[outer]
            / ipv4(55, proto=17, frag=185 * n, flags="MF" if n < len(parts) - 1 else 0)
            / part
            for n, part in enumerate(parts)
        ],
    )
    if outer != "mpls":
        assert [IP_FRAG.get(piece.key) for piece in pieces] == [1, 2, 2]


EXTENSIONS: dict[str, tuple[list[Any], list[Any]]] = {
    "none": ([], []),
    "hop by hop": ([IPv6ExtHdrHopByHop()], []),
    "routing": (
        [IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting(addresses=["2001:db8::2"], segleft=0)],
        [IPv6ExtHdrDestOpt()],
    ),
}
"""Extension headers that every fragment has, and those that only the first one has."""


@pytest.mark.parametrize("extensions", EXTENSIONS)
def test_udp_over_ipv6_in_fragments(extensions: str) -> None:
    every, first = EXTENSIONS[extensions]
    payload = payload_of(3000)
    whole: Any = ETHER / ipv6(*every, *first) / UDP(sport=4001, dport=4003) / payload
    offload = Offload(0, VIRTIO_NET_HDR_GSO_UDP, 0, 1448, 0, 0)
    packet = superframe(whole, 17, payload, offload, True)
    pieces = segments(packet)
    dissected: list[Any] = [Ether(piece.frame) for piece in pieces]
    identification = dissected[0][IPv6ExtHdrFragment].id
    assert identification
    follows = 60 if first else 17
    content = bytes(whole)[14 + len(bytes(ipv6(*every))) :]
    parts = split(content, 1448)
    for number, (piece, part) in enumerate(zip(pieces, parts, strict=True)):
        header = IPv6ExtHdrFragment(
            id=identification, nh=follows, offset=181 * number, m=int(number < len(parts) - 1)
        )
        assert piece.frame.hex() == bytes(ETHER / ipv6(*every) / header / part).hex()


@pytest.mark.parametrize("network", ["ipv4", "ipv6"])
def test_without_ethernet(network: str) -> None:
    payload = payload_of(2500)
    ip = ipv4() if network == "ipv4" else ipv6()
    gso_type = VIRTIO_NET_HDR_GSO_TCPV4 if network == "ipv4" else VIRTIO_NET_HDR_GSO_TCPV6
    whole = ETHER / ip / TCP(sport=1, dport=2, flags="A") / payload
    packet = superframe(whole, 6, payload, Offload(0, gso_type, 0, 1000, 0, 0), True)
    expected = [piece.frame[14:] for piece in segments(packet)]
    eth_type = int.from_bytes(packet.frame[12:14], "big")
    packet.pull(0, 14)
    assert extract(packet, ETH_TYPE.place(eth_type))
    assert [piece.frame for piece in segments(packet)] == expected
    packet.key, packet.link = 0, (eth_type, False)
    assert [piece.frame for piece in segments(packet)] == expected


@pytest.mark.parametrize("size", [1, 999, 1000])
def test_what_fits_one_segment_gets_its_checksum(size: int) -> None:
    payload = payload_of(size)
    whole = ETHER / ipv4() / TCP(sport=1, dport=2) / payload
    offload = Offload(0, VIRTIO_NET_HDR_GSO_TCPV4, 54, 1000, 0, 0)
    packet = superframe(whole, 6, payload, offload, True)
    check(packet, [whole])


def test_what_lacks_nothing_is_copied() -> None:
    packet = Packet.of(bytes(60), Offload(VIRTIO_NET_HDR_F_DATA_VALID, 0, 1, 2, 3, 4))
    (piece,) = segments(packet)
    assert piece.frame == bytes(60)
    assert not any(piece.offload)
    assert not is_gso(packet)


def test_segments_can_be_changed_one_by_one() -> None:
    payload = payload_of(3000)
    whole = ETHER / ipv4() / TCP(sport=1, dport=2, flags="A") / payload
    offload = Offload(0, VIRTIO_NET_HDR_GSO_TCPV4, 0, 1000, 0, 0)
    packet = superframe(whole, 6, payload, offload, True)
    assert is_gso(packet)
    pieces = segments(packet)
    frames = [piece.frame for piece in pieces]
    for number, piece in enumerate(pieces):
        piece.push(12, TAG_BYTES)
        frames[number] = frames[number][:12] + TAG_BYTES + frames[number][12:]
        assert [other.frame for other in pieces] == frames


TAG_BYTES = b"\x81\x00\x00\x07"
