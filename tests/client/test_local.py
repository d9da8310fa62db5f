"""The client in the daemon's own loop."""

from __future__ import annotations

from errno import EBADF, ENODEV, ENOENT

import pytest
import trio
import trio.testing

from ovsdp_cuse.client import EventsLost
from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.families.local import LocalHandle
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.netlink import NLM_F_DUMP
from tests.client.families import BIG, SCHEMA, BigAttr, BigCmd
from tests.families.doors import OWNER, Daemon, errno_of


@pytest.fixture
def daemon() -> Daemon:
    return Daemon([BIG], queue_limit=100_000)


@pytest.fixture
def device(daemon: Daemon) -> LocalDevice:
    return LocalDevice(LocalHandle(daemon.dispatcher, OWNER), [SCHEMA])


async def make(device: LocalDevice, *names: str) -> None:
    for name in names:
        await device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)})


async def test_transact(device: LocalDevice) -> None:
    await make(device, "br0")
    reply = await device.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"})
    assert reply is not None and reply.attributes[DpAttr.NAME] == "br0"
    assert await errno_of(device.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br1"})) == ENODEV
    with pytest.raises(ValueError, match="dump"):
        await device.transact(DATAPATH, DpCmd.GET, flags=NLM_F_DUMP)


@pytest.mark.parametrize("length", [10, 5_000, 50_000])
async def test_requests_and_replies_of_any_length(device: LocalDevice, length: int) -> None:
    reply = await device.transact(SCHEMA, BigCmd.ECHO, {BigAttr.PAYLOAD: b"x" * length})
    assert reply is not None and reply.attributes[BigAttr.PAYLOAD] == b"x" * length


@pytest.mark.parametrize("payload", [0, 10_000])
async def test_a_dump_comes_as_it_is_made(
    device: LocalDevice, daemon: Daemon, payload: int
) -> None:
    attributes = {BigAttr.COUNT: 300, BigAttr.PAYLOAD: bytes(payload)}
    found: list[int] = []
    session = daemon.context.sessions.lookup(device.pid)
    assert session is not None
    async for message in device.dump(SCHEMA, BigCmd.ECHO, attributes):
        if not found:
            assert session.dump is not None  # the rest is still to be made
        found.append(message.dp_ifindex)
    assert found == list(range(300))
    assert session.dump is None


async def test_a_loop_may_end_early(device: LocalDevice) -> None:
    async for _message in device.dump(SCHEMA, BigCmd.ECHO, {BigAttr.COUNT: 300}):
        break
    await make(device, "br0", "br1")
    names = [m.attributes[DpAttr.NAME] async for m in device.dump(DATAPATH, DpCmd.GET)]
    assert names == ["br0", "br1"]


async def test_a_dump_that_is_refused(device: LocalDevice) -> None:
    async def dump() -> None:
        async for _message in device.dump(SCHEMA, BigCmd.TELL):
            pass

    assert await errno_of(dump())


async def test_events(device: LocalDevice) -> None:
    await device.subscribe("big")
    await device.transact(SCHEMA, BigCmd.TELL, {BigAttr.COUNT: 7})
    schema, message = await device.next_event()
    assert (schema, message.attributes) == (SCHEMA, {BigAttr.COUNT: 7})


async def test_many_events_in_one_turn(device: LocalDevice, daemon: Daemon) -> None:
    """Those that wait, in order, as many as are wanted; and others have no turn in between."""
    await device.subscribe("big")
    for number in range(10):
        await device.transact(SCHEMA, BigCmd.TELL, {BigAttr.COUNT: number})
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn)
        counts = [message.attributes[BigAttr.COUNT] for _, message in await device.next_events(7)]
        assert counts == list(range(7))
        assert turns <= 2
        counts = [message.attributes[BigAttr.COUNT] for _, message in await device.next_events()]
        assert counts == [7, 8, 9]
        nursery.cancel_scope.cancel()


async def test_a_loss_is_told_after_the_events_before_it(
    device: LocalDevice, daemon: Daemon
) -> None:
    """As can be where a datagram has more than one."""
    await device.subscribe("big")
    await device.transact(SCHEMA, BigCmd.TELL, {BigAttr.COUNT: 1})
    session = daemon.context.sessions.lookup(device.pid)
    assert session is not None
    event = session.queue.peek()
    assert event is not None
    session.put(Kind.EVENT, event * 3)
    assert len(await device.next_events(2)) == 2
    while session.put(Kind.EVENT, bytes(30_000)):
        pass
    assert len(await device.next_events()) == 2
    with pytest.raises(EventsLost):
        await device.next_events()


async def test_waiting_for_an_event(device: LocalDevice) -> None:
    await device.subscribe(666)
    counts = []

    async def follow() -> None:
        counts.append((await device.next_event())[1].attributes[BigAttr.COUNT])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        await device.transact(SCHEMA, BigCmd.TELL, {BigAttr.COUNT: 8})
    assert counts == [8]


async def test_lost_events(device: LocalDevice, daemon: Daemon) -> None:
    session = daemon.context.sessions.lookup(device.pid)
    assert session is not None
    while session.put(Kind.EVENT, bytes(30_000)):
        pass
    with pytest.raises(EventsLost):
        await device.next_event()


@pytest.mark.parametrize("group", [667, "nothing"])
async def test_no_such_group(device: LocalDevice, group: int | str) -> None:
    assert await errno_of(device.subscribe(group)) == ENOENT


async def test_closing_ends_who_waits(device: LocalDevice, daemon: Daemon) -> None:
    async def wait() -> None:
        assert await errno_of(device.next_event()) == EBADF

    async with device, trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        device.close()
    assert not len(daemon.context.sessions)
