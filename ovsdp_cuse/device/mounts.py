"""What is mounted at a path, unmounting, and one daemon at a time in between."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from ovsdp_cuse.device.node import NodeError

log = structlog.get_logger(__name__)

LOCK_LIMIT_S = 10
"""How long to wait for a lock: far longer than any daemon here keeps it."""
LOCK_RETRY_S = 0.01

MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """OSError for a call of the C library that has failed."""
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")
"""How mountinfo writes what would end a field, and the backslash."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Of a line of mountinfo: the type, and the device, which no other living file system has."""

    type: str
    device: str


def mount_at(path: Path) -> Mount | None:
    """The topmost mount at `path`; None where there is none, or no such file.

    The kernel is asked for the identifier of the mount (proc_pid_fdinfo(5)): to look for the path
    in mountinfo would mean to resolve symbolic links as the kernel does. Opening with O_PATH asks
    no daemon, so a dead one does no harm. OSError where the directory cannot be reached.
    """
    try:
        mount_id = _mount_id(path)
    except FileNotFoundError:
        return None
    if mount_id == _mount_id(path.parent):
        return None
    for line in _MOUNTINFO.read_bytes().split(b"\n"):
        fields = line.split(b" ")
        if fields[0] == mount_id:
            # Optional fields stand before a "-" (proc_pid_mountinfo(5)).
            file_system = fields.index(b"-", 6) + 1
            return Mount(os.fsdecode(fields[file_system]), os.fsdecode(fields[2]))
    return None  # unmounted meanwhile


def mounts_from(source: str, kind: str) -> list[Path]:
    """Where file systems of that source and type are mounted."""
    found = []
    for line in _MOUNTINFO.read_bytes().rstrip(b"\n").split(b"\n"):
        fields = line.split(b" ")
        after = fields.index(b"-", 6) + 1
        if fields[after : after + 2] == [kind.encode(), source.encode()]:
            path = _ESCAPED.sub(lambda octal: bytes([int(octal[1], 8)]), fields[4])
            found.append(Path(os.fsdecode(path)))
    return found


def _mount_id(path: Path) -> bytes:
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().split(b"\n")
    finally:
        os.close(descriptor)
    return next(line for line in lines if line.startswith(b"mnt_id:")).split()[1]


def unmount(path: Path) -> None:
    """Detach the topmost mount at `path`; OSError where that fails."""
    if os.geteuid() == 0:
        check(libc.umount2(os.fsencode(path), MNT_DETACH), f"umount {path}")
        return
    program = fusermount()
    done = subprocess.run(
        [program, "-u", "-z", "-q", "--", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(done.stderr.strip() or f"{program} could not unmount {path}")


def fusermount() -> str:
    """The program that mounts for those who are not root; NodeError where it is missing."""
    program = shutil.which("fusermount3")
    if program is None:
        raise NodeError(
            "mounting without root takes fusermount3: install the package fuse3, or run as root"
        )
    return program


@asynccontextmanager
async def directory_lock(directory: Path) -> AsyncIterator[None]:
    """Keep other daemons from mounting and unmounting in `directory` meanwhile (flock(2)).

    It is the directory that is locked because the file in it may lie under a mount, and because
    that leaves nothing behind. Everybody who can read it can lock it: who keeps it for longer than
    a daemon ever does is none, and is not waited for.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with trio.move_on_after(LOCK_LIMIT_S) as limit:
            while not _try_lock(descriptor):  # noqa: ASYNC110 - flock(2) tells nobody when
                await trio.sleep(LOCK_RETRY_S)
        if limit.cancelled_caught:
            log.warning("somebody keeps a lock on the directory", path=str(directory))
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
