"""Run one command in the virtual machine: see `python -m tests.vm --help`."""

import argparse
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from .kernel import KernelError
from .machine import FAILED_STATUS, Job, MachineError, choose_accelerator, run


def main() -> int:
    """Parse the arguments, boot, and return the command's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.vm",
        description="Run COMMAND as root in a virtual machine with Debian's kernel and the host's "
        "files, which it cannot change; exit with its status (124: time limit, 125: no answer, or "
        "its kernel complained).",
    )
    parser.add_argument("--systemd", action="store_true", help="boot systemd first, as PID 1")
    parser.add_argument(
        "--limit", type=float, default=600, metavar="SECONDS", help="time limit (default 600)"
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="the directory the command may write to, the same path inside and outside; "
        "also gets console.log (default: a temporary one)",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a variable for the command; without a value, this process's own",
    )
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    arguments = parser.parse_args()

    environment = {}
    for assignment in arguments.env:
        name, separator, value = assignment.partition("=")
        environment[name] = value if separator else os.environ[name]
    if arguments.results:
        arguments.results.mkdir(parents=True, exist_ok=True)
    results = (
        nullcontext(arguments.results)
        if arguments.results
        else tempfile.TemporaryDirectory(prefix="ovsdp-vm-")
    )
    try:
        with results as directory:
            job = Job(
                arguments.command,
                Path(directory),
                arguments.limit,
                init="systemd" if arguments.systemd else "reaper",
                environment=environment,
            )
            return run(job, choose_accelerator())
    except (KernelError, MachineError) as error:
        print(f"vm: {error}", file=sys.stderr)
        return FAILED_STATUS


if __name__ == "__main__":
    sys.exit(main())
