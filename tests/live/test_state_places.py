"""Where the file system of live state is when its place is left to the daemon, and who may read it.

The daemons have a /run of their own, in a mount namespace that ends with the last of them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType
from tests.live.conftest import Serve, check_end
from tests.nodes.daemon import Daemon
from tests.nodes.served import new_path

NOBODY = 65534


class Places:
    """Starts daemons whose place is left to them."""

    def __init__(self, kind: str, directory: Path, stack: ExitStack) -> None:
        self._kind = kind
        self._directory = directory
        self._stack = stack
        self._first: Daemon | None = None

    def start(self, prepare: str = "true") -> Daemon:
        """Start one: the first in a new namespace, where a shell command is run before, the others
        in that of the first."""
        enter = ["unshare", "--mount", "sh", "-c"]
        enter += [f'mount -t tmpfs none /run && {prepare} && exec "$@"', "sh"]
        if self._first is not None:
            enter = ["nsenter", f"--target={self._first.process.pid}", "--mount"]
        path = new_path(self._kind, self._directory)
        daemon = Daemon(self._kind, path, "--state", "auto", credentials=enter)
        self._stack.enter_context(daemon)
        self._stack.callback(check_end, daemon)
        self._first = self._first or daemon
        return daemon


def place(daemon: Daemon) -> Path:
    """/run/ovsdp, as the daemon sees it."""
    return Path(f"/proc/{daemon.process.pid}/root/run/ovsdp")


def answers(daemon: Daemon) -> bool:
    """Whether its device does."""
    with Device(Path(f"/proc/{daemon.process.pid}/root{daemon.path}")) as device:
        return list(device.dump(DATAPATH, DpCmd.GET)) == []


@pytest.fixture
def places(kind: str, directory: Path) -> Iterator[Places]:
    with ExitStack() as stack:
        yield Places(kind, directory, stack)


def test_the_place_of_two_daemons(places: Places) -> None:
    """The first has it; the second says why it has none, and goes on."""
    first = places.start()
    assert (place(first) / "version").read_text().startswith("version")
    second = places.start()
    assert "no file system of live state" in second.log
    assert "another daemon serves" in second.log and "--state" in second.log
    assert answers(first) and answers(second)
    assert f"{first.process.pid}" in (place(second) / "node").read_text()


def obstacles(kind: str) -> Iterator[tuple[str, str]]:
    """What keeps the file system from being there, and what is said of it."""
    yield "touch /run/ovsdp", "exists and is no directory"
    yield "mkdir /run/ovsdp && touch /run/ovsdp/file", "is a directory with files"
    yield "mount -o remount,ro /run", "Read-only file system"
    if kind == "cuse":  # the other kind of node needs it, too
        # As in a container without the device: it is there, and may not be opened.
        nodev = "mount --bind /dev/fuse /dev/fuse && mount -o remount,bind,nodev /dev/fuse"
        yield nodev, "/dev/fuse cannot be opened (Permission denied)"


def test_what_keeps_it_from_being_there(kind: str, directory: Path) -> None:
    for prepare, reason in obstacles(kind):
        with ExitStack() as stack:
            daemon = Places(kind, directory, stack).start(prepare)
            (warning,) = [line for line in daemon.log.splitlines() if "live state" in line]
            assert "[warning" in warning and reason in warning, daemon.log
            assert answers(daemon)


def reads(path: Path, *options: str) -> bool:
    """Whether another user, in the device's group, may begin to read a file."""
    who = ["setpriv", f"--reuid={NOBODY}", *options]
    command: Sequence[str] = [*who, "head", "-c", "1", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 or "Permission denied" in done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.parametrize(("mode", "may_trace"), [("0660", True), ("0640", False)])
def test_the_devices_group(directory: Path, serve: Serve, mode: str, may_trace: bool) -> None:
    state = directory / "state"
    serve("--state", str(state), "--mode", mode, "--group", str(NOBODY))
    member = (f"--regid={NOBODY}", "--clear-groups")
    assert reads(state / "node", *member)
    assert reads(state / "trace", *member) == may_trace
    other = ("--regid=4242", "--clear-groups")
    assert not reads(state / "node", *other)
    assert not reads(state / "trace", *other)


def test_names_of_odd_bytes(directory: Path, serve: Serve) -> None:
    """A port's name is its file's, byte by byte; see docs/state.md for those that end so."""
    names = [b"a", b"a.json", b"it's", b'"', b"\xff\xfe", b"-rf", b"*", b"\x1b[1m"]
    state = directory / "state"
    daemon = serve("--state", str(state))
    with Device(daemon.path) as device:
        made = device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
        assert made is not None
        for name in names:
            put = {
                VportAttr.NAME: name.decode("utf-8", "surrogateescape"),
                VportAttr.TYPE: VportType.INTERNAL,
                VportAttr.UPCALL_PID: (0,),
            }
            device.transact(VPORT, VportCmd.NEW, put, dp_ifindex=made.dp_ifindex)
    ports = state / "datapaths/dp0/ports"
    found = {bytes(path.relative_to(ports)) for path in ports.iterdir()}
    assert found == {b"dp0", b"dp0.json", *names, *(name + b".json" for name in names)}
    for name in names:
        text = (ports / name.decode("utf-8", "surrogateescape")).read_bytes()
        assert text.startswith(b"name"), "the port itself, not another one's document"
        assert text.isascii() and text.decode().replace("\n", "").isprintable()
