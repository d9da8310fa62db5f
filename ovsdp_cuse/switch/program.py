"""Programs: a flow's actions, compiled when it is installed into what runs on its packets.

An action becomes a step, a function of the packet with everything looked up, and a list of actions
a body that calls them in order; a list with one output is the output's function itself. Semantics
are those of do_execute_actions() of net/openvswitch/actions.c (Linux 6.1):

- An action that fails ends the list, and the lists around it; their packets are dropped.
- The last action of a list gets the packet itself, others that keep one get a copy. A copy's memory
  is shared until one of them writes (see packet.py).
- sample, clone and check_pkt_len run their lists on a copy with a flow key of its own, or, where
  they are the last action, in place.

A datapath implements Switchboard (switchboard.py). It makes packets with a valid key and calls a
flow's program; its `process` looks a packet up by its key and does the same again.

Every copy of a packet that goes nowhere is counted in `drops`, but for a copy that is left over at
the end of a list which has sent others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ovsdp_cuse.switch.actions import (
    Action,
    CheckPktLen,
    Clone,
    DecTtl,
    Drop,
    Hash,
    Meter,
    Output,
    Recirc,
    Sample,
    Trunc,
    Userspace,
)
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.edits import CannotApply, make_edit
from ovsdp_cuse.switch.edits.link import length, update_key
from ovsdp_cuse.switch.edits.ttl import decrement
from ovsdp_cuse.switch.execution import LONG, Failed
from ovsdp_cuse.switch.flow_hash import dp_hash, flow_hash, symmetric_hash
from ovsdp_cuse.switch.key import DP_HASH, RECIRC_ID
from ovsdp_cuse.switch.output import make_output
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.packet_length import fits
from ovsdp_cuse.switch.switchboard import Switchboard
from ovsdp_cuse.switch.upcall import Upcall

Program = Callable[[Packet], None]
"""Runs actions on a packet and has done with it when it returns; it does not raise."""

Step = Callable[[Packet], bool | None]
"""One action of a list, not the last; True where the packet has been done with."""

ALWAYS = 0xFFFFFFFF
"""The probability of a sample that is always taken."""


def compile_actions(
    actions: Sequence[Action], board: Switchboard, compiler: Compiler | None = None
) -> Program:
    """What runs these (validated) actions on the packets of a datapath.

    compiler: one for the same board that does more than run them.
    """
    body = (compiler or Compiler(board)).body(actions, is_nested=False)
    if not _is_deep(actions):
        return body
    run = board.execution.run

    def program(packet: Packet) -> None:
        run(body, packet)

    return program


def execute_actions(actions: Sequence[Action], board: Switchboard, packet: Packet) -> None:
    """Run (validated) actions once; raises Failed where one of them fails."""
    failure = board.execution.run(Compiler(board).body(actions), packet)
    if failure is not None:
        raise failure


def _is_deep(actions: Sequence[Action]) -> bool:
    """Whether a list needs to know how deep it is: it, or one inside, copies or recirculates."""
    return any(
        isinstance(action, Recirc | Sample | Clone | CheckPktLen | DecTtl) for action in actions
    )


def _keeps_key(actions: Sequence[Action]) -> bool:
    """Whether a list leaves packet and key as they are: not actions_may_change_flow()."""
    return all(isinstance(action, Output | Recirc | Trunc | Userspace) for action in actions)


def _gives(action: Action) -> bool:
    """Whether an action certainly sends the packet, a copy of it, or counts it."""
    match action:
        case Output() | Userspace() | Recirc() | Drop():
            return True
        case Clone(actions):
            return any(map(_gives, actions))
        case Sample(probability, actions):
            return probability == ALWAYS and any(map(_gives, actions))
        case CheckPktLen(_, greater, less_or_equal):
            return any(map(_gives, greater)) and any(map(_gives, less_or_equal))
    return False


def runs_in_place(action: Action) -> Sequence[Action] | None:
    """The list of an action which, if it is the last of its list, is as if it stood there."""
    match action:
        case Clone(actions):
            return actions
        case Sample(probability, actions) if probability == ALWAYS:
            return actions
    return None


def _nothing(packet: Packet) -> None:
    """The end of a list that has sent the packet."""


class Compiler:
    """Makes steps for one switchboard.

    Who wants to know what becomes of a packet overrides what makes lists and steps (rehearsal.py).
    So the steps of others, which are on the way of each packet, need not ask whether anybody does.
    """

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._drops = board.drops
        self._execution = board.execution

    # Lists

    def body(
        self, actions: Sequence[Action], end: Program | None = None, is_nested: bool = True
    ) -> Program:
        """What runs a list on a packet that belongs to it.

        end: what becomes of a packet that no action of the list sends; it is counted as NO_ACTIONS
        by default. A list inside another raises Failed.
        """
        end = end or self._counter(DropReason.NO_ACTIONS)
        *rest, last = self._unfold(actions) or (None,)
        if any(action is not None and _gives(action) for action in rest):
            end = _nothing
        finish = self._last(last, end) if last is not None else None
        if finish is None:
            finish = end
            if last is not None:
                if _gives(last):
                    finish = _nothing
                rest.append(last)
        steps = [self._step(action) for action in rest if action is not None]
        return self._sequence(steps, finish, is_nested) if steps else finish

    def _unfold(self, actions: Sequence[Action]) -> list[Action]:
        """A list whose last is no clone, nor a sample that is always taken: they run in place."""
        unfolded = list(actions)
        while unfolded and (inner := runs_in_place(unfolded[-1])) is not None:
            unfolded[-1:] = inner
        return unfolded

    def _sequence(self, steps: list[Step], finish: Program, is_nested: bool) -> Program:
        drops = self._drops

        def fail(error: CannotApply) -> None:
            drops[error.reason] += 1
            if is_nested:
                raise Failed(error.errno) from error

        if len(steps) == 1:
            (step,) = steps

            def run_two(packet: Packet) -> None:
                try:
                    if step(packet):
                        return
                except CannotApply as error:
                    return fail(error)
                finish(packet)

            return run_two

        def run(packet: Packet) -> None:
            try:
                for step in steps:
                    if step(packet):
                        return
            except CannotApply as error:
                return fail(error)
            finish(packet)

        return self._counted(run, len(steps)) if len(steps) > LONG else run

    def _counted(self, run: Program, actions: int) -> Program:
        """A long list, run by others again and again, would stop the switch for seconds."""
        spend = self._execution.spend

        def run_counted(packet: Packet) -> None:
            spend(actions)
            run(packet)

        return run_counted

    def _counter(self, reason: DropReason) -> Program:
        drops = self._drops

        def count(packet: Packet) -> None:
            drops[reason] += 1

        return count

    # The last action of a list

    def _last(self, action: Action, end: Program) -> Program | None:
        """What does an action with a packet that it may keep; None where it does not keep it."""
        match action:
            case Output(port):
                return make_output(port, self._board)
            case Recirc(recirc_id):
                return self._recirculate_last(recirc_id)
            case Sample(probability, actions):
                return self._sample_last(probability, self.body(actions, end), end)
            case CheckPktLen(limit, greater, less_or_equal):
                return self._fork_last(
                    limit, self.body(greater, end), self.body(less_or_equal, end)
                )
            case Drop():
                return self._counter(DropReason.EXPLICIT)
        return None

    def _recirculate_last(self, recirc_id: int) -> Program:
        recirculate, drops = self._recirculate(recirc_id), self._drops

        def finish(packet: Packet) -> None:
            try:
                update_key(packet)
            except CannotApply as error:
                drops[error.reason] += 1
                raise Failed(error.errno) from error
            recirculate(packet)

        return finish

    def _sample_last(self, probability: int, body: Program, end: Program) -> Program:
        taken = self._taken(probability)
        return lambda packet: body(packet) if taken() else end(packet)

    def _fork_last(self, limit: int, greater: Program, less_or_equal: Program) -> Program:
        return lambda packet: (less_or_equal if fits(packet, limit) else greater)(packet)

    # Other actions

    def _step(self, action: Action) -> Step:
        """What does an action with a packet that is used on."""
        edit = make_edit(action)
        if edit is not None:
            return edit
        match action:
            case Output(port):
                return make_output(port, self._board)
            case Userspace():
                return self._userspace(action)
            case Trunc(max_len):
                return _trunc(max_len)
            case Hash(basis, symmetric):
                return _hash(basis, symmetric)
            case Meter(meter_id):
                return self._meter(meter_id)
            case Recirc(recirc_id):
                return self._recirculate_copy(recirc_id)
            case Clone(actions):
                return self._on_copy(actions)
            case Sample(probability, actions):
                return self._sample(probability, actions)
            case CheckPktLen(limit, greater, less_or_equal):
                return self._fork(limit, greater, less_or_equal)
            case DecTtl(actions):
                return self._dec_ttl(actions)
        raise AssertionError(f"{action} is not a step")

    def _userspace(self, action: Userspace) -> Step:
        board, drops = self._board, self._drops
        pid, userdata, tunnel_port = action.pid, action.userdata, action.egress_tunnel_port
        actions = action.actions

        def step(packet: Packet) -> None:
            if not board.send_upcall(Upcall(False, packet, pid, userdata, actions, tunnel_port)):
                drops[DropReason.UPCALL_LOST] += 1
            packet.cut = 0

        return step

    def _meter(self, meter_id: int) -> Step:
        board, drops, apply = self._board, self._drops, self._board.meters.apply

        def step(packet: Packet) -> bool:
            if apply(meter_id, length(packet), board.now_ms):
                drops[DropReason.METER] += 1
                return True
            return False

        return step

    def _recirculate(self, recirc_id: int) -> Program:
        process, descend = self._board.process, self._execution.descend
        keep, placed = ~RECIRC_ID.ones, RECIRC_ID.place(recirc_id)

        def recirculate(packet: Packet) -> None:
            packet.key = packet.key & keep | placed
            descend(process, packet, 0)

        return recirculate

    def _recirculate_copy(self, recirc_id: int) -> Step:
        recirculate = self._recirculate(recirc_id)

        def step(packet: Packet) -> None:
            update_key(packet)
            recirculate(packet.clone())

        return step

    def _on_copy(self, actions: Sequence[Action]) -> Step:
        """Run a list on a copy with a flow key of its own, now or later.

        A list that leaves packet and key as they are runs now, at any depth. It needs no copy.
        """
        body = self.body(actions, _nothing)
        if not _keeps_key(actions):
            descend = self._execution.descend

            def step(packet: Packet) -> None:
                try:
                    descend(body, packet.clone(), 1)
                except Failed as error:
                    raise CannotApply(error.errno) from error

            return step

        recirculates = any(isinstance(action, Recirc) for action in actions)

        def step_in_place(packet: Packet) -> None:
            cut = packet.cut
            body(packet)
            packet.cut = cut

        def step_with_key(packet: Packet) -> None:
            try:
                body(packet.clone())
            except Failed as error:
                raise CannotApply(error.errno) from error
            # The key is shared: the recirculation has made it valid again.
            copy = packet.clone()
            update_key(copy)
            packet.key, packet.key_valid = copy.key, True

        return step_with_key if recirculates else step_in_place

    def _sample(self, probability: int, actions: Sequence[Action]) -> Step:
        taken, step = self._taken(probability), self._on_copy(actions)
        return lambda packet: step(packet) if taken() else None

    def _taken(self, probability: int) -> Callable[[], bool]:
        random = self._board.random
        if not probability:
            return lambda: False
        return lambda: random.getrandbits(32) <= probability

    def _fork(self, limit: int, greater: Sequence[Action], less_or_equal: Sequence[Action]) -> Step:
        on_greater, otherwise = self._on_copy(greater), self._on_copy(less_or_equal)
        return lambda packet: (otherwise if fits(packet, limit) else on_greater)(packet)

    def _dec_ttl(self, actions: Sequence[Action]) -> Step:
        expired = self.body(actions, self._counter(DropReason.TTL_EXPIRED))

        def step(packet: Packet) -> bool:
            if decrement(packet):
                return False
            expired(packet)
            return True

        return step


def _trunc(max_len: int) -> Step:
    def step(packet: Packet) -> None:
        packet.cut = max_len

    return step


def _hash(basis: int, symmetric: bool) -> Step:
    keep, shift = ~DP_HASH.ones, DP_HASH.shift
    compute = symmetric_hash if symmetric else flow_hash

    def step(packet: Packet) -> None:
        packet.key = packet.key & keep | dp_hash(compute(packet), basis) << shift

    return step
