"""A system whose services are changed: its files, and what systemctl is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each call of systemctl; ours only writes that."""
    programs = tmp_path / "programs"
    programs.mkdir()
    log = tmp_path / "calls"
    log.touch()
    systemctl = programs / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >>{log}\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return log


@pytest.fixture
def root(tmp_path: Path, calls: Path) -> Path:
    """The root directory of an empty system."""
    directory = tmp_path / "root"
    directory.mkdir()
    return directory
