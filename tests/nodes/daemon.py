"""A daemon as a process: from its start to what it leaves behind."""

from __future__ import annotations

import ctypes
import itertools
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.nodes.interface import DEADLINE_S
from tests.nodes.real import RealNode

MNT_DETACH = 2
_numbers = itertools.count(1)

LIKE_A_MANAGER = """
import os, sys
name, given, *command = sys.argv[1:]
os.dup2(int(given), 3)
if int(given) != 3:
    os.close(int(given))
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": name}
os.execvp(command[0], command)
"""
"""Starts a command with a descriptor that has a name, as sd_listen_fds(3) says."""


class DaemonError(Exception):
    """The daemon ended before it was ready; `status` and `log` say how."""

    def __init__(self, status: int, log: str) -> None:
        super().__init__(f"the daemon ended with {status}:\n{log}")
        self.status = status
        self.log = log


def unique_name() -> str:
    """A name for a device or file that nobody else on the machine has."""
    return f"ovsdp-test-{os.getpid()}-{next(_numbers)}"


def mounted(path: Path) -> bool:
    """Whether something is mounted at `path`."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return any(line.split()[4] == os.fsencode(path) for line in lines)


class Daemon:
    """`ovsdp-cuse serve` for one node; a context manager that starts it and stops it.

    kind: fuse or cuse. path: the FUSE file, or /dev/NAME. options: further ones of `serve`.
    credentials: options of setpriv(1) that say as whom it runs. interfaces: what its ports are;
    with "host" they are interfaces of the namespace that it is started in. module: the program.
    kept: name and number of a descriptor that it gets as if a service manager had kept it.
    """

    def __init__(
        self,
        kind: str,
        path: Path,
        *options: str,
        credentials: Sequence[str] = (),
        interfaces: str = "memory",
        module: str = "ovsdp_cuse",
        kept: tuple[str, int] | None = None,
    ) -> None:
        self.kind = kind
        self.path = path
        self.node = RealNode(kind, path)
        place = ("--path", str(path)) if kind == "fuse" else ("--name", path.name)
        self._command = (
            # The test run may be killed: nothing of it stays then.
            *("setpriv", "--pdeathsig", "KILL", *credentials),
            *(sys.executable, "-m", module, "serve", "--node", kind),
            *("--interfaces", interfaces),
            *(() if "--state" in options else ("--state", "off")),  # its default place is one
            *place,
            *options,
        )
        self._passed: tuple[int, ...] = ()
        if kept is not None:
            name, descriptor = kept
            self._passed = (descriptor,)
            given = (name, str(descriptor))
            self._command = (sys.executable, "-Ic", LIKE_A_MANAGER, *given, *self._command)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - `__exit__` closes it
        self._printed = ""
        self._served = False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        """Start it, and wait until it says that it is ready (sd_notify(3)); or DaemonError."""
        address = f"ovsdp-test-{os.getpid()}-{next(_numbers)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
            notifications.bind(f"\0{address}")
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=self._passed,
                env={**os.environ, "NOTIFY_SOCKET": f"@{address}"},
            )
            try:
                self._wait_ready(notifications)
                self._served = True
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it, if it runs; and clear what it has left if it was killed."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._printed = self.log
        self._output.close()
        if self.kind == "fuse" and self._served and mounted(self.path):
            ctypes.CDLL(None).umount2(os.fsencode(self.path), MNT_DETACH)
            self.path.unlink(missing_ok=True)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; AssertionError where it was not started."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        """What the daemon has printed."""
        if self._output.closed:
            return self._printed
        return os.pread(self._output.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the status with which the daemon ends."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def descriptors(self) -> int:
        """How many file descriptors it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def resident_kib(self) -> int:
        """VmRSS of proc_pid_status(5)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1])

    def _wait_ready(self, notifications: socket.socket) -> None:
        ended = os.pidfd_open(self.process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(notifications, selectors.EVENT_READ)
                selector.register(ended, selectors.EVENT_READ)
                while True:
                    ready = [key.fileobj for key, _ in selector.select(DEADLINE_S)]
                    if notifications in ready:
                        if b"READY=1" in notifications.recv(4096):
                            return
                    elif ended in ready:
                        raise DaemonError(self.process.wait(), self.log)
                    else:
                        raise TimeoutError(f"the daemon is not ready in time: {self.log}")
        finally:
            os.close(ended)
