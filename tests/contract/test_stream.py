"""The stream door: read(2) and write(2) as on a netlink socket connected to the kernel."""

from __future__ import annotations

import os
from select import POLLERR

import pytest

from tests.contract import control, datapaths
from tests.contract.conftest import Open
from tests.contract.doors import ask, failure, get_pid, put, receive, receive_all, receive_dump
from tests.contract.messages import (
    ACK,
    ACK_TLVS,
    CAPPED,
    DATAPATH,
    DUMP,
    ECHO,
    ERROR,
    NLCTRL,
    NOOP,
    REQUEST,
    Reply,
    attribute,
    build,
    parse,
    u32,
)
from tests.nodes.interface import Handle, Node


def get(index: int, sequence: int = 1, flags: int = REQUEST) -> bytes:
    """A request for one datapath."""
    return build(DATAPATH, datapaths.GET, dp_ifindex=index, sequence=sequence, flags=flags)


def answers(stream: Handle, data: bytes) -> list[tuple[int, int]]:
    """(sequence, errno, or -1 for what is no NLMSG_ERROR) of all that a write is answered with."""
    assert stream.write(data) == len(data)
    replies = receive_all(stream)
    return [(reply.sequence, reply.errno if reply.type == ERROR else -1) for reply in replies]


def check_ack(reply: Reply, request: bytes, pid: int) -> None:
    """An acknowledgement, byte for byte."""
    assert reply.raw == (u32(36, ERROR | CAPPED << 16) + request[8:12] + u32(pid, 0) + request[:16])


# Requests and their answers ----------------------------------------------------------------------


def test_a_request_is_replied_to(stream: Handle, datapath: int) -> None:
    assert stream.write(get(datapath, 42)) == 24
    reply = receive(stream)
    assert (reply.type, reply.command, reply.version) == (DATAPATH, datapaths.GET, 2)
    assert (reply.flags, reply.sequence, reply.pid) == (0, 42, get_pid(stream))
    assert failure(stream.read, 4096) == "EAGAIN"


def test_success_is_silence(stream: Handle, name: str) -> None:
    assert answers(stream, datapaths.new(name)) == []
    assert answers(stream, datapaths.named(datapaths.SET, name)) == []
    assert answers(stream, datapaths.named(datapaths.DEL, name)) == []


def test_ack_asks_for_an_acknowledgement(stream: Handle, name: str) -> None:
    request = datapaths.new(name, flags=REQUEST | ACK, sequence=6, pid=12345)
    stream.write(request)
    check_ack(receive(stream), request, get_pid(stream))
    assert receive_all(stream) == []


def test_echo_asks_for_the_notification(stream: Handle, name: str) -> None:
    stream.write(datapaths.new(name, flags=REQUEST | ECHO, sequence=6))
    reply = receive(stream)
    assert (reply.command, reply.sequence, reply.flags) == (datapaths.NEW, 6, 0)
    assert receive_all(stream) == []


def test_the_acknowledgement_is_last(stream: Handle, name: str, datapath: int) -> None:
    stream.write(datapaths.named(datapaths.SET, name, flags=REQUEST | ECHO | ACK, sequence=1))
    stream.write(datapaths.named(datapaths.GET, name, flags=REQUEST | ECHO | ACK, sequence=2))
    kinds = [(reply.type, reply.sequence) for reply in receive_all(stream)]
    assert kinds == [(DATAPATH, 1), (ERROR, 1), (DATAPATH, 2), (ERROR, 2)]


def test_an_error_echoes_the_whole_request_and_says_where(
    stream: Handle, name: str, datapath: int
) -> None:
    request = datapaths.new(name, sequence=3)
    stream.write(request)
    reply = receive(stream)
    assert (reply.type, reply.flags, reply.errno) == (ERROR, ACK_TLVS, 17)
    assert (reply.sequence, reply.pid) == (3, get_pid(stream))
    assert reply.request == request
    assert name in reply.message
    assert reply.offset == 24
    assert receive_all(stream) == [], "an error is the acknowledgement, too"


def test_an_error_s_echo_is_padded(stream: Handle) -> None:
    request = get(4242) + b"\7\0\7"
    request = u32(len(request)) + request[4:]
    stream.write(request)
    reply = receive(stream)
    assert (reply.errno, reply.request) == (19, request)
    assert len(reply.raw) % 4 == 0


def test_messages_of_one_write_are_answered_in_their_order(
    stream: Handle, name: str, datapath: int
) -> None:
    batch = [
        get(datapath, 1),
        get(4242, 2),
        datapaths.named(datapaths.SET, name, sequence=3),
        datapaths.named(datapaths.SET, name, sequence=4, flags=REQUEST | ACK),
        get(datapath, 5, REQUEST | ACK),
        build(0x7F, 1, sequence=6),
    ]
    assert answers(stream, b"".join(batch)) == [(1, -1), (2, 19), (4, 0), (5, -1), (5, 0), (6, 2)]


def test_all_is_answered_when_write_returns(stream: Handle, datapath: int) -> None:
    """Open vSwitch reads EAGAIN as "all the rest succeeded"."""
    batch = b"".join(get(datapath, sequence) for sequence in range(1, 101))
    assert answers(stream, batch) == [(sequence, -1) for sequence in range(1, 101)]


def test_a_dump_may_be_among_others(stream: Handle, datapath: int) -> None:
    stream.write(get(datapath, 1) + get(0, 2, REQUEST | DUMP) + get(datapath, 3))
    sequences = [reply.sequence for reply in receive_all(stream)]
    assert sequences == [1, 2, 3, 2], "the dump's end is made when its first part was read"


def test_requests_take_effect_one_after_the_other(stream: Handle, name: str) -> None:
    batch = [
        datapaths.named(datapaths.GET, name, sequence=1),
        datapaths.new(name, sequence=2),
        datapaths.named(datapaths.GET, name, sequence=3),
        datapaths.named(datapaths.DEL, name, sequence=4),
        datapaths.named(datapaths.GET, name, sequence=5),
    ]
    assert answers(stream, b"".join(batch)) == [(1, 19), (3, -1), (5, 19)]


# What is not a good request ----------------------------------------------------------------------


def resized(request: bytes, length: int) -> bytes:
    """A message that claims another length."""
    return u32(length) + request[4:]


@pytest.mark.parametrize("size", [1, 3, 4, 12, 15])
def test_less_than_a_header_is_swallowed(stream: Handle, datapath: int, size: int) -> None:
    assert answers(stream, get(datapath)[:size]) == []
    assert answers(stream, get(datapath)) == [(1, -1)], "and nothing of it stays"
    assert answers(stream, get(datapath) + get(datapath, 2)[:size]) == [(1, -1)]


@pytest.mark.parametrize("length", [0, 1, 15, 25, 1 << 16])
def test_a_length_that_cannot_be_ends_the_buffer(
    stream: Handle, datapath: int, length: int
) -> None:
    """What came before was handled, what comes after is lost."""
    bad = resized(get(datapath, 2), length)
    assert answers(stream, get(datapath, 1) + bad) == [(1, -1)]
    if length < 16:
        assert answers(stream, bad + get(datapath, 3)) == []
    assert answers(stream, get(datapath, 4)) == [(4, -1)]


def test_the_last_message_needs_no_padding(stream: Handle, datapath: int) -> None:
    odd = get(datapath, 2) + b"\5\0\7\0\1"
    request = resized(odd, len(odd))
    assert answers(stream, get(datapath, 1) + request) == [(1, -1), (2, 34)]
    padded = request + b"\0\0\0"
    assert answers(stream, padded + get(datapath, 3)) == [(2, 34), (3, -1)]
    assert answers(stream, request + b"\0\0") == [(2, 34)]


@pytest.mark.parametrize(
    ("request_", "acknowledged"),
    [
        pytest.param(build(DATAPATH, datapaths.GET, flags=0), False, id="no NLM_F_REQUEST"),
        pytest.param(build(DATAPATH, datapaths.GET, flags=ACK), True, id="ACK without REQUEST"),
        pytest.param(build(0x7F, 1, flags=ACK), True, id="unknown family without REQUEST"),
        pytest.param(build(NOOP, 0), False, id="NLMSG_NOOP"),
        pytest.param(build(NOOP, 0, flags=REQUEST | ACK), True, id="NLMSG_NOOP with ACK"),
        pytest.param(build(15, 0, flags=REQUEST | ACK), True, id="below NLMSG_MIN_TYPE"),
    ],
)
def test_what_is_no_request_is_not_handled(
    stream: Handle, request_: bytes, acknowledged: bool
) -> None:
    assert answers(stream, request_) == ([(1, 0)] if acknowledged else [])


@pytest.mark.parametrize(
    ("request_", "errno"),
    [
        pytest.param(build(0x7F, 1), 2, id="unknown family"),
        pytest.param(resized(build(0x7F, 1)[:16], 16), 2, id="unknown family, a header only"),
        pytest.param(resized(build(DATAPATH, 3)[:16], 16), 22, id="a header only"),
        pytest.param(resized(build(DATAPATH, 3)[:20], 20), 22, id="no ovs_header"),
        pytest.param(resized(build(DATAPATH, 3)[:23], 23), 22, id="a byte too short"),
        pytest.param(resized(build(NLCTRL, 3)[:19], 19), 22, id="nlctrl, a byte too short"),
        pytest.param(build(DATAPATH, 0), 95, id="command 0"),
        pytest.param(build(DATAPATH, 9), 95, id="unknown command"),
        pytest.param(build(NLCTRL, 10), 95, id="GETPOLICY is for dumps"),
        pytest.param(build(DATAPATH, datapaths.GET), 19, id="dp_ifindex 0"),
        pytest.param(build(DATAPATH, datapaths.GET, dp_ifindex=4242), 19, id="unknown dp_ifindex"),
        pytest.param(build(DATAPATH, datapaths.NEW), 22, id="NEW of nothing"),
        pytest.param(
            build(DATAPATH, 3, attribute(datapaths.UPCALL_PID, b"\0\0")), 34, id="a short u32"
        ),
        pytest.param(
            build(DATAPATH, 3, attribute(datapaths.IFINDEX, u32(1 << 31))), 34, id="out of range"
        ),
        pytest.param(
            build(DATAPATH, 3, attribute(datapaths.NAME, b"a" * 16)), 22, id="a name with no NUL"
        ),
    ],
)
def test_errors_are_the_kernel_s(stream: Handle, request_: bytes, errno: int) -> None:
    stream.write(request_)
    reply = receive(stream)
    assert (reply.type, reply.errno, reply.request) == (ERROR, errno, request_)
    assert reply.message
    assert receive_all(stream) == []


def test_policy_errors_say_where(stream: Handle) -> None:
    unknown = attribute(40, b"ignored")
    for bad in (attribute(datapaths.UPCALL_PID, b"\0\0"), attribute(datapaths.NAME, b"a" * 16)):
        stream.write(build(DATAPATH, datapaths.GET, unknown, bad))
        assert receive(stream).offset == 24 + len(unknown)


@pytest.mark.parametrize("version", [0, 1, 77])
def test_the_genl_version_is_not_looked_at(stream: Handle, datapath: int, version: int) -> None:
    request = build(DATAPATH, datapaths.GET, dp_ifindex=datapath, version=version)
    assert answers(stream, request) == [(1, -1)]


def test_nlmsg_pid_is_not_looked_at(stream: Handle, datapath: int) -> None:
    stream.write(build(DATAPATH, datapaths.GET, dp_ifindex=datapath, pid=4242))
    assert receive(stream).pid == get_pid(stream)


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(attribute(40, b"unknown"), id="an unknown attribute"),
        pytest.param(attribute(0, b"zero"), id="attribute 0"),
        pytest.param(attribute(datapaths.STATS, b"x"), id="one without a policy"),
        pytest.param(attribute(datapaths.USER_FEATURES, b"\0" * 9), id="longer than needed"),
        pytest.param(
            attribute(datapaths.USER_FEATURES | 0xC000, b"\0" * 4), id="flags in nla_type"
        ),
        pytest.param(b"\x20\0\5\0\0\0\0\0", id="nla_len beyond the message"),
        pytest.param(b"\3\0\5\0", id="nla_len below 4"),
        pytest.param(b"\0\0\0\0", id="nla_len 0"),
        pytest.param(b"\10\0", id="half a header"),
    ],
)
def test_attributes_are_read_liberally(stream: Handle, datapath: int, rest: bytes) -> None:
    request = build(DATAPATH, datapaths.GET, rest, dp_ifindex=datapath)
    assert answers(stream, request) == [(1, -1)]


def test_of_two_attributes_the_last_counts(stream: Handle, name: str, datapath: int) -> None:
    wrong = attribute(datapaths.NAME, b"nobody\0")
    right = attribute(datapaths.NAME, name.encode() + b"\0")
    assert answers(stream, build(DATAPATH, datapaths.GET, wrong, right)) == [(1, -1)]
    assert answers(stream, build(DATAPATH, datapaths.GET, right, wrong)) == [(1, 19)]


# Reading -----------------------------------------------------------------------------------------


def test_reading_waits_for_a_datagram(
    node: Node, open_handle: Open, handle: Handle, datapath: int
) -> None:
    reader = open_handle()
    put(reader, control.subscribe(datapaths.GROUP))
    call = node.start(lambda: reader.read(4096))
    call.wait_started()
    handle.write(build(DATAPATH, datapaths.SET, dp_ifindex=datapath, sequence=9))
    assert parse(call.result()).sequence == 9


def test_a_signal_ends_a_read(node: Node, handle: Handle, datapath: int) -> None:
    call = node.start(lambda: handle.read(4096))
    call.wait_started()
    call.interrupt()
    assert failure(call.result) == "EINTR"
    handle.write(get(datapath, 3))
    assert receive(handle).sequence == 3


def test_reads_that_wait_share_what_comes(
    node: Node, open_handle: Open, handle: Handle, datapath: int
) -> None:
    reader = open_handle()
    put(reader, control.subscribe(datapaths.GROUP))
    calls = [node.start(lambda: reader.read(4096)) for _ in range(3)]
    for call in calls:
        call.wait_started()
    for sequence in (1, 2, 3):
        handle.write(build(DATAPATH, datapaths.SET, dp_ifindex=datapath, sequence=sequence))
    assert {parse(call.result()).sequence for call in calls} == {1, 2, 3}


def test_a_read_that_waits_gets_what_the_same_handle_writes(
    node: Node, handle: Handle, datapath: int
) -> None:
    call = node.start(lambda: handle.read(4096))
    call.wait_started()
    handle.write(get(datapath, 8))
    assert parse(call.result()).sequence == 8


def test_o_nonblock_may_be_changed(node: Node, handle: Handle, datapath: int) -> None:
    handle.set_nonblocking(True)
    assert failure(handle.read, 4096) == "EAGAIN"
    handle.set_nonblocking(False)
    call = node.start(lambda: handle.read(4096))
    call.wait_started()
    handle.write(get(datapath, 8))
    assert parse(call.result()).sequence == 8
    handle.set_nonblocking(True)
    assert failure(handle.read, 4096) == "EAGAIN"


@pytest.mark.parametrize("size", [1, 24, 100])
def test_a_datagram_that_does_not_fit_stays(stream: Handle, datapath: int, size: int) -> None:
    stream.write(get(datapath, 1) + get(datapath, 2))
    assert failure(stream.read, size) == "EMSGSIZE"
    assert failure(stream.read, size) == "EMSGSIZE"
    assert [reply.sequence for reply in receive_all(stream)] == [1, 2]


def test_a_buffer_of_just_the_size_gives_one_datagram(
    handle: Handle, name: str, datapath: int
) -> None:
    """The kernel then asks for more of the same read."""
    size = datapaths.reply_length(name)
    handle.write(get(datapath, 1) + get(datapath, 2))
    assert [receive(handle, size).sequence for _ in range(2)] == [1, 2]


def test_nothing_is_read_into_no_buffer(stream: Handle, datapath: int) -> None:
    stream.write(get(datapath))
    assert stream.read(0) == b""
    assert stream.write(b"") == 0
    assert len(receive_all(stream)) == 1


def test_a_large_buffer_gives_one_datagram(stream: Handle, datapath: int) -> None:
    stream.write(get(datapath, 1) + get(datapath, 2))
    assert receive(stream, 1 << 20).sequence == 1
    assert receive(stream, 1 << 20).sequence == 2


def test_handles_do_not_see_each_other_s_replies(
    open_handle: Open, stream: Handle, datapath: int
) -> None:
    other = open_handle(os.O_RDWR | os.O_NONBLOCK)
    stream.write(get(datapath, 1))
    other.write(get(datapath, 2))
    assert [reply.sequence for reply in receive_all(stream)] == [1]
    assert [reply.sequence for reply in receive_all(other)] == [2]


def test_the_open_mode_says_which_way(open_handle: Open, datapath: int) -> None:
    reader, writer = open_handle(os.O_RDONLY), open_handle(os.O_WRONLY)
    assert failure(reader.write, get(datapath)) == "EBADF"
    assert writer.write(get(datapath)) == 24
    assert failure(writer.read, 4096) == "EBADF"


def test_a_reader_s_dump_may_be_begun_at_the_other_door(open_handle: Open) -> None:
    """A handle for reading only has no write(2), but ioctls."""
    reader = open_handle(os.O_RDONLY)
    assert ask(reader, control.request(control.SOCK_PROP)).pid == get_pid(reader)


# The queue's limit -------------------------------------------------------------------------------


def fill(stream: Handle) -> int:
    """Pass the limit of a handle's queue, with long errors; how many of them found room."""
    bad = build(0x7F, 1, bytes(100_000))
    count = 0
    while not stream.poll() & POLLERR:
        stream.write(bad)
        count += 1
    return count - 1


def test_an_overrun_is_told_once_and_then_the_rest_is_read(
    open_handle: Open, stream: Handle, datapath: int
) -> None:
    put(stream, control.subscribe(datapaths.GROUP))
    room = fill(stream)
    change = build(DATAPATH, datapaths.SET, dp_ifindex=datapath, sequence=4)
    open_handle().write(change)
    assert failure(stream.read, 1 << 20) == "ENOBUFS"
    replies = receive_all(stream)
    assert [reply.errno for reply in replies] == [2] * room, "the event was dropped"
    open_handle().write(change)
    assert [reply.sequence for reply in receive_all(stream)] == [4], "there is room again"


def test_others_are_told_while_one_does_not_read(
    open_handle: Open, stream: Handle, datapath: int
) -> None:
    other = open_handle(os.O_RDWR | os.O_NONBLOCK)
    for member in (stream, other):
        put(member, control.subscribe(datapaths.GROUP))
    fill(stream)
    open_handle().write(build(DATAPATH, datapaths.SET, dp_ifindex=datapath, sequence=4))
    assert [reply.sequence for reply in receive_all(other)] == [4]


# Long writes, which the kernel cuts --------------------------------------------------------------


def test_a_writev_of_many_buffers(stream: Handle, datapath: int) -> None:
    """The kernel passes on at most 32 at a time on CUSE; Open vSwitch's batches have up to 34."""
    buffers = [get(datapath, sequence) for sequence in range(1, 101)]
    assert stream.write(*buffers) == sum(map(len, buffers))
    assert [reply.sequence for reply in receive_all(stream)] == list(range(1, 101))


def test_a_message_may_be_cut_anywhere(stream: Handle, datapath: int) -> None:
    request = get(datapath, 1, REQUEST | ACK) + get(datapath, 2)
    pieces = [request[at : at + 1] for at in range(len(request))]
    assert stream.write(*pieces) == len(request)
    assert [reply.sequence for reply in receive_all(stream)] == [1, 1, 2]


@pytest.mark.parametrize("size", [120_000, 131_072, 150_000, 200_000])
def test_a_long_message(stream: Handle, datapath: int, size: int) -> None:
    request = build(DATAPATH, datapaths.GET, bytes(size - 24), dp_ifindex=datapath)
    assert answers(stream, request + get(datapath, 2)) == [(1, -1), (2, -1)]


def test_many_messages_in_a_long_write(stream: Handle, datapath: int) -> None:
    count = 8000
    data = b"".join(
        build(NOOP, 0, flags=ACK if sequence % 1000 == 0 else 0, sequence=sequence)
        for sequence in range(1, count + 1)
    )
    assert len(data) > 180_000
    assert answers(stream, data) == [(sequence, 0) for sequence in range(1000, count + 1, 1000)]


def test_a_write_that_ends_within_a_message_leaves_nothing(stream: Handle, datapath: int) -> None:
    cut = build(DATAPATH, datapaths.GET, bytes(160_000), dp_ifindex=datapath)[:150_000]
    assert answers(stream, get(datapath, 1) + cut) == [(1, -1)]
    assert answers(stream, get(datapath, 2)) == [(2, -1)]
    assert answers(stream, bytes(150_000)) == []
    assert answers(stream, get(datapath, 3)) == [(3, -1)]


def test_the_error_of_a_long_message_can_be_read(stream: Handle, datapath: int) -> None:
    """One request of a CUSE device reads 128 KiB: a longer error has the request's header only."""
    long = build(0x7F, 1, bytes(150_000))
    stream.write(long)
    reply = receive(stream, 1 << 18)
    assert reply.errno == 2
    assert reply.request == (long[:16] if reply.flags & CAPPED else long)


def test_a_message_beyond_a_socket_s_limit(stream: Handle, datapath: int) -> None:
    """net.core.wmem_default bounds a sendmsg(2); the door has the same bound for a message."""
    long = build(DATAPATH, datapaths.GET, bytes(300_000), dp_ifindex=datapath)
    assert failure(stream.write, long) == "EMSGSIZE"
    assert answers(stream, get(datapath, 3)) == [(3, -1)]


def test_append_mode_changes_nothing(open_handle: Open, datapath: int) -> None:
    stream = open_handle(os.O_RDWR | os.O_NONBLOCK | os.O_APPEND)
    for sequence in (1, 2):
        assert answers(stream, get(datapath, sequence)) == [(sequence, -1)]
    assert answers(stream, get(datapath)[:20]) == []
    assert answers(stream, get(datapath, 3)) == [(3, -1)]


def test_a_dump_is_written_and_read(stream: Handle, datapath: int) -> None:
    stream.write(get(0, 3, REQUEST | DUMP))
    parts = receive_dump(stream)
    assert [message.dp_ifindex for message in parts[0]] == [datapath]
