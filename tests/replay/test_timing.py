"""The times between events."""

from __future__ import annotations

import pytest

from ovsdp_cuse.captures.conversation import Closed, Event, Opened
from ovsdp_cuse.replay import timing
from ovsdp_cuse.replay.timing import in_time
from tests.replay.virtual import VirtualTime

BEGAN = 1_795_430_183_221_433_007
EVENTS: list[Event] = [
    Opened(1, BEGAN, 7, False),
    Closed(2, BEGAN + 5_000_000, 7),
    Closed(3, BEGAN + 9_000, 8),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    """The time that a replay has."""
    clock = VirtualTime()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_each_comes_in_its_time(clock: VirtualTime) -> None:
    assert [(event.number, clock.slept_ns) for event in in_time(EVENTS)] == [
        (1, 0),
        (2, 5_000_000),
        (3, 5_000_000),
    ]


def test_what_took_long_is_not_waited_for_twice(clock: VirtualTime) -> None:
    events = in_time(EVENTS)
    next(events)
    clock.busy_ns = 2_000_000
    next(events)
    assert clock.slept_ns == 3_000_000


def test_nothing_takes_no_time(clock: VirtualTime) -> None:
    assert list(in_time([])) == []
    assert clock.slept_ns == 0
