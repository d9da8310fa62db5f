"""The loop that serves a node: one reply for each request, and nobody waits for another."""

from __future__ import annotations

import os
from errno import EINVAL
from functools import partial
from select import POLLIN

import pytest

from ovsdp_cuse.device import fuse_abi as abi
from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.families.queue import OVERHEAD
from ovsdp_cuse.families.session import Session, SessionTable
from ovsdp_cuse.families.tap import Arrived
from ovsdp_cuse.wire.trace import TraceRecord
from tests.contract import control, datapaths
from tests.contract.doors import (
    IOC_READ,
    IOC_WRITE,
    READ_PACKET,
    TRANSACT,
    ask,
    failure,
    get_pid,
    number,
    put,
    receive,
    receive_dump,
    take,
    take_dump,
    transact,
)
from tests.contract.messages import CONTROL, DATAPATH, DONE, DUMP, ERROR, REQUEST, build
from tests.device.families import ID, RAISE, REPLY, WAIT, SlowFamily
from tests.nodes.calls import wait_until
from tests.nodes.fake import READ_LOCKOWNER, FakeHandle, FakeNode
from tests.nodes.interface import Call, Handle
from tests.nodes.kernel import Sizes

EIO = 5
PEND = control.request(control.WIN_PEND_REQ)


def start_wait(node: FakeNode, handle: Handle) -> Call[bytes]:
    """A TRANSACT of WAIT, which waits."""
    call = node.start(partial(transact, handle, WAIT))
    call.wait_started()
    return call


def go(node: FakeNode, slow: SlowFamily) -> None:
    """Let WAIT reply."""
    node.run(slow.go.set)


# The in-use guard --------------------------------------------------------------------------------


def test_a_handle_does_one_thing_at_a_time(
    node: FakeNode, handle: FakeHandle, slow: SlowFamily
) -> None:
    call = start_wait(node, handle)
    assert failure(get_pid, handle) == "EBUSY"
    assert failure(transact, handle, REPLY) == "EBUSY"
    assert failure(put, handle, PEND) == "EBUSY"
    assert failure(take, handle) == "EBUSY"
    assert failure(handle.ioctl, number(7, 64, IOC_READ)) == "EBUSY", "before ENOTTY"
    assert failure(handle.ioctl, number(TRANSACT, 8, IOC_READ | IOC_WRITE)) == "EBUSY"
    go(node, slow)
    assert len(call.result()) == 24
    assert get_pid(handle)


def test_a_write_that_waits_holds_up_nobody(
    node: FakeNode, handle: FakeHandle, slow: SlowFamily
) -> None:
    call = node.start(partial(handle.write, WAIT + REPLY))
    call.wait_started()
    other = node.open()
    assert other.write(REPLY) == len(REPLY)
    assert receive(other).type == ID
    assert get_pid(handle), "nor is its handle in use for the device door"
    go(node, slow)
    assert call.result() == len(WAIT + REPLY)


def test_the_stream_door_is_open_meanwhile(
    node: FakeNode, handle: FakeHandle, slow: SlowFamily
) -> None:
    call = start_wait(node, handle)
    handle.write(REPLY)
    assert receive(handle).type == ID
    assert handle.poll()
    go(node, slow)
    call.result()


def test_other_handles_go_on(node: FakeNode, handle: FakeHandle, slow: SlowFamily) -> None:
    calls = [start_wait(node, node.open()) for _ in range(20)]
    for _ in range(100):
        assert ask(handle, REPLY).type == ID
    go(node, slow)
    assert {len(call.result()) for call in calls} == {24}


def test_a_handle_that_waits_for_an_event_may_be_in_use(
    node: FakeNode, handle: FakeHandle, slow: SlowFamily
) -> None:
    """And when the wait ends first, the other request still runs."""
    put(handle, control.subscribe(datapaths.GROUP))
    pend = node.start(partial(put, handle, PEND))
    pend.wait_started()
    call = start_wait(node, handle)
    assert ask(node.open(), datapaths.new("a")).type == DATAPATH
    pend.result()
    assert failure(get_pid, handle) == "EBUSY"
    go(node, slow)
    call.result()


# Signals -----------------------------------------------------------------------------------------


def test_a_signal_cancels_the_handler(node: FakeNode, handle: FakeHandle, slow: SlowFamily) -> None:
    call = start_wait(node, handle)
    other = start_wait(node, node.open())
    call.interrupt()
    assert failure(call.result) == "EINTR"
    assert slow.cancelled == 1, "and no other one"
    assert get_pid(handle)
    go(node, slow)
    other.result()


def test_a_write_is_interrupted_between_its_messages(
    node: FakeNode, handle: FakeHandle, slow: SlowFamily
) -> None:
    """What was done counts: the client is told how far it went."""
    call = node.start(partial(handle.write, REPLY + REPLY + WAIT + REPLY))
    call.wait_started()
    call.interrupt()
    assert call.result() == len(REPLY + REPLY)
    handle.set_nonblocking(True)
    assert [receive(handle).type for _ in range(2)] == [ID, ID]
    assert failure(handle.read, 4096) == "EAGAIN"


def test_a_signal_that_comes_too_late_is_nobody_s(node: FakeNode, handle: FakeHandle) -> None:
    pending = node.kernel.submit(abi.Opcode.POLL, abi.POLL_IN.pack(handle.handle, 1, 0, 0))
    pending.reply.result(10)
    for unique in (pending.unique, 0, 4242):
        node.kernel.send_unanswered(abi.Opcode.INTERRUPT, abi.INTERRUPT_IN.pack(unique))
    assert get_pid(handle)


def test_two_signals_are_one(node: FakeNode, handle: FakeHandle) -> None:
    pending = node.kernel.submit(
        abi.Opcode.READ,
        abi.READ_IN.pack(handle.handle, 0, 64, READ_LOCKOWNER, 1, 0, 0),
        Sizes(0, 64),
    )
    body = abi.INTERRUPT_IN.pack(pending.unique)
    node.kernel.send_unanswered(abi.Opcode.INTERRUPT, body)
    node.kernel.send_unanswered(abi.Opcode.INTERRUPT, body)
    assert failure(pending.reply.result, 10) == "EINTR"


def test_a_wait_has_a_limit_where_the_kernel_has_one() -> None:
    with FakeNode(wait_limit_s=0.05) as node:
        handle = node.open()
        assert failure(handle.read, 4096) == "EINTR"
        assert failure(put, handle, PEND) == "EINTR"
        assert get_pid(handle)


# Faults ------------------------------------------------------------------------------------------


def test_a_handler_that_raises_is_an_error_of_its_request(
    node: FakeNode, handle: FakeHandle
) -> None:
    reply = ask(handle, RAISE)
    assert (reply.type, reply.errno) == (ERROR, EIO)
    assert "SLOW_CMD_RAISE" in reply.message
    assert failure(put, handle, RAISE) == "EIO"
    handle.write(RAISE + REPLY)
    assert (receive(handle).errno, receive(handle).type) == (EIO, ID)
    logged = node.take_errors()
    assert len(logged) == 3
    assert all(entry["exception"] for entry in logged), "with a traceback"
    assert get_pid(handle)


def test_a_dump_handler_that_raises_ends_its_dump(node: FakeNode, handle: FakeHandle) -> None:
    request = build(ID, 2, flags=REQUEST | DUMP)
    put(handle, request)
    handle.write(request)
    for parts in (take_dump(handle), receive_dump(handle)):
        messages = [message for part in parts for message in part]
        assert [message.type for message in messages] == [ID, DONE]
        assert messages[-1].errno == EIO
    assert len(node.take_errors()) == 2


class FaultyWatcher:
    """A watcher with a bug."""

    def __init__(self) -> None:
        self.faulty = False

    def __call__(self, session: Session, record: TraceRecord, request: Arrived | None) -> None:
        """Something happened."""
        if self.faulty and record.message:
            raise RuntimeError("a bug")


def test_a_bug_anywhere_is_eio_and_the_daemon_goes_on() -> None:
    tap = FaultyWatcher()
    with FakeNode(tap=tap) as node:
        handle = node.open()
        tap.faulty = True
        assert failure(transact, handle, control.request(control.SOCK_PROP)) == "EIO"
        assert failure(handle.write, control.request(control.SOCK_PROP)) == "EIO"
        assert len(node.take_errors()) == 2
        tap.faulty = False
        assert ask(handle, control.request(control.SOCK_PROP)).type == CONTROL
        handle.close()


class StubbornChannel(Channel):
    """A kernel that takes no replies with data, as if they were malformed."""

    refuses = False

    def send(self, reply: bytes) -> None:
        if self.refuses and len(reply) > abi.OUT_HEADER.size:
            raise OSError(EINVAL, "malformed")
        super().send(reply)


def test_a_reply_that_the_kernel_refuses_becomes_an_error() -> None:
    channels = []

    def make_channel(descriptor: int) -> Channel:
        channels.append(StubbornChannel(descriptor))
        return channels[-1]

    with FakeNode(make_channel=make_channel) as node:
        handle = node.open()
        channels[0].refuses = True
        assert failure(get_pid, handle) == "EIO"
        channels[0].refuses = False
        assert len(node.take_errors()) == 1
        assert get_pid(handle)


@pytest.mark.parametrize(
    ("opcode", "body", "sizes"),
    [
        (abi.Opcode.IOCTL, abi.IOCTL_IN.pack(99, 0, 0xC800, 0, 0, 0), Sizes(16, 16)),
        (abi.Opcode.READ, abi.READ_IN.pack(99, 0, 64, READ_LOCKOWNER, 1, 0, 0), Sizes(0, 64)),
        (abi.Opcode.WRITE, abi.WRITE_IN.pack(99, 0, 0, 0, 0, 0, 0), Sizes(8, 8)),
        (abi.Opcode.POLL, abi.POLL_IN.pack(99, 0, 0, 0), Sizes(8, 8)),
        (abi.Opcode.RELEASE, abi.RELEASE_IN.pack(99, 0, 0, 0), Sizes(0, 0)),
    ],
)
def test_a_handle_that_is_not_open(node: FakeNode, opcode: int, body: bytes, sizes: Sizes) -> None:
    assert failure(node.kernel.request, opcode, body, sizes) == "EBADF"


# The end -----------------------------------------------------------------------------------------


def start_waits(node: FakeNode) -> list[Call[object]]:
    """A request of each kind that waits, each on a handle of its own."""
    calls: list[Call[object]] = []
    for make in (
        lambda handle: partial(transact, handle, WAIT),
        lambda handle: partial(put, handle, PEND),
        lambda handle: partial(handle.read, 4096),
        lambda handle: partial(handle.write, WAIT),
    ):
        calls.append(node.start(make(node.open())))
        calls[-1].wait_started()
    return calls


def test_when_the_daemon_stops_it_answers_all_that_waits(slow: SlowFamily) -> None:
    with FakeNode(families=(slow.family,)) as node:
        calls = start_waits(node)
        node.stop_daemon()
        assert [failure(call.result) for call in calls] == ["ENODEV"] * 4
    assert slow.cancelled == 2


def test_when_the_kernel_ends_the_connection_the_daemon_notices(slow: SlowFamily) -> None:
    """The kernel itself fails what waited; no reply can be sent any more."""
    with FakeNode(families=(slow.family,)) as node:
        calls = start_waits(node)
        node.kernel.abort()
        assert [failure(call.result) for call in calls] == ["ECONNABORTED"] * 4
        wait_until(lambda: not len(node.context.sessions), "the daemon has closed the handles")


# Polling -----------------------------------------------------------------------------------------


def test_an_arming_wakes_once(node: FakeNode, handle: FakeHandle) -> None:
    assert not handle.ask_poll(schedule=True) & POLLIN
    handle.write(REPLY * 3)
    assert handle.wait_notified(0, 10)
    assert get_pid(handle), "all before this has been received"
    assert handle.notifications() == 1
    assert handle.ask_poll(schedule=True) & POLLIN
    handle.write(REPLY)
    assert handle.wait_notified(1, 10)


def test_nothing_is_sent_to_who_did_not_ask(node: FakeNode, handle: FakeHandle) -> None:
    assert not handle.ask_poll(schedule=False) & POLLIN
    handle.write(REPLY)
    assert handle.poll() & POLLIN
    assert handle.notifications() == 0


# Handles -----------------------------------------------------------------------------------------


def test_pids_wrap_and_pass_over_those_in_use() -> None:
    with FakeNode(sessions=SessionTable(first_pid=2**32 - 2)) as node:
        handles = [node.open() for _ in range(4)]
        assert [get_pid(handle) for handle in handles] == [2**32 - 2, 2**32 - 1, 1, 2]


def test_a_pid_in_use_is_passed_over_after_the_wrap() -> None:
    with FakeNode(sessions=SessionTable(first_pid=3)) as node:
        kept = node.open()
        table = node.context.sessions

        def wrap() -> None:
            table._next_pid = 2  # no test can open 2**32 handles

        node.run(wrap)
        assert get_pid(kept) == 3
        assert [get_pid(node.open()) for _ in range(3)] == [2, 4, 5]


@pytest.mark.parametrize("limit", [1, 3])
def test_the_limit_of_handles_is_a_setting(limit: int) -> None:
    with FakeNode(sessions=SessionTable(handle_limit=limit)) as node:
        handles = [node.open() for _ in range(limit)]
        assert failure(node.open) == "ENFILE"
        assert failure(node.open, os.O_RDONLY) == "ENFILE"
        handles[0].close()
        node.open()
        assert failure(node.open) == "ENFILE"


# Upcalls -----------------------------------------------------------------------------------------

PACKET = build(0x13, 1, b"\7" * 8)


def upcall(node: FakeNode, pid: int) -> bool:
    """Send a packet up, as a datapath does."""
    return node.run(partial(node.context.sessions.upcall, pid, PACKET))


def test_a_packet_is_read_through_either_door(node: FakeNode, handle: FakeHandle) -> None:
    pid = get_pid(handle)
    for _ in range(2):
        assert upcall(node, pid)
    assert handle.poll() & POLLIN
    assert failure(take, handle, READ_PACKET, 28) == "EMSGSIZE"
    assert take(handle, READ_PACKET) == PACKET
    assert handle.read(4096) == PACKET
    assert take(handle, READ_PACKET) == b""


def test_a_wait_for_packets_ends_with_one(node: FakeNode, handle: FakeHandle) -> None:
    pend = control.request(control.WIN_PEND_PACKET_REQ)
    call = node.start(partial(put, handle, pend))
    call.wait_started()
    assert upcall(node, get_pid(handle))
    call.result()
    put(handle, pend)
    assert take(handle, READ_PACKET) == PACKET


def test_packets_come_until_they_are_not_wanted(node: FakeNode, handle: FakeHandle) -> None:
    pid = get_pid(handle)
    put(handle, control.subscribe_packets(pid, join=False))
    assert not upcall(node, pid)
    assert not upcall(node, 0x7FFF0000)
    put(handle, control.subscribe_packets(pid))
    assert upcall(node, pid)
    assert take(handle, READ_PACKET) == PACKET
    assert node.context.sessions.lost_upcalls == 2


def test_packets_for_a_closed_handle_are_counted_as_lost(
    node: FakeNode, handle: FakeHandle
) -> None:
    pid = get_pid(handle)
    put(handle, control.subscribe_packets(pid))
    handle.close()
    assert not upcall(node, pid)
    assert node.context.sessions.lost_upcalls == 1


# The queue's limit -------------------------------------------------------------------------------


def test_notifications_beyond_the_limit_are_counted_and_told_once() -> None:
    cost = datapaths.reply_length("a") + OVERHEAD
    with FakeNode(sessions=SessionTable(queue_limit=10 * cost + 5)) as node:
        member, other = node.open(os.O_RDWR | os.O_NONBLOCK), node.open()
        put(member, control.subscribe(datapaths.GROUP))
        ask(other, datapaths.new("a"))
        for sequence in range(30):
            ask(other, datapaths.named(datapaths.SET, "a", sequence=sequence))
        session = node.context.sessions.lookup(get_pid(member))
        assert session is not None
        assert session.queue.dropped == 21
        assert failure(member.read, 4096) == "ENOBUFS"
        assert [receive(member).sequence for _ in range(10)] == [1, *range(9)]
        assert failure(member.read, 4096) == "EAGAIN"
        ask(other, datapaths.named(datapaths.SET, "a", sequence=99))
        assert receive(member).sequence == 99
