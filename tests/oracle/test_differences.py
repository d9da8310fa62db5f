"""The list of known differences matches narrowly, and tells which entries are met no more."""

from __future__ import annotations

import pytest

from tests.oracle import differences
from tests.oracle.compare import Difference
from tests.oracle.differences import (
    Known,
    has_tag_12_bytes_in,
    is_known,
    outlived,
    without_upcall_stats,
)
from tests.oracle.messages import FLOW, NEW, VPORT, Vport, attr, message, u32
from tests.oracle.peers import Answers

MOVED = "00010203 04050607 08090a0b 81000005 0c0d0e0f"
ONE = MOVED.replace(" ", "")
FOUND = Difference("a case", b"", "reply 0", "ack", "error EINVAL")


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> Known:
    """The only entry of the list."""
    entry = Known("title", "reason", ("one",), request=".*ct.*", where="reply 0", ours="ack")
    monkeypatch.setattr(differences, "KNOWN", (entry,))
    return entry


def test_an_entry_that_is_not_met_is_told(entry: Known) -> None:
    assert outlived("one") == [entry.reason]
    assert outlived("another") == []
    assert is_known(FOUND, "an action ct there", "one")
    assert outlived("one") == []


@pytest.mark.parametrize(
    ("request_", "difference"),
    [
        ("another request", FOUND),
        ("ct", Difference("a case", b"", "reply 0: KEY", "ack", "error EINVAL")),
        ("ct", Difference("a case", b"", "reply 0", "nack", "error EINVAL")),
        ("ct", Difference("a case", b"", "reply 0", "ack and more", "error EINVAL")),
    ],
)
def test_all_of_an_entry_must_match(entry: Known, request_: str, difference: Difference) -> None:
    assert not is_known(difference, request_, "one")
    assert outlived("one") == [entry.reason]


def test_upcall_statistics_are_left_out() -> None:
    name = attr(Vport.NAME, b"p1\0")
    newer = message(VPORT, NEW, name, attr(10, bytes(24)), attr(Vport.UPCALL_PID, u32(1)))
    older = message(VPORT, NEW, name, attr(Vport.UPCALL_PID, u32(1)))
    flow = message(FLOW, NEW, attr(10, bytes(4)))
    answers = without_upcall_stats(Answers((newer, flow), (newer,), 7))
    assert answers == Answers((older, flow), (older,), 7)


@pytest.mark.parametrize(
    ("where", "ours", "theirs", "is_moved"),
    [
        ("reply 0: PACKET", "00010203 04050607 08090a0b 0c0d8100 00050e0f", MOVED, True),
        ("reply 0: PACKET", "00010203 04050607 08090a0b 0c0d8100 00060e0f", MOVED, False),
        ("reply 0: PACKET", "00010203 04050607 08090a0b 0c0d0e0f 81000005 11", MOVED, False),
        ("frames of port 1", "ff 000102030405060708090a0b0c0d810000050e0f", f"ff {ONE}", True),
        ("frames of port 1", "fe 000102030405060708090a0b0c0d810000050e0f", f"ff {ONE}", False),
        ("frames of port 1", "000102030405060708090a0b0c0d810000050e0f", f"ff {ONE}", False),
    ],
)
def test_a_tag_that_lies_elsewhere(where: str, ours: str, theirs: str, is_moved: bool) -> None:
    assert has_tag_12_bytes_in(Difference("a case", b"", where, ours, theirs)) is is_moved
