"""What is measured, and how: rounds that alternate, medians of their medians.

Another process that takes a processor for a second spoils a round, not the figures; and a round of
one subject is followed by a round of the next, so all of them see the same machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from statistics import median
from typing import Any

from bench.programs import Latency, Programs
from bench.servers import Server

DATAPATH = "bench0"
GET, ECHO, GETFAMILY = "DP GET", "C echo", "GETFAMILY"
P99_AIM = 3.0
"""p99 over the median, at most."""
MEMORY_AIM_KIB = 60 * 1024
DUMPED = 1000


class Placement(Enum):
    """Which processors a server and its client run on; the value is what to call it.

    Unpinned, the scheduler runs a pair now on one core and now on two, by what it thinks of their
    wake-ups, and the same C echo takes 7 us or 50 us: look at the rounds' span there. Both pinned
    placements are steady: APART is what "unpinned" means where it is the slow kind.
    """

    UNPINNED = "unpinned"
    APART = "on two cores"
    TOGETHER = "on one core"

    @property
    def aim(self) -> float | None:
        """DP GET over the echo, at most; None where no aim was set."""
        return {Placement.UNPINNED: 1.5, Placement.TOGETHER: 2.5}.get(self)

    def cpus(self) -> tuple[set[int], int | None]:
        """The server's processors, and the client's one (None: any)."""
        usable = sorted(os.sched_getaffinity(0))
        match self:
            case Placement.UNPINNED:
                return set(usable), None
            case Placement.APART:
                return {usable[-1]}, usable[0]
            case Placement.TOGETHER:
                return {usable[-1]}, usable[-1]


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    transactions: int
    dumps: int
    soak: int
    forwarding_rounds: int
    forwarding_s: float
    flow_rounds: int
    upcalls: int
    starts: int
    connections: int

    @classmethod
    def quick(cls) -> Effort:
        """A minute on an idle machine, or an emulated one."""
        return cls(
            rounds=5,
            transactions=500,
            dumps=3,
            soak=20_000,
            forwarding_rounds=3,
            forwarding_s=1,
            flow_rounds=1,
            upcalls=500,
            starts=3,
            connections=2000,
        )

    @classmethod
    def full(cls) -> Effort:
        """The figures to publish."""
        return cls(
            rounds=15,
            transactions=4000,
            dumps=11,
            soak=1_000_000,
            forwarding_rounds=9,
            forwarding_s=3,
            flow_rounds=5,
            upcalls=5000,
            starts=9,
            connections=4000,
        )


@dataclass(frozen=True)
class Subject:
    """The rounds of one subject: medians over them, and the span of their medians, in ns."""

    median_ns: float
    p90_ns: float
    p99_ns: float
    mean_ns: float
    lowest_median_ns: int
    highest_median_ns: int

    @classmethod
    def of(cls, rounds: list[Latency]) -> Subject:
        """Sums the rounds up."""
        medians = [r.median_ns for r in rounds]
        return cls(
            median(medians),
            median(r.p90_ns for r in rounds),
            median(r.p99_ns for r in rounds),
            median(r.mean_ns for r in rounds),
            min(medians),
            max(medians),
        )


@dataclass(frozen=True)
class Transactions:
    """One placement's comparison."""

    placement: Placement
    subjects: dict[str, Subject]

    def ratio_to(self, floor: str) -> float:
        """How many times `floor`'s median a DP GET takes."""
        return self.subjects[GET].median_ns / self.subjects[floor].median_ns

    @property
    def p99_ratio(self) -> float:
        """DP GET's p99 over its median."""
        return self.subjects[GET].p99_ns / self.subjects[GET].median_ns

    def as_json(self) -> dict[str, Any]:
        """The figures with the aims beside."""
        return {
            "placement": self.placement.name.lower(),
            "subjects": {name: asdict(subject) for name, subject in self.subjects.items()},
            "ratio_to_echo": self.ratio_to(ECHO),
            "ratio_to_echo_aim": self.placement.aim,
            "ratio_to_getfamily": self.ratio_to(GETFAMILY),
            "p99_to_median": self.p99_ratio,
            "p99_to_median_aim": P99_AIM,
        }


@dataclass(frozen=True)
class Memory:
    """VmRSS of the daemon in KiB: at start, after the first transactions, after all of them."""

    start_kib: int
    warm_kib: int
    end_kib: int
    transactions: int

    @property
    def growth_kib(self) -> int:
        """What the transactions left behind, once caches and arenas had their size."""
        return self.end_kib - self.warm_kib

    def as_json(self) -> dict[str, Any]:
        """The figures with the aim beside."""
        return asdict(self) | {"growth_kib": self.growth_kib, "start_aim_kib": MEMORY_AIM_KIB}


def compare(
    programs: Programs, daemon: Server, echo: Server, placement: Placement, effort: Effort
) -> Transactions:
    """Alternating rounds of the three subjects, servers and client placed alike."""
    server_cpus, client_cpu = placement.cpus()
    daemon.pin(server_cpus)
    echo.pin(server_cpus)
    count = effort.transactions

    def get() -> Latency:
        return programs.transact("--name", DATAPATH, node=daemon.node, count=count, cpu=client_cpu)

    def echoed() -> Latency:
        return programs.transact("--echo", node=echo.node, count=count, cpu=client_cpu)

    def getfamily() -> Latency:
        return programs.transact(node=None, count=count, cpu=client_cpu)

    subjects: dict[str, Callable[[], Latency]] = {GET: get, ECHO: echoed, GETFAMILY: getfamily}
    rounds: dict[str, list[Latency]] = {name: [] for name in subjects}
    for _ in range(effort.rounds):
        for name, run in subjects.items():
            rounds[name].append(run())
    return Transactions(placement, {name: Subject.of(each) for name, each in rounds.items()})


def soak(programs: Programs, daemon: Server, start_kib: int, effort: Effort) -> Memory:
    """Many transactions on one core, the memory looked at before and after."""
    server_cpus, client_cpu = Placement.TOGETHER.cpus()
    daemon.pin(server_cpus)

    def run(count: int) -> int:
        programs.transact("--name", DATAPATH, node=daemon.node, count=count, cpu=client_cpu)
        return daemon.resident_kib

    warm_kib = run(max(effort.soak // 50, 1000))
    return Memory(start_kib, warm_kib, run(effort.soak), effort.soak)
