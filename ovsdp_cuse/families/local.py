"""A handle of the device without a kernel, for code in the daemon's own trio loop.

What the system calls of a program do with bytes, these methods do: they go through the same two
doors, so the checks, the queue, the dumps and who watches are the same. A system call on the
device would not do in the daemon's loop: it waits for an answer that this very loop has to give.

    async with LocalHandle(dispatcher, Owner(os.getpid(), 0, 0), Access.READ) as handle:
        reply = await handle.ioctl_transact(request)

Each method that is awaited, but `read_waiting`, lets other tasks have their turn first, so that a
long dump, taken part by part, holds up nobody for longer than one part takes.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EAGAIN, EBADF, EMSGSIZE
from types import TracebackType
from typing import Final, Self

import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dispatch import Dispatcher, Ioctl, IoctlResult
from ovsdp_cuse.families.session import Access, Owner, Session

IOCTL_LENGTH: Final = (1 << 14) - 1
"""Bytes of the longest buffer that an ioctl of a program can have: 14 bits of its number."""

READ_LENGTH: Final = 31 * 4096
"""Bytes for a datagram, as many as a read of a program can count on."""


class LocalHandle:
    """An open handle; ENFILE where there are as many as there may be.

    owner: whom others are told that it belongs to. access: what it may do. nonblocking: whether
    `read` raises EAGAIN where it would wait. It is for one task at a time, as a file descriptor is:
    a request that comes while another runs is refused with EBUSY; but one task may wait in `read`
    while another makes requests.

    What fails raises DatapathError with the errno that a system call would have.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        owner: Owner,
        access: Access = Access.READ | Access.WRITE,
        nonblocking: bool = False,
    ) -> None:
        self._dispatcher = dispatcher
        self._session: Session | None = dispatcher.open(access, nonblocking, owner)
        self._pid = self._session.pid

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The handle's netlink PID; of a closed handle, the one that it had."""
        if self._session is not None:
            self._pid = self._session.pid
        return self._pid

    @property
    def closed(self) -> bool:
        """Whether it was closed, here or by the daemon."""
        return self._session is None or self._session.closed

    def close(self) -> None:
        """Close the handle, and end what waits on it with EBADF; it may be closed already."""
        session, self._session = self._session, None
        if session is not None and not session.closed:  # the daemon may have closed all
            self._pid = session.pid
            self._dispatcher.close(session)

    def poll(self) -> int:
        """The events that are true now, as poll(2) names them."""
        return self._open_session().poll()

    def on_readable(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, once, when the next datagram arrives."""
        self._open_session().on_readable = wake

    # The device door ---------------------------------------------------------------------------

    async def ioctl(self, ioctl: Ioctl, data: bytes = b"", out_size: int = 0) -> IoctlResult:
        """Run any ioctl; see DeviceDoor.ioctl."""
        await trio.lowlevel.checkpoint()
        return await self._dispatcher.ioctl(self._open_session(), ioctl, data, out_size)

    async def ioctl_transact(self, request: bytes, size: int = IOCTL_LENGTH) -> bytes:
        """TRANSACT: the reply to a request, b"" where there is none.

        size: of the reply's buffer; a longer reply is taken by the READ that gives it. For a dump,
        it is the first part; `ioctl_read` has the others.
        """
        try:
            return (await self.ioctl(Ioctl.TRANSACT, request, size)).data
        except DatapathError as error:
            if error.errno != EMSGSIZE:
                raise
            kept = await self.ioctl_read(READ_LENGTH)
            if not kept:
                raise
            return kept

    async def ioctl_write(self, request: bytes) -> None:
        """WRITE: a request without a reply, or one that begins a dump."""
        await self.ioctl(Ioctl.WRITE, request)

    async def ioctl_read(self, size: int = IOCTL_LENGTH) -> bytes:
        """READ: a reply that was kept, or the next part of a dump; b"" where there is neither.

        Raises EMSGSIZE, and loses nothing, where the next object has more than `size` bytes.
        """
        return (await self.ioctl(Ioctl.READ, out_size=size)).data

    async def ioctl_peek(self, size: int) -> tuple[int, bytes]:
        """PEEK: how long the next datagram is, and its first `size` bytes; it stays.

        (0, b"") where none waits. Raises ENOBUFS, once, where some were dropped.
        """
        value, data = await self.ioctl(Ioctl.PEEK, out_size=size)
        return value, data

    # The stream door ---------------------------------------------------------------------------

    async def write(self, messages: bytes) -> int:
        """One or more messages; what they are answered waits to be read then.

        Returns the bytes taken. EBADF where the handle is not open for writing.
        """
        await trio.lowlevel.checkpoint()
        session = self._open_session()
        if not session.writable:
            raise DatapathError(EBADF, "the handle was not opened for writing")
        return await self._dispatcher.write(session, messages)

    async def read(self, size: int = READ_LENGTH) -> bytes:
        """The next datagram; waits for one, or raises EAGAIN on a handle that is nonblocking.

        Raises ENOBUFS, once, where some were dropped, and EMSGSIZE, losing nothing, where the next
        one has more than `size` bytes. EBADF where the handle is not open for reading.
        """
        await trio.lowlevel.checkpoint()
        session = self._open_session()
        if not session.readable:
            raise DatapathError(EBADF, "the handle was not opened for reading")
        return await self._dispatcher.read(session, size, session.nonblocking)

    async def read_waiting(self) -> bytes:
        """The next datagram, b"" where none waits; nobody else has a turn first. As `read` raises.

        For who takes many: others get their turn at the next `read`.
        """
        session = self._open_session()
        if not session.readable:
            raise DatapathError(EBADF, "the handle was not opened for reading")
        try:
            return await self._dispatcher.read(session, READ_LENGTH, nonblocking=True)
        except DatapathError as error:
            if error.errno != EAGAIN:
                raise
            return b""

    def _open_session(self) -> Session:
        if self._session is None or self._session.closed:
            raise DatapathError(EBADF, "the handle was closed")
        return self._session
