"""What was traced, as a person reads it: each message decoded, on one line.

    7 ovs-vsctl[4321] > TRANSACT ovs_datapath OVS_DP_CMD_GET REQUEST seq=1 dp_ifindex=0 {NAME="dp0"}
    7 ovs-vsctl[4321] < 134us ovs_datapath OVS_DP_CMD_NEW seq=1 pid=7 dp_ifindex=1 {NAME="dp0", ...}

That is the handle's PID, the command and process id of who opened it, and the direction: `>` from
the client, `<` to it, `!` what failed: an ioctl, or a datagram that found no room. Then comes of a
request its door (a device operation, or STREAM), of what answers it the time since it came, and of
what nobody asked for `notification` or `upcall`; and the message.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.describe import attributes_of, describe, describe_error, printable
from ovsdp_cuse.families.registry import DeviceOperation, Registry
from ovsdp_cuse.wire.trace import TraceKind, TraceRecord

HANDLES_KEPT = 1024
"""Handles of which the last request is remembered; the one that was heard of longest ago goes."""


class Colour(IntEnum):
    """SGR codes (ECMA-48)."""

    DIM = 2
    RED = 31
    GREEN = 32
    YELLOW = 33
    CYAN = 36


class TraceLine(NamedTuple):
    """A line of what was traced."""

    text: str
    colour: Colour

    def painted(self) -> str:
        """The line with its colour, for a terminal."""
        return f"\x1b[{self.colour.value}m{self.text}\x1b[0m"


def duration(nanoseconds: int) -> str:
    """A time with three digits: 12us, 1.23ms, 45.6s."""
    if nanoseconds < 999_500:
        return f"{nanoseconds / 1000:.0f}us"
    scaled, unit = nanoseconds / 1e6, "ms"
    if nanoseconds >= 999_500_000:
        scaled, unit = nanoseconds / 1e9, "s"
    return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{unit}"


class TraceText:
    """Makes lines of records, which must come in their order.

    verbose: the attributes are a tree of lines below that of their message.
    """

    def __init__(self, registry: Registry, verbose: bool = False) -> None:
        self._registry = registry
        self._verbose = verbose
        self._requests: dict[int, bytes] = {}
        self._forms: dict[TraceKind, Callable[[TraceRecord], list[TraceLine]]] = {
            TraceKind.OPENED: self._opened,
            TraceKind.CLOSED: self._closed,
            TraceKind.REQUEST: self._request,
            TraceKind.REPLY: self._reply,
            TraceKind.NOTIFICATION: self._unasked,
            TraceKind.UPCALL: self._unasked,
            TraceKind.LOST: self._lost,
            TraceKind.REFUSED: self._refused,
            TraceKind.PID_TOLD: self._pid_told,
            TraceKind.HANDLED: self._handled,
        }

    def lines(self, record: TraceRecord) -> list[TraceLine]:
        """The lines of a record: at least one, and of a dump's part one for each message."""
        who = f"{record.pid} {printable(record.command)}[{record.process}]"
        told = self._forms[record.kind](record)
        return [
            line if line.text.startswith(" ") else TraceLine(f"{who} {line.text}", line.colour)
            for line in told
        ]

    def _opened(self, record: TraceRecord) -> list[TraceLine]:
        how = "opened " if record.text.startswith("read-only") else "opened, "
        return [TraceLine((how + printable(record.text)).rstrip(", "), Colour.DIM)]

    def _closed(self, record: TraceRecord) -> list[TraceLine]:
        self._requests.pop(record.pid, None)
        return [TraceLine("closed", Colour.DIM)]

    def _request(self, record: TraceRecord) -> list[TraceLine]:
        self._requests.pop(record.pid, None)
        self._requests[record.pid] = record.message
        if len(self._requests) > HANDLES_KEPT:
            del self._requests[next(iter(self._requests))]
        operation = DeviceOperation.__members__.get(record.operation)
        if operation is DeviceOperation.STREAM:
            operation = None
        return self._messages(record, f"> {printable(record.operation)}", Colour.CYAN, operation)

    def _reply(self, record: TraceRecord) -> list[TraceLine]:
        return self._messages(record, f"<{_latency(record)}", Colour.GREEN)

    def _unasked(self, record: TraceRecord) -> list[TraceLine]:
        return self._messages(record, f"< {record.kind.name.lower()}", Colour.YELLOW)

    def _lost(self, record: TraceRecord) -> list[TraceLine]:
        head = f"! lost {printable(record.text)}"
        return self._messages(record, head, Colour.RED) or [TraceLine(head, Colour.RED)]

    def _refused(self, record: TraceRecord) -> list[TraceLine]:
        error = DatapathError(record.errno, record.text, record.path)
        found = attributes_of(self._registry, self._requests.get(record.pid, b""))
        why = describe_error(error, found[0] if found else None)
        head = f"! {printable(record.operation)}{_latency(record)}"
        return [TraceLine(f"{head} {why}{_fault(record)}", Colour.RED)]

    def _pid_told(self, record: TraceRecord) -> list[TraceLine]:
        return [TraceLine(f"< GET_PID {record.pid}", Colour.GREEN)]

    def _handled(self, record: TraceRecord) -> list[TraceLine]:
        return [TraceLine(f"<{_latency(record)} done{_fault(record)}", Colour.GREEN)]

    def _messages(
        self,
        record: TraceRecord,
        head: str,
        colour: Colour,
        operation: DeviceOperation | None = None,
    ) -> list[TraceLine]:
        """A line for each message, of which the first has all that is told of the datagram."""
        request = self._requests.get(record.pid, b"")
        found = describe(self._registry, record.message, operation, request, self._verbose)
        lines = []
        for number, line in enumerate(found):
            text = f"{head} {line.text}"
            if not number:
                text += _cut(record) + _fault(record)
            is_error = line.is_error and not _cut(record)
            lines.append(TraceLine(text, Colour.RED if is_error else colour))
            lines += [TraceLine(branch, colour) for branch in line.tree]
            head = head.split()[0] if head[0] == "<" else head
        return lines


def _latency(record: TraceRecord) -> str:
    return f" {duration(record.latency_ns)}" if record.latency_ns is not None else ""


def _cut(record: TraceRecord) -> str:
    """That a message is longer than a trace can carry."""
    shown = len(record.message)
    return f" (the first {shown} of {record.length} bytes)" if shown < record.length else ""


def _fault(record: TraceRecord) -> str:
    return f" [fault {record.fault}]" if record.fault else ""
