"""Putting and dumping flows: nanoseconds for each flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.lookup import MEMORY_AIM_BYTES
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
    """Rounds that alternate between the peers: medians in nanoseconds a flow, by peer.

    bytes_per_flow: what the daemon had more in memory at most, for each flow.
    """
    rounds: dict[str, list[dict[str, Any]]] = {}
    grown_kib: list[int] = []
    with peers(kind, directory, with_kernel=with_kernel) as found:
        for _ in range(effort.flow_rounds):
            for name, peer in found.items():
                program = str(programs.path("flows"))
                once = peer.switch.command(program, peer.target, "bench-flows", str(FLOWS))
                start_kib = peer.server.resident_kib if peer.server else 0
                rounds.setdefault(name, []).append(run_json(*once))
                if peer.server:  # the first round has all of it: memory comes back to be used again
                    grown_kib.append(peer.server.peak_kib - start_kib)
    times = {name: medians(each) for name, each in rounds.items()}
    return {"times": times, "bytes_per_flow": grown_kib[0] * 1024 // FLOWS}


def show(console: Console, where: str, figures: dict[str, Any]) -> None:
    """A row for each peer, and the ratios behind."""
    table = Table(title=f"Putting and dumping {FLOWS:,} flows, {where} (us a flow)")
    table.add_column("datapath")
    for name in NAMES.values():
        table.add_column(name, justify="right")
    for name, each in figures["times"].items():
        table.add_row(name, *(us(each[what]) for what in NAMES))
    console.print(table)
    for what, ratio in ratios(figures["times"]).items():
        console.print(f"{NAMES[what]}: {against(ratio, AIMS[what])} times the kernel's time")
    used = against(figures["bytes_per_flow"] / 1024, MEMORY_AIM_BYTES / 1024)
    console.print(f"the daemon's memory grew by {used} KiB a flow")


def estimate(
    here: dict[str, Any], in_vm: dict[str, Any], kernel_slowdown: float
) -> dict[str, float]:
    """How many times the module's time ours would be here, had this kernel the module.

    An emulator slows an interpreter down several times as much as it does compiled code, so the
    ratio in an emulated machine says little. kernel_slowdown: how many times as long that kernel
    takes for the same netlink transaction.
    """
    ours, theirs = here["times"][OURS], in_vm["times"][KERNEL]
    return {name: ours[name] * kernel_slowdown / theirs[name] for name in theirs}


def show_estimate(console: Console, ratios: dict[str, float], kernel_slowdown: float) -> None:
    """The ratios, and what they stand on."""
    each = ", ".join(
        f"{NAMES[what]} {against(ratio, AIMS[what])}" for what, ratio in ratios.items()
    )
    console.print(
        f"That kernel takes {kernel_slowdown:.1f} times as long for GETFAMILY as this one. "
        f"Scaled by it, ours here against its module: {each}"
    )
