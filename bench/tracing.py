"""What it costs that the daemon can be traced: while nobody does, and while somebody does.

The daemon as it is stands beside one without the points at which it could be traced; a second of
those shows how far two that are the same differ. Rounds alternate, and each ratio is that of two
rounds that followed each other.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import DATAPATH, Effort, Placement
from bench.namespaces import namespace
from bench.programs import BenchError, Programs
from bench.servers import NodeKind, Server, daemon

NOBODY = "nobody traces"
WITHOUT = "no points at all"
AGAIN = "no points, again"
TRACED = "one tracer"
ROUNDS_FACTOR = 3
"""Rounds for each of the other measurements': a difference of a percent takes many."""


@contextmanager
def _tracer(server: Server, directory: Path) -> Iterator[None]:
    """`ovsdp-cuse trace`, into a file."""
    command = [sys.executable, "-m", "ovsdp_cuse", "trace", "--device", str(server.node)]
    with (directory / "trace.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        if not said.startswith(b"tracing"):
            raise BenchError(f"{' '.join(command)}: {said.decode(errors='replace').strip()}")
        yield
    finally:
        process.kill()
        process.communicate()


def measure(programs: Programs, directory: Path, kind: NodeKind, effort: Effort) -> dict[str, Any]:
    """Transactions by each subject: {subject: {"latency_ns": [...], "processor_ns": [...]}}."""
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for number, name in enumerate((NOBODY, WITHOUT, AGAIN, TRACED)):
            own = directory / str(number)
            own.mkdir()
            module = "bench.untapped" if name in (WITHOUT, AGAIN) else "ovsdp_cuse"
            servers[name] = stack.enter_context(
                daemon(
                    kind,
                    own,
                    stack.enter_context(namespace()),
                    module=module,
                    role=f"trace{number}",
                )
            )
        stack.enter_context(_tracer(servers[TRACED], directory))
        return _alternate(programs, servers, effort)


def _alternate(programs: Programs, servers: dict[str, Server], effort: Effort) -> dict[str, Any]:
    server_cpus, client_cpu = Placement.TOGETHER.cpus()
    figures: dict[str, Any] = {name: {"latency_ns": [], "processor_ns": []} for name in servers}
    for server in servers.values():
        server.pin(server_cpus)
        _transact(programs, server, effort.transactions, client_cpu)  # caches have their size then
    for number in range(effort.rounds * ROUNDS_FACTOR):
        # Back and forth: what drifts is even then.
        for name in list(servers)[:: -1 if number % 2 else 1]:
            server = servers[name]
            before_ns = server.processor_ns
            latency_ns = _transact(programs, server, effort.transactions, client_cpu)
            spent_ns = (server.processor_ns - before_ns) / effort.transactions
            figures[name]["latency_ns"].append(latency_ns)
            figures[name]["processor_ns"].append(spent_ns)
    return figures


def _transact(programs: Programs, server: Server, count: int, cpu: int | None) -> int:
    return programs.transact("--name", DATAPATH, node=server.node, count=count, cpu=cpu).median_ns


def ratios(figures: dict[str, Any], name: str, what: str) -> list[float]:
    """Each round of a subject over that of the daemon that has no points."""
    return [
        value / other
        for value, other in zip(figures[name][what], figures[WITHOUT][what], strict=True)
    ]


def show(console: Console, figures: dict[str, Any]) -> None:
    """Medians, and the ratios with the middle half of their rounds."""
    table = Table(title="One transaction (us), and its ratio to no points at all")
    table.add_column("subject")
    for column in ("latency", "ratio", "half of them", "processor", "ratio", "half of them"):
        table.add_column(column, justify="right")
    for name, measured in figures.items():
        row = [name]
        for what in ("latency_ns", "processor_ns"):
            found = ratios(figures, name, what)
            low, _middle, high = quantiles(found, n=4)
            row.append(f"{median(measured[what]) / 1000:.1f}")
            row += [f"{median(found):.3f}", f"{low:.3f} - {high:.3f}"]
        table.add_row(*row)
    console.print(table)
