"""The switch: names, indices and order, against a naive list."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENFILE, ENODEV

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.datapath import (
    IFINDEX_MAXIMUM,
    Datapath,
    DpIfindex,
    Settings,
    Switch,
    validate_masks_cache_size,
    validate_name,
)


def errno_of(call: object, *arguments: object) -> int:
    assert callable(call)
    with pytest.raises(DatapathError) as caught:
        call(*arguments)
    return caught.value.errno


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove"]), st.integers(0, 5), st.sampled_from([0, 0, 0, 1, 2, 7])
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_against_a_naive_list(steps: list[tuple[str, int, int]]) -> None:
    switch = Switch()
    naive: list[tuple[int, str]] = []
    for action, number, index in steps:
        name = f"dp{number}"
        if action == "add":
            taken = any(n == name or (index and i == index) for i, n in naive)
            if taken:
                assert errno_of(switch.add, name, index) == EEXIST
            else:
                made = switch.add(name, index)
                assert index in (0, made.index)
                assert made.index not in [i for i, _n in naive]
                naive.append((made.index, name))
        else:
            there = switch.lookup_name(name)
            if there is not None:
                switch.remove(there)
                assert errno_of(switch.remove, there) == ENODEV
            naive = [(i, n) for i, n in naive if n != name]
        assert [(datapath.index, datapath.name) for datapath in switch] == naive
        assert len(switch) == len(naive)
        for i, n in naive:
            assert switch.lookup(i) is switch.lookup_name(n) is not None
        default = switch.default()
        assert (default and (default.index, default.name)) == (naive[0] if naive else None)


def test_lookups_of_nothing() -> None:
    switch = Switch()
    assert switch.lookup(1) is switch.lookup_name("x") is switch.default() is None
    assert errno_of(switch.remove, Datapath(DpIfindex(1), "x")) == ENODEV


def test_another_datapath_with_the_same_index_and_name_is_not_removed() -> None:
    switch = Switch()
    ours = switch.add("x")
    assert errno_of(switch.remove, Datapath(ours.index, ours.name)) == ENODEV
    assert list(switch) == [ours]


def test_indices_wrap_and_pass_over_those_in_use() -> None:
    switch = Switch()
    switch.add("one", 1)
    switch._last_index = IFINDEX_MAXIMUM - 1
    assert [switch.add(name).index for name in "abc"] == [IFINDEX_MAXIMUM, 2, 3]


def test_iterating_while_datapaths_come_and_go() -> None:
    switch = Switch()
    for name in "abc":
        switch.add(name)
    seen = []
    for datapath in switch:
        seen.append(datapath.name)
        switch.remove(datapath)
        switch.add(datapath.name + "'")
    assert seen == ["a", "b", "c"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "a/b", "a:b", " ", "a b", "a\n", "\x0b", "a\x1f b"]
)
def test_names_that_no_interface_may_have(name: str) -> None:
    assert errno_of(validate_name, name) == EINVAL


@pytest.mark.parametrize("name", ["a", "...", "br-int", "ovs_system", "a.b", "\udcff", "ü"])
def test_names(name: str) -> None:
    validate_name(name)
    assert Switch().add(name).name == name


@pytest.mark.parametrize("name", ["%", "%s", "a%", "%d%d", "%%d", "%d%"])
def test_percent_stands_for_one_number(name: str) -> None:
    assert errno_of(Switch().add, name) == EINVAL


def test_the_lowest_free_number() -> None:
    switch = Switch()
    switch.add("a1b")
    assert [switch.add("a%db").name for _ in range(3)] == ["a0b", "a2b", "a3b"]


def test_to_choose_a_name_is_not_to_take_it() -> None:
    switch = Switch()
    assert [switch.choose_name(name) for name in ("x", "x", "a%d", "a%d")] == ["x", "x", "a0", "a0"]
    assert not len(switch)
    switch.add("a0")
    assert switch.choose_name("a%d") == "a1"
    assert errno_of(switch.choose_name, "a0") == EEXIST


@pytest.mark.parametrize("name", ["", "a/b", "%s", "a%d%d"])
def test_names_that_cannot_be_chosen(name: str) -> None:
    assert errno_of(Switch().choose_name, name) == EINVAL


def test_a_failure_leaves_nothing() -> None:
    switch = Switch()
    switch.add("x", 5)
    assert errno_of(switch.add, "x", 6) == EEXIST
    assert errno_of(switch.add, "y", 5) == EEXIST
    assert (len(switch), switch.lookup(6), switch.lookup_name("y")) == (1, None, None)


def test_a_name_with_its_number_is_no_longer_than_a_name() -> None:
    switch = Switch()
    wanted = "a" * 13 + "%d"
    names = [switch.add(wanted).name for _ in range(100)]
    assert len(set(names)) == 100
    assert max(map(len, names)) == 15
    assert errno_of(switch.add, wanted) == ENFILE


@pytest.mark.parametrize("size", [0, 1, 2, 256, 4096])
def test_sizes_of_a_mask_cache(size: int) -> None:
    validate_masks_cache_size(size)


@pytest.mark.parametrize("size", [3, 100, 255, 4095])
def test_sizes_that_a_mask_cache_cannot_have(size: int) -> None:
    assert errno_of(validate_masks_cache_size, size) == EINVAL


def test_a_new_datapath_has_settings_of_its_own() -> None:
    switch = Switch()
    ours, other = switch.add("x"), switch.add("y")
    assert ours.settings == other.settings == Settings(0, 256, ())
    ours.settings.user_features = 9
    assert other.settings.user_features == 0
    ours.counters.hit = 1
    assert other.counters.hit == 0
