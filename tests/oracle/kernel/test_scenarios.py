"""Requests by hand: the device answers as the kernel's module does."""

from __future__ import annotations

import pytest

from ovsdp_cuse.daemon import load_registry
from tests.oracle.differences import outlived, without_port_stats
from tests.oracle.kernel.conftest import Sides
from tests.oracle.report import Report
from tests.oracle.runner import run_scenario
from tests.oracle.scenarios import ALL
from tests.oracle.steps import Scenario

SOURCE = "scenarios"


SHORT = [scenario for scenario in ALL if not scenario.is_long]
LONG = [scenario for scenario in ALL if scenario.is_long]


@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.name)
def test_the_device_answers_as_the_kernel(node_sides: Sides, scenario: Scenario) -> None:
    check(node_sides, scenario)


@pytest.mark.parametrize("scenario", LONG, ids=lambda scenario: scenario.name)
def test_the_daemon_answers_as_the_kernel(daemon_sides: Sides, scenario: Scenario) -> None:
    check(daemon_sides, scenario)


def check(sides: Sides, scenario: Scenario) -> None:
    """Run a scenario on both sides; fail where a difference is not known."""
    steps, ours = run_scenario(sides.ours, scenario)
    _steps, theirs = run_scenario(sides.kernel, scenario)
    if scenario.is_long:
        ours, theirs = (list(map(without_port_stats, answers)) for answers in (ours, theirs))
    report = Report(load_registry(), SOURCE)
    for step, here, there in zip(steps, ours, theirs, strict=True):
        report.compare(step.label, step.written, here, there)
    report.check()


def test_the_differences_that_are_known_are_still_there() -> None:
    assert outlived(SOURCE) == []
