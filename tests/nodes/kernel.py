"""A kernel that is a program: the other end of a FUSE or CUSE channel.

It asks as fs/fuse/ of Linux does, and holds each reply to what fuse_dev_do_write() holds it to:
one reply for each request, of the length it names, with an error in -511..0 and then nothing else,
and of the size that the request asked for.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from errno import ECONNABORTED

from ovsdp_cuse.device import fuse_abi as abi
from tests.nodes.interface import DEADLINE_S

PAGE_SIZE = 4096
CUSE_MAX_PAGES = 32
LARGEST_ERRNO = 511
LARGEST_FRAME = 1 << 20
SOCKET_BUFFER = 16 << 20

GETATTR_IN = struct.Struct("=II Q")
FLUSH_IN = struct.Struct("=QIIQ")
FSYNC_IN = struct.Struct("=QII")
ACCESS_IN = struct.Struct("=II")

REPLY_SIZES = {
    abi.Opcode.OPEN: abi.OPEN_OUT.size,
    abi.Opcode.WRITE: abi.WRITE_OUT.size,
    abi.Opcode.POLL: abi.POLL_OUT.size,
    abi.Opcode.GETATTR: abi.ATTR_OUT.size,
    abi.Opcode.SETATTR: abi.ATTR_OUT.size,
    abi.Opcode.STATFS: abi.STATFS_OUT.size,
}
"""Bytes after the header of a reply that has always as many; 0 for what is not here."""

INIT_FLAGS = 0x73FF_FFFB
"""The features of fuse_init_in.flags that Linux 6.1 offers."""


class ProtocolError(AssertionError):
    """The daemon sent something that a kernel would not take."""


@dataclass(frozen=True)
class Sizes:
    """The smallest and largest body that the reply to a request may have."""

    least: int
    most: int


@dataclass
class Pending:
    """A request without its reply yet."""

    unique: int
    opcode: int
    sizes: Sizes
    thread: int = field(default_factory=threading.get_native_id)
    interrupted: bool = False
    reply: Future[bytes] = field(default_factory=Future)


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a channel: each send is one receive, and neither end is ever full."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    forced = os.geteuid() == 0
    for end in ends:
        # The plain options are bounded by net.core.wmem_max, which holds the longest frame.
        end.setsockopt(socket.SOL_SOCKET, 32 if forced else socket.SO_SNDBUF, SOCKET_BUFFER)
        end.setsockopt(socket.SOL_SOCKET, 33 if forced else socket.SO_RCVBUF, SOCKET_BUFFER)
    return ends


class Kernel:
    """Asks a daemon; safe to be called from several threads.

    cuse: whether this is the channel of a CUSE device. minor: the protocol is 7.`minor`.
    """

    def __init__(self, channel: socket.socket, *, cuse: bool, minor: int = 45) -> None:
        self.cuse = cuse
        self.minor = minor
        self.violations: list[str] = []
        self.open_flags = abi.OpenFlag(0)
        self.max_write = self.max_read = PAGE_SIZE
        self.max_pages = CUSE_MAX_PAGES
        self.file_size = 0
        self._channel = channel
        self._lock = threading.Lock()
        self._last_unique = 0
        self._aborted = False
        self._pending: dict[int, Pending] = {}
        self._notified: dict[int, int] = {}
        self._notification = threading.Condition()
        self._sleepers: set[int] = set()
        self._receiver = threading.Thread(target=self._receive_replies, daemon=True)
        self._receiver.start()

    # Requests ----------------------------------------------------------------------------------

    def init(self, major: int = abi.KERNEL_VERSION) -> bytes:
        """Begin: the body of the reply to INIT; see `accept_init`."""
        if self.cuse:
            body = abi.INIT_IN.pack(major, self.minor, 0, 1)
            return self.request(abi.Opcode.CUSE_INIT, body, Sizes(72, 72 + PAGE_SIZE))
        body = abi.INIT_IN.pack(major, self.minor, 128 << 10, INIT_FLAGS)
        if self.minor >= 36:
            body = body.ljust(64, b"\0")
        return self.request(abi.Opcode.INIT, body, Sizes(24, 64))

    def accept_init(self, reply: bytes) -> None:
        """Take over what the daemon answered to INIT, as Linux does; ProtocolError if it cannot."""
        if self.cuse:
            major, minor, _, flags, self.max_read, self.max_write = struct.unpack_from("=6I", reply)
            info = reply[72:]
            named = len(info) > 9 and info.startswith(b"DEVNAME=") and info.endswith(b"\0")
            acceptable = named and not flags & 1
        else:
            major, minor, _, flags = struct.unpack_from("=4I", reply)
            self.max_write = max(struct.unpack_from("=I", reply, 20)[0], PAGE_SIZE)
            self.max_read = 1 << 30
            if flags & abi.InitFlag.MAX_PAGES:
                self.max_pages = struct.unpack_from("=H", reply, 28)[0]
            acceptable = not flags & ~INIT_FLAGS
        if major != abi.KERNEL_VERSION or minor < 11 or not acceptable:
            raise ProtocolError(f"the kernel would refuse this INIT: {reply.hex()}")

    def request(self, opcode: int, body: bytes = b"", sizes: Sizes | None = None) -> bytes:
        """Ask, and wait for the body of the reply; OSError where the daemon answers an error."""
        pending = self.submit(opcode, body, sizes)
        try:
            return pending.reply.result(DEADLINE_S)
        except TimeoutError:
            raise ProtocolError(f"no reply to opcode {opcode} (unique {pending.unique})") from None

    def submit(self, opcode: int, body: bytes = b"", sizes: Sizes | None = None) -> Pending:
        """Send a request; its reply comes later."""
        if sizes is None:
            size = REPLY_SIZES.get(abi.Opcode(opcode), 0) if opcode in set(abi.Opcode) else 0
            sizes = Sizes(size, size)
        with self._lock:
            self._last_unique += 2
            pending = Pending(self._last_unique, opcode, sizes)
            self._pending[pending.unique] = pending
            self._send(opcode, pending.unique, body)
        return pending

    def interrupt(self, pending: Pending) -> None:
        """A signal reached the client of a request: the daemon is told, once."""
        with self._lock:
            if pending.unique in self._pending and not pending.interrupted:
                pending.interrupted = True
                body = abi.INTERRUPT_IN.pack(pending.unique)
                self._send(abi.Opcode.INTERRUPT, pending.unique | 1, body)

    def send_unanswered(self, opcode: int, body: bytes) -> None:
        """Send a request that has no reply, such as FORGET."""
        with self._lock:
            self._last_unique += 2
            self._send(opcode, self._last_unique, body)

    def send_raw(self, frame: bytes) -> None:
        """Send any bytes."""
        self._channel.send(frame)

    def pending_of(self, thread: int) -> Pending | None:
        """The request of the thread with this native id that has no reply yet."""
        with self._lock:
            return next((p for p in self._pending.values() if p.thread == thread), None)

    def waits(self, thread: int) -> bool:
        """Whether the thread with this native id waits for a reply or a notification."""
        return thread in self._sleepers or self.pending_of(thread) is not None

    def _send(self, opcode: int, unique: int, body: bytes) -> None:
        header = abi.IN_HEADER.pack(
            abi.IN_HEADER.size + len(body),
            opcode,
            unique,
            0 if self.cuse else abi.ROOT_ID,
            os.geteuid(),
            os.getegid(),
            os.getpid(),
            0,
            0,
        )
        self._channel.send(header + body)

    # Notifications -----------------------------------------------------------------------------

    def notifications(self, poll_handle: int) -> int:
        """How often who polls with this handle has been woken."""
        with self._notification:
            return self._notified.get(poll_handle, 0)

    def wait_notified(self, poll_handle: int, more_than: int, timeout_s: float) -> bool:
        """Whether another notification came in time."""
        thread = threading.get_native_id()
        with self._notification:
            self._sleepers.add(thread)
            try:
                return self._notification.wait_for(
                    lambda: self._notified.get(poll_handle, 0) > more_than, timeout_s
                )
            finally:
                self._sleepers.discard(thread)

    # The end -----------------------------------------------------------------------------------

    def abort(self) -> None:
        """End the connection, as umount -f does: what waits fails with ECONNABORTED."""
        with self._lock:
            self._aborted = True
            self._channel.shutdown(socket.SHUT_WR)
            for pending in self._pending.values():
                pending.reply.set_exception(OSError(ECONNABORTED, os.strerror(ECONNABORTED)))
            self._pending.clear()

    def finish(self) -> None:
        """Close the channel; ProtocolError for whatever the daemon did wrong, or left undone."""
        with suppress(OSError):  # the daemon has closed its end
            self._channel.shutdown(socket.SHUT_RDWR)
        self._receiver.join(DEADLINE_S)
        self._channel.close()
        unanswered = [f"no reply to opcode {p.opcode}" for p in self._pending.values()]
        if self.violations or unanswered:
            raise ProtocolError("; ".join(self.violations + unanswered))

    # Replies -----------------------------------------------------------------------------------

    def _receive_replies(self) -> None:
        while frame := self._channel.recv(LARGEST_FRAME):
            try:
                self._receive_reply(frame)
            except ProtocolError as error:
                self.violations.append(str(error))

    def _receive_reply(self, frame: bytes) -> None:
        if len(frame) < abi.OUT_HEADER.size:
            raise ProtocolError(f"a reply of {len(frame)} bytes")
        length, error, unique = abi.OUT_HEADER.unpack_from(frame)
        body = frame[abi.OUT_HEADER.size :]
        if length != len(frame):
            raise ProtocolError(f"a reply of {len(frame)} bytes names {length}")
        if not unique:
            return self._notify(error, body)
        with self._lock:
            pending = self._pending.pop(unique, None)
        if pending is None:
            if self._aborted:
                return
            raise ProtocolError(f"a reply to {unique}, which does not wait for one")
        problem = None
        if not -LARGEST_ERRNO <= error <= 0:
            problem = f"error {error}"
        elif error and body:
            problem = f"error {error} with {len(body)} bytes of data"
        elif not error and not pending.sizes.least <= len(body) <= pending.sizes.most:
            problem = f"{len(body)} bytes, not {pending.sizes}"
        if problem is not None:
            violation = ProtocolError(f"the reply to opcode {pending.opcode} has {problem}")
            pending.reply.set_exception(violation)
            raise violation
        if error:
            pending.reply.set_exception(OSError(-error, os.strerror(-error)))
        else:
            pending.reply.set_result(body)

    def _notify(self, code: int, body: bytes) -> None:
        if code != abi.NOTIFY_POLL or len(body) != abi.NOTIFY_POLL_WAKEUP_OUT.size:
            raise ProtocolError(f"notification {code} with {len(body)} bytes")
        (poll_handle,) = abi.NOTIFY_POLL_WAKEUP_OUT.unpack(body)
        with self._notification:
            self._notified[poll_handle] = self._notified.get(poll_handle, 0) + 1
            self._notification.notify_all()
