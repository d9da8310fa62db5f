"""Limits on the number of tracked connections, by zone."""

from __future__ import annotations


class ConntrackLimits:
    """The limits by zone, and the default."""
