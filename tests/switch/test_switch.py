"""The switch: names, indices and order, against a naive list."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable
from errno import EBUSY, EEXIST, EFBIG, EINVAL, ENODEV

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.memory import MemoryPorts
from ovsdp_cuse.switch.datapath import Settings, validate_masks_cache_size
from ovsdp_cuse.switch.flow_table import FlowActions
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PORT_TYPE_NETDEV, Port, PortSpec
from ovsdp_cuse.switch.switch import Switch


def make_switch(*interfaces: str) -> Switch:
    """A switch whose first datapath gets index 1, and interfaces that may become its ports."""
    ports = MemoryPorts(first_ifindex=1)
    for index, name in enumerate(interfaces, 100):
        ports.add_interface(name, ifindex=index)
    return Switch(ports)


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
    switch = make_switch()
    naive: list[tuple[int, str]] = []
    for action, number, index in steps:
        name = f"dp{number}"
        if action == "add":
            taken = any(n == name or (index and i == index) for i, n in naive)
            if taken:
                assert errno_of(switch.add, name, index) in (EBUSY, EEXIST)
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
    switch = make_switch()
    assert switch.lookup(1) is switch.lookup_name("x") is switch.default() is None
    assert switch.lookup_port("x") is None


def test_another_switch_s_datapath_is_not_removed() -> None:
    switch = make_switch()
    ours = switch.add("x")
    assert errno_of(switch.remove, make_switch().add("x")) == ENODEV
    assert list(switch) == [ours]


def test_iterating_while_datapaths_come_and_go() -> None:
    switch = make_switch()
    for name in "abc":
        switch.add(name)
    seen = []
    for datapath in switch:
        seen.append(datapath.name)
        switch.remove(datapath)
        switch.add(datapath.name + "'")
    assert seen == ["a", "b", "c"]


def test_a_failure_leaves_nothing() -> None:
    switch = make_switch()
    switch.add("x", 5)
    assert errno_of(switch.add, "x", 6) == EEXIST
    assert errno_of(switch.add, "y", 5) == EBUSY
    assert (len(switch), switch.lookup(6), switch.lookup_name("y")) == (1, None, None)


@pytest.mark.parametrize("size", [0, 1, 2, 256, 4096])
def test_sizes_of_a_mask_cache(size: int) -> None:
    validate_masks_cache_size(size)


@pytest.mark.parametrize("size", [3, 100, 255, 4095])
def test_sizes_that_a_mask_cache_cannot_have(size: int) -> None:
    assert errno_of(validate_masks_cache_size, size) == EINVAL


def test_a_new_datapath_has_settings_of_its_own() -> None:
    switch = make_switch()
    ours, other = switch.add("x"), switch.add("y")
    assert ours.settings == other.settings == Settings(0, 256, ())
    ours.settings.user_features = 9
    assert other.settings.user_features == 0
    ours.counters.hit = 1
    assert other.counters.hit == 0


def netdev(name: str) -> PortSpec:
    return PortSpec(PORT_TYPE_NETDEV, name)


def test_a_datapath_has_a_local_port_of_its_name() -> None:
    switch = make_switch()
    datapath = switch.add("x", upcall_pids=(7,))
    local = switch.lookup_port("x")
    assert local is datapath.local is datapath.ports[0]
    assert (local.number, local.type, local.ifindex) == (0, PORT_TYPE_INTERNAL, datapath.index)
    assert local.upcall_pids == (7,)


def test_ports_have_the_lowest_free_number_or_the_one_they_want() -> None:
    switch = make_switch("a", "b", "c", "d")
    datapath = switch.add("x")
    assert switch.add_port(datapath, netdev("a"), 2, (0,)).number == 2
    assert switch.add_port(datapath, netdev("b"), 0, (0,)).number == 1
    assert switch.add_port(datapath, netdev("c"), 0, (0,)).number == 3
    assert errno_of(switch.add_port, datapath, netdev("d"), 2, (0,)) == EBUSY
    switch.remove_port(datapath.ports[1])
    assert switch.add_port(datapath, netdev("d"), 0, (0,)).number == 1


def test_a_datapath_with_all_ports_takes_no_more() -> None:
    switch = make_switch("a")
    datapath = switch.add("x")
    datapath.ports.update(dict.fromkeys(range(1, 65535), datapath.local))
    assert errno_of(switch.add_port, datapath, netdev("a"), 0, (0,)) == EFBIG


def test_an_interface_is_a_port_once() -> None:
    switch = make_switch("a")
    ours, other = switch.add("x"), switch.add("y")
    switch.add_port(ours, netdev("a"), 0, (0,))
    assert errno_of(switch.add_port, ours, netdev("a"), 0, (0,)) == EEXIST
    assert errno_of(switch.add_port, other, netdev("a"), 0, (0,)) == EBUSY
    assert errno_of(switch.add_port, other, netdev("x"), 0, (0,)) == EINVAL
    assert errno_of(switch.add_port, other, netdev("nobody"), 0, (0,)) == ENODEV
    assert errno_of(switch.add_port, other, PortSpec(PORT_TYPE_INTERNAL, "a"), 0, (0,)) == EEXIST


def test_a_removed_datapath_gives_its_interfaces_back() -> None:
    switch = make_switch("a")
    first = switch.add("x")
    switch.add_port(first, netdev("a"), 0, (0,))
    switch.remove(first)
    assert switch.lookup_port("a") is switch.lookup_port("x") is None
    second = switch.add("x")
    assert switch.add_port(second, netdev("a"), 0, (0,)).dp_ifindex == second.index


def test_a_datapath_s_name_is_not_the_name_of_any_port() -> None:
    switch = make_switch("a")
    switch.add_port(switch.add("x"), netdev("a"), 0, (0,))
    assert switch.lookup_name("a") is None


def test_a_port_follows_its_interface_s_name() -> None:
    switch = make_switch("a")
    datapath = switch.add("x")
    port = switch.add_port(datapath, netdev("a"), 0, (0,))
    switch.rename_port(port, "b")
    switch.rename_port(datapath.local, "z")
    assert (switch.lookup_port("a"), switch.lookup_port("b")) == (None, port)
    assert (switch.lookup_name("x"), switch.lookup_name("z")) == (None, datapath)
    assert datapath.name == "z"
    switch.remove(datapath)
    assert switch.lookup_port("b") is switch.lookup_port("z") is None


def test_many_ports_are_closed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one takes a TAP 20 ms, and nothing else is done meanwhile."""
    switch = make_switch("a", "b")
    assert isinstance(switch.ports, MemoryPorts)
    closed: list[list[str]] = []
    close_ports = switch.ports.close_ports

    def count(ports: Iterable[Port]) -> None:
        ports = list(ports)
        closed.append([port.name for port in ports])
        close_ports(ports)

    monkeypatch.setattr(switch.ports, "close_ports", count)
    for name, interface in (("x", "a"), ("y", "b")):
        switch.add_port(switch.add(name), netdev(interface), 0, (0,))
    datapath = switch.lookup_name("x")
    assert datapath is not None
    switch.remove(datapath)
    assert closed == [["a", "x"]], "the local port last"
    switch.add("z")
    switch.close()
    assert closed[1:] == [["b", "y", "z"]]
    assert len(switch) == 0


def test_a_removed_datapath_keeps_nothing_alive() -> None:
    """Without the garbage collector, which hardly ever looks at flows."""
    switch = make_switch()
    datapath = switch.add("x")
    flow = weakref.ref(datapath.flows.insert(1, 1, FlowActions((), b"", lambda packet: None)))
    gc.disable()
    try:
        switch.remove(datapath)
        assert flow() is None
    finally:
        gc.enable()


def test_a_name_that_is_elsewhere_is_not_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A TAP may be moved to another namespace, where its name and index are free here again."""
    switch = make_switch()
    first = switch.add("x", 5)
    ports = MemoryPorts()
    monkeypatch.setattr(switch, "ports", ports)
    assert errno_of(switch.add, "x", 6) == EEXIST
    assert errno_of(switch.add, "y", 5) == EBUSY
    assert (list(switch), switch.lookup_name("x")) == ([first], first)
    for name in "xy":
        assert errno_of(ports.interface, name) == ENODEV
