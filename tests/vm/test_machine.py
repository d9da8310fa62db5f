"""What the lanes in the virtual machine rely on: each test is one boot, seconds under emulation."""

import io
import sys
from pathlib import Path

import pytest

from .machine import (
    FAILED_STATUS,
    TIME_LIMIT_STATUS,
    Init,
    Job,
    MachineError,
    choose_accelerator,
    run,
)

BOOT_LIMIT_S = 120.0

READ_CUSE_INIT = """
import os, struct
channel = os.open("/dev/cuse", os.O_RDWR)
request = os.read(channel, 65536)
print(len(request), struct.unpack_from("=II", request)[1])
"""

# Leaves a process without a parent, and waits until it is gone, not merely dead.
ORPHAN = """
pid=$(sh -c 'true >/dev/null & echo $!')
timeout 20 sh -c "while test -e /proc/$pid; do :; done"
"""


def boot(
    results: Path, *command: str, init: Init = "reaper", limit_s: float = BOOT_LIMIT_S
) -> tuple[int, str]:
    """Exit status and output of `command` in a fresh machine."""
    output = io.BytesIO()
    job = Job(command, results, limit_s, init=init, environment={"GREETING": 'it\'s "set"'})
    status = run(job, choose_accelerator(), output)
    return status, output.getvalue().decode()


def test_output_environment_directory_and_status_come_through(tmp_path: Path) -> None:
    status, output = boot(tmp_path, "sh", "-c", 'echo "$GREETING"; pwd; echo error >&2; exit 7')
    assert output.splitlines() == ['it\'s "set"', str(Path.cwd()), "error"]
    assert status == 7


def test_only_the_results_reach_the_host(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    beside = tmp_path / "beside"
    script = f"echo private >{beside} && cat {beside} && echo shared >{results}/file"
    assert boot(results, "sh", "-c", script) == (0, "private\n")
    assert (results / "file").read_text() == "shared\n"
    assert not beside.exists()


def test_cuse_and_the_kernel_s_own_datapath_are_there(tmp_path: Path) -> None:
    script = 'modprobe cuse && modprobe openvswitch && exec "$0" -c "$1"'
    status, output = boot(tmp_path, "sh", "-c", script, sys.executable, READ_CUSE_INIT)
    assert status == 0
    # fuse_in_header (40 bytes) and cuse_init_in (16); CUSE_INIT is opcode 4096.
    assert output.split() == ["56", "4096"]


def test_orphans_are_reaped(tmp_path: Path) -> None:
    assert boot(tmp_path, "sh", "-c", ORPHAN) == (0, "")


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    assert boot(tmp_path, "sleep", "infinity", limit_s=5.0)[0] == TIME_LIMIT_STATUS


def test_a_warning_of_the_guest_s_kernel_fails_the_command(tmp_path: Path) -> None:
    status, _ = boot(tmp_path, "sh", "-c", "echo '<4>WARNING: not a real one' >/dev/kmsg")
    assert status == FAILED_STATUS


def test_a_panic_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="Kernel panic"):
        boot(tmp_path, "sh", "-c", "echo c >/proc/sysrq-trigger")


def test_systemd_boots_without_a_failed_unit(tmp_path: Path) -> None:
    status, output = boot(tmp_path, "systemctl", "is-system-running", "--wait", init="systemd")
    assert (status, output) == (0, "running\n")
