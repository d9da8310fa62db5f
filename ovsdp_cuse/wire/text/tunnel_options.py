"""What a tunnel key has of one kind of tunnel: options of VXLAN, Geneve and ERSPAN."""

from __future__ import annotations

import struct
from typing import Final

from ovsdp_cuse.wire.attributes import walk
from ovsdp_cuse.wire.text.fields import Field, decimal, hexadecimal
from ovsdp_cuse.wire.text.layout import bad_length, first_attributes, spaced
from ovsdp_cuse.wire.text.numbers import big, c_hex, hex_number, native
from ovsdp_cuse.wire.tunnel import VXLAN_SIZES, VxlanExt

_ERSPAN_SIZE: Final = 12
"""struct erspan_metadata: version, and what belongs to it."""
_GENEVE_HEAD: Final = struct.Struct("!HBB")

_GBP_ID: Final = decimal("id", 16)
_GBP_FLAGS: Final = hexadecimal("flags", 8)


def vxlan(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """vxlan(gbp(id=5,flags=0x8)), of the payload of OVS_TUNNEL_KEY_ATTR_VXLAN_OPTS."""
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
            text += unknown_option(number, inner, inner_mask) + ","
    return f"vxlan({text.removesuffix(',')})"


def _group_policy(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """The policy's number in the lower half, its flags above (draft-smith-vxlan-group-policy)."""
    shown = []
    for field, shift, ones in ((_GBP_ID, 0, 0xFFFF), (_GBP_FLAGS, 16, 0xFF)):
        bits = None if mask is None else native(mask) >> shift & ones
        shown.append(_one(field, native(payload) >> shift & ones, bits, verbose))
    return ",".join(text for text in shown if text)


_CLASS: Final = hexadecimal("class", 16)
_TYPE: Final = hexadecimal("type", 8)
_LENGTH: Final = decimal("len", 8)


def geneve(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """geneve({class=0x102,type=0x80,len=4,0xa}), of OVS_TUNNEL_KEY_ATTR_GENEVE_OPTS.

    The payload is options one after the other (RFC 8926, section 3.5).
    """
    return f"geneve({_geneve_options(payload, mask, verbose)})"


def _geneve_options(payload: bytes, mask: bytes | None, verbose: bool) -> str:
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
    fields = zip((_CLASS, _TYPE, _LENGTH), values, masks, strict=True)
    shown = [_one(field, value, bits, verbose) for field, value, bits in fields]
    text = ",".join(text for text in shown if text)
    if data and (verbose or data_mask is None or any(data_mask)):
        text += ("," if text else "") + hex_number(data)
        if data_mask is not None and data_mask != b"\xff" * len(data_mask):
            text += f"/{hex_number(data_mask)}"
    return text


_VERSION: Final = decimal("ver", 8)
_DIRECTION: Final = decimal("dir", 8)
_HARDWARE: Final = hexadecimal("hwid", 8)


def erspan(payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """erspan(ver=1,idx=0x1), of OVS_TUNNEL_KEY_ATTR_ERSPAN_OPTS.

    The payload is a struct erspan_metadata of <linux/erspan.h>: its version tells what follows.
    """
    payload = payload.ljust(_ERSPAN_SIZE, b"\0")
    bits = None if mask is None else mask.ljust(_ERSPAN_SIZE, b"\0")
    version = native(payload[:4])
    version_bits = None if bits is None else native(bits[:4]) & 0xFF
    shown = [_one(_VERSION, version & 0xFF, version_bits, verbose)]
    if version == 1:
        suffix = "" if bits is None else f"/{c_hex(big(bits[4:8]))}"
        shown.append(f"idx={c_hex(big(payload[4:8]))}{suffix}")
    elif version == 2:
        for field, shift, ones in ((_DIRECTION, 3, 1), (_HARDWARE, 4, 0xF)):
            field_bits = None if bits is None else bits[11] >> shift & ones
            shown.append(_one(field, payload[11] >> shift & ones, field_bits, verbose))
    return f"erspan({','.join(text for text in shown if text)})"


def _one(field: Field, value: int, mask: int | None, verbose: bool) -> str:
    """One field; "" where it is left out."""
    show = field.writer(mask, verbose)
    return "" if show is None else show(value)


def unknown_option(number: int, payload: bytes, mask: bytes | None) -> str:
    """key99(01 02), of what nobody knows."""
    return f"key{number}({spaced(payload)}" + (")" if mask is None else f"/{spaced(mask)})")
