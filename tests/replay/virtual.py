"""Time that passes only for who sleeps."""

from __future__ import annotations


class VirtualTime:
    """Stands for the module `time`; slept_ns: how long somebody has slept."""

    def __init__(self) -> None:
        self.slept_ns = 0
        self.busy_ns = 0

    def monotonic_ns(self) -> int:
        """As time.monotonic_ns."""
        return 1_000_000 + self.slept_ns + self.busy_ns

    def sleep(self, seconds: float) -> None:
        """As time.sleep."""
        assert seconds > 0
        self.slept_ns += round(seconds * 1e9)
