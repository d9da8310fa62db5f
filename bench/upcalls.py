"""A miss and its answer: the frame in by one port, up, and by EXECUTE out of the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Effort
from bench.namespaces import veth
from bench.peers import medians, peers, ratios
from bench.programs import Programs, run_json
from bench.report import us
from bench.servers import NodeKind

ROUNDS = 5
PAIRS = (("port0", "end0"), ("port1", "end1"))
WAYS = {"upcall": "frame to upcall", "execute": "EXECUTE to frame", "round": "both"}


def measure(
    programs: Programs, directory: Path, kind: NodeKind, effort: Effort, *, with_kernel: bool
) -> dict[str, Any]:
    """Rounds that alternate between the peers: medians of p50 and p99 in nanoseconds, by peer."""
    rounds: dict[str, list[dict[str, Any]]] = {}
    with peers(kind, directory, with_kernel=with_kernel) as found:
        for peer in found.values():
            for pair in PAIRS:
                veth(peer.switch, pair[0], peer.switch, pair[1])
        ends = [name for pair in PAIRS for name in pair]
        for _ in range(ROUNDS):
            for name, peer in found.items():
                program = str(programs.path("upcall"))
                count = str(effort.upcalls // ROUNDS)
                once = peer.switch.command(program, peer.target, "bench-upcall", *ends, count)
                rounds.setdefault(name, []).append(run_json(*once))
    return {name: medians(each) for name, each in rounds.items()}


def show(console: Console, where: str, figures: dict[str, Any]) -> None:
    """A row for each peer, and the ratios behind."""
    table = Table(title=f"A miss, answered by EXECUTE, {where} (us)")
    table.add_column("datapath")
    for way in WAYS.values():
        for rank in ("p50", "p99"):
            table.add_column(f"{way} {rank}", justify="right")
    for name, each in figures.items():
        table.add_row(name, *(us(each[way][rank]) for way in WAYS for rank in ("p50_ns", "p99_ns")))
    console.print(table)
    both = {name: each["round"] for name, each in figures.items()}
    for rank, ratio in ratios(both).items():
        console.print(f"{rank.removesuffix('_ns')}: {ratio:.1f} times the kernel's time")
