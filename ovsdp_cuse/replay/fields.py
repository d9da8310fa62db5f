"""The numbers in a message that are another system's choice: where they are, by the schemas."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from ovsdp_cuse.wire.actions import ActionList
from ovsdp_cuse.wire.attributes import (
    NLA_HEADER_SIZE,
    AttributeSet,
    Nested,
    NestedArray,
    walk,
)
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.netlink import GENERIC_HEADER_SIZE
from ovsdp_cuse.wire.values import Value


class Kind(Enum):
    """What a number is."""

    PID = "netlink PID"
    PORT = "port number"
    INTERFACE = "interface index"
    DATAPATH = "dp_ifindex"
    FAMILY = "family id"
    GROUP = "multicast group"


class Field(NamedTuple):
    """A number in a message: its offset and size in bytes, in the machine's order."""

    kind: Kind
    offset: int
    size: int


_KINDS: Final = {
    "CTRL_ATTR_FAMILY_ID": Kind.FAMILY,
    "CTRL_ATTR_MCAST_GRP_ID": Kind.GROUP,
    "OVS_NL_ATTR_MCAST_GRP": Kind.GROUP,
    "OVS_NL_ATTR_SOCK_PID": Kind.PID,
    "OVS_DP_ATTR_UPCALL_PID": Kind.PID,
    "OVS_DP_ATTR_PER_CPU_PIDS": Kind.PID,
    "OVS_VPORT_ATTR_PORT_NO": Kind.PORT,
    "OVS_VPORT_ATTR_UPCALL_PID": Kind.PID,
    "OVS_VPORT_ATTR_IFINDEX": Kind.INTERFACE,
    "OVS_KEY_ATTR_IN_PORT": Kind.PORT,
    "OVS_ACTION_ATTR_OUTPUT": Kind.PORT,
    "OVS_USERSPACE_ATTR_PID": Kind.PID,
    "OVS_USERSPACE_ATTR_EGRESS_TUN_PORT": Kind.PORT,
}
_SIZES: Final = {Kind.FAMILY: 2}
_USUAL_SIZE: Final = 4
_LEFT_OUT: Final = "OVS_FLOW_ATTR_MASK"
"""In a mask there are bits where a key has numbers."""

DATAPATH_FIELD: Final = Field(Kind.DATAPATH, GENERIC_HEADER_SIZE, _USUAL_SIZE)


def fields(schema: FamilySchema, message: bytes) -> Iterator[Field]:
    """The numbers of a message of a family, but for those of its netlink header."""
    start = schema.attributes_start
    if len(message) < start:
        return
    if schema.header_size:
        yield DATAPATH_FIELD
    attributes = schema.attributes_of(message[NETLINK_COMMAND])
    yield from _in_attributes(attributes, message, start, len(message))


NETLINK_COMMAND: Final = 16
"""The offset of genlmsghdr.cmd."""


def _in_attributes(attributes: AttributeSet, data: bytes, start: int, end: int) -> Iterator[Field]:
    for offset, number, payload in walk(data[:end], start):
        name = attributes.name_of(number)
        value = attributes.table.get(number)
        yield from _in_value(name, value, data, offset + NLA_HEADER_SIZE, len(payload))


def _in_value(
    name: str, value: Value | None, data: bytes, start: int, length: int
) -> Iterator[Field]:
    kind = _KINDS.get(name)
    if kind is not None:
        size = _SIZES.get(kind, _USUAL_SIZE)
        if length % size == 0:
            for at in range(start, start + length, size):
                yield Field(kind, at, size)
        return
    if name == _LEFT_OUT:
        return
    inner = unwrapped(value)
    if isinstance(inner, Nested):
        yield from _in_attributes(inner.attributes, data, start, start + length)
    elif isinstance(inner, NestedArray):
        for offset, _number, payload in walk(data[: start + length], start):
            at = offset + NLA_HEADER_SIZE
            yield from _in_value("", inner.element, data, at, len(payload))
    elif isinstance(inner, ActionList):
        for offset, number, payload in walk(data[: start + length], start):
            name = _ACTION_NAMES.get(number, "")
            at = offset + NLA_HEADER_SIZE
            yield from _in_value(name, inner.table.get(number), data, at, len(payload))


_ACTION_NAMES: Final = {1: "OVS_ACTION_ATTR_OUTPUT"}


def unwrapped(value: Value | None) -> Value | None:
    """What a value holds, without what only keeps or shows it (Unparsed)."""
    while isinstance(inner := getattr(value, "inner", None), Value):
        value = inner
    return value
