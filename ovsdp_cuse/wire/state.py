"""What `ovsdp_control` tells of the daemon, its handles, and what the other families leave out."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ovsdp_cuse.wire.attributes import AttributeSet, Nested, NestedArray, Unparsed
from ovsdp_cuse.wire.key import KEY
from ovsdp_cuse.wire.values import Flag, IntegerArray, String, u32, u64

NAME_MAXIMUM: Final = 255
"""Bytes of a name: of a process, a reason, a command."""
PATH_MAXIMUM: Final = 4096


class InfoAttr(IntEnum):
    """Attributes of INFO_GET (enum ovsdp_info_attr)."""

    UNSPEC = 0
    VERSION = 1
    """Of the package, such as "0.1.0"."""
    NODE = 2
    """cuse, fuse or memory."""
    PATH = 3
    MODE = 4
    """Permission bits of the node, as they were set when it was made."""
    UID = 5
    GID = 6
    PROCESS = 7
    """The daemon's process id."""
    UPTIME_MS = 8
    INTERFACES = 9
    """host or memory."""
    HANDLE_LIMIT = 10
    QUEUE_LIMIT = 11
    QUEUE_MAXIMUM = 12
    HANDLES = 13
    DATAPATHS = 14
    LOST_UPCALLS = 15
    """Upcalls that no handle took, since the daemon started."""
    STATE = 16
    """Where the file system of live state is; left out where there is none."""


INFO = AttributeSet(
    "OVSDP_INFO_ATTR",
    {
        InfoAttr.VERSION: String(NAME_MAXIMUM),
        InfoAttr.NODE: String(NAME_MAXIMUM),
        InfoAttr.PATH: String(PATH_MAXIMUM),
        InfoAttr.MODE: u32(),
        InfoAttr.UID: u32(),
        InfoAttr.GID: u32(),
        InfoAttr.PROCESS: u32(),
        InfoAttr.UPTIME_MS: u64(),
        InfoAttr.INTERFACES: String(NAME_MAXIMUM),
        InfoAttr.HANDLE_LIMIT: u32(),
        InfoAttr.QUEUE_LIMIT: u32(),
        InfoAttr.QUEUE_MAXIMUM: u32(),
        InfoAttr.HANDLES: u32(),
        InfoAttr.DATAPATHS: u32(),
        InfoAttr.LOST_UPCALLS: u64(),
        InfoAttr.STATE: String(PATH_MAXIMUM),
    },
)


class HandleAttr(IntEnum):
    """Attributes of HANDLE_GET (enum ovsdp_handle_attr).

    The counts are since the handle was opened. A dump counts one request, and its parts as replies.
    """

    UNSPEC = 0
    PID = 1
    """The netlink PID; in a request, of the handle that is asked for."""
    PROCESS = 2
    """The process id of who opened it, and its user and group."""
    UID = 3
    GID = 4
    COMMAND = 5
    """That process's command (proc_pid_comm(5)) when the handle was opened; "?" where unknown."""
    READABLE = 6
    WRITABLE = 7
    NONBLOCKING = 8
    PROTOCOL = 9
    """NETLINK_GENERIC (16) or NETLINK_NETFILTER (12)."""
    GROUPS = 10
    """The multicast groups that it is a member of."""
    QUEUE_LIMIT = 11
    QUEUE_BYTES = 12
    """Bytes that wait, with what they cost to keep."""
    QUEUED_REPLIES = 13
    QUEUED_EVENTS = 14
    QUEUED_PACKETS = 15
    DROPPED = 16
    """Datagrams that found no room."""
    CONGESTED = 17
    """Whether the queue takes nothing until it has been read empty."""
    DUMP = 18
    """The command whose dump is in progress."""
    REQUESTS = 19
    REPLIES = 20
    ERRORS = 21
    """Requests that were refused, by an NLMSG_ERROR or a failed ioctl."""
    EVENTS = 22
    UPCALLS = 23


HANDLE = AttributeSet(
    "OVSDP_HANDLE_ATTR",
    {
        HandleAttr.PID: u32(),
        HandleAttr.PROCESS: u32(),
        HandleAttr.UID: u32(),
        HandleAttr.GID: u32(),
        HandleAttr.COMMAND: String(NAME_MAXIMUM),
        HandleAttr.READABLE: Flag(),
        HandleAttr.WRITABLE: Flag(),
        HandleAttr.NONBLOCKING: Flag(),
        HandleAttr.PROTOCOL: u32(),
        HandleAttr.GROUPS: IntegerArray(),
        HandleAttr.QUEUE_LIMIT: u32(),
        HandleAttr.QUEUE_BYTES: u32(),
        HandleAttr.QUEUED_REPLIES: u32(),
        HandleAttr.QUEUED_EVENTS: u32(),
        HandleAttr.QUEUED_PACKETS: u32(),
        HandleAttr.DROPPED: u64(),
        HandleAttr.CONGESTED: Flag(),
        HandleAttr.DUMP: String(NAME_MAXIMUM),
        HandleAttr.REQUESTS: u64(),
        HandleAttr.REPLIES: u64(),
        HandleAttr.ERRORS: u64(),
        HandleAttr.EVENTS: u64(),
        HandleAttr.UPCALLS: u64(),
    },
)


class DropAttr(IntEnum):
    """One reason for drops (enum ovsdp_drop_attr)."""

    UNSPEC = 0
    REASON = 1
    PACKETS = 2


DROP = AttributeSet(
    "OVSDP_DROP_ATTR", {DropAttr.REASON: String(NAME_MAXIMUM), DropAttr.PACKETS: u64()}
)


class DropsAttr(IntEnum):
    """Attributes of DROPS_GET (enum ovsdp_drops_attr), which is about a datapath."""

    UNSPEC = 0
    NAME = 1
    """The datapath's."""
    REASONS = 2
    """Every reason there is, with 0 packets where nothing was dropped for it."""


DROPS = AttributeSet(
    "OVSDP_DROPS_ATTR",
    {DropsAttr.NAME: String(NAME_MAXIMUM), DropsAttr.REASONS: NestedArray(Nested(DROP))},
)


class MaskAttr(IntEnum):
    """Attributes of MASK_GET (enum ovsdp_mask_attr): masks in the order of look-ups."""

    UNSPEC = 0
    MASK = 1
    """As OVS_FLOW_ATTR_MASK of its flows has it."""
    FLOWS = 2
    HITS = 3
    """Look-ups that ended here since the masks were put in order, every four seconds."""


MASK = AttributeSet(
    "OVSDP_MASK_ATTR",
    {MaskAttr.MASK: Unparsed(KEY), MaskAttr.FLOWS: u32(), MaskAttr.HITS: u64()},
)
