"""docs/differences.md shows the list of known differences."""

from __future__ import annotations

from tests.oracle import page
from tests.oracle.differences import KNOWN, TESTS_ONLY


def test_the_page_is_not_stale() -> None:
    """If this fails: python -m tests.oracle.page"""
    assert page.main(["--check"]) == 0


def test_every_entry_is_there() -> None:
    words = " ".join(page.page().split())
    for entry in KNOWN:
        is_told = f"## {entry.title} - " in words and entry.reason in words
        assert is_told == (entry.title != TESTS_ONLY)
