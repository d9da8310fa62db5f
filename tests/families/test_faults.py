"""What goes wrong around a daemon, and what there is much of: nobody waits, nothing gets lost."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from errno import EFBIG, ENOBUFS, ENODEV

import pytest
import trio

from ovsdp_cuse.families.queue import OVERHEAD
from ovsdp_cuse.switch.actions import Output
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.key import ETH_SRC, ETH_TYPE, IN_PORT, RECIRC_ID
from ovsdp_cuse.switch.port import PORT_NO_MAXIMUM
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.netlink import ControlType, NetlinkError
from ovsdp_cuse.wire.packet import PacketAttr
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType
from tests.families.doors import ACK, DUMP, Handle, Reply, build, errno_of, errnos
from tests.families.test_packet import FRAME, World, output

PORTS = 4096
FLOWS = 100_000
BLOCKED_S = 0.25
"""Processor seconds that the longest request may take here: far more than it does, so that a busy
machine is no failure, and far less than what is linear in something that it should not be."""
READ_SIZE = 65536


@pytest.fixture
async def world(handle: Handle) -> World:
    return await World(handle).begin()


@contextmanager
def soon() -> Iterator[None]:
    """What is inside keeps others from the switch for a short while only.

    Without the garbage collector: what else these tests hold is much, and a daemon looks at its own
    seldom.
    """
    gc.disable()
    began = time.thread_time()
    try:
        yield
        seconds = time.thread_time() - began
    finally:
        gc.enable()
    assert seconds < BLOCKED_S, f"{seconds:.2f} s"


async def done(replies: Awaitable[list[Reply]]) -> list[Message]:
    """The objects of a dump, which must have come to its end."""
    *objects, end = await replies
    assert isinstance(end, NetlinkError) and end.header.type == ControlType.DONE
    assert not end.errno
    assert all(isinstance(reply, Message) for reply in objects)
    return [reply for reply in objects if isinstance(reply, Message)]


def get(world: World) -> bytes:
    """A request that is answered at once."""
    return build(DATAPATH, DpCmd.GET, {DpAttr.NAME: world.datapath.name})


# Queues and handles -------------------------------------------------------------------------------


async def test_a_full_queue_loses_new_upcalls_and_counts_each(world: World) -> None:
    session = world.handle.session
    room = session.queue.limit // (len(FRAME) + OVERHEAD) + 1
    for _ in range(room + 50):
        world.port("a").inject(FRAME)
    counters = world.datapath.counters
    told = len(session.queue)
    assert told < room
    assert (counters.missed, counters.lost) == (room + 50, room + 50 - told)
    assert world.datapath.drops == {DropReason.UPCALL_LOST: counters.lost}
    port = world.port("a")
    assert (port.upcall_successes, port.upcall_failures) == (told, counters.lost)
    other = world.daemon.open()
    assert isinstance(await other.transact(get(world)), Message), "others are served"
    assert await errno_of(world.handle.receive_bytes()) == ENOBUFS, "who reads is told once"
    assert len(await world.upcalls()) == told
    world.port("a").inject(FRAME)
    assert len(await world.upcalls()) == 1, "who has read everything gets the next one"


async def test_frames_go_on_while_a_queue_is_full(world: World) -> None:
    """EXECUTE and flows need no room in the queue of who gets the misses."""
    other = world.daemon.open()
    while not world.handle.session.queue.congested:
        world.port("a").inject(FRAME)
    world.handle = other
    assert errnos(await world.execute(output(2))) == [0]
    await world.put_flow(output(2))
    world.port("a").inject(FRAME)
    assert [sent.frame for sent in world.port("b").sent] == [FRAME, FRAME]


async def test_a_handle_closes_with_upcalls_in_its_queue(world: World) -> None:
    other = world.daemon.open()
    for _ in range(3):
        world.port("a").inject(FRAME)
    world.handle.close()
    counters = world.datapath.counters
    assert counters.lost == 0, "they were delivered"
    for _ in range(2):
        world.port("a").inject(FRAME)
    assert (counters.missed, counters.lost) == (5, 2)
    assert world.daemon.context.sessions.lost_upcalls == 2
    attributes = {VportAttr.NAME: "a", VportAttr.UPCALL_PID: (other.pid,)}
    assert await other.ask(build(VPORT, VportCmd.SET, attributes)) == []
    world.port("a").inject(FRAME)
    (told,) = await other.drain()
    assert isinstance(told, Message) and told.attributes[PacketAttr.PACKET] == FRAME


async def test_a_handle_closes_within_a_dump(world: World) -> None:
    await world.handle.send(build(VPORT, VportCmd.GET, flags=DUMP, dp_ifindex=1))
    world.handle.close()
    other = world.daemon.open()
    replies = other.ask(build(VPORT, VportCmd.GET, flags=DUMP, dp_ifindex=1))
    assert len(await done(replies)) == 3


# Interfaces that vanish ---------------------------------------------------------------------------


async def test_an_interface_vanishes_between_miss_and_execute(world: World) -> None:
    await world.put_flow(output(1), in_port=2)
    world.port("a").inject(FRAME)
    world.daemon.ports.remove_interface("a")
    (told,) = await world.upcalls()
    assert told.attributes[PacketAttr.PACKET] == FRAME
    assert errnos(await world.execute(output(1) + output(2))) == [0], "it came by port 1"
    assert [sent.frame for sent in world.port("b").sent] == [FRAME]
    world.port("b").inject(FRAME)
    assert world.datapath.drops == {DropReason.NO_PORT: 2}
    request = build(VPORT, VportCmd.GET, {VportAttr.PORT_NO: 1}, dp_ifindex=1)
    assert errnos(await world.handle.ask(request)) == [ENODEV]


async def test_an_interface_vanishes_and_another_takes_its_number(world: World) -> None:
    """What was told of the one is executed with the other: numbers are all that a flow knows."""
    await world.put_flow(output(1), in_port=2)
    world.daemon.ports.remove_interface("a")
    world.daemon.ports.add_interface("c")
    new = {VportAttr.NAME: "c", VportAttr.TYPE: VportType.NETDEV, VportAttr.UPCALL_PID: (0,)}
    assert await world.handle.ask(build(VPORT, VportCmd.NEW, new, dp_ifindex=1)) == []
    world.port("b").inject(FRAME)
    assert [sent.frame for sent in world.port("c").sent] == [FRAME]


async def test_a_datapath_goes_between_miss_and_execute(world: World) -> None:
    world.port("a").inject(FRAME)
    other = world.daemon.open()
    assert await other.ask(build(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "x"})) == []
    assert len(await world.upcalls()) == 1, "what was queued can be read"
    assert errnos(await world.execute(output(2))) == [ENODEV]


# Many ports ---------------------------------------------------------------------------------------


async def test_thousands_of_ports(world: World) -> None:
    handle = world.handle
    for number in range(3, PORTS):
        attributes = {VportAttr.NAME: f"i{number}", VportAttr.TYPE: VportType.INTERNAL}
        attributes[VportAttr.UPCALL_PID] = (handle.pid,)
        with soon():
            await world.ask(build(VPORT, VportCmd.NEW, attributes, dp_ifindex=1))
    assert len(world.datapath.ports) == PORTS
    replies = handle.ask(build(VPORT, VportCmd.GET, flags=DUMP, dp_ifindex=1))
    told = [reply.attributes[VportAttr.PORT_NO] for reply in await done(replies)]
    assert sorted(told) == list(range(PORTS))
    await world.put_flow(b"".join(output(number) for number in range(2, PORTS)))
    with soon():
        world.port("a").inject(FRAME)
    assert all(len(world.port(f"i{number}").sent) == 1 for number in range(3, PORTS))
    with soon():
        await world.ask(build(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "x"}))
    assert await errno_of(_interface(world, "i4095")) == ENODEV, "internal ports are gone"


async def _interface(world: World, name: str) -> object:
    return world.daemon.ports.interface(name)


async def test_ports_go_while_they_are_dumped(world: World) -> None:
    """A dump tells each port that is there all the time exactly once, and its end comes."""
    handle, other = world.handle, world.daemon.open()
    for number in range(3, 200):
        attributes = {VportAttr.NAME: f"i{number}", VportAttr.TYPE: VportType.INTERNAL}
        attributes[VportAttr.UPCALL_PID] = (0,)
        await world.ask(build(VPORT, VportCmd.NEW, attributes, dp_ifindex=1))
    await handle.send(build(VPORT, VportCmd.GET, flags=DUMP, dp_ifindex=1))
    replies = await handle.receive(READ_SIZE)
    for number in range(100, 200):
        request = build(VPORT, VportCmd.DEL, {VportAttr.PORT_NO: number}, dp_ifindex=1)
        assert await other.ask(request) == []
    replies += await handle.drain()
    told = [r.attributes[VportAttr.PORT_NO] for r in replies if isinstance(r, Message)]
    assert len(told) == len(set(told))
    assert set(told) >= set(range(100))


async def test_no_port_number_is_left(world: World) -> None:
    ports = world.datapath.ports
    some = world.port("b")
    ports.update({number: some for number in range(PORT_NO_MAXIMUM) if number not in ports})
    attributes = {VportAttr.NAME: "i", VportAttr.TYPE: VportType.INTERNAL}
    attributes[VportAttr.UPCALL_PID] = (0,)
    request = build(VPORT, VportCmd.NEW, attributes, dp_ifindex=1)
    with soon():
        assert errnos(await world.handle.ask(request)) == [EFBIG]
    numbered = attributes | {VportAttr.PORT_NO: PORT_NO_MAXIMUM}
    request = build(VPORT, VportCmd.NEW, numbered, dp_ifindex=1)
    assert errnos(await world.handle.ask(request)) == [EFBIG]
    del ports[PORT_NO_MAXIMUM - 1]
    await world.ask(build(VPORT, VportCmd.NEW, attributes, dp_ifindex=1))
    assert world.port("i").number == PORT_NO_MAXIMUM - 1


# Many flows ---------------------------------------------------------------------------------------

MASK = IN_PORT.ones | ETH_SRC.ones | ETH_TYPE.ones | RECIRC_ID.ones


@pytest.fixture
async def full(world: World) -> World:
    """A world with many flows, which all send what comes by port 1 to port 2."""
    datapath = world.datapath
    actions = datapath.compile((Output(2),), output(2))
    wire_mask = bytes(60)
    base = IN_PORT.place(1) | ETH_TYPE.place(0x9999)
    for number in range(FLOWS):
        source = ETH_SRC.place(number.to_bytes(6, "big"))
        datapath.flows.insert(base | source, MASK, actions, None, b"\0" * 60, wire_mask)
    return world


def frame_of(number: int) -> bytes:
    """A frame that this flow matches."""
    return FRAME[:6] + number.to_bytes(6, "big") + FRAME[12:]


async def test_flows_are_dumped_while_others_go_on(full: World) -> None:
    """Each part is short; meanwhile flows come and go, and frames are forwarded."""
    handle, other = full.handle, full.daemon.open()
    flows = list(full.datapath.flows)
    await handle.send(build(FLOW, FlowCmd.GET, flags=DUMP, dp_ifindex=1))
    told = parts = 0
    while handle.session.queue.bytes:
        with soon():
            replies = await handle.receive(READ_SIZE)
        told += sum(isinstance(reply, Message) for reply in replies)
        parts += 1
        if parts % 20 == 0:
            with soon():
                assert isinstance(await other.transact(get(full)), Message)
                full.port("a").inject(frame_of(FLOWS - parts))
                full.datapath.flows.remove(flows[parts])
    assert parts > 100
    assert FLOWS - parts // 20 <= told <= FLOWS
    assert len(full.port("b").sent) == full.datapath.counters.hit == parts // 20


async def test_all_flows_go_while_they_are_dumped(full: World) -> None:
    handle, other = full.handle, full.daemon.open()
    await handle.send(build(FLOW, FlowCmd.GET, flags=DUMP, dp_ifindex=1))
    full.port("a").inject(frame_of(7))
    with soon():
        assert await other.ask(build(FLOW, FlowCmd.DEL, dp_ifindex=1)) == []
    assert len(full.datapath.flows) == 0
    full.port("a").inject(frame_of(7))
    assert (full.datapath.counters.hit, full.datapath.counters.missed) == (1, 1)
    replies = await handle.drain()
    ends = [reply for reply in replies if isinstance(reply, NetlinkError)]
    assert [end.header.type for end in ends] == [ControlType.DONE]
    assert len(replies) < 1000


async def test_a_datapath_with_many_flows_goes_while_they_are_dumped(full: World) -> None:
    handle, other = full.handle, full.daemon.open()
    await handle.send(build(FLOW, FlowCmd.GET, flags=DUMP, dp_ifindex=1))
    with soon():
        await other.ask(build(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "x"}))
    assert len(await handle.drain()) < 1000, "the dump ends where the flows do"
    assert errnos(await other.ask(build(FLOW, FlowCmd.GET, flags=DUMP, dp_ifindex=1))) == [ENODEV]


async def test_one_of_many_flows_costs_what_one_of_few_costs(full: World) -> None:
    handle = full.handle
    await full.put_flow(output(2), in_port=2)
    key = next(flow for flow in full.datapath.flows if flow.wire_key != b"\0" * 60).wire_key
    with soon():
        for _ in range(100):
            request = build(FLOW, FlowCmd.GET, {FlowAttr.KEY: key}, dp_ifindex=1)
            (told,) = await handle.ask(request)
            assert isinstance(told, Message) and told.attributes[FlowAttr.KEY] == key
    request = build(FLOW, FlowCmd.DEL, {FlowAttr.KEY: key}, dp_ifindex=1, flags=ACK)
    with soon():
        assert errnos(await handle.ask(request)) == [0]
    assert len(full.datapath.flows) == FLOWS


async def test_a_long_write_gives_others_their_turn(world: World) -> None:
    requests = 1000
    other, queue = world.daemon.open(), world.handle.session.queue
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.handle.send, b"".join([get(world)] * requests))
        while not len(queue):
            await trio.lowlevel.checkpoint()
        assert isinstance(await other.transact(get(world)), Message)
        assert len(queue) < requests
    assert len(queue) == requests
