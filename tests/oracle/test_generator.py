"""Generated requests are the same for the same seed, different, and half of them good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.families.doors import Daemon
from tests.oracle.generator import keys
from tests.oracle.generator.cases import Case, executions, flows
from tests.oracle.generator.mutate import mutate
from tests.oracle.generator.tree import Node, build
from tests.oracle.messages import attributes, errno_of
from tests.oracle.peers import daemon_peer
from tests.oracle.runner import declare_interfaces, run_cases
from tests.oracle.steps import Pids

COUNT = 300
PIDS = Pids(1, 2)


Generate = Callable[[int, int, Pids], Iterator[Case]]
every_kind = pytest.mark.parametrize("generate", [flows, executions])


@every_kind
def test_a_seed_decides(generate: Generate) -> None:
    cases = list(generate(1, COUNT, PIDS))
    assert cases == list(generate(1, COUNT, PIDS))
    assert cases[:50] == list(generate(1, 50, PIDS)), "each case stands for itself"
    others = list(generate(2, COUNT, PIDS))
    assert len({case.messages for case in cases + others}) == 2 * COUNT


@every_kind
def test_enough_of_them_are_good_and_enough_are_not(generate: Generate) -> None:
    daemon = Daemon()
    declare_interfaces(daemon.ports)
    answers = run_cases(daemon_peer(daemon), generate(1, COUNT, PIDS))
    good = sum(not any(map(errno_of, first.replies)) for first, *_rest in answers)
    assert COUNT / 3 < good < COUNT * 9 / 10


def test_a_mutation_leaves_the_original_alone_and_its_bytes_are_bounded() -> None:
    for number in range(200):
        random = Random(number)
        key = keys.key(random)
        before = build(key)
        changed = mutate(random, key)
        assert build(key) == before
        assert len(changed) <= 2 * len(before) + 64


def test_a_tree_is_what_its_bytes_say() -> None:
    tree = [Node(1, b"abc"), Node(2, [Node(3, b"d"), Node(4)]), Node(5, b"", length=9, after=b"x")]
    assert attributes(build(tree[:2])) == [(1, b"abc"), (2, b"\5\0\3\0d\0\0\0\4\0\4\0")]
    assert tree[2].build() == b"\t\0\5\0x"
