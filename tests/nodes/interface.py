"""What a test may do with a node, whichever it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeVar

from ovsdp_cuse.testing.thread import TIME_LIMIT_S

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)

DEADLINE_S = TIME_LIMIT_S
"""How long anything may take that is to happen at once."""

Waiter = Literal["poll", "select", "epoll"]


class Edges(Protocol):
    """An epoll set that watches one handle for input, edge-triggered."""

    def wait(self, timeout_s: float = DEADLINE_S) -> bool:
        """Whether an edge came: something new to read since the last time."""


class Handle(Protocol):
    """An open file. What fails raises OSError, as the functions of `os` do."""

    def ioctl(self, number: int, data: bytes = b"") -> tuple[int, bytes]:
        """The value, and the buffer afterwards: _IOC_SIZE bytes that began with `data`."""

    def read(self, size: int) -> bytes:
        """read(2) into a buffer of `size` bytes."""

    def write(self, *buffers: bytes) -> int:
        """write(2), or writev(2) of several buffers; the bytes that were taken."""

    def poll(self) -> int:
        """The events (POLLIN, ...) that poll(2) tells at once."""

    def wait_readable(self, by: Waiter = "poll", timeout_s: float = DEADLINE_S) -> bool:
        """Whether the handle became readable in time; the system call is named by `by`."""

    def edges(self) -> AbstractContextManager[Edges]:
        """Watch the handle with EPOLLET."""

    def set_nonblocking(self, nonblocking: bool) -> None:
        """Set or clear O_NONBLOCK, as fcntl(2) does."""

    def close(self) -> None:
        """close(2)."""


class Call(Protocol[Result]):
    """A system call that another thread makes."""

    def wait_started(self) -> None:
        """Return when the call waits for the daemon: later requests reach the daemon later."""

    def interrupt(self) -> None:
        """Send a signal to the thread that waits in the call."""

    def result(self) -> Result:
        """What the call returned, or raises what it raised; TimeoutError when it hangs."""


class Node(Protocol):
    """A device node that is being served."""

    kind: str
    """fake, fuse or cuse."""

    def open(self, flags: int = os.O_RDWR) -> Handle:
        """Open the node."""

    def start(self, call: Callable[[], T]) -> Call[T]:
        """Make one system call in a thread of its own."""
