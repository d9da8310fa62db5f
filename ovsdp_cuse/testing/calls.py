"""Calls that wait, made by a thread, so that a test can go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from ovsdp_cuse.testing.thread import TIME_LIMIT_S

T = TypeVar("T", covariant=True)


class Call(Generic[T]):
    """A call that runs in a thread of its own, from now on."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._outcome: Future[T] = Future()
        self.thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self.thread.start()

    @property
    def done(self) -> bool:
        """Whether it has returned, or raised."""
        return self._outcome.done()

    def result(self, timeout: float = TIME_LIMIT_S) -> T:
        """What the call returned, or raises what it raised; TimeoutError when it hangs."""
        outcome = self._outcome.result(timeout)
        self.thread.join()
        return outcome

    def __repr__(self) -> str:
        return f"<Call {self._outcome!r}>"

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._outcome.set_result(call())
        except BaseException as error:  # it is raised again by `result`
            self._outcome.set_exception(error)
