"""Names of interfaces: those that may be, and those that are chosen."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENFILE

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.names import choose_name, validate_name


def errno_of_name(name: str, *taken: str) -> int:
    with pytest.raises(DatapathError) as caught:
        choose_name(name, taken.__contains__)
    return caught.value.errno


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "a/b", "a:b", " ", "a b", "a\n", "\x0b", "a\x1f b"]
)
def test_names_that_no_interface_may_have(name: str) -> None:
    assert errno_of_name(name) == EINVAL


@pytest.mark.parametrize("name", ["a", "...", "br-int", "ovs_system", "a.b", "\udcff", "ü"])
def test_names(name: str) -> None:
    validate_name(name)
    assert choose_name(name, {"another"}.__contains__) == name


@pytest.mark.parametrize("name", ["%", "%s", "a%", "%d%d", "%%d", "%d%"])
def test_percent_stands_for_one_number(name: str) -> None:
    assert errno_of_name(name) == EINVAL


def test_the_lowest_free_number() -> None:
    taken = {"a1b"}
    for expected in ("a0b", "a2b", "a3b"):
        name = choose_name("a%db", taken.__contains__)
        assert name == expected
        taken.add(name)


def test_a_name_in_use() -> None:
    assert errno_of_name("a", "a") == EEXIST


def test_a_name_with_its_number_is_no_longer_than_a_name() -> None:
    wanted = "a" * 13 + "%d"
    taken: set[str] = set()
    for _ in range(100):
        taken.add(choose_name(wanted, taken.__contains__))
    assert len(taken) == 100
    assert max(map(len, taken)) == 15
    assert errno_of_name(wanted, *taken) == ENFILE
