"""Multicast groups by name and number, and what a refusal is told as."""

from __future__ import annotations

from errno import EINVAL, ENOENT, EPERM

import pytest

from ovsdp_cuse.client.families import FamilyInfo
from ovsdp_cuse.client.groups import asking_for, has_names, numbers_of
from ovsdp_cuse.errors import DatapathError

FAMILIES = (
    FamilyInfo(16, "one", 1, 0, {}, {"first": 3}),
    FamilyInfo(17, "other", 1, 0, {}, {"second": 4, "third": 5}),
)


def test_names_and_numbers_in_their_order() -> None:
    assert numbers_of(("third", 9, "first"), FAMILIES) == [5, 9, 3]
    assert numbers_of((9,), ()) == [9]
    assert has_names((9, "first"))
    assert not has_names((9,))


def test_a_name_that_no_family_has_leaves_nothing_to_join() -> None:
    with pytest.raises(DatapathError, match="no multicast group is named 'nix'") as refused:
        numbers_of(("first", "nix"), FAMILIES)
    assert refused.value.errno == ENOENT


@pytest.mark.parametrize(("errno", "told"), [(EINVAL, ENOENT), (EPERM, EPERM)])
def test_a_number_that_the_device_refuses(errno: int, told: int) -> None:
    with pytest.raises(DatapathError) as refused, asking_for(77):
        raise DatapathError(errno, "no")
    assert refused.value.errno == told
    assert ("the number 77" in str(refused.value)) == (errno == EINVAL)
