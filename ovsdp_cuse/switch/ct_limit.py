"""Limits on the number of tracked connections, by zone: net/openvswitch/conntrack.c of Linux 6.1.

They are those of a network namespace, which all its datapaths share; here, those of a switch.
"""

from __future__ import annotations

from collections.abc import Iterator

UNLIMITED = 0
DEFAULT_ZONE = -1
"""OVS_ZONE_LIMIT_DEFAULT_ZONE: the limit of zones that have none of their own."""
ZONES = range(1 << 16)

_BUCKETS = 512
"""CT_LIMIT_HASH_BUCKETS: clients see it in the order of a reply."""


class ConntrackLimits:
    """The limits by zone, and the default; 0 is no limit."""

    def __init__(self) -> None:
        self.default = UNLIMITED
        self._by_zone: dict[int, int] = {}

    def set(self, zone: int, limit: int) -> None:
        """Set the limit of a zone, or the default; a zone that cannot be is ignored."""
        if zone == DEFAULT_ZONE:
            self.default = limit
        elif zone in ZONES:
            self._by_zone[zone] = limit

    def remove(self, zone: int) -> None:
        """Let the default be in force for a zone, or nothing where this is the default."""
        if zone == DEFAULT_ZONE:
            self.default = UNLIMITED
        else:
            self._by_zone.pop(zone, None)

    def get(self, zone: int) -> int | None:
        """The limit that is in force for a zone, or the default; None for no zone that can be."""
        if zone == DEFAULT_ZONE:
            return self.default
        return self._by_zone.get(zone, self.default) if zone in ZONES else None

    def count(self, zone: int) -> int:
        """How many connections of a zone are tracked: none, before there is a tracker."""
        return 0

    def __iter__(self) -> Iterator[int]:
        """The default and the zones that have limits, in the order of the kernel's buckets.

        A bucket holds the zones whose numbers are equal modulo 512, the newest first.
        """
        yield DEFAULT_ZONE
        newest_first = reversed(self._by_zone)
        yield from sorted(newest_first, key=lambda zone: zone % _BUCKETS)
