"""MPLS: push, pop and set the outermost label stack entry (RFC 3032)."""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL

from ovsdp_cuse.switch.edits.link import (
    CannotApply,
    insert,
    invalidate,
    is_ethernet,
    link,
    mac_length,
    remove,
    set_ethernet,
    writable,
)
from ovsdp_cuse.switch.key import MPLS_LSE_0
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import (
    ETH_P_TEB,
    ETHERNET_SIZE,
    MPLS_SIZE,
    MPLS_TYPES,
    VLAN_SIZE,
)

_NO_LSE = ~MPLS_LSE_0.ones
_ETH_TYPE_PLACE = 12


def push_mpls(lse: int, eth_type: int) -> Callable[[Packet], None]:
    """Push an entry before the network header: skb_mpls_push().

    The EtherType that changes is the one behind the addresses, or the outermost tag.
    """
    header, type_bytes = lse.to_bytes(MPLS_SIZE, "big"), eth_type.to_bytes(2, "big")

    def edit(packet: Packet) -> None:
        _, tagged = link(packet)
        network = packet.network
        insert(packet, network, header)
        if network:
            at = packet.start + _ETH_TYPE_PLACE + (VLAN_SIZE if tagged else 0)
            packet.buffer[at : at + 2] = type_bytes
        else:
            set_ethernet(packet, False)
        invalidate(packet, eth_type, tagged)

    return edit


def add_mpls(lse: int, eth_type: int, is_l3: bool) -> Callable[[Packet], None]:
    """Push an entry before the network header, or before the whole frame."""
    if is_l3:
        return push_mpls(lse, eth_type)
    header = lse.to_bytes(MPLS_SIZE, "big")

    def edit(packet: Packet) -> None:
        _, tagged = link(packet)
        insert(packet, 0, header)
        packet.network = 0
        set_ethernet(packet, False)
        invalidate(packet, eth_type, tagged)

    return edit


def pop_mpls(eth_type: int) -> Callable[[Packet], None]:
    """Pop the outermost entry: skb_mpls_pop(). What has none stays, but for its key.

    What follows an entry may be a frame with Ethernet (ETH_P_TEB).
    """
    type_bytes = eth_type.to_bytes(2, "big")

    def edit(packet: Packet) -> None:
        old_type, tagged = link(packet)
        if old_type in MPLS_TYPES:
            network = packet.network
            remove(packet, network, MPLS_SIZE)
            if is_ethernet(packet) and mac_length(packet) >= ETHERNET_SIZE:
                at = packet.start + network
                packet.buffer[at - 2 : at] = type_bytes
            old_type = eth_type
        if eth_type == ETH_P_TEB:
            set_ethernet(packet, True)
        invalidate(packet, old_type, tagged)

    return edit


def set_mpls(value: int, mask: int) -> Callable[[Packet], None]:
    """Set the outermost entry: skb_mpls_update_lse(). Fails (EINVAL) where there is none."""
    lse_value, lse_keep = MPLS_LSE_0.get(value & mask), ~MPLS_LSE_0.get(mask)

    def edit(packet: Packet) -> None:
        network = packet.network
        eth_type, _ = link(packet)
        if eth_type not in MPLS_TYPES:
            raise CannotApply(EINVAL)
        at = writable(packet, network + MPLS_SIZE) + network
        buffer = packet.buffer
        old = int.from_bytes(buffer[at : at + MPLS_SIZE], "big")
        new = old & lse_keep | lse_value
        buffer[at : at + MPLS_SIZE] = new.to_bytes(MPLS_SIZE, "big")
        packet.key = packet.key & _NO_LSE | MPLS_LSE_0.place(new)

    return edit
