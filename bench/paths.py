"""A path between two namespaces through a third, where the switch is: left -- switch -- right."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.namespaces import Namespace, namespace, veth
from bench.programs import BenchError, run_json

PORTS = ("port0", "port1")
LEFT, RIGHT = "10.77.0.1", "10.77.0.2"
"""The addresses of the two ends."""
IPERF_PORT = 5201
START_S = 60


@dataclass(frozen=True)
class Ends:
    """Where a subject forwards: its two ports are in `switch`, joined to nothing yet."""

    switch: Namespace
    left: Namespace
    right: Namespace


@dataclass(frozen=True)
class Path3(Ends):
    """The ends with a switch between them; pids: of its processes, none where it is the kernel."""

    pids: tuple[int, ...]

    def pin(self, cpus: set[int]) -> None:
        """Lets the switch's threads run on these processors only."""
        for pid in self.pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cpus)

    @property
    def processor_s(self) -> float:
        """Processor time that the switch's processes have used, the kernel's part included."""
        return sum(map(processor_s, self.pids))


def processor_s(pid: int) -> float:
    """Processor time that a process has used, the kernel's part included."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


Connect = Callable[[ExitStack, Namespace], tuple[int, ...]]
"""Starts a switch between PORTS in a namespace; returns its processes, none for the kernel."""


@contextmanager
def ends(*, offloads: bool) -> Iterator[Ends]:
    """Three namespaces; offloads: whether the ends leave checksums and segments undone."""
    with ExitStack() as stack:
        switch, left, right = (stack.enter_context(namespace()) for _ in range(3))
        for end, port, address in ((left, PORTS[0], LEFT), (right, PORTS[1], RIGHT)):
            veth(switch, port, end, "end")
            end.run(f"ip link set end address 02:00:00:00:00:0{address[-1]}")
            end.run(f"ip address add {address}/24 dev end")
            if not offloads:
                end.run("ethtool -K end tx off")
        yield Ends(switch, left, right)


@contextmanager
def path(connect: Connect, *, offloads: bool) -> Iterator[Path3]:
    """The ends, and a switch that connects them."""
    with ends(offloads=offloads) as found, ExitStack() as stack:
        pids = connect(stack, found.switch)
        yield Path3(found.switch, found.left, found.right, pids)


def tcp(subject: Path3, seconds: float) -> float:
    """Gbit/s that iperf3 receives; everything runs where the scheduler wants."""
    subject.pin(os.sched_getaffinity(0))
    port = str(IPERF_PORT)
    with listening(subject.right, IPERF_PORT, "iperf3", "--server", "--one-off", "--port", port):
        client = ("iperf3", "--client", RIGHT, "--port", port)
        figures = run_json(*subject.left.command(*client, "--time", str(seconds), "--json"))
    return float(figures["end"]["sum_received"]["bits_per_second"]) / 1e9


@contextmanager
def listening(place: Namespace, port: int, *command: str) -> Iterator[None]:
    """A server that listens on a TCP port in a namespace, stopped at the end.

    Raises BenchError where it does not listen in START_S seconds.
    """
    server = subprocess.Popen(
        place.command(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + START_S
    try:
        while not place.has_listener(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{' '.join(command)}: nobody listens on port {port}")
            time.sleep(0.02)  # nothing tells when it listens
        yield
    finally:
        server.terminate()
        server.wait()
