"""The family ovs_ct_limit: what Linux 6.1 answers, request by request."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest

from tests.contract import control
from tests.contract.conftest import Open
from tests.contract.doors import ask, failure, get_pid, put, receive, receive_all, transact
from tests.contract.messages import ACK, DUMP, ERROR, REQUEST, attribute, build
from tests.nodes.interface import Handle

CT_LIMIT = 0x18
GROUP = 105
SET, DEL, GET = 1, 2, 3
ZONE_LIMIT = 1
DEFAULT = -1

EINVAL, ERANGE, EMSGSIZE, EOPNOTSUPP = 22, 34, 90, 95


def zones(*limits: tuple[int, int]) -> bytes:
    """OVS_CT_LIMIT_ATTR_ZONE_LIMIT of (zone, limit); the count is always 0."""
    return attribute(ZONE_LIMIT, b"".join(struct.pack("=iII", *limit, 0) for limit in limits))


def change(handle: Handle, command: int, *limits: tuple[int, int]) -> None:
    """SET or DEL, which have an empty reply."""
    reply = ask(handle, build(CT_LIMIT, command, zones(*limits)))
    assert (reply.type, reply.command, reply.attributes) == (CT_LIMIT, command, {})


def limits(handle: Handle, *asked: int) -> list[tuple[int, int]]:
    """GET: (zone, limit) of the zones that are asked for, or else of all that are set."""
    attributes = [zones(*((zone, 0) for zone in asked))] if asked else []
    payload = ask(handle, build(CT_LIMIT, GET, *attributes)).attributes[ZONE_LIMIT]
    found = list(struct.iter_unpack("=iII", payload))
    assert all(count == 0 for _zone, _limit, count in found), "nothing is tracked"
    return [(zone, limit) for zone, limit, _count in found]


@pytest.fixture(autouse=True)
def no_limits(handle: Handle) -> Iterator[None]:
    """A test finds no limits, and what it has set is removed."""
    yield
    change(handle, DEL, *limits(handle))
    assert limits(handle) == [(DEFAULT, 0)]


def test_a_reply_byte_for_byte(stream: Handle) -> None:
    stream.write(build(CT_LIMIT, GET, sequence=9, dp_ifindex=4242))
    header = struct.pack("=IHHIIBBHi", 40, CT_LIMIT, 0, 9, get_pid(stream), GET, 1, 0, 4242)
    assert receive(stream).raw == header + bytes.fromhex("10000100ffffffff0000000000000000")


def test_limits_are_kept_until_they_are_removed(handle: Handle) -> None:
    change(handle, SET, (DEFAULT, 9), (3, 4), (0, 0))
    assert limits(handle) == [(DEFAULT, 9), (0, 0), (3, 4)]
    assert limits(handle, 3, 9, DEFAULT, 3) == [(3, 4), (9, 9), (DEFAULT, 9), (3, 4)]
    change(handle, SET, (3, 5))
    assert limits(handle, 3) == [(3, 5)]
    change(handle, DEL, (3, 77), (4, 0))
    assert limits(handle, 3) == [(3, 9)]
    change(handle, DEL, (DEFAULT, 0))
    assert limits(handle, 3, DEFAULT) == [(3, 0), (DEFAULT, 0)]


def test_all_handles_see_the_same(open_handle: Open, handle: Handle) -> None:
    change(handle, SET, (65535, 2**32 - 1))
    assert limits(open_handle(os.O_RDONLY)) == [(DEFAULT, 0), (65535, 2**32 - 1)]


def test_the_order_is_that_of_the_buckets_of_the_kernel(handle: Handle) -> None:
    order = (5, 517, 1029, 3, 65535, 512, 0)
    change(handle, SET, *((zone, 7) for zone in order))
    expected = [DEFAULT, 0, 512, 3, 1029, 517, 5, 65535]
    assert [zone for zone, _limit in limits(handle)] == expected


@pytest.mark.parametrize("zone", [70_000, 65_536, -2, -5, -(2**31)])
def test_zones_that_cannot_be_are_ignored(handle: Handle, zone: int) -> None:
    for command in (SET, DEL):
        change(handle, command, (zone, 4), (7, 4))
    assert limits(handle, zone, 7) == [(7, 0)]


@pytest.mark.parametrize("size", [0, 4, 8, 9, 10, 12, 13, 24])
def test_lengths_are_rounded_up_and_the_rest_is_ignored(handle: Handle, size: int) -> None:
    asked = struct.pack("=iIIiII", 7, 0, 0, 8, 0, 0)[:size]
    reply = ask(handle, build(CT_LIMIT, GET, attribute(ZONE_LIMIT, asked)))
    assert len(reply.attributes[ZONE_LIMIT]) == (size + 3) // 12 * 12


@pytest.mark.parametrize("command", [SET, DEL, GET])
def test_what_is_refused(handle: Handle, command: int) -> None:
    if command != GET:
        assert ask(handle, build(CT_LIMIT, command)).errno == EINVAL
    request = build(CT_LIMIT, command, attribute(ZONE_LIMIT, b"\0\0\0"))
    assert ask(handle, request).errno == ERANGE


@pytest.mark.parametrize("count", [653, 654, 5000])
def test_a_reply_has_room_for_653_zones(stream: Handle, count: int) -> None:
    stream.write(build(CT_LIMIT, GET, zones(*((zone, 0) for zone in range(count)))))
    reply = receive(stream)
    if count <= 653:
        assert len(reply.attributes[ZONE_LIMIT]) == 12 * count
    else:
        assert (reply.type, reply.errno) == (ERROR, EMSGSIZE)


def test_who_may(open_handle: Open) -> None:
    reader = open_handle(os.O_RDONLY)
    assert limits(reader) == [(DEFAULT, 0)]
    for command in (SET, DEL):
        request = build(CT_LIMIT, command, zones((1, 1)))
        assert failure(transact, reader, request) == "EPERM"


def test_acknowledgements_dumps_and_silence(open_handle: Open, stream: Handle) -> None:
    watcher = open_handle(os.O_RDWR | os.O_NONBLOCK)
    put(watcher, control.subscribe(GROUP))
    stream.write(build(CT_LIMIT, SET, zones((4, 4)), flags=REQUEST | ACK))
    reply, ack = receive_all(stream)
    assert (reply.type, ack.type, ack.errno) == (CT_LIMIT, ERROR, 0)
    assert receive_all(watcher) == []
    stream.write(build(CT_LIMIT, GET, flags=REQUEST | DUMP))
    assert receive(stream).errno == EOPNOTSUPP
