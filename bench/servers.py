"""The two servers that are compared, each with a node of its own: the daemon and the C echo."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bench.namespaces import Namespace
from bench.programs import BenchError, Programs

START_S = 60
STOP_S = 30
OVS_IOCTL_GET_PID = 0x8004C800


class NodeKind(Enum):
    """The two kinds of node, by the channel that makes them."""

    FUSE = "fuse"
    CUSE = "cuse"

    @property
    def exists(self) -> bool:
        """Whether this machine can have such a node."""
        return os.access(f"/dev/{self.value}", os.R_OK | os.W_OK)


@dataclass(frozen=True)
class Server:
    """A running server and its node."""

    pid: int
    node: Path

    def pin(self, cpus: set[int]) -> None:
        """Lets the server's threads run on these processors only."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cpus)

    @property
    def resident_kib(self) -> int:
        """VmRSS: the memory of the server that is in RAM, in KiB."""
        return self._memory_kib("VmRSS:")

    @property
    def peak_kib(self) -> int:
        """VmHWM: the most that it has had in RAM, in KiB."""
        return self._memory_kib("VmHWM:")

    @property
    def processor_ns(self) -> int:
        """Nanoseconds that its threads have run (sched-stats.rst of the kernel)."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def _memory_kib(self, what: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1])
        raise BenchError(f"process {self.pid} has no {what} it ended")


@contextmanager
def daemon(
    kind: NodeKind,
    directory: Path,
    switch: Namespace | None = None,
    module: str = "ovsdp_cuse",
    role: str = "daemon",
    state: str = "off",
) -> Iterator[Server]:
    """ovsdp-cuse with a node of this kind, in a network namespace or not; stopped at the end.

    module: what runs it. role: names its CUSE node, where several run. state: where
    its files of live state are.
    """
    command = [sys.executable, "-m", module, "serve", "--state", state, "--node", kind.value]
    if kind is NodeKind.FUSE:
        node = directory / "ovs-datapath"
        command += ["--path", str(node)]
    else:
        node = _cuse_node(role)
        command += ["--name", node.name]
    if switch is not None:
        command = list(switch.command(*command))
    with _running(command, node, directory / "daemon.log") as server:
        yield server


@contextmanager
def echo(kind: NodeKind, programs: Programs, directory: Path) -> Iterator[Server]:
    """The C echo server with a node of this kind, stopped at the end."""
    if kind is NodeKind.FUSE:
        node = directory / "echo"
        node.touch()
        argument = str(node)
    else:
        node = _cuse_node("echo")
        argument = node.name
    command = [str(programs.path("echo_server")), kind.value, argument]
    with _running(command, node, directory / "echo.log") as server:
        yield server


def _cuse_node(role: str) -> Path:
    return Path(f"/dev/ovsdp-bench-{role}-{os.getpid()}")


@contextmanager
def _running(command: Sequence[str], node: Path, log: Path) -> Iterator[Server]:
    """Starts a server, waits until its node answers, and stops it at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_S
        while not _answers(node):
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip()
                raise BenchError(f"{' '.join(command)}: no node {node} to talk to: {said}")
            time.sleep(0.02)  # nothing tells when a node can be opened
        yield Server(process.pid, node)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            if str(node) in Path("/proc/self/mounts").read_text():
                subprocess.run(["umount", "--lazy", node], check=False)


def _answers(node: Path) -> bool:
    """Whether GET_PID works there: an echo server answers it too, with what it was sent."""
    try:
        descriptor = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(descriptor, OVS_IOCTL_GET_PID, bytearray(4))
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
