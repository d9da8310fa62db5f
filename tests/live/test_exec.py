"""exec, on a real node: the program takes its place, and talks to the device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ovsdp_cuse.command_line.exec import Failure, check_device
from ovsdp_cuse.shim import library
from tests.live.test_command_line import run
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S

pytest_plugins = ("tests.live.devices",)

EXEC = (sys.executable, "-m", "ovsdp_cuse", "exec")


def output(*command: str | Path) -> str:
    """What a program prints that `exec` runs."""
    done = subprocess.run((*EXEC, *command), capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_process_stays_but_the_program(device_path: Path) -> None:
    script = 'echo $$ "$LD_PRELOAD" "$OVSDP_DEVICE"; exit 7'
    command = (*EXEC, "--device", str(device_path), "--", "sh", "-c", script)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert said.split() == [str(process.pid), str(library()), str(device_path)]
    assert process.returncode == 7


def test_open_vswitch_s_own_program_talks_to_the_device(device_path: Path) -> None:
    run(device_path, "dp-add", "exec0")
    try:
        assert "system@exec0" in output("--device", device_path, "--", "ovs-dpctl", "dump-dps")
    finally:
        run(device_path, "dp-del", "exec0")


def test_a_daemon_that_hangs_is_noticed(new_daemon: Daemon) -> None:
    with new_daemon:
        os.kill(new_daemon.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Failure, match="has not answered"):
                check_device(str(new_daemon.path), limit_s=0.2)
        finally:
            os.kill(new_daemon.process.pid, signal.SIGCONT)
        check_device(str(new_daemon.path), limit_s=DEADLINE_S)
        assert new_daemon.stop() == 0
    with pytest.raises(Failure, match="no daemon serves it"):
        check_device(str(new_daemon.path))
