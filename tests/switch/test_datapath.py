"""A datapath: counters, drops, batches, ports that go, upcalls. Each packet is accounted for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
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
    PopVlan,
    PushVlan,
    Recirc,
    Sample,
    Set,
    Trunc,
    Userspace,
)
from ovsdp_cuse.switch.datapath import Datapath, Pid
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import (
    ETH_TYPE,
    IN_PORT,
    IP_FRAG,
    IP_TTL,
    MAC_PROTO,
    RECIRC_ID,
    TP_DST,
)
from ovsdp_cuse.switch.meter import BAND_TYPE_DROP, Band
from ovsdp_cuse.switch.meter import Meter as MeterState
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_UDP,
    Offload,
    Packet,
)
from ovsdp_cuse.switch.upcall_dispatch import DISPATCH_UPCALL_PER_CPU
from tests.frames import load
from tests.switch.traffic import TCP_FRAME, UDP_FRAME, Traffic, frames, port_key, receive

RECIRCULATED: Final = RECIRC_ID.place(1), RECIRC_ID.ones
TSO: Final = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 1000, 34, 16)
LARGE: Final = TCP_FRAME[:54] + bytes(2500)
METADATA: Final = IN_PORT.place(1) | MAC_PROTO.place(1)


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


def meter(traffic: Traffic) -> None:
    """Meter 1 lets nothing through."""
    band = Band(BAND_TYPE_DROP, 1, 0)
    traffic.datapath.meters.replace(MeterState(1, [band], traffic.now_ms, False, True))


def expired_frame() -> bytes:
    """A frame whose TTL is 1; its checksum does not matter."""
    return UDP_FRAME[:22] + b"\1" + UDP_FRAME[23:]


# Counters ----------------------------------------------------------------------------------------


def test_misses_and_hits(traffic: Traffic) -> None:
    port = traffic.port(1)
    port.inject(UDP_FRAME)
    assert traffic.counters() == (0, 1, 0)
    flow = traffic.for_port(1, Output(2))
    for _ in range(3):
        traffic.now_ms += 10
        port.inject(UDP_FRAME)
    assert traffic.counters() == (3, 1, 0)
    assert (flow.packets, flow.bytes, flow.used_ms) == (3, 3 * len(UDP_FRAME), traffic.now_ms)
    assert traffic.sent(2) == [UDP_FRAME] * 3


def test_lost_are_misses_too(traffic: Traffic) -> None:
    traffic.refused.add(101)
    traffic.port(1).inject(UDP_FRAME)
    assert (traffic.counters(), traffic.drops()) == ((0, 1, 1), {"UPCALL_LOST": 1})
    port = traffic.port(1)
    assert (port.upcall_successes, port.upcall_failures) == (0, 1)


def test_tcp_flags_gather(traffic: Traffic) -> None:
    flow = traffic.for_port(1, Output(2))
    for frame in frames(1)[3:5]:  # ACK, FIN and ACK
        traffic.port(1).inject(frame)
    assert flow.tcp_flags == 0x11


def test_masks_that_were_looked_at_are_counted() -> None:
    traffic = Traffic(cache_size=0)
    table = traffic.datapath.flows
    traffic.put(TP_DST.place(7), TP_DST.ones, Output(2))
    traffic.put(METADATA, IN_PORT.ones | MAC_PROTO.ones, Output(2))
    arp = frames(1)[14]
    traffic.port(1).inject(arp)
    assert (table.mask_hit, table.cache_hits) == (2, 0)
    traffic.port(2).inject(arp)
    assert table.mask_hit == 4, "a miss looks at all masks"
    assert traffic.counters() == (1, 1, 0)


def test_the_mask_cache_answers_what_came_before(traffic: Traffic) -> None:
    table = traffic.datapath.flows
    traffic.for_port(1, Output(2))
    arp = frames(1)[14]
    for _ in range(3):
        traffic.port(1).inject(arp)
    assert (table.mask_hit, table.cache_hits) == (3, 2)


def test_recirculation_is_looked_up_and_counted_again(traffic: Traffic) -> None:
    first = traffic.for_port(1, Recirc(1))
    again = traffic.put(*RECIRCULATED, Output(2))
    traffic.port(1).inject(UDP_FRAME)
    assert (first.packets, again.packets, traffic.counters()) == (1, 1, (2, 0, 0))


# Drops -------------------------------------------------------------------------------------------

DROPS: dict[DropReason, tuple[tuple[Action, ...], bytes]] = {
    DropReason.NO_ACTIONS: ((), UDP_FRAME),
    DropReason.EXPLICIT: ((Drop(0),), UDP_FRAME),
    DropReason.MALFORMED: ((Output(2),), UDP_FRAME[:13]),
    DropReason.UPCALL_LOST: ((Userspace(999),), UDP_FRAME),
    DropReason.NO_PORT: ((Output(77),), UDP_FRAME),
    DropReason.TOO_LONG: ((Output(2),), UDP_FRAME + bytes(1500)),
    DropReason.METER: ((Meter(1), Output(2)), UDP_FRAME),
    DropReason.TTL_EXPIRED: ((DecTtl(()), Output(2)), expired_frame()),
    DropReason.RECIRCULATION_LIMIT: ((Recirc(1),), UDP_FRAME),
    DropReason.ACTION_FAILED: (
        (Set(Layer.IPV4, IP_TTL.place(9), IP_TTL.ones), Output(2)),
        UDP_FRAME[:20],
    ),
    DropReason.FAILURE: ((Output(2),), UDP_FRAME),
}


@pytest.mark.parametrize("reason", DropReason)
def test_a_drop_has_its_reason(
    traffic: Traffic, reason: DropReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions, frame = DROPS[reason]
    traffic.refused.add(999)
    meter(traffic)
    traffic.for_port(1, *actions)
    if reason is DropReason.RECIRCULATION_LIMIT:
        traffic.put(*RECIRCULATED, Recirc(1))
    if reason is DropReason.FAILURE:
        traffic.survive_bugs()
        monkeypatch.setattr(traffic.port(2), "transmit", None)
    traffic.port(1).inject(frame)
    assert traffic.drops() == {reason.name: 1}
    assert traffic.sent(2) == [] == traffic.told


def test_copies_that_are_dropped_count_one_by_one(traffic: Traffic) -> None:
    traffic.for_port(1, Output(77), Clone((Drop(1),)), Output(2), Output(78))
    traffic.port(1).inject(UDP_FRAME)
    assert traffic.drops() == {"NO_PORT": 2, "EXPLICIT": 1}
    assert traffic.sent(2) == [UDP_FRAME]


# Batches -----------------------------------------------------------------------------------------


def test_what_is_sent_waits_for_the_end_of_the_batch(traffic: Traffic) -> None:
    traffic.for_port(1, Output(2))
    for _ in range(3):
        receive(traffic.port(1), UDP_FRAME)
    assert traffic.sent(2) == []
    traffic.port(1).received()
    assert traffic.sent(2) == [UDP_FRAME] * 3


def test_an_executed_packet_is_a_batch_of_its_own(traffic: Traffic) -> None:
    packet = Packet.of(UDP_FRAME)
    assert extract(packet, METADATA)
    traffic.datapath.execute(packet, [Output(2), Output(3)])
    assert (traffic.sent(2), traffic.sent(3)) == ([UDP_FRAME], [UDP_FRAME])
    assert traffic.counters() == (0, 0, 0), "nothing was looked up"


def test_packets_of_a_batch_keep_what_they_are(traffic: Traffic) -> None:
    """Later actions write to the frame that an earlier output has queued."""
    tag = PushVlan(0x8100, 0x1005)
    traffic.for_port(1, Output(2), tag, Output(3), PopVlan(), Output(2))
    traffic.port(1).inject(UDP_FRAME)
    assert traffic.sent(2) == [UDP_FRAME] * 2
    assert traffic.sent(3) == [UDP_FRAME[:12] + b"\x81\0\0\5" + UDP_FRAME[12:]]


@pytest.mark.parametrize("going", [1, 2, 3])
def test_a_port_goes_within_a_batch(traffic: Traffic, going: int) -> None:
    """The one that receives, one that sends, or another: what was queued for others is sent."""
    traffic.for_port(1, Output(2), Output(3))
    ports = {number: traffic.port(number) for number in (1, 2, 3)}
    receive(ports[1], UDP_FRAME)
    traffic.switch.remove_port(ports[going])
    receive(ports[1], UDP_FRAME)
    ports[1].received()
    if going != 1:
        assert traffic.drops() == {"NO_PORT": 1}
    for number in {2, 3} - {going}:
        expected = 1 if going == 1 else 2
        assert [sent.frame for sent in ports[number].sent] == [UDP_FRAME] * expected


def test_a_datapath_goes_within_traffic(traffic: Traffic) -> None:
    flow = traffic.for_port(1, Output(2))
    ports = {number: traffic.port(number) for number in (1, 2)}
    ports[1].inject(UDP_FRAME)
    receive(ports[1], UDP_FRAME)
    traffic.switch.remove(traffic.datapath)
    for _ in range(2):
        receive(ports[1], UDP_FRAME)
        ports[1].received()
    assert [sent.frame for sent in ports[2].sent] == [UDP_FRAME] * 2, "what came before is sent"
    assert (flow.packets, traffic.told, traffic.drops()) == (2, [], {})
    assert not any(port.is_open for port in ports.values())


def test_a_flow_that_changes_within_a_batch_counts_at_once(traffic: Traffic) -> None:
    flow = traffic.for_port(1, Output(2))
    receive(traffic.port(1), UDP_FRAME)
    receive(traffic.port(1), UDP_FRAME)
    flow.actions = traffic.datapath.compile([Output(3)], b"")
    receive(traffic.port(1), UDP_FRAME)
    traffic.datapath.flows.remove(flow)
    receive(traffic.port(1), UDP_FRAME)
    traffic.port(1).received()
    assert (len(traffic.sent(2)), len(traffic.sent(3)), traffic.counters()) == (2, 1, (3, 1, 0))


# Upcalls -----------------------------------------------------------------------------------------


def test_segments_are_upcalls_of_their_own(traffic: Traffic) -> None:
    traffic.port(1).inject(LARGE, TSO)
    assert [len(told.frame) for told in traffic.told] == [1054, 1054, 554]
    assert traffic.counters() == (0, 1, 0), "one packet, though"
    assert traffic.port(1).upcall_successes == 1
    assert len({told.key for told in traffic.told}) == 1


def test_fragments_tell_that_they_are(traffic: Traffic) -> None:
    """The first one is OVS_FRAG_TYPE_FIRST, all others OVS_FRAG_TYPE_LATER."""
    offload = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP, 42, 1000, 34, 6)
    traffic.port(1).inject(UDP_FRAME[:42] + bytes(2500), offload)
    assert [IP_FRAG.get(told.key) for told in traffic.told] == [1, 2, 2]


def test_what_cannot_be_segmented_is_lost(traffic: Traffic) -> None:
    traffic.port(1).inject(UDP_FRAME, TSO)
    assert (traffic.told, traffic.counters(), traffic.drops()) == (
        [],
        (0, 1, 1),
        {"UPCALL_LOST": 1},
    )


def test_a_packet_that_is_cut_says_so_upwards_once(traffic: Traffic) -> None:
    traffic.for_port(1, Trunc(20), Userspace(7), Userspace(7))
    traffic.port(1).inject(UDP_FRAME)
    assert [told.cut for told in traffic.told] == [20, 0]


def test_a_packet_that_is_cut_is_cut_for_one_output(traffic: Traffic) -> None:
    traffic.for_port(1, Trunc(20), Output(2), Output(3))
    traffic.port(1).inject(UDP_FRAME)
    assert (traffic.sent(2), traffic.sent(3)) == ([UDP_FRAME[:20]], [UDP_FRAME])


def test_a_miss_after_recirculation_is_whole(traffic: Traffic) -> None:
    traffic.for_port(1, Trunc(20), Recirc(1))
    traffic.port(1).inject(UDP_FRAME)
    (told,) = traffic.told
    assert (told.is_miss, told.cut, told.frame) == (True, 0, UDP_FRAME)


def test_several_pids_share_flows_and_keep_them() -> None:
    traffic = Traffic(ports=0)
    port = traffic.add_port(1, 11, 12)
    for dport in range(20):
        for _ in range(2):
            port.inject(frames(dport)[0])
    pids = [told.pid for told in traffic.told]
    assert set(pids) == {11, 12}
    assert pids[::2] == pids[1::2], "packets of a flow go to the same"


def test_a_pid_for_each_cpu_counts_for_actions_too(traffic: Traffic) -> None:
    settings = traffic.datapath.settings
    settings.user_features = DISPATCH_UPCALL_PER_CPU
    settings.per_cpu_pids = (Pid(21), Pid(22), Pid(23))
    traffic.for_port(1, Userspace(7))
    for dport in range(20):
        traffic.port(1).inject(frames(dport)[0])
        traffic.port(2).inject(frames(dport)[0])
    assert {told.pid for told in traffic.told} == {21, 22}, "there are two CPUs"
    assert traffic.counters() == (20, 20, 0)


def test_no_pid_for_any_cpu_loses_all(traffic: Traffic) -> None:
    traffic.datapath.settings.user_features = DISPATCH_UPCALL_PER_CPU
    traffic.port(1).inject(UDP_FRAME)
    assert traffic.counters() == (0, 1, 1)


def test_an_upcall_is_counted_at_the_port_it_came_by(traffic: Traffic) -> None:
    traffic.refused.add(102)
    for number in (1, 2, 2):
        traffic.port(number).inject(UDP_FRAME)
    counted = [
        (port.upcall_successes, port.upcall_failures) for port in traffic.datapath.ports.values()
    ]
    assert counted == [(0, 0), (1, 0), (0, 2), (0, 0)]


# Accounts ----------------------------------------------------------------------------------------


def some_actions(inner: st.SearchStrategy[Action]) -> st.SearchStrategy[Action]:
    """Actions with lists inside, the lists of any length."""
    lists = st.lists(inner, max_size=3).map(tuple)
    return (
        lists.map(Clone)
        | st.builds(Sample, st.sampled_from([0, 1 << 31, 0xFFFFFFFF]), lists)
        | st.builds(CheckPktLen, st.sampled_from([50, 80]), lists, lists)
        | lists.map(DecTtl)
    )


PLAIN: st.SearchStrategy[Action] = st.sampled_from(
    [
        *(Output(2), Output(2), Output(3), Output(77), Userspace(7), Userspace(999)),
        *(Recirc(1), Recirc(2), Trunc(30), Hash(0, True), Meter(1), Meter(9)),
        *(PushVlan(0x8100, 0x1005), PopVlan(), Set(Layer.IPV4, IP_TTL.place(9), IP_TTL.ones)),
    ]
)
LISTS = st.lists(st.recursive(PLAIN, some_actions, max_leaves=6), max_size=4)
FRAMES = [golden.frame for golden in load()] + frames(1)


def whole_account(datapath: Datapath, traffic: Traffic) -> int:
    """What has become of packets: sent, told, dropped."""
    sent = sum(len(traffic.port(number).sent) for number in datapath.ports)
    return sent + len(traffic.told) + sum(datapath.drops.values())


@given(
    first=LISTS,
    again=LISTS,
    frame=st.sampled_from(FRAMES),
    size=st.integers(0, 200),
    offload=st.sampled_from([None, None, TSO, Offload(1, 0, 0, 0, 34, 6)]),
    executed=st.booleans(),
)
def test_no_packet_is_lost_silently(
    first: list[Action],
    again: list[Action],
    frame: bytes,
    size: int,
    offload: Offload | None,
    executed: bool,
) -> None:
    """Whatever a flow does: some copy is sent, told or counted; with no copies, exactly one."""
    traffic = Traffic()
    meter(traffic)
    traffic.refused.add(999)
    traffic.for_port(1, *first)
    traffic.put(*RECIRCULATED, *again)
    if executed:
        packet = Packet.of(frame)
        if not extract(packet, METADATA):
            return
        try:
            traffic.datapath.execute(packet, first)
        except DatapathError as error:
            assert error.message and traffic.drops(), "what fails is counted"
    else:
        traffic.port(1).inject(frame[:size], offload)
    became = whole_account(traffic.datapath, traffic)
    assert became >= 1
    assert traffic.datapath.execution.level == 0
    kinds = (Output, Userspace, Drop)
    ends = [action for action in first if isinstance(action, kinds)]
    if len(first) == len(ends) == 1 and offload is None:
        assert became == 1


@given(st.lists(st.tuples(st.sampled_from(FRAMES), st.integers(0, 3)), max_size=30))
def test_counters_add_up(injected: list[tuple[bytes, int]]) -> None:
    """Every frame is a hit, a miss or malformed; hits are those of the flows."""
    traffic = Traffic()
    flows = [
        traffic.put(*port_key(1), Output(2)),
        traffic.put(ETH_TYPE.place(0x806), ETH_TYPE.ones | RECIRC_ID.ones | TP_DST.ones),
    ]
    for frame, number in injected:
        traffic.port(number).inject(frame)
    hit, missed, lost = traffic.counters()
    assert hit == sum(flow.packets for flow in flows)
    assert missed == len(traffic.told)
    assert lost == 0
    assert hit + missed + traffic.drops().get("MALFORMED", 0) == len(injected)
    ports = [traffic.port(number) for number in range(4)]
    assert sum(port.upcall_successes for port in ports) == missed
    assert flows[0].packets == len(traffic.sent(2)) + traffic.drops().get("TOO_LONG", 0)
    assert flows[1].packets == traffic.drops().get("NO_ACTIONS", 0)


FAILING: dict[str, Callable[[Traffic], object]] = {
    "a port that fails": lambda traffic: setattr(traffic.port(2), "flush", None),
    "a receiver that fails": lambda traffic: setattr(traffic.switch, "send_upcall", None),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_bug_stays_where_it_is(traffic: Traffic, what: str) -> None:
    """Others' packets go their way, and so does the next one."""
    failures = traffic.survive_bugs()
    FAILING[what](traffic)
    traffic.for_port(1, Output(2), Output(3))
    traffic.port(1).inject(UDP_FRAME)
    traffic.port(3).inject(UDP_FRAME)
    traffic.port(1).inject(UDP_FRAME)
    assert traffic.sent(3) == [UDP_FRAME] * 2
    assert traffic.datapath.execution.level == 0
    assert failures == [traffic.datapath] * len(failures) != []
