"""A rehearsal: actions do all that they do, on a switchboard that tells and sends nothing.

The compiler, the edits and the limits are those of real packets (program.py, execution.py). What
differs is around them: ports get nothing, drops are told and not counted, and meters are copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

from ovsdp_cuse.switch.actions import Action, CheckPktLen, Clone, DecTtl, Output, Sample
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.execution import Execution, Run
from ovsdp_cuse.switch.flow_table import FlowActions
from ovsdp_cuse.switch.meter import Meter, MeterTable
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.program import (
    ALWAYS,
    Compiler,
    Program,
    compile_actions,
    runs_in_place,
)
from ovsdp_cuse.switch.program import Step as ProgramStep
from ovsdp_cuse.switch.switchboard import Switchboard
from ovsdp_cuse.switch.trail import Sight, Step, StepKind, Trail


class ToldDrops(Counter[DropReason]):
    """Drops that are told."""

    def __init__(self, trail: Trail) -> None:
        super().__init__()
        self._trail = trail

    def __setitem__(self, reason: DropReason, count: int) -> None:
        super().__setitem__(reason, count)
        self._trail.tell_drop(reason)


class ToldExecution(Execution):
    """What runs deep in actions is told at its depth, also where it has waited."""

    def __init__(self, drops: ToldDrops, trail: Trail) -> None:
        super().__init__(drops)
        self._told = drops
        self._trail = trail

    def descend(self, run: Run, packet: Packet, levels: int) -> None:
        """As Execution.descend."""
        trail = self._trail
        depth, dropped = trail.depth, self._told.total()
        has_begun = False

        def run_at_depth(packet: Packet) -> None:
            nonlocal has_begun
            has_begun = True
            with trail.at(depth):
                run(packet)

        super().descend(run_at_depth, packet, levels)
        if not has_begun and self._told.total() == dropped:
            trail.tell(Step(StepKind.DEFERRED, depth))


class PeekedMeters:
    """Meters that judge as those of a datapath would, which stay as they are."""

    def __init__(self, table: MeterTable, trail: Trail) -> None:
        self._table = table
        self._trail = trail
        self._copies: dict[int, Meter | None] = {}

    def apply(self, meter_id: int, length: int, now_ms: int, /) -> bool:
        """As MeterTable.apply: one packet may come more than once."""
        if meter_id not in self._copies:
            self._copies[meter_id] = deepcopy(self._table.lookup(meter_id))
        meter = self._copies[meter_id]
        if meter is None:
            text, is_dropped = "is not there, and drops nothing", False
        else:
            is_dropped = meter.apply(length, now_ms)
            text = "would drop it now" if is_dropped else "would let it pass now"
        self._trail.tell(Step(StepKind.DECIDED, 0, text=f"meter {meter_id} {text}"))
        return is_dropped


@dataclass(slots=True)
class _Note:
    """Where an action is.

    path: see Step. deeper: how many lists it is in that run as if they were the one around them.
    entered: the actions that hold those which begin with this one, from the outermost. left: those
    that come after this one, and have nothing to do.
    """

    path: tuple[int, ...]
    deeper: int = 0
    entered: tuple[_Note, ...] = ()
    left: tuple[_Note, ...] = ()


class ToldCompiler(Compiler):
    """Makes steps that tell what they do.

    A step is made when it first runs: of a long list, or of lists in lists, most may never do.
    """

    def __init__(
        self, actions: FlowActions, board: Switchboard, trail: Trail, is_sampled: bool
    ) -> None:
        super().__init__(board)
        self._ports = board.ports
        self._trail = trail
        self._is_sampled = is_sampled
        self._flow_actions = actions
        self._notes: dict[int, _Note] = {}
        self._steps: dict[int, ProgramStep] = {}
        self._idle: tuple[_Note, ...] = ()
        """The actions of a list that has only such as have nothing to do."""
        self._own = self._separate(actions.actions, ())

    def compile(self, board: Switchboard) -> Program:
        """What runs the actions, and tells it."""
        return compile_actions(self._own, board, self)

    def _separate(self, actions: Sequence[Action], path: tuple[int, ...]) -> tuple[Action, ...]:
        """Actions of which no two are the same object, so that each has a note by its identity."""
        return tuple(
            self._separate_one(action, (*path, index)) for index, action in enumerate(actions)
        )

    def _separate_one(self, action: Action, path: tuple[int, ...]) -> Action:
        own: Action
        match action:
            case Clone(actions):
                own = Clone(self._separate(actions, (*path, 0)))
            case Sample(probability, actions):
                own = Sample(probability, self._separate(actions, (*path, 0)))
            case DecTtl(actions):
                own = DecTtl(self._separate(actions, (*path, 0)))
            case CheckPktLen(length, greater, less_or_equal):
                own = CheckPktLen(
                    length,
                    self._separate(greater, (*path, 0)),
                    self._separate(less_or_equal, (*path, 1)),
                )
            case _:
                own = action if id(action) not in self._notes else replace(action)
        self._notes[id(own)] = _Note(path)
        return own

    def body(
        self, actions: Sequence[Action], end: Program | None = None, is_nested: bool = True
    ) -> Program:
        """As Compiler.body; what the list does is told one deeper."""
        run = super().body(actions, end, is_nested)
        deeper = self._trail.deeper
        idle, self._idle = self._idle, ()

        def run_deeper(packet: Packet) -> None:
            with deeper():
                self._tell_holders(idle)
                run(packet)

        return run_deeper

    def _unfold(self, actions: Sequence[Action]) -> list[Action]:
        """As Compiler._unfold, with a note of what is not there any more."""
        unfolded = list(actions)
        gone: tuple[_Note, ...] = ()
        while unfolded and (inner := runs_in_place(unfolded[-1])) is not None:
            outer = self._notes[id(unfolded[-1])]
            holders = (*outer.entered, outer)
            for action in inner:
                self._notes[id(action)].deeper = outer.deeper + 1
            if inner:
                self._notes[id(inner[0])].entered = holders
            else:
                gone = (*holders, *gone)
            unfolded[-1:] = inner
        if unfolded:
            self._notes[id(unfolded[-1])].left = gone
        else:
            self._idle = gone
        return unfolded

    def _last(self, action: Action, end: Program) -> Program | None:
        finish = super()._last(action, end)
        if finish is None:
            return None
        trail, note = self._trail, self._notes[id(action)]

        def finish_told(packet: Packet) -> None:
            with trail.deeper(note.deeper):
                self._tell(action)
                finish(packet)
                self._tell_holders(note.left, note.deeper)

        return finish_told

    def _step(self, action: Action) -> ProgramStep:
        return partial(self._run, action)

    def _run(self, action: Action, packet: Packet) -> bool:
        step = self._steps.get(id(action))
        if step is None:
            step = self._steps[id(action)] = super()._step(action)
        trail, note = self._trail, self._notes[id(action)]
        with trail.deeper(note.deeper):
            told, before = self._tell(action), Sight.of(packet)
            if step(packet):
                return True
            trail.tell_change(told, before, packet)
            self._tell_holders(note.left, note.deeper)
            return False

    def _taken(self, probability: int) -> Callable[[], bool]:
        if probability in (0, ALWAYS):
            return super()._taken(probability)
        trail, is_sampled = self._trail, self._is_sampled
        text = (
            f"a sample of {100 * probability / ALWAYS:.4g} % is "
            f"{'taken' if is_sampled else 'not taken'} here"
        )

        def taken() -> bool:
            trail.tell(Step(StepKind.DECIDED, 0, text=text))
            return is_sampled

        return taken

    def _tell(self, action: Action) -> Step:
        """Tell an action, and before it those that begin with it and only hold a list."""
        trail, note, actions = self._trail, self._notes[id(action)], self._flow_actions
        self._tell_holders(note.entered, note.deeper)
        if isinstance(action, Output) and action.port not in self._ports:
            trail.why = f"the datapath has no port {action.port}"
        return trail.tell(Step(StepKind.ACTION, 0, actions=actions, path=note.path))

    def _tell_holders(self, notes: Sequence[_Note], deeper: int = 0) -> None:
        """Tell actions that only hold a list; `deeper` is counted in the depth already."""
        trail, actions = self._trail, self._flow_actions
        for note in notes:
            with trail.deeper(note.deeper - deeper):
                trail.tell(Step(StepKind.ACTION, 0, actions=actions, path=note.path))
