"""Requests by chance: the daemon answers as the kernel's module does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ovsdp_cuse.daemon import load_registry
from tests.oracle.differences import outlived
from tests.oracle.generator.cases import Case, executions, flows
from tests.oracle.kernel.conftest import Sides
from tests.oracle.report import Report
from tests.oracle.runner import run_cases
from tests.oracle.steps import Pids

SOURCE = "generated"
Generate = Callable[[int, int, Pids], Iterator[Case]]


@pytest.mark.parametrize(("generate", "count"), [(flows, 5000), (executions, 3000)])
def test_the_daemon_answers_as_the_kernel(
    daemon_sides: Sides, generate: Generate, count: int, seed: int
) -> None:
    pids = Pids(daemon_sides.ours.requests.pid, daemon_sides.ours.listener.pid)
    cases = list(generate(seed, count, pids))
    report = Report(load_registry(), SOURCE)
    for case, ours, theirs in zip(
        cases,
        run_cases(daemon_sides.ours, cases),
        run_cases(daemon_sides.kernel, cases),
        strict=True,
    ):
        for request, one, other in zip(case.messages, ours, theirs, strict=True):
            label = f"{case.kind} {case.number} of seed {seed}"
            if report.compare(label, (request,), one, other):
                break  # what follows comes of it
    report.check()


def test_the_differences_that_are_known_are_still_there() -> None:
    assert outlived(SOURCE) == []
