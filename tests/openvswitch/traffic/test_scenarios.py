"""The list of scenarios is whole, and the tests that it names are there."""

from __future__ import annotations

from collections import Counter
from importlib import import_module

from tests.openvswitch.traffic.scenarios import CONNTRACK, COVERED, NEWER, TUNNEL

SCENARIOS = 185


def test_every_scenario_is_listed_once() -> None:
    titles = Counter((*COVERED, *CONNTRACK, *TUNNEL, *NEWER))
    assert set(titles.values()) == {1}
    assert len(titles) == SCENARIOS


def test_the_tests_that_cover_scenarios_are_there() -> None:
    for name in {name for names in COVERED.values() for name in names}:
        module, *path = name.split(".")
        found: object = import_module(f"tests.openvswitch.traffic.test_{module}")
        for part in path:
            found = getattr(found, part)
        assert callable(found)
