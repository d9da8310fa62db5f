"""What `ovsdp_control` tells of a packet that it is asked about: EXPLAIN, a dump of steps."""

from __future__ import annotations

from enum import IntEnum

from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.attributes import AttributeSet, Unparsed
from ovsdp_cuse.wire.key import KEY
from ovsdp_cuse.wire.state import NAME_MAXIMUM
from ovsdp_cuse.wire.values import Binary, String, u8, u32


class ExplainStep(IntEnum):
    """What a step tells (enum ovsdp_explain_step)."""

    EXTRACTED = 1
    """KEY: the packet's flow key."""
    MASK_TRIED = 2
    """MASK, and in FLOWS how many flows have it: none of them matched."""
    HIT = 3
    """MASK, UFID where it has one, ACTIONS: the flow that matched."""
    MISS = 4
    """No flow matched; MISS is followed by UPCALL, or by DROPPED."""
    ACTION = 5
    """ACTIONS: one action. PACKET and KEY: the packet after it, where it changed."""
    OUTPUT = 6
    """PORT and PORT_NAME: where PACKET would be sent."""
    UPCALL = 7
    """PID: who would be told of PACKET."""
    RECIRCULATED = 8
    """KEY: with which the packet is looked up again."""
    DROPPED = 9
    """REASON."""
    DECIDED = 10
    """TEXT: what chance or a meter would decide, and what was taken to happen."""


class ExplainAttr(IntEnum):
    """Attributes of EXPLAIN (enum ovsdp_explain_attr).

    A request has IN_PORT and PACKET, and may have KEY: metadata, as OVS_PACKET_CMD_EXECUTE takes
    it. Each message of the dump is a step.
    """

    UNSPEC = 0
    IN_PORT = 1
    PACKET = 2
    KEY = 3
    STEP = 4
    DEPTH = 5
    """How deep inside lists of actions and recirculations; 0 outside."""
    MASK = 6
    FLOWS = 7
    UFID = 8
    ACTIONS = 9
    PORT = 10
    PORT_NAME = 11
    PID = 12
    REASON = 13
    TEXT = 14


EXPLAIN = AttributeSet(
    "OVSDP_EXPLAIN_ATTR",
    {
        ExplainAttr.IN_PORT: u32(),
        ExplainAttr.PACKET: Binary(),
        ExplainAttr.KEY: Unparsed(KEY),
        ExplainAttr.STEP: u8(),
        ExplainAttr.DEPTH: u32(),
        ExplainAttr.MASK: Unparsed(KEY),
        ExplainAttr.FLOWS: u32(),
        ExplainAttr.UFID: Binary(),
        ExplainAttr.ACTIONS: Unparsed(ACTIONS),
        ExplainAttr.PORT: u32(),
        ExplainAttr.PORT_NAME: String(NAME_MAXIMUM),
        ExplainAttr.PID: u32(),
        ExplainAttr.REASON: String(NAME_MAXIMUM),
        ExplainAttr.TEXT: String(4096),
    },
)
