"""What the comparison takes for the same, and what it does not."""

from __future__ import annotations

import struct

import pytest

from tests.oracle.compare import compare
from tests.oracle.messages import (
    ACK_TLVS,
    FLOW,
    GET,
    NEW,
    PACKET,
    VPORT,
    Flow,
    Key,
    Packet,
    Vport,
    attr,
    message,
    nest,
    u32,
    u64,
)
from tests.oracle.peers import Answers


def reply(family: int, *attributes: bytes, command: int = NEW) -> bytes:
    """A message without NLM_F_REQUEST."""
    built = message(family, command, *attributes)
    return built[:6] + b"\0\0" + built[8:]


def where(ours: bytes | None, theirs: bytes | None, request: bytes = b"") -> str | None:
    """The first field that differs."""
    both = [Answers(() if told is None else (told,)) for told in (ours, theirs)]
    difference = compare("", (request,), *both)
    return difference.where if difference is not None else None


def error(errno: int, request: bytes, *attributes: bytes) -> bytes:
    """An NLMSG_ERROR."""
    tail = b"".join(attributes)
    echoed = request if errno else request[:16]
    flags = (ACK_TLVS if tail else 0) | (0 if errno else 0x100)
    length = 20 + len(echoed) + len(tail)
    return struct.pack("=IHHIIi", length, 2, flags, 0, 1, -errno) + echoed + tail


FLOW_REPLY = reply(FLOW, nest(Flow.KEY, attr(Key.IN_PORT, u32(1))), attr(Flow.USED, u64(5000)))
REQUEST = message(FLOW, GET)


def test_the_same_is_the_same() -> None:
    assert where(FLOW_REPLY, FLOW_REPLY) is None


@pytest.mark.parametrize(
    ("ours", "place"),
    [
        (None, "reply 0"),
        (reply(VPORT), "reply 0"),
        (FLOW_REPLY[:6] + b"\2" + FLOW_REPLY[7:], "reply 0: nlmsg_flags"),
        (FLOW_REPLY[:8] + b"\1" + FLOW_REPLY[9:], "reply 0: nlmsg_seq"),
        (FLOW_REPLY[:12] + b"\1" + FLOW_REPLY[13:], "reply 0: nlmsg_pid"),
        (FLOW_REPLY[:17] + b"\7" + FLOW_REPLY[18:], "reply 0: headers"),
        (reply(FLOW, attr(Flow.USED, u64(5000))), "reply 0: attributes"),
        (
            reply(FLOW, nest(Flow.KEY, attr(Key.IN_PORT, u32(2))), attr(Flow.USED, u64(5000))),
            "reply 0: KEY/IN_PORT",
        ),
        (
            reply(FLOW, nest(Flow.KEY, attr(Key.PRIORITY, u32(1))), attr(Flow.USED, u64(5000))),
            "reply 0: KEY",
        ),
        (error(2, REQUEST), "reply 0"),
    ],
)
def test_the_first_difference_is_named(ours: bytes | None, place: str) -> None:
    assert where(ours, FLOW_REPLY) == place


def test_times_are_near() -> None:
    near = reply(FLOW, nest(Flow.KEY, attr(Key.IN_PORT, u32(1))), attr(Flow.USED, u64(6000)))
    far = reply(FLOW, nest(Flow.KEY, attr(Key.IN_PORT, u32(1))), attr(Flow.USED, u64(90_000)))
    assert where(near, FLOW_REPLY) is None
    assert where(far, FLOW_REPLY) == "reply 0: USED"


def test_interface_indexes_count_where_they_were_chosen() -> None:
    chosen, one, other = (reply(VPORT, attr(Vport.IFINDEX, u32(n))) for n in (3, 50, 51))
    assert where(one, other) is None
    assert where(chosen, other) == "reply 0: IFINDEX"


def test_computed_hashes_are_the_same_whatever_they_are() -> None:
    one, other, given, none = (
        reply(PACKET, attr(Packet.HASH, u64(n)))
        for n in (1 << 32 | 1 << 31, 1 << 32 | 1 << 30, 7, 0)
    )
    assert where(one, other) is None
    assert where(one, given) == where(one, none) == where(given, none) == "reply 0: HASH"


def test_the_order_of_a_dump_of_flows_does_not_count() -> None:
    flows = [reply(FLOW, nest(Flow.KEY, attr(Key.IN_PORT, u32(n)))) for n in range(3)]
    dump = message(FLOW, GET, flags=0x300)
    assert compare("", (dump,), Answers(tuple(flows)), Answers(tuple(flows[::-1]))) is None
    missing = compare("", (dump,), Answers(tuple(flows[1:])), Answers(tuple(flows)))
    assert missing is not None


def test_texts_are_our_own_but_errno_request_and_offset_count() -> None:
    text, other_text = attr(1, b"no\0"), attr(1, b"other\0")
    theirs = error(22, REQUEST, other_text, attr(2, u32(20)))
    assert where(error(22, REQUEST, text, attr(2, u32(20))), theirs) is None
    assert where(error(22, REQUEST, text, attr(2, u32(24))), theirs) == (
        "reply 0: NLMSGERR_ATTR_OFFS"
    )
    assert where(error(22, REQUEST, text, attr(2, u32(20))), error(22, REQUEST)) is None
    assert where(error(33, REQUEST), error(22, REQUEST)) == "reply 0"
    cut = message(FLOW, NEW)
    assert where(error(22, cut), error(22, REQUEST)) == "reply 0: echoed request"
    assert where(error(0, REQUEST), error(22, REQUEST)) == "reply 0"


def test_a_system_call_that_fails_differently() -> None:
    difference = compare("", (b"",), Answers((), failure=105), Answers(()))
    assert difference is not None
    assert difference.where == "the system call"
