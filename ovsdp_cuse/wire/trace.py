"""What `ovsdp_control` tells who traces: each message that crosses the device.

Who has joined the multicast group `ovsdp_trace` is told of all of them but the traces themselves;
TRACE_FILTER chooses for one handle.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.state import NAME_MAXIMUM
from ovsdp_cuse.wire.values import Binary, Flag, String, u8, u32, u64

TRACE_GROUP: Final = 110
TRACE_GROUP_NAME: Final = "ovsdp_trace"

MESSAGE_MAXIMUM: Final = 32 * 1024
"""Bytes of a message that a trace carries; of a longer one the beginning, and its length."""


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
    """A notification or upcall that found no room in the handle's queue."""
    REFUSED = 8
    """An ioctl failed; ERRNO and TEXT say why."""
    PID_TOLD = 9
    """The ioctl GET_PID, which carries no message."""


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
    """All its bytes, where MESSAGE has not."""
    LATENCY_NS = 9
    """Of what answers a request: nanoseconds since it came."""
    ERRNO = 10
    TEXT = 11
    FAULT = 12
    """The number of the fault that did this, or let it wait."""


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
        TraceAttr.TEXT: String(4096),
        TraceAttr.FAULT: u32(),
    },
)


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
