"""The fake node: the daemon in a thread of this process, and a kernel that is a program.

What the kernel's virtual file system does between a client and the channel is in FakeHandle: the
checks of the open mode, the sizes of an ioctl, the cutting of long reads and writes, and polling.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from errno import EBADF, EIO, ENOSYS, ENOTTY
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI
from types import TracebackType
from typing import TypeVar

import structlog
from structlog.typing import EventDict

from ovsdp_cuse.device import fuse_abi as abi
from ovsdp_cuse.device.channel import Channel, ChannelClosed
from ovsdp_cuse.device.connection import Connection
from ovsdp_cuse.device.serve import Server
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.dispatch import Dispatcher
from ovsdp_cuse.families.registry import Family, Registry
from ovsdp_cuse.families.request import Context
from ovsdp_cuse.families.session import SessionTable
from ovsdp_cuse.families.tap import Watcher
from ovsdp_cuse.ports.memory import MemoryPorts
from ovsdp_cuse.switch.switch import Switch
from ovsdp_cuse.testing.logs import DaemonLog
from ovsdp_cuse.testing.thread import LoopThread
from tests.nodes.calls import ThreadCall
from tests.nodes.interface import DEADLINE_S, Call, Waiter
from tests.nodes.kernel import FLUSH_IN, PAGE_SIZE, Kernel, Sizes, channel_pair

T = TypeVar("T")

READABLE = POLLIN | POLLERR
READ_LOCKOWNER = 1 << 1
"""FUSE_READ_LOCKOWNER: read(2) has an owner, reading into the page cache has none."""


def cut(buffers: Iterable[bytes], max_pages: int, max_bytes: int) -> Iterator[bytes]:
    """The requests that a writev(2) of page-aligned buffers becomes (fuse_get_user_pages())."""
    part: list[bytes] = []
    pages = size = 0
    for buffer in buffers:
        while buffer:
            room = min((max_pages - pages) * PAGE_SIZE, max_bytes - size)
            if room <= 0:
                yield b"".join(part)
                part, pages, size = [], 0, 0
                continue
            piece, buffer = buffer[:room], buffer[room:]
            part.append(piece)
            pages += -(-len(piece) // PAGE_SIZE)
            size += len(piece)
    if part:
        yield b"".join(part)


class FakeEdges:
    """An epoll set with EPOLLET: ep_insert() polls, a wake-up makes ready, ep_send_events() polls
    again."""

    def __init__(self, handle: FakeHandle) -> None:
        self._handle = handle
        self._seen = handle.notifications()
        self._ready = bool(handle.ask_poll(schedule=True) & READABLE)

    def wait(self, timeout_s: float = DEADLINE_S) -> bool:
        """Whether an edge came."""
        handle = self._handle
        if not self._ready and not handle.wait_notified(self._seen, timeout_s):
            return False
        self._ready = False
        self._seen = handle.notifications()
        return bool(handle.ask_poll(schedule=True) & READABLE)


class FakeHandle:
    """An open file, as the virtual file system keeps it."""

    def __init__(self, kernel: Kernel, flags: int, handle: int, open_flags: int) -> None:
        self.handle = handle
        """What the daemon knows this file by."""
        self._kernel = kernel
        self._flags = flags
        self._open_flags = open_flags
        self._poll_handle = handle << 8

    def ioctl(self, number: int, data: bytes = b"") -> tuple[int, bytes]:
        """ioctl(2), restricted: the number tells the sizes (fuse_do_ioctl())."""
        direction, size = number >> 30, number >> 16 & 0x3FFF
        return self.ioctl_sized(
            number, data.ljust(size, b"\0"), size if direction & 1 else 0, direction & 2 and size
        )

    def ioctl_sized(
        self, number: int, buffer: bytes, in_size: int, out_size: int
    ) -> tuple[int, bytes]:
        """ioctl(2) with any sizes."""
        self._check_open()
        body = abi.IOCTL_IN.pack(self.handle, 0, number, 0, in_size, out_size) + buffer[:in_size]
        sizes = Sizes(abi.IOCTL_OUT.size, abi.IOCTL_OUT.size + out_size)
        try:
            reply = self._kernel.request(abi.Opcode.IOCTL, body, sizes)
        except OSError as error:
            if error.errno == ENOSYS:
                raise OSError(ENOTTY, os.strerror(ENOTTY)) from None
            raise
        value, flags, _, _ = abi.IOCTL_OUT.unpack_from(reply)
        if flags:
            raise OSError(EIO, "a retry, which a restricted ioctl may not ask for")
        if value < 0:
            raise OSError(-value, os.strerror(-value))
        out = reply[abi.IOCTL_OUT.size :]
        return value, out + buffer[len(out) :]

    def read(self, size: int) -> bytes:
        """read(2): asks again while replies fill what was asked for (fuse_direct_io())."""
        self._check_open(os.O_RDONLY)
        data = b""
        largest = min(self._kernel.max_read, self._kernel.max_pages * PAGE_SIZE)
        while len(data) < size:
            wanted = min(size - len(data), largest)
            body = abi.READ_IN.pack(
                self.handle, len(data), wanted, READ_LOCKOWNER, id(self), self._flags, 0
            )
            try:
                part = self._kernel.request(abi.Opcode.READ, body, Sizes(0, wanted))
            except OSError:
                if data:
                    return data
                raise
            data += part
            if len(part) < wanted:
                break
        return data

    def write(self, *buffers: bytes) -> int:
        """write(2) and writev(2): cut into requests; a short one ends the call."""
        self._check_open(os.O_WRONLY)
        kernel = self._kernel
        taken = 0
        start = kernel.file_size if self._flags & os.O_APPEND and not kernel.cuse else 0
        for part in cut(buffers, kernel.max_pages, kernel.max_write):
            body = abi.WRITE_IN.pack(self.handle, start + taken, len(part), 0, 0, self._flags, 0)
            try:
                (size, _) = abi.WRITE_OUT.unpack(
                    kernel.request(abi.Opcode.WRITE, body + part, Sizes(8, 8))
                )
            except OSError:
                if taken:
                    return taken
                raise
            assert size <= len(part), "a write took more than there was"
            taken += size
            kernel.file_size = max(kernel.file_size, start + taken)
            if size < len(part):
                break
        return taken

    def poll(self) -> int:
        """poll(2) with no time to wait."""
        return self.ask_poll(schedule=False) & (POLLIN | POLLOUT | POLLPRI | POLLERR | POLLHUP)

    def wait_readable(self, by: Waiter = "poll", timeout_s: float = DEADLINE_S) -> bool:
        """poll(2): ask, wait for a notification, ask again; all three calls do so."""
        while True:
            seen = self.notifications()
            if self.ask_poll(schedule=True) & READABLE:
                return True
            if not self.wait_notified(seen, timeout_s):
                return False

    @contextmanager
    def edges(self) -> Iterator[FakeEdges]:
        """epoll with EPOLLET."""
        yield FakeEdges(self)

    def ask_poll(self, schedule: bool) -> int:
        """One FUSE_POLL; `schedule` asks for a notification."""
        self._check_open()
        body = abi.POLL_IN.pack(
            self.handle, self._poll_handle, abi.POLL_SCHEDULE_NOTIFY if schedule else 0, 0xFFFF
        )
        events, _ = abi.POLL_OUT.unpack(self._kernel.request(abi.Opcode.POLL, body))
        return int(events)

    def notifications(self) -> int:
        """How many notifications have come for this file."""
        return self._kernel.notifications(self._poll_handle)

    def wait_notified(self, more_than: int, timeout_s: float) -> bool:
        """Whether another one comes in time."""
        return self._kernel.wait_notified(self._poll_handle, more_than, timeout_s)

    def set_nonblocking(self, nonblocking: bool) -> None:
        """fcntl(2): no request tells the daemon of it."""
        self._flags = self._flags | os.O_NONBLOCK if nonblocking else self._flags & ~os.O_NONBLOCK

    def close(self) -> None:
        """close(2): FUSE flushes where it was not told otherwise; both release."""
        if not self._kernel.cuse and not self._open_flags & abi.OpenFlag.NOFLUSH:
            self._kernel.request(abi.Opcode.FLUSH, FLUSH_IN.pack(self.handle, 0, 0, 0))
        handle, self.handle = self.handle, -1
        if handle >= 0:
            body = abi.RELEASE_IN.pack(handle, self._flags, 0, 0)
            self._kernel.request(abi.Opcode.RELEASE, body)

    def _check_open(self, mode: int | None = None) -> None:
        """EBADF as the virtual file system says it, before any request."""
        wrong = mode is not None and self._flags & os.O_ACCMODE not in (mode, os.O_RDWR)
        if self.handle < 0 or wrong:
            raise OSError(EBADF, os.strerror(EBADF))


class FakeNode:
    """A served node with no kernel in it; a context manager.

    cuse, minor: which channel, see Kernel. sessions: with limits and first PID of one's choice.
    families: beside the built-in ones. make_channel: instead of a plain Channel. begin: whether the
    kernel sends INIT at once. What the daemon logs is in `log`; at the end an error among it that
    `take_errors` did not take is raised, as is whatever the daemon did wrong on its channel.
    """

    kind = "fake"

    def __init__(
        self,
        *,
        cuse: bool = True,
        minor: int = 45,
        sessions: SessionTable | None = None,
        families: tuple[Family, ...] = (),
        tap: Watcher | None = None,
        wait_limit_s: float | None = None,
        make_channel: Callable[[int], Channel] = Channel,
        begin: bool = True,
    ) -> None:
        self.ports = MemoryPorts(first_ifindex=1)
        self.context = Context(
            Switch(self.ports, os.cpu_count() or 1),
            Registry((*BUILT_IN, *families)),
            SessionTable() if sessions is None else sessions,
        )
        self._begin = begin
        self.connection = Connection("fake" if cuse else None)
        ours, theirs = channel_pair()
        self.kernel = Kernel(ours, cuse=cuse, minor=minor)
        self._channel = make_channel(theirs.detach())
        self._server = Server(
            self._channel, self.connection, Dispatcher(self.context, tap), wait_limit_s
        )
        self._loop = LoopThread(self._serve)
        self.log = DaemonLog(lambda: self._loop.identity)

    def __enter__(self) -> FakeNode:
        """Start the daemon, and begin with INIT."""
        self.log.begin()
        self._loop.start()
        if self._begin:
            self.kernel.accept_init(self.kernel.init())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the daemon, and raise what went wrong in it."""
        try:
            self.stop_daemon()
            self.kernel.finish()
        finally:
            self.log.end()
        if self._loop.error is not None:
            raise self._loop.error
        errors = self.take_errors()
        assert not errors, errors
        assert not len(self.context.sessions), "a handle outlived the daemon"

    def take_errors(self) -> list[EventDict]:
        """The errors that the daemon has logged since the last call: the test expects them."""
        return self.log.take_errors()

    def stop_daemon(self) -> None:
        """Cancel the daemon, as SIGTERM does, and wait for its end."""
        self._loop.stop()

    def open(self, flags: int = os.O_RDWR) -> FakeHandle:
        """open(2)."""
        body = abi.OPEN_IN.pack(flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOCTTY), 0)
        handle, open_flags, _ = abi.OPEN_OUT.unpack(self.kernel.request(abi.Opcode.OPEN, body))
        return FakeHandle(self.kernel, flags, handle, open_flags)

    def start(self, call: Callable[[], T]) -> Call[T]:
        """Make one system call in a thread of its own."""
        return ThreadCall(
            call, lambda thread: self.kernel.waits(thread.native_id or 0), self._interrupt
        )

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in the daemon's thread, between two requests."""
        return self._loop.run(function)

    def _interrupt(self, thread: threading.Thread) -> None:
        pending = self.kernel.pending_of(thread.native_id or 0)
        if pending is not None:
            self.kernel.interrupt(pending)

    async def _serve(self, ready: Callable[[], None]) -> None:
        ready()
        try:
            await self._server.serve()
        except ChannelClosed:
            structlog.get_logger(__name__).info("the kernel ended the connection")
        finally:
            self._channel.close()
