"""Rounds at the channel: what a kernel would send, and what no kernel would.

What the kernel does not take: a reply that is not as long as it says, an error that is not in
-511..0 or comes with data, and a second reply (fuse_dev_do_write() of fs/fuse/dev.c).
"""

from __future__ import annotations

import os
import socket
from contextlib import closing
from errno import EIO

import trio

from ovsdp_cuse.device import fuse_abi as abi
from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.device.connection import Answered, Connection, Interrupt
from ovsdp_cuse.device.serve import Server
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr
from tests.families.doors import Daemon
from tests.fuzz.doors import GET, NEW, PROBE, QUEUE_LIMIT
from tests.fuzz.inputs import Inputs
from tests.fuzz.record import Record

BATCH = 16
"""Frames that are sent before the replies are read; as many as fit the smallest socket buffer."""
DEADLINE_S = 60
SOCKET_BUFFER = 4 << 20
LARGEST_REPLY = 1 << 20
TRANSACT = 0xC000C805
INIT = abi.INIT_IN.pack(7, 38, 0, 2**32 - 1)

WITHOUT_REPLY = (
    abi.Opcode.FORGET,
    abi.Opcode.BATCH_FORGET,
    abi.Opcode.INTERRUPT,
)


def request(opcode: int, unique: int, body: bytes = b"") -> bytes:
    """A request as the kernel sends it."""
    return (
        abi.IN_HEADER.pack(abi.IN_HEADER.size + len(body), opcode, unique, 1, 0, 0, 1, 0, 0) + body
    )


def opcode_of_init(device_name: str | None) -> int:
    """Which INIT a channel begins with."""
    return abi.Opcode.INIT if device_name is None else abi.Opcode.CUSE_INIT


def check_reply(reply: bytes) -> tuple[int, int, bytes]:
    """(unique, errno, body) of what a kernel would take."""
    length, error, unique = abi.OUT_HEADER.unpack_from(reply)
    assert length == len(reply), f"a reply of {len(reply)} bytes says {length}"
    assert not unique or -511 <= error <= 0, f"error {error}"
    assert not unique or not error or length == abi.OUT_HEADER.size, "an error with data"
    return unique, -error, reply[abi.OUT_HEADER.size :]


def expects_reply(frame: bytes) -> bool | None:
    """Whether a frame has a reply; None where the kernel would not mind either way."""
    if len(frame) < abi.IN_HEADER.size:
        return False
    if abi.IN_HEADER.unpack_from(frame)[1] in WITHOUT_REPLY:
        return None
    return True


def reads_page(frame: bytes, device_name: str | None) -> bool:
    """Whether a frame reads into the page cache, of which the FUSE node has none: it gets EIO."""
    if device_name is not None or len(frame) < abi.IN_HEADER.size + abi.READ_IN.size:
        return False
    if abi.IN_HEADER.unpack_from(frame)[1] != abi.Opcode.READ:
        return False
    read_flags: int = abi.READ_IN.unpack_from(frame, abi.IN_HEADER.size)[3]
    return not read_flags & abi.READ_LOCKOWNER


async def connection_round(inputs: Inputs, record: Record) -> None:
    """Connection alone: it raises nothing, and each frame becomes one thing."""
    random = inputs.random
    name = random.choice((None, "ovs-datapath"))
    connection = Connection(name)
    handles = [1, 2, 3]
    if random.random() < 0.8:
        connection.receive(memoryview(request(opcode_of_init(name), 2, INIT)))
    while record.more:
        unique = 2 * record.count
        frame = inputs.frame(unique, handles, [unique])
        record.note("frame", frame)
        event = connection.receive(memoryview(frame))
        expected = expects_reply(frame)
        if expected is not None:
            assert (event is not None) == expected
        if isinstance(event, Answered):
            answered, errno, _ = check_reply(event.reply)
            assert answered == unique
            assert errno == EIO or not reads_page(frame, name)
        elif event is not None and not isinstance(event, Interrupt):
            assert event.unique == unique
            assert not reads_page(frame, name)
            assert len(getattr(event, "data", b"")) <= len(frame)


class Kernel:
    """The kernel's end of a channel, which keeps count of what is owed."""

    def __init__(self, channel: socket.socket, device_name: str | None) -> None:
        self._channel = channel
        self._device_name = device_name
        self.unique = 0
        self.ready = False
        self.owed: dict[int, bool | None] = {}
        self.opening: set[int] = set()
        self.reading_pages: set[int] = set()
        self.handles: list[int] = []

    def next_unique(self) -> int:
        """Uniques are even; an INTERRUPT has one more."""
        self.unique += 2
        return self.unique

    def send(self, frame: bytes) -> None:
        """Send a frame whose `unique` is the last one."""
        expected = expects_reply(frame)
        if expected is not False:
            self.owed[self.unique] = expected
            if abi.IN_HEADER.unpack_from(frame)[1] == abi.Opcode.OPEN:
                self.opening.add(self.unique)
            if reads_page(frame, self._device_name):
                self.reading_pages.add(self.unique)
        self._channel.send(frame)

    async def ask(self, opcode: int, body: bytes = b"") -> tuple[int, bytes]:
        """(errno, body) of the reply to a correct request; other replies are counted meanwhile."""
        unique = self.next_unique()
        self.send(request(opcode, unique, body))
        while True:
            answered, errno, data = await self.receive()
            if answered == unique:
                return errno, data

    async def receive(self) -> tuple[int, int, bytes]:
        """The next reply to one of those that are owed; a notification has 0."""
        while True:
            try:
                reply = self._channel.recv(LARGEST_REPLY)
                break
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._channel)
        assert reply, "the daemon closed the channel"
        unique, errno, body = check_reply(reply)
        if unique:
            assert unique in self.owed, f"a reply to {unique}, which is owed none"
            if self.ready:
                refused = unique in self.reading_pages
                assert (errno == EIO) == refused, "the daemon did not know what to answer"
            del self.owed[unique]
            if unique in self.opening and not errno:
                self.handles.append(abi.OPEN_OUT.unpack(body)[0])
        return unique, errno, body

    async def settle(self) -> None:
        """Every request has its reply: those that wait are interrupted.

        The daemon takes frames in order; so when a last one is answered, whoever is not waits.
        """
        await self.ask(abi.Opcode.GETATTR)
        for unique in [unique for unique, expected in self.owed.items() if expected]:
            body = abi.INTERRUPT_IN.pack(unique)
            self._channel.send(request(abi.Opcode.INTERRUPT, unique | 1, body))
        while any(self.owed.values()):
            await self.receive()
        self.owed.clear()

    async def check(self) -> None:
        """The daemon answers a correct GET through a handle of its own."""
        errno, body = await self.ask(abi.Opcode.OPEN, abi.OPEN_IN.pack(os.O_RDWR, 0))
        assert not errno
        handle = self.handles.pop()
        for message in (NEW, GET):
            body = abi.IOCTL_IN.pack(handle, 0, TRANSACT, 0, len(message), 4096) + message
            errno, reply = await self.ask(abi.Opcode.IOCTL, body)
            assert not errno
        found = DATAPATH.parse(reply[abi.IOCTL_OUT.size :])
        assert found.attributes[DpAttr.NAME] == PROBE
        errno, _ = await self.ask(abi.Opcode.RELEASE, abi.RELEASE_IN.pack(handle, 0, 0, 0))
        assert not errno


async def server_round(inputs: Inputs, record: Record) -> None:
    """A real Server over a socket pair: one reply for each request, whatever waits."""
    random = inputs.random
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    device_name = random.choice((None, "ovs-datapath"))
    daemon = Daemon(queue_limit=QUEUE_LIMIT, queue_maximum=QUEUE_LIMIT)
    kernel = Kernel(ours, device_name)
    with ours, closing(Channel(theirs.detach())) as channel:
        server = Server(channel, Connection(device_name), daemon.dispatcher)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve)
            with trio.fail_after(DEADLINE_S):
                for _ in range(random.randrange(3)):
                    await send_one(kernel, inputs, record)
                await kernel.settle()
                await kernel.ask(opcode_of_init(device_name), INIT)
                kernel.ready = True
                while record.more:
                    for _ in range(min(BATCH, record.size - record.count)):
                        await send_one(kernel, inputs, record)
                    await kernel.settle()
                    await kernel.check()
                    check_memory(daemon)
            nursery.cancel_scope.cancel()
    assert not len(daemon.context.sessions), "a handle outlived its device"


async def send_one(kernel: Kernel, inputs: Inputs, record: Record) -> None:
    """One frame, without waiting for its reply."""
    inputs.pids = kernel.handles[-4:]
    inputs.own_pid = inputs.random.choice(inputs.pids) if inputs.pids else 0
    unique = kernel.next_unique()
    frame = inputs.frame(unique, kernel.handles[-6:], list(kernel.owed))
    record.note("frame", frame)
    kernel.send(frame)


def check_memory(daemon: Daemon) -> None:
    """Nothing holds more than it may."""
    for session in daemon.context.sessions:
        assert session.queue.bytes <= 2 * QUEUE_LIMIT
