"""Frames as bytes, built by hand so that any field can be wrong."""

from __future__ import annotations

import struct

from tests.oracle.keys import (
    ETH_A,
    ETH_B,
    GRE,
    ICMP,
    ICMPV6,
    IP6_A,
    IP6_B,
    IP_A,
    IP_B,
    P_8021AD,
    P_8021Q,
    P_ARP,
    P_IP,
    P_IPV6,
    P_MPLS,
    P_NSH,
    P_RARP,
    SCTP,
    TCP,
    UDP,
)
from tests.oracle.messages import be16, be32

PAYLOAD = bytes(range(64, 96))
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION, NO_NEXT = 0, 43, 44, 60, 59


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) & 1)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(
    payload: bytes, kind: int = P_IP, source: bytes = ETH_A, target: bytes = ETH_B
) -> bytes:
    return target + source + be16(kind) + payload


def tag(payload: bytes, kind: int = P_IP, tci: int = 5) -> bytes:
    """What follows the EtherType of a VLAN tag."""
    return be16(tci, kind) + payload


def ipv4(
    payload: bytes,
    protocol: int = UDP,
    *,
    source: bytes = IP_A,
    target: bytes = IP_B,
    tos: int = 0,
    ttl: int = 64,
    fragment: int = 0,
    options: bytes = b"",
    version: int = 4,
    header_length: int | None = None,
    total: int | None = None,
) -> bytes:
    """fragment: flags and offset as the header has them. options: a multiple of 4 bytes."""
    words = 5 + len(options) // 4 if header_length is None else header_length
    length = 20 + len(options) + len(payload) if total is None else total
    first = bytes([version << 4 | words, tos]) + be16(length, 0x1234, fragment)
    first += bytes([ttl, protocol])
    tail = source + target + options
    return first + be16(checksum(first + b"\0\0" + tail)) + tail + payload


def ipv6(
    payload: bytes,
    protocol: int = UDP,
    *,
    source: bytes = IP6_A,
    target: bytes = IP6_B,
    tclass: int = 0,
    label: int = 0,
    hlimit: int = 64,
    version: int = 6,
    length: int | None = None,
) -> bytes:
    told = len(payload) if length is None else length
    word = version << 28 | tclass << 20 | label
    return be32(word) + be16(told) + bytes([protocol, hlimit]) + source + target + payload


def extension(following: int, payload: bytes, size: int = 8) -> bytes:
    """A hop-by-hop, routing or destination header of `size` bytes."""
    return bytes([following, size // 8 - 1, 1, size - 4]) + bytes(size - 4) + payload


def fragment_header(following: int, payload: bytes, offset: int, more: bool) -> bytes:
    return bytes([following, 0]) + be16(offset << 3 | more) + be32(77) + payload


def _pseudo(source: bytes, target: bytes, protocol: int, length: int) -> bytes:
    if len(source) == 4:
        return source + target + bytes([0, protocol]) + be16(length)
    return source + target + be32(length) + bytes([0, 0, 0, protocol])


def udp(
    payload: bytes = PAYLOAD,
    *,
    between: tuple[bytes, bytes] = (IP_A, IP_B),
    ports: tuple[int, int] = (1000, 2000),
    summed: bool = True,
) -> bytes:
    length = 8 + len(payload)
    header = be16(*ports, length, 0)
    value = checksum(_pseudo(*between, UDP, length) + header + payload) or 0xFFFF
    return header[:6] + be16(value if summed else 0) + payload


def tcp(
    payload: bytes = PAYLOAD,
    *,
    between: tuple[bytes, bytes] = (IP_A, IP_B),
    ports: tuple[int, int] = (1000, 2000),
    flags: int = 0x18,
    words: int = 5,
) -> bytes:
    header = be16(*ports) + be32(1, 2) + be16(words << 12 | flags, 1024, 0, 0)
    value = checksum(_pseudo(*between, TCP, len(header) + len(payload)) + header + payload)
    return header[:16] + be16(value) + header[18:] + payload


def crc32c(data: bytes) -> int:
    """RFC 9260, appendix A."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def sctp(payload: bytes = PAYLOAD, ports: tuple[int, int] = (1000, 2000)) -> bytes:
    header = be16(*ports) + be32(99)
    return header + struct.pack("<I", crc32c(header + bytes(4) + payload)) + payload


def icmp(kind: int = 8, code: int = 0, payload: bytes = PAYLOAD) -> bytes:
    body = bytes([kind, code, 0, 0, 0, 1, 0, 2]) + payload
    return body[:2] + be16(checksum(body)) + body[4:]


def icmp6(
    kind: int = 128,
    code: int = 0,
    payload: bytes = PAYLOAD,
    between: tuple[bytes, bytes] = (IP6_A, IP6_B),
) -> bytes:
    body = bytes([kind, code, 0, 0, 0, 0, 0, 0]) + payload
    return body[:2] + be16(checksum(_pseudo(*between, ICMPV6, len(body)) + body)) + body[4:]


def arp(operation: int = 1, kind: int = 1) -> bytes:
    return be16(kind, P_IP) + b"\6\4" + be16(operation) + ETH_A + IP_A + ETH_B + IP_B


def nsh(payload: bytes, following: int = 1, kind: int = 1) -> bytes:
    """kind: the MD type; 1 has 16 bytes of context."""
    context = bytes(range(16)) if kind == 1 else bytes.fromhex("0001020400112233")
    words = (8 + len(context)) // 4
    return (
        be16(0x0FC0 | words) + bytes([kind, following]) + be32(0x123 << 8 | 255) + context + payload
    )


def lse(label: int = 100, bottom: bool = True, ttl: int = 64, tc: int = 0) -> bytes:
    """One MPLS label stack entry."""
    return be32(label << 12 | tc << 9 | bottom << 8 | ttl)


IN6 = (IP6_A, IP6_B)
UDP4 = ethernet(ipv4(udp()))
TCP4 = ethernet(ipv4(tcp(), TCP))
UDP6 = ethernet(ipv6(udp(between=IN6)), P_IPV6)
TCP6 = ethernet(ipv6(tcp(between=IN6), TCP), P_IPV6)
_SOLICIT = IP6_A + b"\1\1" + ETH_A

GOOD: dict[str, bytes] = {
    "UDP": UDP4,
    "UDP without a checksum": ethernet(ipv4(udp(summed=False))),
    "TCP": TCP4,
    "TCP SYN with options": ethernet(ipv4(tcp(bytes(8) + PAYLOAD, flags=2, words=7), TCP)),
    "SCTP": ethernet(ipv4(sctp(), SCTP)),
    "ICMP": ethernet(ipv4(icmp(), ICMP)),
    "GRE": ethernet(ipv4(PAYLOAD, GRE)),
    "IPv4 options": ethernet(ipv4(udp(), options=b"\1" * 8)),
    "IPv4 tos, ttl": ethernet(ipv4(udp(), tos=0xB9, ttl=1)),
    "first fragment": ethernet(ipv4(udp(), fragment=0x2000)),
    "later fragment": ethernet(ipv4(PAYLOAD, fragment=0x0010)),
    "last of a datagram": ethernet(ipv4(PAYLOAD, fragment=0x2010)),
    "do not fragment": ethernet(ipv4(udp(), fragment=0x4000)),
    "padded": ethernet(ipv4(udp(b"x"))) + bytes(17),
    "UDP over IPv6": UDP6,
    "TCP over IPv6": TCP6,
    "SCTP over IPv6": ethernet(ipv6(sctp(), SCTP), P_IPV6),
    "ICMPv6": ethernet(ipv6(icmp6(), ICMPV6), P_IPV6),
    "neighbour solicitation": ethernet(ipv6(icmp6(135, payload=_SOLICIT), ICMPV6), P_IPV6),
    "neighbour advertisement": ethernet(
        ipv6(icmp6(136, payload=IP6_A + b"\2\1" + ETH_B), ICMPV6), P_IPV6
    ),
    "IPv6 class, label": ethernet(
        ipv6(udp(between=IN6), tclass=0xB9, label=0x12345, hlimit=1), P_IPV6
    ),
    "IPv6 hop by hop": ethernet(ipv6(extension(UDP, udp(between=IN6)), HOP_BY_HOP), P_IPV6),
    "IPv6 routing": ethernet(ipv6(extension(UDP, udp(between=IN6), 24), ROUTING), P_IPV6),
    "IPv6 three headers": ethernet(
        ipv6(
            extension(ROUTING, extension(DESTINATION, extension(UDP, udp(between=IN6)))),
            HOP_BY_HOP,
        ),
        P_IPV6,
    ),
    "IPv6 first fragment": ethernet(
        ipv6(fragment_header(UDP, udp(between=IN6), 0, True), FRAGMENT), P_IPV6
    ),
    "IPv6 later fragment": ethernet(
        ipv6(fragment_header(UDP, PAYLOAD, 10, False), FRAGMENT), P_IPV6
    ),
    "IPv6 whole fragment": ethernet(
        ipv6(fragment_header(UDP, udp(between=IN6), 0, False), FRAGMENT), P_IPV6
    ),
    "IPv6 no next header": ethernet(ipv6(b"", NO_NEXT), P_IPV6),
    "ARP request": ethernet(arp(), P_ARP),
    "ARP reply": ethernet(arp(2), P_ARP),
    "RARP": ethernet(arp(3), P_RARP),
    "VLAN": ethernet(tag(ipv4(udp())), P_8021Q),
    "VLAN, priority": ethernet(tag(ipv4(tcp(), TCP), tci=0x6005), P_8021Q),
    "VLAN, CFI": ethernet(tag(ipv4(udp()), tci=0x1005), P_8021Q),
    "VLAN 0": ethernet(tag(ipv4(udp()), tci=0), P_8021Q),
    "two VLANs": ethernet(tag(tag(ipv4(udp()), tci=6), P_8021Q, 7), P_8021AD),
    "two 802.1Q": ethernet(tag(tag(ipv4(udp()), tci=6), P_8021Q, 7), P_8021Q),
    "three VLANs": ethernet(tag(tag(tag(ipv4(udp())), P_8021Q), P_8021Q), P_8021AD),
    "VLAN and ARP": ethernet(tag(arp(), P_ARP), P_8021Q),
    "VLAN and IPv6": ethernet(tag(ipv6(udp(between=IN6)), P_IPV6), P_8021Q),
    "MPLS": ethernet(lse() + ipv4(udp()), P_MPLS),
    "MPLS, two labels": ethernet(lse(200, False) + lse(ttl=9) + ipv4(udp()), P_MPLS),
    "MPLS, four labels": ethernet(
        lse(1, False) + lse(2, False) + lse(3, False) + lse() + ipv4(udp()), P_MPLS
    ),
    "MPLS over IPv6": ethernet(lse() + ipv6(udp(between=IN6)), P_MPLS),
    "NSH": ethernet(nsh(ipv4(udp())), P_NSH),
    "NSH of an Ethernet frame": ethernet(nsh(UDP4, 3), P_NSH),
    "NSH, MD type 2": ethernet(nsh(ipv4(udp()), kind=2), P_NSH),
    "LLC": ETH_B + ETH_A + be16(40) + b"\x42\x42\x03" + bytes(37),
    "SNAP": ETH_B + ETH_A + be16(60) + bytes.fromhex("aaaa03000000") + be16(P_IP) + ipv4(udp()),
    "an unknown type": ethernet(PAYLOAD, 0x1234),
    "an empty frame": ethernet(b"", 0x1234),
    "broadcast": ethernet(arp(), P_ARP, target=b"\xff" * 6),
    "large": ethernet(ipv4(udp(bytes(range(250)) * 5))),
}
"""Frames that are as they should be."""


def _cut(name: str, size: int) -> tuple[str, bytes]:
    return f"{name} cut at {size}", GOOD[name][:size]


BAD: dict[str, bytes] = {
    **dict(
        _cut(name, size)
        for name, sizes in {
            "UDP": (14, 15, 33, 34, 37, 41),
            "TCP": (34, 38, 46, 53),
            "TCP SYN with options": (54, 58),
            "SCTP": (34, 40, 45),
            "ICMP": (34, 35, 38, 41),
            "IPv4 options": (34, 38, 42, 45),
            "UDP over IPv6": (14, 30, 53, 54, 58),
            "TCP over IPv6": (54, 70),
            "ICMPv6": (54, 57, 61),
            "neighbour solicitation": (60, 62, 70, 77, 78, 80, 85),
            "IPv6 hop by hop": (54, 58, 62, 66),
            "IPv6 first fragment": (56, 62, 66),
            "ARP request": (14, 20, 41),
            "VLAN": (14, 15, 16, 17, 18, 30),
            "two VLANs": (16, 18, 20, 22),
            "MPLS": (14, 16, 18, 22),
            "MPLS, two labels": (18, 20, 22),
            "NSH": (14, 16, 20, 22, 30, 37, 38),
            "LLC": (16, 17, 20),
            "SNAP": (17, 20, 21, 22),
        }.items()
        for size in sizes
    ),
    "IP version 5": ethernet(ipv4(udp(), version=5)),
    "IPv4 header of 16 bytes": ethernet(ipv4(udp(), header_length=4)),
    "IPv4 header beyond the frame": ethernet(ipv4(b"", header_length=15)),
    "IPv4 total length too long": ethernet(ipv4(udp(), total=500)),
    "IPv4 total length too short": ethernet(ipv4(udp(), total=22)),
    "IPv4 total length 0": ethernet(ipv4(udp(), total=0)),
    "IPv6 version 4": ethernet(ipv6(udp(between=IN6), version=4), P_IPV6),
    "IPv6 too long": ethernet(ipv6(udp(between=IN6), length=500), P_IPV6),
    "IPv6 too short": ethernet(ipv6(udp(between=IN6), length=4), P_IPV6),
    "IPv6 length 0": ethernet(ipv6(udp(between=IN6), length=0), P_IPV6),
    "IPv6 extension beyond": ethernet(ipv6(extension(UDP, b"", 8)[:8], ROUTING, length=8), P_IPV6),
    "IPv6 fragment in fragment": ethernet(
        ipv6(
            fragment_header(FRAGMENT, fragment_header(UDP, udp(between=IN6), 0, True), 0, True),
            FRAGMENT,
        ),
        P_IPV6,
    ),
    "TCP header of 16 bytes": ethernet(ipv4(tcp(words=4), TCP)),
    "TCP header beyond the frame": ethernet(ipv4(tcp(b"", words=15), TCP)),
    "ND with a bad option": ethernet(
        ipv6(icmp6(135, payload=IP6_A + b"\1\0" + ETH_A), ICMPV6), P_IPV6
    ),
    "ND with two of an option": ethernet(
        ipv6(icmp6(135, payload=_SOLICIT + b"\1\1" + ETH_B), ICMPV6), P_IPV6
    ),
    "ND with a large option": ethernet(
        ipv6(icmp6(135, payload=IP6_A + b"\1\5" + ETH_A), ICMPV6), P_IPV6
    ),
    "ND with code 1": ethernet(ipv6(icmp6(135, 1, payload=_SOLICIT), ICMPV6), P_IPV6),
    "ARP of another hardware": ethernet(arp(kind=6), P_ARP),
    "ARP operation 300": ethernet(arp(300), P_ARP),
    "MPLS without a bottom": ethernet(lse(1, False) * 5, P_MPLS),
    "NSH, version 1": ethernet(b"\x4f" + nsh(ipv4(udp()))[1:], P_NSH),
    "NSH, too short a length": ethernet(nsh(b"")[:1] + b"\xc1" + nsh(b"")[2:], P_NSH),
    "LLC without its length": ETH_B + ETH_A + be16(3),
}
"""Frames that a client might also send."""
