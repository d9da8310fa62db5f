"""The queue of a handle, against a naive model of a netlink socket's receive queue."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ovsdp_cuse.families.queue import Kind, Queue

LIMIT = 100

KINDS = st.sampled_from(Kind)
ANY_KIND = st.none() | KINDS


class NaiveQueue:
    """The three rules at the top of queue.py, on one list, with nothing kept that can be counted.

    A reply that is kept for a client whose buffer was too small goes before all others, and was
    promised, so congestion does not count for it.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[Kind, bytes]] = []
        self.congested = False
        self.overrun = False
        self.dropped = 0

    def size(self) -> int:
        return sum(len(datagram) for _kind, datagram in self.waiting)

    def append(self, kind: Kind, datagram: bytes) -> bool:
        fits = not self.waiting or self.size() + len(datagram) <= LIMIT
        if fits and (not self.congested or kind is Kind.KEPT):
            self.waiting.append((kind, datagram))
            return True
        self.dropped += 1
        if not self.congested:
            self.overrun = True
        self.congested = True
        return False

    def next(self, wanted: Kind | None) -> tuple[Kind, bytes] | None:
        kinds = [Kind.KEPT, None] if wanted is None else [wanted]
        for kind in kinds:
            for entry in self.waiting:
                if kind is None or entry[0] is kind:
                    return entry
        return None

    def pop(self, wanted: Kind | None) -> bytes:
        entry = self.next(wanted)
        assert entry is not None
        self.waiting.remove(entry)
        if not self.waiting:
            self.congested = False
        return entry[1]


class QueueComparison(RuleBasedStateMachine):
    """Whatever is done to both, they show the same."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(LIMIT)
        self.naive = NaiveQueue()
        self.number = 0

    @rule(kind=KINDS, size=st.integers(1, 60) | st.integers(90, 130))
    def append(self, kind: Kind, size: int) -> None:
        self.number += 1
        datagram = bytes([self.number % 256]) * size
        assert self.queue.append(kind, datagram) == self.naive.append(kind, datagram)

    @precondition(lambda self: self.naive.waiting)
    @rule(data=st.data())
    def pop(self, data: st.DataObject) -> None:
        there = sorted({kind for kind, _datagram in self.naive.waiting})
        kind = data.draw(st.sampled_from([None, *there]))
        assert self.queue.pop(kind) == self.naive.pop(kind)

    @rule()
    def take_overrun(self) -> None:
        assert self.queue.take_overrun() == self.naive.overrun
        self.naive.overrun = False

    @rule()
    def clear(self) -> None:
        self.queue.clear()
        dropped = self.naive.dropped
        self.naive = NaiveQueue()
        self.naive.dropped = dropped

    @invariant()
    def they_show_the_same(self) -> None:
        queue, naive = self.queue, self.naive
        assert len(queue) == len(naive.waiting)
        assert queue.bytes == naive.size()
        assert (queue.congested, queue.overrun) == (naive.congested, naive.overrun)
        assert queue.dropped == naive.dropped
        for kind in (None, *Kind):
            entry = naive.next(kind)
            assert queue.peek(kind) == (None if entry is None else entry[1])


TestQueueComparison = QueueComparison.TestCase
TestQueueComparison.settings = settings(max_examples=300, stateful_step_count=40)


def test_the_first_datagram_may_be_larger_than_the_limit() -> None:
    queue = Queue(LIMIT)
    assert queue.append(Kind.REPLY, bytes(LIMIT + 1))
    assert not queue.append(Kind.EVENT, b"x")


def test_one_overrun_is_told_once() -> None:
    queue = Queue(LIMIT)
    queue.append(Kind.REPLY, bytes(LIMIT))
    assert [queue.append(Kind.EVENT, b"x") for _ in range(3)] == [False] * 3
    assert (queue.dropped, queue.take_overrun(), queue.take_overrun()) == (3, True, False)
    queue.pop()
    assert queue.append(Kind.EVENT, b"x")


def test_nothing_to_pop() -> None:
    for kind in (None, *Kind):
        with pytest.raises(IndexError):
            Queue(LIMIT).pop(kind)
