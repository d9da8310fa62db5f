"""Multicast groups by number or name, and what it means where joining one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EINVAL, ENOENT

from ovsdp_cuse.client.families import FamilyInfo
from ovsdp_cuse.errors import DatapathError


def has_names(groups: Iterable[int | str]) -> bool:
    """Whether the families must be asked for the number of any."""
    return any(isinstance(group, str) for group in groups)


def numbers_of(groups: Iterable[int | str], families: Iterable[FamilyInfo]) -> list[int]:
    """The groups' numbers; ENOENT for a name that no family has."""
    by_name = {name: number for family in families for name, number in family.groups.items()}
    numbers = []
    for group in groups:
        number = by_name.get(group) if isinstance(group, str) else group
        if number is None:
            raise DatapathError(ENOENT, f"no multicast group is named {group!r}")
        numbers.append(number)
    return numbers


@contextmanager
def asking_for(number: int) -> Iterator[None]:
    """ENOENT, as for a name, where the device refuses the number (EINVAL) of a group."""
    try:
        yield
    except DatapathError as error:
        if error.errno != EINVAL:
            raise
        raise DatapathError(ENOENT, f"no multicast group has the number {number}") from None
