"""What a handle wants to be told of all that crosses the device: the filter of TRACE_FILTER.

It looks at what happened before any message of it is built. What answers a request is chosen with
the request's family and command; two choices show a request only when its answer is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EINVAL
from sys import byteorder

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.tap import Arrived
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.netlink import (
    GENERIC_HEADER_SIZE,
    NETLINK_HEADER_SIZE,
    NLMSG_MIN_TYPE,
    OVS_HEADER_SIZE,
)
from ovsdp_cuse.wire.trace import TraceFilterAttr, TraceKind, TraceRecord


@dataclass(frozen=True, eq=False, slots=True)
class TraceFilter:
    """What is to be shown; None and False let everything through.

    commands: (family's id, command's number), of which one must be met; the number None stands
    for all commands. with_datapath: the ids of the families that have a dp_ifindex.
    """

    pid: int | None = None
    process: int | None = None
    process_name: str | None = None
    commands: frozenset[tuple[int, int | None]] | None = None
    datapath: int | None = None
    errors: bool = False
    slower_ns: int | None = None
    with_datapath: frozenset[int] = field(default=frozenset())

    @classmethod
    def parse(cls, attributes: Attributes, registry: Registry) -> TraceFilter | None:
        """The filter that a TRACE_FILTER asks for; None where it asks for everything.

        Raises EINVAL, with the attribute's path, for a family or a command that is not served.
        """
        if not attributes:
            return None
        return cls(
            attributes.get(TraceFilterAttr.PID),
            attributes.get(TraceFilterAttr.PROCESS),
            attributes.get(TraceFilterAttr.PROCESS_NAME),
            _commands(
                registry,
                attributes.get(TraceFilterAttr.FAMILY),
                attributes.get(TraceFilterAttr.COMMAND),
            ),
            attributes.get(TraceFilterAttr.DATAPATH),
            TraceFilterAttr.ERRORS in attributes,
            attributes.get(TraceFilterAttr.SLOWER_NS),
            frozenset(family.schema.id for family in registry if family.schema.header_size),
        )

    def choose(self, record: TraceRecord, request: Arrived | None) -> Iterator[TraceRecord]:
        """What to show now that `record` has come: nothing, it, or first the request it answers."""
        if not self._is_wanted(record, request):
            return
        if request is not None and self not in request.shown:
            request.shown.add(self)
            if request.record is not record:
                yield request.record
        yield record

    def _is_wanted(self, record: TraceRecord, request: Arrived | None) -> bool:
        if self.pid is not None and record.pid != self.pid:
            return False
        if self.process is not None and record.process != self.process:
            return False
        if self.process_name is not None and record.command != self.process_name:
            return False
        if self.errors and not record.errno and record.kind is not TraceKind.LOST:
            return False
        slower_ns = self.slower_ns
        if slower_ns is not None and (record.latency_ns is None or record.latency_ns <= slower_ns):
            return False
        if self.commands is not None and not self._has_command(request, record):
            return False
        return self.datapath is None or self._has_datapath(request, record)

    def _has_command(self, request: Arrived | None, record: TraceRecord) -> bool:
        message = record.message if request is None else request.data
        commands = self.commands
        if commands is None or len(message) < GENERIC_HEADER_SIZE:
            return False
        family = int.from_bytes(message[4:6], byteorder)
        return (family, message[16]) in commands or (family, None) in commands

    def _has_datapath(self, request: Arrived | None, record: TraceRecord) -> bool:
        """Whether a message of the record is of the datapath, or an error's request is."""
        is_answer = False
        for family, dp_ifindex in self._datapaths(record.message):
            if dp_ifindex == self.datapath:
                return True
            is_answer |= family < NLMSG_MIN_TYPE
        if request is None or not (is_answer or not record.message):
            return False
        return any(
            dp_ifindex == self.datapath for _family, dp_ifindex in self._datapaths(request.data)
        )

    def _datapaths(self, data: bytes) -> Iterator[tuple[int, int | None]]:
        """(nlmsg_type, dp_ifindex) of each message; None for one that has no dp_ifindex."""
        start = 0
        while start + NETLINK_HEADER_SIZE <= len(data):
            length = int.from_bytes(data[start : start + 4], byteorder)
            if length < NETLINK_HEADER_SIZE:
                return
            family = int.from_bytes(data[start + 4 : start + 6], byteorder)
            has_it = family in self.with_datapath and start + OVS_HEADER_SIZE <= len(data)
            yield (
                family,
                int.from_bytes(data[start + 20 : start + 24], byteorder) if has_it else None,
            )
            start += (length + 3) & ~3


def _commands(
    registry: Registry, family_name: str | None, command_name: str | None
) -> frozenset[tuple[int, int | None]] | None:
    """The family and command that names stand for; None where there is no name.

    Commands have the names of their routes, and those of their numbers: one number may stand for
    several, and an answer has the number alone.
    """
    if family_name is None and command_name is None:
        return None
    families = list(registry)
    if family_name is not None:
        families = [family for family in families if family.schema.name == family_name]
        if not families:
            known = ", ".join(family.schema.name for family in registry)
            raise DatapathError(
                EINVAL,
                f"no family is named {family_name!r}; there are {known}",
                (TraceFilterAttr.FAMILY,),
            )
    if command_name is None:
        return frozenset((family.schema.id, None) for family in families)
    names: dict[str, set[tuple[int, int | None]]] = {}
    for family in families:
        schema = family.schema
        for number in schema.commands:
            names.setdefault(schema.command_name(number), set()).add((schema.id, int(number)))
        for command in family.commands:
            names.setdefault(command.name, set()).add((schema.id, command.number))
    if command_name not in names:
        known = f"; {family_name} has {', '.join(names)}" if family_name is not None else ""
        raise DatapathError(
            EINVAL, f"no command is named {command_name!r}{known}", (TraceFilterAttr.COMMAND,)
        )
    return frozenset(names[command_name])
