"""Values: the kernel's policies (validate_nla() of lib/nlattr.c), payload by payload."""

from __future__ import annotations

import struct
from errno import EINVAL, ERANGE
from typing import Any

import pytest
from construct import FixedSized, Int16un, Prefixed, Struct, this
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire import values as v
from ovsdp_cuse.wire.datapath import DpFeature, DpStats, UserFeatures
from ovsdp_cuse.wire.structure import FixedStruct
from tests.wire import strategies

STATS = v.Structure(FixedStruct("QQQQ", DpStats))

KINDS: dict[str, v.Value] = {
    "u8": v.u8(),
    "u16": v.u16(),
    "u32": v.u32(),
    "u32 to 4096": v.u32(4096),
    "u64": v.u64(),
    "s32": v.s32(),
    "s32 from 0": v.s32(0),
    "s64": v.s64(),
    "string": v.String(15),
    "binary": v.Binary(),
    "binary 2 to 5": v.Binary(2, 5),
    "flag": v.Flag(),
    "integers": v.IntegerArray(),
    "pids": v.PidArray(),
    "structure": STATS,
    "features": UserFeatures(),
}

FAILED = "Attribute failed policy validation"

ACCEPTED: list[tuple[v.Value, bytes, Any]] = [
    (v.u8(), b"\x07", 7),
    (v.u16(), struct.pack("=H", 0x1234), 0x1234),
    (v.u16(), struct.pack("=HH", 0x1234, 0xFFFF), 0x1234),  # longer: the beginning counts
    (v.u32(4096), struct.pack("=I", 4096), 4096),
    (v.s32(0), struct.pack("=i", 0), 0),
    (v.s64(), struct.pack("=q", -5), -5),
    (v.String(15), b"\0", ""),
    (v.String(15), b"br0\0", "br0"),
    (v.String(15), b"br0\0rest", "br0"),  # a C string ends at its first NUL
    (v.String(15), b"123456789012345\0", "123456789012345"),
    (v.String(15), b"br0\0" + bytes(12), "br0"),
    (v.String(15), b"\xff\xfe\0", "\udcff\udcfe"),
    (v.Binary(2, 5), b"12", b"12"),
    (v.Binary(2, 5), b"12345", b"12345"),
    (v.Binary(), b"", b""),
    (v.Flag(), b"", True),
    (v.IntegerArray(), struct.pack("=III", 1, 2, 3), (1, 2, 3)),
    (v.IntegerArray(), b"", ()),
    (v.IntegerArray(), b"123", ()),  # the handler refuses (), after it has found its object
    (v.PidArray(), struct.pack("=I", 9), (9,)),
    (v.PidArray(), struct.pack("=II", 9, 8), (9, 8)),
    (v.PidArray(), b"12345", ()),
    (STATS, struct.pack("=QQQQ", 1, 2, 3, 4), DpStats(1, 2, 3, 4)),
    (STATS, struct.pack("=QQQQQ", 1, 2, 3, 4, 5), DpStats(1, 2, 3, 4)),
    (STATS, b"short", b"short"),
]

REFUSED: list[tuple[v.Value, bytes, int, str]] = [
    (v.u8(), b"", ERANGE, FAILED),
    (v.u16(), b"1", ERANGE, FAILED),
    (v.u32(), b"123", ERANGE, FAILED),
    (v.u64(), b"1234567", ERANGE, FAILED),
    (v.u32(4096), struct.pack("=I", 4097), ERANGE, "integer out of range"),
    (v.s32(0), struct.pack("=i", -1), ERANGE, "integer out of range"),
    (v.String(15), b"", EINVAL, FAILED),
    (v.String(15), b"no end", EINVAL, FAILED),
    (v.String(15), b"1234567890123456\0", EINVAL, FAILED),  # 16 characters: no NUL in time
    (v.String(15), b"br0\0" + b"x" * 13, ERANGE, FAILED),
    (v.Binary(2, 5), b"1", ERANGE, FAILED),
    (v.Binary(2, 5), b"123456", ERANGE, FAILED),
    (v.Flag(), b"1", ERANGE, FAILED),
    (v.PidArray(), b"123", ERANGE, FAILED),
    (v.PidArray(), b"", ERANGE, FAILED),
]


@pytest.mark.parametrize(("value", "payload", "expected"), ACCEPTED)
def test_accepted(value: v.Value, payload: bytes, expected: Any) -> None:
    decoded = value.decode(payload, strict=False)
    assert decoded == expected
    assert type(decoded) is type(expected)


@pytest.mark.parametrize(("value", "payload", "errno", "text"), REFUSED)
def test_refused(value: v.Value, payload: bytes, errno: int, text: str) -> None:
    with pytest.raises(DatapathError) as caught:
        value.decode(payload, strict=False)
    assert caught.value.errno == errno
    assert caught.value.message.startswith(text)
    assert caught.value.path == ()  # which attribute it is knows who holds it


@pytest.mark.parametrize("value", [v.u8(), v.u16(), v.u32(), v.u64(), v.s32(), v.s64()])
def test_a_strict_integer_has_its_size(value: v.Integer) -> None:
    assert value.decode(bytes(value.size), strict=True) == 0
    for size in (value.size - 1, value.size + 1):
        with pytest.raises(DatapathError) as caught:
            value.decode(bytes(size), strict=True)
        assert caught.value.errno == EINVAL
        assert caught.value.message == "invalid attribute length"


@pytest.mark.parametrize("value", KINDS.values(), ids=KINDS)
@given(data=st.data())
def test_round_trip(value: v.Value, data: st.DataObject) -> None:
    wanted = data.draw(strategies.values(value))
    payload = value.encode(wanted)
    assert value.decode(payload, strict=False) == wanted
    assert value.decode(payload, strict=True) == wanted
    assert isinstance(value.format(wanted), str)


@pytest.mark.parametrize("value", KINDS.values(), ids=KINDS)
@given(payload=st.binary(max_size=48), strict=st.booleans())
def test_any_payload_is_a_value_or_refused(value: v.Value, payload: bytes, strict: bool) -> None:
    try:
        decoded = value.decode(payload, strict)
    except DatapathError as error:
        assert error.errno in (EINVAL, ERANGE)
    else:
        assert isinstance(value.format(decoded), str)


@pytest.mark.parametrize("value", KINDS.values(), ids=KINDS)
@given(data=st.data())
def test_is_a_construct(value: v.Value, data: st.DataObject) -> None:
    """It parses and builds where other constructs bound its payload."""
    wanted = data.draw(strategies.values(value))
    prefixed = Prefixed(Int16un, value)
    assert prefixed.parse(prefixed.build(wanted)) == wanted
    payload = value.encode(wanted)
    sized = Struct("size" / Int16un, "value" / FixedSized(this.size, value))
    assert sized.parse(struct.pack("=H", len(payload)) + payload + b"rest").value == wanted


def test_a_value_that_breaks_its_policy_does_so_inside_other_constructs() -> None:
    with pytest.raises(DatapathError):
        Prefixed(Int16un, v.u32()).parse(struct.pack("=HH", 2, 0))


@pytest.mark.parametrize(
    ("value", "policy_type", "bounds"),
    [
        (v.u8(), v.PolicyType.U8, (0, 255)),
        (v.u16(), v.PolicyType.U16, (0, 65535)),
        (v.u32(), v.PolicyType.U32, (0, 2**32 - 1)),
        (v.u32(4096), v.PolicyType.U32, (0, 4096)),
        (v.u64(), v.PolicyType.U64, (0, 2**64 - 1)),
        (v.s32(0), v.PolicyType.S32, (0, 2**31 - 1)),
        (v.s64(), v.PolicyType.S64, (-(2**63), 2**63 - 1)),
        (v.PidArray(), v.PolicyType.U32, (0, 2**32 - 1)),
        (v.String(15), v.PolicyType.NUL_STRING, None),
        (v.Binary(), v.PolicyType.BINARY, None),
        (v.Flag(), v.PolicyType.FLAG, None),
        (v.IntegerArray(), None, None),
        (STATS, None, None),
    ],
)
def test_what_getpolicy_reports(
    value: v.Value, policy_type: v.PolicyType | None, bounds: tuple[int, int] | None
) -> None:
    assert (value.policy_type, value.bounds) == (policy_type, bounds)


@pytest.mark.parametrize(
    ("value", "shown", "text"),
    [
        (v.u32(), 255, "255"),
        (v.u32(hexadecimal=True), 255, "0xff"),
        (v.String(15), "br0", '"br0"'),
        (v.String(15), "brücke", '"brücke"'),
        # What a client sends must not steer the terminal that it is shown on, or fail to print.
        (v.String(15), "a\n\x1b[2J\udcff", r'"a\n\x1b[2J\udcff"'),
        (v.Binary(), b"\x01\xff", "01ff"),
        (v.Binary(), b"", "(empty)"),
        (v.IntegerArray(), (1, 2), "[1, 2]"),
        (STATS, DpStats(1, 2, 3, 4), "{hit=1, missed=2, lost=3, flows=4}"),
        (STATS, b"\x01", "01"),
        (UserFeatures(), 0, "0x0"),
        (UserFeatures(), 0x13, "0x13(UNALIGNED|VPORT_PIDS)"),
    ],
)
def test_format(value: v.Value, shown: Any, text: str) -> None:
    assert value.format(shown) == text


def test_a_value_must_say_how_it_is_coded() -> None:
    with pytest.raises(TypeError, match="Value does not say how it is decoded"):
        v.Value().decode(b"", False)
    with pytest.raises(TypeError, match="Value does not say how it is encoded"):
        v.Value().encode(0)


def test_features_have_the_bits_of_the_header() -> None:
    assert [int(feature) for feature in DpFeature] == [1, 2, 4, 8]
