"""The family ovs_packet: upcalls and EXECUTE, end to end in a daemon with ports of memory."""

from __future__ import annotations

import struct
from errno import EINVAL, ENODEV
from typing import Any

import pytest
from structlog.testing import capture_logs

from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.ports.memory import MemoryPort
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.execution import ACTIONS_MAXIMUM, DESCENTS_MAXIMUM
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_TCPV4,
    Offload,
)
from ovsdp_cuse.wire.action_attributes import ActionAttr, UserspaceAttr
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, NetlinkError
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType
from tests.families.doors import ACK, Handle, Reply, build, split

FRAME = bytes.fromhex("0200000000020200000000019999") + b"payload of 33 bytes, which is odd"
"""A frame of 47 bytes: an attribute that holds it has a byte of padding."""


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def output(port: int) -> bytes:
    return pack_attribute(ActionAttr.OUTPUT, u32(port))


def userspace(pid: int, userdata: bytes | None = None, with_actions: bool = False) -> bytes:
    inner = pack_attribute(UserspaceAttr.PID, u32(pid))
    if userdata is not None:
        inner += pack_attribute(UserspaceAttr.USERDATA, userdata)
    if with_actions:
        inner += pack_attribute(UserspaceAttr.ACTIONS, b"")
    return pack_attribute(ActionAttr.USERSPACE, inner)


TRUNC_20 = pack_attribute(ActionAttr.TRUNC, u32(20))


class World:
    """A daemon with datapath x, and ports a (1) and b (2) in it, whose upcalls `handle` gets."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.daemon = handle.daemon
        for index, name in enumerate("ab", 100):
            self.daemon.ports.add_interface(name, ifindex=index)

    async def begin(self, features: int = 1, pids: tuple[int, ...] | None = None) -> World:
        own = (self.handle.pid,) if pids is None else pids
        new = {DpAttr.NAME: "x", DpAttr.UPCALL_PID: own, DpAttr.USER_FEATURES: features}
        await self.ask(build(DATAPATH, DpCmd.NEW, new))
        for name in "ab":
            port: dict[int, Any] = {VportAttr.NAME: name, VportAttr.TYPE: VportType.NETDEV}
            port[VportAttr.UPCALL_PID] = own
            await self.ask(build(VPORT, VportCmd.NEW, port, dp_ifindex=1))
        return self

    async def ask(self, request: bytes) -> None:
        assert await self.handle.ask(request) == []

    @property
    def datapath(self) -> Any:
        (datapath,) = self.daemon.context.switch
        return datapath

    def port(self, name: str) -> MemoryPort:
        port = self.daemon.context.switch.lookup_port(name)
        assert isinstance(port, MemoryPort)
        return port

    async def put_flow(self, actions: bytes, in_port: int = 1) -> None:
        key = pack_attribute(KeyAttr.IN_PORT, u32(in_port))
        key += pack_attribute(KeyAttr.ETHERNET, bytes(12))
        key += pack_attribute(KeyAttr.ETHERTYPE, b"\x99\x99")
        mask = pack_attribute(KeyAttr.IN_PORT, u32(0xFFFFFFFF))
        mask += pack_attribute(KeyAttr.ETHERTYPE, b"\xff\xff")
        flow = {FlowAttr.KEY: key, FlowAttr.MASK: mask, FlowAttr.ACTIONS: actions}
        await self.ask(build(FLOW, FlowCmd.NEW, flow, dp_ifindex=1))

    async def execute(self, actions: bytes, frame: bytes = FRAME, **more: Any) -> list[Reply]:
        key = pack_attribute(KeyAttr.IN_PORT, u32(1))
        attributes = {PacketAttr.PACKET: frame, PacketAttr.KEY: key, PacketAttr.ACTIONS: actions}
        attributes |= {PacketAttr[name]: value for name, value in more.items()}
        request = build(PACKET, PacketCmd.EXECUTE, attributes, dp_ifindex=1, flags=ACK)
        return await self.handle.ask(request)

    async def upcalls(self) -> list[Message]:
        replies = await self.handle.drain()
        assert all(isinstance(reply, Message) and reply.type == PACKET.id for reply in replies)
        return [reply for reply in replies if isinstance(reply, Message)]


@pytest.fixture
async def world(handle: Handle) -> World:
    return await World(handle).begin()


async def test_a_miss_is_told(world: World) -> None:
    world.port("a").inject(FRAME)
    (told,) = await world.upcalls()
    assert (told.command, told.dp_ifindex, told.pid, told.sequence, told.version) == (
        PacketCmd.MISS,
        1,
        0,
        0,
        1,
    )
    assert list(told.attributes) == [PacketAttr.KEY, PacketAttr.HASH, PacketAttr.PACKET]
    assert told.attributes[PacketAttr.PACKET] == FRAME
    key = KEY.decode(told.attributes[PacketAttr.KEY], False)
    assert (key[KeyAttr.IN_PORT], key[KeyAttr.ETHERTYPE]) == (1, 0x9999)
    assert (world.datapath.counters.missed, world.datapath.counters.lost) == (1, 0)
    assert (world.port("a").upcall_successes, world.port("a").upcall_failures) == (1, 0)


@pytest.mark.parametrize(("features", "padding"), [(0, 1), (1, 0)])
async def test_alignment(handle: Handle, features: int, padding: int) -> None:
    """OVS_DP_F_UNALIGNED leaves packet and message as long as they are."""
    world = await World(handle).begin(features)
    world.port("a").inject(FRAME)
    (message,) = split(await handle.receive_bytes())
    assert NETLINK_HEADER.parse(message).length == len(message)
    assert message.endswith(FRAME + bytes(padding))
    assert len(message) % 4 == (0 if padding else 3)


async def test_a_handle_reads_its_upcalls_by_ioctl(world: World) -> None:
    world.port("a").inject(FRAME)
    (told,) = await world.handle.read_ioctl(Ioctl.READ_PACKET)
    assert isinstance(told, Message)
    assert told.attributes[PacketAttr.PACKET] == FRAME
    assert await world.handle.read_ioctl(Ioctl.READ_PACKET) == []


@pytest.mark.parametrize("pid", [0, 4711])
async def test_a_miss_without_receiver_is_lost(handle: Handle, pid: int) -> None:
    world = await World(handle).begin(pids=(pid,))
    world.port("a").inject(FRAME)
    assert await world.upcalls() == []
    datapath = world.datapath
    assert (datapath.counters.missed, datapath.counters.lost) == (1, 1)
    assert datapath.drops == {DropReason.UPCALL_LOST: 1}
    assert (world.port("a").upcall_successes, world.port("a").upcall_failures) == (0, 1)


async def test_a_full_queue_loses_upcalls_and_counts_them(handle: Handle) -> None:
    world = await World(handle).begin()
    handle.session.queue.limit = 4096
    for _ in range(50):
        world.port("a").inject(FRAME)
    datapath = world.datapath
    assert datapath.counters.missed == 50
    assert 0 < datapath.counters.lost < 50
    assert datapath.drops[DropReason.UPCALL_LOST] == datapath.counters.lost
    assert handle.session.queue.overrun


async def test_of_several_pids_the_flow_decides(handle: Handle) -> None:
    other = handle.daemon.open()
    world = await World(handle).begin(features=3, pids=(handle.pid, other.pid))
    for number in range(100):
        frame = FRAME[:12] + b"\x08\0" + bytes.fromhex("45000026000000004011") + bytes(2)
        world.port("a").inject(frame + struct.pack("!IIHHHH", number, 2, 3, 4, 18, 0) + bytes(10))
    ours, theirs = len(await handle.drain()), len(await other.drain())
    assert ours + theirs == 100
    assert 20 < ours < 80


async def test_per_cpu_dispatch(handle: Handle) -> None:
    world = await World(handle).begin(features=9, pids=(0,))
    others = [handle.daemon.open() for _ in range(2)]
    pids = tuple(other.pid for other in others)
    settings = {DpAttr.NAME: "x", DpAttr.USER_FEATURES: 9, DpAttr.PER_CPU_PIDS: pids}
    await world.ask(build(DATAPATH, DpCmd.SET, settings))
    world.port("a").inject(FRAME)
    assert sum([len(await other.drain()) for other in others]) == 1
    await world.put_flow(userspace(0xFFFFFFFF))
    world.port("a").inject(FRAME)
    assert sum([len(await other.drain()) for other in others]) == 1, "its own PID does not count"


async def test_a_flow_forwards(world: World) -> None:
    await world.put_flow(output(2))
    for _ in range(3):
        world.port("a").inject(FRAME)
    assert [sent.frame for sent in world.port("b").sent] == [FRAME] * 3
    (flow,) = world.datapath.flows
    assert (flow.packets, flow.bytes, world.datapath.counters.hit) == (3, 3 * len(FRAME), 3)
    assert flow.used_ms > 0


async def test_a_userspace_action(world: World) -> None:
    actions = TRUNC_20 + userspace(world.handle.pid, b"cookie", with_actions=True) + output(2)
    await world.put_flow(actions)
    world.port("a").inject(FRAME)
    (told,) = await world.upcalls()
    assert told.command == PacketCmd.ACTION
    assert list(told.attributes) == [
        PacketAttr.KEY,
        PacketAttr.USERDATA,
        PacketAttr.ACTIONS,
        PacketAttr.LEN,
        PacketAttr.HASH,
        PacketAttr.PACKET,
    ]
    assert told.attributes[PacketAttr.USERDATA] == b"cookie"
    assert told.attributes[PacketAttr.ACTIONS] == actions
    assert told.attributes[PacketAttr.LEN] == len(FRAME)
    assert told.attributes[PacketAttr.PACKET] == FRAME[:20]
    assert world.port("b").sent[0].frame == FRAME, "trunc was for the upcall"


async def test_execute(world: World) -> None:
    (ack,) = await world.execute(output(1) + output(2))
    assert isinstance(ack, NetlinkError)
    assert ack.errno == 0
    assert world.port("a").sent[0].frame == world.port("b").sent[0].frame == FRAME
    assert world.datapath.counters.hit == world.datapath.counters.missed == 0


async def test_execute_tells_what_an_action_fails_with(world: World) -> None:
    """pop_nsh where an Ethernet header is: nsh_pop() reads a length of 0 there."""
    nsh = b"\x0f\xc2\x02\x01" + bytes(4)
    frame = bytes(12) + b"\x89\x4f" + nsh + bytes(20)
    (reply,) = await world.execute(
        output(1) + pack_attribute(ActionAttr.POP_NSH, b"") + output(2), frame
    )
    assert isinstance(reply, NetlinkError)
    assert reply.errno == EINVAL
    assert world.port("a").sent[0].frame == frame
    assert world.port("b").sent == [], "what follows is not run"


@pytest.mark.parametrize(
    ("without", "actions", "dp", "errno"),
    [
        (PacketAttr.PACKET, output(1), 9, EINVAL),
        (PacketAttr.KEY, output(1), 9, EINVAL),
        (PacketAttr.ACTIONS, output(1), 9, EINVAL),
        (None, output(70000), 9, EINVAL),
        (None, output(1), 9, ENODEV),
    ],
)
async def test_what_execute_refuses(
    world: World, without: PacketAttr | None, actions: bytes, dp: int, errno: int
) -> None:
    attributes: dict[int, bytes] = {
        PacketAttr.PACKET: FRAME,
        PacketAttr.KEY: b"",
        PacketAttr.ACTIONS: actions,
    }
    if without is not None:
        del attributes[without]
    (reply,) = await world.handle.ask(build(PACKET, PacketCmd.EXECUTE, attributes, dp_ifindex=dp))
    assert isinstance(reply, NetlinkError)
    assert reply.errno == errno


async def test_a_packet_and_its_flow_in_one_write(world: World) -> None:
    """What ovs-vswitchd does with a miss: put the flow, and execute the packet."""
    world.port("a").inject(FRAME)
    (told,) = await world.upcalls()
    key = told.attributes[PacketAttr.KEY]
    flow = {FlowAttr.KEY: key, FlowAttr.ACTIONS: output(2)}
    execute = {PacketAttr.PACKET: FRAME, PacketAttr.KEY: key, PacketAttr.ACTIONS: output(2)}
    await world.handle.send(
        build(FLOW, FlowCmd.NEW, flow, dp_ifindex=1),
        build(PACKET, PacketCmd.EXECUTE, execute, dp_ifindex=1),
    )
    world.port("a").inject(FRAME)
    assert [sent.frame for sent in world.port("b").sent] == [FRAME] * 2
    assert await world.upcalls() == []


async def test_an_upcall_has_its_checksum(world: World) -> None:
    ip = bytes.fromhex("45000024000000004011") + bytes(2) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    pseudo_header = 0x0A00 + 0x0001 + 0x0A00 + 0x0002 + 17 + 16
    udp = struct.pack("!HHHH", 1, 2, 16, pseudo_header) + b"12345678"
    frame = FRAME[:12] + b"\x08\0" + ip + udp
    world.port("a").inject(frame, Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, 34, 6))
    (told,) = await world.upcalls()
    packet = told.attributes[PacketAttr.PACKET]
    assert packet[:40] == frame[:40]
    assert (pseudo_header + sum(struct.unpack("!8H", packet[34:]))) % 0xFFFF == 0


async def test_segments_are_told_one_by_one(world: World) -> None:
    ip = bytes.fromhex("45000bd8000040004006") + bytes(2) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 1000, 0, 0x50, 0x10, 100, 0, 0)
    frame = FRAME[:12] + b"\x08\0" + ip + tcp + bytes(2992)
    offload = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 1400, 34, 16)
    world.port("a").inject(frame, offload)
    told = await world.upcalls()
    packets = [message.attributes[PacketAttr.PACKET] for message in told]
    assert [len(packet) for packet in packets] == [1454, 1454, 54 + 192]
    assert [struct.unpack_from("!I", packet, 38)[0] for packet in packets] == [1000, 2400, 3800]
    assert world.datapath.counters.missed == 1


async def test_a_large_packet_is_told_whole_through_the_stream_door(world: World) -> None:
    frame = FRAME[:14] + bytes(60000)
    world.port("a").inject(frame)
    (told,) = await world.upcalls()
    assert told.attributes[PacketAttr.PACKET] == frame


async def test_a_packet_that_no_attribute_can_hold_is_lost(world: World) -> None:
    world.port("a").inject(FRAME[:14] + bytes(65532))
    assert await world.upcalls() == []
    assert world.datapath.counters.lost == 1


async def test_malformed_frames_are_counted(world: World) -> None:
    world.port("a").inject(b"short")
    assert world.datapath.drops == {DropReason.MALFORMED: 1}
    assert await world.upcalls() == []


async def test_a_loop_by_recirculation_ends(world: World) -> None:
    key = pack_attribute(KeyAttr.RECIRC_ID, u32(1)) + pack_attribute(KeyAttr.ETHERNET, bytes(12))
    key += pack_attribute(KeyAttr.ETHERTYPE, b"\x99\x99")
    mask = pack_attribute(KeyAttr.RECIRC_ID, u32(0xFFFFFFFF))
    mask += pack_attribute(KeyAttr.ETHERTYPE, b"\xff\xff")
    recirc = pack_attribute(ActionAttr.RECIRC, u32(1))
    flow = {FlowAttr.KEY: key, FlowAttr.MASK: mask, FlowAttr.ACTIONS: recirc}
    await world.ask(build(FLOW, FlowCmd.NEW, flow, dp_ifindex=1))
    await world.execute(recirc)
    assert world.datapath.drops[DropReason.RECIRCULATION_LIMIT] >= 1
    await world.execute(output(2))
    assert len(world.port("b").sent) == 1, "the next packet goes its way"


async def test_a_bug_ends_no_batch_and_is_logged_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_(packet: object) -> bool:
        raise RuntimeError("a bug")

    await world.put_flow(output(2))
    monkeypatch.setattr(world.port("b"), "transmit", break_)
    with capture_logs() as logs:
        for _ in range(3):
            world.port("a").inject(FRAME)
    assert world.datapath.drops == {DropReason.FAILURE: 3}
    assert [entry["event"] for entry in logs] == ["a packet met a bug"]
    await world.put_flow(output(1), in_port=2)
    world.port("b").inject(FRAME)
    assert len(world.port("a").sent) == 1


async def test_long_lists_that_are_run_again_and_again_end(world: World) -> None:
    """A flow with thousands of outputs, for any recirculation, and a list of recirculations."""
    ethernet = pack_attribute(KeyAttr.ETHERNET, bytes(12))
    key = ethernet + pack_attribute(KeyAttr.ETHERTYPE, b"\x99\x99")
    mask = pack_attribute(KeyAttr.ETHERTYPE, b"\xff\xff")
    again = pack_attribute(ActionAttr.RECIRC, u32(1)) * 80
    for recirc_id, actions in ((0, again), (1, output(2) * 5000)):
        identified = key + pack_attribute(KeyAttr.RECIRC_ID, u32(recirc_id))
        exact = mask + pack_attribute(KeyAttr.RECIRC_ID, u32(0xFFFFFFFF))
        flow = {FlowAttr.KEY: identified, FlowAttr.MASK: exact, FlowAttr.ACTIONS: actions}
        await world.ask(build(FLOW, FlowCmd.NEW, flow, dp_ifindex=1))
    for _ in range(2):
        world.port("b").sent.clear()
        world.port("a").inject(FRAME)
        assert len(world.port("b").sent) == ACTIONS_MAXIMUM // 5000 * 5000
    assert world.datapath.drops[DropReason.RECIRCULATION_LIMIT] == 2


async def test_a_list_that_multiplies_ends(world: World) -> None:
    """A flow for any recirculation that recirculates often: each copy does the same again."""
    key = pack_attribute(KeyAttr.ETHERNET, bytes(12)) + pack_attribute(
        KeyAttr.ETHERTYPE, b"\x99\x99"
    )
    mask = pack_attribute(KeyAttr.ETHERTYPE, b"\xff\xff")
    often = pack_attribute(ActionAttr.RECIRC, u32(1)) * 1000
    flow = {FlowAttr.KEY: key, FlowAttr.MASK: mask, FlowAttr.ACTIONS: often}
    await world.ask(build(FLOW, FlowCmd.NEW, flow, dp_ifindex=1))
    world.port("a").inject(FRAME)
    assert world.datapath.counters.hit <= DESCENTS_MAXIMUM + 1
    assert 0 < world.datapath.drops[DropReason.RECIRCULATION_LIMIT] <= DESCENTS_MAXIMUM
    await world.ask(build(FLOW, FlowCmd.DEL, dp_ifindex=1))
    await world.put_flow(output(2))
    world.port("a").inject(FRAME)
    assert len(world.port("b").sent) == 1, "the next packet is another"


async def test_what_nobody_can_have_is_not_built(
    handle: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of misses costs least when nobody keeps up with it."""
    world = await World(handle).begin()
    handle.session.queue.limit = 4096
    while not handle.session.queue.congested:
        world.port("a").inject(FRAME)
    monkeypatch.setattr("ovsdp_cuse.families.packet.build_upcall", None)
    dropped, lost = handle.session.queue.dropped, world.datapath.counters.lost
    world.port("a").inject(FRAME)
    assert (handle.session.queue.dropped, world.datapath.counters.lost) == (dropped + 1, lost + 1)
