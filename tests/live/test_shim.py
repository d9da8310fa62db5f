"""The library for LD_PRELOAD on a real node: programs in C that take it for netlink sockets."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import pytest

from tests.live.conftest import Serve, serve_for_module, wait_blocked
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S
from tests.shim.programs import (
    FORTIFIED,
    OF_ANY_SOCKET,
    PRELOADED,
    SANITIZED,
    SCENARIOS,
    Variant,
    compile_program,
    environment_of,
    run_scenario,
    scenarios,
)

VARIANTS = (PRELOADED, FORTIFIED, *SANITIZED)
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are built."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def daemon(kind: str) -> Iterator[Daemon]:
    """A daemon for programs that leave it alone."""
    with serve_for_module(kind) as served:
        yield served


@pytest.fixture(autouse=True)
def not_emulated(request: pytest.FixtureRequest, kind: str) -> None:
    """What the node is does not matter to a sanitizer, but takes minutes where it is emulated."""
    wanted = getattr(request.node, "callspec", None)
    if kind == "cuse" and wanted and wanted.params.get("variant") in (FORTIFIED, *SANITIZED):
        pytest.skip("the FUSE node has it")


@every_variant
@pytest.mark.parametrize(("program", "scenario"), scenarios((*OF_ANY_SOCKET, "families")))
def test_it_is_a_socket(
    program: str, scenario: str, variant: Variant, daemon: Daemon, programs: Path
) -> None:
    """As tests/shim/test_kernel.py shows of the kernel's own."""
    run_scenario(compile_program(program, variant, programs), scenario, variant, daemon.path)


# The daemon's end --------------------------------------------------------------------------------


class Program:
    """recovery.c: each side tells the other by lines when its part is done."""

    def __init__(self, command: tuple[str | Path, ...], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, what: str) -> None:
        """Return when it has done a part; AssertionError with its words where it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == f"{what}\n", self.process.communicate(timeout=DEADLINE_S)

    def go_on(self) -> None:
        """Tell it that the test's part is done."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """What it has said; AssertionError where it fails."""
        _, words = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0, words
        return words


@pytest.fixture
def start(programs: Path, path: Path) -> Iterator[Callable[[str, Variant], Program]]:
    """Starts recovery.c with a scenario; it is killed at the end, if it still runs."""
    with ExitStack() as started:

        def start(scenario: str, variant: Variant) -> Program:
            built = compile_program("recovery", variant, programs)
            program = Program((built, scenario), environment_of(variant, path))
            started.callback(program.process.communicate)
            started.callback(program.process.kill)
            return program

        yield start


@pytest.mark.parametrize(
    ("variant", "signal"),
    [(PRELOADED, SIGTERM), (PRELOADED, SIGKILL), *((variant, SIGKILL) for variant in SANITIZED)],
    ids=lambda value: value.name,
)
@pytest.mark.parametrize("scenario", SCENARIOS["recovery"])
def test_it_outlives_its_daemon(
    scenario: str,
    signal: Signals,
    variant: Variant,
    serve: Serve,
    path: Path,
    start: Callable[[str, Variant], Program],
    kind: str,
) -> None:
    """And says what has happened, once."""
    if kind == "cuse" and (scenario, signal) != ("polls", SIGKILL):
        pytest.skip("two daemons take a minute where they are emulated; the FUSE node has it")
    daemon = serve()
    program = start(scenario, variant)
    program.wait_for("ready")
    if scenario == "waits":
        wait_blocked(program.process, path)
    daemon.stop(signal)
    if scenario != "waits":
        program.go_on()
    program.wait_for("gone")
    serve()
    if scenario != "waits":
        program.go_on()
    program.wait_for("back")
    words = program.end()
    assert words.count("the daemon is gone") == 1
    assert words.count("the daemon is back") == 1
