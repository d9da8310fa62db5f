"""The last lines of a text that grows without end, and who reads them."""

from __future__ import annotations

import time
from collections.abc import Callable

from ovsdp_cuse.filesystem.open_files import READABLE, Waker

RING = 1 << 20
"""Bytes that are kept; twice as many for a moment."""


class Ring:
    """Whole lines, the oldest of which go when there are too many.

    Places in the text are counted from its first byte. lost_line: what stands for a number of lines
    that a reader has missed.
    """

    def __init__(self, lost_line: Callable[[int], bytes], limit: int = RING) -> None:
        self.lost_line = lost_line
        self.start = 0
        self.lines_gone = 0
        self.changed_ns = time.time_ns()
        self._limit = limit
        self._data = bytearray()
        self._readers: set[Reader] = set()

    @property
    def end(self) -> int:
        """The place after the last line."""
        return self.start + len(self._data)

    def append(self, lines: bytes) -> None:
        """Add whole lines, and wake who waits for them."""
        self._data += lines
        self.changed_ns = time.time_ns()
        if len(self._data) > 2 * self._limit:
            cut = self._data.find(b"\n", len(self._data) - self._limit) + 1
            self.lines_gone += self._data.count(b"\n", 0, cut)
            del self._data[:cut]
            self.start += cut
        for reader in self._readers:
            reader.wake()

    def slice(self, place: int, size: int) -> bytes:
        """What is kept from `place` on."""
        at = place - self.start
        return bytes(self._data[at : at + size])

    def lines_before(self, place: int) -> int:
        """How many lines end before a place that is still kept."""
        return self.lines_gone + self._data.count(b"\n", 0, place - self.start)

    def open(self) -> Reader:
        """A new reader."""
        reader = Reader(self, self._readers.discard)
        self._readers.add(reader)
        return reader


class Reader:
    """An open file on the ring: it never waits, and ends for now where the text does.

    Its offsets are the places of the text, so that they agree with the size that stat(2) shows;
    they move apart where lines are gone, or a line tells of lost ones.
    """

    held = 0

    def __init__(self, ring: Ring, on_close: Callable[[Reader], None]) -> None:
        self._ring = ring
        self._on_close = on_close
        self._begun = False
        self._shift = 0
        self._place = 0
        self._lines = 0
        self._within_line = False
        self._notice: tuple[int, bytes] = 0, b""
        self._waker: Waker | None = None

    async def read(self, offset: int, size: int) -> bytes:
        """What is there from `offset` on; b"" where nothing is yet."""
        ring = self._ring
        at, notice = self._notice
        if at <= offset < at + len(notice):
            return notice[offset - at :][:size]
        place = offset + self._shift
        if place < ring.start:
            notice = b""
            if self._begun and place == self._place:
                broken = b"\n" if self._within_line else b""
                notice = broken + ring.lost_line(ring.lines_gone - self._lines)
            self._shift = ring.start - offset - len(notice)
            self._notice = offset, notice
            place = self._place = ring.start
            self._lines = ring.lines_gone
            self._within_line = False
            if notice:
                return notice[:size]
        data = ring.slice(place, size)
        if self._begun and place == self._place:
            # Whole lines, if it can be: what follows may be gone when it is asked for.
            data = data[: data.rfind(b"\n") + 1] or data
        else:
            self._lines = ring.lines_before(place)
        self._within_line = not data.endswith(b"\n") if data else self._within_line
        self._begun = True
        self._lines += data.count(b"\n")
        self._place = place + len(data)
        return data

    def poll(self, waker: Waker | None) -> int:
        """Readable while there is more than has been read."""
        if max(self._place, self._ring.start) < self._ring.end:
            return READABLE
        self._waker = waker
        return 0

    def wake(self) -> None:
        """Tell who waits that there is more."""
        waker, self._waker = self._waker, None
        if waker is not None:
            waker.notify()

    async def close(self) -> None:
        """Read no more."""
        self._waker = None
        self._on_close(self)
