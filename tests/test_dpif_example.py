"""The example of docs/testing.md, with its tests, as who copies both files runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
TESTS = 5


def test_it_in_memory(pytester: pytest.Pytester) -> None:
    for name in ("small_dpif.py", "test_small_dpif.py"):
        shutil.copy(EXAMPLES / name, pytester.path)
    options = ("-p", "ovsdp_cuse.testing.plugin", "-W", "error")
    pytester.runpytest_inprocess(*options).assert_outcomes(passed=TESTS)
