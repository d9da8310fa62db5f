"""The device as a target: each request comes in by the door that it came in by."""

from __future__ import annotations

import os
from collections.abc import Iterable
from errno import ECONNABORTED, ENOTCONN
from sys import byteorder
from typing import Final

from ovsdp_cuse.captures.netlink import split
from ovsdp_cuse.client import Device, EventsLost, Handle
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.replay.channel import ChannelError, NotSendable, TargetError
from ovsdp_cuse.replay.compare import is_dump
from ovsdp_cuse.replay.numbers import Schemas, Side

_GONE: Final = (ECONNABORTED, ENOTCONN)


class DeviceTarget:
    """The device at `path`; raises TargetError where it cannot be opened."""

    def __init__(self, path: str | os.PathLike[str], schemas: Schemas) -> None:
        self.name = os.fspath(path)
        try:
            with Device(path, read_only=True) as device:
                families = device.families()
        except DatapathError as error:
            raise TargetError(str(error)) from None
        ids = {family.name: family.id for family in families}
        groups = {number: name for family in families for name, number in family.groups.items()}
        self.side = Side(schemas, ids, groups)

    def open(self, may_write: bool) -> DeviceChannel:
        """As Target.open."""
        try:
            return DeviceChannel(Handle(self.name, read_only=not may_write), may_write)
        except DatapathError as error:
            raise TargetError(str(error)) from None


class DeviceChannel:
    """A handle of the device."""

    def __init__(self, handle: Handle, may_write: bool) -> None:
        self._handle = handle
        self._may_write = may_write
        self.pid = handle.pid

    def send(self, request: bytes, operation: str | None) -> list[bytes]:
        """As Channel.send."""
        try:
            if operation == "TRANSACT":
                return list(split(_with_length(self._handle.ioctl_transact(request))))
            if operation == "WRITE":
                self._handle.ioctl_write(request)
                return list(self._dump()) if is_dump(request) else []
            if not self._may_write:
                raise NotSendable("asked by who had no rights, and so has no write(2) here")
            self._handle.write(request)
        except DatapathError as error:
            raise _translated(error) from None
        return []

    def receive(self) -> list[bytes]:
        """As Channel.receive."""
        found: list[bytes] = []
        try:
            while (datagram := self._handle.read()) is not None:
                found += split(datagram)
        except EventsLost as error:
            raise ChannelError(error.errno, error.message) from None
        except DatapathError as error:
            raise _translated(error) from None
        return found

    def close(self) -> None:
        """As Channel.close."""
        self._handle.close()

    def _dump(self) -> Iterable[bytes]:
        while part := self._handle.ioctl_read():
            yield from split(part)


def _with_length(reply: bytes) -> bytes:
    """A reply; that of WIN_GET_PID is the one that does not say how long it is."""
    if reply and not int.from_bytes(reply[:4], byteorder):
        return len(reply).to_bytes(4, byteorder) + reply[4:]
    return reply


def _translated(error: DatapathError) -> ChannelError | TargetError:
    if error.errno in _GONE:
        return TargetError(error.message)
    return ChannelError(error.errno, error.message)
