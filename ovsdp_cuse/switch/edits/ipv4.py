"""IPv4: set header fields, decrement the TTL.

A header is taken as one big-endian number, so masks and checksums are arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

from ovsdp_cuse.switch.checksum import update
from ovsdp_cuse.switch.edits.link import writable
from ovsdp_cuse.switch.edits.sums import follow_ipv4
from ovsdp_cuse.switch.key import IP_TOS, IP_TTL, IPV4_DST, IPV4_SRC
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import IPV4_SIZE

_TOS_SHIFT = 144
_FRAGMENT_OFFSET = 0x1FFF << 96
_TTL_SHIFT = 88
_PROTOCOL_SHIFT = 80
_CHECKSUM_SHIFT = 64
_SOURCE_SHIFT = 32
_SOURCE = 0xFFFFFFFF << _SOURCE_SHIFT
_DESTINATION = 0xFFFFFFFF
_ADDRESSES = _SOURCE | _DESTINATION

_KEEP_SRC, _KEEP_DST = ~IPV4_SRC.ones, ~IPV4_DST.ones
_KEEP_TOS, _KEEP_TTL = ~IP_TOS.ones, ~IP_TTL.ones


def _in_header(key: int) -> int:
    """The fields of a key (or mask) where they are in a header."""
    return (
        IP_TOS.get(key) << _TOS_SHIFT
        | IP_TTL.get(key) << _TTL_SHIFT
        | int.from_bytes(IPV4_SRC.get(key) + IPV4_DST.get(key), "big")
    )


def set_ipv4(value: int, mask: int) -> Callable[[Packet], None]:
    """Set addresses, TOS and TTL; the checksums of the header, of TCP and of UDP follow.

    A new address makes the packet another flow's, so it gets another hash.
    """
    header_value, header_keep = _in_header(value & mask), ~_in_header(mask)
    has_tos, has_ttl = bool(IP_TOS.get(mask)), bool(IP_TTL.get(mask))
    always = has_tos or has_ttl

    def edit(packet: Packet) -> None:
        network = packet.network
        at = writable(packet, network + IPV4_SIZE) + network
        buffer = packet.buffer
        old = int.from_bytes(buffer[at : at + IPV4_SIZE], "big")
        new = old & header_keep | header_value
        changed = old ^ new
        key = packet.key
        if changed & _ADDRESSES:
            if not old & _FRAGMENT_OFFSET:
                protocol = old >> _PROTOCOL_SHIFT & 0xFF
                follow_ipv4(packet, protocol, old & _ADDRESSES, new & _ADDRESSES)
            packet.hash = 0
        elif not always:
            return
        checksum = old >> _CHECKSUM_SHIFT & 0xFFFF
        header = new + (update(checksum, old, new) - checksum << _CHECKSUM_SHIFT)
        buffer[at : at + IPV4_SIZE] = header_bytes = header.to_bytes(IPV4_SIZE, "big")
        if changed & _SOURCE:
            key = key & _KEEP_SRC | IPV4_SRC.place(header_bytes[12:16])
        if changed & _DESTINATION:
            key = key & _KEEP_DST | IPV4_DST.place(header_bytes[16:20])
        if has_tos:
            key = key & _KEEP_TOS | header_bytes[1] << IP_TOS.shift
        if has_ttl:
            key = key & _KEEP_TTL | header_bytes[8] << IP_TTL.shift
        packet.key = key

    return edit


def decrement_ttl(packet: Packet) -> bool:
    """Decrement the TTL; False, and nothing done, where it would become 0."""
    network = packet.network
    at = writable(packet, network + IPV4_SIZE) + network
    buffer = packet.buffer
    ttl = buffer[at + 8]
    if ttl <= 1:
        return False
    checksum = buffer[at + 10] << 8 | buffer[at + 11]
    buffer[at + 8] = ttl - 1
    buffer[at + 10 : at + 12] = update(checksum, 0x100, 0).to_bytes(2, "big")
    packet.key = packet.key & _KEEP_TTL | ttl - 1 << IP_TTL.shift
    return True
