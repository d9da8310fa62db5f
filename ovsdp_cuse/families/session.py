"""Open handles. A session is one open handle: its PID, its queue, its dump, its subscriptions.

A session belongs to the task that serves its device; nothing here is safe to call from another
thread. All waiting is trio's, so a wait ends by cancellation, which is how a signal in the client
(FUSE_INTERRUPT) reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntFlag
from errno import (
    EADDRINUSE,
    EAGAIN,
    EBADF,
    EBUSY,
    EINVAL,
    EMSGSIZE,
    ENFILE,
    ENOBUFS,
    ENOTCONN,
    EPERM,
)
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
from time import monotonic_ns

import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dump import Dump
from ovsdp_cuse.families.faults import Faults
from ovsdp_cuse.families.process import command_of
from ovsdp_cuse.families.queue import Kind, Queue
from ovsdp_cuse.families.registry import MulticastGroup
from ovsdp_cuse.families.tap import Taps
from ovsdp_cuse.families.trace_filter import TraceFilter
from ovsdp_cuse.wire.control import SocketAttr
from ovsdp_cuse.wire.fault import FaultEffect
from ovsdp_cuse.wire.netlink import NETLINK_GENERIC

PID_MODULUS = 2**32

LEAST_QUEUE_LIMIT = 4096
"""Bytes of the least limit that a handle's queue may have."""

FIRST_DUMP_PART = 3776
LARGEST_DUMP_PART = 32448
"""Bytes of a dump's part in a queue: a page, then what the reader's buffer holds, at most 32 KiB,
each less the 320 bytes of overhead that the kernel's socket buffers have (netlink_dump())."""

_OPERATIONS = {Kind.EVENT: "NOTIFICATION", Kind.PACKET: "UPCALL"}
"""What a fault calls the giving of a datagram."""


class Access(IntFlag):
    """What a handle was opened for."""

    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Owner:
    """Who opened a handle, as the kernel tells: process id, user id and group id."""

    pid: int
    uid: int
    gid: int


class Session:
    """One open handle; `taps` are told of what is queued on it."""

    def __init__(
        self,
        pid: int,
        access: Access,
        nonblocking: bool,
        queue_limit: int,
        owner: Owner,
        taps: Taps | None = None,
    ) -> None:
        self.pid = pid
        self.writable = Access.WRITE in access
        self.readable = Access.READ in access
        self.nonblocking = nonblocking
        self.owner = owner
        self.command = command_of(owner.pid)
        """The command of the process that opened the handle, as it was then."""
        self.protocol = NETLINK_GENERIC
        self.ext_ack = True
        """Whether errors have a text and an offset (NETLINK_EXT_ACK)."""
        self.cap_ack = False
        """Whether errors of the stream door leave the request's payload out (NETLINK_CAP_ACK)."""
        self.groups: set[int] = set()
        self.queue = Queue(queue_limit)
        self.dump: Dump | None = None
        """The dump that ioctl WRITE began and ioctl READ continues."""
        self.stream_dump: Dump | None = None
        """The dump that write(2) began; its parts go through the queue."""
        self.running: object | None = None
        """What the device door is doing on this handle, for the in-use guard."""
        self.receives_packets = True
        """Whether upcalls for the handle's PID are delivered; PACKET_SUBSCRIBE_REQ decides."""
        self.pending: set[Kind] = set()
        """The kinds of datagram for which a WIN_PEND request waits."""
        self.unfinished: tuple[bytes, int] | None = None
        """Where the kernel may have cut a write in two: the beginning of a message, and how many
        bytes of padding are still to come; None where nothing more of the write counts."""
        # Counts since the handle was opened; HandleAttr says of what.
        self.requests = 0
        self.replies = 0
        self.errors = 0
        self.events = 0
        self.upcalls = 0
        self.fault = 0
        """The number of the fault that acts on the request which is being answered; told of what
        answers it."""
        self.shut = False
        """Whether a fault has closed the queue: it takes nothing, and reads fail."""
        self.closed = False
        self.trace_filter: TraceFilter | None = None
        """What the handle is to be told by the group `ovsdp_trace`; None for everything."""
        self._taps = taps or Taps()
        self.on_readable: Callable[[], None] | None = None
        """Called, once, when the next datagram arrives; the device arms it for poll."""
        self._arrivals = trio.lowlevel.ParkingLot()
        self._largest_read = 0

    def put(self, kind: Kind, datagram: bytes) -> bool:
        """Queue a datagram and wake who waits; False if there was no room for it."""
        accepted = self.put_untold(kind, datagram)
        if self._taps.active is not None and not self.closed:
            self._taps.active.queued(self, kind, datagram, accepted)
        return accepted

    def put_untold(self, kind: Kind, datagram: bytes) -> bool:
        """As `put`, of which who watches is not told: for what they are told itself."""
        if self.closed or self.shut:
            return False
        accepted = self.queue.append(kind, datagram)
        if accepted or self.queue.overrun:
            self._wake()
        return accepted

    def poll(self) -> int:
        """The events that are true now, as poll(2) names them (datagram_poll() of the kernel)."""
        events = POLLOUT | POLLWRNORM
        if self.queue.bytes:
            events |= POLLIN | POLLRDNORM
        if self.queue.overrun:
            events |= POLLERR
        if self.shut:
            events |= POLLIN | POLLRDNORM | POLLERR | POLLHUP
        return events

    async def read(self, size: int, nonblocking: bool) -> bytes:
        """The next datagram, for read(2).

        Waits for one, unless `nonblocking`: EAGAIN. Raises ENOBUFS once after an overrun, ENOTCONN
        where the queue was shut, and EMSGSIZE where the datagram has more than `size` bytes; then
        it stays in the queue.
        """
        self._largest_read = max(self._largest_read, size)
        while True:
            self.raise_overrun()
            datagram = self.queue.peek()
            if datagram is not None:
                if len(datagram) > size:
                    raise DatapathError(
                        EMSGSIZE, f"the datagram has {len(datagram)} bytes, the buffer {size}"
                    )
                self.queue.pop()
                self.continue_stream_dump()
                return datagram
            if nonblocking:
                raise DatapathError(EAGAIN, "nothing waits to be read")
            await self._park()

    def peek(self) -> bytes:
        """What `read` would give next, which stays; b"" where nothing waits.

        Raises ENOBUFS once after an overrun, as recvmsg(2) does with MSG_PEEK.
        """
        self.raise_overrun()
        return self.queue.peek() or b""

    def take(self, kind: Kind, size: int) -> bytes:
        """The next event or packet for READ_EVENT and READ_PACKET; b"" where none waits.

        Raises as `read` does.
        """
        self.raise_overrun()
        datagram = self._take(kind, size)
        self.continue_stream_dump()
        return datagram

    def take_kept(self, size: int) -> bytes:
        """The reply that an ioctl could not give; b"" where there is none.

        Raises EMSGSIZE and ENOTCONN as `read` does.
        """
        self._raise_shut()
        return self._take(Kind.KEPT, size)

    def keep(self, reply: bytes) -> None:
        """Keep a reply that did not fit its ioctl; an older one is forgotten."""
        if self.shut:
            return
        self.queue.keep(reply)
        self._wake()

    async def wait_for(self, kind: Kind) -> None:
        """Return when a datagram of this kind waits, or some were lost.

        Raises EBUSY where another request waits for the same, EAGAIN on a handle that was opened
        with O_NONBLOCK, ENOTCONN where the queue was shut. The wait does not count as a running
        request.
        """
        if kind in self.pending:
            raise DatapathError(EBUSY, f"another request waits for {kind.name} on this handle")
        self._raise_shut()
        if self._has(kind):
            return
        if self.nonblocking:
            raise DatapathError(EAGAIN, "nothing waits, and the handle is O_NONBLOCK")
        self.pending.add(kind)
        self.running = None
        try:
            while not self._has(kind):
                await self._park()
        finally:
            self.pending.discard(kind)

    def start_stream_dump(self, dump: Dump) -> None:
        """Queue the first part of a dump; EBUSY while one runs, ENOBUFS where the queue is full.

        A queue that was shut takes none of it.
        """
        if self.shut:
            return
        if self.stream_dump is not None:
            raise DatapathError(EBUSY, "a dump is running on this handle")
        if self.queue.bytes >= self.queue.limit:
            raise DatapathError(ENOBUFS, "the queue is full, and takes no dump")
        self.stream_dump = dump
        self._queue_dump_part(dump)

    def continue_stream_dump(self) -> None:
        """Queue the next part of the dump, if there is one and the queue is at most half full."""
        dump = self.stream_dump
        if dump is not None and self.queue.bytes <= self.queue.limit // 2:
            since_ns = monotonic_ns() if self._taps.active is not None else 0
            self._queue_dump_part(dump, since_ns)

    def overflow(self) -> None:
        """Drop a datagram as if there were no room for it; a queue that was shut loses nothing."""
        if self.closed or self.shut:
            return
        self.queue.refuse()
        self._wake()

    def shut_queue(self) -> None:
        """Empty the queue for good; who waits for it is told (ENOTCONN)."""
        self.shut = True
        self.queue.clear()
        self.stream_dump = None
        self._wake()

    def close(self) -> None:
        """End whatever the handle had: queue, dumps, waits."""
        self.closed = True
        self.queue.clear()
        self.dump = self.stream_dump = self.on_readable = None
        self.unfinished = None
        self.groups.clear()
        self._arrivals.unpark_all()

    def raise_overrun(self) -> None:
        """Raise ENOBUFS once after an overrun, and ENOTCONN where the queue was shut."""
        self._raise_shut()
        if self.queue.overrun and self.queue.take_overrun():
            raise DatapathError(
                ENOBUFS, f"datagrams were dropped; {self.queue.dropped} since the handle was opened"
            )

    def _raise_shut(self) -> None:
        if self.shut:
            raise DatapathError(ENOTCONN, "a fault has closed the handle's queue")

    def _take(self, kind: Kind, size: int) -> bytes:
        datagram = self.queue.peek(kind)
        if datagram is None:
            return b""
        if len(datagram) > size:
            raise DatapathError(
                EMSGSIZE, f"the datagram has {len(datagram)} bytes, the buffer {size}"
            )
        return self.queue.pop(kind)

    def _has(self, kind: Kind) -> bool:
        return self.queue.overrun or self.queue.peek(kind) is not None

    def _queue_dump_part(self, dump: Dump, since_ns: int = 0) -> None:
        # One object may be larger than any part: the reader may have room for it all the same.
        part = dump.next_part(max(self._dump_part_size(), dump.next_size()))
        if dump.done:
            self.stream_dump = None
        self.replies += 1
        self.queue.append_promised(Kind.REPLY, part)
        if self._taps.active is not None:
            self._taps.active.reply(self, part, since_ns)
        self._wake()

    def _dump_part_size(self) -> int:
        return min(max(self._largest_read, FIRST_DUMP_PART), LARGEST_DUMP_PART)

    def _wake(self) -> None:
        if self._arrivals:
            self._arrivals.unpark_all()
        if self.on_readable is not None:
            wake, self.on_readable = self.on_readable, None
            wake()

    async def _park(self) -> None:
        await self._arrivals.park()
        if self.closed:
            raise DatapathError(EBADF, "the handle was closed")
        self._raise_shut()


class SessionTable:
    """The open handles, and who among them is in a multicast group.

    handle_limit: how many may be open. queue_limit: bytes that may wait on each. first_pid: where
    the counter of PIDs starts. queue_maximum: bytes that a handle opened for writing may ask for.
    """

    def __init__(
        self,
        handle_limit: int = 512,
        queue_limit: int = 1 << 20,
        first_pid: int = 1,
        queue_maximum: int = 8 << 20,
    ):
        self.handle_limit = handle_limit
        self.queue_limit = queue_limit
        self.queue_maximum = max(queue_maximum, queue_limit)
        self.lost_upcalls = 0
        self.faults: Faults | None = None
        """What may act on notifications and upcalls; None while there is no fault at all."""
        self.taps = Taps()
        """Who watches what crosses the device."""
        self.on_membership: dict[int, Callable[[Session, bool], None]] = {}
        """Multicast group -> what is told of who joins it (True) and leaves it, or is closed."""
        self._next_pid = first_pid % PID_MODULUS
        self._by_pid: dict[int, Session] = {}
        self._members: dict[int, dict[int, Session]] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_pid.values()))

    def __len__(self) -> int:
        return len(self._by_pid)

    def open(self, access: Access, nonblocking: bool, owner: Owner) -> Session:
        """A new session with a PID that no other has; ENFILE when the limit is reached."""
        if len(self._by_pid) >= self.handle_limit:
            raise DatapathError(ENFILE, f"{self.handle_limit} handles are open, the limit")
        while not self._next_pid or self._next_pid in self._by_pid:
            self._next_pid = (self._next_pid + 1) % PID_MODULUS
        session = Session(self._next_pid, access, nonblocking, self.queue_limit, owner, self.taps)
        self._by_pid[session.pid] = session
        self._next_pid = (self._next_pid + 1) % PID_MODULUS
        return session

    def bind(self, session: Session, pid: int) -> None:
        """Give a session the PID that it wants, as bind(2) does for a netlink socket.

        Raises EINVAL for 0, EADDRINUSE where another session has it.
        """
        if not pid:
            raise DatapathError(EINVAL, "0 is nobody's PID", (SocketAttr.SOCK_BIND,))
        if self._by_pid.get(pid, session) is not session:
            raise DatapathError(
                EADDRINUSE, f"another handle has the PID {pid}", (SocketAttr.SOCK_BIND,)
            )
        del self._by_pid[session.pid]
        for group in session.groups:
            del self._members[group][session.pid]
            self._members[group][pid] = session
        session.pid = pid
        self._by_pid[pid] = session

    def set_queue_limit(self, session: Session, wanted: int) -> None:
        """Let `wanted` bytes wait on a handle, or the nearest number that it may have.

        As setsockopt(2) with SO_RCVBUF bounds what it is given, and fails for none; a handle for
        reading only has the bound of the unprivileged (net.core.rmem_max), which is `queue_limit`.
        What waits already stays.
        """
        most = self.queue_maximum if session.writable else self.queue_limit
        session.queue.limit = min(max(wanted, LEAST_QUEUE_LIMIT), most)

    def lookup(self, pid: int) -> Session | None:
        """The session with this PID."""
        return self._by_pid.get(pid)

    def close(self, session: Session) -> None:
        """Forget a session; what waits on it ends."""
        del self._by_pid[session.pid]
        for group in list(session.groups):
            self.leave(session, group)
        session.close()

    def join(self, session: Session, group: MulticastGroup) -> None:
        """Make a session a member of a group; it may be one already.

        EPERM for a group that is `admin`, where the session is not for writing.
        """
        if group.admin and not session.writable:
            raise DatapathError(EPERM, f"{group.name} is for handles that were opened for writing")
        if group.id not in session.groups:
            session.groups.add(group.id)
            self._members.setdefault(group.id, {})[session.pid] = session
            self._tell_membership(session, group.id, True)

    def leave(self, session: Session, group: int) -> None:
        """End a membership; the session need not have it."""
        if group in session.groups:
            session.groups.discard(group)
            self._members.get(group, {}).pop(session.pid, None)
            self._tell_membership(session, group, False)

    def _tell_membership(self, session: Session, group: int, joined: bool) -> None:
        told = self.on_membership.get(group)
        if told is not None:
            told(session, joined)

    def has_members(self, group: int) -> bool:
        """Whether a notification to this group reaches anybody."""
        return bool(self._members.get(group))

    def multicast(self, group: int, datagram: bytes, exclude: Session | None = None) -> None:
        """Give a notification to all members of a group but one."""
        members = self._members.get(group)
        if members:
            for session in list(members.values()):
                if session is not exclude:
                    self._give(session, Kind.EVENT, datagram)

    def upcall(self, pid: int, datagram: bytes) -> bool:
        """Give an upcall to who receives those for `pid`; False, and counted, where it is lost."""
        session = self._by_pid.get(pid)
        if (
            session is not None
            and session.receives_packets
            and self._give(session, Kind.PACKET, datagram)
        ):
            return True
        self.lost_upcalls += 1
        return False

    def can_upcall(self, pid: int) -> bool:
        """Whether an upcall to `pid` may be delivered; False, and counted, where it is lost.

        To be asked before an upcall is built: what is lost comes in floods, and is to cost little.
        """
        session = self._by_pid.get(pid)
        if session is not None and session.receives_packets and not session.queue.congested:
            return True
        self.lost_upcalls += 1
        if session is not None and session.queue.congested:
            session.queue.dropped += 1
            if self.taps.active is not None and session.receives_packets:
                self.taps.active.lost(session, Kind.PACKET)
        return False

    def _give(self, session: Session, kind: Kind, datagram: bytes) -> bool:
        """Queue a notification or upcall; whether it counts as delivered, which a fault decides."""
        if self.faults is not None:
            fault = self.faults.find_unasked(session, _OPERATIONS[kind], datagram)
            if fault is not None and fault.effect is not FaultEffect.CLOSE_QUEUE:
                if fault.effect is FaultEffect.OVERFLOW:
                    session.overflow()
                if self.taps.active is not None:
                    self.taps.active.lost(session, kind, datagram, fault.id)
                return fault.effect is FaultEffect.DROP
        if not session.put(kind, datagram):
            return False
        if kind is Kind.PACKET:
            session.upcalls += 1
        else:
            session.events += 1
        return True
