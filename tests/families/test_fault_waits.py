"""Faults that let requests wait: how long, in which order, and how the wait may end."""

from __future__ import annotations

from errno import EBADF, EBUSY, EIO, ENOBUFS

import pytest
import trio
from trio.testing import MockClock

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.queue import OVERHEAD
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.fault import FaultAttr, FaultEffect
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from tests.families.doors import ACK, DUMP, Daemon, build, errno_of, errnos, make, new
from tests.families.fault_rig import Call, Rig, running, settle

GET = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "a"})
DUMP_ALL = build(DATAPATH, DpCmd.GET, flags=DUMP)


@pytest.fixture
async def rig(daemon: Daemon) -> Rig:
    rig = Rig(daemon)
    await make(rig.keeper, "a")
    return rig


def there(rig: Rig) -> list[str]:
    """The datapaths that there are."""
    return [datapath.name for datapath in rig.daemon.context.switch]


# The device door ----------------------------------------------------------------------------------


async def test_hold_and_release_at_the_device_door(rig: Rig) -> None:
    """The request waits, and is handled once when it may; others are not held up."""
    async with running(rig.daemon) as nursery:
        fault = await rig.add(FaultEffect.HOLD, COMMAND="OVS_DP_CMD_NEW")
        call = Call(nursery, rig.handle.transact(new("d")))
        await settle()
        assert not call.done
        assert len(fault.waiting) == 1
        assert there(rig) == ["a"]
        assert errnos([await rig.other.transact(new("e"))]) == [None]
        assert await errno_of(rig.handle.transact(GET)) == EBUSY, "one at a time, as always"
        assert await rig.release(fault) == 1
        assert isinstance(await call.wait(), Message)
        assert there(rig) == ["a", "e", "d"]
        assert (fault.matched, fault.applied, len(fault.waiting)) == (1, 1, 0)
        assert await rig.release() == 0


async def test_removing_a_fault_lets_go_on_what_it_held(rig: Rig) -> None:
    async with running(rig.daemon) as nursery:
        fault = await rig.add(FaultEffect.HOLD)
        call = Call(nursery, rig.handle.transact(GET))
        await settle()
        assert await rig.delete(fault) == 1
        assert isinstance(await call.wait(), Message)
        await settle()
    assert not rig.daemon.context.faults.active


async def test_an_interrupted_request_is_not_handled(rig: Rig) -> None:
    async with running(rig.daemon) as nursery:
        fault = await rig.add(FaultEffect.HOLD)
        call = Call(nursery, rig.handle.write_ioctl(new("d")))
        await settle()
        call.scope.cancel()
        await call.wait()
        assert call.scope.cancelled_caught
        assert (fault.applied, len(fault.waiting)) == (1, 0)
        assert there(rig) == ["a"]
        await rig.delete()
        assert isinstance(await rig.handle.transact(GET), Message), "the handle is free again"


async def test_a_delay(rig: Rig, autojump_clock: MockClock) -> None:
    async with running(rig.daemon):
        await rig.add(FaultEffect.DELAY, DELAY_MS=250)
        began = trio.current_time()
        assert isinstance(await rig.handle.transact(GET), Message)
        assert trio.current_time() - began == pytest.approx(0.25)
        began = trio.current_time()
        assert isinstance(await rig.other.transact(GET), Message)
        assert trio.current_time() == began


async def test_a_handle_that_is_closed_while_it_waits(rig: Rig) -> None:
    async with running(rig.daemon) as nursery:
        fault = await rig.add(FaultEffect.HOLD)
        call = Call(nursery, rig.handle.transact(new("d")))
        await settle()
        rig.handle.close()
        assert await errno_of(call.wait()) == EBADF
        assert there(rig) == ["a"]
        assert not fault.waiting


async def test_a_read_waits(rig: Rig) -> None:
    async with running(rig.daemon) as nursery:
        await rig.add(FaultEffect.HOLD, OPERATION="READ")
        await rig.handle.write_ioctl(DUMP_ALL)
        call = Call(nursery, rig.handle.read_ioctl())
        await settle()
        assert not call.done
        await rig.release()
        assert len(await call.wait()) == 1


async def test_nobody_is_locked_out(rig: Rig) -> None:
    """The handle whose request is held may itself end that, by both doors."""
    release = build(OVSDP_CONTROL, OvsdpCmd.FAULT_RELEASE)
    async with running(rig.daemon) as nursery:
        await rig.add(FaultEffect.HOLD, PID=None)
        call = Call(nursery, rig.handle.transact(GET))
        await settle()
        told = await rig.handle.transact(release)
        assert isinstance(told, Message)
        assert told.attributes[FaultAttr.HELD] == 1
        assert isinstance(await call.wait(), Message)
        await rig.handle.send(GET)
        (told,) = await rig.handle.ask(release)
        assert isinstance(told, Message)
        assert told.attributes[FaultAttr.HELD] == 1
        await settle()
        assert errnos(await rig.handle.drain()) == [None]
        held = Call(nursery, rig.handle.transact(GET))
        await settle()
        await rig.handle.write_ioctl(build(OVSDP_CONTROL, OvsdpCmd.FAULT_GET, flags=DUMP))
        (fault,) = await rig.handle.read_ioctl()
        assert isinstance(fault, Message)
        assert fault.attributes[FaultAttr.HELD] == 1
        await rig.handle.write_ioctl(build(OVSDP_CONTROL, OvsdpCmd.FAULT_DEL))
        assert isinstance(await held.wait(), Message)


# The stream door ----------------------------------------------------------------------------------


async def test_a_write_never_waits(rig: Rig) -> None:
    """What is written is taken at once, and handled in order when it may be."""
    async with running(rig.daemon):
        fault = await rig.add(FaultEffect.HOLD, COMMAND="OVS_DP_CMD_NEW", TIMES=1)
        await rig.handle.send(new("d", ACK), build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "d"}))
        await rig.handle.send(build(DATAPATH, 99), DUMP_ALL)
        await settle()
        assert not rig.handle.session.queue.bytes
        assert there(rig) == ["a"]
        assert len(fault.waiting) == 1
        assert errnos(await rig.other.ask(GET)) == [None]
        assert await rig.release() == 1
        await settle()
        assert errnos(await rig.handle.drain()) == [0, None, 95, None, None, 0]
        assert not rig.daemon.context.faults.is_waiting(rig.handle.session)


async def test_release_lets_all_go_on_that_wait(rig: Rig) -> None:
    async with running(rig.daemon):
        fault = await rig.add(FaultEffect.HOLD)
        await rig.handle.send(GET, GET)
        await rig.handle.send(GET)
        assert len(fault.waiting) == 3
        assert await rig.release(fault) == 3
        await settle()
        assert errnos(await rig.handle.drain()) == [None, None, None]


async def test_delays_are_from_when_a_request_came(rig: Rig, autojump_clock: MockClock) -> None:
    async with running(rig.daemon):
        await rig.add(FaultEffect.DELAY, DELAY_MS=100)
        began = trio.current_time()
        await rig.handle.send(GET, GET, GET)
        assert trio.current_time() == began
        for _ in range(3):
            await rig.daemon.dispatcher.read(rig.handle.session, 4096, False)
        assert trio.current_time() - began == pytest.approx(0.1)


async def test_both_doors_are_one_line(rig: Rig) -> None:
    """What comes by the device door after a held write waits behind it, and the other way round."""
    async with running(rig.daemon) as nursery:
        await rig.add(FaultEffect.HOLD, COMMAND="OVS_DP_CMD_NEW")
        await rig.handle.send(new("d", ACK))
        by_name = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "d"})
        call = Call(nursery, rig.handle.transact(by_name))
        await settle()
        assert not call.done
        await rig.release()
        assert isinstance(await call.wait(), Message), "d was there already"
        await settle()
        assert errnos(await rig.handle.drain()) == [0]
        first = Call(nursery, rig.handle.transact(new("e")))
        await settle()
        await rig.handle.send(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "e"}))
        assert not rig.handle.session.queue.bytes
        await rig.release()
        await first.wait()
        await settle()
        assert errnos(await rig.handle.drain()) == [None]


async def test_the_backlog_is_bounded(rig: Rig) -> None:
    """One message may wait, whatever its size; then as many as the queue could hold."""
    async with running(rig.daemon):
        await rig.add(FaultEffect.HOLD)
        limit = rig.handle.session.queue.limit
        room = limit // (len(GET) + OVERHEAD)
        for _ in range(room):
            await rig.handle.send(GET)
        assert await errno_of(rig.handle.send(GET)) == ENOBUFS
        requests = rig.handle.session.requests
        assert await errno_of(rig.handle.send(GET, GET)) == ENOBUFS
        assert rig.handle.session.requests == requests == room
        await rig.other.send(GET)
        assert errnos(await rig.other.drain()) == [None]
        assert await rig.release() == room
        await settle()
        session = rig.handle.session
        assert session.replies + session.queue.dropped == room, "who does not read loses some"


async def test_what_a_closed_handle_had_written_is_forgotten(rig: Rig) -> None:
    async with running(rig.daemon):
        fault = await rig.add(FaultEffect.HOLD)
        await rig.handle.send(new("d"), new("e"))
        await settle()
        rig.handle.close()
        await settle()
        assert there(rig) == ["a"]
        assert not fault.waiting
        await rig.delete()
        assert not rig.daemon.context.faults.active


async def test_what_waits_when_nobody_handles_it_is_handled_later(rig: Rig) -> None:
    await rig.add(FaultEffect.HOLD)
    await rig.handle.send(GET)
    await rig.release()
    assert not rig.handle.session.queue.bytes
    async with running(rig.daemon):
        await settle()
        assert errnos(await rig.handle.drain()) == [None]


# STALL --------------------------------------------------------------------------------------------


async def test_a_stall(rig: Rig, autojump_clock: MockClock) -> None:
    """It begins with what matches, and holds all that the handle sends; then it is answered."""
    async with running(rig.daemon) as nursery:
        fault = await rig.add(FaultEffect.STALL, DELAY_MS=500, COMMAND="OVS_DP_CMD_NEW")
        await rig.handle.write_ioctl(DUMP_ALL)
        began = trio.current_time()
        await rig.handle.send(GET)
        assert errnos(await rig.handle.drain()) == [None]
        await rig.handle.send(new("d", ACK), GET, new("e", ACK))
        read = Call(nursery, rig.handle.read_ioctl())
        assert isinstance(await rig.other.transact(GET), Message)
        assert trio.current_time() == began
        assert len(await read.wait()) == 1
        assert trio.current_time() - began == pytest.approx(0.5)
        await settle()
        assert errnos(await rig.handle.drain()) == [0, None, 0]
        assert (fault.matched, fault.applied) == (2, 1), "the second came within the stall"
        await rig.handle.send(new("f", ACK))
        assert rig.daemon.context.faults.is_waiting(rig.handle.session), "and a new one begins"


async def test_a_stall_that_is_released(rig: Rig) -> None:
    async with running(rig.daemon):
        await rig.add(FaultEffect.STALL, DELAY_MS=1 << 31)
        await rig.handle.send(GET, GET)
        await settle()
        assert await rig.release() == 1
        await settle()
        assert errnos(await rig.handle.drain()) == [None, None]


# What the trace says ------------------------------------------------------------------------------


async def test_a_trace_names_the_fault(rig: Rig) -> None:
    """Of what answers a request that met one, and of nothing else."""
    told: list[tuple[str, int]] = []
    async with running(rig.daemon):
        rig.daemon.context.sessions.taps.add(
            lambda session, record, request: told.append((record.kind.name, record.fault))
        )
        fail = await rig.add(FaultEffect.FAIL, ERRNO=EIO, TIMES=2, COMMAND="OVS_DP_CMD_NEW")
        hold = await rig.add(FaultEffect.HOLD, COMMAND="OVS_DP_CMD_GET")
        told.clear()
        with pytest.raises(DatapathError):
            await rig.handle.write_ioctl(new("d"))
        assert told == [("REQUEST", 0), ("REFUSED", fail.id)]
        told.clear()
        assert errnos(await rig.handle.ask(new("d"))) == [EIO]
        assert told == [("REQUEST", 0), ("REPLY", fail.id)]
        told.clear()
        await rig.handle.send(GET, new("f", ACK))
        await settle()
        assert told == [("REQUEST", 0), ("REQUEST", 0)]
        told.clear()
        rig.daemon.context.faults.release()
        await settle()
        assert told == [("REPLY", hold.id), ("REPLY", 0)]
