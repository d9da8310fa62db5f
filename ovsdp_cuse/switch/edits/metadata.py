"""What is not in the frame: priority and mark (SO_PRIORITY, SO_MARK of what is sent), and what
connection tracking has found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ovsdp_cuse.switch.key import (
    CT_LABELS,
    CT_MARK,
    CT_ORIG_PROTO,
    CT_STATE,
    CT_ZONE,
    PRIORITY,
    SKB_MARK,
)
from ovsdp_cuse.switch.packet import Packet

KEEP: Final = ~(CT_STATE.ones | CT_ZONE.ones | CT_MARK.ones | CT_LABELS.ones | CT_ORIG_PROTO.ones)
"""What ovs_ct_clear() of Linux leaves; with no CT_ORIG_PROTO there is no original direction."""


def clear_ct(packet: Packet) -> None:
    """Set the state to that of a packet that was not tracked."""
    packet.key &= KEEP


def set_metadata(value: int, mask: int) -> Callable[[Packet], None]:
    """Set the priority, the mark, or both, in the packet and in its key."""
    priority, priority_mask = PRIORITY.get(value & mask), PRIORITY.get(mask)
    mark, mark_mask = SKB_MARK.get(value & mask), SKB_MARK.get(mask)

    def edit(packet: Packet) -> None:
        if priority_mask:
            packet.priority = packet.priority & ~priority_mask | priority
            packet.key = PRIORITY.replace(packet.key, packet.priority)
        if mark_mask:
            packet.mark = packet.mark & ~mark_mask | mark
            packet.key = SKB_MARK.replace(packet.key, packet.mark)

    return edit
