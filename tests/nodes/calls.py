"""System calls that wait, made by a thread, so that a test can go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from tests.nodes.interface import DEADLINE_S

T = TypeVar("T")


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return when a condition holds that nobody tells of; TimeoutError after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        time.sleep(0.002)  # as nobody tells


class ThreadCall(Generic[T]):
    """A call that runs in a thread of its own.

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
        self._outcome: Future[T] = Future()
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._outcome.set_result(call())
        except BaseException as error:  # it is raised again by `result`
            self._outcome.set_exception(error)

    def wait_started(self) -> None:
        """Return when the call waits for the daemon; AssertionError where it has ended."""
        ended = self._outcome.done
        wait_until(lambda: ended() or self._started(self._thread), "the call waits")
        assert not ended(), f"the call did not wait: {self._outcome}"

    def interrupt(self) -> None:
        """Send a signal."""
        self._interrupt(self._thread)

    def result(self) -> T:
        """The call's result or exception; TimeoutError when it hangs."""
        outcome = self._outcome.result(DEADLINE_S)
        self._thread.join()
        return outcome
