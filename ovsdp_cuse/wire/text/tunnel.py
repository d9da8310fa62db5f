"""Tunnel keys: the outer headers that a flow matches, or that an action sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ovsdp_cuse.wire.attributes import walk
from ovsdp_cuse.wire.text.fields import (
    Field,
    decimal,
    hexadecimal,
    in_order,
    ipv4_field,
    ipv6_field,
)
from ovsdp_cuse.wire.text.layout import bad_length, first_attributes
from ovsdp_cuse.wire.text.numbers import (
    big,
    c_hex,
    flags_text,
    masked_flags_text,
    names_of_bits,
)
from ovsdp_cuse.wire.text.tunnel_options import erspan, geneve, unknown_option, vxlan
from ovsdp_cuse.wire.tunnel import TUNNEL_SIZES, TunnelKeyAttr

_FLAG_NAMES: Final = names_of_bits("oam", "df", "csum", "key")
_FLAG_BITS: Final[Mapping[int, int]] = {
    TunnelKeyAttr.OAM: 1,
    TunnelKeyAttr.DONT_FRAGMENT: 2,
    TunnelKeyAttr.CSUM: 4,
    TunnelKeyAttr.ID: 8,
}
_ALL_FLAGS: Final = 0xF

Option = Callable[[bytes, bytes | None, bool], str]
"""From payload, mask (None: all bits) and verbosity to text; "" where nothing is shown."""


def key_text(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """The fields of a tunnel key; `mask` is None where all of it is matched."""
    masks = None if mask is None else first_attributes(mask)
    flags = 0
    text = ""
    for _offset, number, inner in walk(payload):
        inner_mask = None if masks is None else masks.get(number, bytes(len(inner)))
        wrong = bad_length(TUNNEL_SIZES, number, inner, inner_mask)
        if wrong is not None:
            text += f"key{number}{wrong}"
            continue
        flags |= _FLAG_BITS.get(number, 0)
        if number in _OPTIONS:
            text += _with_comma(_OPTIONS[number](inner, inner_mask, verbose))
        elif number not in _FLAG_BITS and number != TunnelKeyAttr.PAD:
            text += _with_comma(unknown_option(number, inner, inner_mask))
    return (text + _flags(mask, flags, verbose)).removesuffix(",")


def _flags(mask: bytes | None, flags: int, verbose: bool) -> str:
    """What says something by being there; a mask may have it where the key has not."""
    if mask is None:
        return f"flags({flags_text(_FLAG_NAMES, flags)})"
    bits = 0
    for _offset, number, _inner in walk(mask):
        if number != TunnelKeyAttr.ID:
            bits |= _FLAG_BITS.get(number, 0)
    bits |= flags & _FLAG_BITS[TunnelKeyAttr.ID]
    if not bits and not verbose:
        return ""
    return f"flags({masked_flags_text(_FLAG_NAMES, flags, bits, _ALL_FLAGS)})"


def _with_comma(text: str) -> str:
    return f"{text}," if text else ""


def _single(layout: str, field: Field) -> Option:
    fields = in_order(layout, field)

    def option(payload: bytes, mask: bytes | None, verbose: bool) -> str:
        return fields.writer(mask, verbose)(payload)

    return option


def _tunnel_id(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    # Alone among all, this one is left out where there is no mask.
    if not verbose and (mask is None or not any(mask)):
        return ""
    suffix = "" if mask is None or mask == b"\xff" * 8 else f"/{c_hex(big(mask))}"
    return f"tun_id={big(payload):#x}{suffix}"


_OPTIONS: Final[Mapping[int, Option]] = {
    TunnelKeyAttr.ID: _tunnel_id,
    TunnelKeyAttr.IPV4_SRC: _single("4s", ipv4_field("src")),
    TunnelKeyAttr.IPV4_DST: _single("4s", ipv4_field("dst")),
    TunnelKeyAttr.TOS: _single("B", hexadecimal("tos", 8)),
    TunnelKeyAttr.TTL: _single("B", decimal("ttl", 8)),
    TunnelKeyAttr.GENEVE_OPTS: geneve,
    TunnelKeyAttr.TP_SRC: _single("!H", decimal("tp_src", 16)),
    TunnelKeyAttr.TP_DST: _single("!H", decimal("tp_dst", 16)),
    TunnelKeyAttr.VXLAN_OPTS: vxlan,
    TunnelKeyAttr.IPV6_SRC: _single("16s", ipv6_field("ipv6_src")),
    TunnelKeyAttr.IPV6_DST: _single("16s", ipv6_field("ipv6_dst")),
    TunnelKeyAttr.ERSPAN_OPTS: erspan,
}
