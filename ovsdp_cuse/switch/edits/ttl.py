"""Decrement the TTL of whatever IP there is."""

from __future__ import annotations

from ovsdp_cuse.switch.edits.ipv4 import decrement_ttl
from ovsdp_cuse.switch.edits.ipv6 import decrement_hop_limit
from ovsdp_cuse.switch.edits.link import link
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import ETH_P_IP, ETH_P_IPV6


def decrement(packet: Packet) -> bool:
    """Decrement the TTL or hop limit; False where it ends. What is not IP stays.

    A packet with two VLAN tags is not IP to Linux, whose `skb->protocol` is the second tag's then.
    """
    eth_type, _ = link(packet)
    if eth_type == ETH_P_IP:
        return decrement_ttl(packet)
    if eth_type == ETH_P_IPV6:
        return decrement_hop_limit(packet)
    return True
