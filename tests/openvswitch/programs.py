"""Programs that talk to the daemons: ovs-vsctl, ovs-ofctl, ovs-dpctl, ovs-appctl."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT_S = 120.0
"""How long a program may take; emulated machines are slow."""


@dataclass(frozen=True)
class Result:
    """What a program that ended has printed."""

    status: int
    output: str
    errors: str


class ProgramError(Exception):
    """A program failed that should not have."""

    def __init__(self, command: Sequence[str], result: Result) -> None:
        said = "\n".join(part for part in (result.output, result.errors) if part)
        super().__init__(f"{' '.join(command)} ended with {result.status}:\n{said}")
        self.result = result


@dataclass(frozen=True)
class Programs:
    """Runs the programs of one Open vSwitch.

    environment: what they get instead of this process's own. device_environment: what those get
    beside it that open netlink sockets. place: where they run, a network namespace.
    """

    directory: Path
    environment: Mapping[str, str]
    device_environment: Mapping[str, str] = field(default_factory=dict)
    place: AbstractContextManager[Any] = field(default_factory=nullcontext)

    def vsctl(self, *arguments: str) -> str:
        """ovs-vsctl; it returns when ovs-vswitchd has done what it asks, or could not, which is
        no failure of ovs-vsctl."""
        return self.run(*self._vsctl(), *arguments).output

    def ofctl(self, *arguments: str) -> str:
        """ovs-ofctl, with OpenFlow 1.0 to 1.5."""
        return self.run("ovs-ofctl", "-O", "OpenFlow10,OpenFlow13,OpenFlow15", *arguments).output

    def dpctl(self, *arguments: str) -> str:
        """ovs-dpctl, on the datapath itself."""
        return self.run("ovs-dpctl", *arguments).output

    def dpctl_fails(self, *arguments: str) -> str:
        """What ovs-dpctl says where it fails."""
        return self._failing("ovs-dpctl", *arguments)

    def appctl(self, *arguments: str, target: str = "ovs-vswitchd") -> str:
        """ovs-appctl, to ovs-vswitchd or ovsdb-server."""
        return self.run(*self.appctl_command(*arguments, target=target)).output

    def appctl_fails(self, *arguments: str, target: str = "ovs-vswitchd") -> str:
        """What ovs-appctl says where it fails."""
        return self._failing(*self.appctl_command(*arguments, target=target))

    def appctl_command(self, *arguments: str, target: str = "ovs-vswitchd") -> tuple[str, ...]:
        """The command line of `appctl`."""
        where = str(control(self.directory, target))
        return ("ovs-appctl", f"--timeout={LIMIT_S:.0f}", "-t", where, *arguments)

    def run(self, *command: str, check: bool = True) -> Result:
        """Run a program to its end; ProgramError where that is a failure, unless not `check`."""
        with self.place:
            process = self.start(
                *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        try:
            output, errors = process.communicate(timeout=LIMIT_S)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        result = Result(process.returncode, output, errors)
        if check and result.status:
            raise ProgramError(command, result)
        return result

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program, with further options of Popen; whoever calls ends it."""
        environment = dict(self.environment)
        if Path(command[0]).name in ON_THE_DEVICE:
            environment |= self.device_environment
        with self.place:
            return subprocess.Popen(
                # The test run may be killed: nothing of it stays then.
                ("setpriv", "--pdeathsig", "KILL", "--", *command),
                env=environment,
                text=True,
                **options,
            )

    def _failing(self, *command: str) -> str:
        result = self.run(*command, check=False)
        assert result.status > 0, f"{' '.join(command)} succeeds: {result}"
        return result.errors + result.output

    def _vsctl(self) -> tuple[str, ...]:
        return ("ovs-vsctl", f"--timeout={LIMIT_S:.0f}", f"--db=unix:{self.directory}/db.sock")


ON_THE_DEVICE = ("ovs-vswitchd", "ovs-dpctl", "ovs-ofctl")
"""What opens netlink sockets of the kernel's datapath."""


def control(directory: Path, daemon: str) -> Path:
    """The socket at which a daemon takes ovs-appctl's commands."""
    return directory / f"{daemon}.ctl"
