"""The comments of a recording, written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.captures.note import FAMILY_COMMENT, note_of, parse_note
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.trace import TraceAttr, TraceKind

COUNTS = st.integers(0, 2**32 - 1)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\n[];"), max_size=15)


@pytest.mark.parametrize(
    ("trace", "note"),
    [
        (
            {TraceAttr.KIND: TraceKind.REPLY, TraceAttr.PID: 7, TraceAttr.COMMAND: "ovs-vswitchd"}
            | {TraceAttr.PROCESS: 4321, TraceAttr.LATENCY_NS: 123456},
            "reply; handle 7; ovs-vswitchd[4321]; after 123456 ns",
        ),
        (
            {TraceAttr.KIND: TraceKind.REQUEST, TraceAttr.PID: 1, TraceAttr.COMMAND: "a b"}
            | {TraceAttr.PROCESS: 1, TraceAttr.OPERATION: "TRANSACT"},
            "request; handle 1; a b[1]; by TRANSACT",
        ),
        (
            {TraceAttr.KIND: TraceKind.REFUSED, TraceAttr.PID: 1, TraceAttr.COMMAND: ""}
            | {TraceAttr.PROCESS: 0, TraceAttr.FAULT: 3, TraceAttr.ERRNO: 22}
            | {TraceAttr.PATH: (1, 20), TraceAttr.TEXT: "no; it is [not]"},
            "refused; handle 1; [0]; fault 3; error 22 (EINVAL); attribute 1/20; no; it is [not]",
        ),
        (
            {TraceAttr.KIND: TraceKind.PID_TOLD, TraceAttr.PID: 9, TraceAttr.COMMAND: "x"}
            | {TraceAttr.PROCESS: 2},
            "pid told; handle 9; x[2]",
        ),
    ],
)
def test_what_is_noted(trace: Attributes, note: str) -> None:
    assert note_of(trace) == note
    assert parse_note(note) == trace


@given(
    kind=st.sampled_from(TraceKind),
    command=WORDS,
    numbers=st.fixed_dictionaries(
        {TraceAttr.PID: COUNTS, TraceAttr.PROCESS: COUNTS},
        optional={
            TraceAttr.LATENCY_NS: st.integers(0, 2**63),
            TraceAttr.FAULT: COUNTS,
            TraceAttr.ERRNO: st.integers(1, 130),
            TraceAttr.PATH: st.lists(st.integers(0, 0x3FFF), min_size=1).map(tuple),
        },
    ),
)
def test_whatever_is_noted_is_read_back(
    kind: TraceKind, command: str, numbers: dict[int, object]
) -> None:
    trace = {TraceAttr.KIND: int(kind), TraceAttr.COMMAND: command, **numbers}
    assert parse_note(note_of(trace)) == trace


@pytest.mark.parametrize(
    "comment", ["", FAMILY_COMMENT, "wrong; handle 1; x[1]", "reply; handle x; x[1]", "reply"]
)
def test_other_comments_tell_nothing(comment: str) -> None:
    assert parse_note(comment) is None
