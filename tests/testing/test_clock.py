"""A clock that goes on only when it is told to."""

from __future__ import annotations

import threading

import pytest
import trio

from ovsdp_cuse.testing import LocalDaemon
from ovsdp_cuse.testing.clock import START_S


@pytest.fixture
def sleeps() -> list[float]:
    """When the tasks of `sleeper` have woken."""
    return []


def sleep(daemon: LocalDaemon, sleeps: list[float], *seconds: float) -> None:
    """Let a task sleep several times."""

    async def run() -> None:
        for time in seconds:
            await trio.sleep(time)
            sleeps.append(trio.current_time() - START_S)

    daemon.run(lambda: trio.lowlevel.spawn_system_task(run))


def test_what_is_due_happens_at_its_own_time(sleeps: list[float]) -> None:
    with LocalDaemon(virtual_clock=True) as daemon:
        sleep(daemon, sleeps, 1, 1, 1)
        sleep(daemon, sleeps, 1.5, 10)
        daemon.clock.advance(0.5)
        assert sleeps == []
        daemon.clock.advance(2)
        assert sleeps == [1, 1.5, 2]
        assert daemon.clock.now_ms == START_S * 1000 + 2500
        daemon.clock.advance(0)
        assert len(sleeps) == 3


def test_nothing_happens_in_real_time(sleeps: list[float]) -> None:
    with LocalDaemon(virtual_clock=True) as daemon:
        sleep(daemon, sleeps, 0.001)
        threading.Event().wait(0.05)
        daemon.clock.settle()
        assert sleeps == []


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_time_that_cannot_pass(seconds: float) -> None:
    with LocalDaemon(virtual_clock=True) as daemon, pytest.raises(ValueError, match="time"):
        daemon.clock.advance(seconds)


def test_masks_are_sorted_as_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalDaemon(virtual_clock=True) as daemon:
        datapath = daemon.run(lambda: daemon.context.switch.add("dp0"))
        times: list[int] = []
        monkeypatch.setattr(
            type(datapath.flows), "rebalance", lambda _flows: times.append(daemon.clock.now_ms)
        )
        daemon.clock.advance(9)
        assert times == [START_S * 1000 + 4000, START_S * 1000 + 8000]


def test_the_switch_has_this_clock() -> None:
    with LocalDaemon(virtual_clock=True) as daemon:
        daemon.clock.advance(1.234)
        assert daemon.run(daemon.context.switch.clock) == daemon.clock.now_ms == 1_001_234
