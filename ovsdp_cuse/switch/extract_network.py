"""The parts of extraction for IPv4, ARP, MPLS and NSH: key_extract_l3l4() of flow.c.

Each function gets the packet and a header's place in its buffer, reads nothing beyond the packet's
end, and returns the header's part of the key.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from ovsdp_cuse.switch.key import (
    ARP_SHA,
    IP_PROTO,
    MPLS_LABEL_BITS,
    MPLS_LSES,
    NSH_CONTEXT,
    NSH_FLAGS,
    TCP_FLAGS,
)
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_GSO_ECN,
    VIRTIO_NET_HDR_GSO_UDP,
    VNET_HEADER_SIZE,
    Packet,
)
from ovsdp_cuse.switch.protocols import (
    ETH_P_IP,
    IPPROTO_ICMP,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV4_SIZE,
    MPLS_BOTTOM_OF_STACK,
    MPLS_SIZE,
    OVS_FRAG_TYPE_FIRST,
    OVS_FRAG_TYPE_LATER,
    OVS_FRAG_TYPE_NONE,
    SCTP_SIZE,
    TCP_SIZE,
    UDP_SIZE,
)

Ports = tuple[int, int, int]
"""Source and destination port (or ICMP type and code), TCP flags: the key's tp_* fields."""
NO_PORTS: Final[Ports] = (0, 0, 0)

_IPV4 = struct.Struct(">BB4xHBB2x8s")
_IPV4_PART = struct.Struct("<BBBB8sHHH")
"""The key from IP_PROTO to TCP_FLAGS."""
assert 8 * _IPV4_PART.size == TCP_FLAGS.shift + 8 * TCP_FLAGS.size - IP_PROTO.shift

_TCP = struct.Struct(">HH8xH")
_PORTS = struct.Struct(">HH")
_ARP = struct.Struct(">HHBBH6s4s6s4s")
_ARP_OF_IPV4 = (1, ETH_P_IP, 6, 4)
"""ARPHRD_ETHER, IPv4, and the lengths of their addresses."""
_LSE = struct.Struct(">I")
_NSH = struct.Struct(">HBBI")
_NSH_PART = struct.Struct("<BBBBI")
assert 8 * _NSH_PART.size == NSH_CONTEXT.shift - NSH_FLAGS.shift

NSH_MD_TYPE_1 = 1
NSH_MD_TYPE_2 = 2
_NSH_MD_1_SIZE = 24


def is_udp_fragmented(packet: Packet) -> bool:
    """Whether the packet will leave as IP fragments (VIRTIO_NET_HDR_GSO_UDP): it is their first."""
    gso_type = packet.buffer[packet.start - VNET_HEADER_SIZE + 1]
    return gso_type & ~VIRTIO_NET_HDR_GSO_ECN == VIRTIO_NET_HDR_GSO_UDP


def extract_ipv4(packet: Packet, at: int) -> int:
    """IPv4 and what it carries; zeros for a header that is cut off. Its version does not matter."""
    buffer, end = packet.buffer, packet.end
    if end - at < IPV4_SIZE:
        return 0
    version, tos, fragment, ttl, proto, addresses = _IPV4.unpack_from(buffer, at)
    length = 4 * (version & 0xF)
    if length < IPV4_SIZE or end - at < length:
        return 0
    at += length
    packet.transport = at - packet.start
    if fragment & 0x1FFF:
        ports, fragment = NO_PORTS, OVS_FRAG_TYPE_LATER
    else:
        read = _PROTOCOLS.get(proto)
        ports = read(packet, at) if read is not None else NO_PORTS
        first = fragment & 0x2000 or is_udp_fragmented(packet)
        fragment = OVS_FRAG_TYPE_FIRST if first else OVS_FRAG_TYPE_NONE
    part = _IPV4_PART.pack(proto, tos, ttl, fragment, addresses, *ports)
    return int.from_bytes(part, "little") << IP_PROTO.shift


def read_tcp(packet: Packet, at: int) -> Ports:
    """Ports and flags; zeros for a header that is cut off, or claims to be."""
    size = packet.end - at
    if size < TCP_SIZE:
        return NO_PORTS
    source, destination, flags = _TCP.unpack_from(packet.buffer, at)
    length = flags >> 12 << 2
    if length < TCP_SIZE or size < length:
        return NO_PORTS
    return source, destination, flags & 0xFFF


def read_udp(packet: Packet, at: int) -> Ports:
    """Ports; zeros for a header that is cut off."""
    if packet.end - at < UDP_SIZE:
        return NO_PORTS
    return *_PORTS.unpack_from(packet.buffer, at), 0


def read_sctp(packet: Packet, at: int) -> Ports:
    """Ports; zeros for a header that is cut off."""
    if packet.end - at < SCTP_SIZE:
        return NO_PORTS
    return *_PORTS.unpack_from(packet.buffer, at), 0


def read_icmp(packet: Packet, at: int) -> Ports:
    """Type and code of ICMP or ICMPv6; zeros for a header that is cut off."""
    if packet.end - at < 8:
        return NO_PORTS
    return packet.buffer[at], packet.buffer[at + 1], 0


_PROTOCOLS: Final[dict[int, Callable[[Packet, int], Ports]]] = {
    IPPROTO_TCP: read_tcp,
    IPPROTO_UDP: read_udp,
    IPPROTO_SCTP: read_sctp,
    IPPROTO_ICMP: read_icmp,
}


def extract_arp(packet: Packet, at: int) -> int:
    """ARP or RARP of IPv4 on Ethernet; zeros for others. Operations above 255 are 0."""
    if packet.end - at < _ARP.size:
        return 0
    *kind, operation, sha, sip, tha, tip = _ARP.unpack_from(packet.buffer, at)
    if tuple(kind) != _ARP_OF_IPV4:
        return 0
    proto = operation if operation <= 0xFF else 0
    part = _IPV4_PART.pack(proto, 0, 0, 0, sip + tip, *NO_PORTS)
    return (
        int.from_bytes(part, "little") << IP_PROTO.shift
        | int.from_bytes(sha + tha, "little") << ARP_SHA.shift
    )


def extract_mpls(packet: Packet, at: int) -> int:
    """The outermost label stack entries; without MPLS_LABEL_BITS where the bottom is not there.

    packet.transport: where the labels end.
    """
    buffer, end = packet.buffer, packet.end
    part = count = bits = 0
    while end - at >= MPLS_SIZE:
        (lse,) = _LSE.unpack_from(buffer, at)
        if count < len(MPLS_LSES):
            part |= MPLS_LSES[count].place(lse)
        count += 1
        at += MPLS_SIZE
        if lse & MPLS_BOTTOM_OF_STACK:
            bits = (1 << min(count, len(MPLS_LSES))) - 1
            break
    packet.transport = at - packet.start
    return part | MPLS_LABEL_BITS.place(bits)


def extract_nsh(packet: Packet, at: int) -> int | None:
    """The Network Service Header (RFC 8300); None for one that is cut off or not understood."""
    size = packet.end - at
    if size < _NSH.size:
        return None
    word, md_type, next_protocol, path = _NSH.unpack_from(packet.buffer, at)
    length = 4 * (word & 0x3F)
    if word >> 14 or size < length:
        return None
    if md_type == NSH_MD_TYPE_1:
        if length != _NSH_MD_1_SIZE:
            return None
        context = bytes(packet.buffer[at + _NSH.size : at + length])
    elif md_type == NSH_MD_TYPE_2:
        context = bytes(NSH_CONTEXT.size)
    else:
        return None
    part = _NSH_PART.pack(word >> 12 & 3, word >> 6 & 0x3F, md_type, next_protocol, path)
    return int.from_bytes(part + context, "little") << NSH_FLAGS.shift
