"""Putting and dumping flows: nanoseconds for each flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Effort
from bench.peers import KERNEL, OURS, medians, peers, ratios
from bench.programs import Programs, run_json
from bench.report import against, us
from bench.servers import NodeKind

FLOWS = 10_000
AIMS = {"put_ns": None, "put_batched_ns": 8.0, "dump_ns": 4.0}
"""How many times the kernel's time a flow may take; None where no aim was set."""
NAMES = {"put_ns": "one a write", "put_batched_ns": "fifty a write", "dump_ns": "dump"}


def measure(
    programs: Programs, directory: Path, kind: NodeKind, effort: Effort, *, with_kernel: bool
) -> dict[str, Any]:
    """Rounds that alternate between the peers: medians in nanoseconds a flow, by peer."""
    rounds: dict[str, list[dict[str, Any]]] = {}
    with peers(kind, directory, with_kernel=with_kernel) as found:
        for _ in range(effort.flow_rounds):
            for name, (target, switch) in found.items():
                program = str(programs.path("flows"))
                once = switch.command(program, target, "bench-flows", str(FLOWS))
                rounds.setdefault(name, []).append(run_json(*once))
    return {name: medians(each) for name, each in rounds.items()}


def show(console: Console, where: str, figures: dict[str, Any]) -> None:
    """A row for each peer, and the ratios behind."""
    table = Table(title=f"Putting and dumping {FLOWS:,} flows, {where} (us a flow)")
    table.add_column("datapath")
    for name in NAMES.values():
        table.add_column(name, justify="right")
    for name, each in figures.items():
        table.add_row(name, *(us(each[what]) for what in NAMES))
    console.print(table)
    for what, ratio in ratios(figures).items():
        console.print(f"{NAMES[what]}: {against(ratio, AIMS[what])} times the kernel's time")


def estimate(
    here: dict[str, Any], in_vm: dict[str, Any], kernel_slowdown: float
) -> dict[str, float]:
    """How many times the module's time ours would be here, had this kernel the module.

    An emulator slows an interpreter down several times as much as it does compiled code, so the
    ratio in an emulated machine says little. kernel_slowdown: how many times as long that kernel
    takes for the same netlink transaction.
    """
    return {
        name: here[OURS][name] * kernel_slowdown / in_vm[KERNEL][name] for name in in_vm[KERNEL]
    }


def show_estimate(console: Console, ratios: dict[str, float], kernel_slowdown: float) -> None:
    """The ratios, and what they stand on."""
    each = ", ".join(
        f"{NAMES[what]} {against(ratio, AIMS[what])}" for what, ratio in ratios.items()
    )
    console.print(
        f"That kernel takes {kernel_slowdown:.1f} times as long for GETFAMILY as this one. "
        f"Scaled by it, ours here against its module: {each}"
    )
