"""Requests by hand: the device answers as the kernel's module does."""

from __future__ import annotations

import pytest

from ovsdp_cuse.daemon import load_registry
from tests.oracle.differences import outlived
from tests.oracle.kernel.conftest import Sides
from tests.oracle.report import Report
from tests.oracle.runner import run_scenario
from tests.oracle.scenarios import ALL
from tests.oracle.steps import Scenario

SOURCE = "scenarios"


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_the_device_answers_as_the_kernel(node_sides: Sides, scenario: Scenario) -> None:
    steps, ours = run_scenario(node_sides.ours, scenario)
    _steps, theirs = run_scenario(node_sides.kernel, scenario)
    report = Report(load_registry(), SOURCE)
    for step, here, there in zip(steps, ours, theirs, strict=True):
        report.compare(step.label, step.written, here, there)
    report.check()


def test_the_differences_that_are_known_are_still_there() -> None:
    assert outlived(SOURCE) == []
