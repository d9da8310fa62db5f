"""Explain: what a datapath would do with a packet, step by step, while nothing is done.

Nothing changes: no counter, cache, meter or random generator of the datapath, and nobody gets the
packet. What a real packet does is written in program.py and those that it uses; they run here too,
on a switchboard that tells (rehearsal.py). tests/switch/test_explain.py compares both.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.flow_hash import flow_hash
from ovsdp_cuse.switch.flow_table import Flow, FlowActions
from ovsdp_cuse.switch.key import IN_PORT, MAC_PROTO, MAC_PROTO_ETHERNET, PRIORITY, SKB_MARK
from ovsdp_cuse.switch.offload import OffloadError
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import Port
from ovsdp_cuse.switch.program import Program
from ovsdp_cuse.switch.rehearsal import PeekedMeters, ToldCompiler, ToldDrops, ToldExecution
from ovsdp_cuse.switch.trail import STEPS_MAXIMUM, Ended, Step, StepKind, Trail
from ovsdp_cuse.switch.upcall import Upcall

MASKS_MAXIMUM: Final = 100
"""Masks that are told one by one in a look-up; the others are told together."""

_REMEMBERED = "a cache has this flow: a packet like this one tries no mask"
_REMEMBERED_OTHER = "a cache has this flow, which is not the one that the masks would find"

Obstacle = Callable[[Upcall], str | None]
"""Why an upcall would not get to who has its PID; None where it would."""


def explain(
    datapath: Datapath,
    packet: Packet,
    metadata: int,
    now_ms: int,
    obstacle: Obstacle,
    *,
    is_sampled: bool = True,
    maximum: int = STEPS_MAXIMUM,
) -> list[Step]:
    """The steps of a packet that is received.

    packet: without a key; it is used up. metadata: the fields of METADATA, among them the port
    that it comes in by, as for `extract`. now_ms: in milliseconds of CLOCK_MONOTONIC. is_sampled:
    whether samples that may be taken or not are taken. maximum: of steps; one more says then that
    there would be more.
    """
    trail = Trail(maximum)
    rehearsal = Rehearsal(datapath, trail, now_ms, obstacle, is_sampled)
    try:
        rehearsal.receive(packet, metadata)
    except Ended as reason:
        trail.end(reason)
    return trail.steps


class Rehearsal:
    """A Switchboard for one packet; see there and Datapath for what its methods stand for."""

    def __init__(
        self, datapath: Datapath, trail: Trail, now_ms: int, obstacle: Obstacle, is_sampled: bool
    ) -> None:
        self.ports = datapath.ports
        self.drops = ToldDrops(trail)
        self.execution = ToldExecution(self.drops, trail)
        self.meters = PeekedMeters(datapath.meters, trail)
        self.random = Random(0)
        """For samples that are always taken: it decides nothing."""
        self.now_ms = now_ms
        self._datapath = datapath
        self._trail = trail
        self._obstacle = obstacle
        self._is_sampled = is_sampled
        self._programs: dict[int, tuple[FlowActions, Program]] = {}

    def receive(self, packet: Packet, metadata: int) -> None:
        """A packet comes in by a port."""
        packet.priority, packet.mark = PRIORITY.get(metadata), SKB_MARK.get(metadata)
        port = IN_PORT.get(metadata)
        remembered = None
        if metadata == IN_PORT.place(port) | MAC_PROTO.place(MAC_PROTO_ETHERNET):
            remembered = self._datapath.remembered(port, packet)
        if not extract(packet, metadata):
            self.drops[DropReason.MALFORMED] += 1
            return
        self._trail.tell(Step(StepKind.EXTRACTED, 0, key=packet.key))
        self._look_up(packet, remembered)

    def process(self, packet: Packet) -> None:
        """A packet comes back from a program."""
        with self._trail.deeper():
            self._trail.tell(Step(StepKind.RECIRCULATED, 0, key=packet.key))
            self._look_up(packet)

    def transmit(self, port: Port, packet: Packet) -> None:
        """A packet would be given to a port."""
        step = Step(StepKind.OUTPUT, 0, frame=packet.frame, port=port.number, port_name=port.name)
        self._trail.tell(step)

    def send_upcall(self, upcall: Upcall) -> bool:
        """An upcall would be sent."""
        try:
            upcalls = self._datapath.upcalls.prepare(upcall)
        except OffloadError as error:
            self._trail.why = f"the frame cannot be finished: {error}"
            return False
        if not upcalls:
            self._trail.why = "no PID is set for it"
            return False
        for one in upcalls:
            self._trail.why = self._obstacle(one)
            if self._trail.why is not None:
                return False
            frame = one.packet.frame
            if one.packet.cut:
                frame = frame[: one.packet.cut]
            self._trail.tell(Step(StepKind.UPCALL, 0, pid=one.pid, frame=frame))
        return True

    def _look_up(self, packet: Packet, remembered: Flow | None = None) -> None:
        if remembered is None:
            if packet.hash is not None:
                flow_hash(packet)
            remembered = self._datapath.flows.remembered(packet.key, hash(packet.key))
        found = self._try_masks(packet.key)
        flow = remembered or found
        if flow is None:
            self._miss(packet)
            return
        text = None
        if remembered is not None:
            text = _REMEMBERED if remembered is found else _REMEMBERED_OTHER
        actions = flow.actions
        self._trail.tell(
            Step(StepKind.HIT, 0, flow=flow, mask=flow.mask, actions=actions, text=text)
        )
        self._program(actions)(packet)

    def _try_masks(self, key: int) -> Flow | None:
        """The flow that the masks find for a key."""
        told = masks = flows = 0
        found = None
        for mask in self._datapath.flows.masks:
            found = mask.lookup(key)
            if found is not None:
                break
            if told < MASKS_MAXIMUM:
                told += 1
                self._trail.tell(Step(StepKind.MASK_TRIED, 0, mask=mask, flows=len(mask.flows)))
            else:
                masks += 1
                flows += len(mask.flows)
        if masks:
            self._trail.tell(Step(StepKind.MASK_TRIED, 0, flows=flows, text=f"{masks} more masks"))
        return found

    def _program(self, actions: FlowActions) -> Program:
        """What runs actions; a packet may come to them often."""
        known = self._programs.get(id(actions))
        if known is None:
            compiler = ToldCompiler(actions, self, self._trail, self._is_sampled)
            known = self._programs[id(actions)] = actions, compiler.compile(self)
        return known[1]

    def _miss(self, packet: Packet) -> None:
        self._trail.tell(Step(StepKind.MISS, 0))
        packet.cut = 0
        if not self.send_upcall(Upcall(True, packet, 0)):
            self.drops[DropReason.UPCALL_LOST] += 1
