"""Meters: token buckets that drop what exceeds a rate."""

from __future__ import annotations


class MeterTable:
    """The meters of a datapath, by id."""
