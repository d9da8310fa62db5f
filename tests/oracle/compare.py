"""What is the same in two answers, and the first field that is not.

Bytes are compared, but for what differs by nature:

- the ids of families and groups that nlctrl tells (peers.py translates those in headers);
- the text of an extended acknowledgement, and where it has none, whether there is one: texts are
  our own. Where the kernel says at which byte of the request the trouble is, so do we;
- a packet's hash, whose function has a secret, but for small ones, which the tests have chosen.
  Whether a computed one is of layer 4 is for Linux's flow dissector to say;
- interface indexes, but for those that the tests have chosen;
- `used` times, of which both must tell within seconds of each other;
- the order of a dump of flows, which has none, and where dumps are cut into datagrams.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from sys import byteorder

from ovsdp_cuse.errors import errno_name
from ovsdp_cuse.families.describe import describe
from ovsdp_cuse.families.registry import Registry
from tests.oracle.messages import (
    ACK_TLVS,
    DATAPATH,
    DP,
    DUMP,
    FAMILY_NAMES,
    FLOW,
    METER,
    NLCTRL,
    NLMSG_DONE,
    NLMSG_ERROR,
    PACKET,
    VPORT,
    Ctrl,
    Dp,
    Flow,
    Key,
    Meter,
    Packet,
    Vport,
    attributes,
    body_start,
    errno_of,
    head,
)
from tests.oracle.peers import Answers
from tests.oracle.steps import INDEXES

USED_TOLERANCE_MS = 20_000
LARGEST_CHOSEN_HASH = 0xFFFF
CHOSEN_INDEXES = {DP, *INDEXES.values()}
_NUMBERS = {
    FLOW: Flow,
    METER: Meter,
    NLCTRL: Ctrl,
    DATAPATH: Dp,
    PACKET: Packet,
    VPORT: Vport,
}
_KEYS = {FLOW: (Flow.KEY, Flow.MASK), PACKET: (Packet.KEY,)}
_USED = {FLOW: Flow.USED, METER: Meter.USED}
_COMMON_FLAGS = 0xFF


@dataclass(frozen=True)
class Difference:
    """where: the first field that differs, such as "reply 1: OVS_FLOW_ATTR_MASK". ours, theirs:
    what it is here and at the kernel."""

    label: str
    request: bytes
    where: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.label}\n    {self.where}: {self.ours}, the kernel: {self.theirs}"


def compare(
    label: str, written: Sequence[bytes], ours: Answers, theirs: Answers
) -> Difference | None:
    """The first difference of two answers to the same write."""
    if ours == theirs:
        return None
    request = b"".join(written)
    for where, here, there in _fields(request, ours, theirs):
        if here != there:
            return Difference(label, request, where, here, there)
    return None


def _fields(request: bytes, ours: Answers, theirs: Answers) -> Iterator[tuple[str, str, str]]:
    """(place, ours, the kernel's) of all that is to be the same."""
    yield "the system call", errno_name(ours.failure), errno_name(theirs.failure)
    for what, here, there in (
        ("reply", ours.replies, theirs.replies),
        ("event", ours.events, theirs.events),
    ):
        if len(request) >= 16 and head(request).type == FLOW and head(request).flags & DUMP == DUMP:
            here, there = _sorted_objects(here), _sorted_objects(there)
        for number, (one, other) in enumerate(zip_longest(here, there)):
            yield f"{what} {number}", _kind(one), _kind(other)
            for place, value, expected in _message_fields(one, other):
                yield f"{what} {number}: {place}", value, expected


def _sorted_objects(messages: Sequence[bytes]) -> tuple[bytes, ...]:
    """Flows in the order of their attributes, then the end."""
    flows = sorted((m for m in messages if head(m).type == FLOW), key=lambda m: m[24:])
    return *flows, *(m for m in messages if head(m).type != FLOW)


def _kind(message: bytes | None) -> str:
    """What sort of message it is."""
    if message is None:
        return "none"
    family = head(message).type
    errno = errno_of(message)
    if errno is not None:
        what = "done" if family == NLMSG_DONE else "error"
        return f"{what} {errno_name(errno)}" if errno else "done" if what == "done" else "ack"
    return f"{FAMILY_NAMES.get(family, family)} {message[16]}"


def _message_fields(ours: bytes, theirs: bytes) -> Iterator[tuple[str, str, str]]:
    here, there = head(ours), head(theirs)
    yield "nlmsg_flags", hex(_flags(ours)), hex(_flags(theirs))
    yield "nlmsg_seq", str(here.sequence), str(there.sequence)
    yield "nlmsg_pid", str(here.pid), str(there.pid)
    if here.type == NLMSG_ERROR:
        yield from _error_fields(ours, theirs)
        return
    if here.type == NLMSG_DONE:
        return
    start = body_start(here.type)
    yield "headers", ours[16:start].hex(), theirs[16:start].hex()
    yield from _attribute_fields(here.type, ours[start:], theirs[start:])
    yield "nlmsg_len", str(here.length), str(there.length)


def _flags(message: bytes) -> int:
    header = head(message)
    return header.flags & ~ACK_TLVS if header.type in (NLMSG_ERROR, NLMSG_DONE) else header.flags


def _error_fields(ours: bytes, theirs: bytes) -> Iterator[tuple[str, str, str]]:
    echoed, offset = _error_parts(ours)
    expected, wanted = _error_parts(theirs)
    yield "echoed request", echoed.hex(), expected.hex()
    if wanted is not None:
        yield "NLMSGERR_ATTR_OFFS", str(offset), str(wanted)


def _error_parts(message: bytes) -> tuple[bytes, int | None]:
    """The request in an NLMSG_ERROR, and the offset that it blames."""
    end = head(message).length
    if head(message).flags & ACK_TLVS:
        capped = not errno_of(message)
        size = 16 if capped else head(message[20:36]).length
        end = 20 + (size + 3 & ~3)
    told = dict(attributes(message[end:]) or ())
    offset = told.get(2)
    return message[20:end], None if offset is None else int(struct.unpack("=I", offset)[0])


def _attribute_fields(family: int, ours: bytes, theirs: bytes) -> Iterator[tuple[str, str, str]]:
    """The attributes of two messages, in order."""
    here, there = attributes(ours), attributes(theirs)
    if here is None or there is None:
        yield "attributes", ours.hex(), theirs.hex()
        return
    names = [name_of(family, number) for number, _payload in here]
    yield "attributes", " ".join(names), " ".join(name_of(family, n) for n, _payload in there)
    for name, (number, one), (_number, other) in zip(names, here, there, strict=True):
        if number == _USED.get(family) and len(one) == len(other) == 8:
            apart = abs(struct.unpack("=q", one)[0] - struct.unpack("=q", other)[0])
            yield name, f"near: {apart < USED_TOLERANCE_MS}", "near: True"
        elif (family, number) == (PACKET, Packet.HASH):
            yield name, _hash(one), _hash(other)
        elif (family, number) == (VPORT, Vport.IFINDEX):
            yield name, _index(one), _index(other)
        elif number in _KEYS.get(family, ()):
            yield from _key_fields(name, family, one, other)
        elif family == NLCTRL and number in (Ctrl.FAMILY_ID, Ctrl.MCAST_GROUPS):
            yield name, _without_ids(number, one), _without_ids(number, other)
        else:
            yield name, one.hex(" ", -4), other.hex(" ", -4)


def _key_fields(
    name: str, family: int, ours: bytes, theirs: bytes
) -> Iterator[tuple[str, str, str]]:
    """The attributes of two flow keys or masks, in order. ENCAP is compared as bytes."""
    here, there = attributes(ours), attributes(theirs)
    if here is None or there is None:
        yield name, ours.hex(), theirs.hex()
        return
    numbers, expected = ([number for number, _payload in key] for key in (here, there))
    yield name, _key_names(numbers), _key_names(expected)
    for number, (_number, one), (_other, other) in zip(numbers, here, there, strict=True):
        if (family, number) == (PACKET, Key.DP_HASH):
            yield f"{name}/DP_HASH", _hash(one), _hash(other)
        else:
            yield f"{name}/{Key(number).name}", one.hex(" ", -4), other.hex(" ", -4)


def _key_names(numbers: Sequence[int]) -> str:
    return " ".join(Key(number).name for number in numbers)


def _hash(payload: bytes) -> str:
    """The bits of a packet's hash, and what is known of its value."""
    number = int.from_bytes(payload, byteorder)
    value = number & 0xFFFFFFFF
    if value > LARGEST_CHOSEN_HASH:
        return f"{len(payload)} bytes, computed{' by software' if number >> 32 & 1 else ''}"
    return f"{len(payload)} bytes, {number:#x}"


def _index(payload: bytes) -> str:
    """An interface index, where it was chosen here."""
    number = int.from_bytes(payload, byteorder)
    return str(number) if number in CHOSEN_INDEXES else f"another, {len(payload)} bytes"


def _without_ids(number: int, payload: bytes) -> str:
    """A family's id, or its groups, without the numbers."""
    if number == Ctrl.FAMILY_ID:
        return f"{len(payload)} bytes"
    groups = (dict(attributes(group) or ()) for _index, group in attributes(payload) or ())
    return " ".join(f"{group.get(1)!r} {len(group.get(2, b''))}" for group in groups)


def name_of(family: int, number: int) -> str:
    """An attribute's name."""
    names = _NUMBERS.get(family)
    low = number & 0x3FFF
    name = names(low).name if names is not None and low in {int(n) for n in names} else str(low)
    return name if low == number else f"{name}|{number - low:#x}"


def explain(registry: Registry, difference: Difference, ours: Answers, theirs: Answers) -> str:
    """A difference with the request and both answers in words."""
    lines = [str(difference)]
    for title, messages in (
        ("request", [difference.request]),
        ("ours", [*ours.replies, *ours.events]),
        ("kernel", [*theirs.replies, *theirs.events]),
    ):
        for message in messages:
            told = describe(registry, message, request=difference.request)
            lines += [f"    {title}: {line.text}" for line in told]
    return "\n".join(lines)
