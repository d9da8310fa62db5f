"""Attribute sets: a length is a claim; strict where the device is, lenient where the kernel is."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from errno import EINVAL, ERANGE

import pytest
from construct import FixedSized, Int32un, Prefixed, Struct
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError, LayoutError
from ovsdp_cuse.wire.attributes import (
    NLA_F_NESTED,
    NLA_F_NET_BYTEORDER,
    Attributes,
    AttributeSet,
    Nested,
    NestedArray,
    format_attributes,
    offset_of,
    pack_attribute,
    path_at,
    walk,
)
from ovsdp_cuse.wire.values import Binary, String, u8, u16, u32
from tests.wire import strategies


class Inner(IntEnum):
    """OVS_TEST_INNER_*."""

    FLAG = 0
    COUNT = 1


class Outer(IntEnum):
    """OVS_TEST_ATTR_*."""

    NAME = 1
    NUMBER = 2
    DATA = 3
    NEST = 5
    ARRAY = 6


INNER = AttributeSet("OVS_TEST_INNER", {Inner.FLAG: u8(), Inner.COUNT: u16()})
OUTER = AttributeSet(
    "OVS_TEST_ATTR",
    {
        Outer.NAME: String(15),
        Outer.NUMBER: u32(100),
        Outer.DATA: Binary(),
        Outer.NEST: Nested(INNER),
        Outer.ARRAY: NestedArray(Nested(INNER, flagged=True), flagged=True),
    },
)
STRICT = AttributeSet("OVS_TEST_ATTR", {Outer.NUMBER: u32(100)}, strict=True)


def attribute(number: int, payload: bytes, length: int | None = None) -> bytes:
    """An attribute whose header may lie about its length, padded."""
    head = struct.pack("=HH", 4 + len(payload) if length is None else length, number)
    return head + payload + bytes(-len(payload) & 3)


NAME = attribute(Outer.NAME, b"br0\0")
NUMBER = attribute(Outer.NUMBER, struct.pack("=I", 7))
HEADERS = bytes(24)


# One message, byte by byte -----------------------------------------------------------------------


def test_parse() -> None:
    content = HEADERS + NAME + NUMBER
    assert OUTER.parse(content, 24) == {Outer.NAME: "br0", Outer.NUMBER: 7}
    assert OUTER.parse(content, 24, strict_layout=True) == {Outer.NAME: "br0", Outer.NUMBER: 7}
    assert OUTER.parse(HEADERS, 24) == {}


def test_build_keeps_the_order_and_pads() -> None:
    assert OUTER.build({Outer.NUMBER: 7, Outer.NAME: "br0"}) == NUMBER + NAME
    assert OUTER.build({Outer.DATA: b"12345"}) == bytes.fromhex("09000300 3132333435 000000")
    with pytest.raises(KeyError):
        OUTER.build({4: b""})


def test_build_flags_what_is_flagged() -> None:
    assert OUTER.build({Outer.NEST: {}}) == struct.pack("=HH", 4, Outer.NEST)
    array = OUTER.build({Outer.ARRAY: {3: {Inner.FLAG: 1}}})
    assert array == struct.pack(
        "=HHHHHHBxxx", 16, Outer.ARRAY | NLA_F_NESTED, 12, 3 | NLA_F_NESTED, 5, Inner.FLAG, 1
    )


def test_flag_bits_of_the_type_are_not_part_of_the_number() -> None:
    for bits in (NLA_F_NESTED, NLA_F_NET_BYTEORDER, NLA_F_NESTED | NLA_F_NET_BYTEORDER):
        assert OUTER.parse(attribute(Outer.NUMBER | bits, bytes(4))) == {Outer.NUMBER: 0}


def test_of_duplicates_the_last_counts_and_all_are_checked() -> None:
    twice = NUMBER + attribute(Outer.NUMBER, struct.pack("=I", 8))
    assert OUTER.parse(twice) == {Outer.NUMBER: 8}
    with pytest.raises(DatapathError):
        OUTER.parse(attribute(Outer.NUMBER, b"x") + NUMBER)


def test_unknown_numbers_are_skipped_unless_strict() -> None:
    for number in (0, 4, 40):
        assert OUTER.parse(attribute(number, b"whatever") + NUMBER) == {Outer.NUMBER: 7}
    with pytest.raises(DatapathError) as caught:
        STRICT.parse(attribute(40, b"") + NUMBER)
    assert (caught.value.errno, caught.value.path) == (EINVAL, (40,))
    assert caught.value.message.startswith("Unknown attribute type")


def test_attribute_zero_is_an_attribute_where_the_table_has_it() -> None:
    assert INNER.parse(attribute(Inner.FLAG, b"\x05")) == {Inner.FLAG: 5}


MALFORMED = [
    pytest.param(NUMBER + b"\0", (), id="1 byte leftover"),
    pytest.param(NUMBER + b"\0\0\0", (), id="3 bytes leftover"),
    pytest.param(NUMBER + attribute(3, b"", length=0), (3,), id="length 0"),
    pytest.param(NUMBER + attribute(3, b"", length=3), (3,), id="length below its header"),
    pytest.param(NUMBER + attribute(3, b"data", length=9), (3,), id="1 byte beyond"),
    pytest.param(NUMBER + attribute(3, b"data", length=65535), (3,), id="far beyond"),
    pytest.param(NUMBER + struct.pack("=HHB", 5, 3, 1), (3,), id="padding not there"),
]


@pytest.mark.parametrize(("content", "path"), MALFORMED)
def test_malformed(content: bytes, path: tuple[int, ...]) -> None:
    """The device door refuses it, the stream door takes what is whole."""
    with pytest.raises(LayoutError) as caught:
        OUTER.parse(HEADERS + content, 24, strict_layout=True)
    assert (caught.value.errno, caught.value.path) == (EINVAL, path)
    with pytest.raises(LayoutError):
        OUTER.check_layout(HEADERS + content, 24)
    with pytest.raises(LayoutError):
        OUTER.parse(HEADERS + content, 24, strict=True)
    assert OUTER.parse(HEADERS + content, 24)[Outer.NUMBER] == 7


def test_the_last_attribute_needs_no_padding_in_the_stream() -> None:
    assert OUTER.parse(struct.pack("=HHB", 5, Outer.DATA, 1)) == {Outer.DATA: b"\1"}


def test_values_are_checked_in_order_and_named() -> None:
    inner = attribute(Inner.FLAG, b"\1") + attribute(Inner.COUNT, b"\1")
    with pytest.raises(DatapathError) as caught:
        OUTER.parse(NAME + attribute(Outer.NEST, inner) + attribute(Outer.NUMBER, b""))
    assert (caught.value.errno, caught.value.path) == (ERANGE, (Outer.NEST, Inner.COUNT))
    assert not isinstance(caught.value, LayoutError)


def test_a_nest_is_always_strict_about_its_layout() -> None:
    with pytest.raises(LayoutError) as caught:
        OUTER.parse(attribute(Outer.NEST, b"123"))
    assert caught.value.path == (Outer.NEST,)


def test_names() -> None:
    assert OUTER.name_of(Outer.NAME) == "OVS_TEST_ATTR_NAME"
    assert OUTER.name_of(9) == "OVS_TEST_ATTR(9)"
    assert OUTER.maximum == Outer.ARRAY
    assert AttributeSet("X", {Outer.NAME: u8()}, maximum=9).maximum == 9


def test_format() -> None:
    shown: Attributes = {
        Outer.NAME: "br0",
        Outer.NEST: {Inner.FLAG: 1, Inner.COUNT: 2},
        Outer.ARRAY: {1: {Inner.FLAG: 3}, 2: {}},
    }
    assert format_attributes(OUTER, shown) == (
        'NAME="br0", NEST={FLAG=1, COUNT=2}, ARRAY=[{FLAG=3}, {}]'
    )


def test_pack_attribute_knows_its_limit() -> None:
    assert len(pack_attribute(1, bytes(65531))) == 65536
    with pytest.raises(struct.error):
        pack_attribute(1, bytes(65532))


# Any message ------------------------------------------------------------------------------------


@given(attributes=strategies.attributes(OUTER), start=st.sampled_from([0, 20, 24]))
def test_round_trip(attributes: Attributes, start: int) -> None:
    built = OUTER.build(attributes)
    assert not len(built) % 4
    for strict in (False, True):
        parsed = OUTER.parse(bytes(start) + built, start, strict_layout=True, strict=strict)
        assert parsed == attributes
        assert list(parsed) == list(attributes)
    OUTER.check_layout(bytes(start) + built, start)


@given(attributes=strategies.attributes(OUTER))
def test_is_a_construct(attributes: Attributes) -> None:
    """It parses and builds where other constructs bound it."""
    composed = Struct("head" / Int32un, "attributes" / Prefixed(Int32un, OUTER), "tail" / Int32un)
    built = composed.build({"head": 1, "attributes": attributes, "tail": 2})
    parsed = composed.parse(built)
    assert (parsed.head, parsed.attributes, parsed.tail) == (1, attributes, 2)
    size = len(OUTER.build(attributes))
    assert FixedSized(size, OUTER).parse(OUTER.build(attributes) + b"rest") == attributes


def claims(data: st.DataObject) -> bytes:
    """Attributes of which some lie: lengths, numbers and ends are all random."""
    parts = data.draw(
        st.lists(
            st.builds(
                lambda number, payload, lie: (
                    attribute(number, payload, None if lie > 12 else 4 + len(payload) + lie - 6)
                    if len(payload) + lie - 6 >= -4
                    else attribute(number, payload)
                ),
                st.integers(0, 7),
                st.binary(max_size=24),
                st.integers(0, 40),
            ),
            max_size=6,
        )
    )
    content = b"".join(parts)
    return content[: len(content) - data.draw(st.integers(0, min(5, len(content))))]


def naive_walk(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """nla_for_each_attr() as the kernel's header has it: nla_ok(), nla_next()."""
    at, remaining = 0, len(content)
    while remaining >= 4:
        length, number = struct.unpack_from("=HH", content, at)
        if length < 4 or length > remaining:
            return
        yield at, number & 0x3FFF, content[at + 4 : at + length]
        aligned = (length + 3) // 4 * 4
        at += aligned
        remaining -= aligned


@given(data=st.data())
def test_any_bytes(data: st.DataObject) -> None:
    """They are walked as the kernel does, and nothing but DatapathError comes out of it."""
    content = data.draw(st.one_of(st.binary(max_size=64), st.just(claims(data))))
    walked = list(walk(content))
    assert walked == list(naive_walk(content))
    whole = sum((4 + len(payload) + 3) // 4 * 4 for _at, _number, payload in walked)
    try:
        OUTER.check_layout(content)
        fits = True
    except LayoutError:
        fits = False
    assert fits == (whole == len(content))
    try:
        parsed = OUTER.parse(content)
    except DatapathError as error:
        assert error.errno in (EINVAL, ERANGE)
        return
    assert set(parsed) == {number for _at, number, _payload in walked if number in OUTER.table}
    try:
        assert OUTER.parse(content, strict_layout=True) == parsed
        assert fits
    except LayoutError:
        assert not fits


# Where an attribute is --------------------------------------------------------------------------

Tree = dict[int, "Tree | bytes"]

TREES: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(st.integers(0, 50), st.binary(max_size=9), max_size=3),
    lambda inner: st.dictionaries(
        st.integers(0, 50), st.one_of(inner, st.binary(max_size=9)), max_size=4
    ),
    max_leaves=12,
)


def lay_out(tree: Tree, start: int) -> tuple[bytes, dict[tuple[int, ...], int]]:
    """A tree of attributes as bytes, and the offset of each by its path."""
    content = b""
    offsets: dict[tuple[int, ...], int] = {}
    for number, value in tree.items():
        at = start + len(content)
        offsets[(number,)] = at
        payload = value if isinstance(value, bytes) else b""
        if not isinstance(value, bytes):
            payload, inner = lay_out(value, at + 4)
            offsets |= {(number, *path): offset for path, offset in inner.items()}
        content += pack_attribute(number, payload)
    return content, offsets


@given(tree=TREES, start=st.sampled_from([0, 20, 24]))
def test_offset_of_and_path_at_are_inverse(tree: Tree, start: int) -> None:
    content, offsets = lay_out(tree, start)
    message = bytes(start) + content
    for path, offset in offsets.items():
        assert offset_of(message, start, path) == offset
        assert path_at(message, start, offset) == path
    between = set(range(start)) | {len(message)}
    assert all(path_at(message, start, offset) == () for offset in between)


def test_offset_of_the_nearest_that_is_there() -> None:
    message = HEADERS + NAME + attribute(Outer.NEST, attribute(Inner.FLAG, b"\1"))
    nest = len(HEADERS + NAME)
    assert offset_of(message, 24, (Outer.NEST, Inner.FLAG)) == nest + 4
    assert offset_of(message, 24, (Outer.NEST, Inner.COUNT)) == nest
    assert offset_of(message, 24, (Outer.DATA,)) is None
    assert offset_of(message, 24, ()) is None


def test_offset_of_duplicates_is_that_of_the_last() -> None:
    assert offset_of(HEADERS + NUMBER + NUMBER, 24, (Outer.NUMBER,)) == 24 + len(NUMBER)


@given(content=st.binary(max_size=80), offset=st.integers(-4, 90))
def test_path_at_any_bytes(content: bytes, offset: int) -> None:
    path = path_at(content, 0, offset)
    assert all(0 <= number <= 0x3FFF for number in path)
