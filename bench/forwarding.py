"""Forwarding between two namespaces through a third, where the switch is: frames a second, TCP.

Every subject has namespaces and veth pairs of its own, all there at the same time, and the rounds
alternate: left -- [port0 switch port1] -- right.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Effort
from bench.namespaces import Namespace
from bench.openvswitch import openvswitch
from bench.paths import PORTS, Path3, path, tcp
from bench.programs import Programs, output, run_json
from bench.report import at_least
from bench.servers import NodeKind, daemon

OURS, NETDEV, NETDEV_TSO, BRIDGE = "ovsdp-cuse", "OVS netdev", "OVS netdev, TSO", "Linux bridge"
TCP_AIM, FRAMES_AIM = 5.0, 1.0
"""Times the netdev datapath's throughput, and frames a second, at least."""
WARM_S = 0.3


@dataclass(frozen=True)
class Round:
    """What one subject did once.

    frames_per_s: small frames that arrived. processor_us: the switch's processor time for each of
    them, 0 where the kernel is the switch; other work on the machine changes it little.
    """

    frames_per_s: float
    processor_us: float
    tcp_gbit_per_s: float


def bridge(stack: ExitStack, switch: Namespace) -> tuple[int, ...]:
    """The kernel's own bridge."""
    switch.run("ip link add bridge type bridge")
    for port in PORTS:
        switch.run(f"ip link set {port} master bridge")
    switch.run("ip link set bridge up")
    return ()


def frames(programs: Programs, subject: Path3, seconds: float) -> tuple[float, float]:
    """Small frames a second that arrive when more are sent, and processor us for each.

    Sender and switch run on two processors, where there are two.
    """
    program = str(programs.path("frames"))
    cpus = sorted(os.sched_getaffinity(0))
    subject.pin({cpus[-1]})
    send = ("taskset", "-c", str(cpus[0]), program, "send", "end", str(seconds + 3 * WARM_S))
    sender = subprocess.Popen(subject.left.command(*send), stdout=subprocess.DEVNULL)
    try:
        time.sleep(WARM_S)  # the first frames find caches empty
        used_s = subject.processor_s
        counted = run_json(*subject.right.command(program, "count", "end", str(seconds)))
        used_s = subject.processor_s - used_s
    finally:
        sender.wait()
    arrived = counted["frames"]
    return arrived * 1e9 / counted["ns"], used_s * 1e6 / max(arrived, 1)


def measure(programs: Programs, directory: Path, kind: NodeKind, effort: Effort) -> dict[str, Any]:
    """All subjects, in rounds that alternate."""

    def netdev(stack: ExitStack, switch: Namespace) -> tuple[int, ...]:
        running = stack.enter_context(openvswitch(switch, directory / "openvswitch"))
        running.wire(*PORTS)
        return (running.pid,)

    def netdev_tso(stack: ExitStack, switch: Namespace) -> tuple[int, ...]:
        running = stack.enter_context(
            openvswitch(switch, directory / "openvswitch-tso", segments=True)
        )
        running.wire(*PORTS)
        return (running.pid,)

    def ours(stack: ExitStack, switch: Namespace) -> tuple[int, ...]:
        server = stack.enter_context(daemon(kind, directory, switch))
        output(programs.path("wire"), server.node, "bench-wire", *PORTS)
        return (server.pid,)

    rounds: dict[str, list[Round]] = {name: [] for name in (OURS, NETDEV, NETDEV_TSO, BRIDGE)}
    with ExitStack() as stack:
        # As it comes, the netdev datapath takes neither unfinished checksums nor 64 KB segments.
        subjects = {
            OURS: stack.enter_context(path(ours, offloads=True)),
            NETDEV: stack.enter_context(path(netdev, offloads=False)),
            NETDEV_TSO: stack.enter_context(path(netdev_tso, offloads=True)),
            BRIDGE: stack.enter_context(path(bridge, offloads=True)),
        }
        for subject in subjects.values():
            frames(programs, subject, WARM_S)  # the first of all are upcalls
        for _ in range(effort.forwarding_rounds):
            for name, subject in subjects.items():
                counted = frames(programs, subject, effort.forwarding_s)
                rounds[name].append(Round(*counted, tcp(subject, effort.forwarding_s)))
    return {"subjects": {name: _summary(each) for name, each in rounds.items()}}


def _summary(rounds: list[Round]) -> dict[str, Any]:
    """Medians, and all rounds."""
    medians = {
        name: median(getattr(each, name) for each in rounds) for name in Round.__dataclass_fields__
    }
    return medians | {"rounds": [asdict(each) for each in rounds]}


def show(console: Console, figures: dict[str, Any]) -> None:
    """A row for each subject, and the ratios behind."""
    table = Table(title="Forwarding between namespaces on veth pairs (medians of the rounds)")
    table.add_column("switch")
    for column in ("frames/s", "from - to", "us of CPU each", "TCP Gbit/s", "from - to"):
        table.add_column(column, justify="right")
    subjects = figures["subjects"]
    for name, result in subjects.items():
        counts, bits = (
            [each[what] for each in result["rounds"]] for what in ("frames_per_s", "tcp_gbit_per_s")
        )
        used = result["processor_us"]
        table.add_row(
            name,
            f"{result['frames_per_s']:,.0f}",
            f"{min(counts) / 1000:.0f}k - {max(counts) / 1000:.0f}k",
            f"{used:.1f}" if used else "",
            f"{result['tcp_gbit_per_s']:.2f}",
            f"{min(bits):.2f} - {max(bits):.2f}",
        )
    console.print(table)
    for peer in (NETDEV, NETDEV_TSO):
        ratio = {
            what: subjects[OURS][what] / subjects[peer][what] for what in Round.__annotations__
        }
        console.print(
            f"against {peer}: "
            f"{at_least(ratio['frames_per_s'], FRAMES_AIM)} times its small frames, "
            f"each for {ratio['processor_us']:.2f} times its processor time; "
            f"{at_least(ratio['tcp_gbit_per_s'], TCP_AIM)} times its TCP"
        )
