"""Network namespaces that end with their holder, and veth pairs between them.

A namespace has no name and no mount: a process that sleeps holds it, and that process ends when
the benchmark does, however it does. What is in the namespace then vanishes with it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.programs import BenchError, output

_HOLD = """
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
ip link set lo up
echo
exec sleep infinity
"""
"""Without IPv6 an interface says nothing by itself, and what is measured is what was sent."""


_LISTEN = "0A"
"""TCP_LISTEN, as /proc/net/tcp has it."""


@dataclass(frozen=True)
class Namespace:
    """A network namespace, by the process that holds it."""

    pid: int

    def command(self, *command: str) -> tuple[str, ...]:
        """A command line that runs `command` in it. It ends with the benchmark.

        Only the network is another one: mounts are seen by all.
        """
        enter = ("nsenter", f"--net=/proc/{self.pid}/ns/net", "--")
        return ("setpriv", "--pdeathsig", "TERM", "--", *enter, *command)

    def run(self, command: str) -> str:
        """What a command prints that has no spaces in its arguments; BenchError where it fails."""
        return output(*self.command(*command.split()))

    def has_listener(self, port: int) -> bool:
        """Whether a TCP socket in it listens on a port."""
        return any(
            columns[1].endswith(f":{port:04X}") and columns[3] == _LISTEN
            for table in ("tcp", "tcp6")
            for columns in map(str.split, _lines(Path(f"/proc/{self.pid}/net/{table}")))
        )


def _lines(table: Path) -> list[str]:
    return table.read_text().splitlines()[1:] if table.exists() else []


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A namespace with a loopback interface that is up; it goes at the end. Needs root."""
    holder = subprocess.Popen(
        ("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--net", "sh", "-c", _HOLD),
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout
        if not holder.stdout.readline():
            raise BenchError("no network namespace can be made: this needs root")
        yield Namespace(holder.pid)
    finally:
        holder.kill()
        holder.communicate()


def veth(here: Namespace, name: str, there: Namespace, far_name: str) -> None:
    """A veth pair with one end in each namespace, both up and ready to send."""
    peer = f"peer name {far_name} netns {there.pid}"
    here.run(f"ip link add {name} type veth {peer}")
    here.run(f"ip link set {name} up")
    there.run(f"ip link set {far_name} up")
    for end, its_name in ((here, name), (there, far_name)):
        # Up to a second passes until the kernel has seen its carrier, and frames are dropped
        while " UP " not in end.run(f"ip -brief link show dev {its_name}"):
            time.sleep(0.02)  # nothing tells that frames would pass now
