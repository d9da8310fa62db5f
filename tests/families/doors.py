"""A daemon with no device: the dispatcher, and handles to say something through its doors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from sys import byteorder
from typing import Any

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.dispatch import Dispatcher, Ioctl
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, Registry
from ovsdp_cuse.families.request import Answer, Context, Request
from ovsdp_cuse.families.session import Access, Owner, Session, SessionTable
from ovsdp_cuse.families.tap import Watcher
from ovsdp_cuse.ports.memory import MemoryPorts
from ovsdp_cuse.switch.switch import Switch
from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    ControlType,
    Flag,
    NetlinkError,
    parse_error,
)
from ovsdp_cuse.wire.values import u32

CPU_COUNT = 2
BUFFER_SIZE = 4096
READ_WRITE = Access.READ | Access.WRITE
OWNER = Owner(1, 0, 0)
REQUEST = int(Flag.REQUEST)
ACK = int(Flag.ACK)
ECHO = int(Flag.ECHO)
DUMP = int(Flag.DUMP)

Reply = Message | NetlinkError


def build(
    schema: FamilySchema,
    command: int,
    attributes: Mapping[Any, Any] | None = None,
    *,
    flags: int = 0,
    dp_ifindex: int = 0,
    pid: int = 0,
    version: int | None = None,
    sequence: int = 7,
    tail: bytes = b"",
) -> bytes:
    """A request with NLM_F_REQUEST; `tail` is put behind the attributes and counted."""
    message = Message(
        schema.id,
        command,
        {int(number): value for number, value in (attributes or {}).items()},
        dp_ifindex,
        REQUEST | flags,
        sequence,
        pid,
        schema.version if version is None else version,
    )
    built = schema.build(message) + tail
    return len(built).to_bytes(4, byteorder) + built[4:]


def split(data: bytes) -> list[bytes]:
    """The messages of one datagram; their lengths must fill it."""
    messages = []
    while data:
        length = NETLINK_HEADER.parse(data).length
        assert 16 <= length <= len(data), f"nlmsg_len {length} of {len(data)} bytes"
        messages.append(data[:length])
        data = data[(length + 3) & ~3 :]
    return messages


class Daemon:
    """Everything but a device. Handles are non-blocking unless they are asked not to be."""

    def __init__(
        self,
        families: Iterable[Family] = (),
        *,
        handle_limit: int = 512,
        queue_limit: int = 1 << 20,
        first_pid: int = 1,
        queue_maximum: int = 8 << 20,
        tap: Watcher | None = None,
    ) -> None:
        self.ports = MemoryPorts(first_ifindex=1)
        self.context = Context(
            Switch(self.ports, CPU_COUNT),
            Registry((*BUILT_IN, *families)),
            SessionTable(handle_limit, queue_limit, first_pid, queue_maximum),
        )
        self.dispatcher = Dispatcher(self.context, tap)

    def open(self, access: Access = READ_WRITE, nonblocking: bool = True) -> Handle:
        """A handle."""
        return Handle(self, self.dispatcher.open(access, nonblocking, OWNER))

    def parse(self, data: bytes) -> Reply:
        """One message as its family's, or as the error or end of dump that it is."""
        header = NETLINK_HEADER.parse(data)
        if header.type in (ControlType.ERROR, ControlType.DONE):
            return parse_error(data)
        family = self.context.registry.lookup(header.type)
        assert family is not None, f"a reply of type {header.type:#x}"
        return family.schema.parse(data)


class Handle:
    """An open handle: system calls as methods. They raise DatapathError where a call fails."""

    def __init__(self, daemon: Daemon, session: Session) -> None:
        self.daemon = daemon
        self.session = session
        self.pid = session.pid

    async def ioctl(self, ioctl: Ioctl | None, data: bytes = b"", out_size: int = 0) -> bytes:
        """What the ioctl puts in the buffer; its value must be that many bytes, or those taken."""
        result = await self.daemon.dispatcher.ioctl(self.session, ioctl, data, out_size)
        if ioctl is Ioctl.WRITE:
            assert result == (len(data), b"")
        else:
            assert result.value == len(result.data) <= out_size
        return result.data

    async def transact_bytes(self, request: bytes, out_size: int = BUFFER_SIZE) -> bytes:
        """TRANSACT as it is."""
        return await self.ioctl(Ioctl.TRANSACT, request, out_size)

    async def transact(self, request: bytes, out_size: int = BUFFER_SIZE) -> Reply:
        """TRANSACT with a reply, parsed."""
        return self.daemon.parse(await self.transact_bytes(request, out_size))

    async def write_ioctl(self, request: bytes) -> None:
        """WRITE."""
        await self.ioctl(Ioctl.WRITE, request)

    async def read_ioctl(self, ioctl: Ioctl = Ioctl.READ, size: int = BUFFER_SIZE) -> list[Reply]:
        """READ, READ_EVENT or READ_PACKET, parsed; [] for 0 bytes."""
        return [self.daemon.parse(m) for m in split(await self.ioctl(ioctl, b"", size))]

    async def peek(self, size: int) -> tuple[int, bytes]:
        """PEEK: the length of the next datagram and its first bytes."""
        result = await self.daemon.dispatcher.ioctl(self.session, Ioctl.PEEK, b"", size)
        assert len(result.data) == min(result.value, size)
        return result

    async def send(self, *requests: bytes) -> None:
        """write(2), which takes everything."""
        data = b"".join(requests)
        assert await self.daemon.dispatcher.write(self.session, data) == len(data)

    async def receive_bytes(self, size: int = 65536) -> bytes:
        """read(2) as it is; EAGAIN where nothing waits."""
        return await self.daemon.dispatcher.read(self.session, size, True)

    async def receive(self, size: int = 65536) -> list[Reply]:
        """read(2): one datagram, parsed."""
        return [self.daemon.parse(m) for m in split(await self.receive_bytes(size))]

    async def drain(self) -> list[Reply]:
        """Every message that can be read, over several datagrams."""
        replies: list[Reply] = []
        while self.session.queue.bytes:
            replies += await self.receive()
        return replies

    async def ask(self, *requests: bytes) -> list[Reply]:
        """Send requests through the stream door and drain."""
        await self.send(*requests)
        return await self.drain()

    def close(self) -> None:
        """close(2)."""
        self.daemon.dispatcher.close(self.session)


async def make(handle: Handle, *names: str) -> None:
    """Make datapaths."""
    for name in names:
        await handle.write_ioctl(
            build(DATAPATH, DpCmd.NEW, {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)})
        )


async def errno_of(awaitable: Any) -> int:
    """What a system call fails with."""
    with pytest.raises(DatapathError) as caught:
        await awaitable
    return caught.value.errno


def new(name: str = "br0", flags: int = 0) -> bytes:
    return build(DATAPATH, DpCmd.NEW, {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)}, flags=flags)


def errnos(replies: list[Reply]) -> list[int | None]:
    """The errno of each NLMSG_ERROR, None for any other message."""
    return [reply.errno if isinstance(reply, NetlinkError) else None for reply in replies]


class Cmd(IntEnum):
    """TEST_CMD_*."""

    ONLY = 1


async def succeed(request: Request) -> Answer:
    return Answer()


def one_command(handler: Any, dump: Any = None) -> Family:
    """A family with one command."""
    operations = DeviceOperation.TRANSACT | DeviceOperation.WRITE
    return Family(
        FamilySchema(0x20, "test", 1, "TEST_CMD", Cmd, AttributeSet("TEST", {Cmd.ONLY: u32()})),
        (Command(Cmd.ONLY, "TEST_CMD_ONLY", operations, handler, dump),),
    )
