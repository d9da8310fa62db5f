"""A trio loop in a thread of its own, and calls into it from other threads."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

import trio

T = TypeVar("T")

TIME_LIMIT_S = 60.0
"""How long anything may take that is to happen at once: on an emulated machine that is a while."""


class LoopEnded(Exception):
    """The loop ended before a call into it was done."""


class _Request(Generic[T]):
    """A call into the loop: an asynchronous function, run in a task."""

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self.outcome: Future[T] = Future()
        self._function = function
        self._scope = trio.CancelScope()
        self.thread = threading.get_ident()

    def begin(self) -> None:
        """In the loop: start the task."""
        trio.lowlevel.spawn_system_task(self._run)

    def cancel(self) -> None:
        """In the loop: end the task."""
        self._scope.cancel()

    async def _run(self) -> None:
        try:
            with self._scope:
                result = await self._function()
        except trio.Cancelled:
            self.fail()
            raise
        except BaseException as error:  # it is raised again where the call was made
            self.outcome.set_exception(error)
        else:
            if self._scope.cancelled_caught:
                self.fail()
            else:
                self.outcome.set_result(result)

    def fail(self) -> None:
        """Say that the loop has ended, unless there is an outcome already."""
        if not self.outcome.done():
            self.outcome.set_exception(LoopEnded("the daemon's loop has ended"))


class LoopThread:
    """Runs `main` in a trio loop until it is stopped.

    main: is given a function to call when it is ready; `start` returns then. clock: the loop's;
    None for the real one.
    """

    def __init__(
        self,
        main: Callable[[Callable[[], None]], Awaitable[None]],
        clock: trio.abc.Clock | None = None,
    ) -> None:
        self.error: BaseException | None = None
        """What the loop ended with, but for being stopped."""
        self._main = main
        self._clock = clock
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._ready = False
        self._begun = threading.Event()
        self._lock = threading.Lock()
        self._requests: set[_Request[Any]] = set()
        self._sleepers: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="ovsdp-daemon", daemon=True)

    @property
    def running(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive()

    @property
    def identity(self) -> int | None:
        """The thread's identity, as threading.get_ident() gives it; None before it is started."""
        return self._thread.ident

    def start(self) -> None:
        """Start it, and return when it is ready; raises what it failed with before."""
        self._thread.start()
        if not self._begun.wait(TIME_LIMIT_S):
            raise TimeoutError(f"the daemon is not ready within {TIME_LIMIT_S} s")
        if self.error is not None and not self._ready:
            self._thread.join()
            raise self.error

    def stop(self) -> None:
        """Cancel what runs, and wait for its end; it may have ended already."""
        if self._thread.ident is None:
            return
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(TIME_LIMIT_S)
        if self._thread.is_alive():
            raise TimeoutError(f"the daemon does not end within {TIME_LIMIT_S} s")

    def call(self, function: Callable[[], Awaitable[T]], limit_s: float | None = None) -> T:
        """Await a function in the loop, and return what it returns or raise what it raises.

        Raises LoopEnded where the loop ends first, TimeoutError after `limit_s`.
        """
        if threading.get_ident() == self.identity:
            raise RuntimeError("the daemon's own thread cannot wait for the daemon")
        request = _Request(function)
        with self._lock:
            self._requests.add(request)
        try:
            self._soon(request.begin)
            return request.outcome.result(limit_s)
        except BaseException:
            with suppress(LoopEnded):
                self._soon(request.cancel)
            raise
        finally:
            with self._lock:
                self._requests.discard(request)

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in the loop, between two of its steps."""

        async def run() -> T:
            return function()

        return self.call(run, TIME_LIMIT_S)

    def waits(self, thread: int | None) -> bool:
        """Whether the thread with this identity waits in `call`, or says that it waits."""
        with self._lock:
            return thread in self._sleepers or any(
                request.thread == thread for request in self._requests
            )

    @contextmanager
    def sleeping(self) -> Iterator[None]:
        """Say that this thread waits, for something else that the loop does."""
        thread = threading.get_ident()
        with self._lock:
            self._sleepers.add(thread)
        try:
            yield
        finally:
            with self._lock:
                self._sleepers.discard(thread)

    def _soon(self, function: Callable[[], None]) -> None:
        if self._token is None or not self.running:
            raise LoopEnded("the daemon's loop has ended")
        try:
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            raise LoopEnded("the daemon's loop has ended") from None

    def _run(self) -> None:
        try:
            trio.run(self._run_main, clock=self._clock)
        except BaseException as error:  # it is told by `start`, or by who owns this
            self.error = error
        finally:
            self._begun.set()
            with self._lock:
                for request in self._requests:
                    request.fail()

    async def _run_main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            await self._main(self._set_ready)

    def _set_ready(self) -> None:
        self._ready = True
        self._begun.set()
