"""The kernel's FUSE and CUSE protocol: numbers and structures.

Source: <linux/fuse.h> (protocol 7.31, Linux 5.4, to 7.45). All in the machine's byte order. Each
structure is a `struct.Struct` and, where it is read, a NamedTuple.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

KERNEL_VERSION = 7
KERNEL_MINOR_VERSION = 31
"""What we answer to INIT: the oldest that we support; later kernels serve it as it was."""

ROOT_ID = 1


class Opcode(IntEnum):
    """enum fuse_opcode: those that this device answers."""

    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    ACCESS = 34
    INTERRUPT = 36
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    BATCH_FORGET = 42
    CUSE_INIT = 4096


class InitFlag(IntFlag):
    """FUSE_* of struct fuse_init_in.flags, those that we ask for."""

    BIG_WRITES = 1 << 5
    ABORT_ERROR = 1 << 21
    MAX_PAGES = 1 << 22


class OpenFlag(IntFlag):
    """FOPEN_* of struct fuse_open_out.open_flags."""

    DIRECT_IO = 1 << 0
    STREAM = 1 << 4
    NOFLUSH = 1 << 5
    PARALLEL_DIRECT_WRITES = 1 << 6


class SetattrValid(IntFlag):
    """FATTR_* of struct fuse_setattr_in.valid, those that matter to one file."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2


READ_LOCKOWNER = 1 << 1
"""FUSE_READ_LOCKOWNER of struct fuse_read_in.read_flags."""
POLL_SCHEDULE_NOTIFY = 1 << 0
NOTIFY_POLL = 1
"""enum fuse_notify_code: FUSE_NOTIFY_POLL."""


class InHeader(NamedTuple):
    """struct fuse_in_header, 40 bytes."""

    length: int
    opcode: int
    unique: int
    nodeid: int
    uid: int
    gid: int
    pid: int
    total_extlen: int
    padding: int


IN_HEADER = struct.Struct("=IIQQIIIHH")
OUT_HEADER = struct.Struct("=IiQ")
"""struct fuse_out_header: len, error (0 or -errno), unique."""


class InitIn(NamedTuple):
    """The beginning of struct fuse_init_in, and all of struct cuse_init_in but its order.

    FUSE has max_readahead where CUSE has an unused word.
    """

    major: int
    minor: int
    max_readahead: int
    flags: int


INIT_IN = struct.Struct("=IIII")
INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
"""struct fuse_init_out, 64 bytes: major, minor, max_readahead, flags, max_background,
congestion_threshold, max_write, time_gran, max_pages, map_alignment, flags2; the rest unused."""
CUSE_INIT_OUT = struct.Struct("=IIIIIIII40x")
"""struct cuse_init_out, 72 bytes: major, minor, unused, flags, max_read, max_write, dev_major,
dev_minor; the rest spare."""

OPEN_IN = struct.Struct("=II")
"""struct fuse_open_in: flags (of open(2)), open_flags."""
OPEN_OUT = struct.Struct("=QIi")
"""struct fuse_open_out: fh, open_flags, backing_id."""
RELEASE_IN = struct.Struct("=QIIQ")
"""struct fuse_release_in: fh, flags, release_flags, lock_owner."""
READ_IN = struct.Struct("=QQIIQII")
"""struct fuse_read_in, 40 bytes: fh, offset, size, read_flags, lock_owner, flags, padding."""
WRITE_IN = struct.Struct("=QQIIQII")
"""struct fuse_write_in, 40 bytes: fh, offset, size, write_flags, lock_owner, flags, padding."""
WRITE_OUT = struct.Struct("=II")
"""struct fuse_write_out: size, padding."""
IOCTL_IN = struct.Struct("=QIIQII")
"""struct fuse_ioctl_in, 32 bytes: fh, flags, cmd, arg, in_size, out_size."""
IOCTL_OUT = struct.Struct("=iIII")
"""struct fuse_ioctl_out: result, flags, in_iovs, out_iovs."""
POLL_IN = struct.Struct("=QQII")
"""struct fuse_poll_in: fh, kh, flags, events."""
POLL_OUT = struct.Struct("=II")
"""struct fuse_poll_out: revents, padding."""
INTERRUPT_IN = struct.Struct("=Q")
"""struct fuse_interrupt_in: the unique of the request to interrupt."""
NOTIFY_POLL_WAKEUP_OUT = struct.Struct("=Q")
"""struct fuse_notify_poll_wakeup_out: kh."""
SETATTR_IN = struct.Struct("=I4xQQQQQQIIIIIIII")
"""struct fuse_setattr_in, 88 bytes: valid, fh, size, lock_owner, atime, mtime, ctime, the three
nanoseconds, mode, unused, uid, gid, unused."""


class SetattrIn(NamedTuple):
    """The fields of SETATTR_IN."""

    valid: int
    fh: int
    size: int
    lock_owner: int
    atime: int
    mtime: int
    ctime: int
    atime_nsec: int
    mtime_nsec: int
    ctime_nsec: int
    mode: int
    unused4: int
    uid: int
    gid: int
    unused5: int


ATTR_OUT = struct.Struct("=QI4x QQQQQQIIIIIIIIII")
"""struct fuse_attr_out, 104 bytes: attr_valid (s), attr_valid_nsec; then struct fuse_attr: ino,
size, blocks, atime, mtime, ctime (s), the three nanoseconds, mode, nlink, uid, gid, rdev, blksize,
flags."""
STATFS_OUT = struct.Struct("=QQQQQIIII24x")
"""struct fuse_statfs_out, 80 bytes: blocks, bfree, bavail, files, ffree, bsize, namelen, frsize."""
