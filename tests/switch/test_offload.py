"""Offload in software: segments and checksums are those that scapy builds, claims are checked."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData

from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import (
    ETH_TYPE,
    IN_PORT,
    IP_FRAG,
    MAC_PROTO,
    MAC_PROTO_ETHERNET,
)
from ovsdp_cuse.switch.offload import (
    OffloadError,
    complete_checksum,
    is_gso,
    segments,
    validate,
)
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_F_DATA_VALID,
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_ECN,
    VIRTIO_NET_HDR_GSO_NONE,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6,
    VIRTIO_NET_HDR_GSO_UDP,
    VIRTIO_NET_HDR_GSO_UDP_L4,
    Offload,
    Packet,
)
from tests.frames import load

ETHERNET = MAC_PROTO.place(MAC_PROTO_ETHERNET)
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ETHER = Ether(dst=B, src=A)
TAG = Dot1Q(vlan=5, prio=3)
OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (123, 456))]
CHECKSUMS = {6: 16, 17: 6, 132: 8, 1: 2, 58: 2}
"""Where a transport header has its checksum, by protocol."""

OUTER: dict[str, Any] = {
    "ethernet": ETHER,
    "vlan": ETHER / TAG,
    "two tags": ETHER / Dot1AD(vlan=7) / TAG,
    "three tags": ETHER / Dot1AD(vlan=7) / TAG / TAG,
    "mpls": ETHER / TAG / MPLS(label=5, s=0) / MPLS(label=6, s=1),
    "nsh": Ether(dst=A, src=B, type=0x894F)
    / NSH(spi=1, si=2, nextproto=3, context_header=bytes(16))
    / ETHER,
}


def ipv4(identification: int = 0, **fields: Any) -> Any:
    """An IPv4 header."""
    return IP(src="192.0.2.1", dst="198.51.100.2", id=identification & 0xFFFF, **fields)


def ipv6(*extensions: Any) -> Any:
    """An IPv6 header with extension headers."""
    header: Any = IPv6(src="2001:db8::1", dst="2001:db8::2", fl=77)
    for extension in extensions:
        header = header / extension
    return header


def fold(total: int) -> int:
    """One's complement addition with 16 bits."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def transport_of(frame: bytes, protocol: int, payload_size: int) -> int:
    """Where the last transport header of a frame of scapy's begins."""
    layer: Any = Ether(frame)
    kind = {6: TCP, 17: UDP}[protocol]
    return len(frame) - payload_size - (layer[kind].dataofs * 4 if kind is TCP else 8)


def superframe(
    frame: Any, protocol: int, payload: bytes, offload: Offload, partial: bool
) -> Packet:
    """A packet of a frame whose checksum is left to the sender, with the sum of a pseudo-header."""
    data = bytearray(bytes(frame))
    start = transport_of(bytes(data), protocol, len(payload))
    place = CHECKSUMS[protocol]
    length = len(data) - start
    inner: Any = Ether(bytes(data))
    if IPv6 in inner:
        packed = b"".join(bytes.fromhex(_hex(inner[IPv6], name)) for name in ("src", "dst"))
    else:
        packed = bytes(inner[IP])[12:20]
    seed = fold(sum(struct.unpack(f">{len(packed) // 2}H", packed)) + protocol + length)
    if partial:
        data[start + place : start + place + 2] = seed.to_bytes(2, "big")
        offload = offload._replace(
            flags=VIRTIO_NET_HDR_F_NEEDS_CSUM, csum_start=start, csum_offset=place
        )
    packet = Packet.of(bytes(data), offload)
    assert extract(packet, ETHERNET | IN_PORT.place(4))
    return packet


def _hex(ip: Any, name: str) -> str:
    return bytes(IPv6(src=getattr(ip, name), dst="::"))[8:24].hex()


def split(payload: bytes, size: int) -> list[bytes]:
    """A payload in pieces."""
    return [payload[at : at + size] for at in range(0, len(payload), size)]


def check(packet: Packet, expected: list[Any]) -> list[Packet]:
    """Compare a packet's segments with what scapy builds, and that the packet is as before."""
    before, offload = packet.frame, packet.offload
    pieces = segments(packet)
    assert [piece.frame.hex() for piece in pieces] == [bytes(frame).hex() for frame in expected]
    assert not any(piece.has_offload for piece in pieces)
    assert all(IN_PORT.get(piece.key) == 4 for piece in pieces)
    assert (packet.frame, packet.offload) == (before, offload)
    validate(packet)
    return pieces


def payload_of(size: int) -> bytes:
    """Bytes that differ from place to place."""
    return bytes(at * 7 + at // 256 & 0xFF for at in range(size))


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
