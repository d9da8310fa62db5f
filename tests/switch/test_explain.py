"""What a packet would do is what it then does, and asking changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsdp_cuse.switch.actions import (
    Action,
    CheckPktLen,
    Clone,
    DecTtl,
    Drop,
    Layer,
    Output,
    PopVlan,
    PushEth,
    PushVlan,
    Recirc,
    Sample,
    Set,
    Trunc,
    Userspace,
)
from ovsdp_cuse.switch.actions import Meter as MeterAction
from ovsdp_cuse.switch.datapath import Pid
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.explain import MASKS_MAXIMUM, explain
from ovsdp_cuse.switch.key import (
    ETH_TYPE,
    IN_PORT,
    IP_TTL,
    IPV4_DST,
    MAC_PROTO,
    RECIRC_ID,
    SKB_MARK,
    TP_DST,
    TP_SRC,
    VLAN_TCI,
)
from ovsdp_cuse.switch.meter import Band, Meter
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.program import ALWAYS
from ovsdp_cuse.switch.trail import FRAMES_MAXIMUM, Step, StepKind
from ovsdp_cuse.switch.upcall import Upcall
from ovsdp_cuse.switch.upcall_dispatch import DISPATCH_UPCALL_PER_CPU
from tests.switch.test_program_property import ACTIONS, FRAMES
from tests.switch.traffic import TCP_FRAME, UDP_FRAME, Traffic, frames

HALF: Final = 1 << 31


class Fixed(Random):
    """What decides about samples, always in the same way."""

    is_sampled = True

    def getrandbits(self, k: int, /) -> int:
        """Nothing but zeros, or ones."""
        return 0 if self.is_sampled else ALWAYS


def told(traffic: Traffic, frame: bytes, port: int = 1, **more: Any) -> list[Step]:
    """The explanation of a frame that comes in by a port; `refused` PIDs lose their upcalls."""

    def obstacle(upcall: Upcall) -> str | None:
        return f"{upcall.pid} is deaf" if upcall.pid in traffic.refused else None

    metadata = more.pop("metadata", IN_PORT.place(port) | MAC_PROTO.place(1))
    return explain(traffic.datapath, Packet.of(frame), metadata, traffic.now_ms, obstacle, **more)


def kinds(steps: list[Step]) -> list[str]:
    """The steps, without what they say."""
    return [step.kind.name for step in steps]


def state(traffic: Traffic) -> list[object]:
    """All that a packet could change of a datapath."""
    datapath = traffic.datapath
    table: Any = datapath.flows
    microflows: Any = datapath._microflows
    return [
        (datapath.counters.hit, datapath.counters.missed, datapath.counters.lost),
        dict(datapath.drops),
        [(flow, flow.packets, flow.bytes, flow.used_ms, flow.tcp_flags) for flow in table],
        [(mask, mask.hits, len(mask.flows)) for mask in table.masks],
        (table.mask_hit, table.cache_hits, list(table._cache)),
        [dict(cache._entries) for cache in microflows._caches.values()],
        [
            (entry, entry.packets)
            for cache in microflows._caches.values()
            for entry in cache._entries.values()
        ],
        [
            (meter.packets, meter.bytes, meter.used_ms, [vars_of(band) for band in meter.bands])
            for meter in datapath.meters._slots.values()
        ],
        [
            (port.counts, port.upcall_successes, port.upcall_failures, list(traffic.sent(number)))
            for number, port in datapath.ports.items()
        ],
        datapath.random.getstate(),
        datapath.now_ms,
        datapath.execution.level,
        list(datapath._queued),
        list(traffic.told),
        dict(datapath._compiled),
    ]


def vars_of(band: Band) -> tuple[int, int, int]:
    """What a band has counted."""
    return band.packets, band.bytes, band.bucket


def check(traffic: Traffic, frame: bytes, port: int = 1, is_sampled: bool = True) -> list[Step]:
    """Explain a frame, then let it in, and compare; returns the explanation."""
    datapath = traffic.datapath
    if isinstance(datapath.random, Fixed):
        datapath.random.is_sampled = is_sampled
    before = state(traffic)
    steps = told(traffic, frame, port, is_sampled=is_sampled, maximum=100_000)
    assert state(traffic) == before
    sent_before = {number: len(traffic.sent(number)) for number in datapath.ports}
    drops_before, told_before = Counter(datapath.drops), len(traffic.told)
    failures = traffic.survive_bugs()

    traffic.port(port).inject(frame)

    assert not failures
    sent = {
        number: traffic.sent(number)[sent_before[number] :]
        for number in datapath.ports
        if len(traffic.sent(number)) > sent_before[number]
    }
    outputs: dict[int, list[bytes]] = defaultdict(list)
    upcalls = []
    drops: Counter[DropReason] = Counter()
    for step in steps:
        if step.kind is StepKind.OUTPUT:
            assert step.port is not None and step.frame is not None
            assert step.port_name == datapath.ports[step.port].name
            outputs[step.port].append(step.frame)
        elif step.kind is StepKind.UPCALL:
            upcalls.append((step.pid, step.frame))
        elif step.kind is StepKind.DROPPED:
            assert step.reason is not None
            drops[step.reason] += 1
    assert outputs == sent
    assert upcalls == [
        (one.pid, one.frame[: one.cut or None]) for one in traffic.told[told_before:]
    ]
    assert drops == datapath.drops - drops_before
    return steps


def prepared(*flows: tuple[Action, ...], ports: int = 4) -> Traffic:
    """A datapath where packets go to these flows by their recirculation id, and meters.

    Meter 1 lets all pass, meter 2 is used up by one packet, meter 3 is empty.
    """
    traffic = Traffic(ports)
    traffic.datapath.random = Fixed(0)
    for number, actions in enumerate(flows):
        traffic.put(RECIRC_ID.place(number), RECIRC_ID.ones, *actions)
    for number, burst in ((1, 1000), (2, 1), (3, 1)):
        traffic.datapath.meters.replace(Meter(number, [Band(1, 1, burst)], traffic.now_ms))
    traffic.datapath.meters.apply(3, 60, traffic.now_ms)
    return traffic


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FRAMES), ACTIONS, ACTIONS, ACTIONS, st.booleans())
def test_it_is_what_then_happens(
    frame: bytes,
    first: tuple[Action, ...],
    second: tuple[Action, ...],
    third: tuple[Action, ...],
    is_sampled: bool,
) -> None:
    """Any actions on any frame; recirculation goes round, and ends in misses."""
    traffic = prepared(first, second, third)
    check(traffic, frame, is_sampled=is_sampled)
    # Again, where caches know the flow and meters have been used.
    check(traffic, frame, is_sampled=is_sampled)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FRAMES), st.integers(0, 60), ACTIONS)
def test_it_is_what_then_happens_to_what_is_left_of_a_frame(
    frame: bytes, size: int, actions: tuple[Action, ...]
) -> None:
    check(prepared(actions), frame[:size])


@pytest.mark.parametrize("number", range(len(frames(7))))
@pytest.mark.parametrize("cache_size", [0, 1, 256])
def test_caches_are_asked_and_stay(number: int, cache_size: int) -> None:
    """With flows that overlap, of which a cache may know another one than the masks find."""
    traffic = Traffic(3, cache_size)
    traffic.put(TP_DST.place(7), TP_DST.ones, Output(2))
    frame = frames(7)[number]
    check(traffic, frame)
    traffic.put(TP_SRC.place(1), TP_SRC.ones, Output(3))
    traffic.datapath.flows._masks.reverse()
    check(traffic, frame)
    check(traffic, frames(8)[number])
    check(traffic, frame)


def test_upcalls_go_where_they_go() -> None:
    """To the port's PID, or one of several, or that of a CPU, or nobody."""
    traffic = Traffic(2)
    traffic.port(1).upcall_pids = (31, 32, 33)
    for frame in frames(9):
        check(traffic, frame)
    assert {one.pid for one in traffic.told} > {31} or len(traffic.told) > 3
    traffic.refused = {31, 32, 33}
    steps = check(traffic, UDP_FRAME)
    assert kinds(steps) == ["EXTRACTED", "MISS", "DROPPED"]
    assert steps[-1].reason is DropReason.UPCALL_LOST
    assert steps[-1].text is not None and steps[-1].text.endswith("is deaf")
    traffic.port(1).upcall_pids = (0,)
    (*_, last) = check(traffic, UDP_FRAME)
    assert last.text == "no PID is set for it"
    traffic.datapath.settings.user_features |= DISPATCH_UPCALL_PER_CPU
    traffic.datapath.settings.per_cpu_pids = (Pid(41), Pid(42))
    for frame in frames(9):
        check(traffic, frame)
    assert {one.pid for one in traffic.told} >= {41, 42}


def test_a_userspace_action_shows_what_it_cuts() -> None:
    traffic = prepared((Trunc(20), Userspace(7), Output(2)))
    steps = check(traffic, UDP_FRAME)
    assert kinds(steps) == [
        "EXTRACTED", "HIT", "ACTION", "ACTION", "UPCALL", "ACTION", "OUTPUT",
    ]  # fmt: skip
    assert steps[4].frame == UDP_FRAME[:20]
    assert steps[6].frame == UDP_FRAME


def test_a_packet_that_is_changed_is_shown() -> None:
    """Frame and key, where they are others after an action."""
    traffic = prepared((PushVlan(0x8100, 0x1005), Output(2), PopVlan(), Trunc(30), Output(3)))
    steps = check(traffic, UDP_FRAME)
    actions = [step for step in steps if step.kind is StepKind.ACTION]
    push, output, pop, trunc, last = actions
    assert push.frame == UDP_FRAME[:12] + bytes.fromhex("81000005") + UDP_FRAME[12:]
    assert push.key is not None and VLAN_TCI.get(push.key) == 0x1005
    assert (output.frame, output.key) == (None, None)
    assert pop.frame == UDP_FRAME
    assert (trunc.frame, trunc.key, last.frame) == (None, None, None)
    assert [step.path for step in actions] == [(0,), (1,), (2,), (3,), (4,)]
    assert {step.depth for step in actions} == {1}


def test_paths_and_depths_of_lists_in_lists() -> None:
    """A clone at the end runs as if it stood there, and is told as what it is."""
    ttl = Set(Layer.IPV4, IP_TTL.place(9), IP_TTL.ones)
    traffic = prepared(
        (
            Clone((ttl, Output(2))),
            CheckPktLen(60, (Output(3),), (Output(2),)),
            Clone((Sample(ALWAYS, (Output(4), Clone(()))),)),
        )
    )
    steps = check(traffic, UDP_FRAME)
    shown = [
        (step.path or step.port, step.depth)
        for step in steps
        if step.kind in (StepKind.ACTION, StepKind.OUTPUT)
    ]
    assert shown == [
        ((0,), 1), ((0, 0, 0), 2), ((0, 0, 1), 2), (2, 2),
        ((1,), 1), ((1, 0, 0), 2), (3, 2),
        ((2,), 1), ((2, 0, 0), 2), ((2, 0, 0, 0, 0), 3), (4, 3), ((2, 0, 0, 0, 1), 3),
    ]  # fmt: skip
    short = check(traffic, UDP_FRAME[:50])
    assert [step.path for step in short if step.depth == 2 and step.path[:1] == (1,)] == [(1, 1, 0)]


@pytest.mark.parametrize(
    ("actions", "paths"),
    [
        ((Clone(()),), [(0,)]),
        ((Clone((Clone(()),)), Clone(())), [(0,), (0, 0, 0), (1,)]),
        ((Output(2), Clone((Output(3), Clone(()))), Clone(())),
         [(0,), (1,), (1, 0, 0), (1, 0, 1), (2,)]),
        ((Clone((PushEth(bytes(6), bytes(6)),)), Clone(())), [(0,), (0, 0, 0)]),
        ((Output(2), DecTtl((Output(3),)), Clone(())), [(0,), (1,), (1, 0, 0)]),
    ],
)  # fmt: skip
def test_lists_of_nothing(actions: tuple[Action, ...], paths: list[tuple[int, ...]]) -> None:
    """They are told in their turn, where it comes, and make the one before them the last."""
    frame = UDP_FRAME[:22] + b"\1" + UDP_FRAME[23:]
    steps = check(prepared(actions), frame)
    assert [step.path for step in steps if step.kind is StepKind.ACTION] == paths


def test_recirculation_is_deeper() -> None:
    traffic = prepared((Recirc(1),), (Output(2),))
    steps = check(traffic, TCP_FRAME)
    assert [(step.kind.name, step.depth) for step in steps] == [
        ("EXTRACTED", 0), ("HIT", 0), ("ACTION", 1),
        ("RECIRCULATED", 2), ("HIT", 2), ("ACTION", 3), ("OUTPUT", 3),
    ]  # fmt: skip
    assert steps[3].key is not None and RECIRC_ID.get(steps[3].key) == 1


def test_what_waits_is_told_when_it_goes_on() -> None:
    """At the depth where it began to wait."""
    flows = [(Clone((Recirc(number + 1),)), Output(3)) for number in range(5)]
    traffic = prepared(*flows, (Output(2),))
    steps = check(traffic, UDP_FRAME)
    waits = [step.depth for step in steps if step.kind is StepKind.DEFERRED]
    assert len(waits) == 1
    at = kinds(steps).index("DEFERRED")
    looked_up = [step.depth for step in steps[at:] if step.kind is StepKind.RECIRCULATED]
    assert looked_up[0] == waits[0] + 1
    assert len([step for step in steps if step.kind is StepKind.OUTPUT]) == 6


def test_more_than_may_wait_is_dropped() -> None:
    traffic = prepared((Recirc(1),) * 3 + (Output(2),), (Recirc(0),) * 3 + (Output(3),))
    steps = check(traffic, UDP_FRAME)
    assert DropReason.RECIRCULATION_LIMIT in {step.reason for step in steps}


def test_chance_and_meters_are_told() -> None:
    traffic = prepared((MeterAction(9), MeterAction(1), Sample(HALF, (Output(2),)), Output(3)))
    decided = [s.text for s in check(traffic, UDP_FRAME) if s.kind is StepKind.DECIDED]
    assert decided == [
        "meter 9 is not there, and drops nothing",
        "meter 1 would let it pass now",
        "a sample of 50 % is taken here",
    ]
    steps = check(traffic, UDP_FRAME, is_sampled=False)
    assert [step.port for step in steps if step.kind is StepKind.OUTPUT] == [3]
    assert "a sample of 50 % is not taken here" in {step.text for step in steps}


def test_a_packet_that_meets_a_meter_twice() -> None:
    """The second time counts, but not for the packets that come after."""
    traffic = prepared((MeterAction(2), Output(2), MeterAction(2), Output(3)))
    for _ in range(2):
        steps = told(traffic, UDP_FRAME)
        assert kinds(steps) == [
            "EXTRACTED", "HIT", "ACTION", "DECIDED", "ACTION", "OUTPUT",
            "ACTION", "DECIDED", "DROPPED",
        ]  # fmt: skip
        assert steps[-1].reason is DropReason.METER
    check(traffic, UDP_FRAME)


@pytest.mark.parametrize(
    ("actions", "reason", "text"),
    [
        ((), DropReason.NO_ACTIONS, None),
        ((Drop(0),), DropReason.EXPLICIT, None),
        ((Output(9),), DropReason.NO_PORT, "the datapath has no port 9"),
        ((DecTtl(()), DecTtl(())), DropReason.TTL_EXPIRED, None),
        ((Set(Layer.CONNTRACK, 0, 0), Output(2)), DropReason.ACTION_FAILED, None),
        (
            (PushVlan(0x8100, 0x1005), PushVlan(0x8100, 0x1005), Output(4)),
            DropReason.TOO_LONG,
            None,
        ),
    ],
)
def test_drops_say_why(actions: tuple[Action, ...], reason: DropReason, text: str | None) -> None:
    ttl = Set(Layer.IPV4, IP_TTL.place(2), IP_TTL.ones)
    traffic = prepared(
        (ttl, *actions) if isinstance(actions[:1] and actions[0], DecTtl) else actions
    )
    traffic.port(4).mtu = len(UDP_FRAME) - 14
    (*_, last) = check(traffic, UDP_FRAME)
    assert (last.kind, last.reason, last.text) == (StepKind.DROPPED, reason, text)


def test_a_malformed_frame_has_no_key() -> None:
    steps = check(prepared(()), UDP_FRAME[:13])
    assert [(step.kind, step.reason) for step in steps] == [
        (StepKind.DROPPED, DropReason.MALFORMED)
    ]


def test_masks_are_tried_in_order() -> None:
    traffic = Traffic(2)
    for number, bits in enumerate((TP_SRC.ones, IPV4_DST.ones, ETH_TYPE.ones, IN_PORT.ones)):
        traffic.put(IN_PORT.place(1) if number == 3 else 0, bits, Output(2))
    traffic.put(TP_SRC.place(77), TP_SRC.ones, Output(2))
    steps = check(traffic, UDP_FRAME)
    tried = [(step.mask.bits, step.flows) for step in steps[1:4] if step.mask is not None]
    assert tried == [(TP_SRC.ones, 2), (IPV4_DST.ones, 1), (ETH_TYPE.ones, 1)]
    hit = steps[4]
    assert hit.kind is StepKind.HIT and hit.mask is not None and hit.mask.bits == IN_PORT.ones
    assert hit.text is None
    again = check(traffic, UDP_FRAME)
    assert again[4].text == "a cache has this flow: a packet like this one tries no mask"


def test_many_masks_are_told_together() -> None:
    traffic = Traffic(2)
    for number in range(MASKS_MAXIMUM + 5):
        traffic.put(TP_DST.place(0) | 1 << TP_SRC.shift + 15, 1 << TP_SRC.shift + 15 | number)
    steps = told(traffic, UDP_FRAME)
    tried = [step for step in steps if step.kind is StepKind.MASK_TRIED]
    assert len(tried) == MASKS_MAXIMUM + 1
    assert (tried[-1].mask, tried[-1].text, tried[-1].flows) == (None, "5 more masks", 5)


def test_metadata_is_that_of_who_asks() -> None:
    """A packet that is said to have been recirculated, or marked, finds its flow."""
    traffic = prepared((), (Output(2),))
    metadata = IN_PORT.place(1) | MAC_PROTO.place(1)
    assert "NO_ACTIONS" in str(told(traffic, UDP_FRAME, metadata=metadata)[-1].reason)
    metadata |= RECIRC_ID.place(1) | SKB_MARK.place(5)
    steps = told(traffic, UDP_FRAME, metadata=metadata)
    assert steps[0].key is not None and SKB_MARK.get(steps[0].key) == 5
    assert kinds(steps) == ["EXTRACTED", "HIT", "ACTION", "OUTPUT"]


def test_what_multiplies_ends() -> None:
    """With a last step that says so, and nothing changed."""
    traffic = prepared((Recirc(0),) * 8)
    before = state(traffic)
    steps = told(traffic, UDP_FRAME, maximum=50)
    assert len(steps) == 51
    assert (steps[-1].kind, steps[-1].text) == (StepKind.ENDED, "more than 50 steps")
    assert state(traffic) == before
    check(traffic, UDP_FRAME)


def test_frames_are_not_told_for_ever() -> None:
    """A long frame that is sent again and again."""
    traffic = prepared((Output(2),) * 900)
    traffic.port(2).mtu = 65535
    frame = UDP_FRAME[:12] + bytes(60_000)
    steps = told(traffic, frame)
    assert steps[-1].kind is StepKind.ENDED
    assert sum(len(step.frame or b"") for step in steps) <= FRAMES_MAXIMUM
