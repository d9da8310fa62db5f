"""The loop that serves a node: one nursery, one reply for each request, always.

Most requests are answered without ever waiting, so a request does not get a task of its own. A
*reader* task reads requests and answers them one after the other; when one has to wait, the reader
belongs to that request from then on, another reader is started to go on with the channel, and the
first ends with its request. So a request that waits holds up no other, and one that does not costs
no more than a call. Each reader has one cancel scope, which is therefore that of the one request
that waits in it, and FUSE_INTERRUPT cancels it.

The kernel sends an INTERRUPT only after the request that it is for was read, and this loop is the
one reader of its channel: an INTERRUPT for a request that is not waiting came too late, and is
ignored.
"""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Coroutine, Generator
from errno import EBADF, EINTR, EIO, ENODEV
from typing import Any

import structlog
import trio

from ovsdp_cuse.device import connection as protocol
from ovsdp_cuse.device.channel import Channel, ChannelClosed
from ovsdp_cuse.device.connection import Connection
from ovsdp_cuse.device.ioctl import lookup
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dispatch import Dispatcher
from ovsdp_cuse.families.session import Access, Owner, Session

log = structlog.get_logger(__name__)

REQUESTS_BEFORE_OTHERS = 64
"""Requests that are served in a row before other tasks get their turn; each 4 KiB count as one."""

_ACCESS = {
    os.O_RDONLY: Access.READ,
    os.O_WRONLY: Access.WRITE,
    os.O_RDWR: Access.READ | Access.WRITE,
}


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, None], trap: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was begun by hand, and gave up control with `trap`."""
    while True:
        thrown = None
        result = None
        try:
            result = yield trap
        except BaseException as error:  # cancellation too belongs to the coroutine
            thrown = error
        try:
            trap = coroutine.send(result) if thrown is None else coroutine.throw(thrown)
        except StopIteration:
            return


class Server:
    """Serves one channel until it is cancelled or the kernel ends it.

    wait_limit_s: the longest that a request may wait; it then ends with EINTR. None for no limit.
    """

    def __init__(
        self,
        channel: Channel,
        connection: Connection,
        dispatcher: Dispatcher,
        wait_limit_s: float | None = None,
    ) -> None:
        self._channel = channel
        self._connection = connection
        self._dispatcher = dispatcher
        self._wait_limit_s = wait_limit_s
        self._sessions: dict[int, Session] = {}
        self._handles = 0
        self._waiting: dict[int, trio.CancelScope] = {}
        self._closed: ChannelClosed | None = None
        self._actions: dict[type, Callable[[Any], Coroutine[Any, Any, bytes]]] = {
            protocol.Ioctl: self._ioctl,
            protocol.Read: self._read,
            protocol.Write: self._write,
            protocol.Open: self._open,
            protocol.Release: self._release,
            protocol.Poll: self._poll,
        }

    async def serve(self) -> None:
        """Serve until cancelled; ChannelClosed when the kernel ends the connection.

        When it is cancelled whatever waits is answered first, with ENODEV.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._dispatcher.run)
                nursery.start_soon(self._read_requests, nursery)
        finally:
            for session in self._sessions.values():
                self._dispatcher.close(session)
            self._sessions.clear()
        raise self._closed or ChannelClosed()

    async def _read_requests(self, nursery: trio.Nursery) -> None:
        """A reader: serve requests until one has waited, then end with that one."""
        channel, connection = self._channel, self._connection
        in_a_row = 0
        with trio.CancelScope() as scope:
            while True:
                try:
                    frame = channel.receive()
                except ChannelClosed as closed:
                    self._closed = closed
                    nursery.cancel_scope.cancel()
                    return
                if frame is None:
                    in_a_row = 0
                    await channel.wait_readable()
                    continue
                event = connection.receive(frame)
                if event is None:
                    continue
                if isinstance(event, protocol.Answered):
                    channel.send(event.reply)
                elif isinstance(event, protocol.Interrupt):
                    waiting = self._waiting.get(event.target)
                    if waiting is not None:
                        waiting.cancel()
                else:
                    # Begun by hand, for the sake of the moment when it first gives up control.
                    response = self._respond(event)
                    try:
                        trap = response.send(None)
                    except StopIteration:
                        pass
                    else:
                        self._set_waiting(event.unique, scope)
                        nursery.start_soon(self._read_requests, nursery)
                        await _go_on(response, trap)
                        return
                in_a_row += 1 + len(frame) // 4096
                if in_a_row >= REQUESTS_BEFORE_OTHERS:
                    in_a_row = 0
                    await trio.lowlevel.checkpoint()

    def _set_waiting(self, unique: int, scope: trio.CancelScope) -> None:
        """Let an INTERRUPT for a request, or the limit for waits, cancel its reader."""
        self._waiting[unique] = scope
        if self._wait_limit_s is not None:
            scope.deadline = trio.current_time() + self._wait_limit_s

    async def _respond(self, event: Any) -> None:
        """Do what a request asks and send its reply; the only place that does."""
        unique = event.unique
        reply = None
        try:
            reply = await self._actions[type(event)](event)
        except DatapathError as error:
            reply = protocol.reply_error(unique, error.errno)
        except trio.Cancelled:
            # Either this request was interrupted, or all of the device is being stopped.
            interrupted = self._waiting[unique].cancel_called
            reply = protocol.reply_error(unique, EINTR if interrupted else ENODEV)
            raise
        except Exception:
            log.exception("a request failed", request=type(event).__name__, unique=unique)
        finally:
            self._waiting.pop(unique, None)
            self._send(unique, reply)

    def _send(self, unique: int, reply: bytes | None) -> None:
        try:
            self._channel.send(reply or protocol.reply_error(unique, EIO))
        except OSError as error:
            log.error("the kernel refused a reply", error=str(error), unique=unique)
            self._channel.send(protocol.reply_error(unique, EIO))

    def _session(self, handle: int) -> Session:
        try:
            return self._sessions[handle]
        except KeyError:
            raise DatapathError(EBADF, f"no handle {handle} is open") from None

    async def _ioctl(self, event: protocol.Ioctl) -> bytes:
        value, data = await self._dispatcher.ioctl(
            self._session(event.handle), lookup(event.number), event.data, event.out_size
        )
        return protocol.reply_ioctl(event.unique, value, data)

    async def _read(self, event: protocol.Read) -> bytes:
        session = self._session(event.handle)
        if event.offset:
            # The kernel asks again when an answer fills its request, to fill the client's buffer;
            # but a read gives one datagram.
            return protocol.reply_data(event.unique)
        nonblocking = bool(event.flags & os.O_NONBLOCK)
        datagram = await self._dispatcher.read(session, event.size, nonblocking)
        return protocol.reply_data(event.unique, datagram)

    async def _write(self, event: protocol.Write) -> bytes:
        # With O_APPEND the first part has an offset already, the file's size.
        continues = bool(event.offset) and not event.flags & os.O_APPEND
        taken = await self._dispatcher.write(self._session(event.handle), event.data, continues)
        return protocol.reply_write(event.unique, taken)

    async def _open(self, event: protocol.Open) -> bytes:
        session = self._dispatcher.open(
            _ACCESS.get(event.flags & os.O_ACCMODE, Access(0)),
            bool(event.flags & os.O_NONBLOCK),
            Owner(event.pid, event.uid, event.gid),
        )
        # The kernel's name of a handle; its PID may become another one.
        self._handles += 1
        self._sessions[self._handles] = session
        return self._connection.reply_open(event.unique, self._handles)

    async def _release(self, event: protocol.Release) -> bytes:
        session = self._session(event.handle)
        del self._sessions[event.handle]
        self._dispatcher.close(session)
        return protocol.reply_data(event.unique)

    async def _poll(self, event: protocol.Poll) -> bytes:
        session = self._session(event.handle)
        if event.schedule:
            # Each arming wakes at most once. What arrives from now on wakes; what is there
            # already is in the answer.
            poll_handle = event.poll_handle
            session.on_readable = lambda: self._channel.send(protocol.notify_poll(poll_handle))
        return protocol.reply_poll(event.unique, session.poll())
