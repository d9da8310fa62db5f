"""An open handle: the ioctls, read, write and poll, on bytes.

Whatever fails is a DatapathError that says what to do about it.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Mapping
from errno import (
    EACCES,
    EBADF,
    EBUSY,
    ECONNABORTED,
    EINVAL,
    EIO,
    EMSGSIZE,
    ENFILE,
    ENOBUFS,
    ENODEV,
    ENOENT,
    ENOTCONN,
    ENOTTY,
    ENXIO,
    EPERM,
)
from sys import byteorder
from typing import Protocol

from ovsdp_cuse.client.ioctl import (
    OVS_IOCTL_GET_PID,
    OVS_IOCTL_MAX_LENGTH,
    ovs_ioctl_peek,
    ovs_ioctl_read,
    ovs_ioctl_transact,
    ovs_ioctl_write,
)
from ovsdp_cuse.errors import DatapathError

REPLY_LENGTH = 4096
"""Bytes for the reply to an ioctl. One that is longer is kept for us, and read after."""

READ_LENGTH = 31 * 4096
"""Bytes for a read. The kernel passes on at most 32 pages of a buffer at a time, and of a buffer
that begins within a page one less."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong)  # and a pointer, for it is variadic

_START = "start the daemon with 'ovsdp-cuse serve'"
_DEAD = f"the daemon has ended: {_START} again, and open the device anew"

_OPEN_PROBLEMS = {
    EACCES: "{path} may not be opened: be in its group, or open it read-only where that will do",
    ECONNABORTED: f"the daemon that served {{path}} was killed: {_START} again",
    ENFILE: "{path} has as many open handles as it may have ('serve --handle-limit')",
    ENODEV: f"nobody serves {{path}}: {_START}",
    ENOENT: f"there is no {{path}}: {_START}",
    ENOTCONN: f"the daemon that served {{path}} was killed: {_START} again",
    ENOTTY: f"{{path}} is no datapath device, or nobody serves it: {_START}",
    ENXIO: f"nobody serves {{path}}: {_START}",
}
_PROBLEMS = {
    EBADF: "the device was closed, or was opened read-only and the request takes a write",
    EBUSY: "another request is running on this handle",
    ECONNABORTED: _DEAD,
    EINVAL: "the device does not take such a request this way; 'serve --trace' shows why",
    EMSGSIZE: "too large for an ioctl",
    ENODEV: "there is no such datapath, or the daemon has ended",
    ENOTCONN: f"{_DEAD}; or a fault has closed the queue of this handle ('fault list')",
    EPERM: "that needs a handle that was opened for writing",
}


class EventsLost(DatapathError):
    """Events came faster than they were read, and some were dropped (ENOBUFS).

    What they told has to be asked for anew, by a dump; those that follow are whole.
    """

    def __init__(self) -> None:
        super().__init__(ENOBUFS, "events were lost: they came faster than they were read")
        self.args = ()


def _explained(error: OSError, problems: Mapping[int, str], path: str) -> DatapathError:
    errno = error.errno or EIO
    return DatapathError(errno, problems.get(errno, os.strerror(errno)).format(path=path))


def check_length(request: bytes) -> None:
    """Raise EMSGSIZE where a request is longer than an ioctl can carry."""
    if len(request) > OVS_IOCTL_MAX_LENGTH:
        raise DatapathError(EMSGSIZE, f"an ioctl carries at most {OVS_IOCTL_MAX_LENGTH} bytes")


class RawHandle(Protocol):
    """What Device needs of an open handle; `Handle` is one, and says what its methods do.

    None of them waits but `wait_readable`. path: the device's name, for people.
    """

    path: str
    descriptor: int
    pid: int

    def close(self) -> None: ...

    def ioctl_transact(self, request: bytes) -> bytes: ...

    def ioctl_write(self, request: bytes) -> None: ...

    def ioctl_read(self) -> bytes: ...

    def ioctl_peek(self, size: int) -> tuple[int, bytes]: ...

    def write(self, messages: bytes) -> None: ...

    def read(self) -> bytes | None: ...

    def wait_readable(self, deadline: float | None = None, other: int | None = None) -> bool: ...


class Handle:
    """An open handle of the device at `path`, with its netlink PID.

    No call waits but `wait_readable`: the file is O_NONBLOCK, so that a missing answer is noticed.
    """

    def __init__(self, path: str, read_only: bool = False) -> None:
        self.path = path
        self.descriptor = -1
        flags = (os.O_RDONLY if read_only else os.O_RDWR) | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self.descriptor = os.open(path, flags)
            pid = self._ioctl(OVS_IOCTL_GET_PID, bytearray(4))
        except OSError as error:
            self.close()
            raise _explained(error, _OPEN_PROBLEMS, path) from None
        self.pid = int.from_bytes(pid, byteorder)

    def close(self) -> None:
        """Close the handle; it may be closed already."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    # The device door ---------------------------------------------------------------------------

    def ioctl_transact(self, request: bytes) -> bytes:
        """TRANSACT: the reply to a request, b"" where there is none."""
        check_length(request)
        buffer = bytearray(request.ljust(REPLY_LENGTH, b"\0"))
        try:
            return self._ioctl(ovs_ioctl_transact(len(buffer)), buffer)
        except OSError as error:
            if error.errno == EMSGSIZE:  # the reply was kept, and is what the next read gives
                return self.read() or b""
            raise _explained(error, _PROBLEMS, self.path) from None

    def ioctl_write(self, request: bytes) -> None:
        """WRITE: a request without a reply, or one that begins a dump."""
        check_length(request)
        try:
            self._ioctl(ovs_ioctl_write(len(request)), bytearray(request))
        except OSError as error:
            raise _explained(error, _PROBLEMS, self.path) from None

    def ioctl_read(self) -> bytes:
        """READ: the next part of the dump that WRITE began; b"" where no dump is open.

        Raises EMSGSIZE where the next object is larger than an ioctl can carry.
        """
        buffer = bytearray(OVS_IOCTL_MAX_LENGTH)
        try:
            return self._ioctl(ovs_ioctl_read(len(buffer)), buffer)
        except OSError as error:
            raise _explained(error, _PROBLEMS, self.path) from None

    def ioctl_peek(self, size: int) -> tuple[int, bytes]:
        """PEEK: how long the datagram is that `read` would give, and its first `size` bytes.

        It stays; (0, b"") where none waits. Raises EventsLost, once, where some were dropped.
        """
        buffer = bytearray(size)
        try:
            length = self._call(ovs_ioctl_peek(size), buffer)
        except OSError as error:
            if error.errno == ENOBUFS:
                raise EventsLost from None
            raise _explained(error, _PROBLEMS, self.path) from None
        return length, bytes(buffer[:length])

    def _ioctl(self, number: int, buffer: bytearray) -> bytes:
        """Make an ioctl that returns how many bytes it gives."""
        return bytes(buffer[: self._call(number, buffer)])

    def _call(self, number: int, buffer: bytearray) -> int:
        # Not fcntl.ioctl: with more than 1 KiB it lets no other thread run meanwhile (CPython
        # 3.11), and among the others may be the daemon.
        argument = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        result: int = _libc.ioctl(self.descriptor, number, argument)
        if result < 0:
            raise OSError(ctypes.get_errno(), "ioctl failed")
        return result

    # The stream door ---------------------------------------------------------------------------

    def write(self, messages: bytes) -> None:
        """Write one or more messages; what they are answered waits to be read then."""
        try:
            os.write(self.descriptor, messages)
        except OSError as error:
            raise _explained(error, _PROBLEMS, self.path) from None

    def read(self) -> bytes | None:
        """The next datagram, or None where none waits; EventsLost where some were dropped."""
        try:
            return os.read(self.descriptor, READ_LENGTH)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == ENOBUFS:
                raise EventsLost from None
            raise _explained(error, _PROBLEMS, self.path) from None

    def wait_readable(self, deadline: float | None = None, other: int | None = None) -> bool:
        """Wait until a read gives something; False if that is not before the deadline.

        deadline: of time.monotonic(), in seconds; None for none. other: a descriptor that ends
        the wait, too, when it becomes readable.
        """
        if self.descriptor < 0:
            return True  # the read will say that it was closed
        poll = select.poll()
        for descriptor in (self.descriptor, other):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        rest_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        return bool(poll.poll(rest_ms))
