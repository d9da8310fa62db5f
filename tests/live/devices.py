"""Fixtures: the path of a device that is served, and a daemon of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes.daemon import Daemon
from tests.nodes.served import new_path, wanted_kind


@pytest.fixture(scope="session")
def node_kind() -> str:
    """fuse or cuse: what OVSDP_TEST_NODE says, else fuse, which every machine has."""
    kind = wanted_kind()
    return "fuse" if kind == "fake" else kind


@pytest.fixture(scope="session")
def device_path(node_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The path of a device that is served until all tests are over."""
    path = new_path(node_kind, tmp_path_factory.mktemp("device"))
    with Daemon(node_kind, path) as daemon:
        yield path
        assert daemon.stop() == 0, daemon.log
        assert "Traceback" not in daemon.log, daemon.log


@pytest.fixture
def new_daemon(node_kind: str, tmp_path: Path) -> Daemon:
    """A daemon that is the test's own; `with` starts it."""
    return Daemon(node_kind, new_path(node_kind, tmp_path), "--trace")
