"""What the device hands over: handles come and go, and requests come through one of two doors.

check -> handler -> reply, error, dump or notification: `device_door` and `stream_door` check a
request, each in its way, and give its answer, each in its way; `execute` is what they share. No
exception but DatapathError leaves here, and cancellation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import structlog

from ovsdp_cuse.families.device_door import DeviceDoor, Ioctl, IoctlResult
from ovsdp_cuse.families.packet import UpcallSender
from ovsdp_cuse.families.process import process_of
from ovsdp_cuse.families.request import Context
from ovsdp_cuse.families.session import Access, Owner, Session
from ovsdp_cuse.families.stream_door import StreamDoor
from ovsdp_cuse.families.tap import Watcher
from ovsdp_cuse.families.trace_feed import TraceFeed
from ovsdp_cuse.families.vport import PortFollower
from ovsdp_cuse.switch.datapath import Datapath

log = structlog.get_logger(__name__)

__all__ = ["Dispatcher", "Ioctl", "IoctlResult"]


FAILURES_INTERVAL_S = 1.0
"""At most one failure is logged in this time: a packet that meets a bug seldom comes alone."""


def _log_failure() -> Callable[[Datapath], None]:
    last = -FAILURES_INTERVAL_S

    def log_failure(datapath: Datapath) -> None:
        nonlocal last
        now = monotonic()
        if now - last >= FAILURES_INTERVAL_S:
            last = now
            log.exception("a packet met a bug", datapath=datapath.name)

    return log_failure


class Dispatcher:
    """Both doors of all handles; `watcher`, if there is one, watches from the beginning.

    What the switch has to tell by itself (upcalls, ports that vanish) it tells through here too.

    ioctl: see DeviceDoor.ioctl. read, write: see StreamDoor. run: handles what was written and a
    fault lets wait, until it is cancelled; without it that waits for ever.
    """

    def __init__(self, context: Context, watcher: Watcher | None = None) -> None:
        self.context = context
        context.switch.send_upcall = UpcallSender(context)
        context.switch.on_failure = _log_failure()
        context.ports.events = PortFollower(context)
        context.faults.bind(context)
        self._taps = context.sessions.taps
        if watcher is not None:
            self._taps.add(watcher)
        TraceFeed(context.sessions)
        stream = StreamDoor(context)
        self.ioctl = DeviceDoor(context).ioctl
        self.read = stream.read
        self.write = stream.write
        self.run = stream.run

    def open(self, access: Access, nonblocking: bool, owner: Owner) -> Session:
        """Open a handle; ENFILE when the limit is reached.

        The owner's pid may be that of a thread; the session's is that of its process.
        """
        owner = replace(owner, pid=process_of(owner.pid))
        session = self.context.sessions.open(access, nonblocking, owner)
        if self._taps.active is not None:
            self._taps.active.opened(session)
        return session

    def close(self, session: Session) -> None:
        """Close a handle; what waits on it ends."""
        self.context.sessions.close(session)
        if self.context.faults.active:
            self.context.faults.forget(session)
        if self._taps.active is not None:
            self._taps.active.closed(session)
