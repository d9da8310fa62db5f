"""IPv6: set header fields, decrement the hop limit. A header is taken as one big-endian number."""

from __future__ import annotations

from collections.abc import Callable

from ovsdp_cuse.switch.edits.link import writable
from ovsdp_cuse.switch.edits.sums import follow_ipv6
from ovsdp_cuse.switch.key import IP_PROTO, IP_TOS, IP_TTL, IPV6_DST, IPV6_LABEL, IPV6_SRC
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import (
    IPPROTO_AH,
    IPPROTO_DSTOPTS,
    IPPROTO_FRAGMENT,
    IPPROTO_HOPOPTS,
    IPPROTO_ROUTING,
    IPV6_SIZE,
)

_CLASS_SHIFT = 308
_LABEL_SHIFT = 288
_LABEL = 0xFFFFF
_NEXT_SHIFT = 264
_HOP_LIMIT_SHIFT = 256
_SOURCE_SHIFT = 128
_ADDRESS = (1 << 128) - 1
_SOURCE = _ADDRESS << _SOURCE_SHIFT
_HOP_LIMIT_PLACE = 7

_EXTENSIONS = (IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_AH)
_EXTENSION_SIZE = 8

_KEEP_SRC, _KEEP_DST = ~IPV6_SRC.ones, ~IPV6_DST.ones
_KEEP_CLASS, _KEEP_LABEL, _KEEP_HOP_LIMIT = ~IP_TOS.ones, ~IPV6_LABEL.ones, ~IP_TTL.ones


def _in_header(key: int) -> int:
    """The fields of a key (or mask) where they are in a header."""
    return (
        IP_TOS.get(key) << _CLASS_SHIFT
        | (IPV6_LABEL.get(key) & _LABEL) << _LABEL_SHIFT
        | IP_TTL.get(key) << _HOP_LIMIT_SHIFT
        | int.from_bytes(IPV6_SRC.get(key) + IPV6_DST.get(key), "big")
    )


def set_ipv6(value: int, mask: int) -> Callable[[Packet], None]:
    """Set addresses, traffic class, flow label and hop limit; transport checksums follow.

    They cover the final destination (RFC 8200, 8.1), so they stay where a routing header says that
    the one in the header is another. A new address gives the packet another hash.
    """
    header_value, header_keep = _in_header(value & mask), ~_in_header(mask)
    has_class, has_hop_limit = bool(IP_TOS.get(mask)), bool(IP_TTL.get(mask))
    has_label = bool(IPV6_LABEL.get(mask))

    def edit(packet: Packet) -> None:
        network = packet.network
        at = writable(packet, network + IPV6_SIZE) + network
        buffer = packet.buffer
        old = int.from_bytes(buffer[at : at + IPV6_SIZE], "big")
        new = old & header_keep | header_value
        header_bytes = new.to_bytes(IPV6_SIZE, "big")
        key = packet.key
        source, destination = (old ^ new) & _SOURCE, (old ^ new) & _ADDRESS
        if source or destination:
            covered = source and _SOURCE
            if destination and not _is_routed(packet, old >> _NEXT_SHIFT & 0xFF):
                covered |= _ADDRESS
            if covered:
                # A later fragment has IPPROTO_FRAGMENT in its key, so nothing of it follows.
                follow_ipv6(packet, IP_PROTO.get(key), old & covered, new & covered)
            packet.hash = 0
        buffer[at : at + IPV6_SIZE] = header_bytes
        if source:
            key = key & _KEEP_SRC | IPV6_SRC.place(header_bytes[8:24])
        if destination:
            key = key & _KEEP_DST | IPV6_DST.place(header_bytes[24:40])
        if has_class:
            key = key & _KEEP_CLASS | (new >> _CLASS_SHIFT & 0xFF) << IP_TOS.shift
        if has_label:
            key = key & _KEEP_LABEL | (new >> _LABEL_SHIFT & _LABEL) << IPV6_LABEL.shift
        if has_hop_limit:
            key = key & _KEEP_HOP_LIMIT | header_bytes[_HOP_LIMIT_PLACE] << IP_TTL.shift
        packet.key = key

    return edit


def _is_routed(packet: Packet, following: int) -> bool:
    """Whether a routing header with segments left follows: ipv6_find_hdr()."""
    buffer, end = packet.buffer, packet.end
    at = packet.start + packet.network + IPV6_SIZE
    while following in _EXTENSIONS:
        if end - at < 2:
            return False
        size = 8 * (buffer[at + 1] + 1)
        if following == IPPROTO_ROUTING:
            if end - at < 4:
                return False
            if buffer[at + 3]:
                return True
        elif following == IPPROTO_FRAGMENT:
            if end - at < 4 or (buffer[at + 2] << 8 | buffer[at + 3]) & ~7:
                return False
            size = _EXTENSION_SIZE
        elif following == IPPROTO_AH:
            size = 4 * (buffer[at + 1] + 2)
        following = buffer[at]
        at += size
    return False


def decrement_hop_limit(packet: Packet) -> bool:
    """Decrement the hop limit; False, and nothing done, where it would become 0."""
    network = packet.network
    at = writable(packet, network + IPV6_SIZE) + network + _HOP_LIMIT_PLACE
    hop_limit = packet.buffer[at]
    if hop_limit <= 1:
        return False
    packet.buffer[at] = hop_limit - 1
    packet.key = packet.key & _KEEP_HOP_LIMIT | hop_limit - 1 << IP_TTL.shift
    return True
