"""The client of code in the daemon's own trio loop, over a handle that needs no system call.

    handle = LocalHandle(dispatcher, owner, Access.READ)  # of families.local
    async with LocalDevice(handle) as device:
        async for flow in device.dump(FLOW, FlowCmd.GET, dp_ifindex=datapath.index):
            ...

Its methods are those of the other clients. A dump gives each part as it is made, and lets others
have their turn before the next, so a long one neither stops the daemon nor fills its memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from errno import EBADF, EIO, EMSGSIZE, ENOBUFS
from types import TracebackType
from typing import Any, Protocol, Self

from ovsdp_cuse.client.conversation import Conversation, Exchange, is_dump
from ovsdp_cuse.client.families import FamilyInfo
from ovsdp_cuse.client.groups import asking_for, has_names, numbers_of
from ovsdp_cuse.client.handle import READ_LENGTH, EventsLost
from ovsdp_cuse.client.inbox import Event, Inbox
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, McastAttr
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlCmd
from ovsdp_cuse.wire.netlink import NLM_F_DUMP

EVENTS = 32
"""How many events are taken without letting others have their turn."""
PART_LENGTH = 4096
"""Bytes of a dump's part: as many as are made without letting others have their turn."""


class RawHandle(Protocol):
    """What LocalDevice needs of an open handle; families.local.LocalHandle is one."""

    @property
    def pid(self) -> int:
        """The netlink PID."""

    async def ioctl_transact(self, request: bytes) -> bytes:
        """TRANSACT: the reply to a request, b"" where there is none."""

    async def ioctl_write(self, request: bytes) -> None:
        """WRITE: a request without a reply, or one that begins a dump."""

    async def ioctl_read(self, size: int) -> bytes:
        """READ: the next part of the dump; EMSGSIZE where the next object is longer."""

    async def read(self) -> bytes:
        """The next datagram; waits for one. ENOBUFS, once, where some were dropped."""

    async def read_waiting(self) -> bytes:
        """The next datagram, without waiting; b"" where there is none. As `read` raises."""

    def close(self) -> None:
        """Close the handle; it may be closed already."""


class LocalDevice:
    """A client over an open handle, which it closes at the end; for one task at a time.

    families: schemas, beside those of this package, of families whose events are to be decoded.
    One task may wait for events while another makes requests.
    """

    def __init__(self, handle: RawHandle, families: Iterable[FamilySchema] = ()) -> None:
        self._handle = handle
        self._conversation = Conversation(handle.pid)
        self._inbox = Inbox(self._conversation, families)
        self._lost = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The handle's netlink PID."""
        return self._handle.pid

    def close(self) -> None:
        """Close the handle; who waits for an event gets EBADF."""
        self._handle.close()

    async def transact(
        self,
        family: FamilySchema,
        command: int,
        attributes: Mapping[Any, Any] | None = None,
        *,
        dp_ifindex: int = 0,
        flags: int = 0,
    ) -> Message | None:
        """Send a request and return its reply; None where the command has none.

        Raises DatapathError with what the device answered, as `Device.transact` does.
        """
        if is_dump(flags):
            raise ValueError("a dump has many replies: use dump()")
        exchange = self._conversation.begin(family, command, attributes, dp_ifindex, flags)
        exchange.receive_reply(await self._handle.ioctl_transact(exchange.request))
        return next(exchange.messages(), None)

    def dump(
        self,
        family: FamilySchema,
        command: int,
        attributes: Mapping[Any, Any] | None = None,
        *,
        dp_ifindex: int = 0,
        flags: int = 0,
        part_length: int = PART_LENGTH,
    ) -> Dump:
        """Ask for all objects of a kind, and iterate over them while they are made.

        part_length: bytes that are made at a time. A handle has one dump at a time: another one
        ends this; other requests may be made meanwhile. The loop may end early. Raises, in the
        loop, as `transact` does.
        """
        exchange = self._conversation.begin(
            family, command, attributes, dp_ifindex, flags | NLM_F_DUMP
        )
        return Dump(self._handle, exchange, part_length)

    async def families(self) -> list[FamilyInfo]:
        """The families that the device serves, by ascending id."""
        dump = self.dump(NLCTRL, CtrlCmd.GETFAMILY)
        return [FamilyInfo.from_message(found) async for found in dump]

    async def subscribe(self, *groups: int | str) -> None:
        """Join multicast groups, by number or by name; ENOENT where there is no such group."""
        families = await self.families() if has_names(groups) else ()
        for number in numbers_of(groups, families):
            attributes = {McastAttr.MCAST_GRP: number, McastAttr.MCAST_JOIN: 1}
            exchange = self._conversation.begin(CONTROL, ControlCmd.MC_SUBSCRIBE_REQ, attributes)
            with asking_for(number):
                await self._handle.ioctl_write(exchange.request)

    async def next_event(self) -> Event:
        """The next event, as (family, message); waits for one.

        Raises EventsLost where some were dropped, and ENOPROTOOPT for an event of a family whose
        schema this device was not given.
        """
        if self._lost:
            self._lost = False
            raise EventsLost
        while (event := self._inbox.take_event()) is None:
            try:
                datagram = await self._handle.read()
            except DatapathError as error:
                if error.errno == ENOBUFS:
                    raise EventsLost from None
                raise
            self._inbox.put_datagram(datagram)
        return event

    async def next_events(self, limit: int = EVENTS) -> list[Event]:
        """The next event, and those that wait behind it, `limit` at most; waits for the first.

        For who must keep up with thousands a second. Raises as `next_event` does, and gives what
        came before the loss first.
        """
        events = [await self.next_event()]
        while len(events) < limit and not self._lost:
            event = self._inbox.take_event()
            if event is not None:
                events.append(event)
                continue
            try:
                datagram = await self._handle.read_waiting()
            except DatapathError as error:
                if error.errno == EBADF:  # closed: the next call tells
                    break
                if error.errno != ENOBUFS:
                    raise
                self._lost = True
                break
            if not datagram:
                break
            self._inbox.put_datagram(datagram)
        return events


class Dump:
    """An asynchronous iterator over the objects of a dump; see LocalDevice.dump."""

    def __init__(self, handle: RawHandle, exchange: Exchange, part_length: int) -> None:
        self._handle = handle
        self._exchange = exchange
        self._part_length = part_length
        self._begun = False
        self._messages: list[Message] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not self._messages:
            if self._exchange.finished:
                raise StopAsyncIteration
            if not self._begun:
                self._begun = True
                await self._handle.ioctl_write(self._exchange.request)
            self._exchange.receive(await self._next_part())
            self._messages = self._exchange.take_messages()[::-1]
        return self._messages.pop()

    async def _next_part(self) -> bytes:
        try:
            part = await self._handle.ioctl_read(self._part_length)
        except DatapathError as error:
            if error.errno != EMSGSIZE:
                raise
            part = await self._handle.ioctl_read(READ_LENGTH)  # one object longer than a part
        if not part:
            raise DatapathError(EIO, "the dump ended without NLMSG_DONE")
        return part
