"""A node of this machine's kernel. The system calls are made through the C library, because the
functions of `os` repeat a call that a signal has ended."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tests.nodes.calls import ThreadCall
from tests.nodes.interface import DEADLINE_S, Call, Waiter

T = TypeVar("T")

WAKE_UP = signal.SIGUSR1


class IoVector(ctypes.Structure):
    """struct iovec."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = (
        ("base", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.read.argtypes = _libc.write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_libc.writev.argtypes = (ctypes.c_int, ctypes.POINTER(IoVector), ctypes.c_int)
_libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
_libc.read.restype = _libc.write.restype = _libc.writev.restype = ctypes.c_ssize_t


def _check(result: int) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result


def waits(task: Path, path: Path) -> bool:
    """Whether a task sleeps in a system call on the file at `path`, or in one of the poll family.

    task: its directory in /proc, of a process or a thread. What it sleeps in is told by
    proc_pid_wchan(5) and proc_pid_syscall(5), whose first argument is the descriptor.
    """
    try:
        function = (task / "wchan").read_text()
        if "poll" in function or "select" in function:
            return True
        fields = (task / "syscall").read_text().split()
        return len(fields) > 1 and (task / "fd" / str(int(fields[1], 16))).readlink() == path
    except OSError:  # the task goes on meanwhile
        return False


class RealEdges:
    """An epoll set with EPOLLET."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll

    def wait(self, timeout_s: float = DEADLINE_S) -> bool:
        """Whether an edge came."""
        return bool(self._epoll.poll(timeout_s))


class RealHandle:
    """An open file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def ioctl(self, number: int, data: bytes = b"") -> tuple[int, bytes]:
        """ioctl(2) with a buffer of as many bytes as the number says."""
        size = number >> 16 & 0x3FFF
        buffer = ctypes.create_string_buffer(data, max(size, 1, len(data)))
        value = _check(_libc.ioctl(self.descriptor, number, buffer))
        return value, buffer.raw[:size]

    def read(self, size: int) -> bytes:
        """read(2)."""
        buffer = ctypes.create_string_buffer(size)
        taken = _check(_libc.read(self.descriptor, buffer, size))
        return buffer.raw[:taken]

    def write(self, *buffers: bytes) -> int:
        """write(2) or writev(2)."""
        if len(buffers) == 1:
            return _check(_libc.write(self.descriptor, buffers[0], len(buffers[0])))
        copies = [ctypes.create_string_buffer(buffer, len(buffer)) for buffer in buffers]
        vectors = (IoVector * len(copies))(
            *(IoVector(ctypes.addressof(copy), len(copy)) for copy in copies)
        )
        return _check(_libc.writev(self.descriptor, vectors, len(copies)))

    def poll(self) -> int:
        """poll(2) with no time to wait."""
        poller = select.poll()
        poller.register(self.descriptor, select.POLLIN | select.POLLOUT | select.POLLPRI)
        return next((events for _descriptor, events in poller.poll(0)), 0)

    def wait_readable(self, by: Waiter = "poll", timeout_s: float = DEADLINE_S) -> bool:
        """poll(2), select(2) or epoll_wait(2), level-triggered."""
        if by == "select":
            return bool(select.select([self.descriptor], [], [], timeout_s)[0])
        if by == "poll":
            poller = select.poll()
            poller.register(self.descriptor, select.POLLIN)
            return bool(poller.poll(timeout_s * 1000))
        with select.epoll() as epoll:
            epoll.register(self.descriptor, select.EPOLLIN)
            return bool(epoll.poll(timeout_s))

    @contextmanager
    def edges(self) -> Iterator[RealEdges]:
        """epoll with EPOLLET."""
        with select.epoll() as epoll:
            epoll.register(self.descriptor, select.EPOLLIN | select.EPOLLET)
            yield RealEdges(epoll)

    def set_nonblocking(self, nonblocking: bool) -> None:
        """fcntl(2)."""
        os.set_blocking(self.descriptor, not nonblocking)

    def close(self) -> None:
        """close(2); may be called again."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealNode:
    """A device node, or a file that is one, which somebody serves."""

    def __init__(self, kind: str, path: Path) -> None:
        self.kind = kind
        self.path = path
        # Any handler will do: a signal with none would end the process.
        signal.signal(WAKE_UP, lambda _number, _frame: None)

    def open(self, flags: int = os.O_RDWR) -> RealHandle:
        """open(2)."""
        return RealHandle(os.open(self.path, flags | os.O_CLOEXEC))

    def start(self, call: Callable[[], T]) -> Call[T]:
        """Make one system call in a thread of its own."""
        return ThreadCall(call, self._waits, self._interrupt)

    def _waits(self, thread: threading.Thread) -> bool:
        return waits(Path("/proc/self/task") / str(thread.native_id), self.path)

    @staticmethod
    def _interrupt(thread: threading.Thread) -> None:
        signal.pthread_kill(thread.ident or 0, WAKE_UP)
