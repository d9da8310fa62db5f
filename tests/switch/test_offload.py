"""Checksums in software are those that scapy builds, and claims are checked."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.layers.sctp import SCTP, SCTPChunkData

from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import ETH_TYPE
from ovsdp_cuse.switch.offload import OffloadError, complete_checksum, is_gso, segments, validate
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_NONE,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6,
    VIRTIO_NET_HDR_GSO_UDP,
    VIRTIO_NET_HDR_GSO_UDP_L4,
    Offload,
    Packet,
)
from tests.frames import load
from tests.switch.superframes import CHECKSUMS, ETHER, ETHERNET, TAG, fold, ipv4, ipv6

PARTIAL: dict[str, Any] = {
    "tcp": ETHER / ipv4() / TCP(sport=1, dport=2) / b"payload",
    "tcp in vlan": ETHER / TAG / ipv4() / TCP(sport=1, dport=2) / b"odd",
    "udp": ETHER / ipv6() / UDP(sport=4001, dport=4003) / b"payload",
    "icmp": ETHER / ipv4() / ICMP() / b"payload",
    "icmpv6": ETHER / ipv6() / ICMPv6EchoRequest(data=b"payload"),
    "sctp": ETHER / ipv4() / SCTP(sport=1, dport=2) / SCTPChunkData(data=b"payload"),
}


@pytest.mark.parametrize("name", PARTIAL)
def test_complete_checksum(name: str) -> None:
    """The pseudo-header's sum that the sender left is found from the right checksum backwards."""
    right = bytes(PARTIAL[name])
    packet = Packet.of(right)
    assert extract(packet, ETHERNET)
    start = packet.transport
    place = CHECKSUMS[
        {"tcp in vlan": 6, "tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132}[name]
    ]
    data = bytearray(right)
    at = start + place
    if name == "sctp":
        data[at : at + 4] = b"junk"
    else:
        data[at : at + 2] = bytes(2)
        rest = data[start:] + bytes(len(data[start:]) % 2)
        covered = fold(sum(struct.unpack(f">{len(rest) // 2}H", rest)))
        check_ = int.from_bytes(right[at : at + 2], "big")
        data[at : at + 2] = ((0xFFFF - check_ - covered) % 0xFFFF).to_bytes(2, "big")
    offload = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, start, place)
    key = packet.key
    packet = Packet.of(bytes(data), offload)
    packet.key, packet.owned = key, False
    shared = packet.clone()
    complete_checksum(packet)
    assert packet.frame == right
    assert not packet.has_offload
    assert (shared.frame, shared.offload) == (bytes(data), offload)


def test_a_completed_checksum_of_zero_is_ffff() -> None:
    offload = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, 10, 0)
    packet = Packet.of(bytes(10) + b"\0\1\xff\xfe", offload)
    complete_checksum(packet)
    assert packet.frame[10:12] == b"\xff\xff"


def test_a_frame_that_lacks_nothing_is_not_touched() -> None:
    packet = Packet.of(bytes(20))
    packet.owned = False
    complete_checksum(packet)
    assert not packet.owned


@pytest.mark.parametrize(
    ("start", "place", "good"),
    [
        (11, 8, False),
        (10, 8, True),
        (16, 2, True),
        (17, 2, False),
        (18, 0, True),
        (0xFFFF, 0xFFFF, False),
    ],
)
def test_a_checksum_beyond_the_frame_is_refused(start: int, place: int, good: bool) -> None:
    packet = Packet.of(bytes(20), Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, start, place))
    assert packet.has_offload
    for action in (validate, complete_checksum, segments):
        clone = packet.clone()
        if good:
            action(clone)
        else:
            with pytest.raises(OffloadError, match="beyond"):
                action(clone)


TCP_FRAME = bytes(ETHER / ipv4() / TCP(sport=1, dport=2) / bytes(100))
TCP_OFFLOAD = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 50, 34, 16)
UDP_FRAME = bytes(ETHER / ipv4() / UDP(sport=4001, dport=4003) / bytes(100))
UDP_OFFLOAD = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP_L4, 42, 50, 34, 6)


@pytest.mark.parametrize(
    ("frame", "offload", "text"),
    [
        (TCP_FRAME, TCP_OFFLOAD._replace(gso_type=2), "unknown"),
        (TCP_FRAME, TCP_OFFLOAD._replace(gso_type=0x7F), "unknown"),
        (TCP_FRAME, TCP_OFFLOAD._replace(gso_type=VIRTIO_NET_HDR_GSO_TCPV6), "not what"),
        (TCP_FRAME, TCP_OFFLOAD._replace(gso_type=VIRTIO_NET_HDR_GSO_UDP), "not what"),
        (UDP_FRAME, UDP_OFFLOAD._replace(gso_type=VIRTIO_NET_HDR_GSO_TCPV4), "not what"),
        (TCP_FRAME, TCP_OFFLOAD._replace(gso_size=0), "gso_size"),
        (TCP_FRAME, TCP_OFFLOAD._replace(csum_start=35), "csum_start"),
        (TCP_FRAME, TCP_OFFLOAD._replace(csum_offset=6), "csum_offset"),
        (TCP_FRAME[:53], TCP_OFFLOAD, "transport header is cut"),
        (TCP_FRAME[:46] + b"\x40" + TCP_FRAME[47:], TCP_OFFLOAD, "shorter"),
        (TCP_FRAME[:46] + b"\xf0" + TCP_FRAME[47:90], TCP_OFFLOAD, "transport header is cut"),
        (TCP_FRAME[:14] + b"\x44" + TCP_FRAME[15:], TCP_OFFLOAD, "IPv4 header"),
        (TCP_FRAME[:14] + b"\x4f" + TCP_FRAME[15:60], TCP_OFFLOAD, "IPv4 header"),
        (TCP_FRAME[:12] + b"\x08\x06" + TCP_FRAME[14:], TCP_OFFLOAD, "no IP"),
        (TCP_FRAME[:12] + b"\x86\xdd" + TCP_FRAME[14:40], TCP_OFFLOAD, "IPv6 header"),
        (TCP_FRAME[:13], TCP_OFFLOAD, "header is cut off"),
        (UDP_FRAME, UDP_OFFLOAD._replace(flags=0), "left to the sender"),
        (UDP_FRAME, UDP_OFFLOAD._replace(csum_offset=16), "csum_offset"),
        (UDP_FRAME + bytes(200), UDP_OFFLOAD._replace(gso_size=2), "more than"),
        (UDP_FRAME, Offload(0, VIRTIO_NET_HDR_GSO_UDP, 0, 9, 0, 0), "multiple of 8"),
        (UDP_FRAME + bytes(65500), Offload(0, VIRTIO_NET_HDR_GSO_UDP, 0, 8, 0, 0), "longer"),
        (TCP_FRAME + bytes(70000), TCP_OFFLOAD._replace(gso_size=65535), "longer"),
    ],
)
def test_claims_that_do_not_fit_the_frame_are_refused(
    frame: bytes, offload: Offload, text: str
) -> None:
    packet = Packet.of(frame, offload)
    packet.key = ETHERNET
    with pytest.raises(OffloadError, match=text):
        segments(packet)
    with pytest.raises(OffloadError, match=text):
        validate(packet)


def test_a_frame_of_segments_has_no_checksum() -> None:
    with pytest.raises(OffloadError, match="segmented"):
        complete_checksum(Packet.of(TCP_FRAME, TCP_OFFLOAD))


GOLDEN = load()


@settings(max_examples=400)
@given(
    frame=st.binary(max_size=200) | st.sampled_from([golden.frame for golden in GOLDEN]),
    flags=st.integers(0, 3),
    gso_type=st.sampled_from([0, 1, 3, 4, 5, 0x81, 0x84, 2, 0xFF]),
    header_length=st.integers(0, 200),
    gso_size=st.integers(0, 70) | st.integers(0, 0xFFFF),
    csum_start=st.integers(0, 110) | st.integers(0, 0xFFFF),
    csum_offset=st.sampled_from([0, 2, 6, 8, 16, 0xFFFF]),
    size=st.integers(0, 200),
    ethernet=st.booleans(),
)
def test_any_claim_is_met_or_refused(
    frame: bytes,
    flags: int,
    gso_type: int,
    header_length: int,
    gso_size: int,
    csum_start: int,
    csum_offset: int,
    size: int,
    ethernet: bool,
) -> None:
    offload = Offload(flags, gso_type, header_length, gso_size, csum_start, csum_offset)
    packet = Packet.of(frame[:size], offload)
    packet.key = ETHERNET if ethernet else ETH_TYPE.place(int.from_bytes(frame[12:14], "big"))
    try:
        validate(packet)
    except OffloadError:
        with pytest.raises(OffloadError):
            segments(packet)
        return
    pieces = segments(packet)
    assert len(pieces) == 1 or is_gso(packet)
    assert not any(piece.has_offload for piece in pieces)
    if gso_type == VIRTIO_NET_HDR_GSO_NONE:
        assert len(pieces[0]) == len(packet)


@pytest.mark.parametrize("golden", GOLDEN, ids=str)
def test_truncated_anywhere(golden: Any) -> None:
    """No length makes segmentation read what is not there."""
    for gso_type in (1, 3, 4, 5):
        for size in range(len(golden.frame) + 1):
            packet = Packet.of(golden.frame[:size], Offload(0, gso_type, 0, 8, 0, 0))
            packet.key = ETHERNET
            try:
                pieces = segments(packet)
            except OffloadError:
                continue
            assert len(pieces) >= 1


def test_what_is_not_sctp_has_no_crc() -> None:
    """It takes a hundred times as long, and offset 8 is only a claim."""
    packet = Packet.of(bytes(20), Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, 8, 8))
    complete_checksum(packet)
    assert packet.frame == bytes(16) + b"\xff\xff\0\0"


@pytest.mark.parametrize("kind", [VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_UDP])
def test_too_many_segments_are_refused(kind: int) -> None:
    """One frame would stop the switch for as long as thousands."""
    is_tcp = kind == VIRTIO_NET_HDR_GSO_TCPV4
    layers = ipv4() / (TCP(sport=1, dport=2) if is_tcp else UDP(sport=4001, dport=4003))
    frame = bytes(ETHER / layers / bytes(60_000))
    offload = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, kind, 0, 8, 34, 16 if is_tcp else 6)
    packet = Packet.of(frame, offload)
    assert extract(packet, ETHERNET)
    with pytest.raises(OffloadError, match="more than 512"):
        segments(packet)


def test_an_sctp_frame_has_room_for_its_crc_and_is_not_too_long() -> None:
    frame = bytes(ETHER / ipv4(proto=132) / bytes(12))
    for size, text in ((len(frame) - 1, "beyond"), (20_000, "more than")):
        cut = frame[:size].ljust(size, b"\0")
        packet = Packet.of(cut, Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, 34, 8))
        assert extract(packet, ETHERNET)
        with pytest.raises(OffloadError, match=text):
            complete_checksum(packet)
