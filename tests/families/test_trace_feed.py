"""The group `ovsdp_trace`: who may join, what it tells, and each handle's filter."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EINVAL, ENOBUFS, ENODEV, EPERM
from sys import byteorder
from typing import Any

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.families.vport import GROUP as PORTS
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, McastAttr
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.netlink import NetlinkError
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.packet import PACKET, PacketCmd
from ovsdp_cuse.wire.trace import (
    TRACE_GROUP,
    TraceFilterAttr,
    TraceKind,
    TraceRecord,
)
from ovsdp_cuse.wire.vport import VPORT, VportCmd
from tests.families.doors import DUMP, Daemon, Handle, build, errno_of, make, new

GET_X = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "x"}, dp_ifindex=0)


async def join(handle: Handle, joins: bool = True) -> None:
    attributes = {McastAttr.MCAST_GRP: TRACE_GROUP, McastAttr.MCAST_JOIN: int(joins)}
    await handle.write_ioctl(build(CONTROL, ControlCmd.MC_SUBSCRIBE_REQ, attributes))


async def choose(handle: Handle, attributes: Mapping[TraceFilterAttr, Any]) -> None:
    reply = build(OVSDP_CONTROL, OvsdpCmd.TRACE_FILTER, attributes)
    assert await handle.transact_bytes(reply) == b""


async def tracer(daemon: Daemon, attributes: Mapping[TraceFilterAttr, Any] | None = None) -> Handle:
    """A handle in the group."""
    handle = daemon.open()
    await choose(handle, attributes or {})
    await join(handle)
    return handle


async def take(handle: Handle) -> list[TraceRecord]:
    """What has been told; the tracer's own joining is not among it."""
    records = []
    for message in await handle.drain():
        assert isinstance(message, Message)
        assert (message.type, message.command) == (OVSDP_CONTROL.id, OvsdpCmd.TRACE)
        records.append(TraceRecord.from_attributes(message.attributes))
    return [record for record in records if record.pid != handle.pid]


def kinds(records: list[TraceRecord]) -> list[TraceKind]:
    return [record.kind for record in records]


ASKED = [TraceKind.REQUEST, TraceKind.REPLY]


async def test_what_is_told(daemon: Daemon) -> None:
    watcher = await tracer(daemon)
    handle = daemon.open()
    reply = await handle.transact_bytes(new("dp0"))
    handle.close()
    opened, request, answer, closed = await take(watcher)
    assert kinds([opened, request, answer, closed]) == [
        TraceKind.OPENED, *ASKED, TraceKind.CLOSED,
    ]  # fmt: skip
    assert (request.pid, request.process, request.command) == (
        handle.pid, 1, handle.session.command,
    )  # fmt: skip
    assert (request.operation, request.message) == ("TRANSACT", new("dp0"))
    assert answer.message == reply
    assert answer.latency_ns is not None
    assert 0 < answer.latency_ns <= answer.time_ns - request.time_ns + 10**9
    assert request.time_ns <= answer.time_ns


async def test_all_kinds(daemon: Daemon) -> None:
    handle = daemon.open()
    watcher = await tracer(daemon)
    sessions = daemon.context.sessions
    sessions.join(handle.session, PORTS)
    sessions.multicast(PORTS.id, build(VPORT, VportCmd.NEW))
    sessions.upcall(handle.pid, build(PACKET, PacketCmd.MISS))
    handle.session.queue.limit = 1
    sessions.upcall(handle.pid, build(PACKET, PacketCmd.MISS))
    await errno_of(handle.write_ioctl(build(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "x"})))
    await handle.ioctl(Ioctl.GET_PID, out_size=4)
    assert kinds(await take(watcher)) == [
        TraceKind.NOTIFICATION,
        TraceKind.UPCALL,
        TraceKind.LOST,
        TraceKind.REQUEST,
        TraceKind.REFUSED,
        TraceKind.PID_TOLD,
    ]


async def test_the_tracer_sees_itself_but_not_its_traces(daemon: Daemon) -> None:
    watcher = await tracer(daemon)
    assert [r.kind for r in map(record_of, await watcher.drain())] == [TraceKind.HANDLED]
    await watcher.transact_bytes(new("dp0"))
    assert [r.kind for r in map(record_of, await watcher.drain())] == ASKED


def record_of(message: Message | NetlinkError) -> TraceRecord:
    assert isinstance(message, Message)
    return TraceRecord.from_attributes(message.attributes)


async def test_who_may_only_read_may_not_join(daemon: Daemon) -> None:
    reader = daemon.open(Access.READ)
    assert await errno_of(join(reader)) == EPERM
    assert daemon.context.sessions.taps.active is None
    await choose(reader, {TraceFilterAttr.ERRORS: True})
    (denied,) = await reader.ask(
        build(
            CONTROL,
            ControlCmd.MC_SUBSCRIBE_REQ,
            {McastAttr.MCAST_GRP: TRACE_GROUP, McastAttr.MCAST_JOIN: 1},
        )
    )
    assert isinstance(denied, NetlinkError)
    assert denied.errno == EPERM


async def test_leaving_and_closing_end_it(daemon: Daemon) -> None:
    taps = daemon.context.sessions.taps
    first, second = await tracer(daemon), await tracer(daemon)
    await join(first)
    assert taps.active is not None
    await join(first, joins=False)
    assert taps.active is not None
    second.close()
    assert taps.active is None


async def test_two_with_filters_of_their_own(daemon: Daemon) -> None:
    flows = await tracer(daemon, {TraceFilterAttr.FAMILY: "ovs_vport"})
    errors = await tracer(daemon, {TraceFilterAttr.ERRORS: True})
    everything = await tracer(daemon)
    handle = daemon.open()
    await make(handle, "dp0")
    await handle.transact_bytes(GET_X)
    await handle.transact_bytes(build(VPORT, VportCmd.GET, flags=DUMP, dp_ifindex=1))
    # The answers of a family are those of its requests.
    assert [r.message[4:6] for r in await take(flows)] == [VPORT.id.to_bytes(2, byteorder)] * 2
    told = await take(errors)
    assert kinds(told) == ASKED
    assert told[0].message == GET_X
    assert told[1].errno == ENODEV
    assert len(kinds([r for r in await take(everything) if r.pid == handle.pid])) == 7


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({}, 8),
        ({TraceFilterAttr.FAMILY: "ovs_datapath"}, 6),
        ({TraceFilterAttr.FAMILY: "nlctrl"}, 2),
        ({TraceFilterAttr.COMMAND: "CTRL_CMD_GETFAMILY"}, 2),
        ({TraceFilterAttr.COMMAND: "OVS_DP_CMD_GET"}, 4),
        ({TraceFilterAttr.COMMAND: "OVS_DP_CMD_NEW", TraceFilterAttr.FAMILY: "ovs_datapath"}, 2),
        ({TraceFilterAttr.COMMAND: "OVS_DP_CMD_GET", TraceFilterAttr.ERRORS: True}, 2),
        ({TraceFilterAttr.DATAPATH: 1}, 4),
        ({TraceFilterAttr.DATAPATH: 2}, 0),
        ({TraceFilterAttr.ERRORS: True}, 2),
        ({TraceFilterAttr.SLOWER_NS: 0}, 8),
        ({TraceFilterAttr.SLOWER_NS: 10**12}, 0),
        ({TraceFilterAttr.PROCESS: 1}, 8),
        ({TraceFilterAttr.PROCESS: 2}, 0),
        ({TraceFilterAttr.PROCESS_NAME: "no such"}, 0),
        ({TraceFilterAttr.PID: 1}, 8),
        ({TraceFilterAttr.PID: 2}, 0),
    ],
)
async def test_each_filter(
    daemon: Daemon, handle: Handle, chosen: Mapping[TraceFilterAttr, Any], count: int
) -> None:
    watcher = await tracer(daemon, chosen)
    await handle.transact_bytes(new("dp0"))
    await handle.transact_bytes(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"}, sequence=8))
    await handle.send(GET_X)
    await handle.transact_bytes(
        build(NLCTRL, CtrlCmd.GETFAMILY, {CtrlAttr.FAMILY_NAME: "ovs_flow"})
    )
    told = await take(watcher)
    assert len(told) == count
    # Each request comes before what answers it, and once.
    assert kinds(told) == ASKED * (count // 2)


async def test_a_process_by_its_name(daemon: Daemon, handle: Handle) -> None:
    handle.session.command = "ovs-vswitchd"
    other = daemon.open()
    watcher = await tracer(daemon, {TraceFilterAttr.PROCESS_NAME: "ovs-vswitchd"})
    await handle.transact_bytes(new("dp0"))
    await other.transact_bytes(new("dp1"))
    assert {record.pid for record in await take(watcher)} == {handle.pid}


async def test_a_datapath_among_several(daemon: Daemon, handle: Handle) -> None:
    """Notifications, requests, their errors, and the parts of a dump that has it."""
    await make(handle, "a", "b")
    handle.session.groups.clear()
    watcher = await tracer(daemon, {TraceFilterAttr.DATAPATH: 2})
    for index in (1, 2):
        await handle.transact_bytes(
            build(VPORT, VportCmd.GET, {}, dp_ifindex=index, sequence=index)
        )
        daemon.context.sessions.join(handle.session, PORTS)
        daemon.context.sessions.multicast(PORTS.id, VPORT.build(vport_of(index)))
    told = await take(watcher)
    assert kinds(told) == [*ASKED, TraceKind.NOTIFICATION]
    assert {int.from_bytes(record.message[20:24], byteorder) for record in told} >= {2}
    await handle.ask(build(DATAPATH, DpCmd.GET, flags=DUMP, sequence=9))
    request, part = (await take(watcher))[:2]
    assert request.message[8] == 9
    assert part.kind is TraceKind.REPLY


def vport_of(index: int) -> Message:
    return Message(VPORT.id, VportCmd.NEW, {}, index)


async def test_a_dump_that_is_chosen_by_its_answer_has_its_request_once(
    daemon: Daemon, handle: Handle
) -> None:
    await make(handle, *(f"dp{number}" for number in range(60)))
    watcher = await tracer(daemon, {TraceFilterAttr.SLOWER_NS: 0})
    await handle.write_ioctl(build(DATAPATH, DpCmd.GET, flags=DUMP))
    while await handle.read_ioctl():
        pass
    told = kinds(await take(watcher))
    assert told[0] is TraceKind.REQUEST
    assert len(told) > 3
    assert set(told[1:]) == {TraceKind.REPLY}


async def test_what_was_lost_is_an_error(daemon: Daemon, handle: Handle) -> None:
    watcher = await tracer(daemon, {TraceFilterAttr.ERRORS: True})
    handle.session.put(Kind.EVENT, b"1")
    handle.session.queue.limit = 1
    handle.session.put(Kind.EVENT, b"2")
    (lost,) = await take(watcher)
    assert (lost.kind, lost.message, lost.errno) == (TraceKind.LOST, b"2", ENOBUFS)


@pytest.mark.parametrize(
    ("chosen", "path", "text"),
    [
        ({TraceFilterAttr.FAMILY: "ovs_flows"}, TraceFilterAttr.FAMILY, "there are nlctrl, "),
        ({TraceFilterAttr.COMMAND: "OVS_FLOW"}, TraceFilterAttr.COMMAND, "named 'OVS_FLOW'"),
        (
            {TraceFilterAttr.FAMILY: "ovs_flow", TraceFilterAttr.COMMAND: "OVS_DP_CMD_GET"},
            TraceFilterAttr.COMMAND,
            "ovs_flow has ",
        ),
    ],
)
async def test_names_that_are_not_served(
    daemon: Daemon,
    handle: Handle,
    chosen: Mapping[TraceFilterAttr, Any],
    path: TraceFilterAttr,
    text: str,
) -> None:
    await choose(handle, {TraceFilterAttr.ERRORS: True})
    kept = handle.session.trace_filter
    request = build(OVSDP_CONTROL, OvsdpCmd.TRACE_FILTER, chosen)
    with pytest.raises(DatapathError) as caught:
        await handle.write_ioctl(request)
    assert (caught.value.errno, caught.value.path) == (EINVAL, (path,))
    assert text in caught.value.message
    assert handle.session.trace_filter is kept


async def test_a_new_filter_replaces_the_last(daemon: Daemon, handle: Handle) -> None:
    watcher = await tracer(daemon, {TraceFilterAttr.PID: 12345})
    await handle.transact_bytes(new("dp0"))
    assert await take(watcher) == []
    await choose(watcher, {})
    await handle.transact_bytes(GET_X)
    assert kinds(await take(watcher)) == ASKED


async def test_a_slow_tracer_loses_traces_and_holds_up_nobody() -> None:
    daemon = Daemon(queue_limit=8192)
    handle = daemon.open()
    watcher = await tracer(daemon)
    await make(handle, "dp0")
    for _number in range(100):
        assert isinstance(
            await handle.transact(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"})), Message
        )
    assert watcher.session.queue.dropped > 50
    assert await errno_of(watcher.receive()) == ENOBUFS
    assert await take(watcher) != []
    await handle.transact_bytes(GET_X)
    assert kinds(await take(watcher)) == ASKED
