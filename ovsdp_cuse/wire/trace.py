"""What `ovsdp_control` tells who traces: each message that crosses the device.

Who has joined the multicast group `ovsdp_trace` is told of all of them but the traces themselves;
TRACE_FILTER chooses for one handle.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ovsdp_cuse.wire.attributes import Attributes, AttributeSet
from ovsdp_cuse.wire.state import NAME_MAXIMUM
from ovsdp_cuse.wire.values import Binary, Flag, IntegerArray, String, u8, u32, u64

TRACE_GROUP: Final = 110
TRACE_GROUP_NAME: Final = "ovsdp_trace"

MESSAGE_MAXIMUM: Final = 32 * 1024
"""Bytes of a message that a trace carries; of a longer one the beginning, and its length."""

TEXT_MAXIMUM: Final = 4096


class TraceKind(IntEnum):
    """What a trace tells of (enum ovsdp_trace_kind)."""

    OPENED = 1
    CLOSED = 2
    REQUEST = 3
    REPLY = 4
    """A reply, an error, an acknowledgement, or a part of a dump."""
    NOTIFICATION = 5
    UPCALL = 6
    LOST = 7
    """What found no room in the handle's queue; TEXT is "reply", "notification" or "upcall"."""
    REFUSED = 8
    """An ioctl failed; ERRNO and TEXT say why."""
    PID_TOLD = 9
    """The ioctl GET_PID, which carries no message."""
    HANDLED = 10
    """A request was done that nothing answers, such as one by WRITE."""


class TraceAttr(IntEnum):
    """Attributes of TRACE (enum ovsdp_trace_attr)."""

    UNSPEC = 0
    KIND = 1
    TIME_NS = 2
    """Nanoseconds of CLOCK_REALTIME."""
    PID = 3
    """The handle's netlink PID."""
    PROCESS = 4
    """The process id of who opened the handle."""
    COMMAND = 5
    """That process's command when it did."""
    OPERATION = 6
    """How a request came: TRANSACT, WRITE, STREAM; or the ioctl that was refused."""
    MESSAGE = 7
    """The message, or the messages of a dump's part; at most MESSAGE_MAXIMUM bytes."""
    LENGTH = 8
    """All its bytes, where MESSAGE has not. A message may be left out: what there was no room for
    was perhaps never built."""
    LATENCY_NS = 9
    """Of what answers a request: nanoseconds since it came; of a further part of a dump, since the
    read that it answers."""
    ERRNO = 10
    """Of what was REFUSED or LOST, and of a REPLY that is an error."""
    TEXT = 11
    """Of what was REFUSED, why; of LOST what; of OPENED how: "read-only", "O_NONBLOCK"."""
    FAULT = 12
    """The number of the fault that did this, or let it wait."""
    PATH = 13
    """Of what was REFUSED: the numbers of the attributes that are to blame, outermost first."""


TRACE = AttributeSet(
    "OVSDP_TRACE_ATTR",
    {
        TraceAttr.KIND: u8(),
        TraceAttr.TIME_NS: u64(),
        TraceAttr.PID: u32(),
        TraceAttr.PROCESS: u32(),
        TraceAttr.COMMAND: String(NAME_MAXIMUM),
        TraceAttr.OPERATION: String(NAME_MAXIMUM),
        TraceAttr.MESSAGE: Binary(),
        TraceAttr.LENGTH: u32(),
        TraceAttr.LATENCY_NS: u64(),
        TraceAttr.ERRNO: u32(),
        TraceAttr.TEXT: String(TEXT_MAXIMUM),
        TraceAttr.FAULT: u32(),
        TraceAttr.PATH: IntegerArray(),
    },
)


@dataclass(slots=True)
class TraceRecord:
    """What a TRACE tells, as TraceAttr describes it.

    message: its first MESSAGE_MAXIMUM bytes; length: all of them. What there is nothing to say of
    is "", b"", 0 or None.
    """

    kind: TraceKind
    time_ns: int
    pid: int
    process: int
    command: str
    operation: str = ""
    message: bytes = b""
    length: int = 0
    latency_ns: int | None = None
    errno: int = 0
    text: str = ""
    fault: int = 0
    path: tuple[int, ...] = ()

    def attributes(self) -> Attributes:
        """The attributes of a TRACE; texts are cut to what those hold."""
        attributes: Attributes = {
            _KIND: self.kind,
            _TIME_NS: self.time_ns,
            _PID: self.pid,
            _PROCESS: self.process,
            _COMMAND: _cut(self.command, NAME_MAXIMUM),
        }
        if self.operation:
            attributes[_OPERATION] = _cut(self.operation, NAME_MAXIMUM)
        if self.message:
            attributes[_MESSAGE] = self.message
        if self.length != len(self.message):
            attributes[_LENGTH] = self.length
        if self.latency_ns is not None:
            attributes[_LATENCY_NS] = self.latency_ns
        if self.errno:
            attributes[_ERRNO] = self.errno
        if self.text:
            attributes[_TEXT] = _cut(self.text, TEXT_MAXIMUM)
        if self.fault:
            attributes[_FAULT] = self.fault
        if self.path:
            attributes[_PATH] = self.path
        return attributes

    @classmethod
    def from_attributes(cls, attributes: Attributes) -> TraceRecord:
        """The inverse of `attributes`; ValueError for a kind that is not known here."""
        message = attributes.get(_MESSAGE, b"")
        return cls(
            TraceKind(attributes.get(_KIND, 0)),
            attributes.get(_TIME_NS, 0),
            attributes.get(_PID, 0),
            attributes.get(_PROCESS, 0),
            attributes.get(_COMMAND, ""),
            attributes.get(_OPERATION, ""),
            message,
            attributes.get(_LENGTH, len(message)),
            attributes.get(_LATENCY_NS),
            attributes.get(_ERRNO, 0),
            attributes.get(_TEXT, ""),
            attributes.get(_FAULT, 0),
            attributes.get(_PATH, ()),
        )


# Plain integers: looking up a member of an enumeration costs more than building its attribute.
_KIND = int(TraceAttr.KIND)
_TIME_NS = int(TraceAttr.TIME_NS)
_PID = int(TraceAttr.PID)
_PROCESS = int(TraceAttr.PROCESS)
_COMMAND = int(TraceAttr.COMMAND)
_OPERATION = int(TraceAttr.OPERATION)
_MESSAGE = int(TraceAttr.MESSAGE)
_LENGTH = int(TraceAttr.LENGTH)
_LATENCY_NS = int(TraceAttr.LATENCY_NS)
_ERRNO = int(TraceAttr.ERRNO)
_TEXT = int(TraceAttr.TEXT)
_FAULT = int(TraceAttr.FAULT)
_PATH = int(TraceAttr.PATH)


def _cut(text: str, maximum: int) -> str:
    """The text with at most `maximum` bytes, and none of NUL, which would end it on the wire."""
    text = text.replace("\0", "\\x00")
    data = text.encode(errors="backslashreplace")
    return data[:maximum].decode(errors="ignore")


class TraceFilterAttr(IntEnum):
    """Attributes of TRACE_FILTER (enum ovsdp_trace_filter_attr); what is left out matches all.

    A filter stays until the next one or the handle's end. COMMAND takes FAMILY, by their names.
    """

    UNSPEC = 0
    PID = 1
    PROCESS = 2
    PROCESS_NAME = 3
    FAMILY = 4
    COMMAND = 5
    DATAPATH = 6
    """dp_ifindex."""
    ERRORS = 7
    """Only what failed, with the request that did."""
    SLOWER_NS = 8
    """Only what was answered after more nanoseconds, with the request."""


TRACE_FILTER = AttributeSet(
    "OVSDP_TRACE_FILTER_ATTR",
    {
        TraceFilterAttr.PID: u32(),
        TraceFilterAttr.PROCESS: u32(),
        TraceFilterAttr.PROCESS_NAME: String(NAME_MAXIMUM),
        TraceFilterAttr.FAMILY: String(NAME_MAXIMUM),
        TraceFilterAttr.COMMAND: String(NAME_MAXIMUM),
        TraceFilterAttr.DATAPATH: u32(),
        TraceFilterAttr.ERRORS: Flag(),
        TraceFilterAttr.SLOWER_NS: u64(),
    },
)
