"""Dumps by the stream door: what netlink_dump() of the kernel does, and what is never lost."""

from __future__ import annotations

import struct
from errno import (
    EBUSY,
    EMSGSIZE,
    ENOBUFS,
    EOPNOTSUPP,
)

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.queue import OVERHEAD, Kind
from ovsdp_cuse.families.session import FIRST_DUMP_PART, LARGEST_DUMP_PART
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlCmd
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NLM_F_MULTI,
    ControlType,
    NetlinkError,
)
from tests.client.families import BIG, BigAttr, BigCmd
from tests.families.doors import (
    ACK,
    DUMP,
    ECHO,
    Daemon,
    Handle,
    Reply,
    build,
    errnos,
    new,
    split,
)

GET = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"})
DUMP_ALL = build(DATAPATH, DpCmd.GET, flags=DUMP)


def header_only(kind: int, flags: int = 1, length: int = 16) -> bytes:
    return NETLINK_HEADER.pack(length, kind, flags, 7, 0)


async def test_a_dump(handle: Handle) -> None:
    await handle.send(*(new(f"br{number}") for number in range(100)))
    await handle.send(DUMP_ALL)
    first = await handle.receive_bytes(40_000)
    rest = []
    while handle.session.queue.bytes:
        rest.append(await handle.receive_bytes(40_000))
    *middle, last = rest
    assert len(first) <= FIRST_DUMP_PART
    assert len(first) > FIRST_DUMP_PART - 120
    assert all(len(part) <= LARGEST_DUMP_PART for part in middle)
    assert len(middle) == 1, "the second part is as large as the reader's buffer lets it be"
    names = [
        DATAPATH.parse(message).attributes[DpAttr.NAME]
        for part in (first, *middle)
        for message in split(part)
    ]
    assert names == [f"br{number}" for number in range(100)]
    done = handle.daemon.parse(last)
    assert isinstance(done, NetlinkError)
    assert done.header == (20, ControlType.DONE, NLM_F_MULTI, 7, handle.pid)


@pytest.mark.parametrize("flags", [0, ACK, ECHO])
async def test_a_dump_of_nothing_is_done_and_no_acknowledgement(handle: Handle, flags: int) -> None:
    (done,) = await handle.ask(build(DATAPATH, DpCmd.GET, flags=DUMP | flags))
    assert isinstance(done, NetlinkError)
    assert (done.header.type, done.errno) == (ControlType.DONE, 0)


async def test_the_attributes_of_a_dump_are_not_looked_at(handle: Handle) -> None:
    request = build(DATAPATH, DpCmd.GET, flags=DUMP, tail=struct.pack("=HHH2x", 6, 2, 0))
    (done,) = await handle.ask(request)
    assert isinstance(done, NetlinkError)
    assert done.header.type == ControlType.DONE


async def test_one_dump_at_a_time(handle: Handle) -> None:
    """It runs until the part with NLMSG_DONE was made, which is when the last part is read."""
    await handle.send(new())
    await handle.send(DUMP_ALL)
    await handle.send(DUMP_ALL)
    entry = await handle.receive()
    (busy,) = await handle.receive()
    assert errnos([*entry, busy]) == [None, EBUSY]
    await handle.send(DUMP_ALL)  # the first one's NLMSG_DONE is queued, not read
    assert errnos(await handle.drain()) == [0, None, 0]


async def test_what_has_no_dump_has_none_while_another_runs(handle: Handle) -> None:
    """EOPNOTSUPP comes before EBUSY, and that before the attributes of the request."""
    await handle.send(new())
    invalid = build(NLCTRL, CtrlCmd.GETPOLICY, flags=DUMP)
    replies = await handle.ask(DUMP_ALL, new(flags=DUMP), invalid)
    assert errnos(replies) == [None, EOPNOTSUPP, EBUSY, 0]


async def test_both_doors_dump_at_the_same_time(handle: Handle) -> None:
    await handle.send(new())
    await handle.write_ioctl(DUMP_ALL)
    await handle.send(DUMP_ALL)
    assert len(await handle.read_ioctl()) == 1
    assert errnos(await handle.drain()) == [None, 0]
    assert errnos(await handle.read_ioctl()) == [0]


async def test_a_dump_waits_while_the_queue_is_more_than_half_full() -> None:
    daemon = Daemon(queue_limit=8192)
    handle = daemon.open()
    await handle.send(*(new(f"br{number}") for number in range(200)))
    await handle.send(DUMP_ALL)
    seen, largest = 0, 0
    while handle.session.queue.bytes:
        largest = max(largest, handle.session.queue.bytes)
        seen += len(await handle.receive(3776))
    assert seen == 201
    assert largest <= 8192


def names_and_end(replies: list[Reply]) -> tuple[list[str], list[int]]:
    """Of a dump among other messages: the names in it, and the errno of each NLMSG_DONE."""
    parts = [r for r in replies if isinstance(r, Message) and r.flags & NLM_F_MULTI]
    ends = [r for r in replies if isinstance(r, NetlinkError) and r.header.type == ControlType.DONE]
    return [part.attributes[DpAttr.NAME] for part in parts], [end.errno for end in ends]


async def drain_overrun(handle: Handle) -> list[Reply]:
    """As `drain`; ENOBUFS is told first."""
    with pytest.raises(DatapathError) as caught:
        await handle.receive()
    assert caught.value.errno == ENOBUFS
    return await handle.drain()


@pytest.mark.parametrize("count", [0, 1, 200])
async def test_a_dump_begun_on_a_congested_queue_is_whole(count: int) -> None:
    handle = Daemon(queue_limit=8192).open()
    names = [f"br{number}" for number in range(count)]
    await handle.send(*map(new, names))
    await handle.send(*(header_only(1, ACK | 1) for _ in range(100)))
    assert handle.session.queue.congested
    await handle.send(DUMP_ALL)
    assert names_and_end(await drain_overrun(handle)) == (names, [0])
    assert not handle.session.stream_dump


async def test_a_dump_that_runs_over_a_congested_queue_is_whole() -> None:
    """Whatever is lost meanwhile, its parts are not; nor does the queue grow beyond its limit."""
    handle = Daemon(queue_limit=8192).open()
    session = handle.session
    names = [f"br{number}" for number in range(200)]
    await handle.send(*map(new, names))
    await handle.send(DUMP_ALL)
    replies: list[Reply] = []
    overruns = 0
    while session.queue.bytes:
        while session.put(Kind.EVENT, GET):
            pass
        assert session.queue.bytes <= 8192 + LARGEST_DUMP_PART
        try:
            replies += await handle.receive()
        except DatapathError as error:
            assert error.errno == ENOBUFS
            overruns += 1
        if names_and_end(replies)[1]:
            break
    assert names_and_end(replies) == (names, [0])
    assert overruns
    assert session.queue.dropped


@pytest.mark.parametrize(
    ("kind", "ioctl"), [(Kind.EVENT, Ioctl.READ_EVENT), (Kind.PACKET, Ioctl.READ_PACKET)]
)
async def test_a_dump_goes_on_when_the_device_door_makes_room(kind: Kind, ioctl: Ioctl) -> None:
    """Who reads the rest by ioctl is not left without the end of its dump."""
    limit, size = 32768, 4096
    handle = Daemon(queue_limit=limit).open()
    queue = handle.session.queue
    names = [f"br{number}" for number in range(200)]
    await handle.send(*map(new, names))
    await handle.send(DUMP_ALL)
    while queue.bytes <= limit // 2 + size + OVERHEAD:
        assert handle.session.put(kind, GET)
    replies = await handle.receive(size)
    assert queue.peek(Kind.REPLY) is None, "the queue is too full for another part"
    while await handle.read_ioctl(ioctl):
        pass
    assert queue.peek(Kind.REPLY) is not None
    replies += await handle.drain()
    assert names_and_end(replies) == (names, [0])


async def test_a_full_queue_takes_no_dump() -> None:
    """Its refusal finds no room either: the next read says that something was lost."""
    handle = Daemon(queue_limit=300).open()
    handle.session.put(Kind.EVENT, GET.ljust(300, b"\0"))
    await handle.send(DUMP_ALL)
    assert handle.session.stream_dump is None
    with pytest.raises(DatapathError) as caught:
        await handle.receive_bytes()
    assert caught.value.errno == ENOBUFS
    assert len(await handle.receive_bytes()) == 300
    assert errnos(await handle.ask(DUMP_ALL)) == [0]


async def test_dumps_that_nobody_reads_are_not_hoarded() -> None:
    """A dump of nothing is over at once, so that another may begin."""
    handle = Daemon(queue_limit=8192).open()
    for _ in range(100):
        await handle.send(*[DUMP_ALL] * 100)
    assert handle.session.queue.bytes <= 8192 + FIRST_DUMP_PART + OVERHEAD
    replies = []
    while handle.session.queue.bytes:
        try:
            replies += await handle.receive()
        except DatapathError as error:
            assert error.errno == ENOBUFS
    assert names_and_end(replies[:1]) == ([], [0])


async def test_an_object_that_is_larger_than_a_part_is_a_part() -> None:
    """It is not split, and the reader may have room for it all the same."""
    handle = Daemon([BIG]).open()
    payload = bytes(LARGEST_DUMP_PART + 1000)
    asked = {BigAttr.PAYLOAD: payload, BigAttr.COUNT: 2}
    await handle.send(build(BIG.schema, BigCmd.ECHO, asked, flags=DUMP))
    with pytest.raises(DatapathError) as caught:
        await handle.receive(LARGEST_DUMP_PART)
    assert caught.value.errno == EMSGSIZE
    for index in range(2):
        (reply,) = await handle.receive()
        assert isinstance(reply, Message)
        assert (reply.dp_ifindex, reply.flags, reply.attributes) == (index, NLM_F_MULTI, asked)
    assert names_and_end(await handle.drain()) == ([], [0])
