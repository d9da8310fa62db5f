"""Open vSwitch on a datapath of choice, beside one that this machine may be running.

Its database, sockets and logs are in a directory of its own, and its interfaces in a namespace.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bench.namespaces import Namespace
from bench.programs import BenchError, output
from ovsdp_cuse.shim import VARIABLE, LibraryError, library

START_S = 120  # an emulated machine may start it
BRIDGE = "bench-br"
VSWITCHD = "ovs-vswitchd"
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_DIRECTORIES = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")


class Datapath(Enum):
    """What ovs-vswitchd calls a datapath; SYSTEM is the kernel's, or the device in its place."""

    NETDEV = "netdev"
    SYSTEM = "system"


@dataclass(frozen=True)
class Lookups:
    """What a datapath has counted: packets that matched a flow, that did not, that were lost."""

    hit: int
    missed: int
    lost: int


@dataclass(frozen=True)
class OpenVSwitch:
    """Running daemons; pid: of ovs-vswitchd."""

    pid: int
    directory: Path
    datapath: Datapath = Datapath.NETDEV

    def add_bridge(self, *interfaces: str, fail_mode: str = "standalone") -> None:
        """A bridge with ports; standalone, it learns addresses and forwards by them."""
        ports = [part for name in interfaces for part in ("--", "add-port", BRIDGE, name)]
        kind = (f"datapath_type={self.datapath.value}", f"fail_mode={fail_mode}")
        self._run("ovs-vsctl", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, *kind, *ports)

    def wire(self, one: str, other: str) -> None:
        """A bridge that gives what comes in by one interface to the other."""
        self.add_bridge(one, other, fail_mode="secure")
        for port, far in ((1, 2), (2, 1)):
            self._add_flow(f"in_port={port},actions=output:{far}")

    def wire_connections(self, one: str, other: str) -> None:
        """The same, but each TCP connection misses: no two share a flow of the datapath.

        A pipeline that uses a field has all its bits in the datapath's flow, where one that matches
        it may have a prefix only.
        """
        self.wire(one, other)
        ports = ("move:tcp_src->reg0[0..15]", "move:tcp_dst->reg0[16..31]")
        for port, far in ((1, 2), (2, 1)):
            actions = ",".join((*ports, f"output:{far}"))
            self._add_flow(f"priority=40000,in_port={port},tcp,actions={actions}")

    def forget_flows(self) -> None:
        """Has the datapath's flows removed, and returns when they are."""
        self._appctl("revalidator/purge")

    @property
    def lookups(self) -> Lookups:
        """What the datapath has counted since it was made."""
        kind = self.datapath.value
        shown = self._appctl("dpctl/show", f"{kind}@ovs-{kind}")
        found = re.search(r"lookups: hit:(\d+) missed:(\d+) lost:(\d+)", shown)
        if found is None:
            raise BenchError(f"ovs-appctl dpctl/show tells of no look-ups: {shown}")
        return Lookups(*map(int, found.groups()))

    def _add_flow(self, flow: str) -> None:
        self._run("ovs-ofctl", "add-flow", BRIDGE, flow)

    def _appctl(self, *command: str) -> str:
        return self._run("ovs-appctl", "-t", f"{self.directory}/{VSWITCHD}.ctl", *command)

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
    switch: Namespace,
    directory: Path,
    datapath: Datapath = Datapath.NETDEV,
    *,
    device: Path | None = None,
    segments: bool = False,
) -> Iterator[OpenVSwitch]:
    """ovsdb-server and ovs-vswitchd, the latter in a network namespace; stopped at the end.

    device: a node that is ovs-vswitchd's SYSTEM instead of the kernel's. segments: whether NETDEV
    takes and sends TCP segments whole: userspace-tso-enable, which Open vSwitch 3.1 calls
    experimental and has off by default. It is read once, at its start.
    """
    if not SCHEMA.exists():
        raise BenchError(f"no {SCHEMA}: Open vSwitch is not installed (make setup)")
    directory.mkdir()
    output("ovsdb-tool", "create", directory / "conf.db", SCHEMA)
    socket = directory / "db.sock"
    database = ("ovsdb-server", str(directory / "conf.db"), f"--remote=punix:{socket}")
    vswitchd = switch.command("env", *_preload(device), VSWITCHD, f"unix:{socket}")
    with ExitStack() as stack:
        stack.enter_context(_daemon(directory, ("setpriv", "--pdeathsig", "TERM", "--", *database)))
        _await(socket)
        config = f"other_config:userspace-tso-enable={str(segments).lower()}"
        settings = ("--no-wait", "init", "--", "set", "Open_vSwitch", ".", config)
        OpenVSwitch(0, directory)._run("ovs-vsctl", *settings)
        running = OpenVSwitch(
            stack.enter_context(_daemon(directory, vswitchd)), directory, datapath
        )
        running._run("ovs-vsctl", f"--timeout={START_S}", "init")
        yield running


def _preload(device: Path | None) -> tuple[str, ...]:
    if device is None:
        return ()
    try:
        return (f"LD_PRELOAD={library()}", f"{VARIABLE}={device}")
    except LibraryError as error:
        raise BenchError(str(error)) from error


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
