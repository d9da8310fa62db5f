"""The family ovs_flow: what each command does and answers, and the errors in the kernel's order."""

from __future__ import annotations

import struct
from errno import EEXIST, EINVAL, ENODEV, ENOENT, EPERM
from typing import Any

import pytest

from ovsdp_cuse.families.session import Access
from ovsdp_cuse.switch.flow_table import Flow
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd, FlowStats
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.netlink import ControlType, Flag, NetlinkError
from tests.families.doors import DUMP, ECHO, Handle, Reply, build, errno_of, errnos, make

KEY, MASK, ACTIONS = FlowAttr.KEY, FlowAttr.MASK, FlowAttr.ACTIONS
UFID, UFID_FLAGS = FlowAttr.UFID, FlowAttr.UFID_FLAGS
CREATE, EXCL = int(Flag.CREATE), int(Flag.EXCL)

ONE, TWO = bytes(range(16)), bytes(range(1, 17))
"""UFIDs."""


def key(in_port: int = 1, destination: bytes = b"\x02\0\0\0\0\1", eth_type: int = 0x9999) -> bytes:
    return b"".join(
        (
            pack_attribute(KeyAttr.IN_PORT, struct.pack("=I", in_port)),
            pack_attribute(KeyAttr.ETHERNET, b"\x02\0\0\0\0\2" + destination),
            pack_attribute(KeyAttr.ETHERTYPE, struct.pack("!H", eth_type)),
        )
    )


def mask(in_port: int = 0xFFFFFFFF, source: int = 0, destination: int = 0) -> bytes:
    return b"".join(
        (
            pack_attribute(KeyAttr.IN_PORT, struct.pack("=I", in_port)),
            pack_attribute(KeyAttr.ETHERNET, bytes([source]) * 6 + bytes([destination]) * 6),
            pack_attribute(KeyAttr.ETHERTYPE, b"\xff\xff"),
        )
    )


def output(*ports: int) -> bytes:
    return b"".join(pack_attribute(ActionAttr.OUTPUT, struct.pack("=I", port)) for port in ports)


@pytest.fixture
async def flows(handle: Handle) -> Handle:
    """A handle of a daemon with datapath x, whose index is 1."""
    await make(handle, "x")
    return handle


async def ask(
    handle: Handle, command: FlowCmd, attributes: Any, dp: int = 1, flags: int = ECHO
) -> list[Reply]:
    return await handle.ask(build(FLOW, command, attributes, flags=flags, dp_ifindex=dp))


async def answer(
    handle: Handle, command: FlowCmd, attributes: Any, flags: int = ECHO
) -> dict[int, Any]:
    (reply,) = await ask(handle, command, attributes, flags=flags)
    assert isinstance(reply, Message), reply
    assert (reply.command, reply.dp_ifindex) == (command, 1)
    return reply.attributes


async def error(
    handle: Handle, command: FlowCmd, attributes: Any, dp: int = 1, flags: int = 0
) -> int:
    (reply,) = await ask(handle, command, attributes, dp, flags)
    assert isinstance(reply, NetlinkError), reply
    return reply.errno


def installed(handle: Handle) -> list[Flow]:
    (datapath,) = handle.daemon.context.switch
    return list(datapath.flows)


async def test_a_flow_by_its_key(flows: Handle) -> None:
    reply = await answer(flows, FlowCmd.NEW, {KEY: key(), MASK: mask(), ACTIONS: output(1)})
    assert list(reply) == [KEY, MASK, ACTIONS]
    assert FLOW.attributes.table[KEY].format(reply[KEY]).startswith("{")
    again = await answer(flows, FlowCmd.GET, {KEY: key()})
    assert again == reply
    (flow,) = installed(flows)
    assert flow.unmasked_key is not None


async def test_a_flow_by_its_ufid(flows: Handle) -> None:
    put = {UFID: ONE, KEY: key(), MASK: mask(), ACTIONS: output(1)}
    reply = await answer(flows, FlowCmd.NEW, put)
    assert list(reply) == [UFID, KEY, MASK, ACTIONS]
    assert (reply[UFID], reply[ACTIONS]) == (ONE, output(1))
    assert await answer(flows, FlowCmd.GET, {UFID: ONE}) == reply
    assert await error(flows, FlowCmd.GET, {KEY: key()}) == ENOENT, "a key names no such flow"


@pytest.mark.parametrize("omitted", range(8))
async def test_what_a_reply_leaves_out(flows: Handle, omitted: int) -> None:
    put = {UFID: ONE, KEY: key(), MASK: mask(), ACTIONS: output(1), UFID_FLAGS: omitted}
    expected = [
        UFID,
        *(a for bit, a in ((1, KEY), (2, MASK), (4, ACTIONS)) if not omitted & bit),
    ]
    assert list(await answer(flows, FlowCmd.NEW, put)) == expected
    named = {UFID: ONE, UFID_FLAGS: omitted}
    assert list(await answer(flows, FlowCmd.GET, named)) == expected
    (dumped, _done) = await ask(flows, FlowCmd.GET, {UFID_FLAGS: omitted}, flags=DUMP)
    assert isinstance(dumped, Message)
    assert list(dumped.attributes) == expected
    assert list(await answer(flows, FlowCmd.DEL, named)) == expected


async def test_a_flow_without_ufid_keeps_its_key(flows: Handle) -> None:
    put = {KEY: key(), MASK: mask(), ACTIONS: b"", UFID_FLAGS: 7}
    assert list(await answer(flows, FlowCmd.NEW, put)) == [KEY]


async def test_statistics(flows: Handle) -> None:
    await answer(flows, FlowCmd.NEW, {UFID: ONE, KEY: key(), MASK: mask(), ACTIONS: b""})
    (flow,) = installed(flows)
    flow.packets, flow.bytes, flow.used_ms, flow.tcp_flags = 3, 180, 5000, 0x112
    reply = await answer(flows, FlowCmd.GET, {UFID: ONE})
    assert list(reply) == [UFID, KEY, MASK, FlowAttr.USED, FlowAttr.STATS, FlowAttr.TCP_FLAGS, 2]
    assert reply[FlowAttr.STATS] == FlowStats(3, 180)
    assert (reply[FlowAttr.USED], reply[FlowAttr.TCP_FLAGS]) == (5000, 0x12)
    cleared = await answer(flows, FlowCmd.SET, {UFID: ONE, FlowAttr.CLEAR: True})
    assert cleared == reply, "the reply shows what was there before"
    assert list(await answer(flows, FlowCmd.GET, {UFID: ONE})) == [UFID, KEY, MASK, ACTIONS]


@pytest.mark.parametrize(
    ("command", "attributes", "dp", "errno"),
    [
        pytest.param(FlowCmd.NEW, {ACTIONS: b""}, 1, EINVAL, id="new: no key"),
        pytest.param(FlowCmd.NEW, {KEY: key()}, 1, EINVAL, id="new: no actions"),
        pytest.param(FlowCmd.NEW, {KEY: b"", ACTIONS: b""}, 9, EINVAL, id="new: an empty key"),
        pytest.param(
            FlowCmd.NEW, {KEY: key(), ACTIONS: output(70000)}, 9, EINVAL, id="new: actions first"
        ),
        pytest.param(FlowCmd.NEW, {KEY: key(), ACTIONS: b""}, 9, ENODEV, id="new: no datapath"),
        pytest.param(FlowCmd.GET, {}, 9, EINVAL, id="get: no name"),
        pytest.param(FlowCmd.GET, {KEY: b""}, 9, EINVAL, id="get: an empty key"),
        pytest.param(FlowCmd.GET, {KEY: key()}, 9, ENODEV, id="get: no datapath"),
        pytest.param(FlowCmd.GET, {KEY: key()}, 1, ENOENT, id="get: no flow"),
        pytest.param(FlowCmd.GET, {UFID: ONE}, 1, ENOENT, id="get: no such UFID"),
        pytest.param(FlowCmd.SET, {}, 9, EINVAL, id="set: no name"),
        pytest.param(FlowCmd.SET, {UFID: ONE, ACTIONS: b""}, 9, EINVAL, id="set: actions, no key"),
        pytest.param(FlowCmd.SET, {KEY: key()}, 9, ENODEV, id="set: no datapath"),
        pytest.param(FlowCmd.SET, {KEY: key(), ACTIONS: b""}, 1, ENOENT, id="set: no flow"),
        pytest.param(FlowCmd.DEL, {KEY: b""}, 9, EINVAL, id="del: an empty key"),
        pytest.param(FlowCmd.DEL, {}, 9, ENODEV, id="del: no datapath"),
        pytest.param(FlowCmd.DEL, {KEY: key()}, 1, ENOENT, id="del: no flow"),
        pytest.param(FlowCmd.DEL, {UFID: ONE}, 1, ENOENT, id="del: no such UFID"),
    ],
)
async def test_refusals(
    flows: Handle, command: FlowCmd, attributes: Any, dp: int, errno: int
) -> None:
    assert await error(flows, command, attributes, dp) == errno
    assert not installed(flows)


async def test_new_for_a_flow_that_is_there(flows: Handle) -> None:
    put = {KEY: key(), MASK: mask(), ACTIONS: output(1)}
    await answer(flows, FlowCmd.NEW, put)
    other = put | {ACTIONS: output(2)}
    assert await error(flows, FlowCmd.NEW, other, flags=CREATE) == EEXIST
    # EXCL alone: with more, generic netlink would take it for a dump.
    assert await error(flows, FlowCmd.NEW, other, flags=EXCL) == EEXIST
    assert (await answer(flows, FlowCmd.NEW, other))[ACTIONS] == output(2)
    assert len(installed(flows)) == 1


async def test_new_for_a_ufid_that_has_another_key(flows: Handle) -> None:
    put = {UFID: ONE, KEY: key(), MASK: mask(destination=0xFF), ACTIONS: output(1)}
    await answer(flows, FlowCmd.NEW, put)
    moved = put | {KEY: key(in_port=2)}
    assert await error(flows, FlowCmd.NEW, moved) == ENOENT
    assert await error(flows, FlowCmd.NEW, moved, flags=CREATE) == EEXIST


async def test_flows_that_overlap(flows: Handle) -> None:
    """A flow may not be put where another one matches the key, whatever that one's name is."""
    await answer(flows, FlowCmd.NEW, {KEY: key(), MASK: mask(), ACTIONS: output(1)})
    narrower = {KEY: key(destination=b"\x02\0\0\0\0\7"), ACTIONS: output(2)}
    assert await error(flows, FlowCmd.NEW, narrower, flags=CREATE) == EEXIST
    assert await error(flows, FlowCmd.NEW, narrower) == ENOENT
    assert await error(flows, FlowCmd.NEW, narrower | {UFID: TWO}, flags=CREATE) == EEXIST


async def test_set_changes_actions(flows: Handle) -> None:
    put = {UFID: ONE, KEY: key(), MASK: mask(), ACTIONS: output(1)}
    await answer(flows, FlowCmd.NEW, put)
    (flow,) = installed(flows)
    flow.packets = 5
    changed = await answer(flows, FlowCmd.SET, put | {ACTIONS: output(2, 3)})
    assert changed[ACTIONS] == output(2, 3)
    assert installed(flows) == [flow]
    assert flow.packets == 5
    assert (await answer(flows, FlowCmd.SET, {UFID: ONE}))[ACTIONS] == output(2, 3)


async def test_delete(flows: Handle) -> None:
    put = {UFID: ONE, KEY: key(), MASK: mask(), ACTIONS: output(1)}
    reply = await answer(flows, FlowCmd.NEW, put)
    assert await answer(flows, FlowCmd.DEL, {UFID: ONE}) == reply
    assert not installed(flows)
    assert await error(flows, FlowCmd.DEL, {UFID: ONE}) == ENOENT


@pytest.mark.parametrize("attributes", [{}, {UFID_FLAGS: 7}, {MASK: mask()}])
async def test_a_flush_never_answers(flows: Handle, attributes: Any) -> None:
    for port in range(1, 5):
        await answer(flows, FlowCmd.NEW, {KEY: key(port), ACTIONS: b""})
    assert await ask(flows, FlowCmd.DEL, attributes, flags=ECHO) == []
    assert not installed(flows)


async def test_a_dump(flows: Handle) -> None:
    for port in range(1, 101):
        await answer(flows, FlowCmd.NEW, {KEY: key(port), ACTIONS: output(port)})
    *dumped, done = await ask(flows, FlowCmd.GET, {}, flags=DUMP)
    ports = [struct.unpack("=4xI", attributes_of(m)[ACTIONS])[0] for m in dumped]
    assert sorted(ports) == list(range(1, 101))
    assert errnos([done]) == [0]


def attributes_of(reply: Reply) -> dict[int, Any]:
    assert isinstance(reply, Message)
    assert reply.command == FlowCmd.GET
    return reply.attributes


async def test_a_dump_of_no_datapath_ends_with_an_error(flows: Handle) -> None:
    (done,) = await ask(flows, FlowCmd.GET, {}, dp=9, flags=DUMP)
    assert isinstance(done, NetlinkError)
    assert (done.errno, done.header.type) == (ENODEV, ControlType.DONE)


async def test_a_removed_datapath_takes_its_flows_along(flows: Handle) -> None:
    await answer(flows, FlowCmd.NEW, {UFID: ONE, KEY: key(), ACTIONS: b""})
    (datapath,) = flows.daemon.context.switch
    flows.daemon.context.switch.remove(datapath)
    assert len(datapath.flows) == 0
    assert await error(flows, FlowCmd.GET, {UFID: ONE}) == ENODEV


async def test_notifications(flows: Handle) -> None:
    context = flows.daemon.context
    listener = flows.daemon.open()
    group = context.registry.lookup_group(103)
    assert group is not None
    context.sessions.join(listener.session, group)
    put = {UFID: ONE, KEY: key(), MASK: mask(), ACTIONS: output(1)}
    for command in (FlowCmd.NEW, FlowCmd.SET, FlowCmd.GET, FlowCmd.DEL):
        attributes = put if command is not FlowCmd.GET else {UFID: ONE}
        await ask(flows, command, attributes, flags=0)
    told = await listener.drain()
    assert [m.command for m in told if isinstance(m, Message)] == [1, 4, 2]
    assert [m.attributes[UFID] for m in told if isinstance(m, Message)] == [ONE] * 3


async def test_who_may_only_read(flows: Handle) -> None:
    reader = flows.daemon.open(Access.READ)
    put = {UFID: ONE, KEY: key(), MASK: mask(), ACTIONS: output(1)}
    for command in (FlowCmd.NEW, FlowCmd.SET, FlowCmd.DEL):
        assert await errno_of(reader.transact(build(FLOW, command, put, dp_ifindex=1))) == EPERM
    reply = await reader.transact(build(FLOW, FlowCmd.GET, {UFID: ONE}, dp_ifindex=1))
    assert isinstance(reply, NetlinkError)
    assert reply.errno == ENOENT


async def test_errors_say_where(flows: Handle) -> None:
    bad = pack_attribute(KeyAttr.IN_PORT, b"\1\0\0\0") + pack_attribute(KeyAttr.ETHERTYPE, b"\1")
    (reply,) = await ask(flows, FlowCmd.NEW, {ACTIONS: b"", KEY: bad})
    assert isinstance(reply, NetlinkError)
    assert reply.errno == EINVAL
    assert reply.offset == 24 + 4 + 4 + 8, "the attribute in the key"
    assert reply.message
