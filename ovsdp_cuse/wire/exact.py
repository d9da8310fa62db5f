"""Attributes whose lengths are exact: flow keys, tunnels and service headers in netlink form.

The openvswitch module parses these itself, more strictly than netlink's policies would
(net/openvswitch/flow_netlink.c of Linux 6.1): a length is exact, a number that is not in the table
is an error, and so are bytes that are left over. Every error is EINVAL.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from errno import EINVAL
from typing import Any, Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.attributes import NLA_TYPE_MASK, Attributes, AttributeSet
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.values import Value

NESTED: Final = -1
"""A size: the attribute holds attributes, which are checked by whoever reads them."""
VARIABLE: Final = -2
"""A size: any."""

Sizes = Mapping[int, int]
"""Attribute number -> bytes of payload, or NESTED or VARIABLE."""

_unpack_header = struct.Struct("=HH").unpack_from


def mac(address: bytes) -> str:
    """An Ethernet address as people read it."""
    return address.hex(":")


def ipv4(address: bytes) -> str:
    """An IPv4 address as people read it."""
    return ".".join(map(str, address))


def ipv6(address: bytes) -> str:
    """An IPv6 address as inet_ntop(3) writes it: what holds an IPv4 address ends as one."""
    words = struct.unpack("!8H", address)
    start, stop = _zeros(words)
    if start == 0 and (stop == 6 or (stop == 5 and words[5] == 0xFFFF)):
        return ("::ffff:" if stop == 5 else "::") + ipv4(address[12:])
    texts = [f"{word:x}" for word in words]
    if stop - start < 2:
        return ":".join(texts)
    return f"{':'.join(texts[:start])}::{':'.join(texts[stop:])}"


def _zeros(words: tuple[int, ...]) -> tuple[int, int]:
    """Where the longest run of zeros starts and ends; of equal ones the first."""
    best = (0, 0)
    start: int | None = None
    for place, word in enumerate((*words, 1)):
        if not word:
            start = place if start is None else start
        elif start is not None:
            if place - start > best[1] - best[0]:
                best = (start, place)
            start = None
    return best


class Scalar(Value):
    """One number or some bytes, of exactly one size.

    layout: a `struct` format, byte order included. shown: how a value is formatted.
    """

    def __init__(self, layout: str, shown: Callable[[Any], str] = str) -> None:
        super().__init__()
        self.layout = layout
        self._struct = struct.Struct(layout)
        self._shown = shown

    def decode(self, payload: bytes, strict: bool) -> Any:
        check_size(len(payload), self._struct.size)
        return self._struct.unpack(payload)[0]

    def encode(self, obj: Any) -> bytes:
        return self._struct.pack(obj)

    def format(self, obj: Any) -> str:
        return self._shown(obj)


class Fields(Value):
    """One structure, or (`many`) an array of them, of exactly its size.

    shown: how a field is formatted that is no plain number.
    """

    def __init__(
        self, structure: FixedStruct[Any], many: bool = False, **shown: Callable[[Any], str]
    ) -> None:
        super().__init__()
        self.structure = structure
        self.many = many
        self._shown = shown

    def decode(self, payload: bytes, strict: bool) -> Any:
        size = self.structure.size
        if not self.many:
            check_size(len(payload), size)
            return self.structure.parse(payload)
        if len(payload) % size:
            raise DatapathError(EINVAL, f"{len(payload)} bytes, not a multiple of {size}")
        return tuple(self.structure.parse(payload, at) for at in range(0, len(payload), size))

    def encode(self, obj: Any) -> bytes:
        return b"".join(map(self.structure.build, obj if self.many else (obj,)))

    def format(self, obj: Any) -> str:
        if self.many:
            return "[" + ", ".join(map(self._format_one, obj)) + "]"
        return self._format_one(obj)

    def _format_one(self, obj: Any) -> str:
        return (
            "{"
            + ", ".join(
                f"{name}={self._shown.get(name, str)(value)}"
                for name, value in zip(obj._fields, obj, strict=True)
            )
            + "}"
        )


def check_size(there: int, wanted: int) -> None:
    """Raise DatapathError (EINVAL) unless a payload has the size that it must have."""
    if there != wanted and wanted >= 0:
        raise DatapathError(EINVAL, f"{there} bytes where there must be exactly {wanted}")


class ExactSet(AttributeSet):
    """A set whose attributes have exact sizes.

    sizes: of every attribute that may be there; what is not in it is refused.
    padded: whether the padding of the last attribute must be there too. repeated: whether an
    attribute may come again, so that the last one counts.
    """

    def __init__(
        self,
        name: str,
        table: Mapping[IntEnum, Value],
        sizes: Sizes,
        padded: bool = True,
        repeated: bool = False,
    ) -> None:
        super().__init__(name, table, strict=True)
        self.sizes = sizes
        self.padded = padded
        self.repeated = repeated

    def items(self, data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield (number, payload) of each attribute in data[start:], in order.

        Raises DatapathError (EINVAL) for a number that is not in `sizes`, a payload that has
        another size, and bytes left over.
        """
        end = len(data)
        sizes = self.sizes
        while start + 4 <= end:
            length, number = _unpack_header(data, start)
            stop = start + length
            if length < 4 or stop > end:
                break
            number &= NLA_TYPE_MASK
            size = sizes.get(number)
            if size != length - 4 and (size is None or size >= 0):
                raise self._refusal(number, length - 4, size)
            yield number, data[start + 4 : stop]
            start = (stop + 3) & ~3
        if start < end or (start > end and self.padded):
            raise DatapathError(
                EINVAL, f"{self.name}: {end - start} unknown bytes after the last attribute"
            )

    def parse(
        self, data: bytes, start: int = 0, strict_layout: bool = False, strict: bool | None = None
    ) -> Attributes:
        """The attributes in data[start:]; raises DatapathError (EINVAL) with the attribute."""
        attributes: Attributes = {}
        for number, payload in self.items(data, start):
            if number in attributes and not self.repeated:
                raise self.duplicate(number)
            try:
                attributes[number] = self.table[number].decode(payload, True)
            except DatapathError as error:
                error.path = (number, *error.path)
                raise
        return attributes

    def duplicate(self, number: int) -> DatapathError:
        """The error for an attribute that came twice."""
        return DatapathError(EINVAL, f"{self.name_of(number)} is there twice", (number,))

    def _refusal(self, number: int, there: int, size: int | None) -> DatapathError:
        if size is None:
            return DatapathError(EINVAL, f"{self.name_of(number)} is not supported", (number,))
        return DatapathError(
            EINVAL, f"{self.name_of(number)} has {there} bytes, not {size}", (number,)
        )
