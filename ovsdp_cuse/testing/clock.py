"""The time of a daemon that goes on only when it is told to."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ovsdp_cuse.testing.thread import LoopThread

START_S = 1000.0
"""What it shows at first: not 0, which in some attributes means never."""
REBALANCE_INTERVAL_S = 4.0
"""How often the daemon sorts its masks by their hits."""
IDLE_S = 0.01
"""Real seconds without anything to do after which who waits can only be waiting for the clock."""


class VirtualClock:
    """Seconds that pass by `advance`; the daemon's sleeps, and all times that it tells.

    on_interval: called, in the daemon, each time that REBALANCE_INTERVAL_S has passed. It is no
    task that sleeps, so that whatever sleeps in the daemon is what somebody waits for.
    """

    def __init__(self, on_interval: Callable[[], None]) -> None:
        self.trio_clock = MockClock()
        self.trio_clock.jump(START_S)
        self.loop: LoopThread | None = None
        """The daemon's, whoever makes it sets it."""
        self._on_interval = on_interval
        self._next_interval_s = START_S + REBALANCE_INTERVAL_S

    @property
    def now_ms(self) -> int:
        """The time in milliseconds, which OVS_FLOW_ATTR_USED is in."""
        return round(self.trio_clock.current_time() * 1000)

    def advance(self, seconds: float) -> None:
        """Let time pass, and return when all has happened that was to happen by then.

        What is due meanwhile happens at its own time, in order. ValueError below 0.
        """
        if not seconds >= 0 or math.isinf(seconds):
            raise ValueError(f"time goes on, by a finite number of seconds, not {seconds}")
        self._loop().call(lambda: self.pass_time(seconds))

    def settle(self) -> None:
        """Return when the daemon has nothing to do but to wait."""
        self._loop().call(wait_all_tasks_blocked)

    async def pass_time(self, seconds: float) -> None:
        """In the loop: as `advance`."""
        end = self.trio_clock.current_time() + seconds
        while True:
            await wait_all_tasks_blocked()
            now = self.trio_clock.current_time()
            if now >= end:
                return
            self._jump(max(min(end - now, _due(), self._next_interval_s - now), 0.0))

    async def pass_deadlines(self, until: Callable[[], bool], limit_s: float) -> None:
        """In the loop: go from one moment when something is due to the next, `limit_s` at most.

        It ends when `until` holds, or when nothing more is due; the rest of `limit_s` does not
        pass.
        """
        end = self.trio_clock.current_time() + limit_s
        while True:
            await wait_all_tasks_blocked()
            due = _due()
            if until() or math.isinf(due) or self.trio_clock.current_time() + due > end:
                return
            await self.pass_time(max(due, 0.0))

    async def move_while_waiting(self) -> None:
        """In the loop, until cancelled: go to the next moment when nothing else can happen."""
        while True:
            await wait_all_tasks_blocked(IDLE_S)
            due = _due()
            if not math.isinf(due):
                await self.pass_time(max(due, 0.0))

    def _jump(self, seconds: float) -> None:
        self.trio_clock.jump(seconds)
        while self.trio_clock.current_time() >= self._next_interval_s:
            self._next_interval_s += REBALANCE_INTERVAL_S
            self._on_interval()

    def _loop(self) -> LoopThread:
        if self.loop is None:
            raise RuntimeError("the daemon is not started")
        return self.loop


def _due() -> float:
    """In the loop: seconds until something that sleeps is to wake; infinite where nothing is."""
    return trio.lowlevel.current_statistics().seconds_to_next_deadline
