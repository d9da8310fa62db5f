"""Names of flows: which lengths count."""

from __future__ import annotations

import pytest

from ovsdp_cuse.families.translate.ufid import MAX_UFID_LENGTH, parse_ufid


@pytest.mark.parametrize("length", [1, 8, 15, 16])
def test_a_name(length: int) -> None:
    assert parse_ufid(b"\1" * length) == b"\1" * length


@pytest.mark.parametrize("length", [0, 17, 32])
def test_no_name(length: int) -> None:
    assert parse_ufid(bytes(length)) is None


def test_the_longest_name_has_128_bits() -> None:
    assert 8 * MAX_UFID_LENGTH == 128


def test_zeros_behind_a_name_make_another() -> None:
    assert parse_ufid(b"\1") != parse_ufid(b"\1\0")
