"""What each fault does at both doors, to whom, and to whom it does not."""

from __future__ import annotations

from errno import EIO, ENOBUFS, ENOMEM, ENOSPC, ENOTCONN
from select import POLLERR, POLLHUP, POLLIN

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.datapath import GROUP
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.session import Access, Owner
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, McastAttr
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.fault import FaultEffect
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.netlink import ControlType, NetlinkError
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.vport import VPORT, VportCmd
from tests.families.doors import (
    ACK,
    DUMP,
    ECHO,
    Daemon,
    Handle,
    Reply,
    build,
    errno_of,
    errnos,
    make,
    new,
)
from tests.families.fault_rig import Call, Rig, running, settle
from tests.families.test_packet import FRAME, World

GET = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "a"})
DUMP_ALL = build(DATAPATH, DpCmd.GET, flags=DUMP)
FAMILIES = build(NLCTRL, CtrlCmd.GETFAMILY, {CtrlAttr.FAMILY_NAME: "ovs_flow"}, flags=DUMP)


@pytest.fixture
async def rig(daemon: Daemon) -> Rig:
    rig = Rig(daemon)
    await make(rig.keeper, "a", "b", "c")
    return rig


def names(replies: list[Reply]) -> list[str]:
    """The names of datapaths."""
    return [reply.attributes[DpAttr.NAME] for reply in replies if isinstance(reply, Message)]


async def listen(handle: Handle, group: int = GROUP.id) -> None:
    attributes = {McastAttr.MCAST_GRP: group, McastAttr.MCAST_JOIN: 1}
    await handle.write_ioctl(build(CONTROL, ControlCmd.MC_SUBSCRIBE_REQ, attributes))


# FAIL ---------------------------------------------------------------------------------------------


async def test_fail_at_the_device_door(rig: Rig) -> None:
    """As a handler's error, and the handler does not run; nobody else is refused."""
    fault = await rig.add(FaultEffect.FAIL, ERRNO=ENOSPC, TEXT="no room for that")
    reply = await rig.handle.transact(new("d"))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message) == (ENOSPC, "no room for that")
    with pytest.raises(DatapathError, match="no room for that") as caught:
        await rig.handle.write_ioctl(new("d"))
    assert caught.value.errno == ENOSPC
    assert len(rig.daemon.context.switch) == 3
    assert isinstance(await rig.other.transact(GET), Message)
    assert (fault.matched, fault.applied) == (2, 2)


async def test_fail_at_the_stream_door(rig: Rig) -> None:
    fault = await rig.add(FaultEffect.FAIL, ERRNO=ENOSPC)
    (reply,) = await rig.handle.ask(new("d", ACK | ECHO))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message) == (ENOSPC, f"fault {fault.id} refused it")
    assert len(rig.daemon.context.switch) == 3
    assert errnos(await rig.other.ask(GET)) == [None]


async def test_fail_of_a_dump(rig: Rig) -> None:
    await rig.add(FaultEffect.FAIL, ERRNO=EIO)
    assert errnos(await rig.handle.ask(DUMP_ALL)) == [EIO]
    assert errnos([await rig.handle.transact(DUMP_ALL)]) == [EIO]
    assert await errno_of(rig.handle.write_ioctl(DUMP_ALL)) == EIO
    assert await rig.handle.read_ioctl() == []
    await rig.delete()
    assert names(await rig.handle.ask(DUMP_ALL)) == ["a", "b", "c"]


async def test_what_is_refused_anyway_meets_no_fault(rig: Rig) -> None:
    """Checks come first: who may not do a thing is told so, and no fault is used up."""
    reader = rig.daemon.open(Access.READ)
    fault = await rig.add(FaultEffect.FAIL, ERRNO=EIO, PID=reader.session.pid)
    assert errnos(await reader.ask(new("d"))) == [1]
    assert await errno_of(reader.transact(new("d"))) == 1
    assert errnos(await reader.ask(build(DATAPATH, 99))) == [95]
    assert fault.matched == 0


async def test_requests_of_ovsdp_control_never_meet_faults(rig: Rig) -> None:
    fault = await rig.add(FaultEffect.FAIL, ERRNO=EIO, PID=None)
    info = build(OVSDP_CONTROL, OvsdpCmd.INFO_GET)
    assert isinstance(await rig.handle.transact(info), Message)
    assert errnos(await rig.handle.ask(info)) == [None]
    assert errnos(await rig.handle.ask(GET)) == [EIO]
    assert fault.matched == 1


# What matches -------------------------------------------------------------------------------------


async def hits(rig: Rig, handle: Handle, *requests: bytes) -> list[bool]:
    """Whether each request fails with EIO by the stream door."""
    return [errnos(await handle.ask(request)) == [EIO] for request in requests]


async def test_a_family_or_a_command(rig: Rig) -> None:
    ports = build(VPORT, VportCmd.GET, flags=DUMP, dp_ifindex=1)
    await rig.add(FaultEffect.FAIL, ERRNO=EIO, FAMILY="ovs_datapath")
    assert await hits(rig, rig.handle, GET, new("a"), ports) == [True, True, False]
    await rig.delete()
    await rig.add(FaultEffect.FAIL, ERRNO=EIO, COMMAND="OVS_DP_CMD_GET")
    assert await hits(rig, rig.handle, GET, new("a"), ports) == [True, False, False]


async def test_an_operation(rig: Rig) -> None:
    await rig.add(FaultEffect.FAIL, ERRNO=EIO, OPERATION="TRANSACT")
    assert await hits(rig, rig.handle, GET) == [False]
    assert errnos([await rig.handle.transact(GET)]) == [EIO]
    await rig.handle.write_ioctl(DUMP_ALL)
    await rig.delete()
    await rig.add(FaultEffect.FAIL, ERRNO=EIO, OPERATION="WRITE")
    assert await errno_of(rig.handle.write_ioctl(DUMP_ALL)) == EIO
    assert errnos([await rig.handle.transact(GET)]) == [None]


async def test_a_process(rig: Rig) -> None:
    session = rig.daemon.dispatcher.open(Access.READ | Access.WRITE, True, Owner(77, 0, 0))
    session.command = "ovs-vswitchd"
    theirs = Handle(rig.daemon, session)
    for rule in ({"PROCESS": 77}, {"PROCESS_NAME": "ovs-vswitchd"}):
        await rig.add(FaultEffect.FAIL, ERRNO=EIO, PID=None, **rule)
        assert await hits(rig, theirs, GET) == [True]
        assert await hits(rig, rig.other, GET) == [False]
        await rig.delete()


async def test_a_datapath_by_index_and_as_requests_name_it(rig: Rig) -> None:
    b = rig.daemon.context.switch.lookup_name("b")
    assert b is not None
    await rig.add(FaultEffect.FAIL, ERRNO=EIO, DATAPATH=b.index)
    by_name = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "b"})
    ports = [build(VPORT, VportCmd.GET, flags=DUMP, dp_ifindex=i) for i in (b.index, b.index + 1)]
    port = build(VPORT, VportCmd.GET, {2: 0, 3: "b"})
    assert await hits(rig, rig.handle, GET, by_name, *ports, port) == [
        *(False, True),
        *(True, False),
        True,
    ]


async def test_the_nth_and_no_other(rig: Rig) -> None:
    fault = await rig.add(FaultEffect.FAIL, ERRNO=EIO, NTH=2, COMMAND="OVS_DP_CMD_GET")
    assert await hits(rig, rig.handle, GET, new("a"), GET, GET) == [False, False, True, False]
    assert (fault.matched, fault.applied) == (3, 1)


async def test_the_first_that_applies_acts_alone(rig: Rig) -> None:
    first = await rig.add(FaultEffect.FAIL, ERRNO=EIO, TIMES=1)
    second = await rig.add(FaultEffect.FAIL, ERRNO=ENOSPC)
    replies = await rig.handle.ask(GET, GET)
    assert errnos(replies) == [EIO, ENOSPC]
    assert (first.matched, first.applied, second.matched, second.applied) == (2, 1, 1, 1)


# TRUNCATE and CUT_DUMP ----------------------------------------------------------------------------


async def test_truncate(rig: Rig) -> None:
    whole = await rig.other.transact_bytes(GET)
    await rig.add(FaultEffect.TRUNCATE, SIZE=17)
    got = await rig.handle.transact_bytes(GET)
    assert len(got) == 17
    await rig.handle.send(GET)
    assert len(await rig.handle.receive_bytes()) == 17
    assert not rig.handle.session.queue.bytes
    assert len(await rig.other.transact_bytes(GET)) == len(whole)
    await rig.handle.send(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "z"}))
    assert len(await rig.handle.receive_bytes()) == 17, "an error is a reply, too"


async def test_a_size_that_is_more_than_there_is(rig: Rig) -> None:
    await rig.add(FaultEffect.TRUNCATE, SIZE=100_000)
    assert isinstance(await rig.handle.transact(GET), Message)


async def test_truncate_the_first_part_of_a_dump(rig: Rig) -> None:
    """The rest of the first part is gone; the dump has its end all the same."""
    await rig.add(FaultEffect.TRUNCATE, SIZE=20)
    await rig.handle.send(DUMP_ALL)
    assert len(await rig.handle.receive_bytes()) == 20
    (done,) = await rig.handle.receive()
    assert isinstance(done, NetlinkError)
    assert done.header.type == ControlType.DONE
    assert len(await rig.handle.transact_bytes(DUMP_ALL)) == 20
    (done,) = await rig.handle.read_ioctl()
    assert isinstance(done, NetlinkError)


@pytest.mark.parametrize("errno", [0, ENOMEM])
@pytest.mark.parametrize("size", [0, 1, 2])
async def test_cut_a_dump(rig: Rig, size: int, errno: int) -> None:
    rule = {"SIZE": size, "ERRNO": errno, "TEXT": "cut"} if errno else {"SIZE": size}
    await rig.add(FaultEffect.CUT_DUMP, COMMAND="OVS_DP_CMD_GET", **rule)

    def check(replies: list[Reply]) -> None:
        *objects, done = replies
        assert names(objects) == ["a", "b", "c"][:size]
        assert isinstance(done, NetlinkError)
        assert (done.header.type, done.errno) == (ControlType.DONE, errno)
        assert done.message == ("cut" if errno else None)

    check(await rig.handle.ask(DUMP_ALL))
    await rig.handle.write_ioctl(DUMP_ALL)
    replies = await rig.handle.read_ioctl()
    while rig.handle.session.dump is not None:
        replies += await rig.handle.read_ioctl()
    check(replies)
    assert len(names(await rig.other.ask(DUMP_ALL))) == 3
    assert errnos(await rig.handle.ask(GET)) == [None], "it is no dump"


async def test_a_dump_that_ends_before_the_cut(rig: Rig) -> None:
    await rig.add(FaultEffect.CUT_DUMP, SIZE=3, ERRNO=EIO)
    *objects, done = await rig.handle.ask(DUMP_ALL)
    assert len(objects) == 3
    assert errnos([done]) == [0]


# READ, READ_EVENT, READ_PACKET --------------------------------------------------------------------


async def test_a_read_fails_and_loses_nothing(rig: Rig) -> None:
    await rig.add(FaultEffect.FAIL, ERRNO=EIO, OPERATION="READ", TIMES=2)
    await rig.handle.write_ioctl(DUMP_ALL)
    assert await errno_of(rig.handle.read_ioctl()) == EIO
    assert await errno_of(rig.handle.read_ioctl()) == EIO
    assert names(await rig.handle.read_ioctl()) == ["a", "b", "c"]


async def test_a_read_has_the_family_of_what_it_would_give(rig: Rig) -> None:
    await rig.add(FaultEffect.TRUNCATE, SIZE=5, OPERATION="READ", COMMAND="OVS_DP_CMD_GET")
    await rig.handle.write_ioctl(FAMILIES)
    assert len(await rig.handle.ioctl(Ioctl.READ, b"", 4096)) > 5
    await rig.handle.write_ioctl(DUMP_ALL)
    assert len(await rig.handle.ioctl(Ioctl.READ, b"", 4096)) == 5


async def test_events_and_packets_are_read_by_their_own(rig: Rig) -> None:
    await listen(rig.handle)
    await rig.add(FaultEffect.FAIL, ERRNO=EIO, OPERATION="READ_EVENT", FAMILY="ovs_datapath")
    assert await rig.handle.read_ioctl(Ioctl.READ_EVENT) == [], "there is nothing of that family"
    await rig.other.write_ioctl(new("d"))
    assert await errno_of(rig.handle.read_ioctl(Ioctl.READ_EVENT)) == EIO
    assert await rig.handle.read_ioctl(Ioctl.READ_PACKET) == []
    await rig.delete()
    await rig.add(FaultEffect.TRUNCATE, SIZE=3, OPERATION="READ_EVENT")
    assert len(await rig.handle.ioctl(Ioctl.READ_EVENT, b"", 4096)) == 3


# Notifications and upcalls ------------------------------------------------------------------------


async def test_drop_a_notification(rig: Rig) -> None:
    for handle in (rig.handle, rig.other):
        await listen(handle)
    fault = await rig.add(FaultEffect.DROP, COMMAND="OVS_DP_CMD_NEW", NTH=2)
    for name in ("d", "e", "f"):
        await rig.keeper.write_ioctl(new(name))
    assert names(await rig.handle.drain()) == ["d", "f"]
    assert names(await rig.other.drain()) == ["d", "e", "f"]
    assert (fault.matched, fault.applied) == (3, 1)


async def test_overflow_a_notification(rig: Rig) -> None:
    """One overrun; nothing is taken until what waits has been read; then all is as before."""
    for handle in (rig.handle, rig.other):
        await listen(handle)
    await rig.add(FaultEffect.OVERFLOW, NTH=2)
    for name in ("d", "e", "f"):
        await rig.keeper.write_ioctl(new(name))
    assert rig.handle.session.poll() & POLLERR
    assert await errno_of(rig.handle.receive()) == ENOBUFS
    assert names(await rig.handle.drain()) == ["d"]
    assert rig.handle.session.queue.dropped == 2
    await rig.keeper.write_ioctl(new("g"))
    assert names(await rig.handle.drain()) == ["g"]
    assert names(await rig.other.drain()) == ["d", "e", "f", "g"]


async def test_overflow_an_empty_queue(rig: Rig) -> None:
    """The read that tells of it ends the congestion: no other will come."""
    await listen(rig.handle)
    await rig.add(FaultEffect.OVERFLOW, TIMES=1)
    await rig.keeper.write_ioctl(new("d"))
    assert await errno_of(rig.handle.receive()) == ENOBUFS
    await rig.keeper.write_ioctl(new("e"))
    assert names(await rig.handle.drain()) == ["e"]


async def test_overflow_a_queue_that_was_closed(rig: Rig) -> None:
    """It has nothing to lose: it counts no loss, and tells of none."""
    await listen(rig.handle)
    rig.handle.session.shut_queue()
    fault = await rig.add(FaultEffect.OVERFLOW)
    await rig.keeper.write_ioctl(new("d"))
    assert fault.applied == 1
    queue = rig.handle.session.queue
    assert (queue.dropped, queue.overrun, queue.congested) == (0, False, False)
    assert await errno_of(rig.handle.receive()) == ENOTCONN


async def test_the_datapath_of_a_notification(rig: Rig) -> None:
    await listen(rig.handle)
    b = rig.daemon.context.switch.lookup_name("b")
    assert b is not None
    await rig.add(FaultEffect.DROP, DATAPATH=b.index, OPERATION="NOTIFICATION")
    for name in ("a", "b"):
        await rig.keeper.write_ioctl(build(DATAPATH, DpCmd.DEL, {DpAttr.NAME: name}))
    assert names(await rig.handle.drain()) == ["a"]


@pytest.mark.parametrize(("effect", "lost"), [(FaultEffect.DROP, 0), (FaultEffect.OVERFLOW, 1)])
async def test_lose_an_upcall(daemon: Daemon, effect: FaultEffect, lost: int) -> None:
    """What is dropped nobody counts; what overflows is lost, as what finds no room."""
    rig = Rig(daemon)
    world = await World(rig.handle).begin()
    fault = await rig.add(effect, COMMAND="OVS_PACKET_CMD_MISS", DATAPATH=1, NTH=1)
    world.port("a").inject(FRAME)
    assert world.datapath.counters.lost == lost
    assert daemon.context.sessions.lost_upcalls == lost
    assert fault.applied == 1
    assert rig.handle.session.queue.overrun == bool(lost)
    if lost:
        assert await errno_of(rig.handle.receive()) == ENOBUFS
    world.port("a").inject(FRAME)
    assert len(await world.upcalls()) == 1


# CLOSE_QUEUE --------------------------------------------------------------------------------------


async def test_close_the_queue_at_a_request(rig: Rig) -> None:
    """What waited is gone, reads fail for good; requests are handled, and TRANSACT is answered."""
    await listen(rig.handle)
    await rig.keeper.write_ioctl(new("d"))
    await rig.add(FaultEffect.CLOSE_QUEUE, NTH=1)
    assert rig.handle.session.queue.bytes
    await rig.handle.send(new("e", ACK))
    assert rig.daemon.context.switch.lookup_name("e") is not None
    assert not rig.handle.session.queue.bytes
    for ioctl in (Ioctl.READ, Ioctl.READ_EVENT, Ioctl.READ_PACKET, Ioctl.PEEK):
        assert await errno_of(rig.handle.ioctl(ioctl, b"", 4096)) == ENOTCONN
    assert await errno_of(rig.handle.receive()) == ENOTCONN
    assert rig.handle.session.poll() & (POLLIN | POLLERR | POLLHUP) == POLLIN | POLLERR | POLLHUP
    await rig.handle.send(DUMP_ALL, GET)
    assert isinstance(await rig.handle.transact(GET), Message)
    await rig.delete()
    assert await errno_of(rig.handle.receive()) == ENOTCONN, "until the handle is closed"
    assert names(await rig.other.ask(GET)) == ["a"]


async def test_who_waits_is_told_that_the_queue_was_closed(daemon: Daemon) -> None:
    rig = Rig(daemon)
    await make(rig.keeper, "a")
    reader = daemon.open(nonblocking=False)
    woken: list[int] = []
    async with running(daemon) as nursery:
        await listen(reader)
        read = Call(nursery, daemon.dispatcher.read(reader.session, 4096, False))
        pend = Call(nursery, reader.write_ioctl(build(CONTROL, ControlCmd.WIN_PEND_REQ)))
        await settle()
        reader.session.on_readable = lambda: woken.append(1)
        await rig.add(FaultEffect.CLOSE_QUEUE, PID=reader.session.pid, OPERATION="NOTIFICATION")
        await rig.keeper.write_ioctl(new("d"))
        assert woken == [1]
        for call in (read, pend):
            assert await errno_of(call.wait()) == ENOTCONN
    assert await errno_of(reader.write_ioctl(build(CONTROL, ControlCmd.WIN_PEND_REQ))) == ENOTCONN


async def test_a_queue_that_an_upcall_closes(daemon: Daemon) -> None:
    rig = Rig(daemon)
    world = await World(rig.handle).begin()
    await rig.add(FaultEffect.CLOSE_QUEUE, COMMAND="OVS_PACKET_CMD_MISS", NTH=2)
    for _ in range(3):
        world.port("a").inject(FRAME)
    assert world.datapath.counters.lost == 2
    assert rig.handle.session.queue.peek(Kind.PACKET) is None
