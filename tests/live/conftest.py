"""Daemons on real nodes, and the processes that talk to them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ovsdp_cuse.testing.process import mounted
from tests.nodes.calls import wait_until
from tests.nodes.daemon import Daemon
from tests.nodes.real import RealNode, waits
from tests.nodes.served import VARIABLE, new_path, wanted_kind

CLIENT = Path(__file__).with_name("client.py")

Serve = Callable[..., Daemon]
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="package")
def kind() -> str:
    """fuse or cuse; without one of them, or without root, these tests cannot run."""
    kind = wanted_kind()
    assert kind in ("fuse", "cuse"), f"{VARIABLE} says which node: fuse or cuse"
    assert os.geteuid() == 0, "making nodes, and being other users, takes root"
    return kind


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that everybody can reach, and that is empty again at the end."""
    with tempfile.TemporaryDirectory(prefix="ovsdp-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        assert list(directory.iterdir()) == [], "something was left behind"


@pytest.fixture
def path(kind: str, directory: Path) -> Path:
    """Where a node can be made."""
    return new_path(kind, directory)


@pytest.fixture
def state(directory: Path) -> Iterator[Path]:
    """Where a file system of live state can be; at the end there must be none."""
    state = directory / "state"
    yield state
    assert not mounted(state) and not state.exists()


@pytest.fixture
def serve(kind: str, path: Path) -> Iterator[Serve]:
    """Starts daemons on `path`; those that still run at the end are stopped, and must have been
    well and must leave nothing."""
    with ExitStack() as daemons:

        def start(*options: str) -> Daemon:
            daemon = daemons.enter_context(Daemon(kind, path, *options))
            daemons.callback(check_end, daemon)
            return daemon

        yield start
    assert not path.exists()
    assert not mounted(path)


def check_end(daemon: Daemon) -> None:
    """Stop a daemon, unless a test has, and see that it was well."""
    if daemon.process.poll() is None:
        assert daemon.stop() == 0, daemon.log
    assert "Traceback" not in daemon.log, daemon.log
    assert "[error" not in daemon.log, daemon.log


@contextmanager
def serve_for_module(kind: str, *options: str) -> Iterator[Daemon]:
    """Serve a node for several tests."""
    with (
        tempfile.TemporaryDirectory(prefix="ovsdp-test-") as directory,
        Daemon(kind, new_path(kind, Path(directory)), *options) as daemon,
    ):
        yield daemon
        check_end(daemon)


@pytest.fixture(scope="package")
def shared(kind: str) -> Iterator[Daemon]:
    """A daemon with the usual settings for tests that leave it alone."""
    with serve_for_module(kind) as daemon:
        yield daemon


@pytest.fixture
def node(shared: Daemon) -> RealNode:
    """Its node."""
    return shared.node


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts client programs, which are killed at the end of the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*command: str | Path) -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def client(path: Path, action: str) -> tuple[str | Path, ...]:
    """The command line of client.py."""
    return (sys.executable, "-I", CLIENT, path, action)


def wait_blocked(process: subprocess.Popen[str], path: Path) -> None:
    """Return when a process waits in a system call on the node; AssertionError where it ends."""
    task = Path(f"/proc/{process.pid}")
    ended = process.poll
    wait_until(
        lambda: ended() is not None or waits(task, path), f"{process.args!r} waits for {path}"
    )
    assert ended() is None, process.communicate()
