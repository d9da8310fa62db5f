"""The last inputs of a round, to be shown when one of them breaks the invariant."""

from __future__ import annotations

from collections import deque

SHOWN = 12


class Record:
    """Counts the inputs of a round, `size` of them, and remembers the last ones."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        self._last: deque[tuple[str, bytes]] = deque(maxlen=SHOWN)

    @property
    def more(self) -> bool:
        """Whether the round is not over."""
        return self.count < self.size

    def note(self, what: str, data: bytes = b"") -> None:
        """One input is about to be sent."""
        self.count += 1
        self._last.append((what, data))

    def __str__(self) -> str:
        lines = [f"  {what} {data.hex()}" for what, data in self._last]
        return "the last inputs, the newest at the end:\n" + "\n".join(lines)
