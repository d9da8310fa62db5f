"""Rounds: which there are, how one is run, and what is told of one that breaks the invariant."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random

import trio
from structlog import get_config
from structlog.processors import format_exc_info
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.fuzz.channel import connection_round, server_round
from tests.fuzz.control import ControlInputs
from tests.fuzz.doors import doors_round
from tests.fuzz.faults import faults_round
from tests.fuzz.inputs import Inputs
from tests.fuzz.record import Record
from tests.fuzz.switch import switch_round

INPUTS_PER_ROUND = 1000

KINDS: tuple[Callable[[Inputs, Record], Awaitable[None]], ...] = (
    doors_round,
    switch_round,
    connection_round,
    server_round,
    switch_round,
    faults_round,
)
"""The rounds take turns."""


@contextmanager
def collector_at_the_end() -> Iterator[None]:
    """The garbage collector runs once, at the end, and looks at nothing that was there before.

    Else the slowest input would be the one that it happened to run in.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
        gc.unfreeze()


class Broken(AssertionError):
    """The invariant does not hold; the text says how to see it again."""


def rounds(count: int) -> Iterator[int]:
    """The numbers of the rounds that hold `count` inputs."""
    return iter(range(-(-count // INPUTS_PER_ROUND)))


def run_round(seed: int, number: int, size: int = INPUTS_PER_ROUND) -> tuple[float, str]:
    """One round; raises Broken. Returns processor seconds of the slowest input, and that input."""
    kind = KINDS[number % len(KINDS)]
    inputs = ControlInputs(Random(f"{seed}/{number}"))
    record = Record(size)
    # Time passes there when the round says so.
    clock = MockClock() if kind is faults_round else None
    problem: BaseException | None = None
    with collector_at_the_end(), capture_logs() as logs:
        get_config()["processors"].insert(0, format_exc_info)
        record.logs = logs
        try:
            trio.run(kind, inputs, record, clock=clock)
            record.close()
        except Exception as error:
            problem = error
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    if problem is not None:
        raise Broken(
            f"{kind.__name__}, input {record.count} of {record.size}: {problem!r}\n"
            f"again: python -m tests.fuzz --seed {seed} --round {number}\n{record}"
        ) from problem
    return record.slowest
