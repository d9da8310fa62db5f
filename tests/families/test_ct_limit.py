"""ovs_ct_limit, request by request: the answers of Linux 6.1's openvswitch module."""

from __future__ import annotations

import struct
from errno import EINVAL, EMSGSIZE, EOPNOTSUPP, EPERM, ERANGE
from typing import Any

import pytest

from ovsdp_cuse.families.ct_limit import GROUP, ZONES_MAXIMUM
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.wire.ct_limit import CT_LIMIT, CtLimitAttr, CtLimitCmd, ZoneLimit
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import NetlinkError
from tests.families.doors import ACK, DUMP, Daemon, Handle, build, errno_of

SET, DEL, GET = CtLimitCmd.SET, CtLimitCmd.DEL, CtLimitCmd.GET
ZONE_LIMIT = int(CtLimitAttr.ZONE_LIMIT)


async def ask(handle: Handle, command: int, *limits: ZoneLimit, **more: Any) -> Message | int:
    """The one answer: a message, or an errno."""
    (reply,) = await handle.ask(build(CT_LIMIT, command, {ZONE_LIMIT: limits}, **more))
    return reply.errno if isinstance(reply, NetlinkError) else reply


async def everything(handle: Handle) -> list[tuple[int, int]]:
    """All limits that are set, with the default."""
    (reply,) = await handle.ask(build(CT_LIMIT, GET))
    assert isinstance(reply, Message), reply
    return [(limit.zone_id, limit.limit) for limit in reply.attributes[ZONE_LIMIT]]


async def test_a_conversation_byte_for_byte(handle: Handle) -> None:
    """Requests and replies of capture 7-raw: (command, attributes, attributes or errno)."""
    default_0, default_9 = "ffffffff0000000000000000", "ffffffff0900000000000000"
    zone_0, zone_3 = "000000000000000000000000", "030000000400000000000000"
    zone_4, zone_9 = "040000000400000000000000", "090000000900000000000000"
    for index, command, request, expected in (
        (10, GET, "", "10000100" + default_0),
        (10, GET, "04000100", "04000100"),
        (10, SET, "1c000100" + default_9 + zone_3, ""),
        (10, SET, "10000100" + zone_4, ""),
        (10, SET, "", EINVAL),
        (10, SET, "10000100701101000400000000000000", ""),
        (10, SET, "10000100fbffffff0400000000000000", ""),
        (10, SET, "0e000100000000000000000000000000", ""),
        (10, GET, "", "34000100" + default_9 + zone_0 + zone_3 + zone_4),
        (
            10,
            GET,
            "28000100030000000000000000000000090000000000000000000000ffffffff0000000000000000",
            "28000100" + zone_3 + zone_9 + default_9,
        ),
        (10, GET, "10000100701101000000000000000000", "04000100"),
        (10, DEL, "10000100030000000000000000000000", ""),
        (10, DEL, "10000100ffffffff0000000000000000", ""),
        (10, DEL, "", EINVAL),
        (4242, GET, "", "28000100" + default_0 + zone_0 + zone_4),
    ):
        tail = bytes.fromhex(request)
        await handle.send(build(CT_LIMIT, command, dp_ifindex=index, tail=tail))
        reply = await handle.receive_bytes()
        if isinstance(expected, int):
            parsed = handle.daemon.parse(reply)
            assert isinstance(parsed, NetlinkError)
            assert parsed.errno == expected
        else:
            attributes = bytes.fromhex(expected)
            head = struct.pack("=IHHII", 24 + len(attributes), 0x18, 0, 7, handle.pid)
            assert reply == head + struct.pack("=BBHi", command, 1, 0, index) + attributes


async def test_there_need_be_no_datapath(handle: Handle) -> None:
    """Through neither door."""
    for index in (0, 4242, -1):
        assert isinstance(await ask(handle, SET, ZoneLimit(3, 4), dp_ifindex=index), Message)
        reply = await handle.transact(build(CT_LIMIT, GET, dp_ifindex=index))
        assert isinstance(reply, Message)
        assert reply.dp_ifindex == index


async def test_a_reply_has_room_for_so_many_zones(handle: Handle) -> None:
    for count in (ZONES_MAXIMUM, ZONES_MAXIMUM + 1, 5000):
        reply = await ask(handle, GET, *map(ZoneLimit, range(count)))
        if count > ZONES_MAXIMUM:
            assert reply == EMSGSIZE
        else:
            assert isinstance(reply, Message)
            assert len(reply.attributes[ZONE_LIMIT]) == count
    # The default is one of them, and zones that cannot be do not count.
    limits = [ZoneLimit(zone, 1) for zone in range(ZONES_MAXIMUM - 1)]
    assert isinstance(await ask(handle, SET, *limits, ZoneLimit(70_000, 1)), Message)
    assert len(await everything(handle)) == ZONES_MAXIMUM
    assert isinstance(await ask(handle, SET, ZoneLimit(65535, 1)), Message)
    (error,) = await handle.ask(build(CT_LIMIT, GET))
    assert isinstance(error, NetlinkError)
    assert error.errno == EMSGSIZE


async def test_what_is_too_short_for_an_attribute(handle: Handle) -> None:
    (reply,) = await handle.ask(build(CT_LIMIT, GET, tail=b"\6\0\1\0\0\0\0\0"))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.offset) == (ERANGE, 24)


async def test_there_is_no_dump(handle: Handle) -> None:
    assert await ask(handle, GET, flags=DUMP) == EOPNOTSUPP


async def test_an_acknowledgement_comes_after_the_reply(daemon: Daemon, handle: Handle) -> None:
    watcher = daemon.open()
    daemon.context.sessions.join(watcher.session, GROUP)
    request = build(CT_LIMIT, SET, {ZONE_LIMIT: (ZoneLimit(4, 4),)}, flags=ACK)
    reply, ack = await handle.ask(request)
    assert isinstance(reply, Message)
    assert isinstance(ack, NetlinkError)
    assert (reply.attributes, ack.errno) == ({}, 0)
    assert not watcher.session.queue.bytes, "nobody else is told"


async def test_who_may(daemon: Daemon, handle: Handle) -> None:
    reader = daemon.open(Access.READ)
    assert isinstance(await reader.transact(build(CT_LIMIT, GET)), Message)
    for command in (SET, DEL):
        request = build(CT_LIMIT, command, {ZONE_LIMIT: (ZoneLimit(1, 1),)})
        assert await errno_of(reader.transact(request)) == EPERM
    assert await everything(handle) == [(-1, 0)]


@pytest.mark.parametrize("command", [SET, DEL])
async def test_a_missing_attribute_is_named(handle: Handle, command: CtLimitCmd) -> None:
    (reply,) = await handle.ask(build(CT_LIMIT, command))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message) == (EINVAL, "OVS_CT_LIMIT_ATTR_ZONE_LIMIT is missing")
