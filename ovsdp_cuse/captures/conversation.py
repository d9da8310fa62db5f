"""The conversations in a capture: requests in their order, each with what it was answered.

A sendmsg of several messages is taken apart. Messages have the numbers of the capture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ovsdp_cuse.captures.records import UNKNOWN, Recorded, messages
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, NLM_F_DUMP, NLM_F_MULTI, ControlType
from ovsdp_cuse.wire.trace import TraceKind, TraceRecord

READ_ONLY: Final = "read-only"
"""How a trace says that a handle was opened for reading."""


@dataclass
class Exchange:
    """A request, and what it was answered.

    number: of its packet. handle: the PID of who asked. operation: how it came (TRANSACT, WRITE,
    STREAM), where that is known. notifications: (PID of who was told, message), 0 where that is not
    known. upcalls: (PID, message) of those that came while it was answered. refused: the errno with
    which the ioctl failed. cut: whether the capture has not all of the request or of its answers.
    """

    number: int
    time_ns: int
    handle: int
    request: bytes
    operation: str | None = None
    replies: list[bytes] = field(default_factory=list)
    notifications: list[tuple[int, bytes]] = field(default_factory=list)
    upcalls: list[tuple[int, bytes]] = field(default_factory=list)
    refused: int | None = None
    cut: bool = False


@dataclass(frozen=True)
class Opened:
    """A handle was opened; only our own recordings tell."""

    number: int
    time_ns: int
    handle: int
    read_only: bool


@dataclass(frozen=True)
class Closed:
    """A handle was closed; only our own recordings tell."""

    number: int
    time_ns: int
    handle: int


@dataclass(frozen=True)
class Unasked:
    """A notification of what nobody has asked for, such as that an interface is gone."""

    number: int
    time_ns: int
    message: bytes


Event = Exchange | Opened | Closed | Unasked


def conversation(records: Iterable[Recorded]) -> list[Event]:
    """What happened, in order."""
    reader = _Reader()
    for number, record in records:
        reader.read(number, record)
    reader.end()
    return reader.events


class _Reader:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self._open: dict[tuple[int, int], Exchange] = {}
        self._latest: dict[int, Exchange] = {}
        self._last: Exchange | None = None
        self._waiting: dict[int, Exchange] = {}
        """What has not all of its answer yet, by the PID of who asked; nlmon does not tell."""
        self._forms = {
            TraceKind.OPENED: self._opened,
            TraceKind.CLOSED: self._closed,
            TraceKind.REQUEST: self._request,
            TraceKind.REPLY: self._reply,
            TraceKind.NOTIFICATION: self._notification,
            TraceKind.UPCALL: self._upcall,
            TraceKind.REFUSED: self._refused,
            TraceKind.HANDLED: self._handled,
        }

    def read(self, number: int, record: TraceRecord) -> None:
        """Take note of a record; of other kinds than these nothing is to be done again."""
        if record.kind in self._forms:
            self._forms[record.kind](number, record)

    def end(self) -> None:
        """The recorder has ended, perhaps between a request and its answer."""
        for exchange in self._waiting.values():
            exchange.cut = True

    def _opened(self, number: int, record: TraceRecord) -> None:
        read_only = record.text.startswith(READ_ONLY)
        self.events.append(Opened(number, record.time_ns, record.pid, read_only))

    def _closed(self, number: int, record: TraceRecord) -> None:
        self._waiting.pop(record.pid, None)
        self.events.append(Closed(number, record.time_ns, record.pid))

    def _request(self, number: int, record: TraceRecord) -> None:
        for message in messages(record):
            exchange = Exchange(
                number, record.time_ns, record.pid, message, record.operation or None
            )
            exchange.cut = _is_cut(record)
            self.events.append(exchange)
            self._last = self._latest[record.pid] = exchange
            self._open[record.pid, NETLINK_HEADER.parse(message).sequence] = exchange
            if record.command != UNKNOWN:
                self._waiting[record.pid] = exchange

    def _reply(self, _number: int, record: TraceRecord) -> None:
        for message in messages(record):
            exchange = self._asked(record.pid, NETLINK_HEADER.parse(message).sequence)
            if exchange is None and record.command != UNKNOWN:
                # SOCK_PROP may give a handle another PID, and then its reply has that.
                exchange = self._latest.get(record.pid) or self._last
            if exchange is not None:
                exchange.replies.append(message)
                exchange.cut |= _is_cut(record)
                if _is_last(message):
                    self._waiting.pop(exchange.handle, None)

    def _asked(self, pid: int, sequence: int) -> Exchange | None:
        """The request that an answer to a handle is for."""
        exchange = self._open.get((pid, sequence))
        if exchange is None and (0, sequence) in self._open:
            # A client may leave its PID to the kernel to know; the answer tells it.
            exchange = self._open[pid, sequence] = self._open.pop((0, sequence))
            exchange.handle = pid
        return exchange

    def _notification(self, number: int, record: TraceRecord) -> None:
        for message in messages(record):
            header = NETLINK_HEADER.parse(message)
            exchange = self._asked(header.pid, header.sequence) if header.pid else None
            if exchange is not None:
                exchange.notifications.append((record.pid, message))
            else:
                self.events.append(Unasked(number, record.time_ns, message))

    def _upcall(self, _number: int, record: TraceRecord) -> None:
        if self._last is not None:
            self._last.upcalls += ((record.pid, message) for message in messages(record))

    def _refused(self, _number: int, record: TraceRecord) -> None:
        # Without a latency it is of bytes that were no request yet.
        if record.pid in self._latest and record.latency_ns is not None:
            self._latest[record.pid].refused = record.errno
            self._waiting.pop(record.pid, None)

    def _handled(self, _number: int, record: TraceRecord) -> None:
        exchange = self._waiting.get(record.pid)
        if exchange is not None and not _is_dump(exchange.request):
            del self._waiting[record.pid]


def _is_cut(record: TraceRecord) -> bool:
    return len(record.message) < record.length


def _is_dump(request: bytes) -> bool:
    return NETLINK_HEADER.parse(request).flags & NLM_F_DUMP == NLM_F_DUMP


def _is_last(message: bytes) -> bool:
    """Whether nothing follows this reply: only the parts of a dump have NLM_F_MULTI, and its end
    is another message."""
    header = NETLINK_HEADER.parse(message)
    return header.type == ControlType.DONE or not header.flags & NLM_F_MULTI
