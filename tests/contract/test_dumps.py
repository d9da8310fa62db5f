"""Dumps through both doors: whole messages, to the end, whatever comes and goes meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.contract import datapaths
from tests.contract.conftest import Open
from tests.contract.doors import (
    READ,
    ask,
    failure,
    get_pid,
    put,
    receive,
    receive_dump,
    take,
    take_dump,
    transact,
)
from tests.contract.messages import (
    ACK,
    CONTROL,
    DATAPATH,
    DONE,
    DUMP,
    DUMP_INTR,
    ECHO,
    ERROR,
    MATCH,
    MULTI,
    NLCTRL,
    REQUEST,
    ROOT,
    Reply,
    attribute,
    build,
    parse,
    parse_all,
    u16,
)
from tests.nodes.interface import Handle

DUMP_ALL = build(DATAPATH, datapaths.GET, flags=REQUEST | DUMP, sequence=7)
MESSAGE = datapaths.reply_length("d0000")
"""Bytes of one datapath in a dump."""

Make = Callable[[int], list[int]]


@pytest.fixture
def make(handle: Handle, name: str) -> Make:
    """Makes datapaths; their indices in order."""
    numbers = itertools.count()

    def make_(count: int) -> list[int]:
        names = (f"{name[0]}{next(numbers):04}" for _ in range(count))
        return [ask(handle, datapaths.new(name)).dp_ifindex for name in names]

    return make_


def remove(handle: Handle, index: int) -> None:
    """Delete a datapath."""
    assert ask(handle, build(DATAPATH, datapaths.DEL, dp_ifindex=index)).type == DATAPATH


def check_dump(handle: Handle, parts: list[list[Reply]]) -> list[int]:
    """The indices in a dump, after all that is always so has been checked."""
    messages = [message for part in parts for message in part]
    for message in messages:
        assert message.flags & MULTI
        assert not message.flags & DUMP_INTR
        assert (message.sequence, message.pid) == (7, get_pid(handle))
    assert [message.type for message in messages[:-1]] == [DATAPATH] * (len(messages) - 1)
    assert (messages[-1].type, messages[-1].errno, len(messages[-1].raw)) == (DONE, 0, 20)
    assert len(parts[-1]) == 1, "NLMSG_DONE is a part of its own"
    return [message.dp_ifindex for message in messages[:-1]]


def test_an_empty_dump_is_done(handle: Handle) -> None:
    put(handle, DUMP_ALL)
    assert check_dump(handle, take_dump(handle)) == []
    assert take(handle) == b""
    handle.write(DUMP_ALL)
    assert check_dump(handle, receive_dump(handle)) == []


def test_a_dump_shows_each_once_in_order_of_creation(handle: Handle, make: Make) -> None:
    made = make(3)
    put(handle, DUMP_ALL)
    assert check_dump(handle, take_dump(handle)) == made
    assert take(handle) == b"", "no dump is open"
    handle.write(DUMP_ALL)
    assert check_dump(handle, receive_dump(handle)) == made


@pytest.mark.parametrize("fit", [1, 2, 3])
def test_a_part_is_as_many_whole_messages_as_fit(handle: Handle, make: Make, fit: int) -> None:
    made = make(7)
    put(handle, DUMP_ALL)
    parts = take_dump(handle, MESSAGE * fit + MESSAGE // 2)
    assert check_dump(handle, parts) == made
    assert [len(part) for part in parts[:-2]] == [fit] * (7 // fit - (7 % fit == 0))


def test_nothing_is_lost_where_not_even_one_fits(handle: Handle, make: Make) -> None:
    made = make(2)
    put(handle, DUMP_ALL)
    assert failure(take, handle, READ, MESSAGE - 1) == "EMSGSIZE"
    assert failure(take, handle, READ, 24) == "EMSGSIZE"
    assert check_dump(handle, take_dump(handle)) == made


def test_transact_begins_a_dump_and_gives_its_first_part(handle: Handle, make: Make) -> None:
    made = make(3)
    first = parse_all(transact(handle, DUMP_ALL, MESSAGE * 2))
    assert check_dump(handle, [first, *take_dump(handle)]) == made


def test_a_new_dump_takes_the_place_of_the_last(handle: Handle, make: Make) -> None:
    made = make(3)
    put(handle, DUMP_ALL)
    assert len(parse_all(take(handle, READ, MESSAGE * 2))) == 2
    put(handle, DUMP_ALL)
    assert check_dump(handle, take_dump(handle)) == made


def test_every_handle_has_its_own_dump(handle: Handle, open_handle: Open, make: Make) -> None:
    made = make(3)
    other = open_handle()
    put(handle, DUMP_ALL)
    first = parse_all(take(handle, READ, MESSAGE))
    put(other, DUMP_ALL)
    assert check_dump(other, take_dump(other)) == made
    assert check_dump(handle, [first, *take_dump(handle)]) == made


def test_other_requests_go_on_during_a_dump(handle: Handle, make: Make) -> None:
    made = make(3)
    put(handle, DUMP_ALL)
    first = parse_all(take(handle, READ, MESSAGE))
    assert ask(handle, build(DATAPATH, datapaths.GET)).dp_ifindex == made[0]
    assert failure(transact, handle, build(DATAPATH, datapaths.GET), 24) == "EMSGSIZE"
    kept = parse(take(handle))
    assert kept.flags == 0, "what was kept is before the dump"
    assert check_dump(handle, [first, *take_dump(handle)]) == made


def test_what_stays_is_dumped_exactly_once(handle: Handle, make: Make) -> None:
    """Between the parts objects are added, and removed before and after the dump's position."""
    made = make(6)
    put(handle, DUMP_ALL)
    parts = [parse_all(take(handle, READ, MESSAGE * 2))]
    remove(handle, made[0])
    remove(handle, made[4])
    added = make(2)
    parts += take_dump(handle, MESSAGE * 2)
    shown = check_dump(handle, parts)
    assert len(set(shown)) == len(shown)
    assert [index for index in shown if index not in added] == [made[i] for i in (0, 1, 2, 3, 5)]


def test_a_dump_through_the_stream_goes_on_while_objects_come_and_go(
    handle: Handle, open_handle: Open, make: Make
) -> None:
    """Its first part is made by write, each further one when the last has been read."""
    made = make(40)
    stream = open_handle()
    stream.write(DUMP_ALL)
    parts = [parse_all(stream.read(1 << 16))]
    assert 20 <= len(parts[0]) < 40, "3776 bytes: a page, less an overhead"
    for index in made[:10] + made[-1:]:
        remove(handle, index)
    shown = check_dump(stream, parts + receive_dump(stream))
    assert shown[:39] == made[:39]
    assert shown[39:] in ([], made[39:]), "the second part may have been made before"


def test_a_dump_is_over_when_its_end_was_made(stream: Handle, make: Make) -> None:
    made = make(40)
    stream.write(DUMP_ALL)
    stream.write(DUMP_ALL)
    parts = [parse_all(stream.read(1 << 16))]
    busy = receive(stream)
    assert (busy.type, busy.errno, busy.request) == (ERROR, 16, DUMP_ALL), "EBUSY"
    assert check_dump(stream, parts + receive_dump(stream)) == made
    stream.write(DUMP_ALL)
    assert check_dump(stream, receive_dump(stream)) == made


def test_parts_grow_with_the_reader_s_buffer(stream: Handle, make: Make) -> None:
    made = make(70)
    stream.write(DUMP_ALL)
    parts = receive_dump(stream, 8192)
    assert check_dump(stream, parts) == made
    sizes = [sum(len(message.raw) for message in part) for part in parts]
    assert sizes[0] <= 3776 < sizes[1] <= 8192


def test_ack_and_echo_mean_nothing_to_a_dump(stream: Handle, make: Make) -> None:
    made = make(1)
    request = build(DATAPATH, datapaths.GET, flags=REQUEST | DUMP | ACK | ECHO, sequence=7)
    stream.write(request)
    assert check_dump(stream, receive_dump(stream)) == made
    assert failure(stream.read, 4096) == "EAGAIN"


@pytest.mark.parametrize("flag", [ROOT, MATCH])
def test_half_of_the_dump_flag_is_none(stream: Handle, datapath: int, flag: int) -> None:
    stream.write(build(DATAPATH, datapaths.GET, flags=REQUEST | flag, dp_ifindex=datapath))
    reply = receive(stream)
    assert (reply.type, reply.flags, reply.dp_ifindex) == (DATAPATH, 0, datapath)


def test_what_has_no_dump_says_so(handle: Handle, stream: Handle, name: str) -> None:
    """The flags of a dump are REPLACE and EXCL for NEW, which is a dump all the same."""
    request = datapaths.new(name, flags=REQUEST | DUMP)
    stream.write(request)
    reply = receive(stream)
    assert (reply.type, reply.errno) == (ERROR, 95)
    assert failure(put, handle, request) == "EOPNOTSUPP"
    assert ask(handle, request).errno == 95


def test_the_attributes_of_a_dump_are_not_looked_at(stream: Handle, make: Make) -> None:
    made = make(2)
    bad = attribute(datapaths.NAME, b"no NUL, and much too long for a name")
    stream.write(build(DATAPATH, datapaths.GET, bad, flags=REQUEST | DUMP, sequence=7))
    assert check_dump(stream, receive_dump(stream)) == made


def test_dumps_of_different_families(handle: Handle, stream: Handle) -> None:
    """nlctrl has no ovs_header, and the device door wants 24 bytes: any attribute makes them."""
    request = build(NLCTRL, 3, attribute(1, u16(0)), flags=REQUEST | DUMP)
    put(handle, request)
    assert failure(put, handle, build(NLCTRL, 3, flags=REQUEST | DUMP)) == "EINVAL"
    stream.write(request)
    for parts in (take_dump(handle), receive_dump(stream)):
        families = [message.attributes[1] for part in parts[:-1] for message in part]
        assert families[:3] == [u16(NLCTRL), u16(CONTROL), u16(DATAPATH)]


def test_a_dump_ends_with_its_handle(open_handle: Open, make: Make) -> None:
    made = make(3)
    first = open_handle()
    put(first, DUMP_ALL)
    take(first, READ, MESSAGE)
    first.close()
    again = open_handle()
    assert take(again) == b""
    put(again, DUMP_ALL)
    assert check_dump(again, take_dump(again)) == made
