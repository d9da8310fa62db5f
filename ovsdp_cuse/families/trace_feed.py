"""The multicast group `ovsdp_trace`: who has joined it is told what crosses the device.

Nothing is watched while the group is empty. What a handle is told itself is neither traced nor
subject to faults; it goes through the handle's queue, which may lose it, as any event.
"""

from __future__ import annotations

from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.registry import MulticastGroup
from ovsdp_cuse.families.session import Session, SessionTable
from ovsdp_cuse.families.tap import Arrived
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.trace import TRACE_GROUP, TRACE_GROUP_NAME, TraceRecord

GROUP = MulticastGroup(TRACE_GROUP, TRACE_GROUP_NAME, admin=True)
"""Traces show the frames and messages of others, which are not for who may only look."""


class TraceFeed:
    """A watcher that tells the members of the group, each what its filter lets through."""

    def __init__(self, sessions: SessionTable) -> None:
        self._taps = sessions.taps
        self._members: dict[Session, None] = {}
        sessions.on_membership[GROUP.id] = self._on_membership

    def _on_membership(self, session: Session, joined: bool) -> None:
        if joined:
            self._members[session] = None
            if len(self._members) == 1:
                self._taps.add(self)
        elif session in self._members:
            del self._members[session]
            if not self._members:
                self._taps.remove(self)

    def __call__(self, session: Session, record: TraceRecord, request: Arrived | None) -> None:
        """Tell what happened on a handle."""
        message = None
        for member in self._members:
            chosen = member.trace_filter
            if chosen is None:
                message = message or build_trace(record)
                member.put_untold(Kind.EVENT, message)
            else:
                for wanted in chosen.choose(record, request):
                    member.put_untold(Kind.EVENT, build_trace(wanted))


def build_trace(record: TraceRecord) -> bytes:
    """The message that tells of it."""
    return OVSDP_CONTROL.build(
        Message(
            OVSDP_CONTROL.id,
            OvsdpCmd.TRACE,
            record.attributes(),
            version=OVSDP_CONTROL.version,
        )
    )
