"""The C programs: compiled into a directory, run, their one line of JSON read."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
INCLUDE = HERE.parent / "ovsdp_cuse" / "include"
PROGRAMS = (
    *("echo_server", "transact", "dump", "wire", "frames", "flows", "upcall"),
    *("connections", "ping"),
)


class BenchError(Exception):
    """Something that the benchmark needs is not there, or a program of it failed."""


@dataclass(frozen=True)
class Latency:
    """What one run of `transact` measured: nanoseconds for one transaction."""

    count: int
    median_ns: int
    p90_ns: int
    p99_ns: int
    mean_ns: int
    min_ns: int
    max_ns: int


def output(*command: str | Path) -> str:
    """What a command prints; BenchError, with what it complained, where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


class Programs:
    """The compiled programs in one directory."""

    def __init__(self, directory: Path) -> None:
        """Compiles those that are not there yet.

        Raises BenchError without a C compiler or where one does not compile.
        """
        self._directory = directory
        for name in PROGRAMS:
            if not self.path(name).exists():
                self._compile(name)

    def _compile(self, name: str) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise BenchError("no C compiler: cc is not on the PATH (Debian: gcc, libc6-dev)")
        options = ("-O2", "-std=c99", f"-I{INCLUDE}")
        output(compiler, *options, "-o", self.path(name), HERE / f"{name}.c")

    def path(self, name: str) -> Path:
        """Where a program is."""
        return self._directory / name

    def transact(
        self, *options: str, node: Path | None, count: int, cpu: int | None = None
    ) -> Latency:
        """One run of transactions on a node, or on AF_NETLINK where `node` is None."""
        where = ["--netlink"] if node is None else [str(node)]
        pin = [] if cpu is None else ["--cpu", str(cpu)]
        program = self.path("transact")
        return Latency(**run_json(program, "--count", str(count), *pin, *options, *where))

    def dump(self, node: Path, count: int, rounds: int) -> dict[str, Any]:
        """Makes `count` datapaths, dumps all by each door, deletes them; see dump.c."""
        return run_json(self.path("dump"), node, str(count), str(rounds))


def run_json(*command: str | Path) -> dict[str, Any]:
    """The one line of JSON that a command prints; raises as `output` does."""
    figures: dict[str, Any] = json.loads(output(*command))
    return figures
