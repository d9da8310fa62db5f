"""The FUSE node: a file system whose root is a regular file, mounted over the path.

For a client it has the same open, ioctl, read, write and poll as the character device. As root it
is mounted by mount(2); otherwise by fusermount3, which passes the channel back over a socket.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import stat
import subprocess
from dataclasses import dataclass
from errno import ECONNABORTED, ENOTCONN
from pathlib import Path

import structlog
import trio

from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.device.connection import Connection, FileAttributes
from ovsdp_cuse.device.node import NodeError, Permissions, fuse_problem

log = structlog.get_logger(__name__)

FS_NAME = "ovs-datapath"
FS_TYPE = f"fuse.{FS_NAME}"
READY_TIMEOUT_S = 30
PROBE_TIMEOUT_S = 3

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MNT_DETACH = 2

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


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo: where, and which type of file system."""

    point: str
    type: str


def mounts_at(path: Path) -> list[Mount]:
    """The mounts over `path`, the lowest first (proc_pid_mountinfo(5))."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = fields[4].encode().decode("unicode_escape")
        if point == str(path):
            found.append(Mount(point, fields[fields.index("-") + 1]))
    return found


_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


def unmount(path: Path) -> None:
    """Detach the topmost mount at `path`; OSError where that fails."""
    if os.geteuid() == 0:
        _check(_libc.umount2(os.fsencode(path), MNT_DETACH), f"umount {path}")
        return
    fusermount = _fusermount()
    done = subprocess.run(
        [fusermount, "-u", "-z", "-q", "--", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(done.stderr.strip() or f"{fusermount} could not unmount {path}")


def _fusermount() -> str:
    fusermount = shutil.which("fusermount3")
    if fusermount is None:
        raise NodeError(
            "mounting without root takes fusermount3: install the package fuse3, or run as root"
        )
    return fusermount


class FuseNode:
    """A regular file at `path` that behaves as the device does."""

    kind = "fuse"
    place_option = "--path"

    def __init__(self, path: Path, permissions: Permissions) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would touch the mount
        self._attributes = FileAttributes(permissions.mode, permissions.uid, permissions.gid)
        self._ready = trio.Event()
        self.connection = Connection(attributes=self._attributes, on_ready=self._ready.set)
        self._channel: Channel | None = None
        self._mounted = False
        self._made_file = False
        timeout = request_timeout_s()
        self.wait_limit_s = timeout / 2 if timeout is not None else None

    async def attach(self) -> Channel:
        """Mount; NodeError where the path is taken, or this user may not."""
        problem = fuse_problem()
        if problem is not None:
            raise NodeError(problem)
        await self._clear_stale_mounts()
        self._prepare_file()
        try:
            descriptor = self._mount_as_root() if os.geteuid() == 0 else self._mount_as_user()
        except OSError as error:
            raise NodeError(f"mounting {self.path} failed: {error}") from error
        self._mounted = True
        self._channel = Channel(descriptor)
        if self.wait_limit_s is not None:
            log.warning(
                "this kernel aborts FUSE connections for slow replies; waits end with EINTR",
                after_s=self.wait_limit_s,
                sysctls=[str(sysctl) for sysctl in TIMEOUT_SYSCTLS],
            )
        return self._channel

    async def publish(self) -> None:
        """Wait until INIT is answered."""
        with trio.move_on_after(READY_TIMEOUT_S):
            await self._ready.wait()
            return
        raise NodeError(f"the kernel has not begun with {self.path} within {READY_TIMEOUT_S} s")

    async def withdraw(self) -> None:
        """Unmount, close the channel, and remove the file if we made it."""
        if self._mounted:
            self._mounted = False
            try:
                unmount(self.path)
            except OSError as error:
                log.warning("unmounting failed", path=str(self.path), error=str(error))
        if self._channel is not None:
            self._channel.close()
        if self._made_file:
            self.path.unlink(missing_ok=True)

    async def _clear_stale_mounts(self) -> None:
        """Detach what dead daemons left; NodeError where a living one, or a stranger, is there."""
        while mounts := mounts_at(self.path):
            if mounts[-1].type != FS_TYPE:
                raise NodeError(
                    f"{self.path} is a mount of type {mounts[-1].type}: choose another --path"
                )
            if not await self._is_dead():
                raise NodeError(
                    f"another daemon serves {self.path}: stop it, or choose another --path"
                )
            log.info("clearing the mount of a dead daemon", path=str(self.path))
            unmount(self.path)
            self._made_file = True  # the dead daemon would have removed it

    async def _is_dead(self) -> bool:
        """Whether the mount at our path has lost its daemon; one that does not answer has not."""

        def probe() -> bool:
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            except OSError as error:
                return error.errno in (ENOTCONN, ECONNABORTED)
            os.close(descriptor)
            return False

        with trio.move_on_after(PROBE_TIMEOUT_S):
            return await trio.to_thread.run_sync(probe, abandon_on_cancel=True)
        return False

    def _prepare_file(self) -> None:
        """Make sure that there is a regular file to mount over."""
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            self.path.touch(mode=0o600)
            self._made_file = True
            return
        if not stat.S_ISREG(status.st_mode):
            raise NodeError(
                f"{self.path} exists and is no regular file: remove it, or choose another --path"
            )
        if status.st_size:
            raise NodeError(f"{self.path} is a file with contents: choose another --path")

    def _mount_as_root(self) -> int:
        descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = (
            f"fd={descriptor},rootmode={stat.S_IFREG | self._attributes.mode:o},"
            f"user_id={os.geteuid()},group_id={os.getegid()},allow_other,default_permissions"
        )
        try:
            _check(
                _libc.mount(
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
                [_fusermount(), "-o", options, "--", str(self.path)],
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
