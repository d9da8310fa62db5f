"""ovsdb-server and ovs-vswitchd as processes, beside those that the machine may be running.

Their database, sockets and logs are in a directory of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.nodes.calls import wait_until
from tests.nodes.interface import DEADLINE_S
from tests.openvswitch.programs import Programs, control

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
DIRECTORIES = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
LOG_SETTINGS = ("-vfile:off", "-vsyslog:off", "-vconsole:info")


class OpenVSwitch:
    """Both daemons; a context manager that starts and ends them.

    directory: an empty one, on a short path (a Unix socket's has 107 bytes at most).
    place: where ovs-vswitchd and ovs-dpctl run, a network namespace. device_environment: what they
    get in their environment to use the device; nothing for the kernel's own datapath.
    """

    def __init__(
        self,
        directory: Path,
        place: AbstractContextManager[Any] | None = None,
        device_environment: Mapping[str, str] | None = None,
    ) -> None:
        assert SCHEMA.exists(), f"there is no {SCHEMA}: Open vSwitch is not installed (make setup)"
        self.directory = directory
        environment = {**os.environ, **dict.fromkeys(DIRECTORIES, str(directory))}
        self.programs = Programs(
            directory, environment, device_environment or {}, place or nullcontext()
        )
        self._starts = 0
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> OpenVSwitch:
        """Start both, and wait until ovs-vswitchd has read its configuration."""
        database = self.directory / "conf.db"
        self.programs.run("ovsdb-tool", "create", str(database), str(SCHEMA))
        try:
            self._start("ovsdb-server", str(database), f"--remote=punix:{self._socket}")
            wait_until(self._socket.exists, "ovsdb-server listens")
            self.programs.vsctl("--no-wait", "init")
            self.start_vswitchd()
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
        """End what still runs, the datapath with it: see ovs-appctl exit --cleanup."""
        vswitchd = self._processes.get("ovs-vswitchd")
        if vswitchd is not None and vswitchd.poll() is None:
            self.programs.run(*self.programs.appctl_command("exit", "--cleanup"), check=False)
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                _end(process)

    @property
    def vswitchd(self) -> subprocess.Popen[str]:
        """The process of ovs-vswitchd."""
        return self._processes["ovs-vswitchd"]

    @property
    def log(self) -> str:
        """What ovs-vswitchd, in all its runs, has logged and printed."""
        return self._log_of("ovs-vswitchd").read_text(errors="replace")

    @property
    def database_log(self) -> str:
        """What ovsdb-server has logged."""
        return self._log_of("ovsdb-server").read_text(errors="replace")

    def start_vswitchd(self, *options: str) -> None:
        """Start ovs-vswitchd, and wait until it has done what the database says. From then on it
        logs all that it has to say, however often."""
        self._start("ovs-vswitchd", f"unix:{self._socket}", *options)
        self.wait_configured()
        self.programs.appctl("vlog/disable-rate-limit")

    def wait_configured(self) -> None:
        """Return when ovs-vswitchd has done all that the database says."""
        self._starts += 1
        # A change, for it waits for no other.
        self.programs.vsctl("set", "Open_vSwitch", ".", f"external_ids:starts={self._starts}")

    def stop_vswitchd(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End ovs-vswitchd by a signal: the datapath stays. Returns its status."""
        self.vswitchd.send_signal(number)
        status = self.vswitchd.wait(DEADLINE_S)
        if number == signal.SIGKILL:
            control(self.directory, "ovs-vswitchd").unlink()
        return status

    @property
    def _socket(self) -> Path:
        return self.directory / "db.sock"

    def _log_of(self, daemon: str) -> Path:
        return self.directory / f"{daemon}.log"

    def _start(self, daemon: str, *arguments: str) -> None:
        where = f"--unixctl={control(self.directory, daemon)}"
        with self._log_of(daemon).open("ab") as log:
            self._processes[daemon] = self.programs.start(
                *(daemon, *arguments, where, *LOG_SETTINGS),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
