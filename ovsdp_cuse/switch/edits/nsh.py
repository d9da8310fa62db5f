"""Network Service Header (RFC 8300): push and pop. Linux 6.1 cannot set its fields."""

from __future__ import annotations

from collections.abc import Callable
from errno import EAFNOSUPPORT, EINVAL
from typing import Final

from ovsdp_cuse.switch.edits.link import (
    CannotApply,
    insert,
    invalidate,
    link,
    mac_length,
    remove,
    set_ethernet,
)
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import (
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_MPLS_UC,
    ETH_P_NSH,
    ETH_P_TEB,
)

ETH_TYPES: Final = {
    1: ETH_P_IP,
    2: ETH_P_IPV6,
    3: ETH_P_TEB,
    4: ETH_P_NSH,
    5: ETH_P_MPLS_UC,
}
"""EtherTypes by the header's "next protocol" (TUN_P_* of <net/tun_proto.h>)."""
NEXT_PROTOCOLS: Final = {eth_type: number for number, eth_type in ETH_TYPES.items()}

_BASE_SIZE = 8
"""Bytes before the context: the least size of a header."""
_LENGTH_MASK = 0x3F
"""Of the header's second byte: its size in units of four bytes."""


def push_nsh(header: bytes) -> Callable[[Packet], None]:
    """Push a header before the whole frame: nsh_push().

    What follows is told in it: Ethernet, or what a packet without Ethernet begins with; fails
    (EAFNOSUPPORT) where there is no number for that.
    """

    def edit(packet: Packet) -> None:
        eth_type, tagged = link(packet)
        if mac_length(packet):
            eth_type = ETH_P_TEB
        following = NEXT_PROTOCOLS.get(eth_type)
        if following is None:
            raise CannotApply(EAFNOSUPPORT)
        insert(packet, 0, header[:3] + bytes((following,)) + header[4:])
        packet.network = 0
        set_ethernet(packet, False)
        invalidate(packet, ETH_P_NSH, tagged)

    return edit


def pop_nsh(packet: Packet) -> None:
    """Pop the header at the frame's beginning: nsh_pop().

    Fails where it is cut off (ENOMEM), too short (EINVAL), or says nothing known (EAFNOSUPPORT).
    """
    start = packet.start
    if packet.end - start < _BASE_SIZE:
        raise CannotApply
    size = 4 * (packet.buffer[start + 1] & _LENGTH_MASK)
    eth_type = ETH_TYPES.get(packet.buffer[start + 3])
    if size < _BASE_SIZE:
        raise CannotApply(EINVAL)
    if packet.end - start < size:
        raise CannotApply
    if eth_type is None:
        raise CannotApply(EAFNOSUPPORT)
    _, tagged = link(packet)
    remove(packet, 0, size)
    packet.network = 0
    set_ethernet(packet, eth_type == ETH_P_TEB)
    invalidate(packet, eth_type, tagged)
