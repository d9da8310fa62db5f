"""Why packets are dropped. A packet that goes nowhere is counted under one of these.

What an interface refuses that a packet was given to is counted by its port (PortStats).
"""

from __future__ import annotations

from collections import Counter
from enum import Enum


class DropReason(Enum):
    """Reasons; the value is the name that people and programs see."""

    NO_ACTIONS = "no actions"
    """The flow says so: its list of actions is empty, or ends without an output."""
    EXPLICIT = "explicit drop"
    """OVS_ACTION_ATTR_DROP."""
    MALFORMED = "malformed frame"
    UPCALL_LOST = "upcall lost"
    """A miss, or a userspace action, that nobody received; or whose frame could not be finished."""
    NO_PORT = "no such port"
    """An output to a port that is not there."""
    TOO_LONG = "longer than the MTU"
    METER = "meter"
    TTL_EXPIRED = "TTL expired"
    RECIRCULATION_LIMIT = "recirculation limit"
    ACTION_FAILED = "action failed"
    """An action that cannot be applied to this packet, such as one that is too short."""
    FAILURE = "failure"
    """A bug: the daemon's log tells more."""


Drops = Counter[DropReason]
"""Packets by reason, since the datapath was made."""
