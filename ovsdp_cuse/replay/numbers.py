"""Which number here stands for which number of the capture.

Numbers are learned from answers: an object is the same when it has the same name. What nobody has
told is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from sys import byteorder

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.replay.fields import Kind, fields
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, NETLINK_HEADER_SIZE, ControlType
from ovsdp_cuse.wire.vport import VPORT, VportAttr

Schemas = Mapping[str, FamilySchema]
"""By the families' names."""

_ECHO = NETLINK_HEADER_SIZE + 4
"""Where an NLMSG_ERROR has the request that it is for, or its header."""
_TYPE, _PID = slice(4, 6), slice(12, 16)


class Side:
    """One side's numbers of the families and multicast groups, and their schemas by number."""

    def __init__(self, schemas: Schemas, ids: Mapping[str, int], groups: Mapping[int, str]) -> None:
        self.ids = dict(ids)
        self.names = {number: name for name, number in ids.items()}
        self.groups = dict(groups)
        self.group_ids = {name: number for number, name in groups.items()}
        self.schemas = {number: schemas[name] for name, number in ids.items() if name in schemas}

    def schema_of(self, message: bytes) -> FamilySchema | None:
        """The schema of a message's family."""
        return self.schemas.get(NETLINK_HEADER.parse(message).type)

    def parse(self, message: bytes) -> Message | None:
        """A message of a family that is known; None where it is not, or cannot be parsed."""
        schema = self.schema_of(message)
        try:
            return schema.parse(message) if schema is not None else None
        except DatapathError:
            return None


class _Pairs:
    """Numbers of one kind: the capture's and ours."""

    def __init__(self) -> None:
        self.ours: dict[tuple[int, int], int] = {}
        self.recorded: dict[tuple[int, int], int] = {}

    def bind(self, recorded: tuple[int, int], ours: tuple[int, int]) -> None:
        """(where it is valid, number) of both; what was bound to one of them is so no more."""
        stale = self.ours.get(recorded), self.recorded.get(ours)
        if stale[0] is not None:
            self.recorded.pop((ours[0], stale[0]), None)
        if stale[1] is not None:
            self.ours.pop((recorded[0], stale[1]), None)
        self.ours[recorded] = ours[1]
        self.recorded[ours] = recorded[1]


class Numbers:
    """What stands for what. recorded, ours: the families and groups of the two sides."""

    def __init__(self, recorded: Side, ours: Side) -> None:
        self.recorded = recorded
        self.ours = ours
        self._pairs = {kind: _Pairs() for kind in Kind}
        for name, number in recorded.ids.items():
            if name in ours.ids:
                self._pairs[Kind.FAMILY].bind((0, number), (0, ours.ids[name]))
        for number, name in recorded.groups.items():
            if name in ours.group_ids:
                self._pairs[Kind.GROUP].bind((0, number), (0, ours.group_ids[name]))

    def bind_pid(self, recorded: int, ours: int) -> None:
        """A handle of the capture, and the one that stands for it."""
        self._pairs[Kind.PID].bind((0, recorded), (0, ours))

    def pids_in(self, message: bytes) -> Iterable[int]:
        """The PIDs that a message of the capture names beside that of who sends it."""
        schema = self.recorded.schema_of(message)
        if schema is None:
            return ()
        return [
            int.from_bytes(message[field.offset : field.offset + field.size], byteorder)
            for field in fields(schema, message)
            if field.kind is Kind.PID
        ]

    def to_ours(self, message: bytes) -> bytes:
        """A message of the capture, to be sent."""
        schema = self.recorded.schema_of(message)
        return self._translate(message, schema, lambda kind: self._pairs[kind].ours, True)

    def to_recorded(self, message: bytes) -> bytes:
        """An answer, as the capture would have it."""
        schema = self.ours.schema_of(message)
        return self._translate(message, schema, lambda kind: self._pairs[kind].recorded, False)

    def learn(self, recorded: Iterable[bytes], ours: Iterable[bytes]) -> None:
        """Learn from two answers to the same request, whose messages have each side's numbers."""
        there = dict(self._named(self.recorded, recorded))
        for name, here in self._named(self.ours, ours):
            if name in there:
                self._bind_object(name[0], there[name], here)

    def _bind_object(self, family: str, there: Message, here: Message) -> None:
        if there.dp_ifindex and here.dp_ifindex:
            pair = (0, there.dp_ifindex), (0, here.dp_ifindex)
            self._pairs[Kind.DATAPATH].bind(*pair)
        if family != VPORT.name:
            return
        for kind, number in (
            (Kind.INTERFACE, VportAttr.IFINDEX),
            (Kind.PORT, VportAttr.PORT_NO),
        ):
            if number in there.attributes and number in here.attributes:
                scopes = (there.dp_ifindex, here.dp_ifindex) if kind is Kind.PORT else (0, 0)
                self._pairs[kind].bind(
                    (scopes[0], there.attributes[number]), (scopes[1], here.attributes[number])
                )

    @staticmethod
    def _named(side: Side, messages: Iterable[bytes]) -> Iterable[tuple[tuple[str, str], Message]]:
        """The datapaths and ports among messages, by family and name."""
        for message in messages:
            name_of = _NAMES.get(side.names.get(NETLINK_HEADER.parse(message).type, ""))
            parsed = side.parse(message) if name_of is not None else None
            if parsed is not None and name_of is not None and name_of in parsed.attributes:
                family = side.names[parsed.type]
                yield (family, parsed.attributes[name_of]), parsed

    def _translate(
        self,
        message: bytes,
        schema: FamilySchema | None,
        table_of: Callable[[Kind], Mapping[tuple[int, int], int]],
        to_ours: bool,
    ) -> bytes:
        if len(message) < NETLINK_HEADER_SIZE:
            return message
        changed = bytearray(message)

        def put(kind: Kind, where: slice, scope: int = 0) -> None:
            number = int.from_bytes(message[where], byteorder)
            other = table_of(kind).get((scope, number), number)
            changed[where] = other.to_bytes(where.stop - where.start, byteorder)

        put(Kind.PID, _PID)
        if NETLINK_HEADER.parse(message).type == ControlType.ERROR:
            side = self.recorded if to_ours else self.ours
            echoed = message[_ECHO:]
            if len(echoed) >= NETLINK_HEADER_SIZE:
                schema = side.schema_of(echoed)
                changed[_ECHO:] = self._translate(echoed, schema, table_of, to_ours)
            return bytes(changed)
        put(Kind.FAMILY, _TYPE)
        if schema is None:
            return bytes(changed)
        scope = 0
        for field in fields(schema, message):
            where = slice(field.offset, field.offset + field.size)
            if field.kind is Kind.DATAPATH:
                scope = int.from_bytes(message[where], byteorder)
            put(field.kind, where, scope if field.kind is Kind.PORT else 0)
        return bytes(changed)


_NAMES: Mapping[str, int] = {DATAPATH.name: DpAttr.NAME, VPORT.name: VportAttr.NAME}
