"""The device door: the ioctls, and what they return."""

from __future__ import annotations

import os

import pytest

from tests.contract import control, datapaths
from tests.contract.conftest import Open
from tests.contract.doors import (
    GET_PID,
    IOC_READ,
    IOC_WRITE,
    LARGEST,
    PEEK,
    READ,
    READ_EVENT,
    READ_PACKET,
    TRANSACT,
    WRITE,
    ask,
    failure,
    get_pid,
    number,
    peek,
    put,
    receive,
    take,
    transact,
)
from tests.contract.messages import (
    ACK,
    ACK_TLVS,
    CAPPED,
    DATAPATH,
    DUMP,
    ERROR,
    REQUEST,
    attribute,
    build,
    parse,
    u32,
)
from tests.nodes.interface import Handle

OPEN_MODES = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR]


@pytest.mark.parametrize("mode", OPEN_MODES)
def test_every_open_mode_has_a_pid(open_handle: Open, mode: int) -> None:
    pids = {get_pid(open_handle(mode)) for _ in range(3)}
    assert len(pids) == 3
    assert 0 not in pids


def test_get_pid_takes_any_buffer_of_four_bytes_or_more(handle: Handle) -> None:
    pid = get_pid(handle)
    value, data = handle.ioctl(number(GET_PID, 12, IOC_READ), b"\xff" * 12)
    assert (value, data) == (4, u32(pid) + b"\xff" * 8)
    assert failure(handle.ioctl, number(GET_PID, 3, IOC_READ)) == "EINVAL"
    assert failure(handle.ioctl, number(GET_PID, 4, 0)) == "EINVAL"


@pytest.mark.parametrize("operation", [READ, READ_EVENT, READ_PACKET])
def test_reading_gives_nothing_where_nothing_waits(handle: Handle, operation: int) -> None:
    assert take(handle, operation) == b""
    assert take(handle, operation, 24) == b""
    assert failure(take, handle, operation, 23) == "EINVAL"


@pytest.mark.parametrize(
    "ioctl",
    [
        pytest.param(number(7, 64, IOC_READ | IOC_WRITE), id="the eighth number"),
        pytest.param(number(0xFF, 64, IOC_READ), id="the last number"),
        pytest.param(number(TRANSACT, 64, IOC_READ | IOC_WRITE, 0xC9), id="another type"),
        pytest.param(number(TRANSACT, 0, 0, 0x08), id="nearly our type"),
        pytest.param(0xAFC80400 | 1 << 30, id="a CTL_CODE of Windows"),
    ],
)
def test_other_ioctls_are_not_ours(handle: Handle, ioctl: int) -> None:
    request = build(DATAPATH, datapaths.GET)
    assert failure(handle.ioctl, ioctl, request) == "ENOTTY"


def test_write_returns_the_bytes_taken(handle: Handle, name: str) -> None:
    request = datapaths.new(name)
    assert handle.ioctl(number(WRITE, len(request), IOC_WRITE), request)[0] == len(request)
    assert ask(handle, datapaths.named(datapaths.GET, name)).string(datapaths.NAME) == name


def test_transact_replies_into_the_same_buffer(handle: Handle, name: str, datapath: int) -> None:
    request = datapaths.named(datapaths.GET, name, sequence=77)
    size = datapaths.reply_length(name)
    value, data = handle.ioctl(
        number(TRANSACT, size + 8, IOC_READ | IOC_WRITE), request.ljust(size + 8, b"\xee")
    )
    assert value == size
    assert data[size:] == b"\xee" * 8, "beyond the reply the buffer is the client's"
    reply = parse(data[:size])
    assert (reply.type, reply.command, reply.version) == (DATAPATH, datapaths.GET, 2)
    assert (reply.flags, reply.sequence, reply.pid) == (0, 77, get_pid(handle))
    assert reply.dp_ifindex == datapath


def test_bytes_after_the_message_do_not_count(handle: Handle, datapath: int) -> None:
    request = build(DATAPATH, datapaths.GET, dp_ifindex=datapath)
    assert ask(handle, request + b"\xff" * 9).dp_ifindex == datapath


def test_transact_with_no_output_buffer_gives_no_reply(handle: Handle, name: str) -> None:
    def transact_in(request: bytes) -> int:
        return handle.ioctl(number(TRANSACT, len(request), IOC_WRITE), request)[0]

    assert transact_in(datapaths.new(name)) == 0
    assert transact_in(datapaths.named(datapaths.GET, name)) == 0
    assert failure(transact_in, datapaths.new(name)) == "EEXIST"
    assert failure(transact_in, control.request(control.WIN_GET_PID)) == "EINVAL"


def test_a_reply_is_all_the_acknowledgement_there_is(handle: Handle) -> None:
    request = control.request(control.SOCK_PROP, flags=REQUEST | ACK)
    assert ask(handle, request).type != ERROR
    assert take(handle) == b""


def test_transact_with_only_an_output_buffer_has_no_request(handle: Handle) -> None:
    assert failure(handle.ioctl, number(TRANSACT, 64, IOC_READ)) == "EINVAL"


def test_nlm_f_request_is_not_needed(handle: Handle, datapath: int) -> None:
    request = build(DATAPATH, datapaths.GET, dp_ifindex=datapath, flags=0)
    assert ask(handle, request).dp_ifindex == datapath


def test_index_0_is_the_default_datapath(handle: Handle, datapath: int) -> None:
    assert ask(handle, build(DATAPATH, datapaths.GET)).dp_ifindex == datapath


def test_a_handler_s_error_is_a_reply(handle: Handle, name: str, datapath: int) -> None:
    request = datapaths.new(name, sequence=5)
    reply = ask(handle, request)
    assert (reply.type, reply.flags) == (ERROR, CAPPED | ACK_TLVS)
    assert (reply.sequence, reply.pid) == (5, get_pid(handle))
    assert reply.errno == 17, "EEXIST"
    assert reply.request == request[:16]
    assert name in reply.message
    assert reply.offset == 24, "the name is the first attribute"


@pytest.mark.parametrize(
    ("bad", "errno"),
    [
        pytest.param(datapaths.features(1 << 31), 95, id="EOPNOTSUPP from the handler"),
        pytest.param(attribute(datapaths.MASKS_CACHE_SIZE, u32(100)), 22, id="EINVAL"),
        pytest.param(attribute(datapaths.MASKS_CACHE_SIZE, u32(1 << 20)), 34, id="ERANGE"),
        pytest.param(attribute(datapaths.USER_FEATURES, b"\1\0"), 34, id="too short"),
    ],
)
def test_an_error_says_where(handle: Handle, datapath: int, bad: bytes, errno: int) -> None:
    first = attribute(40, b"unknown attributes are let pass")
    request = build(DATAPATH, datapaths.SET, first, bad, dp_ifindex=datapath)
    reply = ask(handle, request)
    assert (reply.type, reply.errno, reply.offset) == (ERROR, errno, 24 + len(first))
    assert reply.message


def test_an_error_with_no_attribute_to_blame_has_a_text_only(handle: Handle) -> None:
    reply = ask(handle, build(DATAPATH, datapaths.NEW))
    assert (reply.type, reply.errno, reply.offset) == (ERROR, 22, None)
    assert "OVS_DP_ATTR_NAME" in reply.message


def test_a_handler_s_error_fails_write(handle: Handle, name: str, datapath: int) -> None:
    assert failure(put, handle, datapaths.new(name)) == "EEXIST"
    bad = datapaths.features(1 << 31)
    assert failure(put, handle, build(DATAPATH, datapaths.SET, bad)) == "EOPNOTSUPP"
    long = attribute(datapaths.NAME, b"a" * 16)
    assert failure(put, handle, build(DATAPATH, datapaths.GET, long)) == "EINVAL"


def test_a_reply_that_does_not_fit_is_kept_for_read(handle: Handle, datapath: int) -> None:
    request = build(DATAPATH, datapaths.GET, sequence=9)
    assert failure(transact, handle, request, 40) == "EMSGSIZE"
    assert failure(take, handle, READ, 40) == "EMSGSIZE"
    assert parse(take(handle)).sequence == 9
    assert take(handle) == b""


def test_a_kept_reply_is_the_next_that_read_2_returns(
    handle: Handle, name: str, datapath: int
) -> None:
    put(handle, control.subscribe(datapaths.GROUP))
    handle.write(build(DATAPATH, datapaths.SET, sequence=1, dp_ifindex=datapath))
    assert failure(transact, handle, build(DATAPATH, datapaths.GET, sequence=2), 40) == "EMSGSIZE"
    assert [receive(handle).sequence, receive(handle).sequence] == [2, 1]


def test_an_error_that_does_not_fit_is_kept_too(handle: Handle, name: str, datapath: int) -> None:
    request = datapaths.new(name)
    assert failure(transact, handle, request, len(request)) == "EMSGSIZE"
    assert parse(take(handle)).errno == 17


def test_one_reply_is_kept_the_last(handle: Handle, datapath: int) -> None:
    for sequence in (1, 2, 3):
        request = build(DATAPATH, datapaths.GET, sequence=sequence)
        assert failure(transact, handle, request, 24) == "EMSGSIZE"
    assert parse(take(handle)).sequence == 3
    assert take(handle) == b""


# PEEK --------------------------------------------------------------------------------------------


def test_peek_gives_nothing_where_nothing_waits(handle: Handle) -> None:
    for room in (0, 1, LARGEST):
        assert peek(handle, room) == (0, b"")


def test_peek_tells_the_whole_length_and_takes_nothing(
    handle: Handle, name: str, datapath: int
) -> None:
    size = datapaths.reply_length(name)
    handle.write(build(DATAPATH, datapaths.GET, sequence=3, dp_ifindex=datapath))
    handle.write(build(DATAPATH, datapaths.GET, sequence=4, dp_ifindex=datapath))
    seen = [peek(handle, room) for room in (0, 1, 16, size, size + 1, LARGEST)]
    assert [length for length, _data in seen] == [size] * 6
    assert [len(data) for _length, data in seen] == [0, 1, 16, size, size, size]
    whole = handle.read(size)
    assert all(whole.startswith(data) for _length, data in seen)
    assert parse(whole).sequence == 3
    assert parse(peek(handle)[1]).sequence == 4


def test_peek_writes_no_more_than_the_datagram(handle: Handle, name: str, datapath: int) -> None:
    handle.write(build(DATAPATH, datapaths.GET, dp_ifindex=datapath))
    size = datapaths.reply_length(name)
    value, data = handle.ioctl(number(PEEK, size + 8, IOC_READ), b"\xee" * (size + 8))
    assert (value, data[size:]) == (size, b"\xee" * 8)


def test_peek_tells_of_a_datagram_that_no_ioctl_can_carry(stream: Handle) -> None:
    stream.write(build(0x7F, 1, bytes(100_000)))
    length, data = peek(stream)
    assert (len(data), parse(stream.read(1 << 18)).errno) == (LARGEST, 2)
    assert length > 100_000


def test_peek_sees_what_read_2_would_give(handle: Handle, datapath: int) -> None:
    """A kept reply before an event that came earlier; the dump of READ is not in the queue."""
    put(handle, control.subscribe(datapaths.GROUP))
    handle.write(build(DATAPATH, datapaths.SET, sequence=1, dp_ifindex=datapath))
    put(handle, build(DATAPATH, datapaths.GET, sequence=9, flags=REQUEST | DUMP))
    assert parse(peek(handle)[1]).sequence == 1
    assert failure(transact, handle, build(DATAPATH, datapaths.GET, sequence=2), 40) == "EMSGSIZE"
    assert parse(peek(handle)[1]).sequence == 2
    assert [receive(handle).sequence, receive(handle).sequence] == [2, 1]
    assert peek(handle) == (0, b"")


@pytest.mark.parametrize("mode", OPEN_MODES)
def test_every_open_mode_may_peek(open_handle: Open, datapath: int, mode: int) -> None:
    handle = open_handle(mode)
    assert failure(transact, handle, build(DATAPATH, datapaths.GET), 24) == "EMSGSIZE"
    assert peek(handle, 0)[0] == len(take(handle))


def test_a_message_of_no_bytes_is_none(handle: Handle) -> None:
    assert failure(handle.ioctl, number(WRITE, 0, IOC_WRITE)) == "EINVAL"
    assert failure(handle.ioctl, number(TRANSACT, 0, IOC_READ | IOC_WRITE)) == "EINVAL"


def test_the_largest_size(handle: Handle, datapath: int) -> None:
    filler = attribute(40, bytes(LARGEST - 24 - 4 - 3))
    request = build(DATAPATH, datapaths.GET, filler).ljust(LARGEST, b"\0")
    assert ask(handle, request).dp_ifindex == datapath
