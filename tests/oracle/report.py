"""Collects the differences of many answers, and tells the first of those that are not known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ovsdp_cuse.families.describe import describe
from ovsdp_cuse.families.registry import Registry
from tests.oracle.compare import Difference, compare, explain
from tests.oracle.differences import is_known, without_upcall_stats
from tests.oracle.peers import Answers

SHOWN = 5
NONE = Answers(())
WIDTH = 2000


class Report:
    """What was found in one source of requests."""

    def __init__(self, registry: Registry, source: str) -> None:
        self._registry = registry
        self._source = source
        self._texts: list[str] = []
        self._kinds: Counter[tuple[str, str, str]] = Counter()
        self.compared = 0

    def compare(
        self, label: str, written: Sequence[bytes], ours: Answers, theirs: Answers
    ) -> Difference | None:
        """Compare two answers; the difference, known or not."""
        self.compared += 1
        difference = compare(label, written, without_upcall_stats(ours), theirs)
        if difference is not None:
            self.add(difference, ours, theirs)
        return difference

    def add(self, difference: Difference, ours: Answers = NONE, theirs: Answers = NONE) -> None:
        """Take note of a difference."""
        if not self._is_known(difference):
            self._kinds[difference.where, difference.ours[:30], difference.theirs[:30]] += 1
            if len(self._texts) < SHOWN:
                self._texts.append(explain(self._registry, difference, ours, theirs))

    def _is_known(self, difference: Difference) -> bool:
        words = describe(self._registry, difference.request)
        return is_known(difference, " ".join(line.text for line in words), self._source)

    def check(self) -> None:
        """Fail where there was a difference that is not known."""
        told = ["\n".join(line[:WIDTH] for line in text.splitlines()) for text in self._texts]
        kinds = [f"{count} x {kind}" for kind, count in self._kinds.most_common(20)]
        assert not told, "\n".join(
            [f"{self._kinds.total()} of {self.compared} answers differ", *told, *kinds]
        )
