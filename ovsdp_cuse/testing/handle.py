"""An open handle of a daemon in another thread of this process, for a client that blocks.

What `client.handle.Handle` is for a path, this is for a daemon without a node. It differs in that
an error has the daemon's own text.
"""

from __future__ import annotations

import math
import os
import select
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from errno import EAGAIN, EBADF, ENOBUFS, ENOTCONN
from typing import TypeVar

import trio

from ovsdp_cuse.client.handle import READ_LENGTH, REPLY_LENGTH, EventsLost, check_length
from ovsdp_cuse.client.ioctl import OVS_IOCTL_MAX_LENGTH
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.local import LocalHandle
from ovsdp_cuse.testing.clock import VirtualClock
from ovsdp_cuse.testing.thread import TIME_LIMIT_S, LoopEnded, LoopThread

T = TypeVar("T")

READABLE = select.POLLIN | select.POLLERR


class ThreadHandle:
    """A handle that `open_handle` opens in the daemon's loop; O_NONBLOCK, as the client's is.

    clock: the daemon's, where it is virtual. A call that has to wait then moves the clock, if it is
    made by the thread that has opened the handle: to the moment when it can go on. The time limits
    of events are of that clock, too. Calls of other threads wait for who moves it.
    """

    path = "a device in this process"

    def __init__(
        self, loop: LoopThread, open_handle: Callable[[], LocalHandle], clock: VirtualClock | None
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._thread = threading.get_ident()
        self._handle = self._run(open_handle)
        self.pid = self._handle.pid
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._run(self._show_readable)

    def close(self) -> None:
        """Close the handle; it may be closed already, and the daemon may have ended."""
        if self.descriptor < 0:
            return

        def close() -> None:
            self._handle.close()
            os.close(self.descriptor)
            self.descriptor = -1

        try:
            self._loop.run(close)
        except LoopEnded:
            close_descriptor, self.descriptor = self.descriptor, -1
            if close_descriptor >= 0:
                os.close(close_descriptor)

    def ioctl_transact(self, request: bytes) -> bytes:
        """As Handle.ioctl_transact."""
        check_length(request)
        return self._call(lambda: self._handle.ioctl_transact(request, REPLY_LENGTH))

    def ioctl_write(self, request: bytes) -> None:
        """As Handle.ioctl_write."""
        check_length(request)
        self._call(lambda: self._handle.ioctl_write(request))

    def ioctl_read(self) -> bytes:
        """As Handle.ioctl_read."""
        return self._call(lambda: self._handle.ioctl_read(OVS_IOCTL_MAX_LENGTH))

    def ioctl_peek(self, size: int) -> tuple[int, bytes]:
        """As Handle.ioctl_peek."""
        try:
            return self._call(lambda: self._handle.ioctl_peek(size))
        except DatapathError as error:
            if error.errno == ENOBUFS:
                raise EventsLost from None
            raise

    def write(self, messages: bytes) -> None:
        """As Handle.write."""
        self._call(lambda: self._handle.write(messages))

    def read(self) -> bytes | None:
        """As Handle.read."""
        try:
            return self._call(lambda: self._handle.read(READ_LENGTH))
        except DatapathError as error:
            if error.errno == EAGAIN:
                return None
            if error.errno == ENOBUFS:
                raise EventsLost from None
            raise

    def wait_readable(self, deadline: float | None = None, other: int | None = None) -> bool:
        """As Handle.wait_readable."""
        if self.descriptor < 0:
            return True  # the read will say that it was closed
        clock = self._own_clock()
        rest_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        if clock is not None:
            # Nothing will happen by itself after that, so there is no limit to wait for.
            limit_s = math.inf if rest_s is None else rest_s
            self._run_async(lambda: clock.pass_deadlines(self._is_readable, limit_s))
            rest_s = None if rest_s is None else 0.0
        poll = select.poll()
        for descriptor in (self.descriptor, other):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        with self._loop.sleeping():
            return bool(poll.poll(None if rest_s is None else rest_s * 1000))

    def _own_clock(self) -> VirtualClock | None:
        return self._clock if threading.get_ident() == self._thread else None

    def _is_readable(self) -> bool:
        return bool(self._handle.poll() & READABLE)

    def _call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Make a call in the daemon's loop; while it waits, a clock that is ours goes on."""
        if self.descriptor < 0:
            raise DatapathError(EBADF, "the handle was closed")
        clock = self._own_clock()

        async def call() -> T:
            try:
                return await function() if clock is None else await _while_moving(clock, function)
            finally:
                self._show_readable()

        try:
            return self._run_async(call)
        except TimeoutError:
            raise TimeoutError(
                f"the device has not answered within {TIME_LIMIT_S} s: a request that a fault "
                "holds is to be made by a thread (`ovsdp.start`), so that the test can release it"
            ) from None

    def _run(self, function: Callable[[], T]) -> T:
        async def run() -> T:
            return function()

        return self._run_async(run)

    def _run_async(self, function: Callable[[], Awaitable[T]]) -> T:
        try:
            return self._loop.call(function, TIME_LIMIT_S)
        except LoopEnded:
            raise DatapathError(ENOTCONN, "the daemon of this device has ended") from None

    def _show_readable(self) -> None:
        """Make the eventfd tell what poll tells of the handle, now and when something comes."""
        if self.descriptor < 0 or self._handle.closed:
            return
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        if self._is_readable():
            os.eventfd_write(self.descriptor, 1)
        self._handle.on_readable(self._show_readable)


async def _while_moving(clock: VirtualClock, function: Callable[[], Awaitable[T]]) -> T:
    """Await a function; when all that is left to do is to wait, the clock goes on."""
    outcome: list[T] = []
    error: DatapathError | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.move_while_waiting)
        try:
            outcome.append(await function())
        except DatapathError as caught:
            error = caught
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
    return outcome[0]
