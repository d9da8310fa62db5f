"""VLAN tags: push and pop the outermost.

In Linux the outermost tag is beside the frame, so that pushing a first and popping an only one
changes the key and leaves it valid, while what concerns a second tag makes it invalid.
"""

from __future__ import annotations

from collections.abc import Callable

from ovsdp_cuse.switch.edits.link import (
    CannotApply,
    insert,
    invalidate,
    link,
    mac_length,
    remove,
)
from ovsdp_cuse.switch.key import VLAN_TCI, VLAN_TPID
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import (
    ETH_P_802_2,
    ETH_P_802_3_MIN,
    ETHERNET_SIZE,
    VLAN_CFI_MASK,
    VLAN_SIZE,
    VLAN_TYPES,
)

_PLACE = 12
"""Where a tag is: behind the addresses."""
_NO_TAG = ~(VLAN_TPID.ones | VLAN_TCI.ones)
_TAG_ONLY = _PLACE + VLAN_SIZE + 2
"""The least size of a frame with a tag: it has an EtherType behind it (VLAN_ETH_HLEN)."""


def push_vlan(tpid: int, tci: int) -> Callable[[Packet], None]:
    """Push a tag, whose bit for CFI is 0 in the frame and 1 in the key."""
    header = tpid.to_bytes(2, "big") + (tci & ~VLAN_CFI_MASK).to_bytes(2, "big")
    in_key = VLAN_TPID.place(tpid) | VLAN_TCI.place(tci)

    def edit(packet: Packet) -> None:
        if packet.end - packet.start < ETHERNET_SIZE:
            raise CannotApply
        eth_type, tagged = link(packet)
        if tagged:
            invalidate(packet, _eth_type_at(packet, _PLACE), True)
        else:
            packet.key = packet.key & _NO_TAG | in_key
            if packet.link is not None:
                packet.link = (eth_type, True)
        insert(packet, _PLACE, header)
        if packet.network:
            packet.network += VLAN_SIZE

    return edit


def pop_vlan(packet: Packet) -> None:
    """Pop the outermost tag, or do nothing where there is none: skb_vlan_pop().

    Fails (ENOMEM) where a tag is cut off.
    """
    eth_type, tagged = link(packet)
    mac = mac_length(packet)
    if tagged:
        remove(packet, _PLACE, VLAN_SIZE)
    elif eth_type in VLAN_TYPES:
        if packet.end - packet.start < _TAG_ONLY:
            raise CannotApply
        remove(packet, _PLACE, VLAN_SIZE)
        eth_type = _encapsulated(packet, _PLACE)
        mac = max(mac - VLAN_SIZE, ETHERNET_SIZE)
        packet.link = (eth_type, False)
    else:
        packet.key &= _NO_TAG
        return
    if eth_type in VLAN_TYPES:
        if packet.end - packet.start < _TAG_ONLY:
            raise CannotApply
        invalidate(packet, _encapsulated(packet, _PLACE + VLAN_SIZE), True)
        packet.network = max(mac - VLAN_SIZE, ETHERNET_SIZE) + VLAN_SIZE
        return
    packet.key &= _NO_TAG
    if packet.link is not None:
        packet.link = (eth_type, False)
    packet.network = mac


def _eth_type_at(packet: Packet, offset: int) -> int:
    at = packet.start + offset
    return int.from_bytes(packet.buffer[at : at + 2], "big")


def _encapsulated(packet: Packet, offset: int) -> int:
    """The EtherType at an offset, or ETH_P_802_2 for a length: vlan_set_encap_proto()."""
    eth_type = _eth_type_at(packet, offset)
    return eth_type if eth_type >= ETH_P_802_3_MIN else ETH_P_802_2
