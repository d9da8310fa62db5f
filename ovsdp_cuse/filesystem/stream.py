"""Files that are made while they are read: 100,000 flows are never in memory at once.

What has been made is kept for a while, as a reader may go back a little (`tail`, a buffered reader
that seeks). Who goes back further gets a file that is made anew from its beginning, as /proc does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from errno import EIO, ENODEV, ENOENT

import trio

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.filesystem.open_files import READABLE, Waker
from ovsdp_cuse.filesystem.pool import Pool

READ_MAXIMUM = 32 * 1024
"""Bytes that one read makes at most: then it is somebody else's turn to have something made."""
KEPT = 256 * 1024
"""Bytes before the reader's place that are kept."""

Make = Callable[[LocalDevice], AsyncGenerator[bytes, None]]
"""Makes the parts of a file from what a device tells; lets others have their turn in between."""


class Workshop:
    """Where parts are made, one reader's at a time: however many read, a turn takes no longer."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.lock = trio.Lock()
        self.closed = False


class Stream:
    """An open file whose parts `make` makes when they are read.

    Where what it is about goes meanwhile, the file ends. It takes a device with the first read and
    gives it back at the end, so a file that is only kept open holds none.
    """

    held = KEPT

    def __init__(self, workshop: Workshop, make: Make) -> None:
        self._workshop = workshop
        self._make = make
        self._device: LocalDevice | None = None
        self._parts: AsyncGenerator[bytes, None] | None = None
        self._reading = trio.Lock()
        self._window = bytearray()
        self._start = 0
        self._ended = False

    async def read(self, offset: int, size: int) -> bytes:
        """What is there at `offset`, made as far as it must be; fewer bytes than it could be."""
        async with self._reading:
            if offset < self._start:
                await self._rewind()
            while True:
                async with self._workshop.lock:
                    await self._make_until(offset + min(size, READ_MAXIMUM))
                if self._ended or offset < self._end:
                    break
            at = offset - self._start
            data = bytes(self._window[at : at + size])
            self._trim(offset)
            return data

    def poll(self, waker: Waker | None) -> int:
        """It is always readable, as a file on a disk is."""
        return READABLE

    async def close(self) -> None:
        """Make no more of it."""
        await self._stop()
        self._window.clear()

    @property
    def _end(self) -> int:
        return self._start + len(self._window)

    async def _make_until(self, end: int) -> None:
        """Make parts until there is something up to `end`, or a turn's worth of parts."""
        made = 0
        while not self._ended and self._end < end and made < READ_MAXIMUM:
            if self._workshop.closed:
                raise DatapathError(EIO, "the daemon is stopping")
            part = await self._next_part()
            made += len(part)
            self._window += part
            if self._end < end:
                self._trim(self._end)

    async def _next_part(self) -> bytes:
        if self._parts is None:
            self._device = self._workshop.pool.take()
            self._parts = self._make(self._device)
        part = await anext(self._parts, None)
        if part is None:
            self._ended = True
            await self._stop()
        return part or b""

    def _trim(self, place: int) -> None:
        """Forget what lies far before a place."""
        excess = place - KEPT - self._start
        if excess > KEPT:
            del self._window[:excess]
            self._start += excess

    async def _rewind(self) -> None:
        await self._stop()
        self._window.clear()
        self._start = 0
        self._ended = False

    async def _stop(self) -> None:
        parts, self._parts = self._parts, None
        device, self._device = self._device, None
        if parts is not None:
            await parts.aclose()
        if device is not None:
            if self._ended:
                self._workshop.pool.give_back(device)
            else:
                self._workshop.pool.discard(device)


def has_gone(error: DatapathError) -> bool:
    """Whether a request failed because what it was about is no longer there."""
    return error.errno in (ENODEV, ENOENT)
