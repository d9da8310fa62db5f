"""Fixed structures: every byte of one comes back, alone and inside other constructs."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import pytest
from construct import GreedyBytes, StreamError, Struct
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.wire.netlink import GENERIC_HEADER, NETLINK_HEADER, OVS_MESSAGE_HEADER
from ovsdp_cuse.wire.structure import FixedStruct


class Pair(NamedTuple):
    """A structure of 5 bytes, which C would pad."""

    small: int
    large: int


PAIR = FixedStruct("BI", Pair)

every_structure = pytest.mark.parametrize(
    "structure", [NETLINK_HEADER, GENERIC_HEADER, OVS_MESSAGE_HEADER, PAIR], ids=lambda s: s.into
)


@every_structure
@given(data=st.data())
def test_round_trip(structure: FixedStruct[Any], data: st.DataObject) -> None:
    content = data.draw(st.binary(min_size=structure.size, max_size=structure.size))
    parsed = structure.parse(content)
    assert isinstance(parsed, structure.into)
    assert structure.build(parsed) == content
    assert structure.pack(*parsed) == content
    assert structure.parse(b"before" + content + b"after", 6) == parsed


@every_structure
def test_too_short(structure: FixedStruct[Any]) -> None:
    with pytest.raises(struct.error):
        structure.parse(bytes(structure.size - 1))
    with pytest.raises(struct.error):
        structure.parse(bytes(structure.size), 1)


@every_structure
def test_is_a_construct(structure: FixedStruct[Any]) -> None:
    """It has a size, and parses and builds inside a plain Struct."""
    assert structure.sizeof() == structure.size
    composed = Struct("first" / structure, "second" / structure, "rest" / GreedyBytes)
    content = bytes(range(2 * structure.size)) + b"tail"
    parsed = composed.parse(content)
    assert parsed.first == structure.parse(content)
    assert parsed.second == structure.parse(content, structure.size)
    assert parsed.rest == b"tail"
    assert composed.build(parsed) == content
    with pytest.raises(StreamError):
        composed.parse(bytes(2 * structure.size - 1))


def test_sizes() -> None:
    assert (NETLINK_HEADER.size, GENERIC_HEADER.size, OVS_MESSAGE_HEADER.size) == (16, 20, 24)


def test_no_padding_and_the_byte_order_of_the_machine() -> None:
    assert PAIR.build(Pair(1, 2)) == struct.pack("=B", 1) + struct.pack("=I", 2)


def test_values_that_do_not_fit() -> None:
    with pytest.raises(struct.error):
        PAIR.build(Pair(256, 0))
