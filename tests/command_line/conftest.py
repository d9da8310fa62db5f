"""The program in this process, and a device that is a dispatcher in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ovsdp_cuse.command_line.group import program
from tests.client.families import BIG
from tests.client.handles import connect
from tests.families.doors import Daemon

Run = Callable[..., Result]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Daemon:
    """What the commands of the test talk to; it has a family that they do not know."""
    daemon = Daemon([BIG])
    connect(monkeypatch, daemon)
    path = tmp_path / "device"
    path.touch(0o640)
    monkeypatch.setenv("OVSDP_DEVICE", str(path))
    return daemon


@pytest.fixture
def run() -> Run:
    """Runs the program with arguments, and checks its exit status (0 where none is given)."""

    def run(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(program, arguments, prog_name="ovsdp-cuse")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    return run
