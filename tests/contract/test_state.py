"""The family ovsdp_control: what a node's daemon tells of itself, its handles and its datapaths."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.contract import control, datapaths
from tests.contract.conftest import Open
from tests.contract.doors import (
    ask,
    failure,
    get_pid,
    put,
    receive,
    receive_all,
    receive_dump,
    take_dump,
    transact,
)
from tests.contract.messages import (
    DATAPATH,
    DONE,
    DUMP,
    ERROR,
    REQUEST,
    Reply,
    attribute,
    build,
    split_attributes,
    text,
    u32,
)
from tests.nodes.interface import Handle, Node

OVSDP_CONTROL = 0x1A
INFO_GET, HANDLE_GET, DROPS_GET, MASK_GET, METER_GET = 1, 2, 3, 4, 12

VERSION, NODE, PATH, MODE, UID, GID, PROCESS, UPTIME_MS, INTERFACES, HANDLE_LIMIT = range(1, 11)
HANDLES, DATAPATHS = 13, 14

PID, OPENER, OPENER_UID, OPENER_GID, COMMAND, READABLE, WRITABLE, NONBLOCKING = range(1, 9)
GROUPS, QUEUED_REPLIES, QUEUED_EVENTS, DROPPED, DUMPED = 10, 13, 14, 16, 18
REQUESTS, REPLIES, ERRORS, EVENTS, UPCALLS = range(19, 24)

DROPS_NAME, REASONS = 1, 2
REASON, PACKETS = 1, 2
MASK, FLOWS, HITS = 1, 2, 3

FLOW, FLOW_NEW, FLOW_KEY, FLOW_ACTIONS, FLOW_MASK = 0x15, 1, 1, 2, 7
METER, METER_SET, METER_ID, BANDS = 0x19, 2, 1, 4
ENOENT, ENODEV, EINVAL, EOPNOTSUPP = 2, 19, 22, 95


def dump(handle: Handle, command: int, dp_ifindex: int = 0) -> list[Reply]:
    """The messages of a dump by ioctl, without its end."""
    put(handle, build(OVSDP_CONTROL, command, flags=REQUEST | DUMP, dp_ifindex=dp_ifindex))
    messages = [message for part in take_dump(handle) for message in part]
    end = messages.pop()
    assert (end.type, end.errno) == (DONE, 0)
    assert {(m.type, m.command) for m in messages} <= {(OVSDP_CONTROL, command)}
    return messages


def describe(asker: Handle, handle: Handle) -> Reply:
    """What is told of a handle."""
    request = build(OVSDP_CONTROL, HANDLE_GET, attribute(PID, u32(get_pid(handle))))
    reply = ask(asker, request)
    assert reply.type == OVSDP_CONTROL, reply
    return reply


def counts(told: Reply) -> list[int]:
    """Requests, replies, errors, events, upcalls."""
    return [told.number(each) for each in range(REQUESTS, UPCALLS + 1)]


def test_what_serves_the_node(node: Node, open_handle: Open) -> None:
    reader = open_handle(os.O_RDONLY)
    told = ask(reader, build(OVSDP_CONTROL, INFO_GET))
    path = told.string(PATH)
    if node.kind == "fake":
        assert (told.string(NODE), path) == ("memory", "")
    else:
        assert told.string(NODE) == node.kind
        assert told.string(VERSION)[0].isdigit()
        status = Path(path).stat()
        assert told.number(MODE) == status.st_mode & 0o777
        assert (told.number(UID), told.number(GID)) == (status.st_uid, status.st_gid)
        command = Path(f"/proc/{told.number(PROCESS)}/cmdline").read_bytes().split(b"\0")
        assert b"serve" in command
    assert told.string(INTERFACES) == "memory"
    assert told.number(HANDLES) == 1
    assert told.number(DATAPATHS) == 0
    assert told.number(HANDLE_LIMIT) == 512
    later = ask(reader, build(OVSDP_CONTROL, INFO_GET))
    assert later.number(UPTIME_MS) >= told.number(UPTIME_MS)


def test_who_has_opened_a_handle(open_handle: Open) -> None:
    asker, reader = open_handle(), open_handle(os.O_RDONLY | os.O_NONBLOCK)
    told = describe(asker, reader)
    assert told.number(PID) == get_pid(reader)
    assert told.number(OPENER) == os.getpid()
    assert (told.number(OPENER_UID), told.number(OPENER_GID)) == (os.geteuid(), os.getegid())
    assert told.string(COMMAND) == Path("/proc/self/comm").read_text().removesuffix("\n")
    assert {READABLE, NONBLOCKING} == {READABLE, WRITABLE, NONBLOCKING} & told.attributes.keys()
    assert told.attributes[GROUPS] == b""


def test_counts_and_what_waits(open_handle: Open, name: str) -> None:
    asker, handle = open_handle(), open_handle(os.O_RDWR | os.O_NONBLOCK)
    assert counts(describe(asker, handle)) == [0, 0, 0, 0, 0]
    handle.write(datapaths.named(datapaths.GET, "nosuch"))
    told = describe(asker, handle)
    assert counts(told) == [1, 1, 1, 0, 0]
    assert told.number(QUEUED_REPLIES) == 1
    receive_all(handle)
    put(handle, control.subscribe(datapaths.GROUP))
    assert ask(asker, datapaths.new(name)).type == DATAPATH
    told = describe(asker, handle)
    assert counts(told) == [2, 1, 1, 1, 0]
    assert (told.number(QUEUED_REPLIES), told.number(QUEUED_EVENTS)) == (0, 1)
    assert told.attributes[GROUPS] == u32(datapaths.GROUP)
    assert told.number(DROPPED) == 0
    assert receive(handle).string(datapaths.NAME) == name
    assert name.encode() not in describe(asker, handle).raw


def test_a_dump_in_progress(open_handle: Open) -> None:
    asker, handle = open_handle(), open_handle()
    put(handle, build(OVSDP_CONTROL, HANDLE_GET, flags=REQUEST | DUMP))
    assert describe(asker, handle).string(DUMPED) == "OVSDP_CMD_HANDLE_GET"
    take_dump(handle)
    told = describe(asker, handle)
    assert DUMPED not in told.attributes
    assert counts(told) == [1, 2, 0, 0, 0], "a part with the handles, and one with the end"


def test_all_handles_through_both_doors(open_handle: Open) -> None:
    handles = [open_handle(os.O_RDWR | os.O_NONBLOCK) for _ in range(3)]
    wanted = [get_pid(handle) for handle in handles]
    assert [told.number(PID) for told in dump(handles[1], HANDLE_GET)] == wanted
    handles[2].write(build(OVSDP_CONTROL, HANDLE_GET, flags=REQUEST | DUMP))
    *parts, _end = receive_dump(handles[2])
    assert [told.number(PID) for part in parts for told in part] == wanted
    handles[0].close()
    assert [told.number(PID) for told in dump(handles[1], HANDLE_GET)] == wanted[1:]


@pytest.mark.parametrize(
    ("attributes", "errno", "message", "offset"),
    [
        ((), EINVAL, "OVSDP_HANDLE_ATTR_PID is missing", None),
        ((attribute(PID, u32(4242)),), ENOENT, "no open handle has the PID 4242", 24),
    ],
)
def test_no_such_handle(
    handle: Handle, attributes: tuple[bytes, ...], errno: int, message: str, offset: int | None
) -> None:
    reply = ask(handle, build(OVSDP_CONTROL, HANDLE_GET, *attributes))
    assert (reply.type, reply.errno, reply.message) == (ERROR, errno, message)
    assert reply.offset == offset


def test_drops(handle: Handle, name: str, datapath: int) -> None:
    one = ask(handle, build(OVSDP_CONTROL, DROPS_GET, dp_ifindex=datapath))
    (found,) = dump(handle, DROPS_GET)
    for told in (one, found):
        assert (told.dp_ifindex, told.string(DROPS_NAME)) == (datapath, name)
        reasons = [
            dict(split_attributes(reason)) for _n, reason in split_attributes(told.attributes[2])
        ]
        names = [reason[REASON].rstrip(b"\0").decode() for reason in reasons]
        assert {"upcall lost", "no actions", "meter"} < set(names)
        assert {reason[PACKETS] for reason in reasons} == {bytes(8)}


def test_no_such_datapath(stream: Handle) -> None:
    assert failure(transact, stream, build(OVSDP_CONTROL, DROPS_GET, dp_ifindex=777)) == "ENODEV"
    stream.write(build(OVSDP_CONTROL, DROPS_GET, dp_ifindex=777))
    reply = receive(stream)
    assert (reply.errno, reply.message) == (ENODEV, "no datapath has the index 777")
    for command in (MASK_GET, METER_GET):
        stream.write(build(OVSDP_CONTROL, command, flags=REQUEST | DUMP, dp_ifindex=777))
        assert receive(stream).errno == ENODEV
        stream.write(build(OVSDP_CONTROL, command, dp_ifindex=777))
        assert receive(stream).errno == EOPNOTSUPP
    assert dump(stream, DROPS_GET) == []


def test_masks(handle: Handle, datapath: int) -> None:
    """As the flows have them, in the order of look-ups: the newest last."""
    masks = [attribute(3, u32(0xFFFFFFFF)), attribute(4, b"\xff" * 12)]
    for port, mask in enumerate(masks, 1):
        key = attribute(3, u32(port)) + attribute(4, bytes(12)) + attribute(6, b"\x12\x34")
        flow = [
            attribute(FLOW_KEY, key),
            attribute(FLOW_ACTIONS, b""),
            attribute(FLOW_MASK, mask),
        ]
        put(handle, build(FLOW, FLOW_NEW, *flow, dp_ifindex=datapath))
    told = dump(handle, MASK_GET, datapath)
    assert [(m.number(FLOWS), m.number(HITS), m.dp_ifindex) for m in told] == [(1, 0, datapath)] * 2
    for message, mask in zip(told, masks, strict=True):
        ((number, payload),) = split_attributes(mask)
        assert dict(split_attributes(message.attributes[MASK]))[number] == payload


def test_meters(handle: Handle, datapath: int) -> None:
    band = attribute(1, u32(1)) + attribute(2, u32(10)) + attribute(3, u32(20))
    for number in (8, 3):
        meter = attribute(METER_ID, u32(number)) + attribute(BANDS, attribute(0, band))
        assert ask(handle, build(METER, METER_SET, meter, dp_ifindex=datapath)).type == METER
    third, eighth = dump(handle, METER_GET, datapath)
    assert (third.number(METER_ID), eighth.number(METER_ID)) == (3, 8)
    ((index, told),) = split_attributes(third.attributes[BANDS])
    assert (index, told) == (0, band + attribute(4, struct.pack("=QQ", 0, 0)))


def test_a_handle_for_reading_may_ask_for_all_of_it(
    open_handle: Open, handle: Handle, datapath: int
) -> None:
    reader = open_handle(os.O_RDONLY)
    requests = {
        INFO_GET: b"",
        HANDLE_GET: attribute(PID, u32(get_pid(handle))),
        DROPS_GET: b"",
    }
    for command, attributes in requests.items():
        request = build(OVSDP_CONTROL, command, attributes, dp_ifindex=datapath)
        assert ask(reader, request).type == OVSDP_CONTROL
    for command in (HANDLE_GET, DROPS_GET):
        assert dump(reader, command)
    for command in (MASK_GET, METER_GET):
        assert dump(reader, command, datapath) == []


def test_who_has_the_family_by_name(handle: Handle) -> None:
    reply = ask(handle, build(0x10, 3, attribute(2, text("ovsdp_control"))))
    assert reply.number(1) == OVSDP_CONTROL
