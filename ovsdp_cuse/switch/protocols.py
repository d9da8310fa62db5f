"""Numbers of protocols, as they stand in frames.

Sources: <linux/if_ether.h>, <linux/in.h>, <linux/in6.h>, <linux/icmpv6.h>, <linux/tun.h> and, for
OVS_FRAG_TYPE_*, <linux/openvswitch.h>.
"""

from __future__ import annotations

from typing import Final

ETH_P_802_3_MIN: Final = 0x0600
"""Below this, what stands for the EtherType is a length."""
ETH_P_802_2: Final = 0x0004
"""The EtherType in a flow key of a frame that has none (a length and 802.2 LLC)."""
ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_TEB: Final = 0x6558
ETH_P_RARP: Final = 0x8035
ETH_P_8021Q: Final = 0x8100
ETH_P_IPV6: Final = 0x86DD
ETH_P_MPLS_UC: Final = 0x8847
ETH_P_MPLS_MC: Final = 0x8848
ETH_P_8021AD: Final = 0x88A8
ETH_P_NSH: Final = 0x894F

VLAN_TYPES: Final = frozenset((ETH_P_8021Q, ETH_P_8021AD))
MPLS_TYPES: Final = frozenset((ETH_P_MPLS_UC, ETH_P_MPLS_MC))

VLAN_CFI_MASK: Final = 0x1000
"""Set in the TCI of a flow key where there is a tag; the frame's own bit there is not kept."""

ETHERNET_SIZE: Final = 14
VLAN_SIZE: Final = 4
MPLS_SIZE: Final = 4
MPLS_BOTTOM_OF_STACK: Final = 0x100
"""The bit of a label stack entry that says that no other follows (RFC 3032)."""

IPV4_SIZE: Final = 20
"""Bytes of the header without options."""
IPV6_SIZE: Final = 40

IPPROTO_HOPOPTS: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_ROUTING: Final = 43
IPPROTO_FRAGMENT: Final = 44
IPPROTO_AH: Final = 51
IPPROTO_ICMPV6: Final = 58
IPPROTO_NONE: Final = 59
IPPROTO_DSTOPTS: Final = 60
IPPROTO_SCTP: Final = 132

TCP_SIZE: Final = 20
"""Bytes of the header without options."""
UDP_SIZE: Final = 8
SCTP_SIZE: Final = 12

OVS_FRAG_TYPE_NONE: Final = 0
OVS_FRAG_TYPE_FIRST: Final = 1
OVS_FRAG_TYPE_LATER: Final = 2
