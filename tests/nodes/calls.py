"""System calls that wait, made by a thread, so that a test can go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ovsdp_cuse.testing.calls import Call
from tests.nodes.interface import DEADLINE_S

T = TypeVar("T")


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return when a condition holds that nobody tells of; TimeoutError after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        time.sleep(0.002)  # as nobody tells


class ThreadCall(Call[T]):
    """A call of which the node is asked whether it waits, and which the node can interrupt.

    started: whether that thread waits for the daemon. interrupt: sends it a signal.
    """

    def __init__(
        self,
        call: Callable[[], T],
        started: Callable[[threading.Thread], bool],
        interrupt: Callable[[threading.Thread], None],
    ) -> None:
        self._started = started
        self._interrupt = interrupt
        super().__init__(call)

    def wait_started(self) -> None:
        """Return when the call waits for the daemon; AssertionError where it has ended."""
        wait_until(lambda: self.done or self._started(self.thread), "the call waits")
        assert not self.done, f"the call did not wait: {self}"

    def interrupt(self) -> None:
        """Send a signal."""
        self._interrupt(self.thread)
