"""Where somebody may watch all that crosses the device; nothing is spent while nobody does.

The doors and the sessions ask at each point whether `Taps.active` is there: one attribute and one
comparison. Only while somebody watches there is a Recorder, which makes a TraceRecord of what
happens and gives it to all who watch, with the request that it answers.
"""

from __future__ import annotations

from errno import ENOBUFS
from itertools import islice
from sys import byteorder
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Protocol

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.wire.netlink import NETLINK_HEADER_SIZE, ControlType
from ovsdp_cuse.wire.trace import MESSAGE_MAXIMUM, TraceKind, TraceRecord

if TYPE_CHECKING:
    from ovsdp_cuse.families.session import Session

REQUESTS_KEPT = 16
"""Requests of a handle that are remembered for what answers them, and no more. Without faults one
is handled at a time, or two where one of them waits for an event."""

_QUEUED = {
    Kind.KEPT: TraceKind.REPLY,
    Kind.REPLY: TraceKind.REPLY,
    Kind.EVENT: TraceKind.NOTIFICATION,
    Kind.PACKET: TraceKind.UPCALL,
}


class Arrived:
    """A request that came while somebody watched.

    data: all of it. record: what was told of it. since_ns: of monotonic_ns, when it came. shown:
    who among the watchers that choose has let it through.
    """

    __slots__ = ("answered", "data", "record", "shown", "since_ns")

    def __init__(self, data: bytes, record: TraceRecord, since_ns: int) -> None:
        self.data = data
        self.record = record
        self.since_ns = since_ns
        self.answered = False
        self.shown: set[object] = set()


class Watcher(Protocol):
    """What watches. It must not raise, and must not wait."""

    def __call__(self, session: Session, record: TraceRecord, request: Arrived | None) -> None:
        """Something happened on a handle.

        request: what the record tells of, or what it answers; None where there is none, or where
        it came before anybody watched.
        """


class Taps:
    """Who watches, which may change at any time; `active` is there while anybody does."""

    def __init__(self) -> None:
        self.active: Recorder | None = None

    def add(self, watcher: Watcher) -> None:
        """Let a watcher be told of all that happens from now on."""
        if self.active is None:
            self.active = Recorder()
        self.active.watchers += (watcher,)

    def remove(self, watcher: Watcher) -> None:
        """Tell a watcher no more; it need not have been told."""
        if self.active is not None:
            left = tuple(other for other in self.active.watchers if other != watcher)
            self.active.watchers = left
            if not left:
                self.active = None


class Recorder:
    """Makes records of what happens, and tells them to `watchers`."""

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()
        self._requests: dict[Session, dict[int, Arrived]] = {}

    def opened(self, session: Session) -> None:
        """A handle was opened."""
        how = [] if session.writable else ["read-only"]
        if session.nonblocking:
            how.append("O_NONBLOCK")
        self._tell(session, self._record(session, TraceKind.OPENED, text=", ".join(how)))

    def closed(self, session: Session) -> None:
        """A handle was closed."""
        self._requests.pop(session, None)
        self._tell(session, self._record(session, TraceKind.CLOSED))

    def request(self, session: Session, data: bytes, operation: str) -> None:
        """A request came, by a device operation or STREAM; `data` has NETLINK_HEADER_SIZE bytes."""
        record = self._record(session, TraceKind.REQUEST, data, operation=operation)
        arrived = Arrived(data, record, monotonic_ns())
        requests = self._requests.setdefault(session, {})
        sequence = data[8:12]
        requests.pop(number := int.from_bytes(sequence, byteorder), None)
        requests[number] = arrived
        if len(requests) > REQUESTS_KEPT:
            for oldest in list(islice(requests, len(requests) - REQUESTS_KEPT)):
                del requests[oldest]
        self._tell(session, record, arrived)

    def reply(self, session: Session, data: bytes, since_ns: int = 0) -> None:
        """A reply, an error or a part of a dump was made, and is given or queued.

        since_ns: of monotonic_ns, when a read asked for it; 0 where its request did, alone.
        """
        record = self._record(session, TraceKind.REPLY, data, fault=session.fault)
        record.errno = errno_of(data)
        self._answer(session, record, self._request_of(session, data), since_ns)

    def handled(self, session: Session, data: bytes) -> None:
        """A request was done; it is told of where nothing has answered it."""
        request = self._request_of(session, data)
        if request is None or not request.answered:
            record = self._record(session, TraceKind.HANDLED, fault=session.fault)
            record.operation = request.record.operation if request is not None else ""
            self._answer(session, record, request)

    def refused(
        self, session: Session, ioctl: str, error: DatapathError, data: bytes = b""
    ) -> None:
        """An ioctl failed; `data` is the request that it carried, as the client gave it."""
        request = self._request_of(session, data)
        if request is not None and not data.startswith(request.data):
            request = None  # this one was no request yet; that one only had its number
        record = self._record(session, TraceKind.REFUSED, operation=ioctl, fault=session.fault)
        record.errno = error.errno
        record.text = error.message
        record.path = error.path
        self._answer(session, record, request)

    def pid_told(self, session: Session) -> None:
        """GET_PID told a handle its PID; of the ioctls it alone carries no message."""
        self._tell(session, self._record(session, TraceKind.PID_TOLD, operation="GET_PID"))

    def queued(
        self,
        session: Session,
        kind: Kind,
        datagram: bytes,
        accepted: bool,
        fault: int = 0,
    ) -> None:
        """A datagram was queued, or there was no room for it; `fault` is what did this."""
        if not accepted:
            self.lost(session, kind, datagram, fault)
        elif kind is Kind.EVENT or kind is Kind.PACKET:
            self._tell(session, self._record(session, _QUEUED[kind], datagram, fault=fault))
        else:
            self.reply(session, datagram)

    def lost(self, session: Session, kind: Kind, datagram: bytes = b"", fault: int = 0) -> None:
        """There was no room for a datagram; it is b"" where it was not even built."""
        record = self._record(session, TraceKind.LOST, datagram, fault=fault)
        record.errno = ENOBUFS
        record.text = _QUEUED[kind].name.lower()
        request = self._request_of(session, datagram) if kind is Kind.REPLY else None
        if request is not None:
            self._answer(session, record, request)
        else:
            self._tell(session, record)

    def _record(
        self,
        session: Session,
        kind: TraceKind,
        data: bytes = b"",
        operation: str = "",
        text: str = "",
        fault: int = 0,
    ) -> TraceRecord:
        return TraceRecord(
            kind,
            time_ns(),
            session.pid,
            session.owner.pid,
            session.command,
            operation,
            data[:MESSAGE_MAXIMUM],
            len(data),
            text=text,
            fault=fault,
        )

    def _request_of(self, session: Session, data: bytes) -> Arrived | None:
        """The request with the sequence number of a message."""
        if len(data) < NETLINK_HEADER_SIZE:
            return None
        requests = self._requests.get(session)
        return requests.get(int.from_bytes(data[8:12], byteorder)) if requests else None

    def _answer(
        self, session: Session, record: TraceRecord, request: Arrived | None, since_ns: int = 0
    ) -> None:
        if request is not None:
            request.answered = True
            since_ns = since_ns or request.since_ns
        if since_ns:
            record.latency_ns = monotonic_ns() - since_ns
        self._tell(session, record, request)

    def _tell(self, session: Session, record: TraceRecord, request: Arrived | None = None) -> None:
        for watcher in self.watchers:
            watcher(session, record, request)


def errno_of(data: bytes) -> int:
    """What an NLMSG_ERROR or NLMSG_DONE says; 0 for success, and for any other message."""
    if len(data) < NETLINK_HEADER_SIZE + 4:
        return 0
    if int.from_bytes(data[4:6], byteorder) not in (ControlType.ERROR, ControlType.DONE):
        return 0
    return -int.from_bytes(data[16:20], byteorder, signed=True)
