"""Forwarding between two namespaces through a third, where the switch is: frames a second, TCP.

Every subject has namespaces and veth pairs of its own, all there at the same time, and the rounds
alternate: left -- [port0 switch port1] -- right.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Effort
from bench.namespaces import Namespace, namespace, veth
from bench.openvswitch import openvswitch
from bench.programs import Programs, output, run_json
from bench.report import at_least
from bench.servers import NodeKind, daemon

OURS, NETDEV, NETDEV_TSO, BRIDGE = "ovsdp-cuse", "OVS netdev", "OVS netdev, TSO", "Linux bridge"
PORTS = ("port0", "port1")
TCP_AIM, FRAMES_AIM = 5.0, 1.0
"""Times the netdev datapath's throughput, and frames a second, at least."""
WARM_S = 0.3
IPERF_PORT = "5201"


@dataclass(frozen=True)
class Path3:
    """Where a subject forwards; pid: of the switch, None where it is the kernel."""

    switch: Namespace
    left: Namespace
    right: Namespace
    pid: int | None

    def pin(self, cpus: set[int]) -> None:
        """Lets the switch's threads run on these processors only."""
        for task in Path(f"/proc/{self.pid}/task").iterdir() if self.pid else ():
            os.sched_setaffinity(int(task.name), cpus)

    @property
    def processor_s(self) -> float:
        """Processor time that the switch's process has used, the kernel's part included."""
        if not self.pid:
            return 0.0
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """What one subject did once.

    frames_per_s: small frames that arrived. processor_us: the switch's processor time for each of
    them, 0 where the kernel is the switch; other work on the machine changes it little.
    """

    frames_per_s: float
    processor_us: float
    tcp_gbit_per_s: float


Connect = Callable[[ExitStack, Namespace], int | None]
"""Starts a switch between PORTS in a namespace; returns its process, None for the kernel."""


def bridge(stack: ExitStack, switch: Namespace) -> None:
    """The kernel's own bridge."""
    switch.run("ip link add bridge type bridge")
    for port in PORTS:
        switch.run(f"ip link set {port} master bridge")
    switch.run("ip link set bridge up")


@contextmanager
def path(connect: Connect, *, offloads: bool) -> Iterator[Path3]:
    """left -- switch -- right; offloads: whether the ends leave checksums and segments undone."""
    with ExitStack() as stack:
        switch, left, right = (stack.enter_context(namespace()) for _ in range(3))
        for end, port, host in ((left, PORTS[0], 1), (right, PORTS[1], 2)):
            veth(switch, port, end, "end")
            end.run(f"ip link set end address 02:00:00:00:00:0{host}")
            end.run(f"ip address add 10.77.0.{host}/24 dev end")
            if not offloads:
                end.run("ethtool -K end tx off")
        yield Path3(switch, left, right, connect(stack, switch))


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


def tcp(subject: Path3, seconds: float) -> float:
    """Gbit/s that iperf3 receives; everything runs where the scheduler wants."""
    subject.pin(os.sched_getaffinity(0))
    listen = ("iperf3", "--server", "--one-off", "--port", IPERF_PORT)
    server = subprocess.Popen(
        subject.right.command(*listen), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_listener(subject.right)
        client = ("iperf3", "--client", "10.77.0.2", "--port", IPERF_PORT)
        figures = run_json(*subject.left.command(*client, "--time", str(seconds), "--json"))
    finally:
        server.terminate()
        server.wait()
    return float(figures["end"]["sum_received"]["bits_per_second"]) / 1e9


def _await_listener(right: Namespace) -> None:
    while f":{IPERF_PORT}" not in right.run("ss --listening --tcp --numeric"):
        time.sleep(0.02)  # nothing tells when it listens


def measure(programs: Programs, directory: Path, kind: NodeKind, effort: Effort) -> dict[str, Any]:
    """All subjects, in rounds that alternate."""

    def netdev(stack: ExitStack, switch: Namespace) -> int:
        running = stack.enter_context(openvswitch(switch, directory / "openvswitch"))
        running.wire(*PORTS)
        return running.pid

    def netdev_tso(stack: ExitStack, switch: Namespace) -> int:
        running = stack.enter_context(
            openvswitch(switch, directory / "openvswitch-tso", segments=True)
        )
        running.wire(*PORTS)
        return running.pid

    def ours(stack: ExitStack, switch: Namespace) -> int:
        server = stack.enter_context(daemon(kind, directory, switch))
        output(programs.path("wire"), server.node, "bench-wire", *PORTS)
        return server.pid

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
