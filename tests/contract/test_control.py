"""The control family: PIDs, properties, subscriptions and waiting."""

from __future__ import annotations

import os
from errno import EPERM
from functools import partial
from select import POLLERR, POLLIN

import pytest

from tests.contract import control, datapaths
from tests.contract.conftest import Open
from tests.contract.doors import (
    READ_EVENT,
    READ_PACKET,
    ask,
    failure,
    get_pid,
    peek,
    put,
    receive,
    receive_all,
    take,
    transact,
)
from tests.contract.messages import (
    ACK,
    ACK_TLVS,
    CAPPED,
    CONTROL,
    DATAPATH,
    ERROR,
    REQUEST,
    attribute,
    build,
    parse,
    u8,
    u32,
)
from tests.nodes.interface import Handle, Node

PENDS = [control.WIN_PEND_REQ, control.WIN_PEND_PACKET_REQ]


def change(handle: Handle, index: int, sequence: int = 1) -> None:
    """Something that members of the datapaths' group are told."""
    request = build(DATAPATH, datapaths.SET, dp_ifindex=index, sequence=sequence)
    assert ask(handle, request).type == DATAPATH


def test_win_get_pid_replies_zeros_but_for_the_pid(handle: Handle) -> None:
    reply = transact(handle, control.request(control.WIN_GET_PID, sequence=3), 24)
    assert reply == bytes(12) + u32(get_pid(handle)) + bytes(8)


def test_sock_prop_replies_protocol_and_pid(handle: Handle) -> None:
    """As v3.7's clients ask when they make a socket."""
    pid = get_pid(handle)
    reply = ask(
        handle,
        control.request(
            control.SOCK_PROP,
            attribute(control.SOCK_PROTO, u32(control.NETLINK_GENERIC)),
            attribute(control.SOCK_PID, u32(pid)),
            sequence=1,
            pid=pid,
        ),
    )
    assert (reply.type, reply.command, reply.version) == (CONTROL, control.SOCK_PROP, 1)
    assert (reply.sequence, reply.pid, reply.dp_ifindex) == (1, pid, 0)
    assert len(reply.raw) == 24 + 6 * 8
    assert reply.attributes == {
        control.SOCK_PROTO: u32(control.NETLINK_GENERIC),
        control.SOCK_PID: u32(pid),
        control.SOCK_RCVBUF: u32(1 << 20),
        control.SOCK_EXT_ACK: u8(1),
        control.SOCK_CAP_ACK: u8(0),
        control.SOCK_NO_ENOBUFS: u8(0),
    }


def test_sock_prop_remembers_the_protocol(handle: Handle, open_handle: Open) -> None:
    netfilter = attribute(control.SOCK_PROTO, u32(control.NETLINK_NETFILTER))
    empty = control.request(control.SOCK_PROP)
    assert ask(handle, empty).number(control.SOCK_PROTO) == control.NETLINK_GENERIC
    ask(handle, control.request(control.SOCK_PROP, netfilter))
    assert ask(handle, empty).number(control.SOCK_PROTO) == control.NETLINK_NETFILTER
    assert ask(open_handle(), empty).number(control.SOCK_PROTO) == control.NETLINK_GENERIC


@pytest.mark.parametrize(
    ("number", "value"), [(control.SOCK_PROTO, 0), (control.SOCK_PROTO, 15), (control.SOCK_PID, 99)]
)
def test_sock_prop_refuses_what_is_not_so(handle: Handle, number: int, value: int) -> None:
    other = attribute(1 - number, u32(get_pid(handle) if number == control.SOCK_PROTO else 16))
    bad = attribute(number, u32(value))
    reply = ask(handle, control.request(control.SOCK_PROP, other, bad))
    assert (reply.type, reply.errno, reply.offset) == (ERROR, 22, 32)


def test_sock_prop_binds_to_a_pid(handle: Handle, open_handle: Open) -> None:
    other = open_handle()
    wanted = 0x70000000 + get_pid(handle)
    bind = control.sock_prop(attribute(control.SOCK_BIND, u32(wanted)))
    assert ask(handle, bind).number(control.SOCK_PID) == wanted == get_pid(handle)
    reply = ask(other, bind)
    assert (reply.type, reply.errno) == (ERROR, 98)
    # The handle is the same: it goes on, and others that are opened do not take its place.
    third = open_handle()
    assert len({get_pid(handle), get_pid(other), get_pid(third)}) == 3


def test_who_may_only_read_cannot_take_a_pid(open_handle: Open) -> None:
    """It would be sent the upcalls, frames that is, of whoever had it before."""
    reader = open_handle(os.O_RDONLY)
    before = get_pid(reader)
    reply = ask(reader, control.sock_prop(attribute(control.SOCK_BIND, u32(0x70000000))))
    assert (reply.type, reply.errno) == (ERROR, EPERM)
    assert get_pid(reader) == before


def set_option(handle: Handle, option: int, value: bytes) -> int:
    """SOCK_PROP of one option; the value that is in force then."""
    return ask(handle, control.sock_prop(attribute(option, value))).number(option)


@pytest.mark.parametrize(
    ("mode", "wanted", "granted"),
    [
        pytest.param(os.O_RDWR, 8 << 20, 8 << 20, id="as SO_RCVBUFFORCE of 4 MiB gives"),
        pytest.param(os.O_RDWR, 2**32 - 1, 8 << 20, id="the most"),
        pytest.param(os.O_RDWR, 1, 4096, id="the least"),
        pytest.param(os.O_WRONLY, 2 << 20, 2 << 20, id="write only"),
        pytest.param(os.O_RDONLY, 8 << 20, 1 << 20, id="read only: no more than at first"),
        pytest.param(os.O_RDONLY, 65536, 65536, id="read only: less"),
    ],
)
def test_the_receive_buffer_is_bounded(
    open_handle: Open, mode: int, wanted: int, granted: int
) -> None:
    handle, other = open_handle(mode), open_handle(mode)
    assert set_option(handle, control.SOCK_RCVBUF, u32(wanted)) == granted
    assert ask(handle, control.sock_prop()).number(control.SOCK_RCVBUF) == granted
    assert ask(other, control.sock_prop()).number(control.SOCK_RCVBUF) == 1 << 20


def overrun(stream: Handle, changer: Handle, datapath: int) -> None:
    """Give it a small receive buffer, and more notifications than fit."""
    put(stream, control.subscribe(datapaths.GROUP))
    set_option(stream, control.SOCK_RCVBUF, u32(4096))
    for sequence in range(1, 101):
        change(changer, datapath, sequence)


def test_a_small_receive_buffer_is_soon_full(
    stream: Handle, open_handle: Open, datapath: int
) -> None:
    """A datagram counts 256 bytes more than it has."""
    overrun(stream, open_handle(), datapath)
    assert failure(stream.read, 4096) == "ENOBUFS"
    first = stream.read(4096)
    rest = receive_all(stream)
    assert 1 + len(rest) == 4096 // (len(first) + 256)


def test_peek_tells_that_some_were_lost_and_read_then_does_not(
    stream: Handle, open_handle: Open, datapath: int
) -> None:
    overrun(stream, open_handle(), datapath)
    assert stream.poll() & POLLERR
    assert failure(peek, stream) == "ENOBUFS"
    assert stream.poll() & (POLLERR | POLLIN) == POLLIN
    assert parse(peek(stream)[1]).sequence == 1
    assert receive(stream).sequence == 1


def test_without_enobufs_nothing_tells_of_the_lost(
    stream: Handle, open_handle: Open, datapath: int
) -> None:
    put(stream, control.subscribe(datapaths.GROUP))
    set_option(stream, control.SOCK_RCVBUF, u32(4096))
    assert set_option(stream, control.SOCK_NO_ENOBUFS, u8(1)) == 1
    changer = open_handle()
    for sequence in range(1, 101):
        change(changer, datapath, sequence)
    assert not stream.poll() & POLLERR
    assert receive(stream).sequence == 1
    change(changer, datapath, 101)
    sequences = [reply.sequence for reply in receive_all(stream)]
    assert sequences[-1] == 101, "a place that is free is taken, though the queue is not empty"
    assert sequences[:-1] == list(range(2, len(sequences) + 1))
    assert len(sequences) < 100


@pytest.mark.parametrize("by", ["ioctl", "write"])
def test_errors_have_texts_while_ext_ack_is_on(stream: Handle, by: str) -> None:
    bad = build(DATAPATH, datapaths.NEW)
    for on in (1, 0, 1):
        assert set_option(stream, control.SOCK_EXT_ACK, u8(on)) == on
        if by == "ioctl":
            reply = ask(stream, bad)
        else:
            stream.write(bad)
            reply = receive(stream)
        assert (reply.type, reply.errno) == (ERROR, 22)
        assert bool(reply.attributes) == bool(reply.flags & ACK_TLVS) == bool(on)


def test_errors_echo_the_request_while_cap_ack_is_off(stream: Handle) -> None:
    bad = build(DATAPATH, datapaths.NEW, attribute(datapaths.USER_FEATURES, u32(0)))
    for on in (0, 1, 0):
        assert set_option(stream, control.SOCK_CAP_ACK, u8(on)) == on
        stream.write(bad)
        reply = receive(stream)
        assert reply.request == (bad[:16] if on else bad)
        assert bool(reply.flags & CAPPED) == bool(on)
        assert reply.message


def test_the_options_of_a_socket_may_come_by_write(stream: Handle) -> None:
    stream.write(control.sock_prop(attribute(control.SOCK_EXT_ACK, u8(0)), flags=REQUEST))
    assert receive(stream).number(control.SOCK_EXT_ACK) == 0
    stream.write(build(DATAPATH, datapaths.NEW))
    assert receive(stream).attributes == {}


def test_an_option_of_the_wrong_size_sets_nothing(handle: Handle) -> None:
    off = attribute(control.SOCK_EXT_ACK, u8(0))
    short = attribute(control.SOCK_RCVBUF, b"\0\0")
    reply = ask(handle, control.sock_prop(off, short))
    assert (reply.type, reply.errno, reply.offset) == (ERROR, 34, 24 + len(off))
    assert ask(handle, control.sock_prop()).number(control.SOCK_EXT_ACK) == 1


def test_members_are_told_and_others_are_not(
    open_handle: Open, handle: Handle, datapath: int
) -> None:
    member, other = open_handle(), open_handle()
    put(member, control.subscribe(datapaths.GROUP))
    change(handle, datapath, 8)
    event = parse(take(member, READ_EVENT))
    assert (event.type, event.command, event.dp_ifindex) == (DATAPATH, datapaths.SET, datapath)
    assert (event.sequence, event.pid) == (8, get_pid(handle)), "the requester's"
    assert take(member, READ_EVENT) == b""
    assert take(other, READ_EVENT) == b""


def test_leaving_ends_a_membership(open_handle: Open, handle: Handle, datapath: int) -> None:
    member = open_handle()
    put(member, control.subscribe(datapaths.GROUP, join=False))
    put(member, control.subscribe(datapaths.GROUP))
    put(member, control.subscribe(datapaths.GROUP, join=False))
    change(handle, datapath)
    assert take(member, READ_EVENT) == b""


def test_joining_twice_is_joining_once(open_handle: Open, handle: Handle, datapath: int) -> None:
    member = open_handle()
    put(member, control.subscribe(datapaths.GROUP))
    put(member, control.subscribe(datapaths.GROUP))
    change(handle, datapath)
    assert take(member, READ_EVENT)
    assert take(member, READ_EVENT) == b""
    put(member, control.subscribe(datapaths.GROUP, join=False))
    change(handle, datapath)
    assert take(member, READ_EVENT) == b""


def test_the_group_that_v3_7_joins_is_there(handle: Handle) -> None:
    put(handle, control.subscribe(101))


@pytest.mark.parametrize("join", [True, False])
@pytest.mark.parametrize("group", [0, 100, 999, 2**32 - 1])
def test_unknown_groups_are_refused(handle: Handle, group: int, join: bool) -> None:
    assert failure(put, handle, control.subscribe(group, join)) == "EINVAL"


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        (attribute(control.MCAST_GRP, u32(datapaths.GROUP)),),
        (attribute(control.MCAST_JOIN, u8(1)),),
    ],
    ids=["neither", "no MCAST_JOIN", "no MCAST_GRP"],
)
def test_subscribing_needs_group_and_join(handle: Handle, attributes: tuple[bytes, ...]) -> None:
    request = control.request(control.MC_SUBSCRIBE_REQ, *attributes)
    assert failure(put, handle, request) == "EINVAL"


def test_events_wait_in_order_for_either_door(
    open_handle: Open, handle: Handle, datapath: int
) -> None:
    member = open_handle()
    put(member, control.subscribe(datapaths.GROUP))
    for sequence in (1, 2, 3):
        change(handle, datapath, sequence)
    assert parse(take(member, READ_EVENT)).sequence == 1
    assert receive(member).sequence == 2
    assert parse(take(member, READ_EVENT)).sequence == 3


def test_an_event_that_does_not_fit_stays(open_handle: Open, handle: Handle, datapath: int) -> None:
    member = open_handle()
    put(member, control.subscribe(datapaths.GROUP))
    change(handle, datapath, 4)
    assert failure(take, member, READ_EVENT, 24) == "EMSGSIZE"
    assert parse(take(member, READ_EVENT)).sequence == 4


def test_a_member_that_changes_something_is_replied_to_and_told(
    handle: Handle, datapath: int
) -> None:
    put(handle, control.subscribe(datapaths.GROUP))
    change(handle, datapath)
    assert parse(take(handle, READ_EVENT)).command == datapaths.SET
    assert take(handle, READ_EVENT) == b""


def test_a_change_by_write_is_told_too(open_handle: Open, handle: Handle, datapath: int) -> None:
    put(handle, control.subscribe(datapaths.GROUP))
    put(handle, build(DATAPATH, datapaths.SET, dp_ifindex=datapath))
    assert parse(take(handle, READ_EVENT)).command == datapaths.SET


def test_packets_are_subscribed_to_by_the_handle_s_pid(handle: Handle, open_handle: Open) -> None:
    pid = get_pid(handle)
    for join in (True, True, False, False):
        put(handle, control.subscribe_packets(pid, join))
    assert take(handle, READ_PACKET) == b""
    for other in (get_pid(open_handle()), 0x7FFF0000, 0):
        assert failure(put, handle, control.subscribe_packets(other)) == "EINVAL"


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        (attribute(control.PACKET_SUBSCRIBE, u8(1)),),
        (attribute(control.PACKET_PID, u32(1)),),
    ],
    ids=["neither", "no PACKET_PID", "no PACKET_SUBSCRIBE"],
)
def test_subscribing_to_packets_needs_both(handle: Handle, attributes: tuple[bytes, ...]) -> None:
    request = control.request(control.PACKET_SUBSCRIBE_REQ, *attributes)
    assert failure(put, handle, request) == "EINVAL"


def test_subscriptions_come_through_the_stream_too(
    stream: Handle, handle: Handle, datapath: int
) -> None:
    stream.write(control.subscribe(datapaths.GROUP, flags=REQUEST | ACK))
    stream.write(control.subscribe_packets(get_pid(stream), flags=REQUEST | ACK))
    stream.write(control.subscribe(999, flags=REQUEST))
    assert [receive(stream).errno for _ in range(3)] == [0, 0, 22]
    change(handle, datapath, 7)
    assert receive(stream).sequence == 7


@pytest.mark.parametrize(
    "command", [control.WIN_PEND_PACKET_REQ, control.EVENT_NOTIFY, control.READ_NOTIFY]
)
def test_nothing_waits_in_a_write(stream: Handle, command: int) -> None:
    stream.write(control.request(command, flags=REQUEST))
    assert receive(stream).errno == 95


# Waiting -----------------------------------------------------------------------------------------


def test_a_wait_ends_with_the_event(
    node: Node, open_handle: Open, handle: Handle, datapath: int
) -> None:
    member = open_handle()
    put(member, control.subscribe(datapaths.GROUP))
    wait = node.start(lambda: put(member, control.request(control.WIN_PEND_REQ)))
    wait.wait_started()
    change(handle, datapath, 6)
    wait.result()
    assert parse(take(member, READ_EVENT)).sequence == 6


def test_a_wait_ends_at_once_where_an_event_waits(
    open_handle: Open, handle: Handle, datapath: int
) -> None:
    member = open_handle()
    put(member, control.subscribe(datapaths.GROUP))
    change(handle, datapath)
    put(member, control.request(control.WIN_PEND_REQ))
    put(member, control.request(control.WIN_PEND_REQ))
    assert take(member, READ_EVENT)


@pytest.mark.parametrize("command", PENDS)
def test_a_handle_opened_nonblocking_does_not_wait(open_handle: Open, command: int) -> None:
    handle = open_handle(os.O_RDWR | os.O_NONBLOCK)
    assert failure(put, handle, control.request(command)) == "EAGAIN"


def test_for_an_ioctl_the_flags_of_open_count(node: Node, open_handle: Open) -> None:
    """The kernel sends the present flags with reads and writes only."""
    handle = open_handle(os.O_RDWR | os.O_NONBLOCK)
    handle.set_nonblocking(False)
    assert failure(put, handle, control.request(control.WIN_PEND_REQ)) == "EAGAIN"
    handle = open_handle()
    handle.set_nonblocking(True)
    wait = node.start(lambda: put(handle, control.request(control.WIN_PEND_REQ)))
    wait.wait_started()
    wait.interrupt()
    assert failure(wait.result) == "EINTR"


@pytest.mark.parametrize("command", PENDS)
def test_a_signal_ends_a_wait(node: Node, handle: Handle, command: int) -> None:
    wait = node.start(lambda: put(handle, control.request(command)))
    wait.wait_started()
    wait.interrupt()
    assert failure(wait.result) == "EINTR"
    assert get_pid(handle)
    again = node.start(lambda: put(handle, control.request(command)))
    again.wait_started()
    again.interrupt()
    assert failure(again.result) == "EINTR", "and it may be done again"


def test_one_of_each_may_wait_on_a_handle(node: Node, handle: Handle) -> None:
    waits = [node.start(partial(put, handle, control.request(command))) for command in PENDS]
    for wait in waits:
        wait.wait_started()
    for command in PENDS:
        assert failure(put, handle, control.request(command)) == "EBUSY"
    for wait in waits:
        wait.interrupt()
        assert failure(wait.result) == "EINTR"


def test_a_handle_that_waits_is_not_in_use(
    node: Node, open_handle: Open, handle: Handle, datapath: int
) -> None:
    member = open_handle()
    put(member, control.subscribe(datapaths.GROUP))
    wait = node.start(lambda: put(member, control.request(control.WIN_PEND_REQ)))
    wait.wait_started()
    assert get_pid(member)
    assert ask(member, build(DATAPATH, datapaths.GET)).dp_ifindex == datapath
    put(member, control.subscribe(datapaths.GROUP))
    member.write(build(DATAPATH, datapaths.GET, dp_ifindex=datapath))
    assert receive(member).dp_ifindex == datapath
    change(member, datapath)
    wait.result()


def test_each_wait_has_its_kind(node: Node, handle: Handle, datapath: int) -> None:
    """An event ends no wait for packets, and a reply ends none at all."""
    put(handle, control.subscribe(datapaths.GROUP))
    wait = node.start(lambda: put(handle, control.request(control.WIN_PEND_PACKET_REQ)))
    wait.wait_started()
    change(handle, datapath)
    handle.write(build(DATAPATH, datapaths.GET, dp_ifindex=datapath))
    assert failure(put, handle, control.request(control.WIN_PEND_PACKET_REQ)) == "EBUSY"
    wait.interrupt()
    assert failure(wait.result) == "EINTR"
