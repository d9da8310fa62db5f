"""Rounds: which there are, how one is run, and what is told of one that breaks the invariant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from random import Random

import trio
from structlog.testing import capture_logs

from tests.fuzz.channel import connection_round, server_round
from tests.fuzz.doors import doors_round
from tests.fuzz.inputs import Inputs
from tests.fuzz.record import Record

INPUTS_PER_ROUND = 1000

KINDS: tuple[Callable[[Inputs, Record], Awaitable[None]], ...] = (
    doors_round,
    doors_round,
    connection_round,
    server_round,
)
"""The rounds take turns: half of all inputs go to the doors, a quarter to each of the others."""


class Broken(AssertionError):
    """The invariant does not hold; the text says how to see it again."""


def rounds(count: int) -> Iterator[int]:
    """The numbers of the rounds that hold `count` inputs."""
    return iter(range(-(-count // INPUTS_PER_ROUND)))


def run_round(seed: int, number: int, size: int = INPUTS_PER_ROUND) -> None:
    """One round; raises Broken."""
    kind = KINDS[number % len(KINDS)]
    inputs = Inputs(Random(f"{seed}/{number}"))
    record = Record(size)
    problem: BaseException | None = None
    with capture_logs() as logs:
        try:
            trio.run(kind, inputs, record)
        except Exception as error:
            problem = error
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    errors = [entry for entry in logs if entry["log_level"] in ("error", "critical")]
    if problem is not None or errors:
        raise Broken(
            f"{kind.__name__}, input {record.count} of {record.size}: "
            f"{errors[0] if problem is None else repr(problem)}\n"
            f"again: python -m tests.fuzz --seed {seed} --round {number}\n{record}"
        ) from problem
