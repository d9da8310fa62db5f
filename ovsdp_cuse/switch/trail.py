"""The trail of a packet: what is told of its way through a datapath, step by step.

Whoever tells it raises Ended where there would be too much of it: actions can multiply a packet
thousandfold, and nobody reads that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.edits.link import CannotApply, update_key
from ovsdp_cuse.switch.flow_table import Flow, FlowActions, Mask
from ovsdp_cuse.switch.packet import Packet

STEPS_MAXIMUM: Final = 1000
"""Steps that are told of a packet."""
FRAMES_MAXIMUM: Final = 4 << 20
"""Bytes of frames in all of them."""


class StepKind(Enum):
    """What a step tells; which of its fields are set, is said of each kind."""

    EXTRACTED = auto()
    """key: the packet's."""
    MASK_TRIED = auto()
    """mask, flows: none of its flows matched. Without mask: text, of several masks."""
    HIT = auto()
    """flow, mask, actions: what matched. text: where a cache knew it."""
    MISS = auto()
    """No flow matched."""
    ACTION = auto()
    """actions, path: one action. frame, key: the packet after it, each where it changed."""
    OUTPUT = auto()
    """port, port_name: where `frame` would be sent."""
    UPCALL = auto()
    """pid: who would be told of `frame`."""
    RECIRCULATED = auto()
    """key: with which the packet is looked up again."""
    DROPPED = auto()
    """reason, and text where more is known."""
    DECIDED = auto()
    """text: what chance or a meter decides, and what was taken to happen."""
    DEFERRED = auto()
    """The copy waits until what comes in the meantime is done: it is too deep to go on at once."""
    ENDED = auto()
    """text: why the rest is not told."""


@dataclass(slots=True, eq=False)
class Step:
    """One step; `depth`: inside how many lists of actions and recirculations.

    path: where the action is in the list of `actions`: its index, or the index of an action that
    holds it, which of that one's lists (0, or 1 for the second of check_pkt_len), the index there,
    and so on. key: of a packet whose key is not valid, what extraction would find.
    """

    kind: StepKind
    depth: int
    key: int | None = None
    frame: bytes | None = None
    mask: Mask | None = None
    flows: int | None = None
    flow: Flow | None = None
    actions: FlowActions | None = None
    path: tuple[int, ...] = ()
    port: int | None = None
    port_name: str | None = None
    pid: int | None = None
    reason: DropReason | None = None
    text: str | None = None


class Ended(Exception):
    """No more is told: the packet goes no further."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A packet at one moment; key: None where extraction refuses the frame."""

    frame: bytes
    key: int | None

    @classmethod
    def of(cls, packet: Packet) -> Sight:
        """What a packet is now; the packet stays as it is."""
        if packet.key_valid:
            return cls(packet.frame, packet.key)
        copy = packet.clone()
        try:
            update_key(copy)
        except CannotApply:
            return cls(packet.frame, None)
        return cls(packet.frame, copy.key)


class Trail:
    """The steps so far; `depth` is where the packet is now.

    why: what more there is to say of the drop that comes next.
    """

    def __init__(self, maximum: int = STEPS_MAXIMUM) -> None:
        self.steps: list[Step] = []
        self.depth = 0
        self.why: str | None = None
        self._maximum = maximum
        self._room = FRAMES_MAXIMUM

    def tell(self, step: Step) -> Step:
        """Add a step, at the depth where the packet is; raises Ended where that is too much."""
        if len(self.steps) >= self._maximum:
            raise Ended(f"more than {self._maximum} steps")
        step.depth = self.depth
        self._spend(step.frame)
        self.steps.append(step)
        return step

    def tell_change(self, step: Step, before: Sight, packet: Packet) -> None:
        """Say in a step what an action has made of a packet; raises Ended, as `tell`."""
        after = Sight.of(packet)
        if after.frame != before.frame:
            self._spend(after.frame)
            step.frame = after.frame
        if after.key != before.key:
            step.key = after.key

    def tell_drop(self, reason: DropReason) -> None:
        """Add a drop."""
        text, self.why = self.why, None
        self.tell(Step(StepKind.DROPPED, self.depth, reason=reason, text=text))

    def end(self, reason: Ended) -> None:
        """Add the step behind which nothing comes."""
        self.steps.append(Step(StepKind.ENDED, 0, text=str(reason)))

    @contextmanager
    def deeper(self, levels: int = 1) -> Iterator[None]:
        """What is told meanwhile is deeper."""
        self.depth += levels
        try:
            yield
        finally:
            self.depth -= levels

    @contextmanager
    def at(self, depth: int) -> Iterator[None]:
        """What is told meanwhile is at another depth."""
        before, self.depth = self.depth, depth
        try:
            yield
        finally:
            self.depth = before

    def _spend(self, frame: bytes | None) -> None:
        self._room -= len(frame or b"")
        if self._room < 0:
            raise Ended(f"frames of more than {FRAMES_MAXIMUM} bytes")
