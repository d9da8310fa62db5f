"""The FUSE node: a file system whose root is a regular file, mounted over the path.

For a client it has the same open, ioctl, read, write and poll as the character device.
"""

from __future__ import annotations

import os
import stat
from errno import EPERM
from pathlib import Path

import structlog
import trio

from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.device.connection import Connection, FileAttributes
from ovsdp_cuse.device.mounting import FileSystem, clear_dead, is_dead, mount
from ovsdp_cuse.device.mounts import directory_lock, mount_at, unmount
from ovsdp_cuse.device.node import NodeError, Permissions, fuse_problem

log = structlog.get_logger(__name__)

FS_NAME = "ovs-datapath"
READY_TIMEOUT_S = 30

OUR_FILE = stat.S_IFREG | 0o200
"""The mode of a file that a daemon makes to mount over. Nobody else makes such, so it can be told
from an operator's own file after a daemon was killed. fusermount3 wants it writable."""

TIMEOUT_SYSCTLS = tuple(
    Path("/proc/sys/fs/fuse") / name for name in ("default_request_timeout", "max_request_timeout")
)


def request_timeout_s() -> float | None:
    """After how long the kernel (6.15 or later) aborts a connection for one slow reply."""
    limits = []
    for sysctl in TIMEOUT_SYSCTLS:
        try:
            limits.append(int(sysctl.read_text()))
        except (OSError, ValueError):
            continue
    return min((limit for limit in limits if limit), default=None)


class FuseNode:
    """A regular file at `path` that behaves as the device does."""

    kind = "fuse"
    place_option = "--path"

    def __init__(self, path: Path, permissions: Permissions) -> None:
        # Not of all of the path: what is at its end may be the mount of a daemon that hangs.
        directory = os.path.realpath(path.absolute().parent)
        self.path = Path(directory) / path.name
        self._file_system = FileSystem(FS_NAME, stat.S_IFREG | permissions.mode, self.place_option)
        # Only root may give it to somebody else.
        is_root = os.geteuid() == 0
        self._attributes = FileAttributes(
            permissions.mode,
            permissions.uid if is_root else os.geteuid(),
            permissions.gid if is_root else os.getegid(),
        )
        self._ready = trio.Event()
        self.connection = Connection(attributes=self._attributes, on_ready=self._ready.set)
        self._channel: Channel | None = None
        self._device: str | None = None
        timeout = request_timeout_s()
        self.wait_limit_s = timeout / 2 if timeout is not None else None

    async def attach(self) -> Channel:
        """Mount; NodeError where the path is taken, or this user may not."""
        problem = fuse_problem()
        if problem is not None:
            raise NodeError(problem)
        async with directory_lock(self.path.parent):
            await clear_dead(self.path, self._file_system)
            self._prepare_file()
            try:
                self._channel = channel = Channel(mount(self.path, self._file_system))
            except OSError as error:
                advice = ": it takes CAP_SYS_ADMIN" if error.errno == EPERM else ""
                raise NodeError(
                    f"mounting {self.path} failed: {error.strerror or error}{advice}"
                ) from error
            finally:
                if self._channel is None:
                    self._remove_file()
            there = mount_at(self.path)
            self._device = there.device if there is not None else None
        if self.wait_limit_s is not None:
            log.warning(
                "this kernel aborts FUSE connections for slow replies; waits end with EINTR",
                after_s=self.wait_limit_s,
                sysctls=[str(sysctl) for sysctl in TIMEOUT_SYSCTLS],
            )
        return channel

    async def publish(self) -> None:
        """Wait until INIT is answered."""
        with trio.move_on_after(READY_TIMEOUT_S):
            await self._ready.wait()
            return
        raise NodeError(f"the kernel has not begun with {self.path} within {READY_TIMEOUT_S} s")

    async def withdraw(self) -> None:
        """Close the channel, take away our mount, and the file under it if a daemon made it."""
        if self._channel is None:
            return
        self._channel.close()  # our mount is a dead one from here on
        async with directory_lock(self.path.parent):
            there = mount_at(self.path)
            # Once nothing uses our mount its device number may be that of another, living daemon.
            if there is not None and there.device == self._device and await is_dead(self.path):
                unmount(self.path)
            self._remove_file()

    def _prepare_file(self) -> None:
        """Make sure that there is a regular file to mount over."""
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            os.mknod(self.path, OUR_FILE)
            return
        if not stat.S_ISREG(status.st_mode):
            raise NodeError(
                f"{self.path} exists and is no regular file: remove it, or choose another --path"
            )
        if status.st_size:
            raise NodeError(f"{self.path} is a file with contents: choose another --path")

    def _remove_file(self) -> None:
        """Remove the file if a daemon made it, this one or one that was killed: see OUR_FILE."""
        if mount_at(self.path) is not None:
            return
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return
        if (status.st_mode, status.st_size, status.st_uid) == (OUR_FILE, 0, os.geteuid()):
            self.path.unlink(missing_ok=True)
