"""The shortcut: what goes by it, what does not, and that nobody can tell by the statistics."""

from __future__ import annotations

from typing import Final

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from ovsdp_cuse.ports.memory import MemoryPorts
from ovsdp_cuse.switch.actions import Action, Output
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.flow_table import Flow
from ovsdp_cuse.switch.key import IN_PORT, MAC_PROTO
from ovsdp_cuse.switch.packet import HEADROOM, Packet
from ovsdp_cuse.switch.port import Port
from ovsdp_cuse.switch.switch import Switch

IN, OUT, ELSEWHERE = 1, 2, 3
NOW_MS: Final = 4711
MASK: Final = IN_PORT.ones | MAC_PROTO.ones
KEY: Final = IN_PORT.place(IN) | MAC_PROTO.place(1)


class LanePort(Port):
    """A port with a lane, that takes note of what it is given as a packet and of flushes."""

    type = 1

    def __init__(self) -> None:
        super().__init__("lane", 1)
        self.lane = []
        self.packets = 0
        self.flushes = 0

    def transmit(self, packet: Packet) -> bool:
        self.packets += 1
        return True

    def flush(self) -> None:
        self.flushes += 1
        if self.lane is not None:
            self.lane.clear()

    def close(self) -> None:
        """Nothing was opened."""


class Rig:
    """A datapath with three ports, and one flow for all that comes in by the first."""

    def __init__(self, *actions: Action) -> None:
        self.datapath = Switch(MemoryPorts(), clock=lambda: NOW_MS).add("dp")
        self.ports = {number: LanePort() for number in (IN, OUT, ELSEWHERE)}
        for number, port in self.ports.items():
            self.datapath.attach(port, number)
        self.flow = self.put(*actions)

    def put(self, *actions: Action) -> Flow:
        made: Datapath = self.datapath
        return made.flows.insert(KEY, MASK, made.compile(actions, b""))

    def forward(self, frame: bytes) -> list[int] | None:
        buffer = bytearray(HEADROOM) + frame
        return self.ports[IN].forward(buffer, HEADROOM, len(frame))

    def receive(self, frame: bytes) -> None:
        """The long way, as a batch of one."""
        self.ports[IN].receive(Packet.of(frame))
        self.ports[IN].received()

    def statistics(self) -> tuple[object, ...]:
        flow, datapath = self.flow, self.datapath
        table = datapath.flows
        counted = (flow.packets, flow.bytes, flow.used_ms, flow.tcp_flags, flow.mask.hits)
        return (*counted, datapath.counters, table.mask_hit, table.cache_hits)


def built(frame: Frame) -> bytes:
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / frame)


FRAME: Final = built(IP(src="1.2.3.4") / TCP(flags="SA") / Raw(bytes(40)))


def test_a_frame_of_a_known_microflow_goes_to_the_lane_of_its_only_output() -> None:
    rig = Rig(Output(OUT))
    assert rig.forward(FRAME) is None
    rig.receive(FRAME)
    assert rig.forward(FRAME) is rig.ports[OUT].lane
    assert rig.ports[OUT].packets == 1


def test_the_port_is_flushed_at_the_end_of_the_batch() -> None:
    rig = Rig(Output(OUT))
    rig.receive(FRAME)
    flushed = rig.ports[OUT].flushes
    for _ in range(3):
        lane = rig.forward(FRAME)
        assert lane is not None
        lane += (0, 0)
    assert rig.ports[OUT].flushes == flushed
    rig.ports[IN].received()
    assert rig.ports[OUT].flushes == flushed + 1
    rig.ports[IN].received()
    assert rig.ports[OUT].flushes == flushed + 1


@pytest.mark.parametrize("frame", [FRAME, built(IP() / UDP() / Raw(bytes(30)))], ids=["tcp", "udp"])
def test_statistics_do_not_tell_which_way_a_packet_went(frame: bytes) -> None:
    short, long = Rig(Output(OUT)), Rig(Output(OUT))
    for rig in (short, long):
        rig.receive(frame)
    for _ in range(3):
        assert short.forward(frame) is not None
        long.ports[IN].receive(Packet.of(frame))
    for rig in (short, long):
        rig.ports[IN].received()
    assert short.flow.packets == 4
    assert short.statistics() == long.statistics()


@pytest.mark.parametrize(
    "actions",
    [
        pytest.param((), id="none"),
        pytest.param((Output(OUT), Output(ELSEWHERE)), id="two outputs"),
        pytest.param((Output(99),), id="no such port"),
    ],
)
def test_what_does_something_else_goes_the_long_way(actions: tuple[Action, ...]) -> None:
    rig = Rig(*actions)
    rig.receive(FRAME)
    assert rig.forward(FRAME) is None


def test_a_port_without_a_lane_gets_packets() -> None:
    rig = Rig(Output(OUT))
    rig.receive(FRAME)
    rig.ports[OUT].lane = None
    assert rig.forward(FRAME) is None


def test_a_frame_that_passes_the_mtu_goes_the_long_way() -> None:
    rig = Rig(Output(OUT))
    rig.receive(FRAME)
    rig.ports[OUT].mtu = len(FRAME) - 14
    assert rig.forward(FRAME) is not None
    rig.ports[OUT].mtu -= 1
    assert rig.forward(FRAME) is None


def test_changed_actions_count_at_once() -> None:
    rig = Rig(Output(OUT))
    rig.receive(FRAME)
    rig.flow.actions = rig.datapath.compile((Output(ELSEWHERE),), b"")
    assert rig.forward(FRAME) is rig.ports[ELSEWHERE].lane
    rig.flow.actions = rig.datapath.compile((), b"")
    assert rig.forward(FRAME) is None


def test_neither_a_removed_flow_nor_a_detached_port_is_used() -> None:
    rig = Rig(Output(OUT))
    rig.receive(FRAME)
    rig.datapath.detach(rig.ports[OUT])
    assert rig.forward(FRAME) is None
    rig.datapath.attach(rig.ports[OUT], OUT)
    assert rig.forward(FRAME) is not None
    rig.datapath.flows.remove(rig.flow)
    assert rig.forward(FRAME) is None


def test_a_port_in_no_datapath_forwards_nothing() -> None:
    rig = Rig(Output(OUT))
    rig.receive(FRAME)
    rig.datapath.detach(rig.ports[IN])
    assert rig.forward(FRAME) is None


def test_equal_lists_of_actions_are_compiled_once() -> None:
    datapath = Rig(Output(OUT)).datapath
    assert datapath.compile((Output(7),), b"x") is not datapath.compile((Output(7),), b"y")
    kept = datapath.compile((Output(7),), b"x")
    assert datapath.compile((Output(7),), b"x") is kept
    assert (kept.output, datapath.compile((Output(7), Output(7)), b"").output) == (7, -1)
