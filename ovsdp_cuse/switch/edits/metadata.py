"""What is not in the frame: priority and mark (SO_PRIORITY, SO_MARK of what is sent)."""

from __future__ import annotations

from collections.abc import Callable

from ovsdp_cuse.switch.key import PRIORITY, SKB_MARK
from ovsdp_cuse.switch.packet import Packet


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
