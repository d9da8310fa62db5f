"""A handle without a device: its system calls are calls of a dispatcher in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from errno import EAGAIN, EBADF, ENOBUFS
from typing import Any, TypeVar

import pytest

from ovsdp_cuse.client import device
from ovsdp_cuse.client.handle import READ_LENGTH, EventsLost, Handle
from ovsdp_cuse.device.ioctl import lookup
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.session import Access
from tests.families.doors import OWNER, Daemon

T = TypeVar("T")

_IOC_READ, _IOC_WRITE = 2, 1

_one_at_a_time = threading.RLock()
"""Clients may be in several threads; a daemon's work is done in one."""


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("a request waits on a handle that is O_NONBLOCK")


class DoorHandle(Handle):
    """An open handle of `daemon`. Its descriptor is an eventfd, readable while a datagram waits."""

    def __init__(self, daemon: Daemon, path: str, read_only: bool = False) -> None:
        access = Access.READ if read_only else Access.READ | Access.WRITE
        self._dispatcher = daemon.dispatcher
        self.path = path
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        with _one_at_a_time:
            self.session = self._dispatcher.open(access, True, OWNER)
            self._show_readable()
        self.pid = self.session.pid

    def close(self) -> None:
        if self.descriptor >= 0:
            with _one_at_a_time:
                self._dispatcher.close(self.session)
                os.close(self.descriptor)
                self.descriptor = -1

    def _call(self, number: int, buffer: bytearray) -> int:
        if self.descriptor < 0:
            raise OSError(EBADF, "closed")
        size, direction = number >> 16 & 0x3FFF, number >> 30
        assert len(buffer) == size
        given = bytes(buffer) if direction & _IOC_WRITE else b""
        room = size if direction & _IOC_READ else 0
        call = self._dispatcher.ioctl(self.session, lookup(number), given, room)
        result = self._system_call(lambda: finish(call))
        buffer[: len(result.data)] = result.data
        return result.value

    def write(self, messages: bytes) -> None:
        if not self.session.writable:
            raise DatapathError(EBADF, "not open for writing")
        call = self._dispatcher.write(self.session, messages)
        self._system_call(lambda: finish(call))

    def read(self) -> bytes | None:
        if self.descriptor < 0:
            raise DatapathError(EBADF, "closed")
        call = self._dispatcher.read(self.session, READ_LENGTH, True)
        try:
            return self._system_call(lambda: finish(call))
        except OSError as error:
            if error.errno == EAGAIN:
                return None
            if error.errno == ENOBUFS:
                raise EventsLost from None
            raise

    def _system_call(self, call: Callable[[], T]) -> T:
        with _one_at_a_time:
            try:
                return call()
            except DatapathError as error:
                raise OSError(error.errno, error.message) from None
            finally:
                self._show_readable()

    def _show_readable(self) -> None:
        """Make the eventfd tell what poll tells of the session, now and when something comes."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        if self.session.queue.bytes or self.session.queue.overrun:
            os.eventfd_write(self.descriptor, 1)
        self.session.on_readable = self._show_readable


def connect(monkeypatch: pytest.MonkeyPatch, daemon: Daemon) -> None:
    """Let each Device that is opened be a handle of `daemon`."""
    monkeypatch.setattr(
        device, "Handle", lambda path, read_only=False: DoorHandle(daemon, path, read_only)
    )
