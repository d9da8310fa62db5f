"""What the programs want of a socket is what the kernel's sockets do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.shim.programs import (
    KERNEL,
    OF_ANY_SOCKET,
    SCENARIOS,
    compile_program,
    run_scenario,
    scenarios,
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are built."""
    return tmp_path_factory.mktemp("programs")


@pytest.mark.parametrize(("program", "scenario"), scenarios(OF_ANY_SOCKET))
def test_the_kernel_does_so(program: str, scenario: str, directory: Path) -> None:
    if scenario in ("options", "shared") and os.geteuid():
        pytest.skip("SO_RCVBUFFORCE takes root")
    run_scenario(compile_program(program, KERNEL, directory), scenario, KERNEL, None)


@pytest.mark.parametrize("program", SCENARIOS)
def test_every_scenario_is_run(program: str, directory: Path) -> None:
    built = compile_program(program, KERNEL, directory)
    told = subprocess.run([built], capture_output=True, text=True, check=True).stdout
    assert tuple(told.split()) == SCENARIOS[program]
