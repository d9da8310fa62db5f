"""Handles: PIDs, limits, groups, upcalls, reading and waiting."""

from __future__ import annotations

from errno import EAGAIN, EBADF, EBUSY, EMSGSIZE, ENFILE, ENOBUFS
from select import POLLERR, POLLIN, POLLOUT

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.queue import OVERHEAD, Kind
from ovsdp_cuse.families.registry import MulticastGroup
from ovsdp_cuse.families.session import (
    LEAST_QUEUE_LIMIT,
    PID_MODULUS,
    Access,
    Session,
    SessionTable,
)
from tests.families.doors import OWNER, READ_WRITE

GROUP = MulticastGroup(1000, "group")


def open_in(table: SessionTable, nonblocking: bool = False) -> Session:
    return table.open(READ_WRITE, nonblocking, OWNER)


def errno_of(caught: pytest.ExceptionInfo[DatapathError]) -> int:
    return caught.value.errno


# PIDs and limits --------------------------------------------------------------------------------


def test_pids_wrap_and_are_never_zero() -> None:
    table = SessionTable(first_pid=PID_MODULUS - 2)
    assert [open_in(table).pid for _ in range(4)] == [PID_MODULUS - 2, PID_MODULUS - 1, 1, 2]


def test_a_pid_in_use_is_passed_over_after_the_counter_has_wrapped() -> None:
    table = SessionTable(first_pid=2)
    two, three = open_in(table), open_in(table)
    table._next_pid = PID_MODULUS - 1
    assert [open_in(table).pid for _ in range(3)] == [PID_MODULUS - 1, 1, 4]
    table.close(two)
    assert table.lookup(2) is None
    assert table.lookup(3) is three


@settings(max_examples=50)
@given(
    first=st.integers(0, 8) | st.integers(PID_MODULUS - 8, PID_MODULUS - 1),
    steps=st.lists(st.integers(0, 9), max_size=60),
)
def test_pids_are_unique(first: int, steps: list[int]) -> None:
    """Any order of opening (0 to 5) and closing (the n-th); a limit of 8."""
    table = SessionTable(handle_limit=8, first_pid=first)
    there: list[Session] = []
    for step in steps:
        if step <= 5 and len(there) < 8:
            there.append(open_in(table))
        elif there:
            table.close(there.pop(step % len(there)))
        pids = [session.pid for session in there]
        assert len(set(pids)) == len(pids) == len(table)
        assert all(0 < pid < PID_MODULUS for pid in pids)
        assert all(table.lookup(session.pid) is session for session in there)
        assert set(table) == set(there)


def test_the_limit_of_handles() -> None:
    table = SessionTable(handle_limit=512)
    there = [open_in(table) for _ in range(512)]
    with pytest.raises(DatapathError) as caught:
        open_in(table)
    assert errno_of(caught) == ENFILE
    table.close(there[0])
    open_in(table)


def test_access() -> None:
    table = SessionTable()
    for access in (Access(0), Access.READ, Access.WRITE, READ_WRITE):
        session = table.open(access, False, OWNER)
        assert session.writable == bool(access & Access.WRITE)
        assert session.readable == bool(access & Access.READ)


# Groups and upcalls -----------------------------------------------------------------------------


def test_groups() -> None:
    table = SessionTable()
    members, stranger = [open_in(table), open_in(table)], open_in(table)
    for member in members:
        table.join(member, GROUP)
        table.join(member, GROUP)  # twice is once
    table.multicast(GROUP.id, b"first")
    table.multicast(GROUP.id, b"second", exclude=members[0])
    table.multicast(1001, b"nobody is there")
    table.leave(members[1], GROUP.id)
    table.leave(stranger, GROUP.id)
    table.multicast(GROUP.id, b"third")
    assert [member.queue.pop(Kind.EVENT) for member in members] == [b"first", b"first"]
    assert members[0].queue.pop() == b"third"
    assert members[1].queue.pop() == b"second"
    assert not len(stranger.queue)


def test_a_closed_handle_is_in_no_group_and_gets_no_upcall() -> None:
    table = SessionTable()
    session = open_in(table)
    table.join(session, GROUP)
    table.close(session)
    table.multicast(GROUP.id, b"event")
    assert not table.upcall(session.pid, b"packet")
    assert table.lost_upcalls == 1
    assert not session.put(Kind.REPLY, b"late")
    assert not len(session.queue)


def test_upcalls_go_to_the_handle_with_the_pid_while_it_wants_them() -> None:
    table = SessionTable()
    session, other = open_in(table), open_in(table)
    assert table.upcall(session.pid, b"first")
    session.receives_packets = False
    assert not table.upcall(session.pid, b"lost")
    session.receives_packets = True
    assert table.upcall(session.pid, b"second")
    assert not table.upcall(0, b"nobody has PID 0")
    assert table.lost_upcalls == 2
    assert [session.queue.pop(Kind.PACKET) for _ in range(2)] == [b"first", b"second"]
    assert not len(other.queue)


def test_an_upcall_without_room_is_lost() -> None:
    table = SessionTable(queue_limit=10)
    session = open_in(table)
    assert table.upcall(session.pid, bytes(10))
    assert not table.upcall(session.pid, b"x")
    assert table.lost_upcalls == 1


# Reading ----------------------------------------------------------------------------------------


async def test_read() -> None:
    session = open_in(SessionTable())
    for kind in (Kind.EVENT, Kind.REPLY, Kind.PACKET):
        session.put(kind, kind.name.encode())
    assert session.poll() & (POLLIN | POLLOUT | POLLERR) == POLLIN | POLLOUT
    with pytest.raises(DatapathError) as caught:
        await session.read(4, True)
    assert errno_of(caught) == EMSGSIZE
    assert [await session.read(100, True) for _ in range(3)] == [b"EVENT", b"REPLY", b"PACKET"]
    assert session.poll() & (POLLIN | POLLOUT | POLLERR) == POLLOUT
    with pytest.raises(DatapathError) as caught:
        await session.read(100, True)
    assert errno_of(caught) == EAGAIN


def test_a_queue_holds_a_mebibyte() -> None:
    """Unless its daemon was told otherwise; what is kept in memory counts, see OVERHEAD."""
    session = open_in(SessionTable())
    assert session.queue.limit == 1 << 20
    count = (1 << 20) // (100 + OVERHEAD)
    assert [session.put(Kind.EVENT, bytes(100)) for _ in range(count + 1)].index(False) == count


async def test_an_overrun_is_told_first_and_once() -> None:
    session = open_in(SessionTable(queue_limit=10))
    session.put(Kind.EVENT, bytes(10))
    session.put(Kind.EVENT, b"dropped")
    assert session.poll() & (POLLIN | POLLERR) == POLLIN | POLLERR
    with pytest.raises(DatapathError) as caught:
        await session.read(100, True)
    assert errno_of(caught) == ENOBUFS
    assert session.poll() & (POLLIN | POLLERR) == POLLIN
    assert await session.read(100, True) == bytes(10)


async def test_peeking_takes_nothing_and_tells_an_overrun_once() -> None:
    session = open_in(SessionTable(queue_limit=10))
    assert session.peek() == b""
    session.put(Kind.EVENT, bytes(10))
    assert [session.peek(), session.peek()] == [bytes(10)] * 2
    session.put(Kind.EVENT, b"dropped")
    session.keep(b"kept")
    with pytest.raises(DatapathError) as caught:
        session.peek()
    assert errno_of(caught) == ENOBUFS
    assert not session.poll() & POLLERR
    assert [session.peek(), await session.read(100, True)] == [b"kept"] * 2
    assert [session.peek(), await session.read(100, True)] == [bytes(10)] * 2


@pytest.mark.parametrize(
    ("access", "wanted", "limit"),
    [
        (Access.READ | Access.WRITE, 20_000, 20_000),
        (Access.READ | Access.WRITE, 0, LEAST_QUEUE_LIMIT),
        (Access.READ | Access.WRITE, 2**32 - 1, 30_000),
        (Access.WRITE, 2**32 - 1, 30_000),
        (Access.READ, 2**32 - 1, 10_000),
        (Access.READ, 10_000, 10_000),
        (Access.READ, 5000, 5000),
    ],
)
def test_a_queue_s_limit_is_bounded(access: Access, wanted: int, limit: int) -> None:
    table = SessionTable(queue_limit=10_000, queue_maximum=30_000)
    session = table.open(access, True, OWNER)
    table.set_queue_limit(session, wanted)
    assert session.queue.limit == limit


def test_no_maximum_is_below_what_every_handle_has() -> None:
    table = SessionTable(queue_limit=10_000, queue_maximum=5000)
    session = open_in(table)
    table.set_queue_limit(session, 2**32 - 1)
    assert session.queue.limit == 10_000


def test_what_waits_stays_when_the_limit_is_lowered() -> None:
    table = SessionTable()
    session = open_in(table)
    session.put(Kind.EVENT, bytes(8000))
    table.set_queue_limit(session, 4096)
    assert not session.put(Kind.EVENT, b"no room")
    assert session.queue.pop() == bytes(8000)
    assert session.put(Kind.EVENT, b"room")


async def test_a_blocking_read_returns_what_arrives(nursery: trio.Nursery) -> None:
    session = open_in(SessionTable())
    received = []

    async def read() -> None:
        received.append(await session.read(100, False))

    for _ in range(2):
        nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    session.put(Kind.EVENT, b"first")
    session.put(Kind.EVENT, b"second")
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(received) == [b"first", b"second"]


@pytest.mark.parametrize("kind", [None, Kind.EVENT])
async def test_closing_ends_what_waits(nursery: trio.Nursery, kind: Kind | None) -> None:
    table = SessionTable()
    session = open_in(table)
    ended = []

    async def wait() -> None:
        with pytest.raises(DatapathError) as caught:
            await (session.read(100, False) if kind is None else session.wait_for(kind))
        ended.append(errno_of(caught))

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    table.close(session)
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [EBADF]


def test_take_reads_one_kind() -> None:
    session = open_in(SessionTable())
    session.put(Kind.REPLY, b"reply")
    session.put(Kind.PACKET, b"packet")
    session.put(Kind.EVENT, b"event")
    with pytest.raises(DatapathError) as caught:
        session.take(Kind.EVENT, 4)
    assert errno_of(caught) == EMSGSIZE
    assert session.take(Kind.EVENT, 5) == b"event"
    assert session.take(Kind.EVENT, 5) == b""
    assert session.take(Kind.PACKET, 6) == b"packet"
    assert session.queue.pop() == b"reply"


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.PACKET])
def test_taking_tells_an_overrun_first_and_once(kind: Kind) -> None:
    """Of whatever kind the lost ones were."""
    session = open_in(SessionTable(queue_limit=10))
    session.put(kind, b"first")
    session.put(Kind.REPLY, b"lost")
    with pytest.raises(DatapathError) as caught:
        session.take(kind, 100)
    assert errno_of(caught) == ENOBUFS
    assert session.take(kind, 100) == b"first"
    assert session.take(kind, 100) == b""


def test_the_kept_reply_is_there_whatever_was_lost() -> None:
    session = open_in(SessionTable(queue_limit=10))
    session.put(Kind.EVENT, b"first")
    session.put(Kind.EVENT, b"lost")
    assert session.take_kept(100) == b""
    session.keep(b"older")
    session.keep(b"reply")
    with pytest.raises(DatapathError) as caught:
        session.take_kept(4)
    assert errno_of(caught) == EMSGSIZE
    assert session.take_kept(5) == b"reply"
    assert session.take_kept(5) == b""
    assert session.queue.overrun, "it is told by the next read of what arrives"


async def test_a_kept_reply_wakes_who_reads(nursery: trio.Nursery) -> None:
    session = open_in(SessionTable())
    told = []
    session.on_readable = lambda: told.append("poll")

    async def read() -> None:
        told.append((await session.read(100, False)).decode())

    nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    session.keep(b"reply")
    assert session.poll() & POLLIN
    await trio.testing.wait_all_tasks_blocked()
    assert told == ["poll", "reply"]


async def test_waiting_for_a_kind(nursery: trio.Nursery) -> None:
    session = open_in(SessionTable())
    ended = []

    async def wait(kind: Kind) -> None:
        await session.wait_for(kind)
        ended.append(kind)

    nursery.start_soon(wait, Kind.EVENT)
    nursery.start_soon(wait, Kind.PACKET)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(DatapathError) as caught:
        await session.wait_for(Kind.EVENT)
    assert errno_of(caught) == EBUSY
    session.put(Kind.REPLY, b"not waited for")
    session.put(Kind.PACKET, b"packet")
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [Kind.PACKET]
    session.put(Kind.EVENT, b"event")
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [Kind.PACKET, Kind.EVENT]
    await session.wait_for(Kind.EVENT)  # it still waits to be read, so this returns at once


async def test_a_wait_ends_when_datagrams_are_lost(nursery: trio.Nursery) -> None:
    """One that was waited for may be among them; the read that follows says ENOBUFS."""
    session = open_in(SessionTable(queue_limit=10))
    ended = []

    async def wait(kind: Kind) -> None:
        await session.wait_for(kind)
        ended.append(kind)

    session.put(Kind.REPLY, b"first")
    nursery.start_soon(wait, Kind.EVENT)
    nursery.start_soon(wait, Kind.PACKET)
    await trio.testing.wait_all_tasks_blocked()
    assert not ended
    session.put(Kind.EVENT, b"lost")
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(ended) == [Kind.EVENT, Kind.PACKET]
    assert not session.pending
    await session.wait_for(Kind.EVENT)  # until it has been told, this returns at once
    with pytest.raises(DatapathError) as caught:
        session.take(Kind.EVENT, 100)
    assert errno_of(caught) == ENOBUFS
    assert session.take(Kind.EVENT, 100) == b""
    session.nonblocking = True
    with pytest.raises(DatapathError) as caught:
        await session.wait_for(Kind.EVENT)
    assert errno_of(caught) == EAGAIN


async def test_waiting_ends_when_something_was_lost(nursery: trio.Nursery) -> None:
    """The read that follows says so."""
    session = open_in(SessionTable(queue_limit=10))
    nursery.start_soon(session.wait_for, Kind.PACKET)
    await trio.testing.wait_all_tasks_blocked()
    session.put(Kind.EVENT, b"event")
    session.put(Kind.PACKET, b"dropped")
    await trio.testing.wait_all_tasks_blocked()
    assert not session.pending
    with pytest.raises(DatapathError) as caught:
        session.take(Kind.PACKET, 100)
    assert errno_of(caught) == ENOBUFS


async def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    session = open_in(SessionTable())
    with trio.CancelScope() as scope:
        scope.cancel()
        await session.wait_for(Kind.EVENT)
    assert scope.cancelled_caught
    assert not session.pending


async def test_a_nonblocking_handle_does_not_wait() -> None:
    session = open_in(SessionTable(), nonblocking=True)
    with pytest.raises(DatapathError) as caught:
        await session.wait_for(Kind.EVENT)
    assert errno_of(caught) == EAGAIN


def test_readable_is_told_once_for_each_arming() -> None:
    session = open_in(SessionTable(queue_limit=800))
    told = []
    session.put(Kind.REPLY, b"before")
    session.on_readable = lambda: told.append(1)
    session.put(Kind.REPLY, b"1")
    session.put(Kind.REPLY, b"2")
    assert told == [1]
    session.on_readable = lambda: told.append(2)
    assert not session.put(Kind.REPLY, b"an overrun wakes too")
    assert told == [1, 2]
