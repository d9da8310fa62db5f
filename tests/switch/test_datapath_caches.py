"""Caches change nothing: a datapath with all of them, beside one that looks everything up."""

from __future__ import annotations

import struct

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from ovsdp_cuse.switch import microflow
from ovsdp_cuse.switch.actions import (
    Action,
    Drop,
    Hash,
    Layer,
    Output,
    PopVlan,
    PushVlan,
    Recirc,
    Set,
    Trunc,
    Userspace,
)
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.flow_table import Flow, FlowTable
from ovsdp_cuse.switch.key import (
    ETH_DST,
    ETH_TYPE,
    IN_PORT,
    IP_FRAG,
    IP_TTL,
    IPV4_SRC,
    MAC_PROTO,
    PRIORITY,
    SKB_MARK,
    TCP_FLAGS,
)
from ovsdp_cuse.switch.packet import Packet
from tests.switch.traffic import Traffic, frames, port_key

DPORTS = range(4)
PORTS = range(1, 4)
PLAIN = 8
"""How many of the frames are such that the cache of microflows takes them."""
FRAMES = {dport: frames(dport) for dport in DPORTS}
CHANGES = (
    *("a flow goes", "all flows go", "a port comes or goes", "MTU", "time passes"),
    "size of the mask cache",
)
FIELDS = (
    0,
    IN_PORT.ones,
    IPV4_SRC.ones | ETH_TYPE.ones,
    IP_TTL.ones | IP_FRAG.ones | TCP_FLAGS.ones,
)
"""What a flow matches beside the transport port, by that port: so no two flows overlap."""
SET_MAC = Set(Layer.ETHERNET, ETH_DST.place(b"\x02\0\0\0\0\x09"), ETH_DST.ones)
LISTS: list[tuple[Action, ...]] = [
    (),
    (Drop(0),),
    (Output(2),),
    (Output(3),),
    (Output(9),),
    (Output(2), Output(3)),
    (PushVlan(0x8100, 0x1007), Output(2), PopVlan(), Output(3)),
    (SET_MAC, Output(2)),
    (Trunc(20), Output(2), Output(3)),
    (Userspace(7), Output(3)),
    (Recirc(1),),
    (Hash(0, False), Recirc(1)),
    (Output(2), Recirc(1)),
]


class SlowTraffic(Traffic):
    """The long way for every packet, written down here once more; and no mask cache."""

    def __init__(self) -> None:
        super().__init__(len(PORTS), 0)

    def inject(self, number: int, frame: bytes, mark: int) -> None:
        """A frame comes in by a port."""
        datapath = self.datapath
        packet = Packet.of(frame)
        packet.mark = mark
        metadata = IN_PORT.place(number) | MAC_PROTO.place(1) | SKB_MARK.place(mark)
        datapath.now_ms = self.now_ms
        if extract(packet, metadata | PRIORITY.place(0)):
            datapath.process(packet)
        else:
            datapath.drops[DropReason.MALFORMED] += 1
        datapath.flush()


def state(traffic: Traffic, flows: dict[tuple[int, int], Flow]) -> object:
    """What users can see of a datapath, but for how its masks were searched."""
    return (
        {number: traffic.port(number).sent for number in traffic.datapath.ports},
        traffic.told,
        traffic.counters(),
        traffic.drops(),
        {
            which: (flow.packets, flow.bytes, flow.used_ms, flow.tcp_flags)
            for which, flow in flows.items()
        },
    )


class Caches(RuleBasedStateMachine):
    """Flows, ports and frames come and go in two datapaths at once."""

    def __init__(self) -> None:
        super().__init__()
        self.fast, self.slow = Traffic(len(PORTS)), SlowTraffic()
        self.both = (self.fast, self.slow)
        self.flows: tuple[dict[tuple[int, int], Flow], ...] = ({}, {})
        self.injected = 0
        self.chosen = [(0, b"")]

    @initialize(dport=st.sampled_from(DPORTS), data=st.data())
    def choose(self, dport: int, data: st.DataObject) -> None:
        """Few frames, so that they come again."""
        plain, any_ = FRAMES[dport][:PLAIN], FRAMES[dport]
        some = st.lists(st.sampled_from(plain) | st.sampled_from(any_), min_size=2, max_size=4)
        self.chosen = [(dport, frame) for frame in data.draw(some)]

    @rule(
        which=st.integers(0, 3),
        recirculation=st.integers(0, 1),
        actions=st.sampled_from(LISTS),
    )
    def put(self, which: int, recirculation: int, actions: tuple[Action, ...]) -> None:
        """Put a flow for frames like this one, or change the one that is there."""
        dport, frame = self.chosen[which % len(self.chosen)]
        packet = Packet.of(frame)
        if not extract(packet, IN_PORT.place(1) | MAC_PROTO.place(1)):
            return
        own_key, own_mask = port_key(dport, recirculation)
        key = packet.key & FIELDS[dport] | own_key
        mask = FIELDS[dport] | own_mask
        for traffic, flows in zip(self.both, self.flows, strict=True):
            flow = flows.get((key, mask))
            if flow is None:
                flows[key, mask] = traffic.put(key, mask, *actions)
            else:
                flow.actions = traffic.datapath.compile(actions, b"")

    @rule(
        which=st.integers(0, 3),
        number=st.sampled_from(PORTS),
        times=st.integers(1, 3),
        mark=st.sampled_from([0, 0, 0, 5]),
    )
    def inject(self, which: int, number: int, times: int, mark: int) -> None:
        """A frame comes in, more than once perhaps."""
        _dport, frame = self.chosen[which % len(self.chosen)]
        if number in self.fast.datapath.ports:
            for _ in range(times):
                self.injected += 1
                self.fast.port(number).inject(frame, mark=mark)
                self.slow.inject(number, frame, mark)

    @rule(
        what=st.sampled_from(CHANGES),
        number=st.sampled_from(PORTS),
        mtu=st.sampled_from([68, 1500]),
        size=st.sampled_from([0, 1, 256]),
    )
    def change(self, what: str, number: int, mtu: int, size: int) -> None:
        """Something else happens than flows and frames that come."""
        if what == "size of the mask cache":
            self.fast.datapath.flows.resize_cache(size)
        for traffic, flows in zip(self.both, self.flows, strict=True):
            datapath = traffic.datapath
            there = number in datapath.ports
            match what:
                case "a flow goes" if flows:
                    which = sorted(flows)[number % len(flows)]
                    datapath.flows.remove(flows.pop(which))
                case "all flows go":
                    datapath.flush_flows()
                    flows.clear()
                case "a port comes or goes" if there:
                    traffic.switch.remove_port(traffic.port(number))
                case "a port comes or goes":
                    traffic.add_port(number)
                case "MTU" if there:
                    traffic.port(number).mtu = mtu
                case "time passes":
                    datapath.flows.rebalance()
                    traffic.now_ms += 1000

    @invariant()
    def same(self) -> None:
        """Nobody can tell the two apart, but by how masks were looked for."""
        fast, slow = (state(*both) for both in zip(self.both, self.flows, strict=True))
        assert fast == slow
        for traffic in self.both:
            hit, missed, _lost = traffic.counters()
            table = traffic.datapath.flows
            assert table.mask_hit >= hit and table.cache_hits <= hit
            assert hit + missed + traffic.drops().get("MALFORMED", 0) >= self.injected


TestCaches = Caches.TestCase
TestCaches.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def try_out(machine: Caches) -> None:
    """A few steps that any cache must stand, by hand: two senders, one of which has a flow."""
    sender, other = 0, 6  # of `frames`
    machine.chosen = [(2, FRAMES[2][sender]), (2, FRAMES[2][other])]
    machine.put(0, 0, (Output(2),))
    for which in (0, 1, 0):
        machine.inject(which, 1, 2, 0)
        machine.same()
    machine.change("a flow goes", 1, 1500, 0)
    machine.inject(0, 1, 2, 0)
    machine.same()


def test_caches_that_are_right_stand_it() -> None:
    machine = Caches()
    try_out(machine)
    assert machine.fast.counters() == (4, 4, 0)


@pytest.mark.parametrize("broken", ["removed flows", "what differs"])
def test_a_cache_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A comparison that finds nothing may be one that looks at nothing."""
    match broken:
        case "removed flows":
            monkeypatch.setattr(FlowTable, "remove", _remove_but_keep_place)
        case "what differs":
            monkeypatch.setattr(microflow, "_UDP", struct.Struct(">16s18x4s").unpack_from)
    with pytest.raises(AssertionError):
        try_out(Caches())


def _remove_but_keep_place(table: FlowTable, flow: Flow) -> None:
    place = flow.place
    _remove(table, flow)
    flow.place = place


_remove = FlowTable.remove
