"""The family ovs_meter: what Linux 6.1 answers, request by request."""

from __future__ import annotations

import os
import struct

import pytest

from tests.contract import control
from tests.contract.conftest import Open
from tests.contract.doors import ask, failure, get_pid, put, receive, receive_all, transact
from tests.contract.messages import (
    ACK,
    DUMP,
    ECHO,
    ERROR,
    REQUEST,
    Reply,
    attribute,
    build,
    split_attributes,
    u32,
)
from tests.nodes.interface import Handle

METER = 0x19
GROUP = 104
FEATURES, SET, DEL, GET = 1, 2, 3, 4
ID, KBPS, STATS, BANDS, USED, CLEAR, MAX_METERS, MAX_BANDS = range(1, 9)
TYPE, RATE, BURST = 1, 2, 3
BAND_STATS = 4
DROP = 1

EPERM, ENOENT, EBUSY, EINVAL, ENODEV, ERANGE, EOPNOTSUPP = 1, 2, 16, 22, 19, 34, 95


def bands(type_: int = DROP, rate: int = 1000, burst: int = 100) -> bytes:
    """OVS_METER_ATTR_BANDS of one band."""
    attributes = ((TYPE, type_), (RATE, rate), (BURST, burst))
    band = b"".join(attribute(number, u32(value)) for number, value in attributes)
    return attribute(BANDS, attribute(0, band))


def id_(meter_id: int) -> bytes:
    """OVS_METER_ATTR_ID."""
    return attribute(ID, u32(meter_id))


def set_meter(handle: Handle, datapath: int, meter_id: int, *more: bytes) -> Reply:
    """Make a meter."""
    request = build(METER, SET, id_(meter_id), bands(), *more, dp_ifindex=datapath)
    reply = ask(handle, request)
    assert reply.type == METER, reply
    return reply


def numbers(raw: bytes) -> list[int]:
    """The attribute numbers of a reply, in order."""
    return [number for number, _payload in split_attributes(raw[24:])]


def test_features_byte_for_byte(stream: Handle, datapath: int) -> None:
    """As captured, but for the identifiers: 56 bytes."""
    stream.write(build(METER, FEATURES, sequence=9, dp_ifindex=datapath))
    attributes = bytes.fromhex("08000700400d03000800080001000000100004000c0000000800010001000000")
    header = struct.pack("=IHHIIBBHi", 56, METER, 0, 9, get_pid(stream), FEATURES, 1, 0, datapath)
    assert receive(stream).raw == header + attributes


def test_a_meter_from_its_making_to_its_end(handle: Handle, datapath: int) -> None:
    assert set_meter(handle, datapath, 1).attributes == {ID: u32(1)}
    found = ask(handle, build(METER, GET, id_(1), dp_ifindex=datapath))
    assert numbers(found.raw) == [ID, STATS, USED, BANDS]
    assert len(found.raw) == 92
    assert found.attributes[STATS] == bytes(16)
    assert found.attributes[BANDS] == attribute(0, attribute(BAND_STATS, bytes(16)))
    replaced = transact(handle, build(METER, SET, id_(1), bands(), dp_ifindex=datapath))
    assert numbers(replaced) == [ID, ID, STATS, USED, BANDS]
    assert len(replaced) == 100
    gone = ask(handle, build(METER, DEL, id_(1), dp_ifindex=datapath))
    assert numbers(gone.raw) == [ID, STATS, USED, BANDS]
    assert ask(handle, build(METER, DEL, id_(1), dp_ifindex=datapath)).attributes == {}
    assert ask(handle, build(METER, GET, id_(1), dp_ifindex=datapath)).errno == ENOENT


def test_used_is_when_a_meter_was_made(handle: Handle, datapath: int) -> None:
    used = []
    for meter_id in (1, 2):
        set_meter(handle, datapath, meter_id)
        reply = ask(handle, build(METER, GET, id_(meter_id), dp_ifindex=datapath))
        used.append(reply.number(USED))
    assert 0 < used[0] <= used[1] < used[0] + 600_000


@pytest.mark.parametrize("flags", [REQUEST, REQUEST | ECHO, REQUEST | ACK])
def test_every_command_has_one_reply(stream: Handle, datapath: int, flags: int) -> None:
    """An acknowledgement comes behind it, where it is asked for."""
    for command in (FEATURES, SET, GET, DEL, DEL):
        stream.write(
            build(METER, command, id_(7), bands(), flags=flags, dp_ifindex=datapath, sequence=5)
        )
        reply, *more = receive_all(stream)
        assert (reply.type, reply.command, reply.flags) == (METER, command, 0)
        assert [(ack.type, ack.errno) for ack in more] == ([(ERROR, 0)] if flags & ACK else [])


@pytest.mark.parametrize(
    ("attributes", "errno"),
    [
        pytest.param(bands(), EINVAL, id="no ID"),
        pytest.param(id_(1), EINVAL, id="no BANDS"),
        pytest.param(id_(1) + attribute(BANDS, bytes.fromhex("04000000") * 2), EINVAL, id="two"),
        pytest.param(id_(1) + attribute(BANDS, bytes.fromhex("04000000")), EINVAL, id="empty band"),
        pytest.param(id_(1) + attribute(BANDS, b"\0\0"), ERANGE, id="BANDS of two bytes"),
        pytest.param(id_(1) + bands(rate=0), EINVAL, id="rate 0"),
        pytest.param(id_(1) + bands() + attribute(STATS, bytes(8)), ERANGE, id="short STATS"),
        pytest.param(id_(1) + bands() + attribute(KBPS, b"x"), ERANGE, id="a flag's value"),
        pytest.param(attribute(ID, b"\1\0") + bands(), ERANGE, id="short ID"),
    ],
)
def test_set_refuses(handle: Handle, datapath: int, attributes: bytes, errno: int) -> None:
    reply = ask(handle, build(METER, SET, attributes, dp_ifindex=datapath))
    assert (reply.type, reply.errno) == (ERROR, errno)
    assert reply.message
    assert ask(handle, build(METER, GET, id_(1), dp_ifindex=datapath)).errno == ENOENT


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param(bands(type_=2), id="a band of another type"),
        pytest.param(bands(burst=0), id="no burst"),
        pytest.param(attribute(BANDS, b""), id="no bands"),
        pytest.param(attribute(40, b"x") + bands(), id="an unknown attribute"),
        pytest.param(bands() + attribute(MAX_METERS, u32(1)), id="what only replies have"),
    ],
)
def test_set_accepts(handle: Handle, datapath: int, attributes: bytes) -> None:
    reply = ask(handle, build(METER, SET, id_(200_001), attributes, dp_ifindex=datapath))
    assert reply.attributes == {ID: u32(200_001)}


def test_given_statistics(handle: Handle, datapath: int) -> None:
    given = struct.pack("=QQ", 5, 2**64 - 1)
    set_meter(handle, datapath, 1, attribute(STATS, given))
    found = ask(handle, build(METER, GET, id_(1), dp_ifindex=datapath))
    assert found.attributes[STATS] == given
    set_meter(handle, datapath, 1, attribute(STATS, given), attribute(CLEAR, b""))
    found = ask(handle, build(METER, GET, id_(1), dp_ifindex=datapath))
    assert found.attributes[STATS] == bytes(16)
    assert set_meter(handle, datapath, 1).attributes == {ID: u32(1)}, "CLEAR keeps them to itself"


def test_ids_that_differ_by_1024(handle: Handle, datapath: int) -> None:
    set_meter(handle, datapath, 7)
    request = build(METER, SET, id_(7 + 1024), bands(), dp_ifindex=datapath)
    assert ask(handle, request).errno == EBUSY


@pytest.mark.parametrize("command", [FEATURES, SET, DEL, GET])
def test_there_is_no_datapath(stream: Handle, datapath: int, command: int) -> None:
    """The stream door answers with an error; the device door fails, as for every family."""
    for index in (4242, -1):
        request = build(METER, command, id_(1), bands(), dp_ifindex=index)
        stream.write(request)
        assert receive(stream).errno == ENODEV
        assert failure(transact, stream, request) == "ENODEV"
    stream.write(build(METER, command, id_(1), bands()))
    assert receive(stream).errno == ENODEV, "0 is nobody"
    reply = ask(stream, build(METER, command, id_(1), bands()))
    assert reply.dp_ifindex == datapath or reply.errno == ENOENT, "0 is the default here"


def test_who_may(open_handle: Open, handle: Handle, datapath: int) -> None:
    set_meter(handle, datapath, 1)
    reader = open_handle(os.O_RDONLY)
    for command in (FEATURES, GET):
        request = build(METER, command, id_(1), dp_ifindex=datapath)
        assert ask(reader, request).command == command
    for command in (SET, DEL):
        request = build(METER, command, id_(1), bands(), dp_ifindex=datapath)
        assert failure(transact, reader, request) == "EPERM"


def test_there_is_no_dump(stream: Handle, datapath: int) -> None:
    stream.write(build(METER, GET, flags=REQUEST | DUMP, dp_ifindex=datapath))
    assert receive(stream).errno == EOPNOTSUPP


def test_the_group_is_silent(open_handle: Open, stream: Handle, datapath: int) -> None:
    watcher = open_handle(os.O_RDWR | os.O_NONBLOCK)
    put(watcher, control.subscribe(GROUP))
    set_meter(stream, datapath, 1)
    assert receive_all(watcher) == []
