"""What `ovsdp_control` tells of a packet that it is asked about: EXPLAIN, a dump of steps."""

from __future__ import annotations

from enum import IntEnum

from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.attributes import AttributeSet, Unparsed
from ovsdp_cuse.wire.flow import UfidValue
from ovsdp_cuse.wire.key import KEY
from ovsdp_cuse.wire.packet import FrameValue
from ovsdp_cuse.wire.state import NAME_MAXIMUM
from ovsdp_cuse.wire.values import Flag, String, u8, u32


class ExplainStep(IntEnum):
    """What a step tells (enum ovsdp_explain_step)."""

    EXTRACTED = 1
    """KEY: the packet's flow key."""
    MASK_TRIED = 2
    """MASK, and in FLOWS how many flows have it: none of them matched. Where there are very many
    masks, the last of these has TEXT in the place of MASK, and tells of several."""
    HIT = 3
    """KEY, MASK, UFID where it has one, ACTIONS: the flow that matched. TEXT, where a cache knew
    it, so that no mask would be tried."""
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
    """REASON, and TEXT where more is known."""
    DECIDED = 10
    """TEXT: what chance or a meter would decide, and what was taken to happen."""
    DEFERRED = 11
    """What the action does waits until the packet that came in has been done with: it is deep."""
    ENDED = 12
    """TEXT: why the rest is not told. Nothing comes after it."""


class ExplainAttr(IntEnum):
    """Attributes of EXPLAIN (enum ovsdp_explain_attr).

    A request has IN_PORT and PACKET, and may have KEY: metadata, as OVS_PACKET_CMD_EXECUTE takes
    it, whose in_port does not count; and NOT_SAMPLED. Each message of the dump is a step.
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
    NOT_SAMPLED = 15
    """Samples that chance decides about are not taken; they are, without this."""


EXPLAIN = AttributeSet(
    "OVSDP_EXPLAIN_ATTR",
    {
        ExplainAttr.IN_PORT: u32(),
        ExplainAttr.PACKET: FrameValue(),
        ExplainAttr.KEY: Unparsed(KEY),
        ExplainAttr.STEP: u8(),
        ExplainAttr.DEPTH: u32(),
        ExplainAttr.MASK: Unparsed(KEY),
        ExplainAttr.FLOWS: u32(),
        ExplainAttr.UFID: UfidValue(),
        ExplainAttr.ACTIONS: Unparsed(ACTIONS),
        ExplainAttr.PORT: u32(),
        ExplainAttr.PORT_NAME: String(NAME_MAXIMUM),
        ExplainAttr.PID: u32(),
        ExplainAttr.REASON: String(NAME_MAXIMUM),
        ExplainAttr.TEXT: String(4096),
        ExplainAttr.NOT_SAMPLED: Flag(),
    },
)
