"""ovs_meter, request by request: the answers of Linux 6.1's openvswitch module."""

from __future__ import annotations

import struct
from errno import EBUSY, EFBIG, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, ERANGE
from typing import Any

import pytest

from ovsdp_cuse.families.meter import GROUP
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.switch.meter import MeterTable
from ovsdp_cuse.wire.attributes import Attributes, walk
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.meter import BANDS, METER, BandAttr, MeterAttr, MeterCmd, MeterStats
from ovsdp_cuse.wire.netlink import NetlinkError
from tests.families.doors import ACK, DUMP, ECHO, Daemon, Handle, build, errno_of, make

ID, KBPS, STATS, BANDS_ATTR = MeterAttr.ID, MeterAttr.KBPS, MeterAttr.STATS, MeterAttr.BANDS
TYPE, RATE, BURST = BandAttr.TYPE, BandAttr.RATE, BandAttr.BURST
FEATURES, SET, DEL, GET = MeterCmd.FEATURES, MeterCmd.SET, MeterCmd.DEL, MeterCmd.GET

BAND_1000_100 = BANDS.encode({0: {TYPE: 1, RATE: 1000, BURST: 100}})
NOW_MS = 0x10CFB


class Clock:
    """Milliseconds that a test sets."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
async def meters(handle: Handle) -> MeterTable:
    """The meters of the datapath 1, which is there."""
    await make(handle, "br0")
    datapath = handle.daemon.context.switch.lookup(1)
    assert datapath is not None
    return datapath.meters


@pytest.fixture
def clock(daemon: Daemon) -> Clock:
    """The clock of the switch."""
    daemon.context.switch.clock = clock = Clock()
    return clock


async def ask(handle: Handle, command: int, attributes: Any = None, **more: Any) -> Message | int:
    """The one answer: a message, or an errno."""
    (reply,) = await handle.ask(build(METER, command, attributes, **{"dp_ifindex": 1} | more))
    return reply.errno if isinstance(reply, NetlinkError) else reply


async def put(handle: Handle, meter_id: int, more: Any = None) -> Message:
    """Make a meter."""
    reply = await ask(handle, SET, {ID: meter_id, BANDS_ATTR: BAND_1000_100} | (more or {}))
    assert isinstance(reply, Message), reply
    return reply


def band_stats(reply: Message) -> list[tuple[int, ...]]:
    return [
        tuple(band[BandAttr.STATS]) for band in BANDS.decode(reply.attributes[4], False).values()
    ]


async def test_a_conversation_byte_for_byte(
    handle: Handle, meters: MeterTable, clock: Clock
) -> None:
    """Requests and replies of capture 7-raw: (time, command, attributes, attributes or errno)."""
    band = "1c000000080001000100000008000200e80300000800030064000000"
    told = (
        "14000300000000000000000000000000000000000c000500{}00000000"
        "1c000400180000001400040000000000000000000000000000000000"
    )
    one, times = "0800010001000000", ("fb0c0100", "1a0e0100")
    for at_ms, command, request, expected in (
        (0, FEATURES, "", "08000700400d03000800080001000000100004000c0000000800010001000000"),
        (0, SET, "20000400" + band, EINVAL),
        (0, SET, one, EINVAL),
        (0x10CFB, SET, one + "0400020020000400" + band, one),
        (0x10E1A, SET, one + "0400020020000400" + band, one + one + told.format(times[0])),
        (0, SET, "08000100410d030020000400" + band, "08000100410d0300"),
        (0, SET, "08000100020000003c000400" + band + "1c000100" + band[8:], EINVAL),
        (0, SET, "080001000200000020000400" + band.replace("010001", "010002"), "0800010002000000"),
        (0, SET, "080001000300000004000400", "0800010003000000"),
        (0, GET, one, one + told.format(times[1])),
        (0, GET, "080001004d000000", ENOENT),
        (0, GET, "", EINVAL),
        (0, DEL, one, one + told.format(times[1])),
        (0, DEL, one, ""),
    ):
        clock.now_ms = at_ms
        await handle.send(build(METER, command, dp_ifindex=1, tail=bytes.fromhex(request)))
        reply = await handle.receive_bytes()
        if isinstance(expected, int):
            parsed = handle.daemon.parse(reply)
            assert isinstance(parsed, NetlinkError)
            assert parsed.errno == expected
        else:
            attributes = bytes.fromhex(expected)
            head = struct.pack("=IHHII", 24 + len(attributes), 0x19, 0, 7, handle.pid)
            assert reply == head + struct.pack("=BBHi", command, 1, 0, 1) + attributes


# Errors ----------------------------------------------------------------------------------------


def band(**attributes: int) -> bytes:
    """OVS_METER_ATTR_BANDS of one band."""
    return BANDS.encode({0: {BandAttr[name]: value for name, value in attributes.items()}})


SHORT = struct.pack("=HHHHH2x", 12, 0, 6, RATE, 0)
"""A band whose RATE has two bytes."""


@pytest.mark.parametrize(
    ("attributes", "tail", "errno", "offset"),
    [
        pytest.param({BANDS_ATTR: BAND_1000_100}, b"", EINVAL, None, id="no ID"),
        pytest.param({ID: 1}, b"", EINVAL, None, id="no BANDS"),
        pytest.param({ID: 1, BANDS_ATTR: band(RATE=1, BURST=1)}, b"", EINVAL, 36, id="no TYPE"),
        pytest.param({ID: 1, BANDS_ATTR: band(TYPE=1, BURST=1)}, b"", EINVAL, 36, id="no RATE"),
        pytest.param({ID: 1, BANDS_ATTR: band(TYPE=1, RATE=1)}, b"", EINVAL, 36, id="no BURST"),
        pytest.param(
            {ID: 1, BANDS_ATTR: band(TYPE=1, RATE=0, BURST=1)}, b"", EINVAL, 48, id="rate 0"
        ),
        pytest.param({ID: 1, BANDS_ATTR: SHORT}, b"", ERANGE, 40, id="a short RATE"),
        pytest.param({ID: 1, BANDS_ATTR: SHORT * 2}, b"", EINVAL, 32, id="two bands of one number"),
        pytest.param({ID: 1}, b"\6\0\4\0\0\0\0\0", ERANGE, 32, id="BANDS of two bytes"),
        pytest.param({}, b"\6\0\1\0\0\0\0\0", ERANGE, 24, id="an ID of two bytes"),
        pytest.param(
            {ID: 1, BANDS_ATTR: BAND_1000_100}, bytes((12, 0, 3, 0)) + bytes(8), ERANGE, 64,
            id="short STATS",
        ),
        pytest.param(
            {ID: 1, BANDS_ATTR: BAND_1000_100}, b"\5\0\2\0\0\0\0\0", ERANGE, 64, id="a flag's value"
        ),
    ],
)  # fmt: skip
async def test_set_refuses(
    handle: Handle,
    meters: MeterTable,
    attributes: Attributes,
    tail: bytes,
    errno: int,
    offset: int | None,
) -> None:
    (reply,) = await handle.ask(build(METER, SET, attributes, dp_ifindex=1, tail=tail))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.offset) == (errno, offset)
    assert len(meters) == 0


async def test_bad_bands_matter_to_set_only(handle: Handle, meters: MeterTable) -> None:
    await put(handle, 1)
    for command in (FEATURES, GET, DEL):
        assert isinstance(await ask(handle, command, {ID: 1, BANDS_ATTR: SHORT}), Message)


async def test_what_is_left_over_in_a_band_is_ignored(handle: Handle, meters: MeterTable) -> None:
    attributes = {ID: 1, BANDS_ATTR: BAND_1000_100 + b"\0"}
    assert isinstance(await ask(handle, SET, attributes), Message)
    inner = BAND_1000_100[4:] + b"\xff\xff\1\0"
    attributes = {ID: 1, BANDS_ATTR: struct.pack("=HH", 4 + len(inner), 77) + inner}
    assert isinstance(await ask(handle, SET, attributes), Message)
    meter = meters.lookup(1)
    assert meter is not None
    assert [(b.type, b.rate, b.burst) for b in meter.bands] == [(1, 1000, 100)]


@pytest.mark.parametrize("command", [FEATURES, SET, GET, DEL])
async def test_no_datapath(handle: Handle, meters: MeterTable, command: MeterCmd) -> None:
    attributes = {ID: 1, BANDS_ATTR: BAND_1000_100}
    for index in (0, 4242, -1):
        assert await ask(handle, command, attributes, dp_ifindex=index) == ENODEV
    if command != FEATURES:
        assert await ask(handle, command, {}, dp_ifindex=4242) == EINVAL, "the ID comes first"
        assert await ask(handle, command, {}) == EINVAL


async def test_limits(handle: Handle, meters: MeterTable) -> None:
    await put(handle, 1)
    attributes = {ID: 1 + 1024, BANDS_ATTR: BAND_1000_100}
    assert await ask(handle, SET, attributes) == EBUSY
    meters.limit = 2
    assert await ask(handle, SET, attributes) == EFBIG
    reply = await ask(handle, FEATURES)
    assert isinstance(reply, Message)
    assert reply.attributes[MeterAttr.MAX_METERS] == 2


async def test_who_may(daemon: Daemon, handle: Handle, meters: MeterTable) -> None:
    await put(handle, 1)
    reader = daemon.open(Access.READ)
    attributes = {ID: 1, BANDS_ATTR: BAND_1000_100}
    for command in (FEATURES, GET):
        await reader.transact(build(METER, command, attributes, dp_ifindex=1))
    for command in (SET, DEL):
        request = build(METER, command, attributes, dp_ifindex=1)
        assert await errno_of(reader.transact(request)) == EPERM
    assert len(meters) == 1


# Replies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, ECHO])
async def test_every_command_is_answered_and_nobody_else_is_told(
    daemon: Daemon, handle: Handle, meters: MeterTable, flags: int
) -> None:
    watcher = daemon.open()
    daemon.context.sessions.join(watcher.session, GROUP)
    for command in (FEATURES, SET, SET, GET, DEL, DEL):
        attributes = {ID: 9, BANDS_ATTR: BAND_1000_100}
        reply = await ask(handle, command, attributes, flags=flags)
        assert isinstance(reply, Message)
        assert (reply.command, reply.version, reply.dp_ifindex) == (command, 1, 1)
    replies = await handle.ask(build(METER, GET, {ID: 9}, flags=ACK, dp_ifindex=1))
    assert len(replies) == 1, "an error, and no acknowledgement beside it"
    assert not watcher.session.queue.bytes


async def test_there_is_no_dump(handle: Handle, meters: MeterTable) -> None:
    await put(handle, 1)
    assert await ask(handle, GET, {ID: 1}, flags=DUMP) == EOPNOTSUPP


async def test_statistics(handle: Handle, meters: MeterTable, clock: Clock) -> None:
    one = BANDS.encode({0: {TYPE: 1, RATE: 1, BURST: 1}})
    assert isinstance(await ask(handle, SET, {ID: 5, BANDS_ATTR: one}), Message)
    assert [meters.apply(5, 60, NOW_MS + 7) for _ in range(3)] == [False, True, True]
    reply = await ask(handle, GET, {ID: 5})
    assert isinstance(reply, Message)
    assert (reply.attributes[STATS], reply.attributes[MeterAttr.USED]) == ((3, 180), NOW_MS + 7)
    assert band_stats(reply) == [(2, 120)]
    old = await put(handle, 5)
    assert old.attributes[STATS] == (3, 180), "SET tells what the old one has counted"
    assert band_stats(old) == [(2, 120)]
    reply = await ask(handle, GET, {ID: 5})
    assert isinstance(reply, Message)
    assert (reply.attributes[STATS], reply.attributes[MeterAttr.USED]) == ((0, 0), NOW_MS)


async def test_given_statistics_are_kept_unless_they_are_cleared(
    handle: Handle, meters: MeterTable
) -> None:
    given = {STATS: MeterStats(2**64 - 1, 5)}
    await put(handle, 1, given)
    meter = meters.lookup(1)
    assert meter is not None
    meter.apply(60, 0)
    reply = await ask(handle, GET, {ID: 1})
    assert isinstance(reply, Message)
    assert reply.attributes[STATS] == (0, 65), "the counters have 64 bits"
    await put(handle, 1, given | {MeterAttr.CLEAR: True})
    reply = await put(handle, 1)
    assert list(reply.attributes) == [ID], "a meter that was made with CLEAR keeps them to itself"


async def test_the_id_stands_twice_when_a_meter_is_replaced(
    handle: Handle, meters: MeterTable
) -> None:
    await put(handle, 1)
    message = build(METER, SET, {ID: 1, BANDS_ATTR: BAND_1000_100}, dp_ifindex=1)
    reply = await handle.transact_bytes(message)
    assert [number for _offset, number, _payload in walk(reply, 24)] == [1, 1, 3, 5, 4]


async def test_units(handle: Handle, meters: MeterTable) -> None:
    await put(handle, 1, {KBPS: True})
    await put(handle, 2)
    found = [meters.lookup(meter_id) for meter_id in (1, 2)]
    assert [meter.is_kbps for meter in found if meter is not None] == [True, False]


async def test_datapaths_have_meters_of_their_own(handle: Handle, meters: MeterTable) -> None:
    await make(handle, "br1")
    await put(handle, 1)
    assert await ask(handle, GET, {ID: 1}, dp_ifindex=2) == ENOENT
