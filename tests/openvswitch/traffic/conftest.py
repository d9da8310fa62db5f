"""Hosts and bridges on the shared stack."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.namespaces import Namespace
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.hosts import Host

NewHosts = Callable[[int], list[Host]]
NewBridge = Callable[..., Bridge]

EXPECTED = (
    "ct_clear flow probe failed (Operation not supported)",
    "log messages in last",
    "failed to flow_get (No such file or directory)",
    "unexpected flow (No such file or directory)",
)
"""There is no connection tracking (docs/differences.md); it says that only so often; and a flow may
be purged while it is dumped."""


@pytest.fixture
def new_hosts(stack: Stack, new_namespace: Callable[[], Namespace]) -> NewHosts:
    """Makes hosts, which are connected with nothing yet."""
    numbers = itertools.count(1)

    def make(count: int) -> list[Host]:
        return [Host(new_namespace(), stack.namespace, next(numbers)) for _ in range(count)]

    return make


@pytest.fixture
def expected_complaints() -> list[str]:
    """A test puts here the parts of lines that ovs-vswitchd will log as warnings or errors."""
    return list(EXPECTED)


@pytest.fixture
def new_bridge(
    stack: Stack, new_namespace: Callable[[], Namespace], expected_complaints: list[str]
) -> Iterator[NewBridge]:
    """Makes bridges with no flows: a name, and settings of their Bridge records. At the end, while
    the namespaces are still there, ovs-vswitchd must have complained of nothing."""

    def make(name: str = "br0", *settings: str) -> Bridge:
        return Bridge(stack, name, *settings)

    yield make
    complaints = [
        line
        for line in stack.complaints()
        if not any(expected in line for expected in expected_complaints)
    ]
    assert complaints == []


@pytest.fixture
def bridge(new_bridge: NewBridge) -> Bridge:
    """A bridge with no flows."""
    return new_bridge()
