"""Any actions on any frame: nothing is raised, and no packet is lost without being counted."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ovsdp_cuse.switch.actions import (
    Action,
    AddMpls,
    CheckPktLen,
    Clone,
    DecTtl,
    Drop,
    Hash,
    Layer,
    Meter,
    Output,
    PopEth,
    PopMpls,
    PopNsh,
    PopVlan,
    PushEth,
    PushMpls,
    PushNsh,
    PushVlan,
    Recirc,
    Sample,
    Set,
    Trunc,
    Userspace,
)
from ovsdp_cuse.switch.key import (
    ETH_DST,
    ETH_SRC,
    ETH_TYPE,
    IP_TOS,
    IP_TTL,
    IPV4_DST,
    IPV4_SRC,
    IPV6_DST,
    IPV6_LABEL,
    IPV6_SRC,
    MPLS_LSE_0,
    PRIORITY,
    TP_DST,
    TP_SRC,
    Field,
)
from ovsdp_cuse.switch.packet import Offload, Packet
from ovsdp_cuse.switch.program import ALWAYS, compile_actions
from tests.frames import load
from tests.switch.board import Board, packet_if_any, packet_of

FIELDS: dict[Layer, tuple[Field, ...]] = {
    Layer.METADATA: (PRIORITY,),
    Layer.ETHERNET: (ETH_DST, ETH_SRC),
    Layer.IPV4: (IPV4_SRC, IPV4_DST, IP_TOS, IP_TTL),
    Layer.IPV6: (IPV6_SRC, IPV6_DST, IPV6_LABEL, IP_TOS, IP_TTL),
    Layer.TCP: (TP_SRC, TP_DST),
    Layer.UDP: (TP_SRC, TP_DST),
    Layer.SCTP: (TP_SRC, TP_DST),
    Layer.MPLS: (MPLS_LSE_0,),
    Layer.CONNTRACK: (),
}
NSH = bytes.fromhex("0fc60103 00112233") + bytes(16)
ETH_TYPES = st.sampled_from((0x0800, 0x86DD, 0x8847, 0x8848, 0x8100, 0x6558, 0x894F, 5))
LSES = st.integers(0, 0xFFFFFFFF)
MACS = st.binary(min_size=6, max_size=6)


@st.composite
def sets(draw: st.DrawFn) -> Set:
    """A set of whole fields, or of some of their bits."""
    layer = draw(st.sampled_from(list(FIELDS)))
    ones = sum(field.ones for field in FIELDS[layer])
    mask = ones & draw(st.sampled_from((ones, ones // 3, ones // 5)))
    value = mask & draw(st.sampled_from((0, ones, ones // 7)))
    return Set(layer, value, mask)


simple: st.SearchStrategy[Action] = st.one_of(
    st.builds(Output, st.integers(0, 5)),
    st.builds(Userspace, st.just(7), st.none() | st.just(b"data")),
    sets(),
    st.builds(PushVlan, st.sampled_from((0x8100, 0x88A8)), st.integers(0x1000, 0x1FFF)),
    st.just(PopVlan()),
    st.builds(PushMpls, LSES, st.sampled_from((0x8847, 0x8848))),
    st.builds(AddMpls, LSES, st.just(0x8847), st.booleans()),
    st.builds(PopMpls, ETH_TYPES),
    st.builds(PushEth, MACS, MACS),
    st.just(PopEth()),
    st.just(PushNsh(NSH)),
    st.just(PopNsh()),
    st.builds(Trunc, st.integers(14, 100)),
    st.builds(Recirc, st.integers(1, 3)),
    st.builds(Hash, st.integers(0, 9), st.booleans()),
    st.builds(Meter, st.integers(1, 3)),
    st.builds(DecTtl, st.just(())),
)


def lists(inner: st.SearchStrategy[Action]) -> st.SearchStrategy[tuple[Action, ...]]:
    """Lists of actions, of which some end with a drop."""
    ends: st.SearchStrategy[tuple[Action, ...]] = st.just(()) | st.just((Drop(0),))
    return st.builds(lambda body, end: (*body, *end), st.lists(inner, max_size=6), ends)


def nested(inner: st.SearchStrategy[Action]) -> st.SearchStrategy[Action]:
    """Actions that hold lists."""
    actions = lists(inner)
    return st.one_of(
        st.builds(Clone, actions),
        st.builds(Sample, st.sampled_from((0, 1 << 31, ALWAYS)), actions),
        st.builds(CheckPktLen, st.integers(1, 200), actions, actions),
        st.builds(DecTtl, actions),
    )


ACTIONS = lists(st.recursive(simple, lambda inner: inner | nested(inner), max_leaves=20))
FRAMES = [frame.frame for frame in load()]
OFFLOADS = st.sampled_from(
    (None, Offload(1, 0, 0, 0, 34, 16), Offload(1, 1, 54, 20, 34, 16), Offload(0, 3, 0, 8, 0, 0))
)


def check(packet: Packet, actions: tuple[Action, ...], flow: tuple[Action, ...]) -> None:
    """Run actions; recirculation 1 finds `flow`."""
    board = Board()
    board.meters.dropping.add(3)
    board.flows[1] = compile_actions(flow, board)
    buffer, before = packet.buffer, bytes(packet.buffer)
    board.run(packet, *actions)
    assert bytes(buffer) == before, "memory that is not the packet's was written"
    # `events` asserts that no frame was written after it was given to a port.
    assert len(board.events) + board.drops.total() > 0, "a packet was lost"
    for event in board.events:
        assert 0 <= len(event.frame) < 10_000


@settings(max_examples=200)
@given(st.sampled_from(FRAMES), OFFLOADS, ACTIONS, ACTIONS)
def test_any_actions(
    frame: bytes, offload: Offload | None, actions: tuple[Action, ...], flow: tuple[Action, ...]
) -> None:
    """On a frame of every protocol."""
    check(packet_of(frame, offload), actions, flow)


@settings(max_examples=150)
@given(st.sampled_from(FRAMES), st.integers(14, 60), ACTIONS)
def test_any_actions_on_frames_that_are_cut_off(
    frame: bytes, size: int, actions: tuple[Action, ...]
) -> None:
    """On what is left of frames."""
    packet = packet_if_any(frame[:size])
    assume(packet is not None)
    assert packet is not None
    check(packet, actions, ())


@settings(max_examples=100)
@given(st.binary(max_size=80), ETH_TYPES, ACTIONS)
def test_any_actions_without_ethernet(
    frame: bytes, eth_type: int, actions: tuple[Action, ...]
) -> None:
    """On packets of layer 3, of any bytes."""
    packet = packet_if_any(frame, metadata=ETH_TYPE.place(eth_type))
    assume(packet is not None)
    assert packet is not None
    check(packet, actions, ())
