"""Checksums: against the rules written out, and against scapy's."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import sctp

from ovsdp_cuse.switch.checksum import (
    checksum,
    complement,
    crc32c,
    crc32c_change,
    pseudo_header,
    sum16,
    update,
    update_partial,
)

DATA = st.binary(max_size=300)
U16 = st.integers(0, 0xFFFF)


def folded(total: int) -> int:
    """One's complement addition with 16 bits: what is carried out comes in at the other end."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def words(data: bytes) -> tuple[int, ...]:
    """The 16-bit words of bytes, with a zero behind an odd one."""
    data += bytes(len(data) % 2)
    return struct.unpack(f">{len(data) // 2}H", data)


def by_the_rule(data: bytes) -> int:
    """RFC 1071, word by word."""
    return folded(sum(words(data))) ^ 0xFFFF


@pytest.mark.parametrize(
    ("data", "check"),
    [
        ("0001f203f4f5f6f7", 0x220D),
        ("4500003c1c4640004006" + "0000" + "ac100a63ac100a0c", 0xB1E6),
        ("", 0xFFFF),
        ("000000", 0xFFFF),
        ("ffff", 0),
        ("01", 0xFEFF),
    ],
)
def test_known_checksums(data: str, check: int) -> None:
    assert checksum(bytes.fromhex(data)) == check


@given(DATA)
def test_checksum_by_the_rule(data: bytes) -> None:
    assert checksum(data) == checksum(bytearray(data)) == checksum(memoryview(data))
    assert checksum(data) == by_the_rule(data)


@given(DATA, DATA)
def test_parts_are_summed_apart(first: bytes, second: bytes) -> None:
    first += bytes(len(first) % 2)
    assert checksum(second, sum16(first)) == by_the_rule(first + second)


def test_large_frames() -> None:
    data = bytes(range(256)) * 256
    assert checksum(data) == by_the_rule(data)


@given(DATA.filter(lambda data: len(data) >= 4))
def test_what_contains_its_checksum_has_none(data: bytes) -> None:
    check = checksum(bytes(2) + data[2:])
    assert checksum(check.to_bytes(2, "big") + data[2:]) == 0 or not any(data[2:])


def kernel_update(check: int, old: int, new: int) -> int:
    """csum_replace4() for 32-bit words, with the additions written out."""

    def add(a: int, b: int) -> int:
        total = a + b
        return (total & 0xFFFFFFFF) + (total >> 32)

    total = add(add(check ^ 0xFFFFFFFF, old ^ 0xFFFFFFFF), new)
    return folded(total) ^ 0xFFFF


@given(U16, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_update_is_the_kernels(check: int, old: int, new: int) -> None:
    assert update(check, old, new) == kernel_update(check, old, new)


@given(DATA.filter(any), st.integers(0, 149), U16)
def test_update_is_as_good_as_computing(data: bytes, word: int, new: int) -> None:
    data += bytes(len(data) % 2)
    at = 2 * (word % (len(data) // 2))
    (old,) = struct.unpack_from(">H", data, at)
    changed = data[:at] + new.to_bytes(2, "big") + data[at + 2 :]
    assert update(checksum(data), old, new) % 0xFFFF == checksum(changed) % 0xFFFF


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=4, max_size=4), U16)
def test_update_partial_follows_the_pseudo_header(
    addresses: bytes, source: bytes, length: int
) -> None:
    before = folded(pseudo_header(addresses, 6, length))
    after = folded(pseudo_header(source + addresses[4:], 6, length))
    old, new = int.from_bytes(addresses[:4], "big"), int.from_bytes(source, "big")
    assert update_partial(before, old, new) == after


@given(st.sampled_from([8, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size)), U16)
def test_pseudo_header_is_that_of_the_rfcs(addresses: bytes, length: int) -> None:
    if len(addresses) == 8:
        header = addresses + struct.pack(">BBH", 0, 17, length)
    else:
        header = addresses + struct.pack(">IBBBB", length, 0, 0, 0, 17)
    assert complement(pseudo_header(addresses, 17, length)) == by_the_rule(header)


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"123456789", 0xE3069283),
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_known_crc32c(data: bytes, crc: int) -> None:
    """The last three are of RFC 3720, B.4."""
    assert crc32c(data) == crc


@given(DATA)
def test_crc32c_is_scapys(data: bytes) -> None:
    scapy: Any = sctp
    swapped = int(scapy.crc32c(data)).to_bytes(4, "big")
    assert crc32c(data) == crc32c(bytearray(data)) == int.from_bytes(swapped, "little")


@given(DATA, st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), DATA)
def test_crc32c_change_is_as_good_as_computing(
    before: bytes, old: bytes, new: bytes, after: bytes
) -> None:
    change = crc32c_change(old, new, len(after))
    assert crc32c(before + old + after) ^ change == crc32c(before + new + after)


def test_crc32c_change_keeps_the_size() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        crc32c_change(b"1234", b"123", 0)
