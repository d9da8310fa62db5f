"""A daemon as a process, with its node."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ovsdp_cuse.testing.process import DaemonProcess
from tests.nodes.real import RealNode

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


class Daemon(DaemonProcess):
    """A DaemonProcess with the `node` that it serves, which is used as the fake one is.

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
        super().__init__(
            kind, path, *options, credentials=credentials, interfaces=interfaces, module=module
        )
        self.node = RealNode(kind, path)
        if kept is not None:
            name, descriptor = kept
            self._passed = (descriptor,)
            given = (name, str(descriptor))
            self._command = (sys.executable, "-Ic", LIKE_A_MANAGER, *given, *self._command)
