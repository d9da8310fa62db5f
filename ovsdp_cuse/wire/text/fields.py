"""The fields of one attribute, with their masks: `src=10.0.0.0/255.0.0.0,proto=6`.

What is the same for all flows of a mask is worked out once: which fields are shown, and with which
masks. What remains is a function from payload to text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from ovsdp_cuse.wire.exact import ipv4, ipv6, mac
from ovsdp_cuse.wire.key import FragType
from ovsdp_cuse.wire.text.numbers import c_hex

Writer = Callable[[bytes], str]
"""From an attribute's payload to its text."""
Show = Callable[[Any], str]

IPV6_LABEL_BITS: Final = 0xFFFFF


class Field:
    """A field of a structure.

    show: how a value is written. show_mask: the same for its mask, where it looks at some of the
    bits only. ones: what a mask has where it looks at all of them; of `ones`, only these bits count
    if they are a number.
    """

    def __init__(self, name: str, show: Show, show_mask: Show, ones: Any) -> None:
        self.name = name
        self._show = show
        self._show_mask = show_mask
        self._ones = ones

    def writer(self, mask: Any, verbose: bool) -> Show | None:
        """How values are written under a mask; None where they are left out.

        mask: None where there is none, which looks at all bits. verbose: whether a field that the
        mask does not look at is written all the same.
        """
        is_open = mask is not None and not (any(mask) if isinstance(mask, bytes) else mask)
        if is_open and not verbose:
            return None
        prefix = f"{self.name}="
        show = self._show
        if mask is None or self._is_full(mask):
            return lambda value: prefix + show(value)
        suffix = f"/{self._show_mask(mask)}"
        return lambda value: prefix + show(value) + suffix

    def _is_full(self, mask: Any) -> bool:
        if isinstance(mask, int):
            return bool(mask & self._ones == self._ones)
        return bool(mask == self._ones)


class Fragment(Field):
    """Whether an IP packet is a fragment: a mask must look at all of it or at nothing."""

    _NAMES: Final = {FragType.NONE: "no", FragType.FIRST: "first", FragType.LATER: "later"}

    def __init__(self) -> None:
        super().__init__("frag", self._name, c_hex, 0xFF)

    def writer(self, mask: Any, verbose: bool) -> Show | None:
        if mask == 0:
            return None
        if mask is None or mask == 0xFF:
            return super().writer(mask, verbose)
        text = f"error: partial mask not supported for frag ({c_hex(mask)})"
        return lambda _value: text

    def _name(self, value: int) -> str:
        return self._NAMES.get(FragType(value), "<error>") if value < 3 else "<error>"


class Unmasked(Field):
    """A number that is written whole, whatever the mask looks at."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "{:#x}".format, c_hex, 0)

    def writer(self, mask: Any, verbose: bool) -> Show | None:
        return super().writer(None, verbose)


def mac_field(name: str) -> Field:
    """An Ethernet address."""
    return Field(name, mac, mac, b"\xff" * 6)


def ipv4_field(name: str) -> Field:
    """An IPv4 address."""
    return Field(name, ipv4, ipv4, b"\xff" * 4)


def ipv6_field(name: str) -> Field:
    """An IPv6 address."""
    return Field(name, ipv6, ipv6, b"\xff" * 16)


def decimal(name: str, bits: int) -> Field:
    """A number, whose mask is in hexadecimal."""
    return Field(name, str, c_hex, (1 << bits) - 1)


def hexadecimal(name: str, bits: int) -> Field:
    """A number in hexadecimal."""
    return Field(name, c_hex, c_hex, (1 << bits) - 1)


def label_field(name: str) -> Field:
    """An IPv6 flow label."""
    return Field(name, c_hex, c_hex, IPV6_LABEL_BITS)


class Fields:
    """The fields of a structure, in the order in which they are written.

    layout: of `struct`. fields: with the index of each among what `layout` gives.
    """

    def __init__(self, layout: str, fields: Sequence[tuple[int, Field]]) -> None:
        self._unpack = struct.Struct(layout).unpack
        self._fields = fields

    def writer(self, mask: bytes | None, verbose: bool) -> Writer:
        """How payloads are written under a mask; all are of the layout's size."""
        unpack = self._unpack
        masks = None if mask is None else unpack(mask)
        shown = [
            (index, show)
            for index, field in self._fields
            if (show := field.writer(None if masks is None else masks[index], verbose)) is not None
        ]

        def write(payload: bytes) -> str:
            values = unpack(payload)
            return ",".join([show(values[index]) for index, show in shown])

        return write


def in_order(layout: str, *fields: Field) -> Fields:
    """Fields that are written in the order in which they lie."""
    return Fields(layout, list(enumerate(fields)))
