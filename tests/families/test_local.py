"""A handle without a kernel: what system calls do, in the daemon's own loop."""

from __future__ import annotations

from errno import EAGAIN, EBADF, EBUSY, EINVAL, EMSGSIZE, ENFILE, ENOBUFS, EPERM
from select import POLLIN, POLLOUT

import pytest
import trio
import trio.testing

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.local import LocalHandle
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import NetlinkError
from tests.client.families import BIG, SCHEMA, BigAttr, BigCmd
from tests.families.doors import DUMP, OWNER, Cmd, Daemon, build, errno_of, new, one_command, split


@pytest.fixture
def daemon() -> Daemon:
    return Daemon([BIG], queue_limit=100_000)


@pytest.fixture
def handle(daemon: Daemon) -> LocalHandle:
    return LocalHandle(daemon.dispatcher, OWNER)


async def test_a_request_and_its_reply(daemon: Daemon, handle: LocalHandle) -> None:
    reply = daemon.parse(await handle.ioctl_transact(new("br0")))
    assert isinstance(reply, Message)
    assert (reply.attributes[DpAttr.NAME], reply.pid) == ("br0", handle.pid)
    get = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br1"})
    refused = daemon.parse(await handle.ioctl_transact(get))
    assert isinstance(refused, NetlinkError) and refused.errno


async def test_a_reply_longer_than_its_buffer_is_read_after(
    daemon: Daemon, handle: LocalHandle
) -> None:
    request = build(SCHEMA, BigCmd.ECHO, {BigAttr.PAYLOAD: bytes(20_000)})
    reply = daemon.parse(await handle.ioctl_transact(request))
    assert isinstance(reply, Message) and reply.attributes[BigAttr.PAYLOAD] == bytes(20_000)
    assert await handle.ioctl_read() == b""


async def test_an_error_that_is_not_for_want_of_room_is_raised(daemon: Daemon) -> None:
    async def refuse(request: Request) -> Answer:
        raise DatapathError(EMSGSIZE, "no")

    refusing = Daemon([one_command(refuse)])
    handle = LocalHandle(refusing.dispatcher, OWNER)
    request = build(one_command(refuse).schema, Cmd.ONLY, {})
    assert await errno_of(handle.ioctl_transact(request, 0)) == EMSGSIZE


async def test_a_dump_in_parts(daemon: Daemon, handle: LocalHandle) -> None:
    await handle.ioctl_write(build(SCHEMA, BigCmd.ECHO, {BigAttr.COUNT: 10}, flags=DUMP))
    lengths = []
    found: list[Message] = []
    while part := await handle.ioctl_read(100):
        lengths.append(len(part))
        messages = [daemon.parse(message) for message in split(part)]
        found += [message for message in messages if isinstance(message, Message)]
    assert len(lengths) > 2 and max(lengths) <= 100
    assert [message.dp_ifindex for message in found] == list(range(10))


async def test_an_object_longer_than_the_part_is_not_lost(
    daemon: Daemon, handle: LocalHandle
) -> None:
    attributes = {BigAttr.COUNT: 1, BigAttr.PAYLOAD: bytes(1000)}
    await handle.ioctl_write(build(SCHEMA, BigCmd.ECHO, attributes, flags=DUMP))
    assert await errno_of(handle.ioctl_read(100)) == EMSGSIZE
    assert len(await handle.ioctl_read(2000)) > 1000


async def test_others_have_their_turn_between_the_parts(handle: LocalHandle) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        await handle.ioctl_write(build(SCHEMA, BigCmd.ECHO, {BigAttr.COUNT: 100}, flags=DUMP))
        parts = 0
        while await handle.ioctl_read(100):
            parts += 1
        nursery.cancel_scope.cancel()
    assert turns >= parts > 20


async def test_the_stream_door(daemon: Daemon, handle: LocalHandle) -> None:
    request = new("br0")
    assert await handle.write(request + request) == 2 * len(request)
    assert handle.poll() & (POLLIN | POLLOUT) == POLLIN | POLLOUT
    length, head = await handle.ioctl_peek(8)
    datagram = await handle.read()
    assert (length, head) == (len(datagram), datagram[:8])
    error = daemon.parse(datagram)
    assert isinstance(error, NetlinkError) and error.errno  # there is a br0 by then
    assert not handle.poll() & POLLIN


async def test_a_read_waits_while_requests_are_made(daemon: Daemon, handle: LocalHandle) -> None:
    got: list[bytes] = []

    async def read() -> None:
        got.append(await handle.read())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await handle.ioctl_transact(new("br0"))
        assert not got
        session = daemon.context.sessions.lookup(handle.pid)
        assert session is not None
        session.put(Kind.EVENT, b"news")
    assert got == [b"news"]


async def test_nonblocking(daemon: Daemon) -> None:
    handle = LocalHandle(daemon.dispatcher, OWNER, nonblocking=True)
    assert await errno_of(handle.read()) == EAGAIN


async def test_overruns_are_told_once(daemon: Daemon, handle: LocalHandle) -> None:
    session = daemon.context.sessions.lookup(handle.pid)
    assert session is not None
    while session.put(Kind.EVENT, bytes(30_000)):
        pass
    assert await errno_of(handle.read()) == ENOBUFS
    assert len(await handle.read()) == 30_000


async def test_access(daemon: Daemon) -> None:
    reader = LocalHandle(daemon.dispatcher, OWNER, Access.READ)
    assert await errno_of(reader.ioctl_transact(new("br0"))) == EPERM
    assert await errno_of(reader.write(new("br0"))) == EBADF
    writer = LocalHandle(daemon.dispatcher, OWNER, Access.WRITE)
    assert await errno_of(writer.read()) == EBADF
    assert await writer.ioctl_transact(new("br0"))


async def test_one_request_at_a_time() -> None:
    gate = trio.Event()

    async def wait(request: Request) -> Answer:
        await gate.wait()
        return Answer(Body(Cmd.ONLY))

    family = one_command(wait)
    handle = LocalHandle(Daemon([family]).dispatcher, OWNER)
    request = build(family.schema, Cmd.ONLY, {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(handle.ioctl_transact, request)
        await trio.testing.wait_all_tasks_blocked()
        assert await errno_of(handle.ioctl_transact(request)) == EBUSY
        gate.set()
    assert await handle.ioctl_transact(request)


async def test_closing(daemon: Daemon) -> None:
    async with LocalHandle(daemon.dispatcher, OWNER) as handle:
        pid = handle.pid
        assert len(daemon.context.sessions) == 1
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                assert await errno_of(handle.read()) == EBADF

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            handle.close()
    assert not len(daemon.context.sessions)
    assert handle.pid == pid
    assert await errno_of(handle.ioctl(Ioctl.GET_PID, out_size=4)) == EBADF
    with pytest.raises(DatapathError):
        handle.poll()


async def test_the_limits_of_handles_hold() -> None:
    daemon = Daemon(handle_limit=1)
    LocalHandle(daemon.dispatcher, OWNER)
    with pytest.raises(DatapathError) as caught:
        LocalHandle(daemon.dispatcher, OWNER)
    assert caught.value.errno == ENFILE


async def test_what_is_no_request_is_refused(handle: LocalHandle) -> None:
    assert await errno_of(handle.ioctl_transact(b"nonsense")) == EINVAL
