"""Nodes and handles for the contract."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.contract import datapaths
from tests.contract.doors import ask, receive_dump, transact
from tests.contract.messages import DATAPATH, DUMP, ERROR, REQUEST, build
from tests.nodes.interface import Handle, Node
from tests.nodes.served import serve_test_node

Open = Callable[..., Handle]

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def node() -> Iterator[Node]:
    """The node that OVSDP_TEST_NODE names, served until all tests are over."""
    with serve_test_node() as node:
        yield node


@pytest.fixture
def open_handle(node: Node) -> Iterator[Open]:
    """Opens handles that are closed at the end of the test."""
    handles: list[Handle] = []

    def open_(flags: int = os.O_RDWR) -> Handle:
        handles.append(node.open(flags))
        return handles[-1]

    yield open_
    for handle in handles:
        with suppress(OSError):  # the test may have closed it
            handle.close()


@pytest.fixture
def handle(open_handle: Open) -> Handle:
    """A handle for reading and writing."""
    return open_handle()


@pytest.fixture
def stream(open_handle: Open) -> Handle:
    """A handle that does not wait."""
    return open_handle(os.O_RDWR | os.O_NONBLOCK)


@pytest.fixture
def name() -> str:
    """A name that no datapath has, of five characters."""
    return f"d{next(_numbers):04}"


@pytest.fixture(autouse=True)
def no_datapaths(node: Node) -> Iterator[None]:
    """A test finds no datapath, and what it has made is removed."""
    yield
    handle = node.open()
    try:
        handle.write(build(DATAPATH, datapaths.GET, flags=REQUEST | DUMP))
        for part in receive_dump(handle):
            for found in part:
                if found.type == DATAPATH:
                    request = build(DATAPATH, datapaths.DEL, dp_ifindex=found.dp_ifindex)
                    transact(handle, request)
    finally:
        handle.close()


@pytest.fixture
def datapath(handle: Handle, name: str) -> int:
    """The index of a datapath called `name`, the only one."""
    reply = ask(handle, datapaths.new(name))
    assert reply.type != ERROR, reply
    return reply.dp_ifindex
