"""The times between the events of a capture, kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from ovsdp_cuse.captures.conversation import Event


def in_time(events: Sequence[Event]) -> Iterator[Event]:
    """The events, each not before its time: as long after the first as in the capture.

    What takes longer here than it took there is not waited for twice.
    """
    began = time.monotonic_ns()
    for event in events:
        wait_ns = (event.time_ns - events[0].time_ns) - (time.monotonic_ns() - began)
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)  # the capture's own time, which nothing else tells
        yield event
