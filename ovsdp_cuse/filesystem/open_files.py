"""What is behind an open file: something to read at an offset, that may be polled."""

from __future__ import annotations

from select import POLLIN, POLLRDNORM
from typing import Protocol

READABLE = POLLIN | POLLRDNORM


class Waker(Protocol):
    """Who waits in poll(2); pyfuse3's PollHandle is one."""

    def notify(self) -> None:
        """Have the kernel ask again."""


class OpenFile(Protocol):
    """An open file. held: how many bytes of memory it holds."""

    held: int

    async def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes, b"" at the end; DatapathError where they cannot be had."""

    def poll(self, waker: Waker | None) -> int:
        """The events that are true now; where there is none, `waker` is told of the next one."""

    async def close(self) -> None:
        """Give back what it holds; called once."""


class Contents:
    """A file whose contents were all made when it was opened."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.held = len(data)

    async def read(self, offset: int, size: int) -> bytes:
        """A part of them."""
        return self._data[offset : offset + size]

    def poll(self, waker: Waker | None) -> int:
        """It is always readable, as a file on a disk is."""
        return READABLE

    async def close(self) -> None:
        """Forget them."""
        self._data = b""
