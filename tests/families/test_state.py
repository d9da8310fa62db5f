"""ovsdp_control: the daemon, its handles, drops, masks and meters, as who asks is told."""

from __future__ import annotations

import os
from errno import EINVAL, ENODEV, ENOENT, EOPNOTSUPP
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.families.information import Information
from ovsdp_cuse.families.process import UNKNOWN, command_of
from ovsdp_cuse.families.queue import OVERHEAD, Kind
from ovsdp_cuse.families.registry import MulticastGroup
from ovsdp_cuse.families.request import Context
from ovsdp_cuse.families.session import Access, Owner
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr, KeyEthernet
from ovsdp_cuse.wire.meter import BANDS, METER, BandAttr, MeterAttr, MeterCmd, MeterStats
from ovsdp_cuse.wire.netlink import NLM_F_MULTI, ControlType, NetlinkError
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import DropAttr, DropsAttr, HandleAttr, InfoAttr, MaskAttr
from tests.families.doors import ACK, DUMP, Daemon, Handle, build, errno_of, make, new


async def ask(
    handle: Handle, command: OvsdpCmd, attributes: Any = None, dp_ifindex: int = 0
) -> Any:
    """The message that answers, through both doors; or its errno."""
    request = build(OVSDP_CONTROL, command, attributes, dp_ifindex=dp_ifindex)
    (streamed,) = await handle.ask(request)
    reply = await handle.transact(request)
    for answer in (streamed, reply):
        if isinstance(answer, NetlinkError):
            assert answer.message
            return answer.errno
        assert (answer.type, answer.command, answer.flags) == (0x1A, command, 0)
    return reply


async def dump(handle: Handle, command: OvsdpCmd, dp_ifindex: int = 0) -> list[Message]:
    """The messages of a dump, which must end well."""
    *found, end = await handle.ask(build(OVSDP_CONTROL, command, flags=DUMP, dp_ifindex=dp_ifindex))
    assert isinstance(end, NetlinkError)
    assert (end.header.type, end.errno) == (ControlType.DONE, 0)
    messages = [message for message in found if isinstance(message, Message)]
    assert all((m.command, m.flags) == (command, NLM_F_MULTI) for m in messages)
    return messages


# INFO_GET ---------------------------------------------------------------------------------------


async def test_info_of_a_daemon(daemon: Daemon) -> None:
    handle, other = daemon.open(), daemon.open(Access.READ)
    await make(handle, "br0", "br1")
    daemon.context.sessions.upcall(9999, b"for nobody")
    told = (await ask(other, OvsdpCmd.INFO_GET)).attributes
    assert told[InfoAttr.PROCESS] == os.getpid()
    assert (told[InfoAttr.NODE], told[InfoAttr.INTERFACES]) == ("memory", "memory")
    assert (told[InfoAttr.HANDLES], told[InfoAttr.DATAPATHS]) == (2, 2)
    assert told[InfoAttr.LOST_UPCALLS] == 1
    assert told[InfoAttr.HANDLE_LIMIT] == 512
    assert (told[InfoAttr.QUEUE_LIMIT], told[InfoAttr.QUEUE_MAXIMUM]) == (1 << 20, 8 << 20)
    assert InfoAttr.STATE not in told
    assert (await ask(other, OvsdpCmd.INFO_GET)).attributes[InfoAttr.UPTIME_MS] < 60_000


async def test_info_of_a_node(daemon: Daemon) -> None:
    """What the daemon was told of its node is told on, and how long ago that was."""
    information = Information(
        "1.2.3", "cuse", "/dev/x", 0o640, 7, 8, "host", "/run/x", process=99, started_ns=0
    )
    context = Context(
        daemon.context.switch, daemon.context.registry, daemon.context.sessions, information
    )
    handle = daemon.open()
    daemon.dispatcher = type(daemon.dispatcher)(context)
    told = (await ask(handle, OvsdpCmd.INFO_GET)).attributes
    assert [told[number] for number in InfoAttr if 0 < number <= InfoAttr.PROCESS] == [
        "1.2.3",
        "cuse",
        "/dev/x",
        0o640,
        7,
        8,
        99,
    ]
    assert (told[InfoAttr.INTERFACES], told[InfoAttr.STATE]) == ("host", "/run/x")
    assert abs(told[InfoAttr.UPTIME_MS] / 1000 - monotonic()) < 60


async def test_info_has_no_dump(handle: Handle) -> None:
    (reply,) = await handle.ask(build(OVSDP_CONTROL, OvsdpCmd.INFO_GET, flags=DUMP))
    assert isinstance(reply, NetlinkError)
    assert reply.errno == EOPNOTSUPP


# HANDLE_GET -------------------------------------------------------------------------------------


async def of_handle(asker: Handle, handle: Handle) -> Attributes:
    """What is told of a handle."""
    reply = await ask(asker, OvsdpCmd.HANDLE_GET, {HandleAttr.PID: handle.pid})
    assert isinstance(reply, Message)
    return reply.attributes


def counts(told: Attributes) -> tuple[int, int, int, int, int]:
    """Requests, replies, errors, events and upcalls."""
    counted = (HandleAttr.REQUESTS, HandleAttr.REPLIES, HandleAttr.ERRORS)
    requests, replies, errors = (told[number] for number in counted)
    return requests, replies, errors, told[HandleAttr.EVENTS], told[HandleAttr.UPCALLS]


async def test_a_new_handle(daemon: Daemon) -> None:
    asker = daemon.open()
    session = daemon.dispatcher.open(Access.READ, False, Owner(os.getpid(), 12, 34))
    told = await of_handle(asker, Handle(daemon, session))
    assert told == {
        HandleAttr.PID: session.pid,
        HandleAttr.PROCESS: os.getpid(),
        HandleAttr.UID: 12,
        HandleAttr.GID: 34,
        HandleAttr.COMMAND: command_of(os.getpid()),
        HandleAttr.READABLE: True,
        HandleAttr.PROTOCOL: 16,
        HandleAttr.GROUPS: (),
        HandleAttr.QUEUE_LIMIT: 1 << 20,
        HandleAttr.QUEUE_BYTES: 0,
        HandleAttr.QUEUED_REPLIES: 0,
        HandleAttr.QUEUED_EVENTS: 0,
        HandleAttr.QUEUED_PACKETS: 0,
        HandleAttr.DROPPED: 0,
        HandleAttr.REQUESTS: 0,
        HandleAttr.REPLIES: 0,
        HandleAttr.ERRORS: 0,
        HandleAttr.EVENTS: 0,
        HandleAttr.UPCALLS: 0,
    }


async def test_flags_of_a_handle(daemon: Daemon) -> None:
    asker = daemon.open(Access.READ)
    told = await of_handle(asker, daemon.open(Access.WRITE, nonblocking=True))
    assert told[HandleAttr.WRITABLE] is told[HandleAttr.NONBLOCKING] is True
    assert HandleAttr.READABLE not in told


async def test_what_waits_is_counted_and_not_shown(daemon: Daemon) -> None:
    asker, handle = daemon.open(), daemon.open()
    handle.session.keep(b"s3cret reply")
    handle.session.put(Kind.REPLY, b"s3cret answer")
    handle.session.put(Kind.EVENT, b"s3cret event")
    handle.session.put(Kind.EVENT, b"s3cret event")
    handle.session.put(Kind.PACKET, b"s3cret packet")
    request = build(OVSDP_CONTROL, OvsdpCmd.HANDLE_GET, {HandleAttr.PID: handle.pid})
    assert b"s3cret" not in await asker.transact_bytes(request)
    told = await of_handle(asker, handle)
    assert told[HandleAttr.QUEUED_REPLIES] == 2
    assert (told[HandleAttr.QUEUED_EVENTS], told[HandleAttr.QUEUED_PACKETS]) == (2, 1)
    assert told[HandleAttr.QUEUE_BYTES] == handle.session.queue.bytes > 5 * OVERHEAD


async def test_groups_and_congestion() -> None:
    daemon = Daemon(queue_limit=4096)
    asker, handle = daemon.open(), daemon.open()
    sessions = daemon.context.sessions
    for group in (103, 102):
        sessions.join(handle.session, MulticastGroup(group, f"group{group}"))
    while sessions.has_members(102) and not handle.session.queue.congested:
        sessions.multicast(102, bytes(1000))
    sessions.multicast(103, b"no room either")
    told = await of_handle(asker, handle)
    assert told[HandleAttr.GROUPS] == (102, 103)
    assert told[HandleAttr.CONGESTED] is True
    assert told[HandleAttr.DROPPED] == 2
    assert told[HandleAttr.EVENTS] == told[HandleAttr.QUEUED_EVENTS] == 3


async def test_who_has_no_such_handle(handle: Handle) -> None:
    assert await ask(handle, OvsdpCmd.HANDLE_GET) == EINVAL
    assert await ask(handle, OvsdpCmd.HANDLE_GET, {HandleAttr.PID: 999}) == ENOENT
    request = build(OVSDP_CONTROL, OvsdpCmd.HANDLE_GET, {HandleAttr.PID: 999})
    reply = await handle.transact(request)
    assert isinstance(reply, NetlinkError)
    assert (reply.message, reply.offset) == ("no open handle has the PID 999", 24)


async def test_all_handles(daemon: Daemon) -> None:
    """Also the one that asks; one that was closed before its turn is left out."""
    handles = [daemon.open() for _ in range(4)]
    asker = handles[0]
    told = await dump(asker, OvsdpCmd.HANDLE_GET)
    assert [m.attributes[HandleAttr.PID] for m in told] == [handle.pid for handle in handles]
    await asker.write_ioctl(build(OVSDP_CONTROL, OvsdpCmd.HANDLE_GET, flags=DUMP))
    handles[2].close()
    parts = []
    while part := await asker.read_ioctl(size=300):
        parts += part
    pids = [m.attributes[HandleAttr.PID] for m in parts if isinstance(m, Message)]
    assert pids == [handles[0].pid, handles[1].pid, handles[3].pid]


@pytest.mark.parametrize("door", ["ioctl", "stream"])
async def test_a_dump_in_progress_has_a_name(daemon: Daemon, door: str) -> None:
    asker, handle = daemon.open(), daemon.open()
    await make(handle, *(f"br{number}" for number in range(40)))
    request = build(DATAPATH, DpCmd.GET, flags=DUMP)
    await (handle.write_ioctl(request) if door == "ioctl" else handle.send(request))
    assert (await of_handle(asker, handle))[HandleAttr.DUMP] == "OVS_DP_CMD_GET"
    while handle.session.dump is not None:
        await handle.read_ioctl()
    await handle.drain()
    assert HandleAttr.DUMP not in await of_handle(asker, handle)


async def test_counts_of_the_device_door(daemon: Daemon) -> None:
    asker, handle = daemon.open(), daemon.open()
    await handle.write_ioctl(new("br0"))
    assert counts(await of_handle(asker, handle)) == (1, 0, 0, 0, 0)
    reply = await handle.transact(new("br0"))
    assert isinstance(reply, NetlinkError)
    assert counts(await of_handle(asker, handle)) == (2, 1, 1, 0, 0)
    assert await errno_of(handle.write_ioctl(new("br0"))) != 0
    assert await errno_of(handle.transact_bytes(b"short")) == EINVAL
    assert counts(await of_handle(asker, handle)) == (4, 1, 3, 0, 0)
    await handle.transact(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}))
    assert counts(await of_handle(asker, handle)) == (5, 2, 3, 0, 0)


async def test_a_kept_reply_counts_once(daemon: Daemon) -> None:
    asker, handle = daemon.open(), daemon.open()
    await make(handle, "br0")
    get = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"})
    assert await errno_of(handle.transact_bytes(get, 24)) != 0
    await handle.read_ioctl()
    assert counts(await of_handle(asker, handle)) == (2, 1, 0, 0, 0)


async def test_counts_of_the_stream_door(daemon: Daemon) -> None:
    asker, handle = daemon.open(), daemon.open()
    await handle.ask(new("br0"), new("br0"), build(DATAPATH, DpCmd.GET, flags=ACK))
    assert counts(await of_handle(asker, handle)) == (3, 2, 2, 0, 0)
    await handle.ask(new("br1", flags=ACK))
    assert counts(await of_handle(asker, handle)) == (4, 3, 2, 0, 0)


@pytest.mark.parametrize("door", ["ioctl", "stream"])
async def test_a_dump_counts_one_request_and_its_parts(daemon: Daemon, door: str) -> None:
    asker, handle = daemon.open(), daemon.open()
    await make(asker, *(f"br{number}" for number in range(40)))
    request = build(DATAPATH, DpCmd.GET, flags=DUMP)
    parts = 0
    if door == "ioctl":
        await handle.write_ioctl(request)
        while await handle.read_ioctl(size=1024):
            parts += 1
    else:
        await handle.send(request)
        while handle.session.queue.bytes:
            await handle.receive()
            parts += 1
    assert parts > 2
    assert counts(await of_handle(asker, handle)) == (1, parts, 0, 0, 0)


async def test_upcalls_and_events_that_were_delivered(daemon: Daemon) -> None:
    asker, handle = daemon.open(), daemon.open()
    sessions = daemon.context.sessions
    sessions.join(handle.session, MulticastGroup(102, "ovs_datapath"))
    await make(asker, "br0")
    assert sessions.upcall(handle.pid, b"upcall")
    handle.session.receives_packets = False
    assert not sessions.upcall(handle.pid, b"lost")
    assert counts(await of_handle(asker, handle)) == (0, 0, 0, 1, 1)


# DROPS_GET --------------------------------------------------------------------------------------


async def test_drops_by_reason(daemon: Daemon) -> None:
    handle = daemon.open()
    await make(handle, "br0", "br1")
    first, second = daemon.context.switch
    second.drops[DropReason.METER] = 1 << 40
    second.drops[DropReason.TOO_LONG] = 2
    told = await ask(handle, OvsdpCmd.DROPS_GET, dp_ifindex=second.index)
    assert (told.dp_ifindex, told.attributes[DropsAttr.NAME]) == (second.index, "br1")
    reasons = {
        reason[DropAttr.REASON]: reason[DropAttr.PACKETS]
        for reason in told.attributes[DropsAttr.REASONS].values()
    }
    assert list(reasons) == [reason.value for reason in DropReason]
    assert {name: count for name, count in reasons.items() if count} == {
        "meter": 1 << 40,
        "longer than the MTU": 2,
    }
    assert second.drops.keys() == {DropReason.METER, DropReason.TOO_LONG}, "asking adds none"
    everywhere = await dump(handle, OvsdpCmd.DROPS_GET)
    assert [m.dp_ifindex for m in everywhere] == [first.index, second.index]
    assert everywhere[1].attributes == told.attributes


async def test_drops_of_no_datapath(handle: Handle) -> None:
    request = build(OVSDP_CONTROL, OvsdpCmd.DROPS_GET, dp_ifindex=77)
    (reply,) = await handle.ask(request)
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message) == (ENODEV, "no datapath has the index 77")
    assert await errno_of(handle.transact(request)) == ENODEV
    assert await dump(handle, OvsdpCmd.DROPS_GET) == []


# MASK_GET ---------------------------------------------------------------------------------------


def flow(port: int, mask: Attributes, dp_ifindex: int) -> bytes:
    """A flow with no actions, of a port."""
    key: Attributes = {KeyAttr.IN_PORT: port, KeyAttr.ETHERNET: KeyEthernet(bytes(6), bytes(6))}
    key[KeyAttr.ETHERTYPE] = 0x1234
    attributes = {
        FlowAttr.KEY: KEY.encode(key),
        FlowAttr.MASK: KEY.encode(mask),
        FlowAttr.ACTIONS: b"",
    }
    return build(FLOW, FlowCmd.NEW, attributes, dp_ifindex=dp_ifindex)


PORT_MASK: Attributes = {KeyAttr.IN_PORT: 0xFFFFFFFF}
TYPE_MASK: Attributes = {KeyAttr.IN_PORT: 0xFFFFFFFF, KeyAttr.ETHERTYPE: 0xFFFF}


async def test_masks_in_the_order_of_look_ups(daemon: Daemon) -> None:
    handle = daemon.open()
    await make(handle, "br0")
    (datapath,) = daemon.context.switch
    for port, mask in ((1, PORT_MASK), (2, TYPE_MASK), (3, TYPE_MASK)):
        await handle.write_ioctl(flow(port, mask, datapath.index))
    flows = await handle.ask(build(FLOW, FlowCmd.GET, flags=DUMP, dp_ifindex=datapath.index))
    of_flows = [m.attributes[FlowAttr.MASK] for m in flows if isinstance(m, Message)]

    told = await dump(handle, OvsdpCmd.MASK_GET, dp_ifindex=datapath.index)
    assert [m.attributes[MaskAttr.MASK] for m in told] == of_flows[:2]
    assert [m.attributes[MaskAttr.FLOWS] for m in told] == [1, 2]
    assert {m.dp_ifindex for m in told} == {datapath.index}

    datapath.flows.masks[1].hits = 5
    told = await dump(handle, OvsdpCmd.MASK_GET, dp_ifindex=datapath.index)
    assert [m.attributes[MaskAttr.HITS] for m in told] == [0, 5]
    datapath.flows.rebalance()
    told = await dump(handle, OvsdpCmd.MASK_GET, dp_ifindex=datapath.index)
    assert [m.attributes[MaskAttr.FLOWS] for m in told] == [2, 1]


async def test_masks_that_go_while_they_are_told(daemon: Daemon) -> None:
    handle = daemon.open()
    await make(handle, "br0")
    (datapath,) = daemon.context.switch
    for port, mask in ((1, PORT_MASK), (2, TYPE_MASK)):
        await handle.write_ioctl(flow(port, mask, datapath.index))
    request = build(OVSDP_CONTROL, OvsdpCmd.MASK_GET, flags=DUMP, dp_ifindex=datapath.index)
    await handle.write_ioctl(request)
    await handle.write_ioctl(build(FLOW, FlowCmd.DEL, dp_ifindex=datapath.index))
    (end,) = await handle.read_ioctl()
    assert isinstance(end, NetlinkError)
    assert end.header.type == ControlType.DONE


@pytest.mark.parametrize("command", [OvsdpCmd.MASK_GET, OvsdpCmd.METER_GET])
async def test_dumps_of_no_datapath(handle: Handle, command: OvsdpCmd) -> None:
    request = build(OVSDP_CONTROL, command, flags=DUMP, dp_ifindex=77)
    (reply,) = await handle.ask(request)
    assert isinstance(reply, NetlinkError)
    assert (reply.header.type, reply.errno) == (ControlType.ERROR, ENODEV)
    (reply,) = await handle.ask(build(OVSDP_CONTROL, command, dp_ifindex=77))
    assert isinstance(reply, NetlinkError)
    assert reply.errno == EOPNOTSUPP


# METER_GET --------------------------------------------------------------------------------------


async def test_meters_with_their_bands(daemon: Daemon) -> None:
    handle = daemon.open()
    await make(handle, "br0")
    (datapath,) = daemon.context.switch
    band = {BandAttr.TYPE: 1, BandAttr.RATE: 10, BandAttr.BURST: 20}
    meters: list[Attributes] = [
        {MeterAttr.ID: 9, MeterAttr.BANDS: BANDS.encode({0: band}), MeterAttr.KBPS: True},
        {MeterAttr.ID: 3, MeterAttr.BANDS: b""},
    ]
    for meter in meters:
        reply = await handle.transact(build(METER, MeterCmd.SET, meter, dp_ifindex=datapath.index))
        assert isinstance(reply, Message)
    datapath.meters.apply(9, 100, datapath.now_ms)
    third, ninth = await dump(handle, OvsdpCmd.METER_GET, dp_ifindex=datapath.index)
    assert third.attributes[MeterAttr.ID] == 3
    assert third.attributes[MeterAttr.BANDS] == b""
    assert MeterAttr.KBPS not in third.attributes
    told = ninth.attributes
    assert (told[MeterAttr.ID], told[MeterAttr.KBPS]) == (9, True)
    assert told[MeterAttr.STATS] == MeterStats(1, 100)
    assert BANDS.decode(told[MeterAttr.BANDS], True) == {
        0: {**band, BandAttr.STATS: MeterStats(0, 0)}
    }


# All of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, DUMP])
@pytest.mark.parametrize(
    "command",
    [
        OvsdpCmd.INFO_GET,
        OvsdpCmd.HANDLE_GET,
        OvsdpCmd.DROPS_GET,
        OvsdpCmd.MASK_GET,
        OvsdpCmd.METER_GET,
    ],
)
async def test_nothing_is_only_for_who_writes(
    daemon: Daemon, command: OvsdpCmd, flags: int
) -> None:
    writer, reader = daemon.open(), daemon.open(Access.READ)
    await make(writer, "br0")
    (datapath,) = daemon.context.switch
    attributes = {HandleAttr.PID: writer.pid} if command is OvsdpCmd.HANDLE_GET else {}
    request = build(OVSDP_CONTROL, command, attributes, flags=flags, dp_ifindex=datapath.index)
    told = [
        [reply.attributes if isinstance(reply, Message) else reply.errno for reply in replies]
        for replies in (await writer.ask(request), await reader.ask(request))
    ]
    changing = (InfoAttr.UPTIME_MS, HandleAttr.REQUESTS, HandleAttr.REPLIES, HandleAttr.ERRORS)
    for replies in told:
        for reply in replies:
            if isinstance(reply, dict) and command in (OvsdpCmd.INFO_GET, OvsdpCmd.HANDLE_GET):
                for number in (*changing, HandleAttr.DUMP):
                    reply.pop(number, None)
    assert told[0] == told[1]


def test_the_command_of_a_process() -> None:
    assert command_of(os.getpid()) == Path("/proc/self/comm").read_text()[:-1]
    assert command_of(0) == command_of(2**22 + 1) == UNKNOWN


@given(st.lists(st.sampled_from(["new", "again", "get", "bad", "dump", "stream"]), max_size=20))
async def test_what_a_handle_counts_is_what_crossed(steps: list[str]) -> None:
    """Whatever a client does: each request counts once, and each error is one of them."""
    daemon = Daemon()
    asker, handle = daemon.open(), daemon.open()
    requests = replies = errors = 0
    for step in steps:
        requests += 1
        match step:
            case "new" | "again":
                reply = await handle.transact(new("br0"))
                replies += 1
                errors += isinstance(reply, NetlinkError)
            case "get":
                reply = await handle.transact(build(OVSDP_CONTROL, OvsdpCmd.INFO_GET))
                replies += 1
            case "bad":
                assert await errno_of(handle.transact_bytes(bytes(24))) == EINVAL
                errors += 1
            case "dump":
                await handle.write_ioctl(build(DATAPATH, DpCmd.GET, flags=DUMP))
                while await handle.read_ioctl():
                    replies += 1
            case "stream":
                answers = await handle.ask(build(DATAPATH, DpCmd.GET, flags=ACK))
                replies += 1
                errors += sum(isinstance(a, NetlinkError) and a.errno != 0 for a in answers)
    assert counts(await of_handle(asker, handle)) == (requests, replies, errors, 0, 0)
