"""The guest as the tests of the service see it: its programs, the unit, the node."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

UNIT = "ovsdp-cuse.service"
NODE = Path("/dev/ovs-datapath")
DROP_INS = Path("/run/systemd/system") / f"{UNIT}.d"
PROGRAM = Path(sys.prefix) / "bin/ovsdp-cuse"

TIME_FACTOR = int(os.environ.get("OVSDP_TEST_TIME_FACTOR", "1"))
LIMIT_S = 15.0 * TIME_FACTOR
"""What anything here may take at most; nothing comes near it but what hangs."""


def run(*command: str | Path, limit_s: float = LIMIT_S) -> str:
    """The output of a program that must succeed; AssertionError shows what it said instead."""
    process = attempt(*command, limit_s=limit_s)
    assert process.returncode == 0, f"{command}: {process.stdout}{process.stderr}"
    return process.stdout.strip()


def attempt(*command: str | Path, limit_s: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
    """A program's exit status and output."""
    return subprocess.run(command, capture_output=True, text=True, timeout=limit_s)


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Ask until it is so; each question starts a program, so there is no need to pause."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s:.0f} s: {what}"


def show(name: str) -> str:
    """One property of the unit."""
    return run("systemctl", "show", "--property", name, "--value", UNIT)


def main_pid() -> int:
    """The daemon's process id; 0 where it does not run."""
    return int(show("MainPID"))


def drop_in(name: str, *lines: str) -> None:
    """Change settings of the unit's section Service, until `forget_drop_ins`."""
    DROP_INS.mkdir(parents=True, exist_ok=True)
    (DROP_INS / f"{name}.conf").write_text("\n".join(("[Service]", *lines, "")))
    run("systemctl", "daemon-reload")


def stop() -> None:
    """Stop the service, and forget its failures and how often it was started."""
    if show("LoadState") == "loaded":
        run("systemctl", "stop", UNIT)
        attempt("systemctl", "reset-failed", UNIT)


def forget_drop_ins() -> None:
    """Take back what `drop_in` did."""
    for file in DROP_INS.glob("*"):
        file.unlink()
    run("systemctl", "daemon-reload")


def journal() -> str:
    """What the unit has said since boot."""
    run("journalctl", "--sync")
    return run("journalctl", "--unit", UNIT, "--boot", "--output=cat", "--no-pager")
