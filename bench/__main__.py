"""Runs what was chosen, on every kind of node that this machine has, and prints and writes it."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import (
    flows,
    forwarding,
    lookup,
    readers,
    report,
    tracing,
    upcalls,
    virtual_machine,
    vswitchd,
)
from bench.measure import DUMPED, Effort, Placement, compare, soak
from bench.namespaces import namespace
from bench.programs import BenchError, Programs
from bench.servers import NodeKind, daemon, echo


@dataclass(frozen=True)
class Run:
    """What a measurement gets; directory: its own."""

    console: Console
    programs: Programs
    directory: Path
    kind: NodeKind
    effort: Effort
    with_kernel: bool


def transact(run: Run) -> dict[str, Any]:
    """Transactions, a dump of datapaths, memory: against a C server that echoes."""
    kind, programs, effort = run.kind, run.programs, run.effort
    with (
        namespace() as switch,
        daemon(kind, run.directory, switch) as served,
        echo(kind, programs, run.directory) as echoing,
    ):
        start_kib = served.resident_kib
        usable = len(os.sched_getaffinity(0))
        placements = [p for p in Placement if p is not Placement.APART or usable > 1]
        transactions = [compare(programs, served, echoing, p, effort) for p in placements]
        report.show_transactions(run.console, kind.value.upper(), transactions)
        dump = programs.dump(served.node, DUMPED, effort.dumps)
        report.show_dump(run.console, dump)
        memory = soak(programs, served, start_kib, effort)
        report.show_memory(run.console, memory)
    return {
        "transactions": [result.as_json() for result in transactions],
        "dump": dump,
        "memory": memory.as_json(),
    }


def look_up(run: Run) -> dict[str, Any]:
    """The flow table against a bare dict, and its memory."""
    figures = lookup.measure(run.effort)
    lookup.show(run.console, figures)
    return figures


def put_flows(run: Run) -> dict[str, Any]:
    """Putting and dumping flows; in the virtual machine against the kernel's module."""
    figures = flows.measure(
        run.programs, run.directory, run.kind, run.effort, with_kernel=run.with_kernel
    )
    flows.show(run.console, _where(run), figures)
    return figures


def forward(run: Run) -> dict[str, Any]:
    """Small frames and TCP on veth pairs against Open vSwitch's userspace datapath."""
    figures = forwarding.measure(run.programs, run.directory, run.kind, run.effort)
    forwarding.show(run.console, figures)
    return figures


def answer_upcalls(run: Run) -> dict[str, Any]:
    """Miss, upcall, EXECUTE; in the virtual machine against the kernel's module."""
    figures = upcalls.measure(
        run.programs, run.directory, run.kind, run.effort, with_kernel=run.with_kernel
    )
    upcalls.show(run.console, _where(run), figures)
    return figures


def run_openvswitch(run: Run) -> dict[str, Any]:
    """ovs-vswitchd on the device, against its own datapath; in the virtual machine against the
    kernel's module, too."""
    figures = vswitchd.measure(
        run.programs, run.directory, run.kind, run.effort, with_kernel=run.with_kernel
    )
    vswitchd.show(run.console, _where(run), figures)
    return figures


def trace(run: Run) -> dict[str, Any]:
    """What it costs that the daemon can be traced, while nobody does."""
    figures = tracing.measure(run.programs, run.directory, run.kind, run.effort)
    tracing.show(run.console, figures)
    return figures


def read_state(run: Run) -> dict[str, Any]:
    """How long a request waits while all flows are read as a file."""
    figures = readers.measure(run.directory, run.kind, run.effort)
    readers.show(run.console, figures)
    return figures


MEASUREMENTS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "transact": transact,
    "trace": trace,
    "state": read_state,
    "lookup": look_up,
    "flows": put_flows,
    "forwarding": forward,
    "upcall": answer_upcalls,
    "openvswitch": run_openvswitch,
}
CALIBRATION = 4000
"""Transactions on netlink that tell how fast a kernel is."""
AGAINST_KERNEL = {"flows": flows.show, "upcall": upcalls.show, "openvswitch": vswitchd.show}
"""What is measured in the virtual machine, too, and how it is shown."""


def _where(run: Run) -> str:
    return (
        f"{run.kind.value.upper()} node, {'in the virtual machine' if run.with_kernel else 'here'}"
    )


@contextmanager
def _compiled(directory: Path | None) -> Iterator[tuple[Programs, Path]]:
    """The programs, compiled now unless they are in `directory`, and a directory for the rest."""
    with tempfile.TemporaryDirectory(prefix="ovsdp-bench-") as scratch:
        yield Programs(directory or Path(scratch)), Path(scratch)


def machine(programs: Programs) -> dict[str, Any]:
    """What the figures were measured on; getfamily_ns: how fast its kernel answers on netlink."""
    return {
        "kernel": platform.release(),
        "processors": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "getfamily_ns": programs.transact(node=None, count=CALIBRATION).median_ns,
    }


def compare_in_vm(console: Console, figures: dict[str, Any], names: list[str], quick: bool) -> None:
    """The measurements of the virtual machine, and what they would be without emulation."""
    console.print("Booting the virtual machine, whose kernel has the module.")
    inside = figures["virtual_machine"] = virtual_machine.measure(names, quick=quick)
    slowdown = inside["machine"]["getfamily_ns"] / figures["machine"]["getfamily_ns"]
    for name in names:
        measured = inside["nodes"]["cuse"][name]
        AGAINST_KERNEL[name](console, "CUSE node, in the virtual machine", measured)
    if "flows" in names:
        here = next(iter(figures["nodes"].values()))["flows"]
        theirs = inside["nodes"]["cuse"]["flows"]
        figures["flows_estimate"] = flows.estimate(here, theirs, slowdown)
        flows.show_estimate(console, figures["flows_estimate"], slowdown)


def measure_node(run: Run, names: tuple[str, ...]) -> dict[str, Any]:
    """The chosen measurements on one kind of node."""
    figures = {}
    for name in names:
        directory = run.directory / f"{run.kind.value}-{name}"
        directory.mkdir()
        figures[name] = MEASUREMENTS[name](replace(run, directory=directory))
    return figures


@click.command()
@click.argument("names", metavar="[MEASUREMENT]...", nargs=-1, type=click.Choice([*MEASUREMENTS]))
@click.option("--quick", is_flag=True, help="Fewer and shorter rounds: minutes.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option(
    "--node",
    "kinds",
    multiple=True,
    type=click.Choice([kind.value for kind in NodeKind]),
    help="Only this kind of node; default: every kind that the machine has.",
)
@click.option("--vm/--no-vm", default=True, help="Whether to boot it, for the kernel's module.")
@click.option(
    "--with-kernel-module", "with_kernel", is_flag=True, help="Compare with it here; loads it."
)
@click.option(
    "--programs", type=click.Path(path_type=Path), help="Where the C programs are or are made."
)
def main(
    names: tuple[str, ...],
    quick: bool,
    output: Path | None,
    kinds: tuple[str, ...],
    vm: bool,
    with_kernel: bool,
    programs: Path | None,
) -> None:
    """Measure the daemon, each time beside a peer in the same run.

    MEASUREMENT is one of transact, trace, state, lookup, flows, forwarding, upcall, openvswitch;
    all of them where none is named. Needs root, for its network namespaces. flows, upcall and
    openvswitch are measured again in the virtual machine, whose kernel has the module to compare
    with.
    """
    console = Console()
    effort = Effort.quick() if quick else Effort.full()
    wanted = [NodeKind(kind) for kind in kinds] or [kind for kind in NodeKind if kind.exists]
    names = names or tuple(MEASUREMENTS)
    if not wanted:
        raise click.ClickException("neither /dev/fuse nor /dev/cuse is there for this user")
    figures: dict[str, Any] = {"nodes": {}}
    try:
        with _compiled(programs) as (compiled, directory):
            figures["machine"] = machine(compiled)
            for kind in wanted:
                run = Run(console, compiled, directory, kind, effort, with_kernel)
                figures["nodes"][kind.value] = measure_node(run, names)
        compared = [name for name in names if name in AGAINST_KERNEL]
        if compared and vm and not with_kernel:
            compare_in_vm(console, figures, compared, quick)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    if output:
        output.write_text(json.dumps(figures, indent=2) + "\n")
        console.print(f"figures: {output}")


if __name__ == "__main__":
    sys.exit(main())
