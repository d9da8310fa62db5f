"""The blocking client.

    with Device() as device:
        device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
        for datapath in device.dump(DATAPATH, DpCmd.GET):
            print(datapath.attributes[DpAttr.NAME])

Requests and dumps go by ioctl; what is too large for an ioctl goes by write and read. Whatever
fails is a DatapathError. A Device is one open handle, and not for several threads at a time: the
device refuses a request with EBUSY while another runs on the same handle.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from errno import EIO, EMSGSIZE, ENOBUFS
from types import TracebackType
from typing import Any, Self

from ovsdp_cuse.client.conversation import Conversation, Exchange, is_dump
from ovsdp_cuse.client.families import FamilyInfo
from ovsdp_cuse.client.groups import asking_for, has_names, numbers_of
from ovsdp_cuse.client.handle import EventsLost, Handle, RawHandle
from ovsdp_cuse.client.inbox import Event, Inbox
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, McastAttr
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.netlink import NLM_F_DUMP

DEFAULT_PATH = "/dev/ovs-datapath"


class Device:
    """An open handle of the datapath device.

    path: of the device. read_only: open it for what needs no privilege: GETs, dumps and events.
    families: schemas, beside those of this package, of families whose events are to be decoded.
    handle: one that is open already, in the place of the one that `path` would give.

    Raises DatapathError that says what to do where the device cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT_PATH,
        *,
        read_only: bool = False,
        families: Iterable[FamilySchema] = (),
        handle: RawHandle | None = None,
    ) -> None:
        self._handle: RawHandle = handle or Handle(os.fspath(path), read_only)
        self._conversation = Conversation(self._handle.pid)
        self._inbox = Inbox(self._conversation, families)
        self._lost = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> str:
        """The path of the device."""
        return self._handle.path

    @property
    def pid(self) -> int:
        """The handle's netlink PID."""
        return self._handle.pid

    def fileno(self) -> int:
        """The file descriptor, for poll and its like; -1 when closed."""
        return self._handle.descriptor

    @property
    def events_aside(self) -> bool:
        """Whether there are events that were read while an answer was expected.

        poll does not know of these: look here, or call `next_event_nowait`, before waiting by
        means of `fileno`.
        """
        return self._lost or bool(self._inbox)

    def close(self) -> None:
        """Close the handle; it may be closed already."""
        self._handle.close()

    # Requests ----------------------------------------------------------------------------------

    def transact(
        self,
        family: FamilySchema,
        command: int,
        attributes: Mapping[Any, Any] | None = None,
        *,
        dp_ifindex: int = 0,
        flags: int = 0,
    ) -> Message | None:
        """Send a request and return its reply; None where the command has none.

        attributes: number -> value, as the family's schema has them. flags: NLM_F_* beside
        NLM_F_REQUEST. Raises DatapathError with what the device answered: errno, message, and the
        path of the attribute that is to blame.
        """
        if is_dump(flags):
            raise ValueError("a dump has many replies: use dump()")
        exchange = self._conversation.begin(family, command, attributes, dp_ifindex, flags)
        if exchange.fits_ioctl:
            exchange.receive_reply(self._handle.ioctl_transact(exchange.request))
        else:
            self._exchange_by_stream(exchange)
        return next(exchange.messages(), None)

    def dump(
        self,
        family: FamilySchema,
        command: int,
        attributes: Mapping[Any, Any] | None = None,
        *,
        dp_ifindex: int = 0,
        flags: int = 0,
    ) -> Iterator[Message]:
        """Ask for all objects of a kind, and return them one by one.

        All of them have come before this returns, so the loop's body may use the device for other
        requests, and may end early. Raises as `transact` does.
        """
        request = (family, command, attributes, dp_ifindex, flags | NLM_F_DUMP)
        exchange = self._conversation.begin(*request)
        try:
            self._dump_by_ioctl(exchange)
        except DatapathError as error:
            if error.errno != EMSGSIZE:
                raise
            exchange = self._conversation.begin(*request)
            self._exchange_by_stream(exchange)
        return exchange.messages()

    def families(self) -> list[FamilyInfo]:
        """The families that the device serves, by ascending id."""
        return [FamilyInfo.from_message(found) for found in self.dump(NLCTRL, CtrlCmd.GETFAMILY)]

    def family(self, name: str) -> FamilyInfo:
        """The family with this name; ENOENT where there is none."""
        found = self.transact(NLCTRL, CtrlCmd.GETFAMILY, {CtrlAttr.FAMILY_NAME: name})
        if found is None:
            raise DatapathError(EIO, f"the device said nothing of the family {name!r}")
        return FamilyInfo.from_message(found)

    # Events ------------------------------------------------------------------------------------

    def subscribe(self, *groups: int | str) -> None:
        """Join multicast groups, by number or by name; ENOENT where there is no such group."""
        self._set_membership(groups, join=True)

    def unsubscribe(self, *groups: int | str) -> None:
        """Leave multicast groups."""
        self._set_membership(groups, join=False)

    def events(self, *groups: int | str, timeout: float | None = None) -> Events:
        """Join `groups` and iterate over what they are told, as (family, message).

        The iteration ends when none has come for `timeout` seconds; None waits for ever. It
        raises what `next_event` raises, and the next step goes on after that.
        """
        self.subscribe(*groups)
        return Events(self, timeout)

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event; None where none comes within `timeout` seconds.

        Raises EventsLost where some were dropped, and ENOPROTOOPT for an event of a family whose
        schema this Device was not given.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (event := self.next_event_nowait()) is None:
            if not self._handle.wait_readable(deadline):
                return None
        return event

    def next_event_nowait(self) -> Event | None:
        """The next event, or None where none waits; raises as `next_event` does."""
        while (event := self._inbox.take_event()) is None:
            self._raise_lost()
            datagram = self._handle.read()
            if not datagram:
                return None
            self._inbox.put_datagram(datagram)
        return event

    # The doors, raw ----------------------------------------------------------------------------

    def ioctl_transact(self, request: bytes) -> bytes:
        """Send any bytes by TRANSACT; returns the reply, b"" where there is none."""
        return self._handle.ioctl_transact(request)

    def ioctl_write(self, request: bytes) -> None:
        """Send any bytes by WRITE."""
        self._handle.ioctl_write(request)

    def ioctl_read(self) -> bytes:
        """The next part of the dump that WRITE began; b"" where there is none."""
        return self._handle.ioctl_read()

    def ioctl_peek(self, size: int) -> tuple[int, bytes]:
        """How long the datagram is that a read would give, and its first `size` bytes.

        (0, b"") where none waits. It stays. What `events_aside` tells of is not seen here. Raises
        EventsLost as `next_event` does.
        """
        return self._handle.ioctl_peek(size)

    def send(self, messages: bytes) -> None:
        """Write any bytes to the stream door."""
        self._handle.write(messages)

    def receive(self, timeout: float | None = None) -> bytes | None:
        """The next datagram from the stream door, whatever it is for.

        None where none comes within `timeout` seconds. Raises EventsLost as `next_event` does.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        message = self._inbox.take()
        if message is not None:
            return message
        self._raise_lost()
        while (datagram := self._handle.read()) is None:
            if not self._handle.wait_readable(deadline):
                return None
        return datagram

    def wait_readable(self, other: int | None = None) -> None:
        """Wait until a datagram can be read, or the descriptor `other`."""
        self._handle.wait_readable(other=other)

    # Within ------------------------------------------------------------------------------------

    def _dump_by_ioctl(self, exchange: Exchange) -> None:
        """Take a dump part by part; EMSGSIZE where an ioctl cannot carry it."""
        self._handle.ioctl_write(exchange.request)
        while not exchange.finished:
            part = self._handle.ioctl_read()
            if not part:
                raise DatapathError(EIO, "the dump ended without NLMSG_DONE")
            exchange.receive(part)

    def _exchange_by_stream(self, exchange: Exchange) -> None:
        """Send a request and read what answers it; put aside what does not."""
        self._handle.write(exchange.request)
        while not exchange.finished:
            try:
                datagram = self._handle.read()
            except EventsLost:
                self._lost = True
                continue
            if datagram is None:
                raise DatapathError(ENOBUFS, "the answer was lost: too much waited to be read")
            self._inbox.put(exchange.receive(datagram))

    def _raise_lost(self) -> None:
        if self._lost:
            self._lost = False
            raise EventsLost

    def _set_membership(self, groups: tuple[int | str, ...], join: bool) -> None:
        for number in numbers_of(groups, self.families() if has_names(groups) else ()):
            attributes = {McastAttr.MCAST_GRP: number, McastAttr.MCAST_JOIN: int(join)}
            exchange = self._conversation.begin(CONTROL, ControlCmd.MC_SUBSCRIBE_REQ, attributes)
            with asking_for(number):
                self._handle.ioctl_write(exchange.request)


class Events:
    """An iterator over the events of a Device; see Device.events."""

    def __init__(self, device: Device, timeout: float | None) -> None:
        self._device = device
        self._timeout = timeout

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self._device.next_event(self._timeout)
        if event is None:
            raise StopIteration
        return event
