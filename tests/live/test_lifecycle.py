"""A daemon's life: who may open its node, what its end does to clients, and what is left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from select import POLLERR

import pytest

from ovsdp_cuse.testing.process import DaemonError, mounted
from tests.contract import control, datapaths
from tests.contract.doors import ask, failure, get_pid, put
from tests.contract.messages import DATAPATH
from tests.live.conftest import Serve, Spawn, client, wait_blocked
from tests.nodes.calls import wait_until
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S, Call
from tests.nodes.real import RealHandle, RealNode

NOBODY = ("--reuid=65534", "--regid=65534", "--clear-groups")


def start_waits(node: RealNode) -> tuple[list[RealHandle], list[Call[object]]]:
    """Handles that wait, in read(2) and for an event."""
    handles = [node.open() for _ in range(2)]
    calls: list[Call[object]] = [
        node.start(partial(handles[0].read, 4096)),
        node.start(partial(put, handles[1], control.request(control.WIN_PEND_REQ))),
    ]
    for call in calls:
        call.wait_started()
    return handles, calls


def is_gone(path: Path) -> bool:
    """Whether nothing is there, neither node nor mount."""
    return not os.path.lexists(path) and not mounted(path)


# The end -----------------------------------------------------------------------------------------


def test_a_daemon_that_is_stopped_answers_all_that_waits_and_leaves_nothing(
    serve: Serve, kind: str, path: Path
) -> None:
    daemon = serve()
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    handles, calls = start_waits(daemon.node)
    assert children.read_text() == ""
    assert list(path.parent.glob(f"{path.name}*")) == [path]
    assert daemon.stop(signal.SIGTERM) == 0, daemon.log
    for call in calls:
        assert failure(call.result) == "ENODEV"
    assert is_gone(path)
    assert not (Path("/sys/class/cuse") / path.name).exists()
    for handle in handles:
        assert failure(get_pid, handle) in ("ENOTCONN", "ENODEV", "ECONNABORTED")
        assert handle.poll() & POLLERR
        handle.close()


def test_processes_that_wait_end_with_the_daemon(serve: Serve, path: Path, spawn: Spawn) -> None:
    daemon = serve()
    processes = [spawn("cat", path), spawn(*client(path, "pend"))]
    for process in processes:
        wait_blocked(process, path)
    assert daemon.stop(signal.SIGINT) == 0, daemon.log
    for process in processes:
        output, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 1
        assert "No such device" in output


def test_when_the_daemon_is_killed_clients_get_errors_at_once(serve: Serve, path: Path) -> None:
    daemon = serve()
    handles, calls = start_waits(daemon.node)
    with handles[0].edges() as edges:
        daemon.stop(signal.SIGKILL)
        for call in calls:
            assert failure(call.result) in ("ECONNABORTED", "ENOTCONN")
        assert edges.wait(), "who polls is woken"
    for handle in handles:
        assert failure(get_pid, handle) == "ENOTCONN"
        assert failure(handle.read, 4096) == "ENOTCONN"
        assert failure(handle.write, datapaths.new("a")) == "ENOTCONN"
        assert handle.poll() & POLLERR
    assert failure(daemon.node.open) in ("ENOTCONN", "ENOENT")
    again = serve()
    handle = again.node.open()
    assert ask(handle, datapaths.new("a")).type == DATAPATH
    assert failure(get_pid, handles[0]) == "ENOTCONN", "the old handles stay dead"
    for each in (*handles, handle):
        each.close()


def test_when_the_connection_is_aborted_the_daemon_says_so(
    serve: Serve, kind: str, path: Path
) -> None:
    """By an administrator, or by the kernel for a request that took too long."""
    daemon = serve()
    handles, calls = start_waits(daemon.node)
    if kind == "cuse":
        abort = Path("/sys/class/cuse") / path.name / "abort"
    else:
        control_files = Path("/sys/fs/fuse/connections")
        if not control_files.is_mount():
            subprocess.run(["mount", "-t", "fusectl", "none", control_files], check=True)
        abort = control_files / str(os.minor(path.stat().st_dev)) / "abort"
    abort.write_text("1")
    for call in calls:
        assert failure(call.result) in ("ECONNABORTED", "ENOTCONN")
    assert daemon.process.wait(DEADLINE_S) == 1
    assert "the kernel has taken" in daemon.log
    assert is_gone(path)
    for handle in handles:
        handle.close()


def test_a_second_daemon_is_refused_and_the_first_unharmed(
    serve: Serve, kind: str, path: Path
) -> None:
    first = serve("--mode", "0604")
    handle = first.node.open()
    ask(handle, datapaths.new("a"))
    before = path.stat()
    with pytest.raises(DaemonError) as caught:
        Daemon(kind, path, "--mode", "0600").__enter__()
    assert caught.value.status == 1
    (line,) = caught.value.log.strip().splitlines()[-1:]
    assert line.startswith("Error:")
    assert "another daemon serves" in line
    assert str(path) in line
    after = path.stat()
    assert (after.st_mode, after.st_dev, after.st_ino) == (
        before.st_mode,
        before.st_dev,
        before.st_ino,
    )
    other = first.node.open()
    for each in (handle, other):
        assert ask(each, datapaths.named(datapaths.GET, "a")).type == DATAPATH
        each.close()


# Who may open it ---------------------------------------------------------------------------------


def test_the_node_s_kind_and_the_usual_mode(shared: Daemon, kind: str) -> None:
    status = shared.path.stat()
    assert stat.S_ISCHR(status.st_mode) if kind == "cuse" else stat.S_ISREG(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert status.st_uid == 0


def test_mode_owner_and_group_are_settings(serve: Serve, path: Path) -> None:
    daemon = serve("--mode", "0642", "--owner", "7", "--group", "12")
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o642
    assert (status.st_uid, status.st_gid) == (7, 12)
    daemon.stop()
    serve("--owner", "daemon", "--group", "nogroup")
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (1, 65534), "as Debian has them"


def opens(path: Path, how: str, credentials: Sequence[str]) -> bool:
    """Whether a process with these credentials can open the node; `how` is an operand of dd."""
    command = ["setpriv", *credentials, "dd", f"{how}={path}", "count=0", "conv=notrunc,nocreat"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "Permission denied" in done.stderr, done.stderr
    return done.returncode == 0


def test_the_mode_says_who_may_open_it(serve: Serve, path: Path) -> None:
    """chmod(1) and chown(1) on the node are obeyed."""
    serve()
    for mode, group, may_read, may_write in (
        (0o660, 0, False, False),
        (0o640, 65534, True, False),
        (0o666, 0, True, True),
    ):
        path.chmod(mode)
        os.chown(path, 0, group)
        status = path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_gid) == (mode, group)
        assert opens(path, "if", NOBODY) == may_read
        assert opens(path, "of", NOBODY) == may_write
    path.chmod(0)
    assert opens(path, "if", ())


# Without root ------------------------------------------------------------------------------------

READER = (*NOBODY, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""Nobody, who may read the files of this test wherever they are; mounting takes more."""


@pytest.fixture
def own_path(kind: str, directory: Path) -> Path:
    """Where nobody can make a file; and, for FUSE alone, a node."""
    if kind != "fuse":
        pytest.skip("only root can open /dev/cuse")
    os.chown(directory, 65534, 65534)
    return directory / "device"


def as_nobody(command: Sequence[str | Path]) -> str:
    """The output of a program that succeeds."""
    done = subprocess.run(
        ["setpriv", *READER, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_fuse_node_needs_no_root(own_path: Path) -> None:
    with Daemon("fuse", own_path, credentials=READER) as daemon:
        assert mounted(own_path)
        first, second = as_nobody(client(own_path, "info")).split()
        assert first == second
        status = as_nobody(["stat", "-c", "%a %u %g", own_path])
        assert status.split() == ["660", "65534", "65534"]
        assert failure(daemon.node.open) == "EACCES", "others may not, not even root"
        assert daemon.stop() == 0, daemon.log
        assert is_gone(own_path)


def test_a_mount_that_a_killed_daemon_left_is_cleared_without_root(own_path: Path) -> None:
    with Daemon("fuse", own_path, credentials=READER) as killed:
        killed.stop(signal.SIGKILL)
        assert mounted(own_path)
        with Daemon("fuse", own_path, credentials=READER) as daemon:
            assert as_nobody(client(own_path, "info"))
            assert daemon.stop() == 0, daemon.log
        assert is_gone(own_path)


def test_a_client_that_is_killed_frees_a_node_without_root(own_path: Path, spawn: Spawn) -> None:
    with Daemon("fuse", own_path, "--handle-limit", "1", credentials=READER) as daemon:
        process = spawn("setpriv", *READER, *client(own_path, "pend"))
        wait_blocked(process, own_path)
        process.kill()
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
        wait_until(lambda: succeeds(partial(as_nobody, client(own_path, "info"))), "a free handle")
        assert daemon.stop() == 0, daemon.log


def succeeds(call: Callable[[], object]) -> bool:
    """Whether a call fails no assertion."""
    try:
        call()
    except AssertionError:
        return False
    return True


def test_the_interpreter_can_be_reached(own_path: Path) -> None:
    """What the tests above stand on."""
    assert as_nobody([sys.executable, "-I", "-c", "print(1)"]) == "1\n"
