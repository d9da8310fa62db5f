"""What real Open vSwitch has asked: the requests of tests/captures/, each once."""

from __future__ import annotations

from functools import cache

from tests.captures.conversation import NAMES, Exchange, read


@cache
def corpus() -> tuple[bytes, ...]:
    """The requests, in the ids of our families; those that differ in pid and sequence are one."""
    found: dict[bytes, bytes] = {}
    for name in NAMES:
        for event in read(name):
            if isinstance(event, Exchange):
                request = event.request
                found.setdefault(request[:8] + request[16:], request)
    return tuple(found.values())
