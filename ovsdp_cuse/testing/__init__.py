"""A device for tests: in the test's process, without a kernel, or beside it.

pytest finds the fixtures (`ovsdp`, `ovsdp_client`, ...) by itself; docs/testing.md tells of them.
The classes are for tests of another kind:

    with LocalDaemon() as daemon, daemon.open() as device:
        device.transact(...)

A name is loaded when it is first used, so that a pytest run that needs none of it stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovsdp_cuse.testing.calls import Call
    from ovsdp_cuse.testing.clock import VirtualClock
    from ovsdp_cuse.testing.daemon import DaemonFailure, LocalDaemon
    from ovsdp_cuse.testing.ports import Ports
    from ovsdp_cuse.testing.process import DaemonError, DaemonProcess

__all__ = [
    "Call",
    "DaemonError",
    "DaemonFailure",
    "DaemonProcess",
    "LocalDaemon",
    "Ports",
    "VirtualClock",
]

_HOMES = {
    "Call": "calls",
    "DaemonError": "process",
    "DaemonFailure": "daemon",
    "DaemonProcess": "process",
    "LocalDaemon": "daemon",
    "Ports": "ports",
    "VirtualClock": "clock",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
