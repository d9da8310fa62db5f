"""Who watches is told of all that crosses the device, and nothing is kept while nobody does."""

from __future__ import annotations

from errno import EINVAL, ENOBUFS, ENODEV, ENOTTY
from typing import Any

import trio.testing

from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.session import Session
from ovsdp_cuse.families.tap import REQUESTS_KEPT, Arrived
from ovsdp_cuse.families.vport import GROUP
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.trace import MESSAGE_MAXIMUM, TraceKind, TraceRecord
from ovsdp_cuse.wire.vport import VPORT, VportCmd
from tests.families.doors import ACK, DUMP, Daemon, build, errno_of, make, new

GET = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"})


class Watcher:
    """It remembers what it is told."""

    def __init__(self) -> None:
        self.records: list[TraceRecord] = []
        self.requests: list[Arrived | None] = []

    def __call__(self, session: Session, record: TraceRecord, request: Arrived | None) -> None:
        self.records.append(record)
        self.requests.append(request)

    def take(self) -> list[tuple[Any, ...]]:
        """(kind, what is not empty of operation, message, errno and text) of each record."""
        taken = [
            (
                record.kind,
                *filter(None, (record.operation, record.message, record.errno, record.text)),
            )
            for record in self.records
        ]
        self.records.clear()
        self.requests.clear()
        return taken


async def test_what_crosses_the_device() -> None:
    watcher = Watcher()
    handle = Daemon(tap=watcher).open()
    assert watcher.take() == [(TraceKind.OPENED, "O_NONBLOCK")]
    reply = await handle.transact_bytes(new("dp0"))
    assert watcher.take() == [
        (TraceKind.REQUEST, "TRANSACT", new("dp0")),
        (TraceKind.REPLY, reply),
    ]
    await handle.send(GET)
    by_read = await handle.receive_bytes()
    assert watcher.take() == [
        (TraceKind.REQUEST, "STREAM", GET),
        (TraceKind.REPLY, by_read, ENODEV),
    ]
    await errno_of(handle.ioctl(None))
    assert watcher.take() == [(TraceKind.REFUSED, "ioctl", ENOTTY, "no such ioctl")]
    await handle.ioctl(Ioctl.GET_PID, out_size=4)
    assert watcher.take() == [(TraceKind.PID_TOLD, "GET_PID")]
    handle.close()
    assert watcher.take() == [(TraceKind.CLOSED,)]


async def test_a_request_that_nothing_answers_is_told_when_it_is_done() -> None:
    watcher = Watcher()
    handle = Daemon(tap=watcher).open()
    quiet = build(DATAPATH, DpCmd.SET, {DpAttr.NAME: "br0"})
    await handle.transact_bytes(new())
    watcher.take()
    await handle.write_ioctl(quiet)
    await handle.transact_bytes(quiet, out_size=0)
    await handle.send(quiet)
    assert watcher.take() == [
        (TraceKind.REQUEST, "WRITE", quiet),
        (TraceKind.HANDLED, "WRITE"),
        (TraceKind.REQUEST, "TRANSACT", quiet),
        (TraceKind.HANDLED, "TRANSACT"),
        (TraceKind.REQUEST, "STREAM", quiet),
        (TraceKind.HANDLED, "STREAM"),
    ]
    acknowledged = build(DATAPATH, DpCmd.SET, {DpAttr.NAME: "br0"}, flags=ACK)
    await handle.send(acknowledged, GET)
    assert [kind for kind, *_more in watcher.take()] == [TraceKind.REQUEST, TraceKind.REPLY] * 2


async def test_what_nobody_asked_for_is_told_when_it_is_queued() -> None:
    watcher = Watcher()
    daemon = Daemon(tap=watcher)
    handle, member = daemon.open(), daemon.open()
    daemon.context.sessions.join(member.session, GROUP)
    watcher.take()
    notification = build(VPORT, VportCmd.NEW)
    daemon.context.sessions.multicast(GROUP.id, notification)
    assert [r.pid for r in watcher.records] == [member.pid]
    assert watcher.take() == [(TraceKind.NOTIFICATION, notification)]
    assert daemon.context.sessions.upcall(handle.pid, b"upcall")
    assert [r.pid for r in watcher.records] == [handle.pid]
    assert watcher.take() == [(TraceKind.UPCALL, b"upcall")]
    assert await handle.receive_bytes() == b"upcall"
    assert watcher.take() == []


def test_what_finds_no_room() -> None:
    watcher = Watcher()
    daemon = Daemon(tap=watcher, queue_limit=4096)
    sessions = daemon.context.sessions
    handle = daemon.open()
    handle.session.put(Kind.EVENT, bytes(4000))
    watcher.take()
    assert not handle.session.put(Kind.EVENT, b"event")
    assert not sessions.upcall(handle.pid, b"upcall")
    assert not sessions.can_upcall(handle.pid)
    assert not handle.session.put(Kind.REPLY, b"reply")
    assert watcher.take() == [
        (TraceKind.LOST, b"event", ENOBUFS, "notification"),
        (TraceKind.LOST, b"upcall", ENOBUFS, "upcall"),
        (TraceKind.LOST, ENOBUFS, "upcall"),
        (TraceKind.LOST, b"reply", ENOBUFS, "reply"),
    ]
    assert not sessions.can_upcall(12345)
    handle.close()
    handle.session.put(Kind.EVENT, b"event")
    assert watcher.take() == [(TraceKind.CLOSED,)]


async def test_the_request_of_what_answers_and_its_latency() -> None:
    watcher = Watcher()
    handle = Daemon(tap=watcher).open()
    await make(handle, "br0", "br1")
    watcher.take()
    dump = build(DATAPATH, DpCmd.GET, flags=DUMP, sequence=3)
    await handle.write_ioctl(dump)
    await handle.transact_bytes(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br1"}, sequence=4))
    while await handle.read_ioctl():
        pass
    request, other, answer, part, done = watcher.requests
    assert request is part is done
    assert request is not None
    assert request.record is watcher.records[0]
    assert other is answer
    assert other is not request
    latencies = [record.latency_ns for record in watcher.records]
    assert latencies[0] is latencies[1] is None
    assert all(latency is not None and 0 < latency < 10**10 for latency in latencies[2:])
    # A further part's is that of its read, not of all the time since the dump began.
    assert watcher.records[3].time_ns - watcher.records[0].time_ns > (latencies[3] or 0)


async def test_a_refusal_has_its_request_and_no_other() -> None:
    watcher = Watcher()
    handle = Daemon(tap=watcher).open()
    await make(handle, "other")
    await errno_of(handle.write_ioctl(GET))
    assert watcher.requests[-1] is watcher.requests[-2] is not None
    assert watcher.records[-1].errno == ENODEV
    assert watcher.records[-1].path == (DpAttr.NAME,)
    await errno_of(handle.write_ioctl(GET[:23]))
    assert watcher.requests[-1] is None
    assert watcher.records[-1].errno == EINVAL
    handle.session.running = object()
    await errno_of(handle.write_ioctl(GET))
    assert watcher.requests[-1] is None


async def test_who_comes_and_goes() -> None:
    daemon = Daemon()
    taps = daemon.context.sessions.taps
    handle = daemon.open()
    await make(handle, "br0")
    assert taps.active is None
    first, second = Watcher(), Watcher()
    taps.add(first)
    await handle.transact_bytes(GET)
    taps.add(second)
    await handle.transact_bytes(GET)
    taps.remove(first)
    await handle.transact_bytes(GET)
    assert (len(first.records), len(second.records)) == (4, 4)
    taps.remove(second)
    taps.remove(second)
    assert taps.active is None
    await handle.transact_bytes(GET)
    assert (len(first.records), len(second.records)) == (4, 4)


async def test_who_comes_between_a_request_and_its_answer() -> None:
    daemon = Daemon()
    handle = daemon.open(nonblocking=False)
    watcher = Watcher()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(handle.session.read, 4096, False)
        await trio.testing.wait_all_tasks_blocked()
        daemon.context.sessions.taps.add(watcher)
        handle.session.put(Kind.REPLY, GET)
    assert watcher.requests == [None]
    assert watcher.records[0].latency_ns is None


async def test_what_is_remembered_is_bounded() -> None:
    daemon = Daemon(tap=Watcher())
    handle = daemon.open()
    for sequence in range(REQUESTS_KEPT * 2):
        await handle.send(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "x"}, sequence=sequence))
        handle.session.queue.clear()
    active = daemon.context.sessions.taps.active
    assert active is not None
    assert list(active._requests[handle.session]) == list(range(REQUESTS_KEPT, REQUESTS_KEPT * 2))
    handle.close()
    assert not active._requests


async def test_a_long_message_is_cut_and_its_length_told() -> None:
    watcher = Watcher()
    handle = Daemon(tap=watcher).open()
    long = build(DATAPATH, DpCmd.GET, tail=bytes(MESSAGE_MAXIMUM))
    await handle.send(long)
    record = watcher.records[1]
    assert record.message == long[:MESSAGE_MAXIMUM]
    assert record.length == len(long)


async def test_the_fault_that_acts_is_told_of_the_answer() -> None:
    watcher = Watcher()
    handle = Daemon(tap=watcher).open()
    await make(handle, "br0")
    watcher.take()
    handle.session.fault = 5
    await handle.transact_bytes(GET)
    handle.session.put(Kind.EVENT, b"event")
    assert [record.fault for record in watcher.records] == [0, 5, 0]
