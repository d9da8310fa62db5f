"""Open vSwitch with its own userspace datapath, beside one that this machine may be running.

Its database, sockets and logs are in a directory of its own, and its interfaces in a namespace.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.namespaces import Namespace
from bench.programs import BenchError, output

START_S = 30
BRIDGE = "bench-br"
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_DIRECTORIES = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")


@dataclass(frozen=True)
class OpenVSwitch:
    """Running daemons; pid: of ovs-vswitchd."""

    pid: int
    directory: Path

    def wire(self, one: str, other: str) -> None:
        """A bridge that gives what comes in by one interface to the other."""
        ports = [part for name in (one, other) for part in ("--", "add-port", BRIDGE, name)]
        kind = ("--", "set", "bridge", BRIDGE, "datapath_type=netdev", "fail_mode=secure")
        self._run("ovs-vsctl", "add-br", BRIDGE, *kind, *ports)
        for port, far in ((1, 2), (2, 1)):
            flow = f"in_port={port},actions=output:{far}"
            self._run("ovs-ofctl", "add-flow", BRIDGE, flow)

    def _run(self, program: str, *arguments: str) -> str:
        return output(
            *_environment(self.directory), program, *_where(program, self.directory), *arguments
        )


def _environment(directory: Path) -> tuple[str, ...]:
    return ("env", *(f"{name}={directory}" for name in _DIRECTORIES))


def _where(program: str, directory: Path) -> tuple[str, ...]:
    return (f"--db=unix:{directory}/db.sock",) if program == "ovs-vsctl" else ()


@contextmanager
def openvswitch(
    switch: Namespace, directory: Path, *, segments: bool = False
) -> Iterator[OpenVSwitch]:
    """ovsdb-server and ovs-vswitchd, the latter in a network namespace; stopped at the end.

    segments: whether it takes and sends TCP segments whole: userspace-tso-enable, which Open
    vSwitch 3.1 calls experimental and has off by default. It is read once, at its start.
    """
    if not SCHEMA.exists():
        raise BenchError(f"no {SCHEMA}: Open vSwitch is not installed (make setup)")
    directory.mkdir()
    output("ovsdb-tool", "create", directory / "conf.db", SCHEMA)
    socket = directory / "db.sock"
    database = ("ovsdb-server", str(directory / "conf.db"), f"--remote=punix:{socket}")
    vswitchd = switch.command("ovs-vswitchd", f"unix:{socket}")
    with ExitStack() as stack:
        stack.enter_context(_daemon(directory, ("setpriv", "--pdeathsig", "TERM", "--", *database)))
        _await(socket)
        config = f"other_config:userspace-tso-enable={str(segments).lower()}"
        settings = ("--no-wait", "init", "--", "set", "Open_vSwitch", ".", config)
        OpenVSwitch(0, directory)._run("ovs-vsctl", *settings)
        running = OpenVSwitch(stack.enter_context(_daemon(directory, vswitchd)), directory)
        running._run("ovs-vsctl", f"--timeout={START_S}", "init")
        yield running


@contextmanager
def _daemon(directory: Path, command: tuple[str, ...]) -> Iterator[int]:
    control = f"--unixctl={directory}/{Path(command[-2]).name}.ctl"
    with (directory / "daemons.log").open("ab") as log:
        process = subprocess.Popen(
            (*_environment(directory), *command, control, "-vfile:off"), stdout=log, stderr=log
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _await(path: Path) -> None:
    deadline = time.monotonic() + START_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise BenchError(f"ovsdb-server made no {path}")
        time.sleep(0.02)  # nothing tells when the socket is there
