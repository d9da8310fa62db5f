"""Tunnel keys: the outer headers that a flow matches, or that an action sets."""

from __future__ import annotations

import struct
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
from ovsdp_cuse.wire.text.layout import bad_length, first_attributes, spaced
from ovsdp_cuse.wire.text.numbers import (
    big,
    c_hex,
    flags_text,
    hex_number,
    masked_flags_text,
    names_of_bits,
)
from ovsdp_cuse.wire.tunnel import TUNNEL_SIZES, VXLAN_SIZES, TunnelKeyAttr, VxlanExt

_FLAG_NAMES: Final = names_of_bits("oam", "df", "csum", "key")
_FLAG_BITS: Final[Mapping[int, int]] = {
    TunnelKeyAttr.OAM: 1,
    TunnelKeyAttr.DONT_FRAGMENT: 2,
    TunnelKeyAttr.CSUM: 4,
    TunnelKeyAttr.ID: 8,
}
_ALL_FLAGS: Final = 0xF

_ERSPAN_SIZE: Final = 12
"""struct erspan_metadata: version, and what belongs to it."""
_GENEVE_HEAD: Final = struct.Struct("!HBB")

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
            text += _with_comma(_unknown(number, inner, inner_mask))
    return (text + _flags(payload, mask, flags, verbose)).removesuffix(",")


def _flags(payload: bytes, mask: bytes | None, flags: int, verbose: bool) -> str:
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


def _unknown(number: int, payload: bytes, mask: bytes | None) -> str:
    return f"key{number}({spaced(payload)}" + (")" if mask is None else f"/{spaced(mask)})")


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


_GBP_ID: Final = decimal("id", 16)
_GBP_FLAGS: Final = hexadecimal("flags", 8)


def _vxlan(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    masks = None if mask is None else first_attributes(mask)
    text = ""
    for _offset, number, inner in walk(payload):
        inner_mask = None if masks is None else masks.get(number, bytes(len(inner)))
        wrong = bad_length(VXLAN_SIZES, number, inner, inner_mask)
        if wrong is not None:
            text += f"key{number}{wrong}"
        elif number == VxlanExt.GBP:
            text += f"gbp({_group_policy(inner, inner_mask, verbose)}),"
        else:
            text += _unknown(number, inner, inner_mask) + ","
    return f"vxlan({text.removesuffix(',')})"


def _group_policy(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """The policy's number in the lower half, its flags above (draft-smith-vxlan-group-policy)."""
    (value,) = struct.unpack("=I", payload)
    bits = None if mask is None else struct.unpack("=I", mask)[0]
    shown = []
    for field, shift, ones in ((_GBP_ID, 0, 0xFFFF), (_GBP_FLAGS, 16, 0xFF)):
        show = field.writer(None if bits is None else bits >> shift & ones, verbose)
        if show is not None:
            shown.append(show(value >> shift & ones))
    return ",".join(shown)


_CLASS: Final = hexadecimal("class", 16)
_TYPE: Final = hexadecimal("type", 8)
_LENGTH: Final = decimal("len", 8)


def _geneve(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    return f"geneve({_geneve_options(payload, mask, verbose)})"


def _geneve_options(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """Options one after the other: {class=0x102,type=0x80,len=4,0xa} (RFC 8926, section 3.5)."""
    if mask is not None and len(mask) != len(payload):
        return f"value len {len(payload)} different from mask len {len(mask)}"
    text = ""
    at = 0
    while at < len(payload):
        left = len(payload) - at
        if left < _GENEVE_HEAD.size:
            return f"{text}opt len {left} less than minimum {_GENEVE_HEAD.size}"
        stop = at + _GENEVE_HEAD.size + 4 * (payload[at + 3] & 0x1F)
        if stop - at > left:
            return f"{text}opt len {stop - at} greater than remaining {left}"
        one_mask = None if mask is None else mask[at:stop]
        text += f"{{{_geneve_option(payload[at:stop], one_mask, verbose)}}}"
        at = stop
    return text


def _geneve_option(option: bytes, mask: bytes | None, verbose: bool) -> str:
    data = option[_GENEVE_HEAD.size :]
    kind, number, length = _GENEVE_HEAD.unpack_from(option)
    values = (kind, number, 4 * (length & 0x1F))
    masks: tuple[int | None, ...] = (None, None, None)
    data_mask = None
    if mask is not None:
        kind, number, length = _GENEVE_HEAD.unpack_from(mask)
        length &= 0x1F
        masks = (kind, number, 0xFF if length == 0x1F else length)
        data_mask = mask[_GENEVE_HEAD.size :]
    shown = []
    for field, value, bits in zip((_CLASS, _TYPE, _LENGTH), values, masks, strict=True):
        show = field.writer(bits, verbose)
        if show is not None:
            shown.append(show(value))
    text = ",".join(shown)
    if data and (verbose or data_mask is None or any(data_mask)):
        text += ("," if text else "") + hex_number(data)
        if data_mask is not None and data_mask != b"\xff" * len(data_mask):
            text += f"/{hex_number(data_mask)}"
    return text


_VERSION: Final = decimal("ver", 8)
_DIRECTION: Final = decimal("dir", 8)
_HARDWARE: Final = hexadecimal("hwid", 8)


def _erspan(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """struct erspan_metadata of <linux/erspan.h>: what follows the version depends on it."""
    payload = payload.ljust(_ERSPAN_SIZE, b"\0")
    bits = None if mask is None else mask.ljust(_ERSPAN_SIZE, b"\0")
    version, index = struct.unpack_from("=i", payload)[0], big(payload[4:8])
    shown: list[str | None] = [
        _one(_VERSION, version & 0xFF, None if bits is None else _version(bits), verbose)
    ]
    if version == 1:
        masked = "" if bits is None else f"/{c_hex(big(bits[4:8]))}"
        shown.append(f"idx={c_hex(index)}{masked}")
    elif version == 2:
        last, last_mask = payload[11], None if bits is None else bits[11]
        for field, shift, ones in ((_DIRECTION, 3, 1), (_HARDWARE, 4, 0xF)):
            bit = None if last_mask is None else last_mask >> shift & ones
            shown.append(_one(field, last >> shift & ones, bit, verbose))
    return f"erspan({','.join(text for text in shown if text)})"


def _version(payload: bytes) -> int:
    version: int = struct.unpack_from("=i", payload)[0]
    return version & 0xFF


def _one(field: Field, value: int, mask: int | None, verbose: bool) -> str | None:
    show = field.writer(mask, verbose)
    return None if show is None else show(value)


_OPTIONS: Final[Mapping[int, Option]] = {
    TunnelKeyAttr.ID: _tunnel_id,
    TunnelKeyAttr.IPV4_SRC: _single("4s", ipv4_field("src")),
    TunnelKeyAttr.IPV4_DST: _single("4s", ipv4_field("dst")),
    TunnelKeyAttr.TOS: _single("B", hexadecimal("tos", 8)),
    TunnelKeyAttr.TTL: _single("B", decimal("ttl", 8)),
    TunnelKeyAttr.GENEVE_OPTS: _geneve,
    TunnelKeyAttr.TP_SRC: _single("!H", decimal("tp_src", 16)),
    TunnelKeyAttr.TP_DST: _single("!H", decimal("tp_dst", 16)),
    TunnelKeyAttr.VXLAN_OPTS: _vxlan,
    TunnelKeyAttr.IPV6_SRC: _single("16s", ipv6_field("ipv6_src")),
    TunnelKeyAttr.IPV6_DST: _single("16s", ipv6_field("ipv6_dst")),
    TunnelKeyAttr.ERSPAN_OPTS: _erspan,
}
