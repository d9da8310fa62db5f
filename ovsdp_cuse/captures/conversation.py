"""The conversations in a capture: requests in their order, each with what it was answered.

Both kinds of captures are read: recordings of our device, in which each message says whose it is,
and those of nlmon, where it is told by sequence numbers and port ids. There a notification of a
change looks like the reply to it: who asked with NLM_F_ECHO has got it, and a second time if it was
in the multicast group.

A sendmsg of several messages is taken apart. Messages have the numbers of the capture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from sys import byteorder
from typing import Final

from ovsdp_cuse.captures.netlink import Frame, split
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DpCmd
from ovsdp_cuse.wire.netlink import (
    GENERIC_HEADER_SIZE,
    NETLINK_HEADER,
    NLM_F_ECHO,
    NLM_F_REQUEST,
    ControlType,
)
from ovsdp_cuse.wire.trace import TraceAttr, TraceKind

_GET: Final = DpCmd.GET
_ANNOUNCED: Final = ("ovs_datapath", "ovs_vport", "ovs_flow")
"""Families whose changes a multicast group is told of; GET has the same number in each."""


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


def conversation(frames: Iterable[Frame], ids: Mapping[str, int]) -> list[Event]:
    """What happened in a capture, in order; ids: of the families, as it has them."""
    reader = _Reader(ids)
    for frame in frames:
        if frame.introduces:
            continue
        if frame.trace is not None:
            reader.recorded(frame, frame.trace)
        else:
            reader.seen(frame)
    return reader.events


class _Reader:
    def __init__(self, ids: Mapping[str, int]) -> None:
        self.events: list[Event] = []
        self._announced = {ids[name] for name in _ANNOUNCED if name in ids}
        self._open: dict[tuple[int, int], Exchange] = {}
        self._latest: dict[int, Exchange] = {}
        self._last: Exchange | None = None

    def recorded(self, frame: Frame, trace: Attributes) -> None:
        """A frame of our own recording."""
        handle = trace.get(TraceAttr.PID, 0)
        kind = trace[TraceAttr.KIND]
        if kind == TraceKind.OPENED:
            read_only = "read-only" in trace.get(TraceAttr.TEXT, "")
            self.events.append(Opened(frame.number, frame.time_ns, handle, read_only))
        elif kind == TraceKind.CLOSED:
            self.events.append(Closed(frame.number, frame.time_ns, handle))
        elif kind == TraceKind.REFUSED:
            if handle in self._latest:
                self._latest[handle].refused = trace.get(TraceAttr.ERRNO, 0)
        elif kind == TraceKind.REQUEST:
            for message in _messages(frame):
                self._begin(frame, message, handle, trace.get(TraceAttr.OPERATION))
        elif kind == TraceKind.UPCALL:
            if self._last is not None:
                self._last.upcalls += ((handle, message) for message in split(frame.data))
        elif kind in (TraceKind.REPLY, TraceKind.NOTIFICATION):
            for message in _messages(frame):
                self._answer(frame, message, handle, is_reply=kind == TraceKind.REPLY)

    def seen(self, frame: Frame) -> None:
        """A frame of a capture of somebody else's."""
        for message in _messages(frame):
            header = NETLINK_HEADER.parse(message)
            control = header.type in (ControlType.ERROR, ControlType.DONE)
            of = header.pid, header.sequence
            if header.flags & NLM_F_REQUEST and not control:
                self._begin(frame, message, header.pid, None)
            elif (exchange := self._asked(header.pid, header.sequence)) is not None:
                if control or self._is_reply(exchange, message):
                    exchange.replies.append(message)
                else:
                    exchange.notifications.append((0, message))
                exchange.cut |= frame.length > len(frame.data)
            elif not any(of) and header.type in self._announced:
                self.events.append(Unasked(frame.number, frame.time_ns, message))
            elif not any(of) and self._last is not None:
                self._last.upcalls.append((0, message))

    def _asked(self, pid: int, sequence: int) -> Exchange | None:
        """The request that an answer is for; a client may leave its PID to the kernel to know."""
        exchange = self._open.get((pid, sequence))
        if exchange is None and pid and (0, sequence) in self._open:
            exchange = self._open[pid, sequence] = self._open.pop((0, sequence))
            exchange.handle = pid
        return exchange

    def _is_reply(self, exchange: Exchange, message: bytes) -> bool:
        """Whether an answer was for the one who asked, and not for a multicast group."""
        request = NETLINK_HEADER.parse(exchange.request)
        if request.type not in self._announced or _command(exchange.request) == _GET:
            return True
        return bool(request.flags & NLM_F_ECHO) and message not in exchange.replies

    def _begin(self, frame: Frame, message: bytes, handle: int, operation: str | None) -> None:
        exchange = Exchange(frame.number, frame.time_ns, handle, message, operation)
        exchange.cut = frame.length > len(frame.data)
        self.events.append(exchange)
        self._last = self._latest[handle] = exchange
        self._open[handle, NETLINK_HEADER.parse(message).sequence] = exchange

    def _answer(self, frame: Frame, message: bytes, handle: int, is_reply: bool) -> None:
        header = NETLINK_HEADER.parse(message)
        asker = handle if is_reply else header.pid
        exchange = self._open.get((asker, header.sequence))
        if is_reply:
            # SOCK_PROP may give a handle another PID, and then its reply has that.
            exchange = exchange or self._latest.get(handle) or self._last
            if exchange is not None:
                exchange.replies.append(message)
                exchange.cut |= frame.length > len(frame.data)
        elif exchange is not None and asker:
            exchange.notifications.append((handle, message))
        else:
            self.events.append(Unasked(frame.number, frame.time_ns, message))


def _messages(frame: Frame) -> Iterable[bytes]:
    """The messages of a frame; of one that was cut, the beginning, with its own length."""
    whole = list(split(frame.data))
    if not whole and len(frame.data) >= GENERIC_HEADER_SIZE and len(frame.data) < frame.length:
        return [len(frame.data).to_bytes(4, byteorder) + frame.data[4:]]
    return whole


def _command(message: bytes) -> int:
    """genlmsghdr.cmd; 0 where the message ends before it."""
    return message[16] if len(message) > 16 else 0
