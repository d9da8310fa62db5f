"""Ethernet: set the addresses, push and pop the header."""

from __future__ import annotations

from collections.abc import Callable
from errno import EPROTO

from ovsdp_cuse.switch.edits.link import (
    CannotApply,
    insert,
    invalidate,
    link,
    remove,
    set_ethernet,
)
from ovsdp_cuse.switch.key import ETH_DST, ETH_SRC
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import ETHERNET_SIZE, VLAN_TYPES

_SHIFT = ETH_DST.shift
_ADDRESSES = ETH_DST.ones | ETH_SRC.ones
_SIZE = ETH_DST.size + ETH_SRC.size
# A frame begins as the key has it, so both addresses are one piece.
assert ETH_SRC.shift == _SHIFT + 8 * ETH_DST.size


def set_addresses(value: int, mask: int) -> Callable[[Packet], None]:
    """Set destination and source; in the key they are then as in the frame."""
    keep = ~_ADDRESSES
    value &= mask
    header_value, header_keep = value >> _SHIFT, ~(mask >> _SHIFT)
    addresses = header_value.to_bytes(_SIZE, "little")

    def set_all(packet: Packet) -> None:
        start = packet.start
        if packet.end - start < ETHERNET_SIZE:
            raise CannotApply
        if not packet.owned:
            packet.make_writable()
            start = packet.start
        packet.buffer[start : start + _SIZE] = addresses
        packet.key = packet.key & keep | value

    def set_some(packet: Packet) -> None:
        start = packet.start
        if packet.end - start < ETHERNET_SIZE:
            raise CannotApply
        if not packet.owned:
            packet.make_writable()
            start = packet.start
        buffer, end = packet.buffer, start + _SIZE
        new = int.from_bytes(buffer[start:end], "little") & header_keep | header_value
        buffer[start:end] = new.to_bytes(_SIZE, "little")
        packet.key = packet.key & keep | new << _SHIFT

    return set_all if mask & _ADDRESSES == _ADDRESSES else set_some


def push_eth(dst: bytes, src: bytes) -> Callable[[Packet], None]:
    """Push a header whose EtherType is what the packet begins with: skb_eth_push().

    Fails (EPROTO) on a packet that has one, or a VLAN tag.
    """
    addresses = dst + src

    def edit(packet: Packet) -> None:
        eth_type, tagged = link(packet)
        if packet.network or tagged:
            raise CannotApply(EPROTO)
        insert(packet, 0, addresses + eth_type.to_bytes(2, "big"))
        packet.network = ETHERNET_SIZE
        set_ethernet(packet, True)
        invalidate(packet, eth_type, False)

    return edit


def pop_eth(packet: Packet) -> None:
    """Pop the header: skb_eth_pop(). Fails (EPROTO) where there is none, or a VLAN tag."""
    eth_type, tagged = link(packet)
    if packet.network < ETHERNET_SIZE or tagged or eth_type in VLAN_TYPES:
        raise CannotApply(EPROTO)
    remove(packet, 0, ETHERNET_SIZE)
    packet.network -= ETHERNET_SIZE
    set_ethernet(packet, False)
    invalidate(packet, eth_type, False)
