"""The last inputs of a round, to be shown when one of them breaks the invariant."""

from __future__ import annotations

import time
from collections import deque

from structlog.typing import EventDict

SHOWN = 12
SLOWEST_S = 1.0
"""Processor seconds that one input, with all that it leads to, may take."""


class Record:
    """Counts the inputs of a round, `size` of them, and remembers the last ones.

    What an input has led to is looked at when the next one is noted, or the round ends.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        self._last: deque[tuple[str, bytes]] = deque(maxlen=SHOWN)
        self.slowest = (0.0, "")
        """Processor seconds of the input that took longest, and which it was."""
        self._began = time.thread_time()
        self.logs: list[EventDict] = []
        """What has been logged; an error is one that nobody was to see."""

    @property
    def more(self) -> bool:
        """Whether the round is not over."""
        return self.count < self.size

    def note(self, what: str, data: bytes = b"") -> None:
        """One input is about to be sent."""
        self._end()
        self.count += 1
        self._last.append((what, data))
        self._began = time.thread_time()

    def close(self) -> None:
        """The round has ended; AssertionError where an input took too long."""
        self._end()
        seconds, what = self.slowest
        assert seconds < SLOWEST_S, f"{seconds:.1f} s of processor for: {what}"

    def _end(self) -> None:
        """What the last input led to has been done."""
        seconds = time.thread_time() - self._began
        for entry in self.logs:
            if entry["log_level"] in ("error", "critical"):
                raise AssertionError(f"logged: {entry['event']}\n{entry.get('exception', '')}")
        self.logs.clear()
        if seconds > self.slowest[0] and self._last:
            what, data = self._last[-1]
            self.slowest = seconds, f"{what} {data.hex()}"

    def __str__(self) -> str:
        lines = [f"  {what} {data.hex()}" for what, data in self._last]
        return "the last inputs, the newest at the end:\n" + "\n".join(lines)
