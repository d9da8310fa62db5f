"""The queue of a handle, against a naive model of a netlink socket's receive queue."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ovsdp_cuse.families.queue import OVERHEAD, Kind, Queue

LIMIT = 1000

ARRIVING = st.sampled_from([Kind.REPLY, Kind.EVENT, Kind.PACKET])
SIZES = st.integers(1, 60) | st.integers(200, 300) | st.integers(700, 1300)
"""Of which a few fit, two or three, or one at the most."""


class NaiveQueue:
    """The rules at the top of queue.py, on one list, with nothing kept that can be counted.

    The kept reply, of which there is one, goes before all others.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[Kind, bytes]] = []
        self.congested = False
        self.overrun = False
        self.tells_overruns = True
        self.dropped = 0

    def size(self) -> int:
        return sum(len(datagram) + 256 for _kind, datagram in self.waiting)

    def append(self, kind: Kind, datagram: bytes) -> bool:
        fits = not self.waiting or self.size() + len(datagram) + 256 <= LIMIT
        if fits and not self.congested:
            self.waiting.append((kind, datagram))
            return True
        self.dropped += 1
        if self.tells_overruns:
            if not self.congested:
                self.overrun = True
            self.congested = True
        return False

    def append_promised(self, kind: Kind, datagram: bytes) -> None:
        self.waiting.append((kind, datagram))

    def keep(self, reply: bytes) -> None:
        older = self.next(Kind.KEPT)
        if older is not None:
            self.pop(Kind.KEPT)
        self.waiting.append((Kind.KEPT, reply))

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

    def datagram(self, size: int) -> bytes:
        """One that is like no other."""
        self.number += 1
        return self.number.to_bytes(4, "big") + bytes(size)

    @rule(kind=ARRIVING, size=SIZES)
    def append(self, kind: Kind, size: int) -> None:
        datagram = self.datagram(size)
        assert self.queue.append(kind, datagram) == self.naive.append(kind, datagram)

    @rule(kind=ARRIVING, size=SIZES)
    def append_promised(self, kind: Kind, size: int) -> None:
        datagram = self.datagram(size)
        self.queue.append_promised(kind, datagram)
        self.naive.append_promised(kind, datagram)

    @rule(size=SIZES)
    def keep(self, size: int) -> None:
        reply = self.datagram(size)
        self.queue.keep(reply)
        self.naive.keep(reply)

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
        kept = self.naive
        self.naive = NaiveQueue()
        self.naive.dropped, self.naive.tells_overruns = kept.dropped, kept.tells_overruns

    @rule(tells=st.booleans())
    def tell_overruns(self, tells: bool) -> None:
        """NETLINK_NO_ENOBUFS ends the congestion as it is set (netlink_setsockopt())."""
        self.queue.tells_overruns = self.naive.tells_overruns = tells
        if not tells:
            self.naive.congested = False

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


def test_a_datagram_costs_more_than_its_length() -> None:
    """So many short ones are not for nothing: three of 1 byte fill what 771 bytes do."""
    assert OVERHEAD == 256
    queue = Queue(3 * 257)
    assert [queue.append(Kind.EVENT, b"x") for _ in range(4)] == [True, True, True, False]
    assert queue.bytes == 771
    queue.pop()
    assert queue.bytes == 514


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


def test_where_overruns_are_not_told_what_fits_is_accepted() -> None:
    queue = Queue(LIMIT)
    queue.tells_overruns = False
    assert queue.append(Kind.REPLY, bytes(400))
    assert not queue.append(Kind.EVENT, bytes(400))
    assert (queue.dropped, queue.take_overrun(), queue.congested) == (1, False, False)
    assert queue.append(Kind.EVENT, b"short")


def test_no_longer_telling_ends_the_congestion_and_the_overrun_is_told_all_the_same() -> None:
    queue = Queue(LIMIT)
    queue.append(Kind.REPLY, bytes(400))
    queue.append(Kind.EVENT, bytes(400))
    assert not queue.append(Kind.EVENT, b"short")
    queue.tells_overruns = False
    assert queue.append(Kind.EVENT, b"short")
    assert queue.take_overrun()


def test_what_was_promised_is_accepted_by_a_congested_queue() -> None:
    queue = Queue(LIMIT)
    queue.append(Kind.EVENT, bytes(LIMIT))
    queue.append(Kind.EVENT, b"lost")
    queue.append_promised(Kind.REPLY, b"part")
    queue.keep(b"kept")
    assert queue.congested
    assert queue.dropped == 1
    assert not queue.append(Kind.REPLY, b"not promised")
    assert [queue.pop() for _ in range(3)] == [b"kept", bytes(LIMIT), b"part"]
    assert (queue.bytes, queue.congested) == (0, False)


def test_one_reply_is_kept_and_it_is_the_newest() -> None:
    queue = Queue(LIMIT)
    for number in range(100):
        queue.keep(bytes(number))
    assert (len(queue), queue.bytes) == (1, 99 + OVERHEAD)
    assert queue.pop(Kind.KEPT) == bytes(99)
    assert queue.peek(Kind.KEPT) is None


def test_nothing_to_pop() -> None:
    for kind in (None, *Kind):
        with pytest.raises(IndexError):
            Queue(LIMIT).pop(kind)
