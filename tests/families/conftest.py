"""Fixtures: a daemon with no device, and a handle of it."""

from __future__ import annotations

import pytest

from tests.families.doors import Daemon, Handle


@pytest.fixture
def daemon() -> Daemon:
    """A daemon with the built-in families."""
    return Daemon()


@pytest.fixture
def handle(daemon: Daemon) -> Handle:
    """A non-blocking handle, open for reading and writing."""
    return daemon.open()
