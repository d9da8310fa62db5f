"""Transport checksums that follow a change of addresses, incrementally (RFC 1624).

So a checksum that was wrong stays as wrong as it was. What changes is given as big-endian numbers,
old and new, whose fields lie at even offsets (see checksum.py).
"""

from __future__ import annotations

from typing import Final

from ovsdp_cuse.switch.checksum import update, update_partial
from ovsdp_cuse.switch.packet import VIRTIO_NET_HDR_F_NEEDS_CSUM, VNET_HEADER_SIZE, Packet
from ovsdp_cuse.switch.protocols import (
    IPPROTO_ICMPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    TCP_SIZE,
    UDP_SIZE,
)

TCP_CHECKSUM: Final = 16
UDP_CHECKSUM: Final = 6
"""Offsets in the headers; 0 there means for UDP that there is no checksum (RFC 768)."""
_ICMPV6_CHECKSUM = 2
_ICMPV6_SIZE = 8

_OF_IPV4 = {IPPROTO_TCP: (TCP_SIZE, TCP_CHECKSUM), IPPROTO_UDP: (UDP_SIZE, UDP_CHECKSUM)}
"""Protocols whose checksum covers the addresses: size of the header, offset of the checksum."""
_OF_IPV6 = {**_OF_IPV4, IPPROTO_ICMPV6: (_ICMPV6_SIZE, _ICMPV6_CHECKSUM)}


def needs_checksum(packet: Packet) -> bool:
    """Whether a checksum field holds only the sum of the pseudo-header (CHECKSUM_PARTIAL)."""
    flags = packet.buffer[packet.start - VNET_HEADER_SIZE]
    return bool(flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)


def transport(packet: Packet) -> int:
    """Where the transport header is, from the frame's beginning.

    Linux sets it to the network header where that is malformed.
    """
    return packet.transport if packet.transport >= 0 else packet.network


def follow_ipv4(packet: Packet, protocol: int, old: int, new: int) -> None:
    """Let the transport checksum follow a change of the addresses; the packet is writable."""
    _follow(packet, _OF_IPV4.get(protocol), protocol, old, new)


def follow_ipv6(packet: Packet, protocol: int, old: int, new: int) -> None:
    """The same for IPv6, where ICMP has a pseudo-header too."""
    _follow(packet, _OF_IPV6.get(protocol), protocol, old, new)


def _follow(
    packet: Packet, place: tuple[int, int] | None, protocol: int, old: int, new: int
) -> None:
    if place is None:
        return
    needed, offset = place
    header = transport(packet)
    if packet.end - packet.start - header < needed:
        return
    buffer, at = packet.buffer, packet.start + header + offset
    check = buffer[at] << 8 | buffer[at + 1]
    if needs_checksum(packet):
        check = update_partial(check, old, new)
    elif protocol != IPPROTO_UDP:
        check = update(check, old, new)
    elif check:
        check = update(check, old, new) or 0xFFFF
    else:
        return
    buffer[at : at + 2] = check.to_bytes(2, "big")
