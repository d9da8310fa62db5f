"""The kernel's channel without its I/O: bytes that were read <-> requests, replies <-> bytes.

States: a connection waits for INIT, then it is ready, and stays so.

    AWAIT_INIT  INIT or CUSE_INIT of our major version     -> READY
                one of a later major version: ours is named -> AWAIT_INIT (the kernel asks again)
    READY       any request                                 -> READY

`receive` gives for each read one of: a request for the server, to be answered with one of the
`reply_*` functions; an Answered, whose bytes are the whole reply; or None, for what has no reply.
Whatever the bytes are, it raises nothing.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from errno import EINVAL, EIO, ENOSYS, EPROTO
from typing import NamedTuple

from ovsdp_cuse.device import fuse_abi as abi

MAX_WRITE = 256 * 1024
"""Bytes of one WRITE: above net.core.wmem_default, which bounds a sendmsg on a netlink socket."""
MAX_PAGES = MAX_WRITE // 4096
BUFFER_SIZE = MAX_WRITE + 4096
"""Bytes that a read of the channel must offer: max_write and the headers (fs/fuse/dev.c)."""

ATTRIBUTES_VALID_S = 3600
"""How long the kernel may keep the file's attributes; only SETATTR changes them, through it."""

FILE_SIZE = MAX_WRITE
"""The size that the FUSE node shows. Reads do not depend on it (FOPEN_DIRECT_IO); but only writes
that end below it run in parallel (FOPEN_PARALLEL_DIRECT_WRITES, Linux 6.2), and without that a
write of one handle that waits holds up the writes of all others. No command of ours waits in a
write; one of another package's family might."""


class Open(NamedTuple):
    """OPEN: flags are those of open(2); uid, gid, pid are the client's."""

    unique: int
    flags: int
    uid: int
    gid: int
    pid: int


class Release(NamedTuple):
    """RELEASE: the last close of a handle."""

    unique: int
    handle: int


class Read(NamedTuple):
    """READ: at most `size` bytes; flags are the file's status flags now."""

    unique: int
    handle: int
    offset: int
    size: int
    flags: int


class Write(NamedTuple):
    """WRITE; flags are the file's status flags now."""

    unique: int
    handle: int
    offset: int
    flags: int
    data: bytes


class Ioctl(NamedTuple):
    """IOCTL: `data` is what the client's buffer holds, `out_size` what it takes back."""

    unique: int
    handle: int
    number: int
    out_size: int
    data: bytes


class Poll(NamedTuple):
    """POLL: `schedule` asks for a notification to `poll_handle` when the answer changes."""

    unique: int
    handle: int
    poll_handle: int
    schedule: bool


class Interrupt(NamedTuple):
    """INTERRUPT: a signal reached the client of request `target`; it has no reply."""

    target: int


class Answered(NamedTuple):
    """A request that needed no server: the reply, ready to be written."""

    reply: bytes


Request = Open | Release | Read | Write | Ioctl | Poll | Interrupt
Event = Request | Answered


class State(Enum):
    """What the connection waits for."""

    AWAIT_INIT = auto()
    READY = auto()


@dataclass(slots=True)
class FileAttributes:
    """What stat(2) shows of the FUSE node: permission bits, owner and group."""

    mode: int = 0o660
    uid: int = 0
    gid: int = 0


_OPCODE_AND_UNIQUE = struct.Struct("=IQ")
"""At byte 4 of struct fuse_in_header; most requests need no more of it."""
_IOCTL_START = abi.IN_HEADER.size
_IOCTL_DATA = _IOCTL_START + abi.IOCTL_IN.size
_IOCTL_REPLY = struct.Struct(abi.OUT_HEADER.format + abi.IOCTL_OUT.format[1:])
_WRITE_REPLY = struct.Struct(abi.OUT_HEADER.format + abi.WRITE_OUT.format[1:])
_POLL_REPLY = struct.Struct(abi.OUT_HEADER.format + abi.POLL_OUT.format[1:])
_OUT_SIZE = abi.OUT_HEADER.size


def reply_error(unique: int, errno: int) -> bytes:
    """A reply that fails the client's system call with `errno` (positive)."""
    return abi.OUT_HEADER.pack(_OUT_SIZE, -errno, unique)


def reply_data(unique: int, data: bytes = b"") -> bytes:
    """A reply whose body is `data`: READ's, or one of a request that has a structure as answer."""
    return abi.OUT_HEADER.pack(_OUT_SIZE + len(data), 0, unique) + data


def reply_write(unique: int, size: int) -> bytes:
    """WRITE took `size` bytes."""
    return _WRITE_REPLY.pack(_WRITE_REPLY.size, 0, unique, size, 0)


def reply_ioctl(unique: int, value: int, data: bytes = b"") -> bytes:
    """IOCTL returns `value` (>= 0) and `data` in the client's buffer."""
    return _IOCTL_REPLY.pack(_IOCTL_REPLY.size + len(data), 0, unique, value, 0, 0, 0) + data


def reply_poll(unique: int, events: int) -> bytes:
    """POLL: the events that are true now."""
    return _POLL_REPLY.pack(_POLL_REPLY.size, 0, unique, events, 0)


def notify_poll(poll_handle: int) -> bytes:
    """Wake who polls: the kernel asks again with POLL."""
    body = abi.NOTIFY_POLL_WAKEUP_OUT.pack(poll_handle)
    return abi.OUT_HEADER.pack(_OUT_SIZE + len(body), abi.NOTIFY_POLL, 0) + body


class Connection:
    """One channel's protocol.

    device_name: of the CUSE device, None for a FUSE file. attributes: what the FUSE file shows.
    on_ready: called when INIT has been answered.
    """

    def __init__(
        self,
        device_name: str | None = None,
        attributes: FileAttributes | None = None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self.state = State.AWAIT_INIT
        self.problem: str | None = None
        """Why the kernel's INIT could not be accepted."""
        self._device_name = device_name
        self._attributes = attributes or FileAttributes()
        self._on_ready = on_ready
        self._open_flags = abi.OpenFlag.DIRECT_IO | abi.OpenFlag.STREAM
        if device_name is None:
            # A close then asks nobody, and takes no lock that a waiting write may hold.
            self._open_flags |= abi.OpenFlag.NOFLUSH | abi.OpenFlag.PARALLEL_DIRECT_WRITES
        self._parsers: dict[int, Callable[[int, memoryview], Event | None]] = {
            abi.Opcode.IOCTL: self._ioctl,
            abi.Opcode.OPEN: self._open,
            abi.Opcode.RELEASE: self._release,
            abi.Opcode.READ: self._read,
            abi.Opcode.WRITE: self._write,
            abi.Opcode.POLL: self._poll,
            abi.Opcode.INTERRUPT: self._interrupt,
            abi.Opcode.FLUSH: self._nothing_to_do,
            abi.Opcode.FSYNC: self._nothing_to_do,
            abi.Opcode.ACCESS: self._nothing_to_do,
            abi.Opcode.GETATTR: self._getattr,
            abi.Opcode.SETATTR: self._setattr,
            abi.Opcode.STATFS: self._statfs,
            abi.Opcode.FORGET: self._no_reply,
            abi.Opcode.BATCH_FORGET: self._no_reply,
            abi.Opcode.DESTROY: self._nothing_to_do,
        }

    def receive(self, frame: memoryview) -> Event | None:
        """What one read of the channel was; see the module's text."""
        if len(frame) < _IOCTL_START:
            return None
        opcode, unique = _OPCODE_AND_UNIQUE.unpack_from(frame, 4)
        try:
            if self.state is not State.READY:
                return self._init(opcode, unique, frame)
            parser = self._parsers.get(opcode)
            if parser is None:
                # The kernel remembers this for most opcodes and does not ask again.
                return Answered(reply_error(unique, ENOSYS))
            return parser(unique, frame)
        except struct.error:
            return Answered(reply_error(unique, EINVAL))

    def reply_open(self, unique: int, handle: int) -> bytes:
        """OPEN succeeded: `handle` names the open file from now on."""
        return reply_data(unique, abi.OPEN_OUT.pack(handle, self._open_flags, 0))

    def _init(self, opcode: int, unique: int, frame: memoryview) -> Event:
        cuse = self._device_name is not None
        if opcode != (abi.Opcode.CUSE_INIT if cuse else abi.Opcode.INIT):
            return Answered(reply_error(unique, EIO))
        init = abi.InitIn._make(abi.INIT_IN.unpack_from(frame, _IOCTL_START))
        if init.major < abi.KERNEL_VERSION or (
            init.major == abi.KERNEL_VERSION and init.minor < abi.KERNEL_MINOR_VERSION
        ):
            self.problem = (
                f"the kernel speaks protocol {init.major}.{init.minor} of FUSE; "
                f"{abi.KERNEL_VERSION}.{abi.KERNEL_MINOR_VERSION} (Linux 5.4) is needed"
            )
            return Answered(reply_error(unique, EPROTO))
        if init.major == abi.KERNEL_VERSION:
            self.state = State.READY
        if self._device_name is not None:
            body = abi.CUSE_INIT_OUT.pack(
                abi.KERNEL_VERSION, abi.KERNEL_MINOR_VERSION, 0, 0, MAX_WRITE, MAX_WRITE, 0, 0
            )
            body += b"DEVNAME=" + self._device_name.encode() + b"\0"
        else:
            # Not ATOMIC_O_TRUNC: the kernel would then take the size to be 0, see FILE_SIZE.
            wanted = abi.InitFlag.BIG_WRITES | abi.InitFlag.ABORT_ERROR | abi.InitFlag.MAX_PAGES
            body = abi.INIT_OUT.pack(
                abi.KERNEL_VERSION,
                abi.KERNEL_MINOR_VERSION,
                init.max_readahead,
                wanted & init.flags,
                # RELEASE is sent in the background; no limit may put it off behind an OPEN.
                0xFFFF,
                0xFFFF,
                MAX_WRITE,
                1,
                MAX_PAGES,
                0,
                0,
            )
        if self.state is State.READY:
            self._on_ready()
        return Answered(reply_data(unique, body))

    def _ioctl(self, unique: int, frame: memoryview) -> Event:
        handle, _flags, number, _argument, in_size, out_size = abi.IOCTL_IN.unpack_from(
            frame, _IOCTL_START
        )
        data = bytes(frame[_IOCTL_DATA : _IOCTL_DATA + in_size])
        if len(data) != in_size:
            return Answered(reply_error(unique, EINVAL))
        return Ioctl(unique, handle, number, out_size, data)

    @staticmethod
    def _open(unique: int, frame: memoryview) -> Event:
        header = abi.InHeader._make(abi.IN_HEADER.unpack_from(frame))
        flags, _open_flags = abi.OPEN_IN.unpack_from(frame, _IOCTL_START)
        return Open(unique, flags, header.uid, header.gid, header.pid)

    @staticmethod
    def _release(unique: int, frame: memoryview) -> Event:
        return Release(unique, abi.RELEASE_IN.unpack_from(frame, _IOCTL_START)[0])

    def _read(self, unique: int, frame: memoryview) -> Event:
        handle, offset, size, read_flags, _, flags, _ = abi.READ_IN.unpack_from(frame, _IOCTL_START)
        if self._device_name is None and not read_flags & abi.READ_LOCKOWNER:
            # The kernel wants a page for its cache (mmap, readahead), where every handle would see
            # what is for one: only read(2) has an owner.
            return Answered(reply_error(unique, EIO))
        return Read(unique, handle, offset, size, flags)

    @staticmethod
    def _write(unique: int, frame: memoryview) -> Event:
        handle, offset, size, _, _, flags, _ = abi.WRITE_IN.unpack_from(frame, _IOCTL_START)
        start = _IOCTL_START + abi.WRITE_IN.size
        data = bytes(frame[start : start + size])
        if len(data) != size:
            return Answered(reply_error(unique, EINVAL))
        return Write(unique, handle, offset, flags, data)

    @staticmethod
    def _poll(unique: int, frame: memoryview) -> Event:
        handle, poll_handle, flags, _events = abi.POLL_IN.unpack_from(frame, _IOCTL_START)
        return Poll(unique, handle, poll_handle, bool(flags & abi.POLL_SCHEDULE_NOTIFY))

    @staticmethod
    def _interrupt(unique: int, frame: memoryview) -> Event:
        return Interrupt(abi.INTERRUPT_IN.unpack_from(frame, _IOCTL_START)[0])

    @staticmethod
    def _no_reply(unique: int, frame: memoryview) -> None:
        return None

    @staticmethod
    def _nothing_to_do(unique: int, frame: memoryview) -> Event:
        return Answered(reply_data(unique))

    def _getattr(self, unique: int, frame: memoryview) -> Event:
        return Answered(reply_data(unique, self._attr_out()))

    def _setattr(self, unique: int, frame: memoryview) -> Event:
        """chmod and chown are obeyed, size and times do not exist here and are let pass."""
        wanted = abi.SetattrIn._make(abi.SETATTR_IN.unpack_from(frame, _IOCTL_START))
        attributes = self._attributes
        if wanted.valid & abi.SetattrValid.MODE:
            attributes.mode = stat.S_IMODE(wanted.mode)
        if wanted.valid & abi.SetattrValid.UID:
            attributes.uid = wanted.uid
        if wanted.valid & abi.SetattrValid.GID:
            attributes.gid = wanted.gid
        return Answered(reply_data(unique, self._attr_out()))

    def _attr_out(self) -> bytes:
        attributes = self._attributes
        return abi.ATTR_OUT.pack(
            ATTRIBUTES_VALID_S,
            0,
            abi.ROOT_ID,
            FILE_SIZE,
            0,
            *(0, 0, 0),
            *(0, 0, 0),
            stat.S_IFREG | attributes.mode,
            1,
            attributes.uid,
            attributes.gid,
            0,
            4096,
            0,
        )

    @staticmethod
    def _statfs(unique: int, frame: memoryview) -> Event:
        return Answered(reply_data(unique, abi.STATFS_OUT.pack(0, 0, 0, 1, 0, 4096, 255, 4096, 0)))
