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

PROGRAMS_MAXIMUM: Final = 1024
"""Programs and lists that one packet may run in all. Linux has no such limit: a list of
recirculations, each of which runs the same list, keeps one of its processors busy. Here it would be
the whole switch."""

Run = Callable[[Packet], None]


class Failed(Exception):
    """An action failed, its packet has been counted as dropped: the list around ends too."""

    def __init__(self, errno: int) -> None:
        super().__init__(errno)
        self.errno = errno


class Execution:
    """What runs and what waits; `level` is 0 where nothing runs."""

    def __init__(self, drops: Drops) -> None:
        self.level = 0
        self._drops = drops
        self._deferred: deque[tuple[Run, Packet]] = deque()
        self._deferred_count = 0
        self._programs = 0

    def run(self, body: Run, packet: Packet) -> Failed | None:
        """Run a flow's actions: ovs_execute_actions(). What was deferred runs at the end.

        Returns what went wrong, if it was not in what was deferred.
        """
        level = self.level + 1
        self._programs += 1
        if level > LEVELS or self._programs > PROGRAMS_MAXIMUM:
            self._drops[DropReason.RECIRCULATION_LIMIT] += 1
            return Failed(ENETDOWN)
        self.level = level
        try:
            failure = _run(body, packet)
            if level == 1:
                while self._deferred:
                    _run(*self._deferred.popleft())
        finally:
            self.level = level - 1
            if level == 1:
                self._deferred.clear()
                self._deferred_count = self._programs = 0
        return failure

    def descend(self, run: Run, packet: Packet, levels: int) -> None:
        """Run something now, `levels` deeper, or later; may raise Failed, where it runs now."""
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


def _run(body: Run, packet: Packet) -> Failed | None:
    try:
        body(packet)
    except Failed as failure:
        return failure
    return None
