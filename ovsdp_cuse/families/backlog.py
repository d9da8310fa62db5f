"""What handles have written and what has to wait: handled later, in order, by tasks.

A write(2) must not wait: the kernel holds a lock of the FUSE node for it, so that the writes of
other handles would wait too. So it is taken at once, and what a fault lets wait is handled from a
task of its own, in its turn. It is bounded for each handle as its queue is: one message may always
wait, and more as long as they fit `Queue.limit`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from errno import ENOBUFS
from typing import NamedTuple

import structlog
import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.fault_turns import Turn
from ovsdp_cuse.families.faults import Fault, Faults
from ovsdp_cuse.families.queue import OVERHEAD
from ovsdp_cuse.families.session import Session

log = structlog.get_logger(__name__)


class Waiting(NamedTuple):
    """A message that waits for its turn; `fault` acts on it, None where others let it wait."""

    session: Session
    data: bytes
    turn: Turn
    fault: Fault | None


class Backlog:
    """The messages of all handles that wait; `answer` is what handles one in the end."""

    def __init__(
        self, faults: Faults, answer: Callable[[Session, bytes, Fault | None], Awaitable[None]]
    ) -> None:
        self._faults = faults
        self._answer = answer
        self._bytes: dict[Session, int] = {}
        self._send, self._receive = trio.open_memory_channel[Waiting](math.inf)

    def check_room(self, session: Session, size: int) -> None:
        """ENOBUFS where so many bytes of the handle wait that this message is not to wait, too."""
        waiting = self._bytes.get(session, 0)
        if waiting and waiting + size + OVERHEAD > session.queue.limit:
            raise DatapathError(ENOBUFS, f"{waiting} bytes of the handle wait to be handled")

    def put(self, waiting: Waiting) -> None:
        """Let a message wait for its turn. It is handled while `run` runs."""
        session, data, _turn, _fault = waiting
        self._bytes[session] = self._bytes.get(session, 0) + len(data) + OVERHEAD
        self._send.send_nowait(waiting)

    async def run(self) -> None:
        """Handle what has waited, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._handle, await self._receive.receive())

    async def _handle(self, waiting: Waiting) -> None:
        session, data, turn, fault = waiting
        try:
            await turn.wait()
            if not session.closed:
                await self._answer(session, data, fault)
        except Exception:
            log.exception("a request that had waited failed", pid=session.pid)
        finally:
            self._faults.leave(session, turn)
            self._bytes[session] -= len(data) + OVERHEAD
            if not self._bytes[session]:
                del self._bytes[session]
