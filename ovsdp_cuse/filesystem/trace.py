"""The files `trace`: what crosses the device, line by line, for `tail -f`.

The daemon traces for them only while one of them is open. There is one handle for all who read.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EBADF

import structlog
import trio

from ovsdp_cuse.client.handle import EventsLost
from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.filesystem.nodes import File
from ovsdp_cuse.filesystem.open_files import OpenFile, Waker
from ovsdp_cuse.filesystem.ring import Reader, Ring
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.trace import TRACE_GROUP_NAME

log = structlog.get_logger(__name__)


class LineMaker:
    """How traces become lines: `line` for a message of TRACE, `lost` for some that are missing.

    lost: given their number, None where nobody knows it.
    """

    def __init__(self, line: Callable[[Message], str], lost: Callable[[int | None], str]) -> None:
        self.line = line
        self.lost = lost


class TraceFeed:
    """Traces, from the device to the rings of the files that are open."""

    def __init__(self, nursery: trio.Nursery, open_writer: Callable[[], LocalDevice]) -> None:
        self._nursery = nursery
        self._open_writer = open_writer
        self._device: LocalDevice | None = None
        self._beginning = trio.Lock()
        self._files: dict[TraceFile, int] = {}

    async def begin(self, file: TraceFile) -> None:
        """Have a file be fed; DatapathError where no handle can be had."""
        async with self._beginning:  # whoever comes meanwhile is not to count on half a device
            if self._device is None:
                device = self._open_writer()
                try:
                    await device.subscribe(TRACE_GROUP_NAME)
                except BaseException:
                    device.close()
                    raise
                self._device = device
                self._nursery.start_soon(self._feed, device)
            self._files[file] = self._files.get(file, 0) + 1

    def end(self, file: TraceFile) -> bool:
        """Feed a file no more that has begun once; whether nobody reads it now."""
        self._files[file] -= 1
        if self._files[file]:
            return False
        del self._files[file]
        if not self._files and self._device is not None:
            device, self._device = self._device, None
            device.close()
        return True

    async def _feed(self, device: LocalDevice) -> None:
        while True:
            try:
                events = await device.next_events()
            except EventsLost:
                for file in self._files:
                    file.lost()
                continue
            except DatapathError as error:
                if error.errno != EBADF:  # the handle was closed: nobody reads
                    log.error("tracing for the file system ended", error=str(error))
                return
            for _schema, message in events:
                for file in self._files:
                    file.append(message)


class TraceFile(File):
    """One form of the trace."""

    writers_only = True

    def __init__(self, feed: TraceFeed, make: LineMaker) -> None:
        super().__init__(self._open)
        self._feed = feed
        self._make = make
        self._ring = self._new_ring()

    @property
    def size(self) -> int:
        """All that has been traced since somebody opened it: `tail -f` looks at this."""
        return self._ring.end

    @property
    def changed_ns(self) -> int | None:
        """When there was a line last."""
        return self._ring.changed_ns

    def append(self, message: Message) -> None:
        """Add what a message tells."""
        self._ring.append(_encode(self._make.line(message)))

    def lost(self) -> None:
        """Say that traces are missing."""
        self._ring.append(_encode(self._make.lost(None)))

    def _new_ring(self) -> Ring:
        return Ring(lambda number: _encode(self._make.lost(number)))

    async def _open(self) -> OpenFile:
        await self._feed.begin(self)
        return _OpenTrace(self._ring.open(), self._close)

    def _close(self) -> None:
        if self._feed.end(self):
            self._ring = self._new_ring()


class _OpenTrace:
    """A reader of the ring that ends its feed."""

    held = 0

    def __init__(self, reader: Reader, on_close: Callable[[], None]) -> None:
        self._reader = reader
        self._on_close = on_close

    async def read(self, offset: int, size: int) -> bytes:
        return await self._reader.read(offset, size)

    def poll(self, waker: Waker | None) -> int:
        return self._reader.poll(waker)

    async def close(self) -> None:
        await self._reader.close()
        self._on_close()


def _encode(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"
