"""Daemons with a family that waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.device.families import SlowFamily
from tests.nodes.fake import FakeHandle, FakeNode


@pytest.fixture
def slow() -> SlowFamily:
    """A family whose command WAIT waits for `slow.go`."""
    return SlowFamily()


@pytest.fixture
def node(slow: SlowFamily) -> Iterator[FakeNode]:
    """A served node with that family."""
    with FakeNode(families=(slow.family,)) as node:
        yield node


@pytest.fixture
def handle(node: FakeNode) -> FakeHandle:
    """An open handle."""
    return node.open()
