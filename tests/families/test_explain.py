"""EXPLAIN of ovsdp_control: what a datapath would do with a packet, as who asks is told."""

from __future__ import annotations

from errno import EINVAL, ENODEV, EOPNOTSUPP
from typing import Any

import pytest

from ovsdp_cuse.families.explain import action_at
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.switch.program import ALWAYS
from ovsdp_cuse.switch.trail import STEPS_MAXIMUM, StepKind
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.attributes import Attributes, pack_attribute
from ovsdp_cuse.wire.explain import ExplainAttr, ExplainStep
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr
from ovsdp_cuse.wire.netlink import NLM_F_MULTI, ControlType, NetlinkError
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from tests.families.action_cases import (
    check_pkt_len,
    clone,
    dec_ttl,
    output,
    push_vlan,
    sample,
)
from tests.families.doors import DUMP, Daemon, Handle, build
from tests.families.test_packet import FRAME, TRUNC_20, World, u32, userspace

UFID = bytes(range(16))
RECIRC_5 = pack_attribute(ActionAttr.RECIRC, u32(5))


@pytest.fixture
async def world(handle: Handle) -> World:
    """A datapath x with ports a (1) and b (2)."""
    return await World(handle).begin()


async def explain(
    handle: Handle, port: int = 1, frame: bytes = FRAME, dp_ifindex: int = 1, **more: Any
) -> list[Attributes]:
    """The steps, by the stream door and the device door, which tell the same."""
    attributes = {ExplainAttr.IN_PORT: port, ExplainAttr.PACKET: frame}
    attributes |= {ExplainAttr[name]: value for name, value in more.items()}
    request = build(OVSDP_CONTROL, OvsdpCmd.EXPLAIN, attributes, flags=DUMP, dp_ifindex=dp_ifindex)
    *streamed, end = await handle.ask(request)
    assert isinstance(end, NetlinkError)
    assert (end.header.type, end.errno) == (ControlType.DONE, 0)
    await handle.write_ioctl(request)
    read = []
    while part := await handle.read_ioctl(size=65536):
        read += part
    messages = [message for message in streamed if isinstance(message, Message)]
    assert [m.attributes for m in messages] == [
        m.attributes for m in read if isinstance(m, Message)
    ]
    for message in messages:
        assert (message.command, message.flags) == (OvsdpCmd.EXPLAIN, NLM_F_MULTI)
        assert message.dp_ifindex == dp_ifindex
    return [message.attributes for message in messages]


async def refused(handle: Handle, attributes: Any, dp_ifindex: int = 1, flags: int = DUMP) -> Any:
    """The error that answers."""
    request = build(OVSDP_CONTROL, OvsdpCmd.EXPLAIN, attributes, flags=flags, dp_ifindex=dp_ifindex)
    (reply,) = await handle.ask(request)
    assert isinstance(reply, NetlinkError)
    return reply


def kinds(steps: list[Attributes]) -> list[tuple[str, int]]:
    """What the steps tell, and how deep they are."""
    return [(ExplainStep(step[ExplainAttr.STEP]).name, step[ExplainAttr.DEPTH]) for step in steps]


def test_kinds_of_steps_are_those_of_the_switch() -> None:
    assert [step.name for step in ExplainStep] == [kind.name for kind in StepKind]


async def test_a_hit_and_what_it_does(world: World) -> None:
    await world.put_flow(push_vlan() + output(2))
    steps = await explain(world.handle)
    assert kinds(steps) == [
        ("EXTRACTED", 0), ("HIT", 0), ("ACTION", 1), ("ACTION", 1), ("OUTPUT", 1),
    ]  # fmt: skip
    extracted, hit, push, out, sent = steps
    key = KEY.decode(extracted[ExplainAttr.KEY], False)
    assert (key[KeyAttr.IN_PORT], key[KeyAttr.ETHERTYPE]) == (1, 0x9999)
    (flow,) = world.datapath.flows
    assert hit[ExplainAttr.KEY] == flow.wire_key
    assert hit[ExplainAttr.MASK] == flow.wire_mask
    assert hit[ExplainAttr.ACTIONS] == push_vlan() + output(2)
    assert ExplainAttr.UFID not in hit and ExplainAttr.TEXT not in hit
    assert push[ExplainAttr.ACTIONS] == push_vlan()
    assert push[ExplainAttr.PACKET][12:14] == b"\x81\x00"
    assert KeyAttr.VLAN in KEY.decode(push[ExplainAttr.KEY], False)
    assert out[ExplainAttr.ACTIONS] == output(2)
    assert ExplainAttr.PACKET not in out and ExplainAttr.KEY not in out
    assert (sent[ExplainAttr.PORT], sent[ExplainAttr.PORT_NAME]) == (2, "b")
    assert sent[ExplainAttr.PACKET] == push[ExplainAttr.PACKET]
    assert world.port("b").sent == []
    assert (flow.packets, world.datapath.counters.hit) == (0, 0)


async def test_masks_and_a_ufid(world: World) -> None:
    """The flow that is there first does not match; the second has a UFID."""
    await world.put_flow(output(2), in_port=2)
    key = pack_attribute(KeyAttr.IN_PORT, u32(1)) + pack_attribute(KeyAttr.ETHERNET, bytes(12))
    key += pack_attribute(KeyAttr.ETHERTYPE, b"\x99\x99")
    flow = {
        FlowAttr.KEY: key,
        FlowAttr.MASK: pack_attribute(KeyAttr.IN_PORT, u32(0xFFFFFFFF)),
        FlowAttr.UFID: UFID,
        FlowAttr.ACTIONS: b"",
    }
    await world.ask(build(FLOW, FlowCmd.NEW, flow, dp_ifindex=1))
    _extracted, tried, hit, dropped = await explain(world.handle)
    first, second = world.datapath.flows
    assert tried[ExplainAttr.STEP] == ExplainStep.MASK_TRIED
    assert (tried[ExplainAttr.MASK], tried[ExplainAttr.FLOWS]) == (first.wire_mask, 1)
    assert hit[ExplainAttr.UFID] == UFID
    assert (hit[ExplainAttr.MASK], hit[ExplainAttr.ACTIONS]) == (second.wire_mask, b"")
    assert dropped[ExplainAttr.REASON] == "no actions"


async def test_a_miss_is_told_and_not_sent(world: World) -> None:
    steps = await explain(world.handle)
    assert kinds(steps) == [("EXTRACTED", 0), ("MISS", 0), ("UPCALL", 0)]
    assert steps[2][ExplainAttr.PID] == world.handle.pid
    assert steps[2][ExplainAttr.PACKET] == FRAME
    assert await world.upcalls() == []
    assert world.datapath.counters.missed == 0
    assert world.datapath.ports[1].upcall_successes == 0


@pytest.mark.parametrize(
    ("obstacle", "text"),
    [
        ("gone", "no handle has the PID {pid}"),
        ("deaf", "the handle {pid} wants no upcalls"),
        ("full", "the queue of the handle {pid} is full"),
        ("zero", "no PID is set for it"),
    ],
)
async def test_an_upcall_that_nobody_would_get(daemon: Daemon, obstacle: str, text: str) -> None:
    """Asked by one who may only read."""
    asker, other = daemon.open(Access.READ | Access.WRITE), daemon.open()
    world = await World(asker).begin(pids=(0 if obstacle == "zero" else other.pid,))
    if obstacle == "gone":
        other.close()
    elif obstacle == "deaf":
        other.session.receives_packets = False
    elif obstacle == "full":
        other.session.queue.limit = 4096
        world.port("a").inject(FRAME[:12] + bytes(3900))
        assert other.session.queue.bytes > 3900
    reader = daemon.open(Access.READ)
    lost = daemon.context.sessions.lost_upcalls
    steps = await explain(reader, frame=FRAME + bytes(500))
    assert kinds(steps)[1:] == [("MISS", 0), ("DROPPED", 0)]
    assert steps[2][ExplainAttr.REASON] == "upcall lost"
    assert steps[2][ExplainAttr.TEXT] == text.format(pid=other.pid)
    assert daemon.context.sessions.lost_upcalls == lost
    before = world.datapath.drops.total()
    world.port("a").inject(FRAME + bytes(500))
    assert world.datapath.drops.total() == before + 1, "it was said that it would be lost"


async def test_lists_in_lists(world: World) -> None:
    """Each action by itself, out of the list that it is in."""
    inner = sample(TRUNC_20 + userspace(world.handle.pid))
    actions = clone(inner + output(2)) + check_pkt_len(100, output(1), push_vlan() + output(2))
    await world.put_flow(actions)
    (flow,) = world.datapath.flows
    wire = flow.actions.wire  # as a dump shows it: the lists of check_pkt_len in another order
    steps = await explain(world.handle)
    told = [
        (step[ExplainAttr.DEPTH], step[ExplainAttr.ACTIONS])
        for step in steps
        if step[ExplainAttr.STEP] == ExplainStep.ACTION
    ]
    assert told == [
        (1, clone(inner + output(2))),
        (2, inner),
        (3, TRUNC_20),
        (3, userspace(world.handle.pid)),
        (2, output(2)),
        (1, wire[len(clone(inner + output(2))) :]),
        (2, push_vlan()),
        (2, output(2)),
    ]
    (upcall,) = [s for s in steps if s[ExplainAttr.STEP] == ExplainStep.UPCALL]
    assert upcall[ExplainAttr.PACKET] == FRAME[:20]


def test_an_action_in_a_list_of_dec_ttl() -> None:
    wire = output(1) + dec_ttl(output(2) + output(3))
    assert action_at(wire, (1,)) == dec_ttl(output(2) + output(3))
    assert action_at(wire, (1, 0, 1)) == output(3)


async def test_a_sample_is_taken_unless_it_is_not_to_be(world: World) -> None:
    await world.put_flow(sample(output(2), ALWAYS // 4) + output(1))
    taken = await explain(world.handle)
    left = await explain(world.handle, NOT_SAMPLED=True)
    assert [s[ExplainAttr.PORT] for s in taken if ExplainAttr.PORT in s] == [2, 1]
    assert [s[ExplainAttr.PORT] for s in left if ExplainAttr.PORT in s] == [1]
    texts = [s[ExplainAttr.TEXT] for s in (*taken, *left) if ExplainAttr.TEXT in s]
    assert texts == ["a sample of 25 % is taken here", "a sample of 25 % is not taken here"]


async def test_metadata_leads_elsewhere(world: World) -> None:
    """A key says that a packet comes from recirculation; its own in_port does not count."""
    key = pack_attribute(KeyAttr.RECIRC_ID, u32(5)) + pack_attribute(KeyAttr.IN_PORT, u32(2))
    for recirc_id, actions in ((5, output(2)), (0, RECIRC_5)):
        match = {
            FlowAttr.KEY: pack_attribute(KeyAttr.RECIRC_ID, u32(recirc_id))
            + pack_attribute(KeyAttr.IN_PORT, u32(1))
            + pack_attribute(KeyAttr.ETHERNET, bytes(12))
            + pack_attribute(KeyAttr.ETHERTYPE, b"\x99\x99"),
            FlowAttr.MASK: pack_attribute(KeyAttr.RECIRC_ID, u32(0xFFFFFFFF))
            + pack_attribute(KeyAttr.IN_PORT, u32(0xFFFFFFFF)),
            FlowAttr.ACTIONS: actions,
        }
        await world.ask(build(FLOW, FlowCmd.NEW, match, dp_ifindex=1))
    assert kinds(await explain(world.handle)) == [
        ("EXTRACTED", 0), ("HIT", 0), ("ACTION", 1),
        ("RECIRCULATED", 2), ("HIT", 2), ("ACTION", 3), ("OUTPUT", 3),
    ]  # fmt: skip
    steps = await explain(world.handle, KEY=key)
    assert kinds(steps) == [("EXTRACTED", 0), ("HIT", 0), ("ACTION", 1), ("OUTPUT", 1)]
    told = KEY.decode(steps[0][ExplainAttr.KEY], False)
    assert (told[KeyAttr.RECIRC_ID], told[KeyAttr.IN_PORT]) == (5, 1)


async def test_a_frame_that_is_none(world: World) -> None:
    (step,) = await explain(world.handle, frame=FRAME[:13])
    assert step[ExplainAttr.STEP] == ExplainStep.DROPPED
    assert step[ExplainAttr.REASON] == "malformed frame"


async def test_what_multiplies_is_cut_off(world: World) -> None:
    await world.put_flow(clone(output(2)) * 800 + output(2))
    steps = await explain(world.handle)
    assert len(steps) == STEPS_MAXIMUM + 1
    assert steps[-1][ExplainAttr.STEP] == ExplainStep.ENDED
    assert steps[-1][ExplainAttr.TEXT] == f"more than {STEPS_MAXIMUM} steps"


async def test_the_steps_are_of_one_moment(world: World) -> None:
    """What changes while they are read does not change them."""
    await world.put_flow(output(2))
    request = build(
        OVSDP_CONTROL,
        OvsdpCmd.EXPLAIN,
        {ExplainAttr.IN_PORT: 1, ExplainAttr.PACKET: FRAME},
        flags=DUMP,
        dp_ifindex=1,
    )
    await world.handle.write_ioctl(request)
    await world.handle.ask(build(FLOW, FlowCmd.DEL, {}, dp_ifindex=1))
    read: list[Message] = []
    while part := await world.handle.read_ioctl(size=300):
        read += [message for message in part if isinstance(message, Message)]
    assert kinds([message.attributes for message in read])[-1] == ("OUTPUT", 1)
    assert read[1].attributes[ExplainAttr.ACTIONS] == output(2)
    assert ACTIONS.decode(read[1].attributes[ExplainAttr.ACTIONS], True)


async def test_what_is_refused(world: World) -> None:
    handle = world.handle
    whole = {ExplainAttr.IN_PORT: 1, ExplainAttr.PACKET: FRAME}
    for missing in whole:
        reply = await refused(handle, {n: value for n, value in whole.items() if n != missing})
        assert reply.errno == EINVAL
        assert reply.message == f"OVSDP_EXPLAIN_ATTR_{missing.name} is missing"
    reply = await refused(handle, whole, dp_ifindex=77)
    assert (reply.errno, reply.message) == (ENODEV, "no datapath has the index 77")
    reply = await refused(handle, whole | {ExplainAttr.IN_PORT: 9})
    assert (reply.errno, reply.message) == (ENODEV, "the datapath x has no port 9")
    assert reply.offset == 24
    bad = pack_attribute(KeyAttr.RECIRC_ID, b"12")
    reply = await refused(handle, whole | {ExplainAttr.KEY: bad})
    assert reply.errno == EINVAL and reply.offset > 24
    tuple_ = pack_attribute(KeyAttr.CT_ORIG_TUPLE_IPV4, bytes(13))
    reply = await refused(handle, whole | {ExplainAttr.KEY: tuple_})
    assert reply.errno == EINVAL
    reply = await refused(handle, whole, flags=0)
    assert reply.errno == EOPNOTSUPP
