"""Policing: which filters are one, and what passes."""

from __future__ import annotations

import struct

import pytest

from ovsdp_cuse.ports.policing import Policer, policers_in
from ovsdp_cuse.ports.rtnetlink import HEADER
from ovsdp_cuse.wire.attributes import pack_attribute

SECOND = 1_000_000_000
TICKS = SECOND // 64
"""In a second."""
DROP, PASS = 2, 0


def police(action: int = DROP, rate: int = 1000, *more: tuple[int, bytes]) -> bytes:
    """The list of actions with one police action; a second's worth of its rate may be saved up."""
    limits = struct.pack("=IiIII", 1, action, 0, TICKS, 65535)
    specification = struct.pack("=BBHhHI", 0, 0, 0, 0, 0, rate)
    parameters = limits + specification + bytes(12) + bytes(12)
    options = b"".join(pack_attribute(*part) for part in ((1, parameters), *more))
    one = pack_attribute(1, b"police\0") + pack_attribute(2 | 0x8000, options)
    return pack_attribute(1, one)


def filter_(kind: str, number: int, actions: bytes, *more: tuple[int, bytes]) -> bytes:
    """An RTM_NEWTFILTER message. number: of the attribute that holds the actions."""
    options = b"".join(pack_attribute(*part) for part in ((number, actions), *more))
    body = bytes(20) + pack_attribute(1, kind.encode() + b"\0") + pack_attribute(2, options)
    return HEADER.pack(HEADER.size + len(body), 44, 0, 0, 0) + body


def test_a_rate_of_bytes() -> None:
    (policer,) = policers_in([filter_("basic", 3, police())], now_ns=0)
    assert policer == Policer(1000, SECOND, 0, 0, 0)


def test_a_rate_of_packets_and_a_large_one() -> None:
    u64 = struct.Struct("=Q").pack
    actions = police(DROP, 0, (8, u64(1 << 33)), (10, u64(50)), (11, u64(TICKS * 2)))
    (policer,) = policers_in([filter_("matchall", 2, actions)], now_ns=7)
    assert policer == Policer(1 << 33, SECOND, 50, 2 * SECOND, 7)


@pytest.mark.parametrize(
    "message",
    [
        filter_("u32", 3, police()),
        filter_("basic", 3, police(), (2, b"")),
        filter_("basic", 3, police(PASS)),
        filter_("basic", 3, pack_attribute(1, pack_attribute(1, b"gact\0"))),
        filter_("bpf", 2, b""),
    ],
    ids=["some frames by u32", "some frames", "drops none", "another action", "our own"],
)
def test_others_are_not_looked_at(message: bytes) -> None:
    assert policers_in([message], now_ns=0) == []


def test_what_was_saved_up_passes_at_once_and_then_the_rate() -> None:
    policer = Policer(1000, SECOND, 0, 0, since_ns=0)
    assert [policer.allows(400, 0) for _ in range(4)] == [True, True, False, False]
    assert not policer.allows(400, SECOND // 10), "200 are left, and 100 have come"
    assert policer.allows(300, SECOND // 10)
    assert not policer.allows(1, SECOND // 10)
    assert policer.allows(1000, 10 * SECOND)
    assert not policer.allows(1, 10 * SECOND), "no more than a second's worth is saved up"


def test_packets_are_counted_too() -> None:
    policer = Policer(0, 0, 10, SECOND // 2, since_ns=0)
    assert [policer.allows(9000, 0) for _ in range(6)] == [True] * 5 + [False]
    assert policer.allows(9000, SECOND // 10)
    both = Policer(1000, SECOND, 10, SECOND, since_ns=0)
    assert not both.allows(1001, 0)
    assert both.allows(1000, 0), "what was refused has cost nothing"
