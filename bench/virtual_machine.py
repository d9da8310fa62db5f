"""The measurements that want the kernel's module, in the virtual machine, which has one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.programs import BenchError, Programs

LIMIT_S = 3600


def measure(names: Sequence[str], *, quick: bool) -> dict[str, Any]:
    """What `python -m bench` measures there of these, with the daemon on a CUSE node."""
    with tempfile.TemporaryDirectory(prefix="ovsdp-bench-vm-") as shared:
        directory = Path(shared)
        Programs(directory)  # compiled here: emulation would take minutes for it
        figures = directory / "figures.json"
        options = ["--node", "cuse", "--with-kernel-module", "--programs", shared]
        options += ["--json", str(figures), *(["--quick"] if quick else [])]
        command = (sys.executable, "-m", "bench", *options, *names)
        machine = ("-m", "tests.vm", "--limit", str(LIMIT_S), "--results", shared)
        done = subprocess.run(
            (sys.executable, *machine, "--", *command), capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise BenchError(f"in the virtual machine, `{' '.join(command)}` failed: {said}")
        measured: dict[str, Any] = json.loads(figures.read_text())
    return measured
