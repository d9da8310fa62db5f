"""A dump in progress: the state that a handle keeps between the parts of one.

The rules are those of netlink_dump() (net/netlink/af_netlink.c):

1. A part is whole messages, as many as fit, each with NLM_F_MULTI.
2. NLMSG_DONE ends it, in a part of its own. An error that ends a dump is told by NLMSG_DONE too.

Where a handler yields from a snapshot of what there is, each object that exists all the while is
dumped exactly once, whatever comes and goes. The kernel's lists are walked by position, so it may
skip one; NLM_F_DUMP_INTR is set by neither (no family here sets the sequence that it would need).
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EIO, EMSGSIZE

import structlog

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.request import Body, Request
from ovsdp_cuse.wire.netlink import NLM_F_MULTI, build_done

log = structlog.get_logger(__name__)


class Dump:
    """The rest of a dump that `request` began; `bodies` is what its handler yields."""

    def __init__(self, request: Request, bodies: Iterator[Body]) -> None:
        self._request = request
        self._bodies = bodies
        self._pending: bytes | None = None
        self._error: DatapathError | None = None
        self._fault = request.fault
        self.done = False

    @property
    def request(self) -> Request:
        """The request that began it."""
        return self._request

    @property
    def command_name(self) -> str:
        """The command that is dumped, such as OVS_FLOW_CMD_GET."""
        return self._request.command.name

    def next_part(self, limit: int) -> bytes:
        """The next part, at most `limit` bytes; after the one with NLMSG_DONE `done` is set.

        Raises EMSGSIZE, and loses nothing, where not even one message fits.
        """
        part = self._take_part(limit)
        fault, self._fault = self._fault, None
        return part if fault is None else fault.cut(part)

    def next_size(self) -> int:
        """Bytes of the next message."""
        if self._pending is None:
            self._pending = self._next_message()
        return len(self._pending or self._build_done())

    def _take_part(self, limit: int) -> bytes:
        messages: list[bytes] = []
        room = limit
        while (message := self._pending or self._next_message()) is not None:
            self._pending = message
            if len(message) > room:
                break
            messages.append(message)
            room -= len(message)
            self._pending = None
        if messages:
            return b"".join(messages)
        last = self._pending or self._build_done()
        if len(last) > limit:
            raise DatapathError(
                EMSGSIZE, f"the next message has {len(last)} bytes, the buffer {limit}"
            )
        self.done = True
        return last

    def _next_message(self) -> bytes | None:
        try:
            body = next(self._bodies, None)
            return None if body is None else body.build(self._request, NLM_F_MULTI)
        except DatapathError as error:
            self._error = error
        except Exception:
            log.exception("a dump handler failed", command=self._request.command.name)
            self._error = DatapathError(EIO, "the dump handler failed; the daemon's log says why")
        self._bodies = iter(())
        return None

    def _build_done(self) -> bytes:
        error = self._error
        session = self._request.session
        return build_done(
            self._request.header,
            error.errno if error else 0,
            session.pid,
            error.message if error and session.ext_ack else None,
        )
