"""The state as files with the service's parts: who mounts is not the daemon, which gets it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ovsdp_cuse.device.mounts import mounts_from
from ovsdp_cuse.filesystem.place import SERVICE
from tests.live.conftest import check_end
from tests.nodes.daemon import Daemon

FORGET = ["FDSTOREREMOVE=1", "FDNAME=ovsdp-state"]
STORE = ["FDSTORE=1", "FDNAME=ovsdp-state"]


@pytest.fixture
def manager(kind: str, tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end of the notifications."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        yield receiver


@pytest.fixture
def state(directory: Path) -> Iterator[Path]:
    """Where it goes; the name has what mountinfo escapes."""
    state = directory / "st\\ate of\tit"
    yield state
    assert mounts_from(SERVICE.source or "", SERVICE.type) == []
    assert not state.exists()


def mount_state(
    manager: socket.socket | None, tmp_path: Path, setting: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as the unit does."""
    configuration = tmp_path / "ovsdp-cuse.toml"
    configuration.write_text(f"state = '{setting}'\n")
    command = (sys.executable, "-m", "ovsdp_cuse", "mount-state", "--config", configuration)
    environment = dict(os.environ)
    if manager is not None:
        environment["NOTIFY_SOCKET"] = manager.getsockname()
    return subprocess.run(
        (*command, *options), capture_output=True, text=True, timeout=60, env=environment
    )


def received(manager: socket.socket) -> tuple[list[str], list[int]]:
    """The next datagram's lines and descriptors."""
    data, descriptors, _flags, _address = socket.recv_fds(manager, 4096, 4)
    return data.decode().splitlines(), descriptors


def stored(manager: socket.socket, tmp_path: Path, state: Path) -> int:
    """Have it mounted; the descriptor that the manager is to keep."""
    done = mount_state(manager, tmp_path, str(state))
    assert done.returncode == 0, done.stderr
    assert received(manager) == (FORGET, [])
    lines, (descriptor,) = received(manager)
    assert lines == STORE
    assert mounts_from(SERVICE.source or "", SERVICE.type) == [state]
    return descriptor


def test_the_daemon_serves_what_was_mounted_for_it(
    manager: socket.socket, kind: str, path: Path, tmp_path: Path, state: Path
) -> None:
    descriptor = stored(manager, tmp_path, state)
    with Daemon(kind, path, "--state", str(state), kept=("ovsdp-state", descriptor)) as daemon:
        os.close(descriptor)  # as the manager does when it is told to
        assert (state / "version").read_text().startswith("version ")
        check_end(daemon)
    with pytest.raises(OSError, match="not connected"):
        (state / "version").read_text()
    done = mount_state(manager, tmp_path, "off", "--undo")
    assert done.returncode == 0, done.stderr
    assert received(manager) == (FORGET, [])


def test_what_a_killed_daemon_leaves_is_mounted_anew(
    manager: socket.socket, kind: str, path: Path, tmp_path: Path, state: Path
) -> None:
    descriptor = stored(manager, tmp_path, state)
    with Daemon(kind, path, "--state", str(state), kept=("ovsdp-state", descriptor)) as daemon:
        os.close(descriptor)
        daemon.stop(signal.SIGKILL)
    os.close(stored(manager, tmp_path, state))
    assert mounts_from(SERVICE.source or "", SERVICE.type) == [state]
    assert mount_state(None, tmp_path, str(state), "--undo").returncode == 0


def test_who_does_not_want_it_ends_it(
    manager: socket.socket, kind: str, path: Path, tmp_path: Path, state: Path
) -> None:
    descriptor = stored(manager, tmp_path, state)
    with Daemon(kind, path, "--state", "off", kept=("ovsdp-state", descriptor)) as daemon:
        os.close(descriptor)
        with pytest.raises(OSError, match=r"not connected|aborted"):
            (state / "version").read_text()
        check_end(daemon)
    assert mount_state(None, tmp_path, "off", "--undo").returncode == 0


def test_nothing_is_mounted_where_it_is_off(
    manager: socket.socket, tmp_path: Path, state: Path
) -> None:
    assert mount_state(manager, tmp_path, "off").returncode == 0
    assert received(manager) == (FORGET, [])
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(1)


def test_what_cannot_be_says_why(manager: socket.socket, tmp_path: Path, state: Path) -> None:
    state.write_text("")
    done = mount_state(manager, tmp_path, str(state))
    assert done.returncode == 1
    assert "exists and is no directory" in done.stderr
    done = mount_state(None, tmp_path, str(state))
    assert done.returncode == 1
    assert "this is for systemd to run" in done.stderr
    state.unlink()


def test_a_manager_that_is_gone(manager: socket.socket, tmp_path: Path, state: Path) -> None:
    Path(manager.getsockname()).unlink()
    done = mount_state(manager, tmp_path, str(state))
    assert done.returncode == 1
    assert "No such file" in done.stderr


def test_a_living_daemon_keeps_its_own(
    manager: socket.socket, kind: str, path: Path, tmp_path: Path, state: Path
) -> None:
    descriptor = stored(manager, tmp_path, state)
    with Daemon(kind, path, "--state", str(state), kept=("ovsdp-state", descriptor)) as daemon:
        os.close(descriptor)
        done = mount_state(None, tmp_path, "off", "--undo")
        assert done.returncode == 0
        assert "another daemon serves" in done.stderr
        assert (state / "version").read_text()
        check_end(daemon)
    assert mount_state(None, tmp_path, "off", "--undo").returncode == 0
