"""The program as a whole: help, version, the C compiler's flags, what it imports."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from ovsdp_cuse.command_line.group import COMMANDS
from tests.command_line.conftest import Run

HIDDEN = {"mount-state"}
"""What the unit of the service runs, and nobody by hand."""


def test_help_names_every_command_and_the_exit_statuses(run: Run) -> None:
    text = run("--help").stdout
    for command in COMMANDS:
        assert (f"\n  {command} " in text) == (command not in HIDDEN)
    assert "First commands:" in text
    assert "Exit status:" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, run: Run) -> None:
    text = run(command, "--help").stdout
    assert text.startswith(f"Usage: ovsdp-cuse {command} ")
    assert "--help" in text


def test_the_version_is_the_package_s(run: Run) -> None:
    assert version("ovsdp-cuse") in run("--version").stdout


def test_the_flags_for_c_find_the_header(run: Run) -> None:
    flags = run("--cflags").stdout.split()
    assert len(flags) == 1
    assert flags[0].startswith("-I/")
    assert (Path(flags[0][2:]) / "ovs_datapath.h").is_file()


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("dp-add",), ("serve", "--node", "x"), ("-x",)]
)
def test_a_wrong_command_line_is_2(arguments: tuple[str, ...], run: Run) -> None:
    assert run(*arguments, status=2).stderr.startswith("Usage: ovsdp-cuse")


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        ("serve", ("pyfuse3", "ovsdp_cuse.command_line.tables")),
        ("dp-show", ("trio", "structlog", "rich")),
    ],
)
def test_a_command_imports_what_it_needs(command: str, unwanted: tuple[str, ...]) -> None:
    """A daemon's memory and a command's time to start depend on it."""
    script = (
        "import sys; from ovsdp_cuse.command_line.group import program\n"
        f"try: program(['{command}', '--help'])\n"
        "except SystemExit: print([name for name in sys.argv[1:] if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *unwanted], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
