"""Netlink's own messages: errors, acknowledgements and the end of a dump, byte by byte."""

from __future__ import annotations

import struct
from errno import EINVAL, ENODEV, ENOENT

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_MULTI,
    OVS_MESSAGE_HEADER,
    ControlType,
    build_done,
    build_error,
    parse_error,
)
from tests.wire.strategies import U16, U32

PORTID = 0x01020304


def request(payload: bytes = b"", length: int | None = None) -> bytes:
    """A request to family 0x12, sequence 7."""
    size = 24 + len(payload) if length is None else length
    return OVS_MESSAGE_HEADER.pack(size, 0x12, 5, 7, 0, 3, 2, 0, 0) + payload


def test_an_error_echoes_the_whole_request() -> None:
    asked = request()
    built = build_error(asked, ENODEV, capped=False, portid=PORTID)
    assert built == struct.pack("=IHHIIi", 44, 2, 0, 7, PORTID, -ENODEV) + asked


def test_an_error_pads_what_it_echoes_and_counts_the_padding() -> None:
    asked = request(b"abc")
    built = build_error(asked, EINVAL, capped=False, portid=PORTID)
    assert len(built) == 48
    assert NETLINK_HEADER.parse(built).length == 48
    assert built[20:] == asked + b"\0"


def test_an_acknowledgement_is_capped() -> None:
    """36 bytes with NLM_F_CAPPED, whatever was asked (capture 7-raw: the same)."""
    asked = request(b"attributes..")
    built = build_error(asked, 0, capped=False, portid=PORTID)
    assert built == struct.pack("=IHHIIi", 36, 2, NLM_F_CAPPED, 7, PORTID, 0) + asked[:16]


def test_extended_acknowledgement() -> None:
    built = build_error(request(), EINVAL, capped=True, portid=PORTID, message="because", offset=24)
    assert NETLINK_HEADER.parse(built)[:3] == (56, ControlType.ERROR, 0x300)
    assert built[36:] == (struct.pack("=HH8s", 12, 1, b"because\0") + struct.pack("=HHI", 8, 2, 24))
    parsed = parse_error(built)
    assert (parsed.errno, parsed.message, parsed.offset) == (EINVAL, "because", 24)


def test_done() -> None:
    header = OVS_MESSAGE_HEADER.parse(request())
    assert build_done(header, 0, PORTID) == struct.pack("=IHHIIi", 20, 3, 2, 7, PORTID, 0)
    built = build_done(header, ENODEV, PORTID, "gone")
    flags = NLM_F_MULTI | NLM_F_ACK_TLVS
    assert built == (
        struct.pack("=IHHIIi", 32, 3, flags, 7, PORTID, -ENODEV)
        + struct.pack("=HH8s", 9, 1, b"gone")
    )
    assert parse_error(built)[1:] == (ENODEV, "gone", None)


TEXTS = st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60)


@given(
    payload=st.binary(max_size=40),
    errno=st.integers(0, 133),
    capped=st.booleans(),
    portid=U32,
    message=TEXTS,
    offset=st.none() | U32,
)
def test_error_round_trip(
    payload: bytes, errno: int, capped: bool, portid: int, message: str | None, offset: int | None
) -> None:
    asked = request(payload)
    built = build_error(asked, errno, capped=capped, portid=portid, message=message, offset=offset)
    parsed = parse_error(built)
    assert parsed == (NETLINK_HEADER.parse(built), errno, message, offset)
    assert parsed.header.length == len(built)
    assert (parsed.header.sequence, parsed.header.pid) == (7, portid)
    assert not len(built) % 4
    # Bytes of a next datagram in the same buffer are not this error's.
    assert parse_error(built + b"\xff" * 8) == parsed


@given(sequence=U32, kind=U16, portid=U32, errno=st.integers(0, 133), message=TEXTS)
def test_done_round_trip(
    sequence: int, kind: int, portid: int, errno: int, message: str | None
) -> None:
    header = NETLINK_HEADER.parse(NETLINK_HEADER.pack(16, kind, 0, sequence, 0))
    parsed = parse_error(build_done(header, errno, portid, message))
    assert parsed[1:] == (errno, message, None)
    assert parsed.header[1:] == (
        ControlType.DONE,
        NLM_F_MULTI | (NLM_F_ACK_TLVS if message is not None else 0),
        sequence,
        portid,
    )


def test_errors_that_are_cut_short() -> None:
    built = build_error(request(), ENOENT, capped=True, portid=PORTID)
    for size in (0, 15, 19, 35):
        with pytest.raises(struct.error):
            parse_error(built[:size])
