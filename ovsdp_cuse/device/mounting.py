"""Mounting a FUSE file system, and telling a dead one from a living one.

As root it is mounted by mount(2); otherwise by fusermount3, which passes the descriptor back over a
socket. Either way the caller has the descriptor, and nobody has answered INIT on it yet.
"""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from errno import ECONNABORTED, ECONNREFUSED, ENOTCONN
from pathlib import Path

import structlog
import trio

from ovsdp_cuse.device.mounts import check, fusermount, libc, mount_at, unmount
from ovsdp_cuse.device.node import NodeError

log = structlog.get_logger(__name__)

PROBE_TIMEOUT_S = 3

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What is mounted.

    name: ends its type. root_mode: type and permission bits of its root. option: that of `serve`
    which says where it is. source: what findmnt(8) shows as its source, where that is not the name;
    only root can choose it.
    """

    name: str
    root_mode: int
    option: str
    read_only: bool = False
    source: str | None = None

    @property
    def type(self) -> str:
        """Its type in mountinfo."""
        return f"fuse.{self.name}"


def mount(path: Path, what: FileSystem) -> int:
    """Mount over `path`; the descriptor on which the kernel asks. OSError where that fails.

    The kernel holds each user to the permissions of the files. As root all users come that far;
    otherwise only the one who mounts. Raises NodeError where fusermount3 is missing.
    """
    return _mount_as_root(path, what) if os.geteuid() == 0 else _mount_as_user(path, what)


async def is_dead(path: Path) -> bool:
    """Whether the mount at `path` has lost its daemon; one that does not answer has not.

    By statfs(2), which asks the daemon, opens nothing and needs no permission on the file.
    """

    def probe() -> bool:
        try:
            os.statvfs(path)
        except OSError as error:
            return error.errno in (ENOTCONN, ECONNABORTED, ECONNREFUSED)
        return False

    with trio.move_on_after(PROBE_TIMEOUT_S):
        return await trio.to_thread.run_sync(probe, abandon_on_cancel=True)
    return False


async def clear_dead(path: Path, what: FileSystem) -> None:
    """Detach what dead daemons left; NodeError where a living one, or a stranger, is there."""
    while there := mount_at(path):
        if there.type != what.type:
            raise NodeError(f"{path} is a mount of type {there.type}: choose another {what.option}")
        if not await is_dead(path):
            raise NodeError(
                f"another daemon serves {path}: stop it, or choose another {what.option}"
            )
        log.info("clearing the mount of a dead daemon", path=str(path))
        unmount(path)


def _mount_as_root(path: Path, what: FileSystem) -> int:
    descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = (
        f"fd={descriptor},rootmode={what.root_mode:o},"
        f"user_id={os.geteuid()},group_id={os.getegid()},allow_other,default_permissions"
    )
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (MS_RDONLY if what.read_only else 0)
    try:
        check(
            libc.mount(
                (what.source or what.name).encode(),
                os.fsencode(path),
                what.type.encode(),
                flags,
                options.encode(),
            ),
            "mount(2)",
        )
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _mount_as_user(path: Path, what: FileSystem) -> int:
    """Let fusermount3 mount; it sends the descriptor (_FUSE_COMMFD)."""
    options = f"fsname={what.name},subtype={what.name},default_permissions,nosuid,nodev,noexec"
    if what.read_only:
        options += ",ro"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [fusermount(), "-o", options, "--", str(path)],
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
