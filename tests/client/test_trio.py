"""The trio client, against a dispatcher in this process: waiting, cancellation, several tasks."""

from __future__ import annotations

import inspect
from errno import EBADF, EEXIST

import pytest
import trio
import trio.testing

from ovsdp_cuse.client import DatapathError
from ovsdp_cuse.client import Device as BlockingDevice
from ovsdp_cuse.client.trio import Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from tests.client.families import SCHEMA, BigAttr, BigCmd
from tests.families.doors import Daemon

DEADLINE_S = 30


async def add(device: Device, name: str) -> None:
    """Make a datapath."""
    await device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)})


def test_the_methods_are_those_of_the_blocking_client() -> None:
    def names(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")}

    by_poll = {"fileno", "wait_readable", "events_aside", "next_event_nowait"}
    assert names(Device) == names(BlockingDevice) - by_poll
    for name in ("transact", "dump", "family", "subscribe", "ioctl_transact", "ioctl_peek", "send"):
        ours = inspect.signature(getattr(Device, name))
        theirs = inspect.signature(getattr(BlockingDevice, name))
        assert ours.parameters == theirs.parameters


async def test_a_conversation(daemon: Daemon) -> None:
    async with Device("/dev/x") as device:
        assert (device.path, device.pid) == ("/dev/x", 1)
        await add(device, "dp0")
        with pytest.raises(DatapathError) as caught:
            await add(device, "dp0")
        assert (caught.value.errno, caught.value.path) == (EEXIST, (DpAttr.NAME,))
        names = [m.attributes[DpAttr.NAME] async for m in device.dump(DATAPATH, DpCmd.GET)]
        assert names == ["dp0"]
        assert (await device.family("ovs_datapath")).id == DATAPATH.id
        served = [family.name for family in await device.families()]
        assert served == [family.schema.name for family in daemon.context.registry]
    assert len(daemon.context.sessions) == 0


async def test_the_raw_doors(daemon: Daemon) -> None:
    async with Device() as device:
        await add(device, "dp0")
        request = bytes.fromhex("18000000 1200 0103 01000000 00000000 03 02 0000 00000000")
        await device.ioctl_write(request)
        part = await device.ioctl_read()
        assert await device.ioctl_transact(request) == part
        await device.send(request)
        assert await device.ioctl_peek(4) == (len(part), part[:4])
        assert await device.receive() == part
        done = await device.receive()
        assert (done[4:6], await device.ioctl_peek(0)) == (b"\3\0", (0, b""))


async def test_a_device_is_opened_by_async_with(daemon: Daemon) -> None:
    device = Device()
    with pytest.raises(RuntimeError, match="async with"):
        await device.transact(DATAPATH, DpCmd.GET)


async def test_an_event_wakes_who_waits(daemon: Daemon) -> None:
    async with Device() as device, Device() as watcher:
        await watcher.subscribe("ovs_datapath")
        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(add, device, "dp0")
                async for family, message in watcher.events():
                    assert (family, message.command) == (DATAPATH, DpCmd.NEW)
                    break
        await watcher.unsubscribe("ovs_datapath")


async def test_waiting_can_be_cancelled_and_done_again(daemon: Daemon) -> None:
    async with Device() as device:
        events = device.events("ovs_datapath")
        for number in range(3):
            with trio.fail_after(DEADLINE_S), trio.move_on_after(0.05) as scope:
                await events.__anext__()
            assert scope.cancelled_caught
            await add(device, f"dp{number}")
            with trio.fail_after(DEADLINE_S):
                await events.__anext__()


async def test_requests_while_another_task_waits(daemon: Daemon) -> None:
    """Also when a request that takes the stream door finds the event that is waited for."""
    async with Device(families=[SCHEMA]) as device, Device() as other:
        seen: list[int] = []
        await device.subscribe("big", "ovs_datapath")  # before `other` tells the first time

        async def watch() -> None:
            async for _family, message in device.events():
                seen.append(message.command)
                if len(seen) == 20:
                    return

        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                await trio.testing.wait_all_tasks_blocked()
                for _ in range(20):
                    await other.transact(SCHEMA, BigCmd.TELL, {BigAttr.COUNT: 1})
                    big = {BigAttr.PAYLOAD: bytes(20_000)}
                    assert await device.transact(SCHEMA, BigCmd.ECHO, big) is not None
        assert seen == [BigCmd.TELL] * 20


async def test_many_tasks_share_a_device(daemon: Daemon) -> None:
    async with Device() as device:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(add, device, f"dp{number}")
        assert len([m async for m in device.dump(DATAPATH, DpCmd.GET)]) == 20


async def test_closing_ends_a_wait(daemon: Daemon) -> None:
    async with Device() as device:

        async def wait() -> None:
            with pytest.raises(DatapathError) as caught:
                await device.next_event()
            assert caught.value.errno == EBADF

        with trio.fail_after(DEADLINE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                await device.close()
