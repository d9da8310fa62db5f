"""Devices whose daemon is a dispatcher in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ovsdp_cuse.client import Device
from tests.client.families import BIG
from tests.client.handles import connect
from tests.families.doors import Daemon


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """What each Device of the test is connected with; it has the family BIG, too."""
    daemon = Daemon([BIG], queue_limit=100_000)
    connect(monkeypatch, daemon)
    return daemon


@pytest.fixture
def device(daemon: Daemon) -> Iterator[Device]:
    """An open device."""
    with Device() as device:
        yield device
