"""How a node is made and taken away: what is in its way, what a killed daemon leaves, and two
daemons that want the same."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from ovsdp_cuse import daemon as ovsdp_daemon
from ovsdp_cuse.configuration import Configuration
from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.device.cuse import CuseNode
from ovsdp_cuse.device.mounts import mount_at, unmount
from ovsdp_cuse.device.node import Node, NodeError, Permissions
from ovsdp_cuse.testing.process import DaemonError
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S
from tests.nodes.served import new_path

pytest_plugins = ("tests.live.devices",)

NULL = os.makedev(1, 3)
NO_DEVICE = os.makedev(511, 12345)
"""Among the numbers that are given out by need, from above: nobody gets as far."""


def fails(daemon: Daemon) -> str:
    """The one line with which a daemon ends instead of serving."""
    with pytest.raises(DaemonError) as caught, daemon:
        pass
    assert caught.value.status == 1, caught.value.log
    assert "Traceback" not in caught.value.log, caught.value.log
    return caught.value.log.strip().splitlines()[-1]


def start_together(daemons: list[Daemon], running: ExitStack) -> tuple[Daemon, str]:
    """Start two daemons of one path: the one that serves, and what the other one says."""
    # The threads must last: each daemon is killed when the thread ends that has started it.
    pool = running.enter_context(ThreadPoolExecutor(len(daemons)))
    started = [pool.submit(daemon.__enter__) for daemon in daemons]
    errors = [future.exception() for future in started]
    for daemon, error in zip(daemons, errors, strict=True):
        if error is None:
            running.push(daemon)
    winners = [daemon for daemon, error in zip(daemons, errors, strict=True) if error is None]
    losers = [error for error in errors if error is not None]
    assert len(winners) == len(losers) == 1, errors
    (loser,) = losers
    assert isinstance(loser, DaemonError)
    assert loser.status == 1, loser.log
    assert "Traceback" not in loser.log, loser.log
    assert "serving /" not in loser.log, loser.log
    return winners[0], loser.log.strip().splitlines()[-1]


def stop(daemon: Daemon) -> None:
    """Stop a daemon that is well."""
    assert daemon.stop() == 0, daemon.log
    assert "Traceback" not in daemon.log, daemon.log


@pytest.fixture
def directory(node_kind: str, tmp_path: Path) -> Path:
    """Where FUSE files go."""
    if node_kind != "fuse":
        pytest.skip("the FUSE node is tested on the machine itself")
    return tmp_path


@pytest.fixture
def device(node_kind: str, tmp_path: Path) -> Iterator[Path]:
    """The path of a CUSE device that nobody serves."""
    if node_kind != "cuse":
        pytest.skip("the CUSE node is tested in the virtual machine")
    path = new_path(node_kind, tmp_path)
    yield path
    path.unlink(missing_ok=True)


# FUSE -------------------------------------------------------------------------------------------


def plain(directory: Path) -> Path:
    """A file in the directory."""
    return directory / "node"


def spaced(directory: Path) -> Path:
    """Characters that mountinfo escapes."""
    return directory / "a b\tc\\d#"


def latin(directory: Path) -> Path:
    """A name that is more bytes than characters."""
    return directory / "é"


def bytewise(directory: Path) -> Path:
    """A name that is not UTF-8."""
    return directory / os.fsdecode(b"x\xff")


def linked(directory: Path) -> Path:
    """A file in a directory behind a symbolic link."""
    (directory / "real").mkdir()
    (directory / "link").symlink_to(directory / "real")
    return directory / "link" / "node"


@pytest.mark.parametrize("place", [plain, spaced, latin, bytewise, linked])
def test_a_killed_daemons_mount_is_cleared(directory: Path, place: Callable[[Path], Path]) -> None:
    path = place(directory)
    with Daemon("fuse", path) as killed:
        assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
        with Daemon("fuse", path) as daemon:
            os.close(os.open(path, os.O_RDWR))
            assert "another daemon serves" in fails(Daemon("fuse", path))
            stop(daemon)
        assert not path.exists()


def test_one_of_two_daemons_serves_and_takes_away_what_it_made(directory: Path) -> None:
    path = plain(directory)
    with ExitStack() as running:
        winner, complaint = start_together([Daemon("fuse", path) for _ in range(2)], running)
        assert "another daemon serves" in complaint
        os.close(os.open(path, os.O_RDWR))
        stop(winner)
    assert not path.exists()


def test_an_operators_file_stays(directory: Path) -> None:
    path = plain(directory)
    path.touch(0o600)
    made = path.stat().st_ino
    with Daemon("fuse", path) as killed:
        killed.stop(signal.SIGKILL)
        with Daemon("fuse", path) as daemon:
            stop(daemon)
    assert path.stat().st_ino == made


def test_the_file_that_a_killed_daemon_made_goes(directory: Path) -> None:
    path = plain(directory)
    with Daemon("fuse", path) as killed:
        killed.stop(signal.SIGKILL)
        unmount(path)
    assert path.exists()
    with Daemon("fuse", path) as daemon:
        stop(daemon)
    assert not path.exists()


def test_a_daemon_without_its_mount_leaves_that_of_the_next(directory: Path) -> None:
    path = plain(directory)
    with Daemon("fuse", path) as first:
        client = os.open(path, os.O_RDWR)  # keeps the first daemon's connection alive
        try:
            unmount(path)
            with Daemon("fuse", path) as second:
                stop(first)
                os.close(os.open(path, os.O_RDWR))
                stop(second)
        finally:
            os.close(client)
    assert not path.exists()


def test_a_daemon_whose_mount_is_taken_away_says_so(directory: Path) -> None:
    path = plain(directory)
    with Daemon("fuse", path) as daemon:
        unmount(path)
        assert daemon.process.wait(DEADLINE_S) == 1
        assert "it was unmounted" in daemon.log
        assert "Traceback" not in daemon.log
    assert not path.exists()


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (lambda path: path.parent.write_text(""), "Not a directory"),
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(parents=True), "is no regular file"),
        (lambda path: (path.parent.mkdir(), path.write_text("x")), "contents"),
        (lambda path: (path.parent.mkdir(), path.symlink_to("x")), "is no regular file"),
        (lambda path: path.parent.symlink_to(path.parent), "symbolic links"),
    ],
)
def test_what_is_in_the_way_is_told_in_one_line(
    directory: Path, prepare: Callable[[Path], object], complaint: str
) -> None:
    path = directory / "below" / "node"
    prepare(path)
    line = fails(Daemon("fuse", path))
    assert line.startswith("Error: ")
    assert complaint in line
    assert str(path) in line
    assert "choose another --path" in line


def test_a_strangers_mount_stays(directory: Path) -> None:
    path = plain(directory)
    path.touch()
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        assert "is a mount of type" in fails(Daemon("fuse", path))
        assert mount_at(path) is not None
    finally:
        unmount(path)


# CUSE -------------------------------------------------------------------------------------------


def test_a_device_of_another_is_neither_replaced_nor_removed(device: Path) -> None:
    before = Path("/dev/null").stat()
    assert "is another device (1:3)" in fails(Daemon("cuse", Path("/dev/null")))
    after = Path("/dev/null").stat()
    assert (after.st_ino, after.st_rdev, after.st_mode) == (before.st_ino, NULL, before.st_mode)


def test_a_file_in_the_way_stays(device: Path) -> None:
    device.touch()
    assert "is no character device" in fails(Daemon("cuse", device))
    assert device.is_file()


def test_a_node_whose_device_is_gone_is_replaced(device: Path) -> None:
    os.mknod(device, stat.S_IFCHR | 0o600, NO_DEVICE)
    with Daemon("cuse", device) as daemon:
        os.close(os.open(device, os.O_RDWR))
        stop(daemon)
    assert not device.exists()


def test_one_of_two_daemons_gets_the_name_and_the_other_leaves_its_node_alone(
    device: Path,
) -> None:
    modes = (0o600, 0o666)
    daemons = [Daemon("cuse", device, "--mode", f"{mode:04o}") for mode in modes]
    with ExitStack() as running:
        winner, _complaint = start_together(daemons, running)
        mode = modes[daemons.index(winner)]
        assert stat.S_IMODE(device.stat().st_mode) == mode
        os.close(os.open(device, os.O_RDWR))
        stop(winner)
    assert not device.exists()


def identity(path: Path) -> tuple[int, int] | None:
    """Which node is there, and its mode; None where there is none."""
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_mode


async def serve(
    node: CuseNode, on_ready: Callable[[Node, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serve in this process a node that differs a little from what the settings give."""
    monkeypatch.setattr(ovsdp_daemon, "choose_node", lambda _settings: (node, None))
    await ovsdp_daemon.run(Configuration(), ovsdp_daemon.load_registry(), None, on_ready)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_node_that_nobody_else_makes_is_made_and_only_that_one_is_removed(
    device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    node = CuseNode(device.name, Permissions(0o640), tmp_path)  # no devtmpfs, as in a container

    def act(_node: Node, _state: str) -> None:
        made, registered = node.path.stat(), device.stat()
        assert (made.st_mode, made.st_rdev) == (stat.S_IFCHR | 0o640, registered.st_rdev)
        if replaced:
            node.path.unlink()
            os.mknod(node.path, stat.S_IFCHR | 0o600, NULL)
        nursery.cancel_scope.cancel()

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, node, act, monkeypatch)
    assert (identity(node.path) is not None) == replaced


class OvertakenNode(CuseNode):
    """A node whose daemon is overtaken after it has looked whether the name is free."""

    overtake: Callable[[], Awaitable[None]]

    async def attach(self) -> Channel:
        channel = await super().attach()
        await self.overtake()
        return channel


async def test_a_daemon_whose_device_the_kernel_refuses_leaves_the_others_node_alone(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, late = (
        CuseNode(device.name, Permissions(0o600)),
        OvertakenNode(device.name, Permissions(0o666)),
    )
    said_ready: list[Node] = []
    found: list[tuple[int, int] | None] = []

    async with trio.open_nursery() as nursery:

        async def overtake() -> None:
            ready = trio.Event()
            nursery.start_soon(serve, first, lambda _node, _state: ready.set(), monkeypatch)
            await ready.wait()
            found.append(identity(device))

        late.overtake = overtake
        with trio.fail_after(DEADLINE_S), pytest.raises(ExceptionGroup) as refusal:
            await serve(late, lambda node, _state: said_ready.append(node), monkeypatch)
        found.append(identity(device))
        nursery.cancel_scope.cancel()
    assert refusal.group_contains(NodeError, match="its name is taken")
    assert not said_ready
    before, after = found
    assert before == after
    assert after is not None
    assert after[1] == stat.S_IFCHR | 0o600
