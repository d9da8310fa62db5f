"""Keys with attributes of more than one kind of packet: what the kernel's unions make of them.

A key must have the attributes that its EtherType and protocol ask for, but nothing forbids more.
The kernel keeps the headers of IPv4, IPv6, ARP, MPLS and NSH in one place (struct sw_flow_key in
net/openvswitch/flow.h), so that of what overlaps the last one parsed counts; and a dump shows it.
No sensible client sends such a key; the answer is the kernel's all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal

from ovsdp_cuse.families.translate.layout import NSH_PARTS, PARTS, Part
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.nsh import NSH

_PLACES: Final[dict[k.NumberField | k.BytesField, int]] = {
    k.IPV4_SRC: 0,
    k.IPV4_DST: 4,
    k.CT_ORIG_IPV4_SRC: 8,
    k.CT_ORIG_IPV4_DST: 12,
    k.ARP_SHA: 8,
    k.ARP_THA: 14,
    k.IPV6_SRC: 0,
    k.IPV6_DST: 16,
    k.IPV6_LABEL: 32,
    k.IPV6_EXTHDRS: 36,
    k.CT_ORIG_IPV6_SRC: 40,
    k.CT_ORIG_IPV6_DST: 56,
    k.ND_TARGET: 40,
    k.ND_SLL: 56,
    k.ND_TLL: 62,
    k.MPLS_LABEL_BITS: 0,
    k.MPLS_LSE_0: 4,
    k.MPLS_LSE_1: 8,
    k.MPLS_LSE_2: 12,
    k.NSH_FLAGS: 0,
    k.NSH_TTL: 1,
    k.NSH_MDTYPE: 2,
    k.NSH_NP: 3,
    k.NSH_PATH_HDR: 4,
    k.NSH_CONTEXT: 8,
}
"""Where a field is in the union, in bytes."""

_UNION_SIZE: Final = 72

_ORDER: Final = (
    KeyAttr.CT_ORIG_TUPLE_IPV4,
    KeyAttr.CT_ORIG_TUPLE_IPV6,
    KeyAttr.IPV4,
    KeyAttr.IPV6,
    KeyAttr.IPV6_EXTHDRS,
    KeyAttr.ARP,
    KeyAttr.NSH,
    KeyAttr.MPLS,
    KeyAttr.TCP,
    KeyAttr.UDP,
    KeyAttr.SCTP,
    KeyAttr.ICMP,
    KeyAttr.ICMPV6,
    KeyAttr.ND,
)
"""In which order the kernel writes what overlaps."""

_SHARING: Final = frozenset(int(number) for number in _ORDER)

_APART: Final = frozenset(
    frozenset(int(number) for number in (*network, *transport))
    for network in (
        (),
        (KeyAttr.CT_ORIG_TUPLE_IPV4,),
        (KeyAttr.CT_ORIG_TUPLE_IPV6,),
        (KeyAttr.IPV4,),
        (KeyAttr.IPV4, KeyAttr.CT_ORIG_TUPLE_IPV4),
        (KeyAttr.IPV6,),
        (KeyAttr.IPV6, KeyAttr.IPV6_EXTHDRS),
        (KeyAttr.IPV6, KeyAttr.CT_ORIG_TUPLE_IPV6),
        (KeyAttr.IPV6, KeyAttr.IPV6_EXTHDRS, KeyAttr.CT_ORIG_TUPLE_IPV6),
        (KeyAttr.IPV6, KeyAttr.ND),
        (KeyAttr.IPV6, KeyAttr.IPV6_EXTHDRS, KeyAttr.ND),
        (KeyAttr.ARP,),
        (KeyAttr.MPLS,),
        (KeyAttr.NSH,),
    )
    for transport in (
        (),
        (KeyAttr.TCP,),
        (KeyAttr.UDP,),
        (KeyAttr.SCTP,),
        (KeyAttr.ICMP,),
        (KeyAttr.ICMPV6,),
    )
)
"""Which of them are together in the keys of real packets, and do not overlap."""


def overlaps(payloads: Collection[int]) -> bool:
    """Whether a key has attributes that the kernel keeps in the same place."""
    return _SHARING.intersection(payloads) not in _APART


def parse_overlapping(payloads: Mapping[int, bytes], parse: Callable[[int, bytes], int]) -> int:
    """The fields of a key as they are once the kernel has written one over the other.

    parse: an attribute's fields.
    """
    fields = 0
    for number, payload in payloads.items():
        if number not in _SHARING:
            fields |= parse(number, payload)
    union = bytearray(_UNION_SIZE)
    for number in _ORDER:
        if number not in payloads:
            continue
        parsed = parse(number, payloads[number])
        for field in _fields_of(number, payloads[number]):
            if field in _PLACES:
                written = _to_bytes(field, parsed)
                start = _PLACES[field]
                union[start : start + len(written)] = written
            else:
                fields = (fields & ~field.ones) | (parsed & field.ones)
    for field, start in _PLACES.items():
        fields |= _from_bytes(field, bytes(union[start : start + _size(field)]))
    return fields


def _fields_of(number: int, payload: bytes) -> tuple[k.NumberField | k.BytesField, ...]:
    """The fields that the kernel writes when it parses an attribute."""
    if number == KeyAttr.NSH:
        return tuple(
            field for inner in dict(NSH.items(payload)) for field in _fields(NSH_PARTS[inner])
        )
    if number == KeyAttr.MPLS:
        return (*k.MPLS_LSES[: len(payload) // 4], k.MPLS_LABEL_BITS)
    return _fields(PARTS[number])


def _fields(parts: tuple[Part, ...]) -> tuple[k.NumberField | k.BytesField, ...]:
    return tuple(field for field, _size, _order in parts)


def _to_bytes(field: k.NumberField | k.BytesField, key: int) -> bytes:
    value = field.get(key)
    return value if isinstance(value, bytes) else value.to_bytes(_size(field), _order_of(field))


def _from_bytes(field: k.NumberField | k.BytesField, value: bytes) -> int:
    if isinstance(field, k.BytesField):
        return field.place(value)
    return int.from_bytes(value, _order_of(field)) << field.shift & field.ones


def _size(field: k.Field) -> int:
    """The kernel has 32 bits for the labels that are there, of which three are used."""
    return 4 if field is k.MPLS_LABEL_BITS else field.size


def _order_of(field: k.Field) -> Literal["little", "big"]:
    """The kernel keeps numbers as they stand in a packet, but for those that stand in none."""
    return sys.byteorder if field in (k.IPV6_EXTHDRS, k.MPLS_LABEL_BITS) else "big"
