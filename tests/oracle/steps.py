"""A scenario: steps in order, each one write, from a switch with nothing in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.oracle import messages
from tests.oracle.messages import DATAPATH, DP, VPORT, Dp, Vport, attr, message, text, u32

INTERFACES = ("p1", "p2", "p3")
"""Interfaces that scenarios may make ports of: veths, whose other ends are q1, q2 and q3."""
INDEXES = {"lo": 1, "q1": 2, "p1": 3, "q2": 4, "p2": 5, "q3": 6, "p3": 7}
"""Their interface indexes, which they have where they are made in this order."""
INTERNAL, NETDEV = 2, 1


class Pids(NamedTuple):
    """Who asks, and who listens."""

    requests: int
    listener: int


@dataclass(frozen=True)
class Step:
    """A write of one or more messages; the label says what is asked."""

    label: str
    written: tuple[bytes, ...]


class Script:
    """What a scenario writes, step by step."""

    def __init__(self, pids: Pids) -> None:
        self.pid, self.listener = pids
        self.steps: list[Step] = []

    def write(self, label: str, *written: bytes) -> None:
        """Several messages in one write."""
        self.steps.append(Step(label, written))

    def ask(
        self,
        label: str,
        family: int,
        command: int,
        *attributes: bytes,
        flags: int = 0,
        dp: int | None = DP,
        version: int | None = None,
    ) -> None:
        """One message."""
        built = message(family, command, *attributes, flags=flags, dp=dp, version=version)
        self.write(label, built)

    def make_datapath(self, features: int = 3, *more: bytes) -> None:
        """The datapath `dp0` with the index DP."""
        self.ask(
            "make the datapath",
            DATAPATH,
            messages.NEW,
            text(Dp.NAME, "dp0"),
            attr(Dp.UPCALL_PID, u32(self.listener)),
            attr(Dp.USER_FEATURES, u32(features)),
            attr(Dp.IFINDEX, u32(DP)),
            *more,
            flags=messages.ECHO,
            dp=0,
        )

    def make_port(self, number: int, name: str, kind: int = NETDEV, *more: bytes) -> None:
        """A port with a number."""
        self.ask(
            f"make port {name}",
            VPORT,
            messages.NEW,
            text(Vport.NAME, name),
            attr(Vport.TYPE, u32(kind)),
            attr(Vport.PORT_NO, u32(number)),
            attr(Vport.UPCALL_PID, u32(self.listener)),
            *more,
            flags=messages.ECHO,
        )

    def make_ports(self) -> None:
        """p1, p2 and p3 as ports 1, 2 and 3."""
        for number, name in enumerate(INTERFACES, 1):
            self.make_port(number, name)


@dataclass(frozen=True)
class Scenario:
    """name: what it is about. write: fills a script. is_long: whether it has too many steps to run
    on a device node in the virtual machine."""

    name: str
    write: Callable[[Script], None]
    is_long: bool = False

    def steps(self, pids: Pids) -> list[Step]:
        """The steps."""
        script = Script(pids)
        self.write(script)
        return script.steps
