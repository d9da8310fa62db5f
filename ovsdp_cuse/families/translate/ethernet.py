"""Numbers of Ethernet and of the protocols above it that flow keys depend on.

Sources: <linux/if_ether.h>, <linux/in.h>, <linux/icmpv6.h>, <linux/if_vlan.h>.
"""

from __future__ import annotations

from typing import Final

ETH_P_802_2: Final = 0x0004
"""The type of a frame that has a length in its place (IEEE 802.3)."""
ETH_P_802_3_MIN: Final = 0x0600
ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_RARP: Final = 0x8035
ETH_P_8021Q: Final = 0x8100
ETH_P_IPV6: Final = 0x86DD
ETH_P_MPLS_UC: Final = 0x8847
ETH_P_MPLS_MC: Final = 0x8848
ETH_P_8021AD: Final = 0x88A8
ETH_P_NSH: Final = 0x894F

VLAN_TYPES: Final = frozenset({ETH_P_8021Q, ETH_P_8021AD})
VLAN_CFI: Final = 0x1000
"""VLAN_CFI_MASK: in a key's TCI it says that there is a tag."""

IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_ICMPV6: Final = 58
IPPROTO_SCTP: Final = 132

NEIGHBOUR_DISCOVERY: Final = frozenset({135, 136})
"""ICMPv6 types that have a target: neighbour solicitation and advertisement (RFC 4861)."""
