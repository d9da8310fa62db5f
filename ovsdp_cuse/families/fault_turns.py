"""What a handle has sent, in order, while a fault lets the first of it wait.

A fault makes a request wait, and what the same handle sends after it must not overtake it. So the
requests of such a handle take turns, those of the device door and those of the stream door in one
line; the line ends with its last turn. Other handles have lines of their own, or none.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import trio

from ovsdp_cuse.wire.fault import FaultEffect

if TYPE_CHECKING:
    from ovsdp_cuse.families.faults import Fault


class Turn:
    """One request's place in a line; `fault` is what lets it wait, None where others do.

    deadline: of trio.current_time(), when the fault lets it go on; infinite for HOLD.
    """

    __slots__ = ("_first", "_released", "deadline", "fault", "line")

    def __init__(self, line: Line, fault: Fault | None) -> None:
        self.line = line
        self.fault = fault
        self.deadline = -math.inf
        self._first = trio.Event()
        self._released = trio.Event()
        if fault is not None:
            self.deadline = math.inf
            if fault.effect is not FaultEffect.HOLD:
                self.deadline = trio.current_time() + fault.delay_s
            fault.waiting.add(self)

    def release(self) -> None:
        """Let the fault wait no longer."""
        self._released.set()

    def come_first(self) -> None:
        """All before it have ended."""
        self._first.set()

    async def wait(self) -> None:
        """Return when it is this one's turn, and its fault has let go of it."""
        try:
            await self._first.wait()
            with trio.move_on_at(self.deadline):
                await self._released.wait()
        finally:
            self._let_go()

    def end(self) -> None:
        """Let the next one come, whether or not this one's turn had come."""
        self._let_go()
        self.line.end(self)

    def _let_go(self) -> None:
        if self.fault is not None:
            self.fault.waiting.discard(self)


class Line:
    """The turns of one handle, in the order in which its requests came."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque()

    def __len__(self) -> int:
        return len(self._turns)

    def join(self, fault: Fault | None) -> Turn:
        """A turn at the end of the line."""
        turn = Turn(self, fault)
        self._turns.append(turn)
        if len(self._turns) == 1:
            turn.come_first()
        return turn

    def end(self, turn: Turn) -> None:
        """Take a turn out of the line; it may have been taken out already."""
        if turn not in self._turns:
            return
        self._turns.remove(turn)
        if self._turns:
            self._turns[0].come_first()

    def release(self) -> None:
        """Let none wait any longer."""
        for turn in self._turns:
            turn.release()

    def is_stalled(self, fault: Fault | None = None) -> bool:
        """Whether a stall lets the handle wait: this one, or any."""
        return any(
            turn.fault is not None
            and turn in turn.fault.waiting
            and turn.fault.effect is FaultEffect.STALL
            and fault in (None, turn.fault)
            for turn in self._turns
        )
