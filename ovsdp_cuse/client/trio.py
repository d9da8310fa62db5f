"""The trio client: the methods of the blocking one, to be awaited.

    async with Device() as device:
        await device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
        async for datapath in device.dump(DATAPATH, DpCmd.GET):
            print(datapath.attributes[DpAttr.NAME])

Several tasks may use one Device; their requests are done one after the other.

All that touches the device happens in a thread, and waiting does, too. A system call on the device
returns when the daemon has answered it, and the daemon may run in this very trio loop. Even
trio.lowlevel.wait_readable would not do then: epoll asks a file at once whether it is readable,
which is a FUSE_POLL that the daemon has to answer, while the loop stands still for the answer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import trio

from ovsdp_cuse.client import device as blocking
from ovsdp_cuse.client.device import DEFAULT_PATH
from ovsdp_cuse.client.families import FamilyInfo
from ovsdp_cuse.client.inbox import Event
from ovsdp_cuse.wire.family import FamilySchema, Message

P = ParamSpec("P")
T = TypeVar("T")


class Device:
    """A handle of the datapath device, which `async with` opens and closes.

    Its arguments, and what its methods take, return and raise, are those of the blocking Device.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT_PATH,
        *,
        read_only: bool = False,
        families: Iterable[FamilySchema] = (),
    ) -> None:
        self._open = partial(blocking.Device, path, read_only=read_only, families=families)
        self._device: blocking.Device | None = None
        self._requests = trio.Lock()
        self._waits = trio.Lock()
        self._threads_that_wait = trio.CapacityLimiter(1)  # not to take those of the requests
        self._waker: socket.socket | None = None

    async def __aenter__(self) -> Self:
        self._device = await trio.to_thread.run_sync(self._open)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def _blocking(self) -> blocking.Device:
        if self._device is None:
            raise RuntimeError("the device is opened by 'async with'")
        return self._device

    @property
    def path(self) -> str:
        """The path of the device."""
        return self._blocking.path

    @property
    def pid(self) -> int:
        """The handle's netlink PID."""
        return self._blocking.pid

    async def close(self) -> None:
        """Close the handle; who waits for an event gets EBADF."""
        with trio.CancelScope(shield=True):
            await self._call(self._blocking.close)
            self._wake()

    async def transact(
        self,
        family: FamilySchema,
        command: int,
        attributes: Mapping[Any, Any] | None = None,
        *,
        dp_ifindex: int = 0,
        flags: int = 0,
    ) -> Message | None:
        """Send a request and return its reply; None where the command has none."""
        transact = self._blocking.transact
        return await self._call(
            transact, family, command, attributes, dp_ifindex=dp_ifindex, flags=flags
        )

    async def dump(
        self,
        family: FamilySchema,
        command: int,
        attributes: Mapping[Any, Any] | None = None,
        *,
        dp_ifindex: int = 0,
        flags: int = 0,
    ) -> AsyncIterator[Message]:
        """Ask for all objects of a kind, and iterate over them."""
        dump = self._blocking.dump
        for message in await self._call(
            dump, family, command, attributes, dp_ifindex=dp_ifindex, flags=flags
        ):
            yield message

    async def families(self) -> list[FamilyInfo]:
        """The families that the device serves, by ascending id."""
        return await self._call(self._blocking.families)

    async def family(self, name: str) -> FamilyInfo:
        """The family with this name; ENOENT where there is none."""
        return await self._call(self._blocking.family, name)

    async def subscribe(self, *groups: int | str) -> None:
        """Join multicast groups, by number or by name; ENOENT where there is no such group."""
        await self._call(self._blocking.subscribe, *groups)

    async def unsubscribe(self, *groups: int | str) -> None:
        """Leave multicast groups."""
        await self._call(self._blocking.unsubscribe, *groups)

    def events(self, *groups: int | str) -> Events:
        """Iterate over events, as (family, message); the first step joins `groups`."""
        return Events(self, groups)

    async def next_event(self) -> Event:
        """The next event; raises EventsLost, ENOPROTOOPT as the blocking one does."""
        while (event := await self._call(self._blocking.next_event_nowait)) is None:
            await self._wait_readable()
        return event

    async def ioctl_transact(self, request: bytes) -> bytes:
        """Send any bytes by TRANSACT; returns the reply, b"" where there is none."""
        return await self._call(self._blocking.ioctl_transact, request)

    async def ioctl_write(self, request: bytes) -> None:
        """Send any bytes by WRITE."""
        await self._call(self._blocking.ioctl_write, request)

    async def ioctl_read(self) -> bytes:
        """The next part of the dump that WRITE began; b"" where there is none."""
        return await self._call(self._blocking.ioctl_read)

    async def ioctl_peek(self, size: int) -> tuple[int, bytes]:
        """How long the next datagram is, and its first `size` bytes; it stays."""
        return await self._call(self._blocking.ioctl_peek, size)

    async def send(self, messages: bytes) -> None:
        """Write any bytes to the stream door."""
        await self._call(self._blocking.send, messages)

    async def receive(self) -> bytes:
        """The next datagram from the stream door, whatever it is for; raises EventsLost."""
        while (datagram := await self._call(self._blocking.receive, 0)) is None:
            await self._wait_readable()
        return datagram

    async def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the blocking Device in a thread, one at a time."""
        async with self._requests:
            result = await trio.to_thread.run_sync(partial(method, *args, **kwargs))
        if self._blocking.events_aside:
            self._wake()
        return result

    async def _wait_readable(self) -> None:
        """Wait until it is worth looking for a datagram; may return too early."""
        async with self._waits:
            waker, woken = socket.socketpair()
            with waker, woken:
                self._waker = waker
                try:
                    if self._blocking.events_aside:
                        return
                    async with trio.open_nursery() as nursery:
                        # poll(2) does not hear of a cancellation; the socket tells it.
                        nursery.start_soon(self._wake_when_cancelled)
                        await trio.to_thread.run_sync(
                            self._blocking.wait_readable,
                            woken.fileno(),
                            limiter=self._threads_that_wait,
                        )
                        nursery.cancel_scope.cancel()
                finally:
                    self._waker = None

    async def _wake_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._wake()

    def _wake(self) -> None:
        if self._waker is not None:
            self._waker.send(b"\0")


class Events:
    """An asynchronous iterator over the events of a Device; see Device.events."""

    def __init__(self, device: Device, groups: tuple[int | str, ...]) -> None:
        self._device = device
        self._groups = groups

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._groups:
            await self._device.subscribe(*self._groups)
            self._groups = ()
        return await self._device.next_event()
