"""What has crossed the device in a test, and the text that `serve --trace` would print of it."""

from __future__ import annotations

from collections import deque

from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.session import Session
from ovsdp_cuse.families.tap import Arrived
from ovsdp_cuse.families.trace_text import TraceText
from ovsdp_cuse.wire.trace import TraceRecord

RECORDS_KEPT = 1000
"""The last ones of a long conversation."""


class Messages:
    """A watcher that keeps what it sees; records: the last RECORDS_KEPT, oldest first."""

    def __init__(self, registry: Registry) -> None:
        self.records: deque[TraceRecord] = deque(maxlen=RECORDS_KEPT)
        self._registry = registry

    def __call__(self, session: Session, record: TraceRecord, request: Arrived | None) -> None:
        """Something happened on a handle."""
        self.records.append(record)

    def lines(self) -> list[str]:
        """The records as text; of one that has several messages, a line for each."""
        text = TraceText(self._registry)
        return [line.text for record in list(self.records) for line in text.lines(record)]
