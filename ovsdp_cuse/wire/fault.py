"""What `ovsdp_control` takes and tells of faults: rules that make the device fail on purpose."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.state import NAME_MAXIMUM
from ovsdp_cuse.wire.values import String, u8, u32, u64

REQUESTS: Final = ("TRANSACT", "WRITE", "STREAM")
"""Operations that carry a request; STREAM is write(2)."""
READS: Final = ("READ", "READ_EVENT", "READ_PACKET")
"""Operations that take what waits. Only a fault whose OPERATION names one acts on it; its family,
command and datapath are those of the message that would be given."""
DELIVERIES: Final = ("NOTIFICATION", "UPCALL")
"""What a handle is given unasked: a message of a multicast group, a packet. The family, command and
datapath are the message's, and the handle the one that would receive it."""
OPERATIONS: Final = (*REQUESTS, *READS, *DELIVERIES)


class FaultEffect(IntEnum):
    """What a fault does (enum ovsdp_fault_effect)."""

    FAIL = 1
    """A request is refused with ERRNO and TEXT, and its handler does not run; a read fails."""
    DELAY = 2
    """A request is handled DELAY_MS after it came, and what the handle sends after it behind it."""
    HOLD = 3
    """A request waits until FAULT_RELEASE, or until the fault is removed."""
    DROP = 4
    """A notification or upcall is not delivered, and nobody is told that it was lost."""
    OVERFLOW = 5
    """As if a notification or upcall had found no room in the queue: the next read is ENOBUFS."""
    CUT_DUMP = 6
    """A dump ends after SIZE objects, with ERRNO in its NLMSG_DONE, or 0."""
    TRUNCATE = 7
    """A reply has SIZE bytes of what it would have; of a dump, its first part."""
    CLOSE_QUEUE = 8
    """The handle's queue is emptied, and takes nothing more; reads fail with ENOTCONN.

    Requests are handled all the same: TRANSACT is answered, and what write(2) is owed is lost.
    """
    STALL = 9
    """From this request on the handle is answered nothing for DELAY_MS; then all of it.

    What waited in its queue before can be read, and notifications and upcalls come.
    """


class FaultAttr(IntEnum):
    """Attributes of FAULT_NEW, FAULT_DEL, FAULT_GET and FAULT_RELEASE (enum ovsdp_fault_attr).

    ID names a fault: NEW replies it, DEL and RELEASE take it, or mean all where it is left out.
    What a match leaves out matches all. Of several faults that match, the one with the lowest
    number that applies acts, and no other. The requests of `ovsdp_control` itself are never subject
    to faults. NEW and GET reply all of a fault; DEL and RELEASE reply HELD: how many went on.
    """

    UNSPEC = 0
    ID = 1
    # What it matches.
    FAMILY = 2
    COMMAND = 3
    """A command's name, such as OVS_FLOW_CMD_NEW."""
    OPERATION = 4
    """One of OPERATIONS. Where it is left out, all of them but READS that EFFECT acts on."""
    PID = 5
    """The handle's netlink PID."""
    PROCESS = 6
    """The process id of who opened the handle."""
    PROCESS_NAME = 7
    """That process's command (proc_pid_comm(5)) when it did."""
    DATAPATH = 8
    """dp_ifindex; of a request that names a datapath or a port, that one's."""
    NTH = 9
    """Only the n-th that matches all else, counted from 1."""
    EVERY = 10
    """Only each n-th."""
    TIMES = 11
    """At most so often."""
    PROBABILITY = 12
    """Of 2**32 - 1."""
    SEED = 13
    """Of the chance: with the same one the same happens again; NEW replies the one it chose."""
    # What it does.
    EFFECT = 14
    ERRNO = 15
    TEXT = 16
    DELAY_MS = 17
    SIZE = 18
    # What has happened.
    MATCHED = 19
    """How often all but NTH, EVERY, TIMES and PROBABILITY matched."""
    APPLIED = 20
    HELD = 21
    """Requests that it lets wait now; those that only wait behind them do not count."""


FAULT = AttributeSet(
    "OVSDP_FAULT_ATTR",
    {
        FaultAttr.ID: u32(),
        FaultAttr.FAMILY: String(NAME_MAXIMUM),
        FaultAttr.COMMAND: String(NAME_MAXIMUM),
        FaultAttr.OPERATION: String(NAME_MAXIMUM),
        FaultAttr.PID: u32(),
        FaultAttr.PROCESS: u32(),
        FaultAttr.PROCESS_NAME: String(NAME_MAXIMUM),
        FaultAttr.DATAPATH: u32(),
        FaultAttr.NTH: u32(),
        FaultAttr.EVERY: u32(),
        FaultAttr.TIMES: u32(),
        FaultAttr.PROBABILITY: u32(),
        FaultAttr.SEED: u64(),
        FaultAttr.EFFECT: u8(),
        FaultAttr.ERRNO: u32(),
        FaultAttr.TEXT: String(4096),
        FaultAttr.DELAY_MS: u32(),
        FaultAttr.SIZE: u32(),
        FaultAttr.MATCHED: u64(),
        FaultAttr.APPLIED: u64(),
        FaultAttr.HELD: u32(),
    },
)
