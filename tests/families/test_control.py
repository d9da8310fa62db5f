"""ovs_win_control: PID, protocol, memberships, upcalls and waiting, in both editions."""

from __future__ import annotations

import struct
from errno import EADDRINUSE, EAGAIN, EBUSY, EINVAL, ENOBUFS, EOPNOTSUPP

import pytest
import trio
import trio.testing

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.datapath import GROUP
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.control import (
    CONTROL,
    ControlCmd,
    McastAttr,
    PacketSubscribeAttr,
    SocketAttr,
)
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import NETLINK_GENERIC, NETLINK_NETFILTER, Flag, NetlinkError
from tests.families.doors import Daemon, Handle, build

NEW = build(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "br0", DpAttr.UPCALL_PID: (0,)})
WAIT = build(CONTROL, ControlCmd.WIN_PEND_REQ)
WAIT_PACKET = build(CONTROL, ControlCmd.WIN_PEND_PACKET_REQ)


def subscribe(group: int, join: int = 1) -> bytes:
    return build(
        CONTROL,
        ControlCmd.MC_SUBSCRIBE_REQ,
        {McastAttr.MCAST_GRP: group, McastAttr.MCAST_JOIN: join},
    )


def subscribe_packets(pid: int, subscribe: int = 1) -> bytes:
    return build(
        CONTROL,
        ControlCmd.PACKET_SUBSCRIBE_REQ,
        {PacketSubscribeAttr.PACKET_SUBSCRIBE: subscribe, PacketSubscribeAttr.PACKET_PID: pid},
    )


async def write_errno(handle: Handle, request: bytes) -> int:
    with pytest.raises(DatapathError) as caught:
        await handle.write_ioctl(request)
    return caught.value.errno


# WIN_GET_PID, SOCK_PROP -------------------------------------------------------------------------


async def test_win_get_pid_as_in_2014(handle: Handle) -> None:
    """A message of zeros, whatever the request's were, but for the PID."""
    reply = await handle.transact_bytes(build(CONTROL, ControlCmd.WIN_GET_PID))
    assert reply == struct.pack("=12xI8x", handle.pid)
    with pytest.raises(DatapathError) as caught:
        await handle.transact(build(CONTROL, ControlCmd.WIN_GET_PID), 23)
    assert caught.value.errno == EINVAL


async def test_command_0_is_told_apart_by_the_device_operation(daemon: Daemon) -> None:
    handle = daemon.open()
    assert len(await handle.transact_bytes(WAIT)) == 24
    assert await write_errno(handle, WAIT) == EAGAIN


@pytest.mark.parametrize("protocol", [NETLINK_GENERIC, NETLINK_NETFILTER])
async def test_sock_prop(handle: Handle, protocol: int) -> None:
    asked: Attributes = {int(SocketAttr.SOCK_PROTO): protocol, int(SocketAttr.SOCK_PID): handle.pid}
    reply = await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP, asked))
    assert isinstance(reply, Message)
    assert (reply.type, reply.command) == (0x11, ControlCmd.SOCK_PROP)
    assert reply.attributes == {**asked, **OPTIONS}
    # All are optional, and what was remembered is told.
    reply = await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP))
    assert isinstance(reply, Message)
    assert reply.attributes == {**asked, **OPTIONS}


OPTIONS: Attributes = {
    int(SocketAttr.SOCK_RCVBUF): 1 << 20,
    int(SocketAttr.SOCK_EXT_ACK): 1,
    int(SocketAttr.SOCK_CAP_ACK): 0,
    int(SocketAttr.SOCK_NO_ENOBUFS): 0,
}
"""What a new handle has."""


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        (SocketAttr.SOCK_RCVBUF, 5000, 5000),
        (SocketAttr.SOCK_RCVBUF, 0, 4096),
        (SocketAttr.SOCK_RCVBUF, 2**32 - 1, 8 << 20),
        (SocketAttr.SOCK_EXT_ACK, 0, 0),
        (SocketAttr.SOCK_EXT_ACK, 7, 1),
        (SocketAttr.SOCK_CAP_ACK, 255, 1),
        (SocketAttr.SOCK_NO_ENOBUFS, 1, 1),
    ],
)
async def test_sock_prop_sets_one_option(
    handle: Handle, option: SocketAttr, value: int, told: int
) -> None:
    reply = await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP, {option: value}))
    assert isinstance(reply, Message)
    ids: Attributes = {int(SocketAttr.SOCK_PROTO): 16, int(SocketAttr.SOCK_PID): handle.pid}
    assert reply.attributes == {**ids, **OPTIONS, int(option): told}
    other = await handle.daemon.open().transact(build(CONTROL, ControlCmd.SOCK_PROP))
    assert isinstance(other, Message)
    assert other.attributes[int(option)] == OPTIONS[int(option)], "each handle has its own"


async def test_sock_bind_gives_another_pid(handle: Handle) -> None:
    """Replies, notifications and upcalls go by the new one, and the old one is free."""
    old = handle.pid
    sessions = handle.daemon.context.sessions
    group = handle.daemon.context.registry.lookup_group(102)
    assert group is not None
    sessions.join(handle.session, group)
    reply = await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP, {SocketAttr.SOCK_BIND: 99}))
    assert isinstance(reply, Message)
    assert (reply.pid, reply.attributes[int(SocketAttr.SOCK_PID)]) == (99, 99)
    assert int(SocketAttr.SOCK_BIND) not in reply.attributes
    assert sessions.lookup(99) is handle.session
    assert sessions.lookup(old) is None
    sessions.multicast(102, b"told")
    assert await handle.receive_bytes() == b"told"
    sessions.leave(handle.session, 102)
    assert not sessions.has_members(102)
    sessions.close(handle.session)
    assert sessions.lookup(99) is None


@pytest.mark.parametrize("own", [True, False])
async def test_sock_bind_refuses_what_is_taken(handle: Handle, own: bool) -> None:
    pid = handle.pid if own else handle.daemon.open().pid
    reply = await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP, {SocketAttr.SOCK_BIND: pid}))
    if own:
        assert isinstance(reply, Message)
    else:
        assert isinstance(reply, NetlinkError)
        assert (reply.errno, reply.offset) == (EADDRINUSE, 24)
    reply = await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP, {SocketAttr.SOCK_BIND: 0}))
    assert isinstance(reply, NetlinkError)
    assert reply.errno == EINVAL


async def test_without_ext_ack_no_error_has_attributes(handle: Handle) -> None:
    """By either door."""
    bad = build(DATAPATH, DpCmd.NEW)
    off = build(CONTROL, ControlCmd.SOCK_PROP, {SocketAttr.SOCK_EXT_ACK: 0})
    for request, texts in ((b"", True), (off, False)):
        if request:
            await handle.transact(request)
        for reply in (await handle.transact(bad), *await handle.ask(bad)):
            assert isinstance(reply, NetlinkError)
            assert reply.errno == EINVAL
            assert (reply.message is not None) == texts
            assert bool(reply.header.flags & Flag.ACK_TLVS) == texts


async def test_with_cap_ack_an_error_of_the_stream_door_is_short(handle: Handle) -> None:
    bad = build(DATAPATH, DpCmd.NEW, {DpAttr.USER_FEATURES: 0})
    for cap in (0, 1, 0):
        await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP, {SocketAttr.SOCK_CAP_ACK: cap}))
        await handle.send(bad)
        raw = await handle.receive_bytes()
        reply = handle.daemon.parse(raw)
        assert isinstance(reply, NetlinkError)
        assert bool(reply.header.flags & Flag.CAPPED) == bool(cap)
        assert raw[20:36] == bad[:16]
        assert (raw[36 : len(bad) + 20] == bad[16:]) != bool(cap)
        assert reply.message, "and what is said of it is found behind"


async def test_without_enobufs_losses_are_not_told() -> None:
    handle = Daemon(queue_limit=4096).open()
    await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP, {SocketAttr.SOCK_NO_ENOBUFS: 1}))
    assert handle.session.put(Kind.EVENT, bytes(3800))
    assert not handle.session.put(Kind.EVENT, bytes(3800))
    assert await handle.receive_bytes() == bytes(3800)
    assert handle.session.queue.dropped == 1


@pytest.mark.parametrize(
    ("asked", "offset"),
    [
        ({SocketAttr.SOCK_PROTO: 0}, 24),
        ({SocketAttr.SOCK_PROTO: 15}, 24),
        ({SocketAttr.SOCK_PROTO: 12, SocketAttr.SOCK_PID: 4711}, 32),
    ],
)
async def test_sock_prop_refuses(handle: Handle, asked: Attributes, offset: int) -> None:
    """Nothing is remembered then, and the answer points at the attribute, number 0 too."""
    asked = {**asked, SocketAttr.SOCK_EXT_ACK: 0}
    reply = await handle.transact(build(CONTROL, ControlCmd.SOCK_PROP, asked))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.offset) == (EINVAL, offset)
    assert handle.session.protocol == NETLINK_GENERIC
    assert handle.session.ext_ack


# Events -----------------------------------------------------------------------------------------


async def test_events(daemon: Daemon, handle: Handle) -> None:
    watcher = daemon.open(Access.READ)
    await watcher.write_ioctl(subscribe(GROUP.id))
    await watcher.write_ioctl(subscribe(GROUP.id))
    await handle.transact(NEW)
    (event,) = await watcher.read_ioctl(Ioctl.READ_EVENT)
    assert isinstance(event, Message)
    assert (event.command, event.attributes[DpAttr.NAME]) == (DpCmd.NEW, "br0")
    assert await watcher.read_ioctl(Ioctl.READ_EVENT) == []
    await watcher.write_ioctl(subscribe(GROUP.id, 0))
    await watcher.write_ioctl(subscribe(GROUP.id, 0))
    await handle.transact(build(DATAPATH, DpCmd.DEL))
    assert await watcher.read_ioctl(Ioctl.READ_EVENT) == []


async def test_the_requester_gets_its_own_event_and_its_reply(handle: Handle) -> None:
    await handle.write_ioctl(subscribe(GROUP.id))
    reply = await handle.transact(NEW)
    assert await handle.read_ioctl(Ioctl.READ_EVENT) == [reply]


async def test_the_vport_group_has_its_number_of_v371(handle: Handle) -> None:
    await handle.write_ioctl(subscribe(101))
    assert handle.session.groups == {101}


@pytest.mark.parametrize("group", [0, 100, 9999])
async def test_groups_that_are_not_there(handle: Handle, group: int) -> None:
    assert await write_errno(handle, subscribe(group)) == EINVAL


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (ControlCmd.MC_SUBSCRIBE_REQ, {}),
        (ControlCmd.MC_SUBSCRIBE_REQ, {McastAttr.MCAST_GRP: 101}),
        (ControlCmd.MC_SUBSCRIBE_REQ, {McastAttr.MCAST_JOIN: 1}),
        (ControlCmd.PACKET_SUBSCRIBE_REQ, {}),
        (ControlCmd.PACKET_SUBSCRIBE_REQ, {PacketSubscribeAttr.PACKET_PID: 1}),
        (ControlCmd.PACKET_SUBSCRIBE_REQ, {PacketSubscribeAttr.PACKET_SUBSCRIBE: 1}),
    ],
)
async def test_both_attributes_are_needed(
    handle: Handle, command: ControlCmd, asked: Attributes
) -> None:
    assert await write_errno(handle, build(CONTROL, command, asked)) == EINVAL


# Packets ----------------------------------------------------------------------------------------


async def test_upcalls(daemon: Daemon, handle: Handle) -> None:
    """A handle gets those for its PID from the beginning, as a socket does."""
    upcall = daemon.context.sessions.upcall
    packet = build(DATAPATH, DpCmd.GET)
    for wanted in (None, 0, 0, 1, 1):
        if wanted is not None:
            await handle.write_ioctl(subscribe_packets(handle.pid, wanted))
        assert upcall(handle.pid, packet) == (wanted != 0)
        expected = packet if wanted != 0 else b""
        assert await handle.ioctl(Ioctl.READ_PACKET, b"", 100) == expected


async def test_upcalls_of_others(daemon: Daemon, handle: Handle) -> None:
    other = daemon.open()
    for pid in (0, other.pid, 4711):
        assert await write_errno(handle, subscribe_packets(pid)) == EINVAL


async def test_what_does_not_wait_may_come_by_write(handle: Handle) -> None:
    """A command that waits may not: on a FUSE node it would hold up other handles' writes."""
    (reply,) = await handle.ask(subscribe(GROUP.id), WAIT_PACKET)
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message) == (
        EOPNOTSUPP,
        "OVS_CTRL_CMD_WIN_PEND_PACKET_REQ is not to be sent by STREAM",
    )
    assert handle.session.groups == {GROUP.id}


# Waiting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "kind"), [(WAIT, Kind.EVENT), (WAIT_PACKET, Kind.PACKET)], ids=["event", "packet"]
)
async def test_pend(daemon: Daemon, nursery: trio.Nursery, request_: bytes, kind: Kind) -> None:
    handle = daemon.open(nonblocking=False)
    nursery.start_soon(handle.write_ioctl, request_)
    await trio.testing.wait_all_tasks_blocked()
    assert await write_errno(handle, request_) == EBUSY
    assert handle.session.pending == {kind}
    handle.session.put(kind, NEW)
    await trio.testing.wait_all_tasks_blocked()
    assert not handle.session.pending
    await handle.write_ioctl(request_)  # at once, because it still waits to be read


@pytest.mark.parametrize(
    ("request_", "ioctl"), [(WAIT, Ioctl.READ_EVENT), (WAIT_PACKET, Ioctl.READ_PACKET)]
)
async def test_a_wait_ends_when_datagrams_are_lost(
    nursery: trio.Nursery, request_: bytes, ioctl: Ioctl
) -> None:
    handle = Daemon(queue_limit=10).open(nonblocking=False)
    handle.session.put(Kind.REPLY, NEW)
    ended = []

    async def wait() -> None:
        await handle.write_ioctl(request_)
        ended.append(True)

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert not ended
    handle.session.put(Kind.EVENT, NEW)
    await trio.testing.wait_all_tasks_blocked()
    assert ended
    with pytest.raises(DatapathError) as caught:
        await handle.read_ioctl(ioctl)
    assert caught.value.errno == ENOBUFS
    assert await handle.read_ioctl(ioctl) == []


async def test_nobody_waits_in_a_write(daemon: Daemon) -> None:
    """The kernel holds a lock of the FUSE node for it, so all others would wait too.

    Command 0 of the stream door is therefore WIN_GET_PID.
    """
    handle = daemon.open(nonblocking=False)
    await handle.send(WAIT)
    assert await handle.receive_bytes() == struct.pack("=12xI8x", handle.pid)
    (refused,) = await handle.ask(WAIT_PACKET)
    assert isinstance(refused, NetlinkError)
    assert refused.errno == EOPNOTSUPP
    assert refused.message == "OVS_CTRL_CMD_WIN_PEND_PACKET_REQ is not to be sent by STREAM"


async def test_both_may_pend_at_once(daemon: Daemon, nursery: trio.Nursery) -> None:
    handle = daemon.open(nonblocking=False)
    nursery.start_soon(handle.write_ioctl, WAIT)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(handle.write_ioctl, WAIT_PACKET)
    await trio.testing.wait_all_tasks_blocked()
    assert handle.session.pending == {Kind.EVENT, Kind.PACKET}
    for kind in (Kind.EVENT, Kind.PACKET):
        handle.session.put(kind, NEW)


@pytest.mark.parametrize("request_", [WAIT, WAIT_PACKET])
async def test_a_nonblocking_handle_does_not_wait(handle: Handle, request_: bytes) -> None:
    assert await write_errno(handle, request_) == EAGAIN


@pytest.mark.parametrize("command", [ControlCmd.EVENT_NOTIFY, ControlCmd.READ_NOTIFY])
async def test_what_is_not_to_be_sent(handle: Handle, command: ControlCmd) -> None:
    request = build(CONTROL, command)
    assert await write_errno(handle, request) == EINVAL
    with pytest.raises(DatapathError) as caught:
        await handle.transact(request)
    assert caught.value.errno == EINVAL
