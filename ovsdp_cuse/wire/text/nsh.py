"""Service headers: what a flow matches of them, and what actions set and push."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ovsdp_cuse.wire.attributes import walk
from ovsdp_cuse.wire.nsh import NSH_SIZES, NshKeyAttr
from ovsdp_cuse.wire.text.layout import bad_length, first_attributes
from ovsdp_cuse.wire.text.numbers import hex_number

_BASE = struct.Struct("!BBBBI")
_CONTEXT = struct.Struct("!4I")
_SIZES: Final = {NshKeyAttr.UNSPEC: 0, **NSH_SIZES}

METADATA_FIXED: Final = 1
"""MD type 1: four context headers (RFC 8300, section 2.2)."""
METADATA_VARIABLE: Final = 2
LONGEST_METADATA: Final = 244
"""Bytes of metadata that a header has room for."""


class Header(NamedTuple):
    """The fields of a service header, or a mask of them."""

    flags: int = 0
    ttl: int = 0
    mdtype: int = 0
    np: int = 0
    path: int = 0
    context: tuple[int, ...] = (0, 0, 0, 0)


EXACT: Final = Header(0xFF, 0xFF, 0xFF, 0xFF, 0xFFFFFFFF, (0xFFFFFFFF,) * 4)


def key_text(payload: bytes, mask: bytes | None) -> str:
    """The match on a service header; `mask` is None where all of it is matched."""
    masks = {} if mask is None else first_attributes(mask)
    header, bits = Header(), EXACT
    broken = ""
    for _offset, number, inner in walk(payload):
        inner_mask = masks.get(number)
        wrong = bad_length(_SIZES, number, inner, inner_mask)
        if wrong is not None:
            broken += f"key{number}{wrong}"
            continue
        header = _with(header, number, inner)
        if inner_mask is not None:
            bits = _with(bits, number, inner_mask)
    return broken + (_exact_text(header) if mask is None else _masked_text(header, bits))


def set_masked_text(payload: bytes) -> str:
    """set(nsh(...)) of a payload whose attributes have a value and then a mask; else ""."""
    header, bits = Header(), EXACT
    for _offset, number, both in walk(payload):
        size = _SIZES.get(number, -1)
        if number == NshKeyAttr.MD2 or len(both) != 2 * size:
            return ""
        header, bits = _with(header, number, both[:size]), _with(bits, number, both[size:])
    return f"set(nsh({_masked_text(header, bits)}))"


def push_text(payload: bytes) -> str:
    """push_nsh(...), of the attributes of OVS_KEY_ATTR_NSH."""
    header = Header(ttl=63)
    context = b""
    for _offset, number, inner in walk(payload):
        size = _SIZES.get(number, -1)
        if size not in (-2, len(inner)) or len(inner) > LONGEST_METADATA:
            return "push_nsh(error)"
        header = _with(header, number, inner)
        if number in (NshKeyAttr.MD1, NshKeyAttr.MD2):
            context = inner
    # In the header itself the flags have two bits, the time to live six, the length whole words.
    header = header._replace(flags=header.flags & 3, ttl=header.ttl & 0x3F)
    fields = _base_fields(header)
    if header.mdtype == METADATA_FIXED:
        fields += _context_fields(header)
    elif header.mdtype == METADATA_VARIABLE:
        fields.append(f"md2={hex_number(context[: len(context) & ~3])}")
    else:
        fields.append("<error: unknown mdtype>")
    return f"push_nsh({','.join(fields)})"


def _with(header: Header, number: int, payload: bytes) -> Header:
    """A header with the fields of one attribute."""
    if number == NshKeyAttr.BASE:
        flags, ttl, mdtype, np, path = _BASE.unpack(payload)
        return Header(flags, ttl, mdtype, np, path, header.context)
    if number == NshKeyAttr.MD1:
        return header._replace(context=_CONTEXT.unpack(payload))
    return header


def _exact_text(header: Header) -> str:
    context = _context_fields(header) if header.mdtype == METADATA_FIXED else []
    return ",".join([*_base_fields(header), *context])


def _base_fields(header: Header) -> list[str]:
    return [
        f"flags={header.flags}",
        f"ttl={header.ttl}",
        f"mdtype={header.mdtype}",
        f"np={header.np}",
        f"spi={header.path >> 8:#x}",
        f"si={header.path & 0xFF}",
    ]


def _context_fields(header: Header) -> list[str]:
    return [f"c{place}={word:#x}" for place, word in enumerate(header.context, 1)]


def _masked_text(header: Header, bits: Header) -> str:
    path_bits = bits.path >> 8
    return ",".join(
        text
        for text in (
            _byte("flags", header.flags, bits.flags),
            _byte("ttl", header.ttl, bits.ttl),
            _byte("mdtype", header.mdtype, bits.mdtype),
            _byte("np", header.np, bits.np),
            _word("spi", header.path >> 8, 0xFFFFFFFF if path_bits == 0xFFFFFF else path_bits),
            _byte("si", header.path & 0xFF, bits.path & 0xFF),
            *(
                _word(f"c{place}", word, mask)
                for place, (word, mask) in enumerate(
                    zip(header.context, bits.context, strict=True), 1
                )
            ),
        )
        if text
    )


def _byte(name: str, value: int, mask: int) -> str:
    if mask == 0xFF:
        return f"{name}={value}"
    return f"{name}={value:#04x}/{mask:#04x}" if mask else ""


def _word(name: str, value: int, mask: int) -> str:
    if mask == 0xFFFFFFFF:
        return f"{name}={value:#x}"
    return f"{name}={value:#x}/{mask:#010x}" if mask else ""
