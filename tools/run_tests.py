"""Run the test lanes, show what they print, and sum up: python -m tools.run_tests [--all | LANE...]

Without arguments all but the slow lanes, which `make test` leaves to `make test-all`.

Two tracks run at the same time, because emulation takes minutes and one processor. What they print
is shown one lane after the other.
Each lane leaves output.log, and pytest's junit.xml, in build/tests/LANE/. The last line is
"N passed, N failed"; a lane without pytest counts as one test, and so does one that fails with no
failed test (it could not run, ran no test, or was ended at the time limit).
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 75 * 60.0
ON_A_NODE = ("tests/contract", "tests/live")
NOT_EMULATED = ("--deselect", "tests/ports/test_tap.py::test_thousands_of_them")
"""What takes minutes there; the unit lane has it, on this machine's kernel."""
NEED_A_MACHINE = ("live", "openvswitch", "oracle/kernel", "systemd", "vm")
RESULTS = Path("build/tests").resolve()
PYTHON = ".venv/bin/python"
SOURCES = ("ovsdp_cuse", "tools", "tests", "bench")


@dataclass(frozen=True)
class Lane:
    """A command; `{results}` in it stands for the lane's directory of results.

    beside_others: whether it runs while the other lanes do, one after the other.
    slow: whether it runs only where it is named, or all are asked for.
    """

    name: str
    what: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    beside_others: bool = False
    slow: bool = False


def pytest(*arguments: str) -> tuple[str, ...]:
    """A pytest command that leaves its results where the summary finds them."""
    return (PYTHON, "-m", "pytest", *arguments, "--junit-xml={results}/junit.xml")


def in_vm(*command: str, options: Sequence[str] = ()) -> tuple[str, ...]:
    """A command line that runs `command` in the virtual machine."""
    limits = ("--limit", f"{LIMIT_S - 60:.0f}", "--results", "{results}")
    passed_on = ("--env", "PYTEST_ADDOPTS") if "PYTEST_ADDOPTS" in os.environ else ()
    return (PYTHON, "-m", "tests.vm", *limits, *passed_on, *options, "--", *command)


LANES = (
    Lane("lint", "ruff's rules", (PYTHON, "-m", "ruff", "check", ".")),
    Lane("format", "ruff's format", (PYTHON, "-m", "ruff", "format", "--check", ".")),
    Lane("types", "mypy --strict", (PYTHON, "-m", "mypy", "--strict", *SOURCES)),
    Lane(
        "unit",
        "everything that needs no device",
        pytest("tests", *(f"--ignore=tests/{name}" for name in NEED_A_MACHINE)),
    ),
    Lane(
        "live",
        "the FUSE node of this machine's kernel",
        pytest(*ON_A_NODE),
        {"OVSDP_TEST_NODE": "fuse"},
    ),
    Lane(
        "openvswitch",
        "Debian's Open vSwitch on the FUSE node",
        pytest("tests/openvswitch"),
        {"OVSDP_TEST_NODE": "fuse"},
    ),
    Lane("vm", "the virtual machine itself", pytest("tests/vm")),
    Lane(
        "vm-live",
        "the CUSE node, and ports, of Debian's kernel",
        in_vm(
            *pytest(*ON_A_NODE, "tests/ports", *NOT_EMULATED, "-p", "no:cacheprovider"),
            options=("--env", "OVSDP_TEST_NODE=cuse"),
        ),
        beside_others=True,
    ),
    Lane(
        "vm-systemd",
        "the service, with systemd as PID 1",
        in_vm(*pytest("tests/systemd", "-p", "no:cacheprovider"), options=("--systemd",)),
        beside_others=True,
        slow=True,
    ),
    Lane(
        "vm-oracle",
        "the answers of Debian's kernel, and ours",
        in_vm(*pytest("tests/oracle/kernel", "-p", "no:cacheprovider")),
    ),
    Lane(
        "vm-openvswitch",
        "Debian's Open vSwitch on the CUSE node",
        in_vm(
            *pytest("tests/openvswitch", "-m", "emulated", "-p", "no:cacheprovider"),
            options=("--env", "OVSDP_TEST_NODE=cuse"),
        ),
        slow=True,
    ),
)


class Run:
    """One lane's process, in a session of its own so that all of it can be ended."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.results = RESULTS / lane.name
        self.results.mkdir(parents=True, exist_ok=True)
        self.log = self.results / "output.log"
        self.log.touch()
        self.log.write_bytes(b"")
        self.junit = self.results / "junit.xml"
        self.junit.unlink(missing_ok=True)
        self.finished = threading.Event()
        self.status: int | None = None
        self.elapsed_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def execute(self, deadline: float, stopping: threading.Event) -> None:
        """Run the command until it ends or the deadline (of time.monotonic) passes."""
        started = time.monotonic()
        command = [part.replace("{results}", str(self.results)) for part in self.lane.command]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **self.lane.environment}
        try:
            with self.log.open("ab") as log:
                self._process = process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
                if stopping.is_set():
                    self.kill()
                try:
                    self.status = process.wait(max(0.0, deadline - started))
                except subprocess.TimeoutExpired:
                    log.write(b"\nended: the time for all lanes is over\n")
                finally:
                    self.kill()
        finally:
            self.elapsed_s = time.monotonic() - started
            self.finished.set()

    def kill(self) -> None:
        """End the process and all that it has started."""
        process, self._process = self._process, None
        if process:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def counts(self) -> tuple[int, int, int]:
        """Tests passed, failed and skipped."""
        passed = failed = skipped = 0
        if self.junit.exists() and self.junit.stat().st_size:
            for suite in ElementTree.parse(self.junit).iter("testsuite"):
                bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
                left_out = int(suite.get("skipped", 0))
                passed += int(suite.get("tests", 0)) - bad - left_out
                failed += bad
                skipped += left_out
        elif self.status == 0:
            passed = 1
        if (self.status != 0 or not passed) and not failed:
            failed = 1
        return passed, failed, skipped


@contextmanager
def running(tracks: Sequence[Sequence[Run]], deadline: float) -> Iterator[None]:
    """Each track's lanes one after the other, the tracks at the same time."""
    stopping = threading.Event()

    def work(track: Sequence[Run]) -> None:
        for run in track:
            if not stopping.is_set():
                run.execute(deadline, stopping)

    threads = [threading.Thread(target=work, args=(track,)) for track in tracks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for track in tracks:
            for run in track:
                run.kill()
        for thread in threads:
            thread.join()


def show(run: Run) -> None:
    """Print what a lane prints, until it ends."""
    heading = f"== {run.lane.name}: {run.lane.what} "
    print(f"\n{heading}{'=' * (80 - len(heading))}", flush=True)
    with run.log.open("rb") as log:
        ended = False
        while not ended:
            ended = run.finished.wait(0.1)
            sys.stdout.buffer.write(log.read())
            sys.stdout.flush()
    print(f"-- {run.lane.name}: {run.elapsed_s:.1f} s", flush=True)


def summarize(runs: Sequence[Run]) -> int:
    """Print a line for each lane and the sum; 0 when nothing failed."""
    print(f"\n{'lane':12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    totals = [0, 0]
    for run in runs:
        passed, failed, skipped = run.counts()
        print(f"{run.lane.name:12}{passed:8}{failed:8}{skipped:9}{run.elapsed_s:9.1f}")
        totals[0] += passed
        totals[1] += failed
    total = f"{totals[0]} passed, {totals[1]} failed"
    (RESULTS / "summary").write_text(total + "\n")
    print(total)
    return 1 if totals[1] else 0


def main() -> int:
    """Run the lanes that were named, all, or all but the slow ones."""
    names = [lane.name for lane in LANES]
    parser = argparse.ArgumentParser(prog="python -m tools.run_tests", description=__doc__)
    parser.add_argument("lanes", nargs="*", metavar="LANE", help=", ".join(names))
    parser.add_argument("--all", action="store_true", help="the slow lanes, too")
    arguments = parser.parse_args()
    quick = [lane.name for lane in LANES if not lane.slow]
    wanted = arguments.lanes or (names if arguments.all else quick)
    if unknown := set(wanted) - set(names):
        parser.error(f"no such lane: {', '.join(sorted(unknown))}")
    # So that what runs in sessions of its own is ended then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    runs = [Run(lane) for lane in LANES if lane.name in wanted]
    tracks = [[run for run in runs if run.lane.beside_others is beside] for beside in (False, True)]
    with running(tracks, time.monotonic() + LIMIT_S):
        for run in runs:
            show(run)
    return summarize(runs)


if __name__ == "__main__":
    sys.exit(main())
