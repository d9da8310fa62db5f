"""The device door: its checks in their order, and what each of the ioctls gives."""

from __future__ import annotations

import struct
from errno import EBUSY, EINVAL, EMSGSIZE, ENOBUFS, ENODEV, ENOTTY, EPERM, ERANGE
from sys import byteorder

import pytest
import trio
import trio.testing

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family
from ovsdp_cuse.families.request import Answer, Request
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.wire.attributes import Attributes, AttributeSet
from ovsdp_cuse.wire.control import CONTROL, ControlCmd
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.netlink import (
    NLM_F_CAPPED,
    NLM_F_MULTI,
    OVS_MESSAGE_HEADER,
    ControlType,
    NetlinkError,
)
from tests.families.doors import (
    ACK,
    DUMP,
    Cmd,
    Daemon,
    Handle,
    build,
    errno_of,
    make,
    one_command,
    succeed,
)

GET = build(DATAPATH, DpCmd.GET)
DUMP_ALL = build(DATAPATH, DpCmd.GET, flags=DUMP)
NEW: Attributes = {DpAttr.NAME: "br0", DpAttr.UPCALL_PID: (0,)}


# The checks -------------------------------------------------------------------------------------

# Each request breaks the rule of its line and all rules below, and keeps those above: the order.
FAMILY, COMMAND, VERSION, DATAPATH_, PID, LAYOUT, ADMIN = range(7)


def broken_from(first: int) -> bytes:
    """A datapath request that breaks the checks from `first` on."""
    command = 99 if first <= COMMAND else int(DpCmd.SET)
    built = bytearray(
        build(
            DATAPATH,
            DpCmd.SET,
            version=1 if first <= VERSION else 2,
            dp_ifindex=4711 if first <= DATAPATH_ else 0,
            pid=4711 if first <= PID else 0,
            tail=b"\0" if first <= LAYOUT else b"",
        )
    )
    struct.pack_into("=H", built, 4, 0x7777 if first <= FAMILY else 0x12)
    built[16] = command
    return bytes(built)


@pytest.mark.parametrize(
    ("first", "errno", "text"),
    [
        (FAMILY, EINVAL, "no family has the id 0x7777"),
        (COMMAND, EINVAL, "ovs_datapath has no command 99"),
        (VERSION, EINVAL, "version 1 is older than ovs_datapath's 2"),
        (DATAPATH_, ENODEV, "no datapath has the index 4711"),
        (PID, EINVAL, "nlmsg_pid 4711 is neither 0 nor this handle's 2"),
        (LAYOUT, EINVAL, "1 bytes leftover after parsing attributes"),
        (ADMIN, EPERM, "OVS_DP_CMD_SET needs a handle that was opened for writing"),
    ],
)
@pytest.mark.parametrize("ioctl", [Ioctl.WRITE, Ioctl.TRANSACT])
async def test_the_order_of_checks(
    daemon: Daemon, handle: Handle, ioctl: Ioctl, first: int, errno: int, text: str
) -> None:
    await make(handle, "br0")
    reader = daemon.open(Access.READ)
    with pytest.raises(DatapathError) as caught:
        await reader.ioctl(ioctl, broken_from(first), 4096 if ioctl is Ioctl.TRANSACT else 0)
    assert (caught.value.errno, caught.value.message) == (errno, text)


async def test_lengths_are_checked_before_the_family(handle: Handle) -> None:
    unknown = broken_from(FAMILY)
    for size in (0, 1, 16, 20, 23):
        assert await errno_of(handle.ioctl(Ioctl.WRITE, unknown[:size])) == EINVAL
        assert await errno_of(handle.transact(unknown[:size])) == EINVAL
    for claimed in (0, 23, len(GET) + 1, 2**32 - 1):
        request = struct.pack("=I", claimed) + GET[4:]
        assert await errno_of(handle.transact(request)) == EINVAL
    for size in (1, 20, 23):
        assert await errno_of(handle.transact(GET, size)) == EINVAL
        for ioctl in (Ioctl.READ, Ioctl.READ_EVENT, Ioctl.READ_PACKET):
            assert await errno_of(handle.ioctl(ioctl, b"", size)) == EINVAL
    for size in (0, 3):
        assert await errno_of(handle.ioctl(Ioctl.GET_PID, b"", size)) == EINVAL


async def test_an_unknown_ioctl(handle: Handle) -> None:
    assert await errno_of(handle.ioctl(None, b"", 4096)) == ENOTTY


async def test_what_follows_the_message_in_the_buffer_is_not_read(handle: Handle) -> None:
    await make(handle, "br0")
    reply = await handle.transact(GET + b"\xff" * 1000)
    assert isinstance(reply, Message)
    assert reply.attributes[DpAttr.NAME] == "br0"


@pytest.mark.parametrize("version", [2, 3, 255])
async def test_a_newer_version_is_let_pass(handle: Handle, version: int) -> None:
    await make(handle, "br0")
    assert isinstance(await handle.transact(build(DATAPATH, DpCmd.GET, version=version)), Message)


async def test_the_pid_may_be_0_or_the_handles_own(handle: Handle) -> None:
    await make(handle, "br0")
    for pid in (0, handle.pid):
        assert isinstance(await handle.transact(build(DATAPATH, DpCmd.GET, pid=pid)), Message)


async def test_index_0_is_the_oldest_datapath(handle: Handle) -> None:
    assert await errno_of(handle.transact(GET)) == ENODEV
    await make(handle, "br0", "br1")
    reply = await handle.transact(GET)
    assert isinstance(reply, Message)
    assert (reply.dp_ifindex, reply.attributes[DpAttr.NAME]) == (1, "br0")


@pytest.mark.parametrize("flags", [0, 1, 0xFFFF & ~0x300])
async def test_nlm_f_request_is_not_asked_for(handle: Handle, flags: int) -> None:
    await make(handle, "br0")
    request = bytearray(GET)
    struct.pack_into("=H", request, 6, flags)
    assert isinstance(await handle.transact(bytes(request)), Message)


@pytest.mark.parametrize(
    ("command", "allowed"),
    [(ControlCmd.SOCK_PROP, False), (ControlCmd.MC_SUBSCRIBE_REQ, True)],
)
async def test_a_command_says_which_device_operations_may_carry_it(
    handle: Handle, command: ControlCmd, allowed: bool
) -> None:
    with pytest.raises(DatapathError) as caught:
        await handle.write_ioctl(build(CONTROL, command))
    assert caught.value.errno == EINVAL
    assert ("is not to be sent by WRITE" in caught.value.message) == (not allowed)


async def test_a_read_only_handle_may_look(daemon: Daemon, handle: Handle) -> None:
    await make(handle, "br0")
    reader = daemon.open(Access.READ)
    assert isinstance(await reader.transact(GET), Message)
    await reader.write_ioctl(DUMP_ALL)
    assert len(await reader.read_ioctl()) == 1
    new = build(DATAPATH, DpCmd.NEW, NEW)
    assert await errno_of(reader.transact(new)) == EPERM
    assert isinstance(await daemon.open(Access.WRITE).transact(new), NetlinkError)


# TRANSACT ---------------------------------------------------------------------------------------


async def test_get_pid(handle: Handle) -> None:
    assert await handle.ioctl(Ioctl.GET_PID, b"", 4) == handle.pid.to_bytes(4, byteorder)
    assert len(await handle.ioctl(Ioctl.GET_PID, b"", 100)) == 4


async def test_the_reply_has_the_handles_pid_and_the_requests_sequence(handle: Handle) -> None:
    await make(handle, "br0")
    reply = await handle.transact(build(DATAPATH, DpCmd.GET, sequence=0xFFFFFFFF))
    assert isinstance(reply, Message)
    assert (reply.sequence, reply.pid, reply.flags) == (0xFFFFFFFF, handle.pid, 0)


async def test_a_value_that_breaks_its_policy_is_a_netlink_error(handle: Handle) -> None:
    """Well formed but wrong: the ioctl succeeds, and the answer says what and where."""
    await make(handle, "br0")
    request = build(DATAPATH, DpCmd.SET, tail=struct.pack("=HHI", 8, 7, 5000))
    reply = await handle.transact(request)
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message, reply.offset) == (
        ERANGE,
        "integer out of range: 5000",
        24,
    )
    assert reply.header.flags == NLM_F_CAPPED | 0x200
    assert await errno_of(handle.write_ioctl(request)) == ERANGE
    assert await errno_of(handle.transact(request, 0)) == ERANGE


async def test_an_error_points_at_the_attribute(handle: Handle) -> None:
    await make(handle, "br0")
    reply = await handle.transact(build(DATAPATH, DpCmd.NEW, NEW))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.offset) == (17, 24)
    assert reply.message == "a datapath named 'br0' exists already"


async def test_success_without_a_reply(handle: Handle) -> None:
    """0 bytes, or an acknowledgement where one was asked for."""
    silent = Family(
        FamilySchema(0x20, "silent", 1, "SILENT_CMD", Cmd, AttributeSet("X", {})),
        (Command(Cmd.ONLY, "SILENT_CMD_ONLY", DeviceOperation.TRANSACT, succeed),),
    )
    quiet = Daemon([silent]).open()
    assert await quiet.transact_bytes(build(silent.schema, Cmd.ONLY)) == b""
    reply = await quiet.transact(build(silent.schema, Cmd.ONLY, flags=ACK))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.header.length) == (0, 36)


async def test_no_output_buffer(handle: Handle) -> None:
    """The form of the 2014 patch: the request is done, its reply is not wanted."""
    assert await handle.transact_bytes(build(DATAPATH, DpCmd.NEW, NEW), 0) == b""
    assert len(handle.daemon.context.switch) == 1
    assert not handle.session.queue.bytes


@pytest.mark.parametrize("size", [24, 119])
async def test_a_reply_that_does_not_fit_is_kept(handle: Handle, size: int) -> None:
    await make(handle, "br0")
    assert await errno_of(handle.transact(GET, size)) == EMSGSIZE
    assert await errno_of(handle.read_ioctl(size=size)) == EMSGSIZE
    (by_ioctl,) = await handle.read_ioctl(size=120)
    assert isinstance(by_ioctl, Message)
    assert await handle.read_ioctl() == []
    handle.session.put(Kind.EVENT, b"an event that came before")
    assert await errno_of(handle.transact(GET, size)) == EMSGSIZE
    assert await handle.receive() == [by_ioctl]


async def test_a_kept_reply_makes_room_for_a_newer_one(handle: Handle) -> None:
    """So a client that never reads them costs one."""
    await make(handle, "br0", "br1")
    for name in ("br0", "br1"):
        request = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: name})
        assert await errno_of(handle.transact(request, 24)) == EMSGSIZE
    assert len(handle.session.queue) == 1
    (reply,) = await handle.read_ioctl()
    assert isinstance(reply, Message)
    assert reply.attributes[DpAttr.NAME] == "br1"
    assert await handle.read_ioctl() == []


async def test_what_was_promised_is_read_whatever_was_lost() -> None:
    """A kept reply and a dump are not what is lost; READ_EVENT and READ_PACKET say what is."""
    handle = Daemon(queue_limit=10).open()
    await make(handle, "br0", "br1")
    await handle.write_ioctl(DUMP_ALL)
    for ioctl in (Ioctl.READ_EVENT, Ioctl.READ_PACKET):
        handle.session.put(Kind.EVENT, GET)
        assert not handle.session.put(Kind.EVENT, GET)
        assert await errno_of(handle.transact(GET, 24)) == EMSGSIZE
        kept, entry = await handle.read_ioctl(), await handle.read_ioctl(size=150)
        assert isinstance(kept[0], Message)
        assert isinstance(entry[0], Message)
        assert await errno_of(handle.read_ioctl(ioctl)) == ENOBUFS
        assert len(await handle.read_ioctl(Ioctl.READ_EVENT)) == 1
        assert await handle.read_ioctl(ioctl) == []
    (done,) = await handle.read_ioctl()
    assert isinstance(done, NetlinkError)
    assert (done.header.type, done.errno) == (ControlType.DONE, 0)


async def test_a_kept_reply_holds_up_no_dump_of_the_stream() -> None:
    """It may fill the queue; when it was read, the dump goes on."""
    handle = Daemon(queue_limit=400).open()
    await make(handle, "br0")
    assert await errno_of(handle.transact(GET, 24)) == EMSGSIZE
    await handle.send(DUMP_ALL)
    assert len(await handle.read_ioctl()) == 1
    entry, done = await handle.receive(), await handle.receive()
    assert isinstance(entry[0], Message)
    assert isinstance(done[0], NetlinkError)


async def test_a_kept_reply_comes_before_the_dump(handle: Handle) -> None:
    await make(handle, "br0")
    await handle.write_ioctl(DUMP_ALL)
    assert await errno_of(handle.transact(GET, 24)) == EMSGSIZE
    kept, entry, done = [(await handle.read_ioctl())[0] for _ in range(3)]
    assert isinstance(kept, Message)
    assert isinstance(entry, Message)
    assert (kept.flags, entry.flags) == (0, NLM_F_MULTI)
    assert isinstance(done, NetlinkError)


# Events and the in-use guard --------------------------------------------------------------------


async def test_read_event_and_read_packet(handle: Handle) -> None:
    sessions = handle.daemon.context.sessions
    event, packet = OVS_MESSAGE_HEADER.pack(24, 0x12, 0, 0, 0, 1, 2, 0, 0), GET
    handle.session.put(Kind.EVENT, event)
    sessions.upcall(handle.pid, packet)
    assert await handle.ioctl(Ioctl.READ_PACKET, b"", 100) == packet
    assert await handle.ioctl(Ioctl.READ_EVENT, b"", 24) == event
    for ioctl in (Ioctl.READ, Ioctl.READ_EVENT, Ioctl.READ_PACKET):
        assert await handle.ioctl(ioctl, b"", 100) == b""


async def test_peek_gives_the_length_and_the_beginning_and_takes_nothing(handle: Handle) -> None:
    assert await handle.peek(100) == (0, b"")
    assert await handle.peek(0) == (0, b"")
    handle.session.put(Kind.EVENT, GET)
    for size in (0, 1, len(GET), 4096):
        assert await handle.peek(size) == (len(GET), GET[:size])
    assert await handle.ioctl(Ioctl.READ_EVENT, b"", 4096) == GET
    assert await handle.peek(100) == (0, b"")


async def test_peek_sees_what_read_would_give(handle: Handle) -> None:
    """The kept reply first, then what came first."""
    await make(handle, "br0")
    handle.session.put(Kind.PACKET, b"packet")
    assert await errno_of(handle.transact(GET, 24)) == EMSGSIZE
    length, data = await handle.peek(4096)
    assert length == len(data)
    assert await handle.receive_bytes() == data
    assert await handle.peek(3) == (6, b"pac")


async def test_peek_tells_an_overrun_and_read_then_does_not() -> None:
    """As recvmsg(2) does with MSG_PEEK: skb_recv_datagram() takes the socket's error."""
    handle = Daemon(queue_limit=10).open()
    handle.session.put(Kind.EVENT, GET)
    handle.session.put(Kind.EVENT, GET)
    assert await errno_of(handle.peek(4)) == ENOBUFS
    assert await handle.peek(4) == (len(GET), GET[:4])
    assert await handle.receive_bytes() == GET


async def test_one_request_at_a_time(daemon: Daemon, nursery: trio.Nursery) -> None:
    """EBUSY while one runs, whatever is asked for; another handle is free."""
    entered, leave = trio.Event(), trio.Event()

    async def slow(request: Request) -> Answer:
        entered.set()
        await leave.wait()
        return Answer()

    family = one_command(slow)
    busy = Daemon([family])
    handle, other = busy.open(), busy.open()
    request = build(family.schema, Cmd.ONLY)
    nursery.start_soon(handle.transact_bytes, request)
    await entered.wait()
    for ioctl in (Ioctl.GET_PID, Ioctl.READ, Ioctl.TRANSACT, None):
        assert await errno_of(handle.ioctl(ioctl, request, 100)) == EBUSY
    assert await other.ioctl(Ioctl.GET_PID, b"", 4)
    leave.set()
    await trio.testing.wait_all_tasks_blocked()
    assert await handle.ioctl(Ioctl.GET_PID, b"", 4)


async def test_a_request_that_waits_for_an_event_does_not_count(
    daemon: Daemon, nursery: trio.Nursery
) -> None:
    handle = daemon.open(nonblocking=False)
    wait = build(CONTROL, ControlCmd.WIN_PEND_REQ)
    nursery.start_soon(handle.write_ioctl, wait)
    await trio.testing.wait_all_tasks_blocked()
    assert await handle.ioctl(Ioctl.GET_PID, b"", 4)
    assert await errno_of(handle.write_ioctl(wait)) == EBUSY
    handle.session.put(Kind.EVENT, GET)
    await trio.testing.wait_all_tasks_blocked()
    assert await handle.ioctl(Ioctl.GET_PID, b"", 4)


async def test_the_guard_is_free_again_after_a_failure(handle: Handle) -> None:
    await errno_of(handle.transact(b""))
    with trio.CancelScope() as scope:
        scope.cancel()
        blocking = handle.daemon.open(nonblocking=False)
        await blocking.write_ioctl(build(CONTROL, ControlCmd.WIN_PEND_REQ))
    assert scope.cancelled_caught
    assert await handle.ioctl(Ioctl.GET_PID, b"", 4)
    assert await blocking.ioctl(Ioctl.GET_PID, b"", 4)
