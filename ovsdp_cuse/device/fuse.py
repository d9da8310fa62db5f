"""The FUSE node: a file system whose root is a regular file, mounted over the path.

For a client it has the same open, ioctl, read, write and poll as the character device. As root it
is mounted by mount(2); otherwise by fusermount3, which passes the channel back over a socket.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from errno import ECONNABORTED, ECONNREFUSED, ENOTCONN, EPERM
from pathlib import Path

import structlog
import trio

from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.device.connection import Connection, FileAttributes
from ovsdp_cuse.device.mounts import (
    check,
    directory_lock,
    fusermount,
    libc,
    mount_at,
    unmount,
)
from ovsdp_cuse.device.node import NodeError, Permissions, fuse_problem

log = structlog.get_logger(__name__)

FS_NAME = "ovs-datapath"
FS_TYPE = f"fuse.{FS_NAME}"
READY_TIMEOUT_S = 30
PROBE_TIMEOUT_S = 3

OUR_FILE = stat.S_IFREG | 0o200
"""The mode of a file that a daemon makes to mount over. Nobody else makes such, so it can be told
from an operator's own file after a daemon was killed. fusermount3 wants it writable."""

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8

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
        self._attributes = FileAttributes(permissions.mode, permissions.uid, permissions.gid)
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
            await self._clear_stale_mounts()
            self._prepare_file()
            try:
                self._channel = channel = Channel(
                    self._mount_as_root() if os.geteuid() == 0 else self._mount_as_user()
                )
            except OSError as error:
                advice = ": it takes CAP_SYS_ADMIN" if error.errno == EPERM else ""
                raise NodeError(
                    f"mounting {self.path} failed: {error.strerror or error}{advice}"
                ) from error
            finally:
                if self._channel is None:
                    self._remove_file()
            mount = mount_at(self.path)
            self._device = mount.device if mount is not None else None
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
            mount = mount_at(self.path)
            # Once nothing uses our mount its device number may be that of another, living daemon.
            if mount is not None and mount.device == self._device and await self._is_dead():
                unmount(self.path)
            self._remove_file()

    async def _clear_stale_mounts(self) -> None:
        """Detach what dead daemons left; NodeError where a living one, or a stranger, is there."""
        while mount := mount_at(self.path):
            if mount.type != FS_TYPE:
                raise NodeError(
                    f"{self.path} is a mount of type {mount.type}: choose another --path"
                )
            if not await self._is_dead():
                raise NodeError(
                    f"another daemon serves {self.path}: stop it, or choose another --path"
                )
            log.info("clearing the mount of a dead daemon", path=str(self.path))
            unmount(self.path)

    async def _is_dead(self) -> bool:
        """Whether the mount at our path has lost its daemon; one that does not answer has not.

        By statfs(2), which asks the daemon, opens nothing and needs no permission on the file.
        """

        def probe() -> bool:
            try:
                os.statvfs(self.path)
            except OSError as error:
                return error.errno in (ENOTCONN, ECONNABORTED, ECONNREFUSED)
            return False

        with trio.move_on_after(PROBE_TIMEOUT_S):
            return await trio.to_thread.run_sync(probe, abandon_on_cancel=True)
        return False

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

    def _mount_as_root(self) -> int:
        descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = (
            f"fd={descriptor},rootmode={stat.S_IFREG | self._attributes.mode:o},"
            f"user_id={os.geteuid()},group_id={os.getegid()},allow_other,default_permissions"
        )
        try:
            check(
                libc.mount(
                    FS_NAME.encode(),
                    os.fsencode(self.path),
                    FS_TYPE.encode(),
                    MS_NOSUID | MS_NODEV | MS_NOEXEC,
                    options.encode(),
                ),
                "mount(2)",
            )
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _mount_as_user(self) -> int:
        """Let fusermount3 mount; it sends the descriptor of the channel (_FUSE_COMMFD)."""
        self._attributes.uid, self._attributes.gid = os.geteuid(), os.getegid()
        options = f"fsname={FS_NAME},subtype={FS_NAME},default_permissions,nosuid,nodev,noexec"
        ours, theirs = socket.socketpair()
        with ours, theirs:
            done = subprocess.run(
                [fusermount(), "-o", options, "--", str(self.path)],
                env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise OSError(done.stderr.strip() or f"fusermount3 ended with {done.returncode}")
            _data, descriptors, _flags, _address = socket.recv_fds(ours, 1, 1)
        if not descriptors:
            raise OSError("fusermount3 sent no descriptor")
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]
