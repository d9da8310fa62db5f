"""What a frame begins with, as actions see it, and moving headers in and out.

Linux keeps things of an sk_buff that a frame in one piece does not show, and actions depend on
them: the EtherType (`skb->protocol`), and whether the outermost VLAN tag is beside the frame
(`skb_vlan_tag_present()`). After extraction the flow key tells both; once an action has made the
key invalid, `packet.link` has them.

Here a tag is always in the frame. Lengths and offsets that Linux takes without it are
`length(packet)` and `mac_length(packet)`.
"""

from __future__ import annotations

from errno import EINVAL, ENOMEM
from typing import Final

from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.extract import update
from ovsdp_cuse.switch.key import (
    CVLAN_TCI,
    CVLAN_TPID,
    ETH_TYPE,
    MAC_PROTO,
    MAC_PROTO_ETHERNET,
    VLAN_TCI,
)
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import VLAN_CFI_MASK, VLAN_SIZE, VLAN_TYPES

TAGGED: Final = VLAN_TCI.place(VLAN_CFI_MASK)
"""The bit of a key that says that there is a VLAN tag."""
_TAGGED_TWICE = CVLAN_TCI.place(VLAN_CFI_MASK)

ETHERNET_BIT: Final = MAC_PROTO.place(MAC_PROTO_ETHERNET)
"""The bit of a key that says that the frame begins with an Ethernet header."""
_NO_MAC_PROTO: Final = ~MAC_PROTO.ones


class CannotApply(Exception):
    """An action cannot be applied to a packet, which is dropped for `reason`.

    errno: what Linux gives to who has sent the packet by EXECUTE; ENOMEM where it is too short.
    """

    def __init__(self, errno: int = ENOMEM, reason: DropReason = DropReason.ACTION_FAILED) -> None:
        super().__init__(reason.value)
        self.errno = errno
        self.reason = reason


def link(packet: Packet) -> tuple[int, bool]:
    """(EtherType, whether tagged): of a tagged frame, the EtherType behind the outermost tag."""
    if packet.link is not None:
        return packet.link
    key = packet.key
    field = CVLAN_TPID if key & _TAGGED_TWICE else ETH_TYPE
    return field.get(key), bool(key & TAGGED)


def is_tagged(packet: Packet) -> bool:
    """Whether the outermost VLAN tag counts as metadata."""
    return packet.link[1] if packet.link is not None else bool(packet.key & TAGGED)


def length(packet: Packet) -> int:
    """Bytes of the frame without an outermost VLAN tag (`skb->len`)."""
    size = packet.end - packet.start
    return size - VLAN_SIZE if is_tagged(packet) else size


def mac_length(packet: Packet) -> int:
    """Bytes before the network header, without an outermost VLAN tag (`skb->mac_len`)."""
    network = packet.network
    return network - VLAN_SIZE if network and is_tagged(packet) else network


def is_ethernet(packet: Packet) -> bool:
    """Whether the frame begins with an Ethernet header."""
    return bool(packet.key & ETHERNET_BIT)


def invalidate(packet: Packet, eth_type: int, tagged: bool) -> None:
    """Say that the key no longer tells what the frame holds, and what it begins with."""
    packet.key_valid = False
    packet.link = (eth_type, tagged)


def set_ethernet(packet: Packet, ethernet: bool) -> None:
    """Say in the key whether the frame begins with an Ethernet header."""
    packet.key = packet.key & _NO_MAC_PROTO | (ETHERNET_BIT if ethernet else 0)


def update_key(packet: Packet) -> None:
    """Make a key valid again: ovs_flow_key_update(). CannotApply for a malformed frame."""
    if packet.key_valid:
        return
    if not is_ethernet(packet):
        eth_type, _ = link(packet)
        if eth_type in VLAN_TYPES:
            raise CannotApply(EINVAL, DropReason.MALFORMED)
        packet.key = ETH_TYPE.replace(packet.key, eth_type)
    packet.link = None
    if not update(packet):
        raise CannotApply(EINVAL, DropReason.MALFORMED)


def insert(packet: Packet, offset: int, header: bytes) -> None:
    """Insert a header; the transport header moves, `packet.network` is the caller's.

    Raises CannotApply where the frame ends before `offset`.
    """
    if packet.end - packet.start < offset:
        raise CannotApply
    packet.push(offset, header)
    if packet.transport >= 0:
        packet.transport += len(header)


def remove(packet: Packet, offset: int, size: int) -> None:
    """Remove a header; the transport header moves, `packet.network` is the caller's.

    Raises CannotApply where the frame ends before.
    """
    if packet.end - packet.start < offset + size:
        raise CannotApply
    packet.pull(offset, size)
    if packet.transport >= 0:
        packet.transport = max(packet.transport - size, 0)


def writable(packet: Packet, needed: int) -> int:
    """Make the frame's first `needed` bytes writable; where the frame begins in the buffer.

    Raises CannotApply where it has fewer (ENOMEM of skb_ensure_writable()).
    """
    if packet.end - packet.start < needed:
        raise CannotApply
    if not packet.owned:
        packet.make_writable()
    return packet.start
