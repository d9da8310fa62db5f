"""Where the bytes of a key attribute's payload lie in the switch's key.

Both are bytes in an order of their own: an attribute holds a header's fields as they stand in a
packet, a key all fields of all headers from the lowest bits up. So an attribute becomes a part of a
key, and a part of a key an attribute, by putting bytes in another order, which `bytes.translate`
does at once: the bytes to be ordered are the table (256 long), the order is what is translated.

Sources: <linux/openvswitch.h> for the attributes, net/openvswitch/flow_netlink.c of Linux 6.1 for
what goes where.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.key import KEY_SIZES, KeyAttr
from ovsdp_cuse.wire.nsh import NSH_SIZES, NshKeyAttr

TABLE_SIZE: Final = 256
NOTHING: Final = 255
"""In an order: a zero; what is ordered must be shorter than this."""

IMAGE_SIZE: Final = k.TUN_PROTO.shift // 8
"""All fields below those of the tunnel, in bytes: an image is these bytes of a key."""
assert IMAGE_SIZE < NOTHING

_IMAGE: Final = (1 << 8 * IMAGE_SIZE) - 1

HOST: Final = sys.byteorder
NETWORK: Final = "big"

Part = tuple[k.NumberField | k.BytesField, int, str]
"""A field, how many bytes an attribute has for it, and the byte order of a number there."""


def _bytes(field: k.BytesField) -> Part:
    return field, field.size, ""


def _number(field: k.NumberField, size: int = 0, order: str = NETWORK) -> Part:
    return field, size or field.size, order


_PORTS: Final = (_number(k.TP_SRC), _number(k.TP_DST))
_ICMP: Final = (_number(k.TP_SRC, 1), _number(k.TP_DST, 1))
_IP: Final = tuple(map(_number, (k.IP_PROTO, k.IP_TOS, k.IP_TTL, k.IP_FRAG)))
_CT_ORIG: Final = tuple(map(_number, (k.CT_ORIG_TP_SRC, k.CT_ORIG_TP_DST, k.CT_ORIG_PROTO)))

PARTS: Final[dict[int, tuple[Part, ...]]] = {
    KeyAttr.PRIORITY: (_number(k.PRIORITY, 4, HOST),),
    KeyAttr.IN_PORT: (_number(k.IN_PORT, 4, HOST),),
    KeyAttr.ETHERNET: (_bytes(k.ETH_SRC), _bytes(k.ETH_DST)),
    KeyAttr.ETHERTYPE: (_number(k.ETH_TYPE),),
    KeyAttr.IPV4: (_bytes(k.IPV4_SRC), _bytes(k.IPV4_DST), *_IP),
    KeyAttr.IPV6: (_bytes(k.IPV6_SRC), _bytes(k.IPV6_DST), _number(k.IPV6_LABEL), *_IP),
    KeyAttr.TCP: _PORTS,
    KeyAttr.UDP: _PORTS,
    KeyAttr.ICMP: _ICMP,
    KeyAttr.ICMPV6: _ICMP,
    KeyAttr.ARP: (
        _bytes(k.IPV4_SRC),
        _bytes(k.IPV4_DST),
        _number(k.IP_PROTO, 2),
        _bytes(k.ARP_SHA),
        _bytes(k.ARP_THA),
    ),
    KeyAttr.ND: (_bytes(k.ND_TARGET), _bytes(k.ND_SLL), _bytes(k.ND_TLL)),
    KeyAttr.SKB_MARK: (_number(k.SKB_MARK, 4, HOST),),
    KeyAttr.SCTP: _PORTS,
    KeyAttr.TCP_FLAGS: (_number(k.TCP_FLAGS),),
    KeyAttr.DP_HASH: (_number(k.DP_HASH, 4, HOST),),
    KeyAttr.RECIRC_ID: (_number(k.RECIRC_ID, 4, HOST),),
    KeyAttr.MPLS: tuple(map(_number, k.MPLS_LSES)),
    KeyAttr.CT_STATE: (_number(k.CT_STATE, 4, HOST),),
    KeyAttr.CT_ZONE: (_number(k.CT_ZONE, 2, HOST),),
    KeyAttr.CT_MARK: (_number(k.CT_MARK, 4, HOST),),
    KeyAttr.CT_LABELS: (_bytes(k.CT_LABELS),),
    KeyAttr.CT_ORIG_TUPLE_IPV4: (
        _bytes(k.CT_ORIG_IPV4_SRC),
        _bytes(k.CT_ORIG_IPV4_DST),
        *_CT_ORIG,
    ),
    KeyAttr.CT_ORIG_TUPLE_IPV6: (
        _bytes(k.CT_ORIG_IPV6_SRC),
        _bytes(k.CT_ORIG_IPV6_DST),
        *_CT_ORIG,
    ),
    KeyAttr.IPV6_EXTHDRS: (_number(k.IPV6_EXTHDRS, 2, HOST),),
}
"""What each attribute of a key holds, in order; tunnels, service headers and tags are not here."""

NSH_PARTS: Final[dict[int, tuple[Part, ...]]] = {
    NshKeyAttr.BASE: tuple(
        map(_number, (k.NSH_FLAGS, k.NSH_TTL, k.NSH_MDTYPE, k.NSH_NP, k.NSH_PATH_HDR))
    ),
    NshKeyAttr.MD1: (_bytes(k.NSH_CONTEXT),),
}
"""The same for the attributes inside KeyAttr.NSH."""

VLAN_PARTS: Final = ((_number(k.VLAN_TPID),), (_number(k.VLAN_TCI),))
CVLAN_PARTS: Final = ((_number(k.CVLAN_TPID),), (_number(k.CVLAN_TCI),))
"""What KeyAttr.ETHERTYPE and KeyAttr.VLAN hold of a tag, the outer and the inner one."""


def byte_pairs(parts: tuple[Part, ...]) -> Iterator[tuple[int, int]]:
    """(byte of the payload, byte of the key) for each byte that is in both."""
    start = 0
    for field, size, order in parts:
        low = field.shift // 8
        for index in range(min(size, field.size)):
            yield start + (size - 1 - index if order == "big" else index), low + index
        start += size


def fields_of(parts: tuple[Part, ...]) -> int:
    """Ones in all fields of the parts."""
    ones = 0
    for field, _size, _order in parts:
        ones |= field.ones
    return ones


class PayloadLayout:
    """One attribute's payload <-> its fields of a key.

    size: bytes of a payload. ones: the key's fields that it holds.
    """

    __slots__ = ("_build_order", "_parse_order", "_shift", "ones", "size")

    def __init__(self, parts: tuple[Part, ...], size: int) -> None:
        pairs = list(byte_pairs(parts))
        lowest = min(inside for _outside, inside in pairs)
        parse_order = [NOTHING] * (max(inside for _outside, inside in pairs) + 1 - lowest)
        build_order = [NOTHING] * size
        for outside, inside in pairs:
            parse_order[inside - lowest] = outside
            build_order[outside] = inside
        self._parse_order = bytes(parse_order)
        self._build_order = bytes(build_order)
        self._shift = 8 * lowest
        self.ones = fields_of(parts)
        self.size = size

    def parse(self, payload: bytes) -> int:
        """A key with what the payload says in its fields and zeros elsewhere."""
        return (
            int.from_bytes(self._parse_order.translate(payload.ljust(TABLE_SIZE, b"\0")), "little")
            << self._shift
        )

    def build(self, key: int) -> bytes:
        """The payload that says what a key has in these fields."""
        return self._build_order.translate(image(key))


def image(key: int) -> bytes:
    """The bytes of a key below the tunnel's, as a table for orders."""
    return (key & _IMAGE).to_bytes(TABLE_SIZE, "little")


LAYOUTS: Final[dict[int, PayloadLayout]] = {
    number: PayloadLayout(parts, 12 if number == KeyAttr.MPLS else KEY_SIZES[number])
    for number, parts in PARTS.items()
}
"""The layout of each attribute of a key; a payload of MPLS labels may be shorter."""

NSH_LAYOUTS: Final[dict[int, PayloadLayout]] = {
    number: PayloadLayout(parts, NSH_SIZES[number]) for number, parts in NSH_PARTS.items()
}
