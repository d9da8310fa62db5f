"""ovs_datapath, request by request: the answers of Linux 6.1's openvswitch module."""

from __future__ import annotations

import struct
from errno import EEXIST, EINVAL, ENODEV, EOPNOTSUPP, ERANGE
from typing import Any

import pytest

from ovsdp_cuse.families.datapath import GROUP
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd, DpStats, MegaflowStats
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import NetlinkError
from tests.families.doors import ACK, CPU_COUNT, DUMP, ECHO, Daemon, Handle, build

NAME, PID, FEATURES = DpAttr.NAME, DpAttr.UPCALL_PID, DpAttr.USER_FEATURES
CACHE, PER_CPU, IFINDEX = DpAttr.MASKS_CACHE_SIZE, DpAttr.PER_CPU_PIDS, DpAttr.IFINDEX
PER_CPU_DISPATCH = 8


async def ask(handle: Handle, command: int, attributes: Any = None, **more: Any) -> Message | int:
    """What NLM_F_ECHO answers: a message, or an errno."""
    (reply,) = await handle.ask(build(DATAPATH, command, attributes, flags=ECHO, **more))
    return reply.errno if isinstance(reply, NetlinkError) else reply


async def new(handle: Handle, name: str, more: Any = None, **fields: Any) -> Message | int:
    return await ask(handle, DpCmd.NEW, {NAME: name, PID: (0,)} | (more or {}), **fields)


async def make(handle: Handle, name: str, more: Any = None) -> Datapath:
    """A datapath that is there."""
    reply = await new(handle, name, more)
    assert isinstance(reply, Message), reply
    datapath = handle.daemon.context.switch.lookup(reply.dp_ifindex)
    assert datapath is not None
    return datapath


def settings_of(datapath: Datapath) -> tuple[int, int, tuple[int, ...]]:
    settings = datapath.settings
    return settings.user_features, settings.masks_cache_size, settings.per_cpu_pids


# NEW --------------------------------------------------------------------------------------------


async def test_a_new_datapath(handle: Handle) -> None:
    """All replies have the same attributes in the same order: 120 bytes for a short name."""
    reply = await new(handle, "rd0")
    assert isinstance(reply, Message)
    assert (reply.command, reply.version, reply.dp_ifindex) == (DpCmd.NEW, 2, 1)
    assert list(reply.attributes.items()) == [
        (NAME, "rd0"),
        (DpAttr.STATS, DpStats()),
        (DpAttr.MEGAFLOW_STATS, MegaflowStats()),
        (FEATURES, 0),
        (CACHE, 256),
    ]
    assert len(DATAPATH.build(reply)) == 120


@pytest.mark.parametrize(
    ("attributes", "tail", "errno"),
    [
        pytest.param({PID: (0,)}, b"", EINVAL, id="no NAME"),
        pytest.param({NAME: "x"}, b"", EINVAL, id="no UPCALL_PID"),
        pytest.param({}, b"", EINVAL, id="neither"),
        pytest.param({NAME: "a" * 16, PID: (0,)}, b"", EINVAL, id="name of 16 bytes"),
        *(
            pytest.param({NAME: name, PID: (0,)}, b"", EINVAL, id=f"name {name!r}")
            for name in ("", ".", "..", "a/b", "a:b", "a b", "a\tb", "%", "%s", "%d%d", "%%d")
        ),
        pytest.param({NAME: "x"}, struct.pack("=HHH2x", 6, 2, 0), ERANGE, id="PID of 2 bytes"),
        pytest.param({NAME: "x"}, struct.pack("=HHIB3x", 9, 2, 0, 0), EINVAL, id="PID of 5 bytes"),
        pytest.param({NAME: "x", PID: (1,) * (CPU_COUNT + 1)}, b"", EINVAL, id="too many PIDs"),
        pytest.param({NAME: "x", PID: (0,), FEATURES: 0x10}, b"", EOPNOTSUPP, id="features 0x10"),
        pytest.param({NAME: "x", PID: (0,), FEATURES: 4}, b"", EOPNOTSUPP, id="recirc sharing"),
        pytest.param(
            {NAME: "x", PID: (0,), FEATURES: 0x80000003}, b"", EOPNOTSUPP, id="the probe of OVS"
        ),
        pytest.param({NAME: "x", PID: (0,), CACHE: 100}, b"", EINVAL, id="cache of 100"),
        pytest.param({NAME: "x", PID: (0,), CACHE: 1 << 20}, b"", ERANGE, id="cache of 1 << 20"),
        pytest.param({NAME: "x", PID: (0,), IFINDEX: -1}, b"", ERANGE, id="index -1"),
        pytest.param(
            {NAME: "x", PID: (0,), FEATURES: 8, PER_CPU: ()}, b"", EINVAL, id="no PID for a CPU"
        ),
    ],
)
async def test_new_refuses(handle: Handle, attributes: Attributes, tail: bytes, errno: int) -> None:
    assert await ask(handle, DpCmd.NEW, attributes, tail=tail) == errno
    assert not len(handle.daemon.context.switch), "a failure leaves nothing"
    assert await new(handle, "x") != errno


@pytest.mark.parametrize("version", [0, 1, 2, 77])
async def test_a_name_in_use(handle: Handle, version: int) -> None:
    """A client from before user features drops those that are there, and is refused all the
    same."""
    datapath = await make(handle, "x", {FEATURES: 3})
    assert await new(handle, "x", version=version) == EEXIST
    assert datapath.settings.user_features == (0 if version < 2 else 3)
    assert len(handle.daemon.context.switch) == 1


async def test_indices_count_up_and_an_explicit_one_does_not_move_the_counter(
    handle: Handle,
) -> None:
    """As capture 7-raw: 9, 10, 777, 11."""
    indices = [
        (await make(handle, "a")).index,
        (await make(handle, "b")).index,
        (await make(handle, "c", {IFINDEX: 777})).index,
        (await make(handle, "d", {IFINDEX: 0})).index,
    ]
    assert indices == [1, 2, 777, 3]
    assert await new(handle, "e", {IFINDEX: 777}) == EEXIST
    assert handle.daemon.context.switch.lookup_name("e") is None
    assert isinstance(await ask(handle, DpCmd.DEL, {NAME: "d"}), Message)
    assert (await make(handle, "f")).index == 4, "no index is used again at once"


async def test_the_index_of_the_header_does_not_matter_to_new(handle: Handle) -> None:
    reply = await new(handle, "x", dp_ifindex=4711)
    assert isinstance(reply, Message)
    assert reply.dp_ifindex == 1


async def test_a_number_is_put_into_a_name(handle: Handle) -> None:
    names = [(await make(handle, "dp%d")).name for _ in range(3)]
    assert names == ["dp0", "dp1", "dp2"]
    await ask(handle, DpCmd.DEL, {NAME: "dp1"})
    assert (await make(handle, "dp%d")).name == "dp1"


async def test_datapaths_have_settings_of_their_own(handle: Handle) -> None:
    first = await make(handle, "a", {FEATURES: 9, CACHE: 0, PER_CPU: (7,)})
    second = await make(handle, "b")
    assert (settings_of(first), settings_of(second)) == ((9, 0, (7,)), (0, 256, ()))
    await ask(handle, DpCmd.SET, {NAME: "b", FEATURES: 1})
    assert (settings_of(first), settings_of(second)) == ((9, 0, (7,)), (1, 256, ()))


async def test_upcall_pids(handle: Handle) -> None:
    assert (await make(handle, "a", {PID: (5,)})).local.upcall_pids == (5,)
    assert (await make(handle, "b", {PID: (5, 6)})).local.upcall_pids == (5, 6)


# Which datapath ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [DpCmd.GET, DpCmd.SET, DpCmd.DEL])
async def test_lookup(handle: Handle, command: DpCmd) -> None:
    """By name alone where there is one, whatever dp_ifindex says; else by index; 0 is nobody."""
    for name in ("a", "b", "c"):
        await make(handle, name)
    for attributes, index, expected in (
        ({NAME: "b"}, 0, 2),
        ({NAME: "c"}, 1, 3),
        ({}, 1, 1),
        ({NAME: "nothing"}, 1, ENODEV),
        ({}, 4711, ENODEV),
        ({}, -1, ENODEV),
        ({}, 0, ENODEV),
    ):
        reply = await ask(handle, command, attributes, dp_ifindex=index)
        found = reply.dp_ifindex if isinstance(reply, Message) else reply
        assert found == expected, (attributes, index)


@pytest.mark.parametrize("command", [DpCmd.GET, DpCmd.SET, DpCmd.DEL])
async def test_values_are_checked_before_the_lookup(handle: Handle, command: DpCmd) -> None:
    assert await ask(handle, command, {IFINDEX: -1}) == ERANGE
    assert await ask(handle, command, {IFINDEX: 1}) == ENODEV


async def test_unknown_attributes_are_ignored(handle: Handle) -> None:
    await make(handle, "x")
    assert isinstance(
        await ask(handle, DpCmd.GET, {NAME: "x"}, tail=struct.pack("=HHI", 8, 40, 0)), Message
    )
    # Structures that only the kernel tells have no policy.
    assert isinstance(
        await ask(handle, DpCmd.GET, {NAME: "x"}, tail=struct.pack("=HHI", 8, 3, 0)), Message
    )


async def test_deleting_shows_the_datapath_for_the_last_time(handle: Handle) -> None:
    datapath = await make(handle, "x", {FEATURES: 3})
    datapath.counters.missed = 5
    reply = await ask(handle, DpCmd.DEL, {NAME: "x"})
    assert isinstance(reply, Message)
    assert (reply.command, reply.dp_ifindex) == (DpCmd.DEL, 1)
    assert reply.attributes[DpAttr.STATS] == DpStats(missed=5)
    assert await ask(handle, DpCmd.GET, {NAME: "x"}) == ENODEV
    assert not len(handle.daemon.context.switch)


async def test_statistics(handle: Handle) -> None:
    datapath = await make(handle, "x")
    counters, flows = datapath.counters, datapath.flows
    counters.hit, counters.missed, counters.lost = 1, 2, 3
    flows.mask_hit, flows.cache_hits = 4, 5
    reply = await ask(handle, DpCmd.GET, {NAME: "x"})
    assert isinstance(reply, Message)
    assert reply.attributes[DpAttr.STATS] == DpStats(1, 2, 3, 0)
    assert reply.attributes[DpAttr.MEGAFLOW_STATS] == MegaflowStats(4, 0, 0, 5, 0)


# SET --------------------------------------------------------------------------------------------


async def test_set(handle: Handle) -> None:
    datapath = await make(handle, "x")
    for attributes, settings in (
        ({FEATURES: 3}, (3, 256, ())),
        ({FEATURES: 2}, (2, 256, ())),
        ({CACHE: 0, FEATURES: 2}, (2, 0, ())),
        ({CACHE: 4096}, (0, 4096, ())),
        ({CACHE: 4096, FEATURES: 1}, (1, 4096, ())),
        ({FEATURES: 9}, (9, 4096, ())),
        ({FEATURES: 9, PER_CPU: (1, 2)}, (9, 4096, (1, 2))),
        ({FEATURES: 9, PER_CPU: (3,)}, (9, 4096, (3,))),
    ):
        reply = await ask(handle, DpCmd.SET, {NAME: "x"} | attributes)
        assert isinstance(reply, Message)
        assert (reply.command, settings_of(datapath)) == (DpCmd.SET, settings)
        assert (reply.attributes[FEATURES], reply.attributes[CACHE]) == settings[:2]


@pytest.mark.parametrize("attributes", [{}, {PID: (9,)}, {PER_CPU: (1,)}, {IFINDEX: 9}])
async def test_set_without_features_clears_them(handle: Handle, attributes: Attributes) -> None:
    datapath = await make(handle, "x", {FEATURES: 3})
    assert isinstance(await ask(handle, DpCmd.SET, {NAME: "x"} | attributes), Message)
    assert settings_of(datapath) == (0, 256, ())
    assert (datapath.index, datapath.local.upcall_pids) == (1, (0,))


@pytest.mark.parametrize(
    ("attributes", "errno", "settings"),
    [
        pytest.param({FEATURES: 0x10, CACHE: 0}, EOPNOTSUPP, (9, 256, (7,)), id="features first"),
        pytest.param({FEATURES: 4}, EOPNOTSUPP, (9, 256, (7,)), id="recirc sharing"),
        pytest.param({FEATURES: 0xD}, EOPNOTSUPP, (9, 256, (7,)), id="as OVS tries it"),
        pytest.param({FEATURES: 1, CACHE: 100}, EINVAL, (9, 256, (7,)), id="then the cache"),
        pytest.param(
            {FEATURES: 8, CACHE: 0, PER_CPU: ()}, EINVAL, (8, 0, (7,)), id="the PIDs last"
        ),
    ],
)
async def test_how_far_a_set_that_fails_has_gone(
    handle: Handle, attributes: Attributes, errno: int, settings: tuple[Any, ...]
) -> None:
    """Features and cache are in force when the PIDs are found to be wrong."""
    datapath = await make(handle, "x", {FEATURES: 9, PER_CPU: (7,)})
    assert await ask(handle, DpCmd.SET, {NAME: "x"} | attributes) == errno
    assert settings_of(datapath) == settings


@pytest.mark.parametrize("size", [0, 3, 5])
async def test_pids_count_only_with_their_feature(handle: Handle, size: int) -> None:
    await make(handle, "x")
    odd = struct.pack("=HH", 4 + size, PER_CPU) + bytes(size + (-size & 3))
    assert isinstance(await ask(handle, DpCmd.SET, {NAME: "x"}, tail=odd), Message)
    assert await ask(handle, DpCmd.SET, {NAME: "x", FEATURES: 8}, tail=odd) == EINVAL


async def test_a_list_of_pids_is_shown_while_its_feature_is_on(handle: Handle) -> None:
    await make(handle, "x")
    shown = []
    for attributes in (
        {FEATURES: 8},
        {FEATURES: 9, PER_CPU: (1,)},
        {FEATURES: 1},
        {FEATURES: 9},
        {FEATURES: 9, PER_CPU: tuple(range(CPU_COUNT + 3))},
    ):
        reply = await ask(handle, DpCmd.SET, {NAME: "x"} | attributes)
        assert isinstance(reply, Message)
        shown.append(reply.attributes.get(PER_CPU))
    assert shown == [None, (1,), None, (1,), tuple(range(CPU_COUNT))]


# Dumps, notifications, texts --------------------------------------------------------------------


async def test_a_dump_is_in_the_order_of_creation(handle: Handle) -> None:
    for name, index in (("c", 5), ("a", 3), ("b", 0)):
        await make(handle, name, {IFINDEX: index})
    *entries, _done = await handle.ask(
        build(DATAPATH, DpCmd.GET, {NAME: "nothing"}, flags=DUMP, dp_ifindex=4711)
    )
    found = [(e.dp_ifindex, e.attributes[NAME]) for e in entries if isinstance(e, Message)]
    assert found == [(5, "c"), (3, "a"), (1, "b")]


async def test_every_change_is_notified(daemon: Daemon, handle: Handle) -> None:
    watcher = daemon.open()
    daemon.context.sessions.join(watcher.session, GROUP)
    requests: list[tuple[DpCmd, dict[DpAttr, Any]]] = [
        (DpCmd.NEW, {NAME: "x", PID: (0,)}),
        (DpCmd.SET, {NAME: "x", FEATURES: 1}),
        (DpCmd.GET, {NAME: "x"}),
        (DpCmd.SET, {NAME: "x", FEATURES: 0x10}),
        (DpCmd.DEL, {NAME: "x"}),
        (DpCmd.DEL, {NAME: "x"}),
    ]
    for command, attributes in requests:
        await handle.ask(build(DATAPATH, command, attributes, flags=ACK))
    events = await watcher.drain()
    assert [(e.command, e.attributes[FEATURES]) for e in events if isinstance(e, Message)] == [
        (DpCmd.NEW, 0),
        (DpCmd.SET, 1),
        (DpCmd.DEL, 1),
    ]


@pytest.mark.parametrize(
    ("command", "attributes", "text", "offset"),
    [
        (DpCmd.NEW, {NAME: "x"}, "OVS_DP_ATTR_UPCALL_PID is missing", None),
        (DpCmd.NEW, {PID: (0,), NAME: "br0"}, "a datapath named 'br0' exists already", 32),
        (DpCmd.NEW, {NAME: "a/b", PID: (0,)}, "'a/b' cannot be the name of an interface", 24),
        (
            DpCmd.NEW,
            {PID: (0,), NAME: "x", IFINDEX: 1},
            "interface index 1 is in use",
            40,
        ),
        # The name comes first where both are in use.
        (
            DpCmd.NEW,
            {IFINDEX: 1, PID: (0,), NAME: "br0"},
            "a datapath named 'br0' exists already",
            40,
        ),
        (
            DpCmd.NEW,
            {PID: (0,), NAME: "%s"},
            "'%s' may have one '%d' and no other '%'",
            32,
        ),
        (DpCmd.GET, {NAME: "nothing"}, "no datapath is named 'nothing'", 24),
        (DpCmd.GET, {}, "no datapath has the index 0", None),
        (
            DpCmd.SET,
            {NAME: "br0", FEATURES: 0x15},
            "user features 0x14 are not supported, only 0xb",
            32,
        ),
        (
            DpCmd.SET,
            {NAME: "br0", CACHE: 100},
            "a mask cache has a power of two entries, or 0, not 100",
            32,
        ),
        (DpCmd.SET, {NAME: "br0", CACHE: 4097}, "integer out of range: 4097", 32),
        (
            DpCmd.SET,
            {NAME: "br0", FEATURES: 8, PER_CPU: ()},
            "an array of PIDs has four bytes for each, and at least one",
            40,
        ),
    ],
)
async def test_errors_say_what_is_wrong_and_where(
    handle: Handle, command: int, attributes: Attributes, text: str, offset: int | None
) -> None:
    await make(handle, "br0")
    (reply,) = await handle.ask(build(DATAPATH, command, attributes))
    assert isinstance(reply, NetlinkError)
    assert (reply.message, reply.offset) == (text, offset)
