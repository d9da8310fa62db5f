"""A channel to the kernel: an open /dev/cuse or /dev/fuse, one request a read, one reply a write.

The descriptor is non-blocking, and read into one buffer that is kept: allocating a fresh one for
each read costs more than all else that a request does.
"""

from __future__ import annotations

import os
import select
from errno import ECONNABORTED, EINTR, EINVAL, ENODEV, ENOENT

import structlog
import trio

from ovsdp_cuse.device.connection import BUFFER_SIZE

log = structlog.get_logger(__name__)


class ChannelClosed(Exception):
    """The kernel has ended the connection: the node is gone."""


class Channel:
    """Reads requests from a descriptor and writes replies to it; it owns the descriptor."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._buffers = [bytearray(BUFFER_SIZE)]
        self._view = memoryview(self._buffers[0])

    def receive(self) -> memoryview | None:
        """The next request, valid until the next call; None where none waits.

        Raises ChannelClosed when the kernel has ended the connection.
        """
        while True:
            try:
                length = os.readv(self.descriptor, self._buffers)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in (ENODEV, ECONNABORTED):
                    raise ChannelClosed from error
                if error.errno in (EINTR, ENOENT):
                    continue  # the request was withdrawn while it was being read
                raise
            if not length:
                raise ChannelClosed
            return self._view[:length]

    def send(self, reply: bytes) -> None:
        """Write a reply or a notification.

        A client that has gone away since is no error. Where the kernel refuses a reply as
        malformed the client would hang, so that is logged and told by OSError.
        """
        try:
            os.write(self.descriptor, reply)
        except OSError as error:
            if error.errno == EINVAL:
                raise
            if error.errno not in (ENOENT, ENODEV, ECONNABORTED):
                # EAGAIN too: no kernel says it, and the client of a lost reply hangs.
                log.error("a reply could not be written", error=str(error))

    def is_alive(self) -> bool:
        """Whether the kernel still keeps up the connection: it tells by EPOLLERR."""
        poller = select.poll()
        poller.register(self.descriptor, 0)  # errors are told unasked
        return not poller.poll(0)

    async def wait_readable(self) -> None:
        """Return when `receive` may have something."""
        await trio.lowlevel.wait_readable(self.descriptor)

    def close(self) -> None:
        """End the connection; requests that wait fail at once. May be called again."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)
