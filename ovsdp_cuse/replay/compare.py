"""Two answers to the same request, and what is not the same in them.

What counts traffic or time, or is made of a secret, is left out (VOLATILE). Texts of errors are not
compared: they are each implementation's own. Where the capture blames an attribute for an error, so
must the answer; the order of a dump is nobody's promise, nor where it is cut into datagrams.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from ovsdp_cuse.errors import DatapathError, errno_name
from ovsdp_cuse.replay.fields import NETLINK_COMMAND, unwrapped
from ovsdp_cuse.replay.numbers import Side
from ovsdp_cuse.wire.attributes import (
    NLA_TYPE_MASK,
    AttributeSet,
    Nested,
    NestedArray,
)
from ovsdp_cuse.wire.ct_limit import ZoneLimits
from ovsdp_cuse.wire.netlink import (
    GENERIC_HEADER_SIZE,
    NETLINK_HEADER,
    NETLINK_HEADER_SIZE,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    OVS_MESSAGE_HEADER,
    ControlType,
    parse_error,
)
from ovsdp_cuse.wire.values import Value

VOLATILE: Final = frozenset(
    {
        "OVS_DP_ATTR_STATS",
        "OVS_DP_ATTR_MEGAFLOW_STATS",
        "OVS_VPORT_ATTR_STATS",
        "OVS_VPORT_ATTR_UPCALL_STATS",
        "OVS_FLOW_ATTR_STATS",
        "OVS_FLOW_ATTR_TCP_FLAGS",
        "OVS_FLOW_ATTR_USED",
        "OVS_METER_ATTR_STATS",
        "OVS_METER_ATTR_USED",
        "OVS_BAND_ATTR_STATS",
        "OVS_PACKET_ATTR_HASH",
        "OVS_WIN_NETDEV_ATTR_MAC_ADDR",
    }
)
"""Attributes that are not compared: counts, times, hashes, and the addresses of new interfaces."""

_ABSENT: Final = "none"
_CONTROL: Final = (ControlType.ERROR, ControlType.DONE)


@dataclass(frozen=True, slots=True)
class Difference:
    """where: such as "reply 1: OVS_FLOW_ATTR_KEY/OVS_KEY_ATTR_IN_PORT". recorded, got: what is
    there in the capture, and now."""

    where: str
    recorded: str
    got: str

    def __str__(self) -> str:
        return f"{self.where}: recorded {self.recorded}, got {self.got}"


def compare(
    side: Side, request: bytes, recorded: Sequence[bytes], got: Sequence[bytes], what: str = "reply"
) -> list[Difference]:
    """What differs in the answers to a request; all of them have the numbers of the capture.

    side: the capture's families.
    """
    if len(request) >= NETLINK_HEADER_SIZE and is_dump(request):
        recorded, got = _unordered(side, recorded, got)
    found: list[Difference] = []
    for number, (there, here) in enumerate(zip_longest(recorded, got)):
        place = what if max(len(recorded), len(got)) == 1 else f"{what} {number + 1}"
        found += _messages(side, place, there, here)
    return found


def is_dump(request: bytes) -> bool:
    """Whether a request asks for a dump."""
    flags = NETLINK_HEADER.parse(request).flags
    return flags & NLM_F_DUMP == NLM_F_DUMP and bool(flags & NLM_F_REQUEST)


def kind_of(side: Side, message: bytes | None) -> str:
    """What sort of message it is: OVS_DP_CMD_NEW, NLMSG_ERROR EEXIST, ACK, NLMSG_DONE."""
    if message is None:
        return _ABSENT
    number = NETLINK_HEADER.parse(message).type
    if number in _CONTROL:
        try:
            errno = parse_error(message).errno
        except (struct.error, DatapathError):
            return f"NLMSG_{ControlType(number).name} of {len(message)} bytes"
        if number == ControlType.ERROR and not errno:
            return "ACK"
        name = f"NLMSG_{ControlType(number).name}"
        return f"{name} {errno_name(errno)}" if errno else name
    schema = side.schema_of(message)
    if schema is None or len(message) < GENERIC_HEADER_SIZE:
        return f"a message of type {number:#x}"
    return schema.command_name(message[NETLINK_COMMAND])


def _unordered(
    side: Side, recorded: Sequence[bytes], got: Sequence[bytes]
) -> tuple[list[bytes], list[bytes]]:
    """Two dumps with what they have in common first, in the same order; then the rest of each."""
    rest = [(_essence(side, message), message) for message in got]
    pairs: list[tuple[bytes, bytes]] = []
    alone: list[bytes] = []
    for message in recorded:
        essence = _essence(side, message)
        at = next((i for i, (other, _message) in enumerate(rest) if other == essence), None)
        if at is None:
            alone.append(message)
        else:
            pairs.append((message, rest.pop(at)[1]))
    # The end comes last, so that an object that is missing is not compared with it.
    left, more = (
        sorted(messages, key=lambda message: NETLINK_HEADER.parse(message).type in _CONTROL)
        for messages in (alone, [message for _essence, message in rest])
    )
    return [one for one, _ in pairs] + left, [other for _, other in pairs] + more


def _essence(side: Side, message: bytes) -> bytes:
    """What of a message is compared, but for its netlink header."""
    schema = side.schema_of(message)
    if schema is None or len(message) < schema.attributes_start:
        return message[4:8] + message[NETLINK_HEADER_SIZE:]
    attributes = schema.attributes_of(message[NETLINK_COMMAND])
    start = schema.attributes_start
    kept = repr(_kept(attributes, message[start:]))
    return message[4:8] + message[NETLINK_HEADER_SIZE:start] + kept.encode()


def _messages(
    side: Side, place: str, there: bytes | None, here: bytes | None
) -> Iterator[Difference]:
    kinds = kind_of(side, there), kind_of(side, here)
    if kinds[0] != kinds[1] or there is None or here is None:
        yield Difference(place, *kinds)
        return
    one, other = NETLINK_HEADER.parse(there), NETLINK_HEADER.parse(here)
    ignored = NLM_F_ACK_TLVS if one.type in _CONTROL else 0
    yield from _plain(
        place,
        ("nlmsg_flags", one.flags & ~ignored, other.flags & ~ignored),
        ("nlmsg_seq", one.sequence, other.sequence),
        ("nlmsg_pid", one.pid, other.pid),
    )
    if one.type == ControlType.ERROR:
        yield from _errors(place, there, here)
    schema = side.schema_of(there)
    if schema is None or len(there) < schema.attributes_start:
        return
    if schema.header_size:
        heads = OVS_MESSAGE_HEADER.parse(there), OVS_MESSAGE_HEADER.parse(here)
        yield from _plain(place, ("dp_ifindex", heads[0].dp_ifindex, heads[1].dp_ifindex))
    start = schema.attributes_start
    attributes = schema.attributes_of(there[NETLINK_COMMAND])
    yield from _attributes(f"{place}: ", attributes, there[start:], here[start:])


def _plain(place: str, *values: tuple[str, int, int]) -> Iterator[Difference]:
    for name, there, here in values:
        if there != here:
            yield Difference(f"{place}: {name}", str(there), str(here))


def _errors(place: str, there: bytes, here: bytes) -> Iterator[Difference]:
    """Two NLMSG_ERRORs."""
    one, other = _echo(there), _echo(here)
    if len(one) != len(other):
        yield Difference(f"{place}: echo", f"{len(one)} bytes", f"{len(other)} bytes")
    elif _without_flags(one) != _without_flags(other):
        yield Difference(f"{place}: echo", one.hex(" ", -4), other.hex(" ", -4))
    offset = parse_error(there).offset
    if offset is not None:
        blamed = parse_error(here).offset
        yield from _texts(f"{place}: attribute to blame", f"at byte {offset}", f"at byte {blamed}")


def _echo(message: bytes) -> bytes:
    """The request in an error, or its header."""
    header = NETLINK_HEADER.parse(message)
    size = NETLINK_HEADER_SIZE
    if parse_error(message).errno and not header.flags & NLM_F_CAPPED:
        size = NETLINK_HEADER.parse(message, GENERIC_HEADER_SIZE).length
    return message[GENERIC_HEADER_SIZE : GENERIC_HEADER_SIZE + size]


def _without_flags(request: bytes) -> bytes:
    """A request that came by ioctl is sent to the kernel with other ones."""
    return request[:6] + request[8:]


def _texts(place: str, there: str, here: str) -> Iterator[Difference]:
    if there != here:
        yield Difference(place, there, here)


def _raw(data: bytes) -> list[tuple[int, bytes]] | None:
    """(nla_type, payload) of each attribute; None where the bytes are not made of attributes."""
    found = []
    start = 0
    while start < len(data):
        if len(data) - start < 4:
            return None
        length, number = struct.unpack_from("=HH", data, start)
        if not 4 <= length <= len(data) - start:
            return None
        found.append((number, data[start + 4 : start + length]))
        start += (length + 3) & ~3
    return found


def _kept(attributes: AttributeSet, data: bytes) -> object:
    """The attributes that are compared, in a form that is equal where they are."""
    raw = _raw(data)
    if raw is None:
        return data
    return [
        (number, _kept_value(attributes.table.get(number & NLA_TYPE_MASK), payload))
        for number, payload in raw
        if attributes.name_of(number & NLA_TYPE_MASK) not in VOLATILE
    ]


def _kept_value(value: Value | None, payload: bytes) -> object:
    inner = unwrapped(value)
    if isinstance(inner, Nested):
        return _kept(inner.attributes, payload)
    if isinstance(inner, NestedArray):
        raw = _raw(payload)
        if raw is not None:
            return [(number, _kept_value(inner.element, element)) for number, element in raw]
    if isinstance(inner, ZoneLimits):
        return [(limit.zone_id, limit.limit) for limit in inner.decode(payload, False)]
    return payload


def _attributes(
    place: str, attributes: AttributeSet, there: bytes, here: bytes
) -> Iterator[Difference]:
    if _kept(attributes, there) == _kept(attributes, here):
        return
    sides = _raw(there), _raw(here)
    if sides[0] is None or sides[1] is None:
        yield Difference(f"{place}attributes", there.hex(), here.hex())
        return
    one, other = (
        {
            _name(attributes, number): (number, payload)
            for number, payload in side or ()
            if attributes.name_of(number & NLA_TYPE_MASK) not in VOLATILE
        }
        for side in sides
    )
    if set(one) == set(other) and list(one) != list(other):
        yield Difference(f"{place}order", " ".join(one), " ".join(other))
    for name in dict.fromkeys((*one, *other)):
        number = (one.get(name) or other[name])[0] & NLA_TYPE_MASK
        value = attributes.table.get(number)
        if name not in one:
            yield Difference(place + name, _ABSENT, _show(value, other[name][1]))
        elif name not in other:
            yield Difference(place + name, _show(value, one[name][1]), _ABSENT)
        elif _kept_value(value, one[name][1]) != _kept_value(value, other[name][1]):
            yield from _values(place + name, value, one[name][1], other[name][1])


def _values(place: str, value: Value | None, there: bytes, here: bytes) -> Iterator[Difference]:
    inner = unwrapped(value)
    if isinstance(inner, Nested):
        yield from _attributes(f"{place}/", inner.attributes, there, here)
        return
    texts = _show(value, there), _show(value, here)
    if texts[0] == texts[1]:
        texts = there.hex(" ", -4), here.hex(" ", -4)
    yield Difference(place, *texts)


def _name(attributes: AttributeSet, number: int) -> str:
    """An attribute's name, with the flags that its type has."""
    name = attributes.name_of(number & NLA_TYPE_MASK)
    flags = number & ~NLA_TYPE_MASK
    return f"{name}|{flags:#x}" if flags else name


def _show(value: Value | None, payload: bytes) -> str:
    """A payload as a person reads it; hexadecimal where nobody can."""
    if value is not None:
        try:
            return value.format(value.decode(payload, False))
        except (DatapathError, struct.error, ValueError):
            pass
    return payload.hex(" ", -4) or "(empty)"
