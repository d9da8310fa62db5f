"""Programs: which actions run on what, in which order, and what is counted."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from ovsdp_cuse.switch.actions import (
    Action,
    CheckPktLen,
    Clone,
    DecTtl,
    Drop,
    Hash,
    Layer,
    Meter,
    Output,
    PopEth,
    PopVlan,
    PushEth,
    PushNsh,
    PushVlan,
    Recirc,
    Sample,
    Set,
    Trunc,
    Userspace,
)
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.flow_hash import dp_hash, flow_hash, symmetric_hash
from ovsdp_cuse.switch.key import DP_HASH, ETH_DST, IP_TTL, RECIRC_ID, VLAN_TCI
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_UDP,
    VIRTIO_NET_HDR_GSO_UDP_L4,
    Offload,
    Packet,
)
from ovsdp_cuse.switch.port import Port
from ovsdp_cuse.switch.program import ALWAYS, compile_actions
from tests.switch.board import Board, packet_of

ETHER = Ether(dst="02:00:00:00:00:0b", src="02:00:00:00:00:0a")
IPV4 = IP(src="192.0.2.1", dst="198.51.100.2", ttl=9)
FRAME = bytes(ETHER / IPV4 / UDP(sport=1, dport=2) / bytes(100))
TAGGED = bytes(ETHER / Dot1Q(vlan=5) / IPV4 / UDP(sport=1, dport=2) / bytes(100))

SET = Set(Layer.ETHERNET, ETH_DST.place(b"\2\0\0\0\0\x99"), ETH_DST.ones)
CHANGED = b"\2\0\0\0\0\x99" + FRAME[6:]
FAILS = Set(Layer.CONNTRACK, 0, 0)


def run(*actions: Action, frame: bytes = FRAME, offload: Offload | None = None) -> Board:
    """Run actions on a frame."""
    return Board().run(packet_of(frame, offload), *actions)


# What is sent, and that a copy does not see later changes


def test_output_once_and_again() -> None:
    """Each output sends the packet as it is then."""
    board = run(Output(1), SET, Output(2), PushVlan(0x8100, 0x1005), Output(3))
    tagged = CHANGED[:12] + bytes.fromhex("81000005") + CHANGED[12:]
    assert board.sent == [(1, FRAME), (2, CHANGED), (3, tagged)]
    assert not board.counts()


def test_no_actions() -> None:
    """An empty list drops."""
    assert run().counts() == {DropReason.NO_ACTIONS: 1}


@pytest.mark.parametrize(
    ("actions", "reasons"),
    [
        ((SET,), [DropReason.NO_ACTIONS]),
        ((Clone(()),), [DropReason.NO_ACTIONS]),
        ((Clone((SET,)), SET), [DropReason.NO_ACTIONS]),
        ((Sample(0, (Output(1),)),), [DropReason.NO_ACTIONS]),
        ((Sample(0, (Output(1),)), SET), [DropReason.NO_ACTIONS]),
        ((Drop(0),), [DropReason.EXPLICIT]),
        ((Output(1), SET), []),
        ((Output(1), Clone(())), []),
        ((Userspace(7),), []),
        ((Recirc(7),), []),
        ((Output(9),), [DropReason.NO_PORT]),
        ((Output(9), Output(1)), [DropReason.NO_PORT]),
        ((FAILS, Output(1)), [DropReason.ACTION_FAILED]),
        ((Output(1), FAILS, Output(2)), [DropReason.ACTION_FAILED]),
        ((Output(1), Drop(3)), [DropReason.EXPLICIT]),
    ],
)
def test_what_is_counted(actions: tuple[Action, ...], reasons: list[DropReason]) -> None:
    """A packet that goes nowhere is counted once; what a list that has sent leaves over is not."""
    assert list(run(*actions).drops.elements()) == reasons


def test_a_failure_ends_the_list() -> None:
    """What was sent before stays sent."""
    assert run(Output(1), FAILS, Output(2)).order == [("sent", 1)]


# Lists inside


@pytest.mark.parametrize(
    "nested",
    [
        lambda *actions: Clone(actions),
        lambda *actions: Sample(ALWAYS, actions),
        lambda *actions: CheckPktLen(9999, (), actions),
        lambda *actions: CheckPktLen(14, actions, ()),
    ],
)
class TestNested:
    """Clone, sample and check_pkt_len run their lists in the same way."""

    def test_copies(self, nested: Any) -> None:
        """Changes inside are not seen outside."""
        board = run(nested(SET, PushVlan(0x8100, 0x1005), Output(1)), Userspace(7), Output(2))
        assert board.order == [("sent", 1), ("upcall", 7), ("sent", 2)]
        _, upcall, sent = board.events
        assert upcall.frame == sent.frame == FRAME
        assert upcall.key == packet_of(FRAME).key

    def test_last(self, nested: Any) -> None:
        """The last action works in place."""
        board = run(Output(1), nested(SET, Output(2)))
        assert board.sent == [(1, FRAME), (2, CHANGED)]
        assert not board.counts()

    def test_failure_inside(self, nested: Any) -> None:
        """It ends the list around too; both packets are dropped."""
        board = run(nested(SET, FAILS), Output(1))
        assert board.order == []
        assert board.counts() == {DropReason.ACTION_FAILED: 2}

    def test_failure_in_the_last(self, nested: Any) -> None:
        """There is one packet."""
        board = run(Output(1), nested(SET, FAILS))
        assert board.order == [("sent", 1)]
        assert board.counts() == {DropReason.ACTION_FAILED: 1}

    def test_trunc_is_inherited_and_not_given_back(self, nested: Any) -> None:
        """A copy is cut as the packet; what it does about that is its own."""
        board = run(Trunc(50), nested(Output(1), Output(2)), Output(3))
        assert [(port, len(frame)) for port, frame in board.sent] == [(1, 50), (2, 142), (3, 50)]
        board = run(nested(Trunc(50)), Output(3))
        assert board.sent == [(3, FRAME)]

    def test_end_without_output(self, nested: Any) -> None:
        """As last, it drops the packet; before others, it does not."""
        assert run(nested(SET)).counts() == {DropReason.NO_ACTIONS: 1}
        assert not run(nested(SET), Output(1)).counts()


def test_sample_by_chance() -> None:
    """The probability is in 2**32 - 1."""
    board = Board()
    for _ in range(4000):
        board.run(packet_of(FRAME), Sample(ALWAYS // 4, (Output(1),)), Output(2))
    taken = sum(where == 1 for _, where in board.order)
    assert 850 < taken < 1150


@pytest.mark.parametrize(
    ("number", "taken"), [(0, True), (41, True), (42, True), (43, False), (0xFFFFFFFF, False)]
)
def test_sample_takes_up_to_its_probability(
    number: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random number that is not greater than the probability."""
    board = Board()
    monkeypatch.setattr(board.random, "getrandbits", lambda bits: number)
    board.run(packet_of(FRAME), Sample(42, (Output(1),)), Output(2))
    assert (("sent", 1) in board.order) is taken


# Upcalls


def test_userspace() -> None:
    """The upcall has all that the action says, and the key of now."""
    board = run(
        SET,
        Userspace(7, b"data", 3, actions=b"wire"),
        Userspace(8),
    )
    first, second = board.upcalls
    assert (first.is_miss, first.pid, first.userdata, first.egress_tunnel_port, first.actions) == (
        (False, 7, b"data", 3, b"wire")
    )
    assert (second.pid, second.userdata, second.egress_tunnel_port, second.actions) == (
        (8, None, None, None)
    )
    assert board.events[0].frame == CHANGED
    assert ETH_DST.get(board.events[0].key) == CHANGED[:6]


def test_lost_upcall_is_counted() -> None:
    """The packet goes on."""
    board = Board()
    board.loses_upcalls = True
    board.run(packet_of(FRAME), Userspace(7), Output(1))
    assert board.order == [("upcall", 7), ("sent", 1)]
    assert board.counts() == {DropReason.UPCALL_LOST: 1}


def test_upcall_with_an_invalid_key() -> None:
    """It shows the key of before."""
    board = run(PushVlan(0x8100, 0x1005), Userspace(7), frame=TAGGED)
    assert len(board.events[0].frame) == len(TAGGED) + 4
    assert board.events[0].key == packet_of(TAGGED).key


# Trunc


def test_trunc_is_for_one_output() -> None:
    """Output and userspace apply it and forget it."""
    board = run(Trunc(60), Output(1), Trunc(70), Userspace(7), Output(2))
    assert [len(event.frame) for event in board.events] == [60, 142, 142]
    assert [event.cut for event in board.events] == [0, 70, 0]


def test_trunc_goes_with_the_output_that_fails() -> None:
    """Also an output to no port forgets it."""
    assert run(Trunc(60), Output(9), Output(1)).sent == [(1, FRAME)]


def test_trunc_does_not_count_the_tag() -> None:
    """The outermost tag is beside the frame in Linux."""
    assert [len(frame) for _, frame in run(Trunc(60), Output(1), frame=TAGGED).sent] == [64]


# Output's conditions


@pytest.mark.parametrize(
    ("size", "tagged", "is_sent"),
    [
        (1514, 0, True),
        (1515, 0, False),
        (1518, 1, True),
        (1519, 1, False),
        (1518, 2, True),
        (1519, 2, False),
    ],
)
def test_mtu(size: int, tagged: int, is_sent: bool) -> None:
    """Ethernet's header and one tag do not count."""
    link: Any = ETHER
    for _ in range(tagged):
        link = link / Dot1Q(vlan=5)
    frame = bytes(link / IPV4 / bytes(2000))[:size]
    board = run(Output(1), frame=frame)
    assert bool(board.sent) is is_sent
    assert board.counts() == ({} if is_sent else {DropReason.TOO_LONG: 1})


def test_segments_are_not_too_long() -> None:
    """A frame that will be segmented may be of any size."""
    frame = bytes(ETHER / IPV4 / TCP() / bytes(9000))
    offload = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 1400, 34, 16)
    assert run(Output(1), frame=frame, offload=offload).sent == [(1, frame)]


@pytest.mark.parametrize(("mru", "is_sent"), [(1480, False), (1486, True), (0, True)])
def test_mru(mru: int, is_sent: bool) -> None:
    """What was put together of fragments may not be longer than they were."""
    packet = packet_of(bytes(ETHER / IPV4 / bytes(2000))[:1500])
    packet.mru = mru
    board = Board().run(packet, Output(1))
    assert bool(board.sent) is is_sent
    assert board.counts() == ({} if is_sent else {DropReason.TOO_LONG: 1})


def test_without_ethernet() -> None:
    """A port has Ethernet: what has none is dropped there, and what gets one again is not."""
    assert run(PopEth(), Output(1)).counts() == {DropReason.ACTION_FAILED: 1}
    assert run(PopEth(), PushEth(FRAME[:6], FRAME[6:12]), Output(1)).sent == [(1, FRAME)]


# Recirculation


def test_recirculation() -> None:
    """The packet comes back with the id; the packet that goes on keeps its own."""
    board = run(SET, Recirc(5), Userspace(7))
    lookup, upcall = board.events
    assert (lookup.what, lookup.where, lookup.frame) == ("lookup", 5, CHANGED)
    assert RECIRC_ID.get(upcall.key) == 0


def test_recirculation_makes_the_key_valid() -> None:
    """Of the packet that goes on, too."""
    board = run(PushVlan(0x88A8, 0x1007), Recirc(5), Userspace(7), frame=TAGGED)
    lookup, upcall = board.events
    assert VLAN_TCI.get(lookup.key) == VLAN_TCI.get(upcall.key) == 0x1007


def test_recirculation_in_a_list_that_shares_the_key() -> None:
    """A list of outputs and recirculations uses the key of the list around."""
    board = run(PushVlan(0x88A8, 0x1007), Clone((Output(1), Recirc(5))), Userspace(7), frame=TAGGED)
    assert board.order == [("sent", 1), ("lookup", 5), ("upcall", 7)]
    assert VLAN_TCI.get(board.events[2].key) == 0x1007
    assert RECIRC_ID.get(board.events[2].key) == 0


@pytest.mark.parametrize("rest", [(), (Output(1),)])
def test_recirculation_of_a_malformed_frame(rest: tuple[Action, ...]) -> None:
    """A frame that cannot be read again is dropped, with what is left of the list."""
    of_md_type_1_with_no_context = bytes.fromhex("0fc2 0103 00112233")
    board = run(PushNsh(of_md_type_1_with_no_context), Recirc(5), *rest)
    assert board.order == []
    assert board.counts() == {DropReason.MALFORMED: 1}


# Meter, hash, TTL, length


def test_meter() -> None:
    """A meter ends the list; an outermost tag does not count for it."""
    board = Board()
    board.meters.dropping.add(3)
    board.run(packet_of(TAGGED), Meter(2), Output(1), Meter(3), Output(2))
    assert board.order == [("sent", 1)]
    assert board.counts() == {DropReason.METER: 1}
    assert board.meters.asked == [(2, 142, 5000), (3, 142, 5000)]


def test_meter_inside_ends_its_own_list() -> None:
    """It is no failure."""
    board = Board()
    board.meters.dropping.add(3)
    board.run(packet_of(FRAME), Clone((Meter(3), Output(1))), Output(2))
    assert board.order == [("sent", 2)]


@pytest.mark.parametrize("symmetric", [False, True])
def test_hash(symmetric: bool) -> None:
    """It goes into the key and comes back with the packet."""
    board = run(Hash(11, symmetric), Recirc(5))
    compute = symmetric_hash if symmetric else flow_hash
    assert DP_HASH.get(board.events[0].key) == dp_hash(compute(packet_of(FRAME)), 11) != 0


@pytest.mark.parametrize(
    ("ttl", "actions", "order", "counted"),
    [
        (9, (), [("sent", 1)], {}),
        (1, (Userspace(7),), [("upcall", 7)], {}),
        (1, (), [], {DropReason.TTL_EXPIRED: 1}),
        (1, (SET,), [], {DropReason.TTL_EXPIRED: 1}),
        (1, (FAILS,), [], {DropReason.ACTION_FAILED: 1}),
    ],
)
def test_dec_ttl(
    ttl: int, actions: tuple[Action, ...], order: list[Any], counted: dict[DropReason, int]
) -> None:
    """Where it ends, other actions run instead of the rest."""
    frame = bytes(ETHER / IP(ttl=ttl) / UDP())
    board = run(DecTtl(actions), Output(1), frame=frame)
    assert board.order == order
    assert board.counts() == counted
    if ttl > 1:
        assert board.sent == [(1, bytes(ETHER / IP(ttl=ttl - 1) / UDP()))]
        assert IP_TTL.get(board.events[0].key) == ttl - 1


@pytest.mark.parametrize(("limit", "port"), [(141, 1), (142, 2), (143, 2)])
@pytest.mark.parametrize("frame", [FRAME, TAGGED])
def test_check_pkt_len(limit: int, port: int, frame: bytes) -> None:
    """Ethernet counts, an outermost tag does not."""
    board = run(CheckPktLen(limit, (Output(1),), (Output(2),)), frame=frame)
    assert board.order == [("sent", port)]


@pytest.mark.parametrize(
    ("gso_type", "header", "segment"),
    [
        (VIRTIO_NET_HDR_GSO_TCPV4, TCP(options=[("NOP", None)] * 4), 14 + 20 + 24 + 1000),
        (VIRTIO_NET_HDR_GSO_UDP_L4, UDP(), 14 + 20 + 8 + 1000),
        (VIRTIO_NET_HDR_GSO_UDP, UDP(), 14 + 20 + 1000),
    ],
)
@pytest.mark.parametrize("tags", [0, 1])
def test_check_pkt_len_of_segments(gso_type: int, header: Any, segment: int, tags: int) -> None:
    """The longest segment counts."""
    link: Any = ETHER / Dot1Q() if tags else ETHER
    frame = bytes(link / IPV4 / header / bytes(5000))
    at = 34 + 4 * tags
    for limit, port in ((segment - 1, 1), (segment, 2)):
        offload = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, gso_type, at + 20, 1000, at, 16)
        fork = CheckPktLen(limit, (Output(1),), (Output(2),))
        assert run(fork, frame=frame, offload=offload).order == [("sent", port)]


def test_check_pkt_len_of_fragments() -> None:
    """The longest fragment that was counts, with the header of Ethernet."""
    for limit, port in ((1013, 1), (1014, 2)):
        packet = packet_of(bytes(ETHER / IPV4 / bytes(1500))[:1500])
        packet.mru = 1000
        board = Board().run(packet, CheckPktLen(limit, (Userspace(1),), (Userspace(2),)))
        assert board.order == [("upcall", port)]


# Memory


@pytest.mark.parametrize(
    "actions",
    [
        (SET, Output(1)),
        (PushVlan(0x8100, 0x1005), Output(1)),
        (PopVlan(), Output(1)),
        (DecTtl(()), Output(1)),
        (Clone((SET, Output(1))), Output(2)),
    ],
)
def test_a_borrowed_buffer_is_not_written(actions: tuple[Action, ...]) -> None:
    """A port fills one buffer again and again: what lies there is not the packet's."""
    packet = packet_of(TAGGED)
    buffer, before = packet.buffer, bytes(packet.buffer)
    Board().run(packet, *actions)
    assert bytes(buffer) == before


def test_an_owned_buffer_is_written_in_place() -> None:
    """A packet with memory of its own is not copied for a change."""
    packet = packet_of(FRAME)
    packet.make_writable()
    buffer = packet.buffer
    Board().run(packet, SET, Output(1))
    assert packet.buffer is buffer


def test_one_output_is_one_call() -> None:
    """There is no list around it, and the port gets the packet itself."""

    class Direct(Board):
        def transmit(self, port: Port, packet: Packet) -> None:
            assert sys._getframe(2).f_code is here
            given.append(packet)

    given: list[Packet] = []
    here = sys._getframe().f_code
    packet = packet_of(FRAME)
    compile_actions((Output(1),), Direct())(packet)
    assert given == [packet]
