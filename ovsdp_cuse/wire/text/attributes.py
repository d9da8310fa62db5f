"""Attributes inside an action, read as Open vSwitch reads them: all of them right, or none."""

from __future__ import annotations

from collections.abc import Mapping

from ovsdp_cuse.wire.text.layout import attributes_of

Policy = Mapping[int, tuple[int, int | None]]
"""Number -> the fewest and most bytes of its payload (None: any); others are ignored."""


def parse(payload: bytes, policy: Policy) -> dict[int, bytes] | None:
    """The attributes by number, of duplicates the last; None where one has a wrong size, or where
    bytes are left over."""
    found: dict[int, bytes] = {}
    attributes, used = attributes_of(payload)
    if used != len(payload):
        return None
    for number, inner in attributes:
        if number not in policy:
            continue
        fewest, most = policy[number]
        if len(inner) < fewest or (most is not None and len(inner) > most):
            return None
        found[number] = inner
    return found
