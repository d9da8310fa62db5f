"""How deep in actions a switch is, and what waits: the per-CPU state of net/openvswitch/actions.c.

Actions on copies and recirculation run at once while they are not deep. Deeper they wait until the
packet that came in has been done with, and where too many wait they are dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from errno import ENETDOWN
from typing import Final

from ovsdp_cuse.switch.drops import DropReason, Drops
from ovsdp_cuse.switch.packet import Packet

LEVELS: Final = 5
"""Programs and lists inside each other, at most (OVS_RECURSION_LIMIT)."""
LEVELS_AT_ONCE: Final = LEVELS - 2
"""How many have a flow key of their own; what is deeper is deferred."""
DEFERRED_MAXIMUM: Final = 9
"""How many may be deferred for a packet: DEFERRED_ACTION_FIFO_SIZE 10, of which 9 are used."""

DESCENTS_MAXIMUM: Final = 8192
"""Copies and recirculations of one packet in all, more than one list has room for. Linux has no
such limit: a list of recirculations, each of which runs the same list, keeps one processor busy
there, and here it would be all."""
LONG: Final = 8
"""A list of more actions counts for ACTIONS_MAXIMUM; the others are bounded by DESCENTS_MAXIMUM."""
ACTIONS_MAXIMUM: Final = 4 * 8192
"""Actions in long lists for one packet in all: four lists of all that a list has room for."""

Run = Callable[[Packet], None]


class Failed(Exception):
    """An action failed, its packet has been counted as dropped: the list around ends too."""

    def __init__(self, errno: int) -> None:
        super().__init__(errno)
        self.errno = errno


class Exhausted(Exception):
    """A packet has had all the copies, recirculations or actions that one may: all of it ends."""


class Execution:
    """What runs and what waits; `level` is 0 where nothing runs."""

    def __init__(self, drops: Drops) -> None:
        self.level = 0
        self._drops = drops
        self._deferred: deque[tuple[Run, Packet]] = deque()
        self._deferred_count = 0
        self._descents = 0
        self._actions = 0

    def run(self, body: Run, packet: Packet) -> Failed | None:
        """Run a flow's actions: ovs_execute_actions(). What was deferred runs at the end.

        Returns what went wrong, if it was not in what was deferred.
        """
        level = self.level + 1
        if level > LEVELS:
            self._drops[DropReason.RECIRCULATION_LIMIT] += 1
            return Failed(ENETDOWN)
        self.level = level
        try:
            failure = _run(body, packet)
            if level == 1:
                while self._deferred:
                    _run(*self._deferred.popleft())
        except Exhausted:
            if level > 1:
                raise
            self._drops[DropReason.RECIRCULATION_LIMIT] += 1
            failure = Failed(ENETDOWN)
        finally:
            self.level = level - 1
            if level == 1:
                self._deferred.clear()
                self._deferred_count = self._descents = self._actions = 0
        return failure

    def descend(self, run: Run, packet: Packet, levels: int) -> None:
        """Run something now, `levels` deeper, or later; may raise Failed, where it runs now.

        Raises Exhausted, which `run` catches where it began.
        """
        self._descents += 1
        if self._descents > DESCENTS_MAXIMUM:
            raise Exhausted
        if self.level <= LEVELS_AT_ONCE:
            self.level += levels
            try:
                run(packet)
            finally:
                self.level -= levels
        elif self._deferred_count < DEFERRED_MAXIMUM:
            self._deferred_count += 1
            self._deferred.append((run, packet))
        else:
            self._drops[DropReason.RECIRCULATION_LIMIT] += 1

    def spend(self, actions: int) -> None:
        """A long list begins; raises Exhausted, as `descend`. A list in no other ends by itself."""
        if self.level:
            self._actions += actions
            if self._actions > ACTIONS_MAXIMUM:
                raise Exhausted


def _run(body: Run, packet: Packet) -> Failed | None:
    try:
        body(packet)
    except Failed as failure:
        return failure
    return None
