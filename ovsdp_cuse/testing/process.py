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
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ovsdp_cuse.client.device import Device
from ovsdp_cuse.testing.thread import TIME_LIMIT_S
from ovsdp_cuse.wire.family import FamilySchema

MNT_DETACH = 2
_numbers = itertools.count(1)


class DaemonError(Exception):
    """The daemon ended before it was ready; `status` and `log` say how."""

    def __init__(self, status: int, log: str) -> None:
        super().__init__(f"the daemon ended with {status}:\n{log}")
        self.status = status
        self.log = log


def unique_name(prefix: str = "ovsdp-test") -> str:
    """A name for a device or file that nobody else on the machine has."""
    return f"{prefix}-{os.getpid()}-{next(_numbers)}"


def mounted(path: Path) -> bool:
    """Whether something is mounted at `path`."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return any(line.split()[4] == os.fsencode(path) for line in lines)


class DaemonProcess:
    """`ovsdp-cuse serve` for one node; a context manager that starts it and stops it.

    kind: fuse or cuse. path: the FUSE file, or /dev/NAME. options: further ones of `serve`.
    credentials: options of setpriv(1) that say as whom it runs. interfaces: what its ports are;
    with "host" they are interfaces of the namespace that it is started in. module: the program, for
    one that is `ovsdp-cuse` with something of its own. There is no file system of live state, whose
    usual place is one for the whole machine, unless the options have `--state`.

    Raises DaemonError, when it is entered, where the daemon cannot start.
    """

    def __init__(
        self,
        kind: str,
        path: Path,
        *options: str,
        credentials: Sequence[str] = (),
        interfaces: str = "memory",
        module: str = "ovsdp_cuse",
    ) -> None:
        self.kind = kind
        self.path = path
        place = ("--path", str(path)) if kind == "fuse" else ("--name", path.name)
        self._command: tuple[str, ...] = (
            # Who has started it may be killed: nothing of it stays then.
            *("setpriv", "--pdeathsig", "KILL", *credentials),
            *(sys.executable, "-m", module, "serve", "--node", kind),
            *("--interfaces", interfaces, "--state", "off"),
            *place,
            *options,
        )
        self._passed: tuple[int, ...] = ()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - `__exit__` closes it
        self._printed = ""
        self._served = False
        self._process: subprocess.Popen[bytes] | None = None
        self._devices: list[Device] = []

    def __enter__(self) -> Self:
        """Start it, and wait until it says that it is ready (sd_notify(3)); or DaemonError."""
        address = unique_name()
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
        for device in self._devices:
            device.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(TIME_LIMIT_S)
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
        """The process; RuntimeError where it was not started."""
        if self._process is None:
            raise RuntimeError("the daemon is started by 'with'")
        return self._process

    @property
    def log(self) -> str:
        """What the daemon has printed."""
        if self._output.closed:
            return self._printed
        return os.pread(self._output.fileno(), 1 << 20, 0).decode(errors="replace")

    def open(self, *, read_only: bool = False, families: Iterable[FamilySchema] = ()) -> Device:
        """An open Device, which is closed at the end; the arguments are those of Device."""
        self._devices.append(Device(self.path, read_only=read_only, families=families))
        return self._devices[-1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the status with which the daemon ends."""
        self.process.send_signal(number)
        return self.process.wait(TIME_LIMIT_S)

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
                    ready = [key.fileobj for key, _ in selector.select(TIME_LIMIT_S)]
                    if notifications in ready:
                        if b"READY=1" in notifications.recv(4096):
                            return
                    elif ended in ready:
                        raise DaemonError(self.process.wait(), self.log)
                    else:
                        raise TimeoutError(f"the daemon is not ready in time: {self.log}")
        finally:
            os.close(ended)
