"""What real Open vSwitch has asked: the requests of tests/captures/, each once."""

from __future__ import annotations

from functools import cache

from ovsdp_cuse.captures.conversation import Exchange
from tests.captures.recorded import NAMES, Recorded


@cache
def corpus() -> tuple[bytes, ...]:
    """The requests, in the ids of our families; those that differ in pid and sequence are one."""
    found: dict[bytes, bytes] = {}
    for name in NAMES:
        recorded = Recorded(name)
        asked = [event.request for event in recorded.events if isinstance(event, Exchange)]
        for request in recorded.in_our_ids(asked):
            found.setdefault(request[:8] + request[16:], request)
    return tuple(found.values())
