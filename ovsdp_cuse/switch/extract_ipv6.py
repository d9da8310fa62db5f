"""The part of extraction for IPv6: parse_ipv6hdr() and parse_icmpv6() of flow.c.

The extension headers are walked twice, as the kernel does, because the two walks do not follow the
same rules: one finds the transport header and fragments (ipv6_find_hdr() of exthdrs_core.c), the
other collects OFPIEH12_* bits (get_ipv6_ext_hdrs()). It takes every header for one whose length is
counted in units of 8 bytes, also where that is wrong (authentication), or where there is no length
(fragment).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from ovsdp_cuse.switch.extract_network import (
    NO_PORTS,
    Ports,
    is_udp_fragmented,
    read_icmp,
    read_sctp,
    read_tcp,
    read_udp,
)
from ovsdp_cuse.switch.key import (
    IP_PROTO,
    IPV6_EXTHDRS,
    ND_SLL,
    ND_TARGET,
    ND_TLL,
)
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import (
    IPPROTO_AH,
    IPPROTO_DSTOPTS,
    IPPROTO_FRAGMENT,
    IPPROTO_HOPOPTS,
    IPPROTO_ICMPV6,
    IPPROTO_NONE,
    IPPROTO_ROUTING,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_SIZE,
    OVS_FRAG_TYPE_FIRST,
    OVS_FRAG_TYPE_LATER,
    OVS_FRAG_TYPE_NONE,
)

OFPIEH12_NONEXT: Final = 1 << 0
OFPIEH12_AUTH: Final = 1 << 2
OFPIEH12_DEST: Final = 1 << 3
OFPIEH12_FRAG: Final = 1 << 4
OFPIEH12_ROUTER: Final = 1 << 5
OFPIEH12_HOP: Final = 1 << 6
OFPIEH12_UNREP: Final = 1 << 7
OFPIEH12_UNSEQ: Final = 1 << 8

_EXTENSIONS: Final = frozenset(
    (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_AH, IPPROTO_NONE, IPPROTO_DSTOPTS)
)
"""What ipv6_ext_hdr() takes for an extension header; ESP is none, so its bit is never set."""

_BEFORE_ROUTER: Final = OFPIEH12_HOP | OFPIEH12_DEST | OFPIEH12_UNREP
_ONCE: Final = {
    IPPROTO_ROUTING: (OFPIEH12_ROUTER, _BEFORE_ROUTER),
    IPPROTO_FRAGMENT: (OFPIEH12_FRAG, _BEFORE_ROUTER | OFPIEH12_ROUTER),
    IPPROTO_AH: (OFPIEH12_AUTH, _BEFORE_ROUTER | OFPIEH12_ROUTER | OFPIEH12_FRAG),
}
"""By header, its bit, and the bits of what may come before it."""
_BEFORE_DEST: Final = (
    OFPIEH12_HOP | OFPIEH12_UNREP,
    _BEFORE_ROUTER | OFPIEH12_ROUTER | OFPIEH12_FRAG | OFPIEH12_AUTH,
)
"""What may come before the first and the second destination options."""

_IPV6 = struct.Struct(">I2xBB32s")
_PART = struct.Struct("<BBBB8xHHH12x32sIH")
"""The key from IP_PROTO to IPV6_EXTHDRS."""
assert 8 * _PART.size == IPV6_EXTHDRS.shift + 8 * IPV6_EXTHDRS.size - IP_PROTO.shift

_ND_SIZE = 24
"""A neighbour solicitation or advertisement without options."""
_ND_TYPES: Final = ((135, 0, 0), (136, 0, 0))
"""ICMPv6 type and code."""
_OPTION_SOURCE: Final = 1
_OPTION_TARGET: Final = 2

_PROTOCOLS: Final[dict[int, Callable[[Packet, int], Ports]]] = {
    IPPROTO_TCP: read_tcp,
    IPPROTO_UDP: read_udp,
    IPPROTO_SCTP: read_sctp,
    IPPROTO_ICMPV6: read_icmp,
}


def extract_ipv6(packet: Packet, at: int) -> int:
    """IPv6 and what it carries; zeros for a header that is cut off. Its version does not matter.

    Where the extension headers do not lead to a transport header, ip_proto is IPPROTO_NONE (59);
    in a later fragment it is IPPROTO_FRAGMENT (44).
    """
    if packet.end - at < IPV6_SIZE:
        return 0
    word, proto, ttl, addresses = _IPV6.unpack_from(packet.buffer, at)
    at += IPV6_SIZE
    exthdrs, fragment = 0, OVS_FRAG_TYPE_NONE
    if proto in _EXTENSIONS:
        exthdrs = _extension_bits(packet, at, proto)
        proto, fragment, at = _find_transport(packet, at, proto)
    ports = NO_PORTS
    discovered = 0
    if at:
        packet.transport = at - packet.start
        if is_udp_fragmented(packet):
            fragment = OVS_FRAG_TYPE_FIRST
        read = _PROTOCOLS.get(proto)
        if read is not None:
            ports = read(packet, at)
            if proto == IPPROTO_ICMPV6 and ports in _ND_TYPES and packet.end - at >= _ND_SIZE:
                discovered = _neighbour_discovery(packet, at)
    label = word & 0xFFFFF
    tos = word >> 20 & 0xFF
    part = _PART.pack(proto, tos, ttl, fragment, *ports, addresses, label, exthdrs)
    return int.from_bytes(part, "little") << IP_PROTO.shift | discovered


def _find_transport(packet: Packet, at: int, proto: int) -> tuple[int, int, int]:
    """(protocol, OVS_FRAG_TYPE_*, place) of the transport header; its place is 0 for none."""
    buffer, end = packet.buffer, packet.end
    fragment = OVS_FRAG_TYPE_NONE
    while proto in _EXTENSIONS and proto != IPPROTO_NONE:
        left = end - at
        if left < (4 if proto == IPPROTO_ROUTING else 2):
            return IPPROTO_NONE, fragment, 0
        following, length = buffer[at], buffer[at + 1]
        if proto == IPPROTO_FRAGMENT:
            fragment = OVS_FRAG_TYPE_FIRST
            if left < 4:
                return IPPROTO_NONE, fragment, 0
            if buffer[at + 2] or buffer[at + 3] & 0xF8:
                # A later fragment; the kernel sees that only where no extension header follows.
                if following in _EXTENSIONS and following != IPPROTO_NONE:
                    return IPPROTO_NONE, fragment, 0
                return IPPROTO_FRAGMENT, OVS_FRAG_TYPE_LATER, 0
            size = 8
        elif proto == IPPROTO_AH:
            size = (length + 2) * 4
        else:
            size = (length + 1) * 8
        if left < size:
            return IPPROTO_NONE, fragment, 0
        proto = following
        at += size
    return proto, fragment, at


def _extension_bits(packet: Packet, at: int, proto: int) -> int:
    """The OFPIEH12_* bits of the extension headers that begin at `at` with `proto`."""
    buffer, end = packet.buffer, packet.end
    bits = destinations = 0
    while proto in _EXTENSIONS:
        if proto == IPPROTO_NONE:
            return bits | OFPIEH12_NONEXT
        if proto == IPPROTO_HOPOPTS:
            if bits & OFPIEH12_HOP:
                bits |= OFPIEH12_UNREP
            bits |= OFPIEH12_UNSEQ if bits else OFPIEH12_HOP
        elif proto == IPPROTO_DSTOPTS:
            if destinations >= len(_BEFORE_DEST):
                bits |= OFPIEH12_UNREP
            elif bits & ~_BEFORE_DEST[destinations]:
                bits |= OFPIEH12_UNSEQ
            bits |= OFPIEH12_DEST
            destinations += 1
        else:
            bit, before = _ONCE[proto]
            if bits & bit:
                bits |= OFPIEH12_UNREP
            if bits & ~before or destinations >= 2:
                bits |= OFPIEH12_UNSEQ
            bits |= bit
        if end - at < 2:
            break
        proto = buffer[at]
        at += (buffer[at + 1] + 1) * 8
    return bits


def _neighbour_discovery(packet: Packet, at: int) -> int:
    """The key's part of a neighbour solicitation or advertisement whose fixed part is there.

    Options end at the first whose length is impossible. An address that is told twice makes all of
    this zeros.
    """
    buffer, end = packet.buffer, packet.end
    part = ND_TARGET.place(bytes(buffer[at + 8 : at + _ND_SIZE]))
    at += _ND_SIZE
    while end - at >= 8:
        kind, length = buffer[at], buffer[at + 1] * 8
        if not length or length > end - at:
            break
        if length == 8 and kind in (_OPTION_SOURCE, _OPTION_TARGET):
            field = ND_SLL if kind == _OPTION_SOURCE else ND_TLL
            if part & field.ones:
                return 0
            part |= field.place(bytes(buffer[at + 2 : at + 8]))
        at += length
    return part
