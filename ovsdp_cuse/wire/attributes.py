"""Netlink attributes: a strict set, driven by a policy table.

An attribute is `nla_len` (u16, header included), `nla_type` (u16, two flag bits on top), the
payload, and padding to four bytes (<linux/netlink.h>). The rule of this module: a length is a
claim. It is checked against the bytes that are there before anything is read with it.

There are two ways to look at attributes that do not fit their message:

- `strict_layout` (the device door): LayoutError, so that the request is refused whole;
- otherwise (the stream door): what nla_parse() of the kernel does, which is to stop at the first
  attribute that does not fit and to ignore the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from errno import EINVAL, ERANGE
from typing import Any

from construct import Construct, stream_read_entire, stream_write

from ovsdp_cuse.errors import DatapathError, LayoutError
from ovsdp_cuse.wire.values import PolicyType, Value

NLA_HEADER_SIZE = 4
NLA_F_NESTED = 1 << 15
NLA_F_NET_BYTEORDER = 1 << 14
NLA_TYPE_MASK = 0x3FFF

Attributes = dict[int, Any]

_HEADER = struct.Struct("=HH")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def pack_attribute(number: int, payload: bytes) -> bytes:
    """One attribute with its header and padding; struct.error above 65,531 bytes of payload."""
    length = len(payload)
    return _HEADER.pack(length + 4, number) + payload + _PADDING[length & 3]


def walk(data: bytes, start: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, number, payload) of each whole attribute in data[start:].

    `offset` is that of the attribute's header in `data`; ends at the first that does not fit.
    """
    end = len(data)
    while start + NLA_HEADER_SIZE <= end:
        length, number = _HEADER.unpack_from(data, start)
        if length < NLA_HEADER_SIZE or start + length > end:
            return
        yield start, number & NLA_TYPE_MASK, data[start + NLA_HEADER_SIZE : start + length]
        start += (length + 3) & ~3


def offset_of(data: bytes, start: int, path: tuple[int, ...]) -> int | None:
    """The offset in `data` of the attribute that `path` names, or None where it is not there.

    Errors are rare and offsets are for them alone, so parsing does not remember any.
    """
    found: int | None = None
    end = len(data)
    for wanted in path:
        hits = [
            (offset, len(payload))
            for offset, number, payload in walk(data[:end], start)
            if number == wanted
        ]
        if not hits:
            return found
        found, size = hits[-1]  # of duplicates the last one counts
        start = found + NLA_HEADER_SIZE
        end = start + size
    return found


def path_at(data: bytes, start: int, offset: int) -> tuple[int, ...]:
    """The inverse of `offset_of`: which attribute of `data` starts at `offset`; () if none does.

    It descends where the offset lies inside an attribute's payload.
    """
    for at, number, payload in walk(data, start):
        if at == offset:
            return (number,)
        if at < offset < at + NLA_HEADER_SIZE + len(payload):
            inner = path_at(data[: at + NLA_HEADER_SIZE + len(payload)], at + 4, offset)
            return (number, *inner) if inner else ()
    return ()


class AttributeSet(Construct):
    """The attributes of one message: a policy table <-> a dict of number to value.

    name: the C prefix of the numbers, such as "OVS_DP_ATTR".
    table: number (an IntEnum member) -> the construct of its value.
    strict: whether unknown attributes and leftover bytes are errors, as for nlctrl, whose
        commands the kernel validates strictly.

    Numbers that are not in the table are ignored where `strict` is not set, as the kernel ignores
    them for families that are older than strict validation.
    """

    def __init__(
        self, name: str, table: Mapping[IntEnum, Value], maximum: int = 0, strict: bool = False
    ) -> None:
        super().__init__()
        self.name = name
        self.table: dict[int, Value] = {int(number): value for number, value in table.items()}
        self.names: dict[int, str] = {int(number): number.name for number in table}
        self.maximum = maximum or max(self.table, default=0)
        self.strict = strict

    def parse(
        self, data: bytes, start: int = 0, strict_layout: bool = False, strict: bool | None = None
    ) -> Attributes:
        """The attributes in data[start:].

        Raises LayoutError (only with `strict_layout` or in a strict set) and DatapathError
        (EINVAL, ERANGE) for a value that breaks its policy; both name the attribute.
        """
        end = len(data)
        if start == end:
            return {}
        strict = self.strict if strict is None else strict
        strict_layout = strict_layout or strict
        attributes: Attributes = {}
        table = self.table
        unpack_from = _HEADER.unpack_from
        while start < end:
            if start + 4 > end:
                if strict_layout:
                    raise LayoutError(f"{end - start} bytes leftover after parsing attributes")
                break
            length, number = unpack_from(data, start)
            number &= NLA_TYPE_MASK
            stop = start + length
            if length < 4 or stop > end:
                if strict_layout:
                    raise LayoutError(
                        f"attribute {number} claims {length} bytes, {end - start} are there",
                        (number,),
                    )
                break
            value = table.get(number)
            if value is not None:
                try:
                    attributes[number] = value.decode(data[start + 4 : stop], strict)
                except DatapathError as error:
                    error.path = (number, *error.path)
                    raise
            elif strict:
                raise DatapathError(EINVAL, f"Unknown attribute type {number}", (number,))
            start = (stop + 3) & ~3
        if start > end and strict_layout:
            raise LayoutError(f"the padding of attribute {number} is not there", (number,))
        return attributes

    def check_layout(self, data: bytes, start: int = 0) -> None:
        """Raise LayoutError unless data[start:] is whole attributes with their padding."""
        end = len(data)
        for at, _number, payload in walk(data, start):
            start = at + ((NLA_HEADER_SIZE + len(payload) + 3) & ~3)
        if start != end:
            raise LayoutError(f"the attributes do not fit at byte {start} of {end}")

    def build(self, obj: Mapping[int, Any]) -> bytes:
        """The attributes as bytes, in the order of the dict; KeyError for an unknown number."""
        table = self.table
        pack = _HEADER.pack
        built = b""
        for number, value in obj.items():
            construct = table[number]
            payload = construct.encode(value)
            length = len(payload)
            built += pack(length + 4, number | construct.type_flags) + payload
            if length & 3:
                built += _PADDING[length & 3]
        return built

    def name_of(self, number: int) -> str:
        """The C name of an attribute, such as OVS_DP_ATTR_NAME; the number where unknown."""
        member = self.names.get(number)
        return f"{self.name}_{member}" if member is not None else f"{self.name}({number})"

    def _parse(self, stream: Any, context: Any, path: str) -> Attributes:
        return self.parse(stream_read_entire(stream, path))

    def _build(self, obj: Mapping[int, Any], stream: Any, context: Any, path: str) -> Any:
        data = self.build(obj)
        stream_write(stream, data, len(data), path)
        return obj


class Nested(Value):
    """An attribute that holds attributes (NLA_NESTED).

    flagged: whether a sender sets NLA_F_NESTED; older families do not, and no receiver minds.
    """

    policy_type = PolicyType.NESTED

    def __init__(self, attributes: AttributeSet, flagged: bool = False) -> None:
        super().__init__()
        self.attributes = attributes
        self.type_flags = NLA_F_NESTED if flagged else 0

    def decode(self, payload: bytes, strict: bool) -> Attributes:
        return self.attributes.parse(payload, strict_layout=True, strict=strict)

    def encode(self, obj: Mapping[int, Any]) -> bytes:
        return self.attributes.build(obj)

    def format(self, obj: Any) -> str:
        return "{" + format_attributes(self.attributes, obj) + "}"


class Unparsed(Value):
    """Attributes that the kernel leaves to the handler to parse: flow keys, masks and actions.

    A handler has checks of its own before them, and rules that no policy can say. So a request's
    value is the payload as it came; `inner` parses it for those who want to see it.
    """

    policy_type = PolicyType.NESTED

    def __init__(self, inner: Value) -> None:
        super().__init__()
        self.inner = inner

    def decode(self, payload: bytes, strict: bool) -> bytes:
        if 0 < len(payload) < NLA_HEADER_SIZE:
            raise DatapathError(ERANGE, f"Attribute failed policy validation: {len(payload)} bytes")
        return payload

    def encode(self, obj: bytes) -> bytes:
        return obj

    def format(self, obj: Any) -> str:
        try:
            return self.inner.format(self.inner.decode(obj, False))
        except DatapathError:
            return obj.hex() or "(empty)"


class NestedArray(Value):
    """Attributes numbered by index, each of which holds the same set (NLA_NESTED_ARRAY).

    Its value is a dict of index to attributes; indices start where the sender starts them.
    """

    policy_type: PolicyType | None = PolicyType.NESTED_ARRAY

    def __init__(self, element: Value, flagged: bool = False) -> None:
        super().__init__()
        self.element = element
        self.type_flags = NLA_F_NESTED if flagged else 0

    def decode(self, payload: bytes, strict: bool) -> dict[int, Any]:
        return {
            number: self.element.decode(inner, strict) for _offset, number, inner in walk(payload)
        }

    def encode(self, obj: Mapping[int, Any]) -> bytes:
        return b"".join(
            pack_attribute(number | self.element.type_flags, self.element.encode(value))
            for number, value in obj.items()
        )

    def format(self, obj: Any) -> str:
        return "[" + ", ".join(self.element.format(value) for value in obj.values()) + "]"


def format_attributes(attributes: AttributeSet, obj: Mapping[int, Any]) -> str:
    """`name=value` of each attribute, in order, names without their common prefix."""
    return ", ".join(
        f"{attributes.names.get(number, number)}={attributes.table[number].format(value)}"
        for number, value in obj.items()
    )
