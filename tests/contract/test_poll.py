"""Waiting with poll(2), select(2) and epoll(7): level- and edge-triggered."""

from __future__ import annotations

import os
from functools import partial
from select import POLLERR, POLLIN, POLLOUT

import pytest

from tests.contract import control, datapaths
from tests.contract.conftest import Open
from tests.contract.doors import READ_EVENT, failure, put, receive_all, take, transact
from tests.contract.messages import DATAPATH, DUMP, REQUEST, build
from tests.nodes.interface import Handle, Node, Waiter

every_waiter = pytest.mark.parametrize("by", ["poll", "select", "epoll"])


@pytest.fixture
def member(open_handle: Open, datapath: int) -> Handle:
    """A handle that is told of changes from now on, and does not wait."""
    handle = open_handle(os.O_RDWR | os.O_NONBLOCK)
    put(handle, control.subscribe(datapaths.GROUP))
    return handle


def change(handle: Handle, index: int, sequence: int = 1) -> None:
    """Something that members are told."""
    handle.write(build(DATAPATH, datapaths.SET, dp_ifindex=index, sequence=sequence))


def get(index: int) -> bytes:
    """A request with a reply."""
    return build(DATAPATH, datapaths.GET, dp_ifindex=index)


def readable(handle: Handle) -> bool:
    """What poll(2) says of POLLIN now; POLLOUT is always true, and nothing else is."""
    events = handle.poll()
    assert events in (POLLOUT, POLLOUT | POLLIN)
    return bool(events & POLLIN)


def test_readable_while_a_reply_waits(stream: Handle, datapath: int) -> None:
    assert not readable(stream)
    stream.write(get(datapath) + get(datapath))
    assert readable(stream)
    stream.read(4096)
    assert readable(stream)
    stream.read(4096)
    assert not readable(stream)


def test_readable_while_an_event_waits(member: Handle, handle: Handle, datapath: int) -> None:
    change(handle, datapath)
    assert readable(member)
    assert take(member, READ_EVENT)
    assert not readable(member)


def test_readable_while_a_kept_reply_waits(handle: Handle, datapath: int) -> None:
    assert failure(transact, handle, get(datapath), 24) == "EMSGSIZE"
    assert readable(handle)
    assert take(handle)
    assert not readable(handle)


def test_readable_while_a_dump_goes_on(stream: Handle, datapath: int) -> None:
    stream.write(build(DATAPATH, datapaths.GET, flags=REQUEST | DUMP))
    for _part_and_end in range(2):
        assert readable(stream)
        stream.read(1 << 16)
    assert not readable(stream)


def test_a_dump_of_the_device_door_is_not_announced(handle: Handle, datapath: int) -> None:
    """Only the client knows that it began one."""
    put(handle, build(DATAPATH, datapaths.GET, flags=REQUEST | DUMP))
    assert not readable(handle)


def test_an_overrun_is_an_error_until_it_was_told(stream: Handle) -> None:
    bad = build(0x7F, 1, bytes(100_000))
    while not stream.poll() & POLLERR:
        stream.write(bad)
    assert stream.poll() & POLLIN
    assert stream.wait_readable()
    assert failure(stream.read, 1 << 18) == "ENOBUFS"
    assert readable(stream)
    receive_all(stream)
    assert not readable(stream)


@every_waiter
def test_what_waits_already(stream: Handle, datapath: int, by: Waiter) -> None:
    stream.write(get(datapath))
    assert stream.wait_readable(by)
    assert stream.wait_readable(by), "level-triggered"


@every_waiter
def test_nothing_comes(stream: Handle, by: Waiter) -> None:
    assert not stream.wait_readable(by, timeout_s=0.02)


@every_waiter
def test_an_event_wakes(
    node: Node, member: Handle, handle: Handle, datapath: int, by: Waiter
) -> None:
    for _again in range(2):
        wait = node.start(lambda: member.wait_readable(by))
        wait.wait_started()
        change(handle, datapath)
        assert wait.result()
        assert len(receive_all(member)) == 1


@every_waiter
def test_a_reply_wakes_who_shares_the_handle(
    node: Node, stream: Handle, datapath: int, by: Waiter
) -> None:
    wait = node.start(lambda: stream.wait_readable(by))
    wait.wait_started()
    stream.write(get(datapath))
    assert wait.result()


def test_an_event_wakes_all_who_wait(
    node: Node, member: Handle, handle: Handle, datapath: int
) -> None:
    waiters: list[Waiter] = ["poll", "select", "epoll", "poll"]
    waits = [node.start(partial(member.wait_readable, by)) for by in waiters]
    for wait in waits:
        wait.wait_started()
    change(handle, datapath)
    assert all(wait.result() for wait in waits)


def test_an_edge_comes_with_each_datagram(member: Handle, handle: Handle, datapath: int) -> None:
    with member.edges() as edges:
        assert not edges.wait(0)
        change(handle, datapath)
        assert edges.wait()
        assert not edges.wait(0.02), "nothing new, though one is unread"
        change(handle, datapath)
        assert edges.wait(), "a new one while another is unread"
        assert len(receive_all(member)) == 2
        assert not edges.wait(0.02)
        change(handle, datapath)
        assert edges.wait()


def test_what_waits_already_is_an_edge(member: Handle, handle: Handle, datapath: int) -> None:
    change(handle, datapath)
    with member.edges() as edges:
        assert edges.wait()
        assert not edges.wait(0.02)


def test_an_edge_for_every_set(member: Handle, handle: Handle, datapath: int) -> None:
    """Open vSwitch puts one socket into the sets of all its handlers."""
    with member.edges() as first, member.edges() as second:
        change(handle, datapath)
        assert first.wait()
        assert second.wait()


def test_handles_are_watched_apart(member: Handle, handle: Handle, datapath: int) -> None:
    with member.edges() as edges, handle.edges() as other:
        change(handle, datapath)
        assert edges.wait()
        assert not other.wait(0.02)


def test_a_handle_may_be_closed_while_it_is_watched(
    open_handle: Open, handle: Handle, datapath: int
) -> None:
    watched = open_handle()
    put(watched, control.subscribe(datapaths.GROUP))
    with watched.edges():
        watched.close()
        change(handle, datapath)
    assert not readable(handle)
