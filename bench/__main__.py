"""Runs every measurement on every kind of node that this machine has."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import report
from bench.measure import DUMPED, Effort, Placement, compare, soak
from bench.programs import BenchError, Programs
from bench.servers import NodeKind, daemon, echo


def bench(
    console: Console, kind: NodeKind, programs: Programs, directory: Path, effort: Effort
) -> dict[str, Any]:
    """All figures of one kind of node, printed and returned."""
    with daemon(kind, directory) as served, echo(kind, programs, directory) as echoing:
        start_kib = served.resident_kib
        usable = len(os.sched_getaffinity(0))
        placements = [p for p in Placement if p is not Placement.APART or usable > 1]
        transactions = [compare(programs, served, echoing, p, effort) for p in placements]
        report.show_transactions(console, kind.value.upper(), transactions)
        dump = programs.dump(served.node, DUMPED, effort.dumps)
        report.show_dump(console, dump)
        memory = soak(programs, served, start_kib, effort)
        report.show_memory(console, memory)
    return {
        "transactions": [result.as_json() for result in transactions],
        "dump": dump,
        "memory": memory.as_json(),
    }


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds and a short soak: a minute.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option(
    "--node",
    "kinds",
    multiple=True,
    type=click.Choice([kind.value for kind in NodeKind]),
    help="Only this kind of node; default: every kind that the machine has.",
)
def main(quick: bool, output: Path | None, kinds: tuple[str, ...]) -> None:
    """Measure the daemon against a C server that echoes, and against the kernel's own netlink."""
    console = Console()
    effort = Effort.quick() if quick else Effort.full()
    wanted = [NodeKind(kind) for kind in kinds] or [kind for kind in NodeKind if kind.exists]
    if not wanted:
        raise click.ClickException("neither /dev/fuse nor /dev/cuse is there for this user")
    figures: dict[str, Any] = {
        "machine": {
            "kernel": platform.release(),
            "processors": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
        },
        "nodes": {},
    }
    console.print("Aims: DP GET at most 1.5 times the echo unpinned, 2.5 times on one core.")
    try:
        with tempfile.TemporaryDirectory(prefix="ovsdp-bench-") as scratch:
            directory = Path(scratch)
            programs = Programs(directory)
            for kind in wanted:
                figures["nodes"][kind.value] = bench(console, kind, programs, directory, effort)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    if output:
        output.write_text(json.dumps(figures, indent=2) + "\n")
        console.print(f"figures: {output}")


if __name__ == "__main__":
    sys.exit(main())
