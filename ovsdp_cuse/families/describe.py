"""Messages as a person reads them, one line each, by the tables of the registry.

Whatever the bytes are, there is a line for them: what cannot be decoded is shown in hexadecimal.
"""

from __future__ import annotations

import os
import struct
from sys import byteorder
from typing import NamedTuple

from ovsdp_cuse.errors import DatapathError, errno_name
from ovsdp_cuse.families.attribute_tree import attribute_tree
from ovsdp_cuse.families.registry import DeviceOperation, Family, Registry
from ovsdp_cuse.wire.attributes import (
    AttributeSet,
    Nested,
    NestedArray,
    format_attributes,
    path_at,
)
from ovsdp_cuse.wire.netlink import (
    GENERIC_HEADER,
    GENERIC_HEADER_SIZE,
    NETLINK_HEADER,
    NETLINK_HEADER_SIZE,
    NLM_F_CAPPED,
    NLM_F_DUMP,
    NLMSG_MIN_TYPE,
    OVS_HEADER_SIZE,
    OVS_MESSAGE_HEADER,
    ControlType,
    NetlinkHeader,
    OvsMessageHeader,
    parse_error,
)
from ovsdp_cuse.wire.values import Value

HEX_LIMIT = 256
"""Bytes that are shown of what cannot be decoded."""

_COMMON_FLAGS = {
    0x01: "REQUEST",
    0x02: "MULTI",
    0x04: "ACK",
    0x08: "ECHO",
    0x10: "DUMP_INTR",
    0x20: "DUMP_FILTERED",
}
GET_FLAGS = {0x100: "ROOT", 0x200: "MATCH", 0x400: "ATOMIC"}
NEW_FLAGS = {0x100: "REPLACE", 0x200: "EXCL", 0x400: "CREATE", 0x800: "APPEND"}
ANSWER_FLAGS = {0x100: "CAPPED", 0x200: "ACK_TLVS"}


class Line(NamedTuple):
    """One message in words; `is_error` where it tells of a failure.

    tree: lines below it, indented, where its attributes were not to be on it.
    """

    text: str
    is_error: bool = False
    tree: tuple[str, ...] = ()


def describe(
    registry: Registry,
    data: bytes,
    operation: DeviceOperation | None = None,
    request: bytes = b"",
    verbose: bool = False,
) -> list[Line]:
    """The messages in `data`, one line each.

    operation: how a request came through the device door, which decides what its command is.
    request: what an answer is for; it tells which attribute an error blames. verbose: attributes
    are a tree of lines below that of their message.
    """
    lines = []
    start = 0
    while start < len(data):
        length = int.from_bytes(data[start : start + 4], byteorder)
        if not NETLINK_HEADER_SIZE <= length <= len(data) - start:
            lines.append(_describe_fragment(data[start:]))
            break
        message = data[start : start + length]
        lines.append(_describe_message(registry, message, operation, request, verbose))
        start += (length + 3) & ~3
    return lines


def describe_flags(flags: int, upper: dict[int, str]) -> str:
    """nlmsg_flags by their names; what has no name in hexadecimal.

    upper: the names of the bits from 0x100 on, which mean different things to different messages.
    """
    table = _COMMON_FLAGS | upper
    if upper is not ANSWER_FLAGS and flags & NLM_F_DUMP == NLM_F_DUMP:
        table = _COMMON_FLAGS | {NLM_F_DUMP: "DUMP"} | upper
    names = []
    for bits, name in table.items():
        if flags & bits:
            names.append(name)
            flags &= ~bits
    if flags:
        names.append(f"{flags:#x}")
    return "|".join(names)


def attribute_name(attributes: AttributeSet, path: tuple[int, ...]) -> str:
    """The C names along a path of attribute numbers, outermost first."""
    names = []
    value: Value | None = Nested(attributes)
    for number in path:
        if isinstance(value, Nested):
            names.append(value.attributes.name_of(number))
            value = value.attributes.table.get(number)
        else:
            names.append(str(number))
            value = value.element if isinstance(value, NestedArray) else None
    return "/".join(names)


def describe_error(error: DatapathError, attributes: AttributeSet | None) -> str:
    """An error with the names of the attributes that it blames, which are `attributes`."""
    text = f"{errno_name(error.errno)}: {error.message or os.strerror(error.errno)}"
    if error.path and attributes is not None:
        text += f" ({attribute_name(attributes, error.path)})"
    return printable(text)


def attributes_of(registry: Registry, request: bytes) -> tuple[AttributeSet, int] | None:
    """The attributes that a request may have, and the offset of the first; None if unknown."""
    if len(request) < GENERIC_HEADER_SIZE:
        return None
    header = GENERIC_HEADER.parse(request)
    family = registry.lookup(header.type)
    if family is None:
        return None
    return family.schema.attributes_of(header.command), family.schema.attributes_start


def printable(text: str) -> str:
    """The text with what would move a terminal's cursor, or is no character, escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _describe_fragment(data: bytes) -> Line:
    """Bytes that are no message of the length that they claim."""
    if len(data) == OVS_HEADER_SIZE:
        header = OVS_MESSAGE_HEADER.parse(data)
        if header == OvsMessageHeader(0, 0, 0, 0, header.pid, 0, 0, 0, 0):
            return Line(f"the answer to WIN_GET_PID, pid={header.pid}")
    return Line(f"no message: {_hex(data)}", is_error=True)


def _describe_message(
    registry: Registry,
    data: bytes,
    operation: DeviceOperation | None,
    request: bytes,
    verbose: bool,
) -> Line:
    header = NETLINK_HEADER.parse(data)
    try:
        if header.type in (ControlType.ERROR, ControlType.DONE):
            return _describe_answer(registry, data, header, request)
        if header.type < NLMSG_MIN_TYPE:
            name = _control_name(header.type)
            return Line(f"{name} {_describe_header(header, GET_FLAGS)} {_hex(data[16:])}".rstrip())
        family = registry.lookup(header.type)
        if family is None or len(data) < GENERIC_HEADER_SIZE:
            what = family.schema.name if family else f"family {header.type:#x}"
            return Line(f"{what} {_describe_header(header, GET_FLAGS)} {_hex(data[16:])}")
        line = _describe_generic(family, data, header, operation, verbose)
        return Line(printable(line.text), line.is_error, tuple(map(printable, line.tree)))
    except Exception as error:  # a family may come from another package, with errors of its own
        return Line(f"not decodable ({printable(str(error))}): {_hex(data)}", is_error=True)


def _describe_generic(
    family: Family,
    data: bytes,
    header: NetlinkHeader,
    operation: DeviceOperation | None,
    verbose: bool,
) -> Line:
    schema = family.schema
    command = GENERIC_HEADER.parse(data).command
    route = family.routes.get((command, operation)) if operation is not None else None
    name = route.name if route is not None else schema.command_name(command)
    upper = NEW_FLAGS if name.endswith(("_NEW", "_SET")) else GET_FLAGS
    head = f"{schema.name} {name} {_describe_header(header, upper)}"
    if len(data) < schema.attributes_start:
        return Line(f"{head} {_hex(data[GENERIC_HEADER_SIZE:])}")
    if schema.header_size:
        head += f" dp_ifindex={OVS_MESSAGE_HEADER.parse(data).dp_ifindex}"
    attributes = schema.attributes_of(command)
    try:
        values = attributes.parse(data, schema.attributes_start, strict_layout=True)
    except DatapathError as error:
        why = describe_error(error, attributes)
        return Line(f"{head} ({why}) {_hex(data[schema.attributes_start :])}")
    if verbose:
        return Line(head, tree=tuple(attribute_tree(attributes, values)))
    return Line(f"{head} {{{format_attributes(attributes, values)}}}")


def _describe_answer(
    registry: Registry, data: bytes, header: NetlinkHeader, request: bytes
) -> Line:
    """An NLMSG_ERROR, acknowledgement or NLMSG_DONE."""
    try:
        told = parse_error(data)
    except (struct.error, DatapathError):
        return Line(f"{_control_name(header.type)} {_hex(data)}", is_error=True)
    words = [_control_name(header.type)]
    if told.errno:
        words.append(errno_name(told.errno))
    elif header.type == ControlType.ERROR:
        words = ["ACK"]
    words.append(_describe_header(header, ANSWER_FLAGS))
    if told.message is not None:
        words.append(f'"{told.message}"')
    if told.offset is not None:
        if not header.flags & NLM_F_CAPPED:
            length = int.from_bytes(data[20:24], byteorder)
            request = data[20 : 20 + length]
        elif request[8:12] != data[8:12]:
            request = b""  # another one's: the sequence numbers differ
        words.append(_blame(registry, request, told.offset))
    return Line(printable(" ".join(words)), is_error=bool(told.errno))


def _blame(registry: Registry, request: bytes, offset: int) -> str:
    """The attribute at `offset` of a request; the offset where that cannot be told."""
    found = attributes_of(registry, request)
    path = path_at(request, found[1], offset) if found else ()
    return attribute_name(found[0], path) if found and path else f"at byte {offset}"


def _describe_header(header: NetlinkHeader, upper: dict[int, str]) -> str:
    words = [describe_flags(header.flags, upper)] if header.flags else []
    words.append(f"seq={header.sequence}")
    if header.pid:
        words.append(f"pid={header.pid}")
    return " ".join(words)


def _control_name(number: int) -> str:
    try:
        return f"NLMSG_{ControlType(number).name}"
    except ValueError:
        return f"NLMSG({number})"


def _hex(data: bytes) -> str:
    cut = f"... ({len(data)} bytes)" if len(data) > HEX_LIMIT else ""
    return data[:HEX_LIMIT].hex(" ", -4) + cut
