"""ovs-vswitchd on the device: start to first ping, short connections, TCP.

Beside it, in the same run, ovs-vswitchd with its own userspace datapath, and in the virtual machine
on the kernel's module. All is left -- [port0 bridge port1] -- right, see paths.py. In a start
nothing else is there; connections and TCP have all subjects at the same time, and rounds alternate.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.forwarding import NETDEV, NETDEV_TSO
from bench.measure import Effort
from bench.namespaces import Namespace
from bench.openvswitch import Datapath, OpenVSwitch, openvswitch
from bench.paths import PORTS, RIGHT, Path3, ends, listening, processor_s, tcp
from bench.peers import KERNEL, MODULES, OURS, medians
from bench.programs import BenchError, Programs, output, run_json
from bench.servers import NodeKind, daemon

FIRST_PORT = 6000
"""Where the servers of short connections listen, each round at another."""
LIMIT_S = 30
"""Of a ping, and of a round of short connections."""
AT_ONCE = 32
"""Connections that are under way."""
FLOWS_EACH = 2
"""A connection has a flow for each direction."""


@dataclass(frozen=True)
class Setting:
    """One subject. on_device: whether the datapath is the daemon's. whole: whether frames may come
    with unfinished checksums and in 64 KB segments. starts: whether its start is measured."""

    datapath: Datapath
    on_device: bool = False
    whole: bool = True
    starts: bool = True


SETTINGS = {
    OURS: Setting(Datapath.SYSTEM, on_device=True),
    NETDEV: Setting(Datapath.NETDEV, whole=False),
    # starts as the one before
    NETDEV_TSO: Setting(Datapath.NETDEV, starts=False),
    KERNEL: Setting(Datapath.SYSTEM),
}
PEERS = (NETDEV, NETDEV_TSO, KERNEL)


@dataclass(frozen=True)
class Subject:
    """What runs: pids are those of the path, the daemon's (if there is one) and ovs-vswitchd's."""

    path: Path3
    switch: OpenVSwitch


@dataclass(frozen=True)
class Start:
    """Seconds from nothing to the first reply, and from one event to the next on the way."""

    daemon_s: float
    vswitchd_s: float
    bridge_s: float
    ping_s: float
    total_s: float


@dataclass(frozen=True)
class Connections:
    """What one subject did in a round.

    processor_us: processor time of daemon and ovs-vswitchd for each connection, the kernel's work
    for them included; daemon_us: the daemon's part. lost: packets that found no place on their way
    up, of a thousand connections.
    """

    connections_per_s: float
    processor_us: float
    daemon_us: float
    missed: float
    lost: float


class Stopwatch:
    """Seconds since it was made, and since it was last looked at."""

    def __init__(self) -> None:
        self._begin_s = self._last_s = time.monotonic()

    def lap(self) -> float:
        """Since the last lap."""
        now_s = time.monotonic()
        lap_s, self._last_s = now_s - self._last_s, now_s
        return lap_s

    def total(self) -> float:
        """From the beginning to the last lap."""
        return self._last_s - self._begin_s


@contextmanager
def running(
    setting: Setting, where: Namespace, kind: NodeKind, directory: Path, laps: list[float]
) -> Iterator[tuple[OpenVSwitch, tuple[int, ...]]]:
    """Open vSwitch on its datapath, without a bridge; the processes of both.

    laps: is given the seconds that the daemon and those that Open vSwitch took to start.
    """
    watch = Stopwatch()
    directory.mkdir()
    with ExitStack() as stack:
        server = None
        if setting.on_device:
            server = stack.enter_context(daemon(kind, directory, where))
        laps.append(watch.lap())
        switch = stack.enter_context(
            openvswitch(
                where,
                directory / "openvswitch",
                setting.datapath,
                device=server.node if server else None,
                segments=setting.whole,
            )
        )
        laps.append(watch.lap())
        yield switch, (*((server.pid,) if server else ()), switch.pid)


def start(programs: Programs, setting: Setting, kind: NodeKind, directory: Path) -> Start:
    """From nothing to the first ping's reply; namespaces and their interfaces are there before."""
    laps: list[float] = []
    with ends(offloads=setting.whole) as path:
        watch = Stopwatch()
        with running(setting, path.switch, kind, directory, laps) as (switch, _):
            watch.lap()
            switch.add_bridge(*PORTS)
            laps.append(watch.lap())
            path.left.run(f"{programs.path('ping')} {RIGHT} {LIMIT_S}")
            laps.append(watch.lap())
            daemon_s, vswitchd_s, bridge_s, ping_s = laps
            return Start(daemon_s, vswitchd_s, bridge_s, ping_s, watch.total())


def connect(programs: Programs, subject: Subject, port: int, most: int) -> Connections:
    """Short connections, AT_ONCE at a time; everything runs where the scheduler wants.

    most: connections; with more than 5,000, ovs-vswitchd comes to its limit of flows, which is
    10,000 at first, and puts no more. Raises BenchError where connections shared flows, for then no
    set-up was measured.
    """
    program = str(programs.path("connections"))
    pids = subject.path.pids
    subject.path.pin(os.sched_getaffinity(0))
    subject.switch.forget_flows()
    with listening(subject.path.right, port, program, "serve", str(port)):
        before, used_s = subject.switch.lookups, [processor_s(pid) for pid in pids]
        client = (program, "make", RIGHT, *map(str, (port, LIMIT_S, most, AT_ONCE)))
        made = run_json(*subject.path.left.command(*client))
        after = subject.switch.lookups
        used_s = [processor_s(pid) - at_first for pid, at_first in zip(pids, used_s, strict=True)]
    count = made["connections"]
    missed, lost = after.missed - before.missed, after.lost - before.lost
    if not count or missed + lost < FLOWS_EACH * count:
        raise BenchError(f"{count} connections and {missed} misses: no flow was set up for some")
    each_us = [used * 1e6 / count for used in used_s]
    return Connections(
        connections_per_s=count * 1e9 / made["ns"],
        processor_us=sum(each_us),
        daemon_us=sum(each_us[:-1]),
        missed=missed / count,
        lost=lost * 1000 / count,
    )


def measure(
    programs: Programs, directory: Path, kind: NodeKind, effort: Effort, *, with_kernel: bool
) -> dict[str, Any]:
    """Medians of the rounds by measurement and subject, and all rounds."""
    if with_kernel:
        output("modprobe", "--all", *MODULES)
    settings = {name: each for name, each in SETTINGS.items() if with_kernel or name != KERNEL}
    starts: dict[str, list[dict[str, Any]]] = {}
    for number in range(effort.starts):
        for at, (name, setting) in enumerate(settings.items()):
            if setting.starts:
                place = directory / f"start-{number}-{at}"
                starts.setdefault(name, []).append(vars(start(programs, setting, kind, place)))
    connections: dict[str, list[dict[str, Any]]] = {}
    transfers: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        subjects = {
            name: stack.enter_context(_connected(setting, kind, directory / f"subject-{number}"))
            for number, (name, setting) in enumerate(settings.items())
        }
        for port in range(FIRST_PORT, FIRST_PORT + effort.forwarding_rounds):
            for name, subject in subjects.items():
                once = connect(programs, subject, port, effort.connections)
                connections.setdefault(name, []).append(vars(once))
                gbit_per_s = tcp(subject.path, effort.forwarding_s)
                transfers.setdefault(name, []).append({"tcp_gbit_per_s": gbit_per_s})
    found = {"start": starts, "connections": connections, "tcp": transfers}
    return {what: _summary(rounds) for what, rounds in found.items()}


@contextmanager
def _connected(setting: Setting, kind: NodeKind, directory: Path) -> Iterator[Subject]:
    with (
        ends(offloads=setting.whole) as path,
        running(setting, path.switch, kind, directory, []) as (switch, pids),
    ):
        switch.wire_connections(*PORTS)
        yield Subject(Path3(path.switch, path.left, path.right, pids), switch)


def _summary(rounds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {name: medians(each) | {"rounds": each} for name, each in rounds.items()}


def show(console: Console, where: str, figures: dict[str, Any]) -> None:
    """A table for each measurement, a row for each subject, and the ratios behind."""
    titles = [each.name.removesuffix("_s") for each in fields(Start)]
    _show_table(
        console,
        f"ovs-vswitchd from its start to the first ping, {where} (s)",
        titles,
        {
            name: [f"{each[field.name]:.2f}" for field in fields(Start)]
            for name, each in figures["start"].items()
        },
    )
    _show_table(
        console,
        f"Short connections, each with flows of its own, {where}",
        ["a second", "from - to", "CPU us each", "daemon", "misses", "lost/1,000"],
        {
            name: [
                f"{each['connections_per_s']:.0f}",
                _span(each["rounds"], "connections_per_s", "{:.0f}"),
                *(f"{each[what]:.0f}" for what in ("processor_us", "daemon_us")),
                f"{each['missed']:.1f}",
                f"{each['lost']:.1f}",
            ]
            for name, each in figures["connections"].items()
        },
    )
    _show_table(
        console,
        f"TCP through ovs-vswitchd's bridge, {where}",
        ["Gbit/s", "from - to"],
        {
            name: [
                f"{each['tcp_gbit_per_s']:.3f}",
                _span(each["rounds"], "tcp_gbit_per_s", "{:.3f}"),
            ]
            for name, each in figures["tcp"].items()
        },
    )
    for peer in PEERS:
        said = [f"{ratio:.2f} times its {what}" for what, ratio in ratios(figures, peer).items()]
        if said:
            console.print(f"against {peer}: {', '.join(said)}")


RATIOS = {
    "time to the first ping": ("start", "total_s"),
    "connections": ("connections", "connections_per_s"),
    "processor time for each": ("connections", "processor_us"),
    "TCP": ("tcp", "tcp_gbit_per_s"),
}


def ratios(figures: dict[str, Any], peer: str) -> dict[str, float]:
    """How many times the peer's figures ours are, for what was measured of both."""
    return {
        title: figures[what][OURS][figure] / figures[what][peer][figure]
        for title, (what, figure) in RATIOS.items()
        if peer in figures[what]
    }


def _show_table(
    console: Console, title: str, columns: list[str], rows: dict[str, list[str]]
) -> None:
    table = Table(title=title)
    table.add_column("datapath")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(table)


def _span(rounds: list[dict[str, Any]], what: str, form: str) -> str:
    values = [each[what] for each in rounds]
    return f"{form.format(min(values))} - {form.format(max(values))}"
