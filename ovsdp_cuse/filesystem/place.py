"""Where the file system is mounted: the directory under it, other daemons, and the end."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import replace
from errno import EACCES, EPERM, EROFS
from pathlib import Path

import structlog

from ovsdp_cuse.device.mounting import FileSystem, clear_dead, is_dead, mount
from ovsdp_cuse.device.mounts import directory_lock, mount_at, unmount
from ovsdp_cuse.device.node import NodeError, fuse_problem

log = structlog.get_logger(__name__)

DEFAULT = Path("/run/ovsdp")

FILE_SYSTEM = FileSystem("ovsdp", stat.S_IFDIR | 0o555, "--state", read_only=True)

SERVICE = replace(FILE_SYSTEM, source="ovsdp-cuse.service")
"""As systemd's service has it mounted, which is found again by its source wherever it is."""

OUR_DIRECTORY = stat.S_IFDIR | 0o700 | stat.S_ISVTX
"""The mode of a directory that a daemon makes to mount over, seen by nobody while it is mounted.
Nobody else makes such, so it can be told from an operator's after a daemon was killed."""


class Place:
    """A directory to mount over; it need not be there. what: FILE_SYSTEM, or as the service's."""

    def __init__(self, path: Path, what: FileSystem = FILE_SYSTEM) -> None:
        # Not of all of the path: what is at its end may be the mount of a daemon that hangs.
        directory = os.path.realpath(path.absolute().parent)
        self.path = Path(directory) / path.name
        self._what = what
        self._device: str | None = None

    async def attach(self) -> int:
        """Mount; the descriptor on which the kernel asks.

        NodeError where the place is taken, or this user may not; it says why and what to do.
        """
        problem = fuse_problem()
        if problem is not None:
            raise NodeError(f"{self.path} cannot show the state: {problem}")
        try:
            async with directory_lock(self.path.parent):
                await clear_dead(self.path, self._what)
                self._prepare_directory()
                try:
                    descriptor = mount(self.path, self._what)
                except BaseException:
                    self._remove_directory()
                    raise
                there = mount_at(self.path)
                self._device = there.device if there is not None else None
        except OSError as error:
            reason = error.strerror or str(error)
            advice = "choose another --state, or --state off"
            if error.errno in (EACCES, EPERM, EROFS):
                advice += "; to mount takes CAP_SYS_ADMIN, or fusermount3 and a directory of yours"
            raise NodeError(f"{self.path} cannot show the state: {reason}; {advice}") from error
        return descriptor

    async def withdraw(self) -> None:
        """Take our mount away, and the directory if a daemon made it; the descriptor is closed.

        Whoever has a file open keeps it, and gets errors.
        """
        async with directory_lock(self.path.parent):
            there = mount_at(self.path)
            # Once nothing uses our mount its device number may be that of another, living daemon.
            if there is not None and there.device == self._device and await is_dead(self.path):
                unmount(self.path)
            self._remove_directory()

    async def clear(self) -> None:
        """Clear what a daemon that has ended has left; NodeError where a living one is there."""
        async with directory_lock(self.path.parent):
            await clear_dead(self.path, self._what)
            self._remove_directory()

    def _prepare_directory(self) -> None:
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            self.path.mkdir()
            self.path.chmod(stat.S_IMODE(OUR_DIRECTORY))
            return
        if not stat.S_ISDIR(status.st_mode):
            raise NodeError(f"{self.path} exists and is no directory: choose another --state")
        if status.st_mode != OUR_DIRECTORY and any(self.path.iterdir()):
            raise NodeError(f"{self.path} is a directory with files: choose another --state")

    def _remove_directory(self) -> None:
        """Remove the directory if a daemon made it, this one or one that was killed."""
        if mount_at(self.path) is not None:
            return
        with suppress(FileNotFoundError):
            status = self.path.lstat()
            if (status.st_mode, status.st_uid) == (OUR_DIRECTORY, os.geteuid()):
                try:
                    self.path.rmdir()
                except OSError as error:
                    log.warning("a directory stays", path=str(self.path), error=error.strerror)
