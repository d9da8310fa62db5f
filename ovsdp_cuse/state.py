"""The file system of live state as a part of the daemon: whether there is one, where, and its end.

Whatever happens to it, the device goes on.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.configuration import Configuration
from ovsdp_cuse.device.node import NodeError
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.families.dispatch import Dispatcher
from ovsdp_cuse.families.local import LocalHandle
from ovsdp_cuse.families.request import Context
from ovsdp_cuse.families.session import Access, Owner
from ovsdp_cuse.filesystem.access import Access as FileAccess
from ovsdp_cuse.filesystem.place import DEFAULT
from ovsdp_cuse.state_trace import json_lines, text_lines

if TYPE_CHECKING:
    from ovsdp_cuse.filesystem.serve import StateFileSystem

log = structlog.get_logger(__name__)

STORED_NAME = "ovsdp-state"
"""What the descriptor of a file system that the service has mounted is called."""


class LiveState:
    """The file system that a configuration asks for; None of it where that is "off".

    descriptor: what the kernel asks on, where the service has mounted it already.
    """

    def __init__(self, configuration: Configuration, descriptor: int | None = None) -> None:
        self._configuration = configuration
        self._descriptor = descriptor
        self._file_system: StateFileSystem | None = None

    async def attach(self) -> str:
        """Mount it; where it is, "" where there is none.

        Where its place was left to us and there can be none, a warning says why. NodeError where a
        place was asked for.
        """
        wanted = self._configuration.state
        path = place_of(wanted)
        if path is None:
            self._discard()
            return ""
        try:
            file_system = load(path, self._descriptor)
            self._descriptor = None
            await file_system.attach()
        except NodeError as error:
            self._discard()
            if wanted != "auto":
                raise
            log.warning("no file system of live state", why=str(error))
            return ""
        self._file_system = file_system
        return printable(str(file_system.path))

    async def serve(self, context: Context, dispatcher: Dispatcher) -> None:
        """Serve it until cancelled; what ends it otherwise is logged."""
        file_system = self._file_system
        if file_system is None:
            return
        owner = Owner(os.getpid(), os.geteuid(), os.getegid())
        schemas = {family.schema.name: family.schema for family in context.registry}

        def open_device(access: Access) -> LocalDevice:
            return LocalDevice(LocalHandle(dispatcher, owner, access), schemas.values())

        try:
            await file_system.serve(
                partial(open_device, Access.READ),
                partial(open_device, Access.READ | Access.WRITE),
                self._access(),
                schemas,
                {b"": text_lines(context.registry), b".json": json_lines(context.registry)},
            )
        except Exception:
            log.exception("the file system of live state failed", path=str(file_system.path))
        context.information.state = ""
        await self.withdraw()

    async def withdraw(self) -> None:
        """Take it away; may be called in any state. What stays keeps nobody from stopping."""
        self._discard()
        file_system, self._file_system = self._file_system, None
        if file_system is None:
            return
        with trio.CancelScope(shield=True):
            try:
                await file_system.withdraw()
            except OSError as error:
                log.error(
                    "the file system of live state could not be removed",
                    path=str(file_system.path),
                    error=str(error),
                )

    def _discard(self) -> None:
        """Close a descriptor that is not used: whoever waits for its file system gets errors."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _access(self) -> FileAccess:
        """Who may read it: who may use the device, which only root may give to others."""
        permissions = self._configuration.permissions()
        if os.geteuid() == 0:
            return FileAccess(permissions.mode, permissions.uid, permissions.gid)
        return FileAccess(permissions.mode, os.geteuid(), os.getegid())


def place_of(setting: str) -> Path | None:
    """Where the setting `state` has the file system; None for nowhere."""
    if setting == "off":
        return None
    return DEFAULT if setting == "auto" else Path(setting)


def load(path: Path, descriptor: int | None = None) -> StateFileSystem:
    """A file system for this place; NodeError where the libraries for it are missing.

    Only who has one needs libfuse, which pyfuse3 loads. descriptor: as of LiveState.
    """
    try:
        from ovsdp_cuse.filesystem.serve import StateFileSystem
    except ImportError as error:
        raise NodeError(
            f"{path} cannot show the state: {error}; pyfuse3 takes libfuse: install libfuse3-3, or "
            "choose --state off"
        ) from error
    return StateFileSystem(path, descriptor)
