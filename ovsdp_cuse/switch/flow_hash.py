"""The hash of a packet's flow: the same for all packets of a flow, in every run.

It has the part of skb_get_hash() in Linux: which upcall PID gets a miss, and `dp_hash`. The numbers
differ, as Linux hashes with a secret; these are of addresses, protocol and ports. Python's hashes
of integers and of tuples of them are not seeded.
"""

from __future__ import annotations

from typing import Final

from ovsdp_cuse.switch.key import (
    ETH_TYPE,
    IP_FRAG,
    IP_PROTO,
    IPV4_DST,
    IPV4_SRC,
    IPV6_DST,
    IPV6_LABEL,
    IPV6_SRC,
    MPLS_LSE_0,
    TP_DST,
    TP_SRC,
)
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP

_ADDRESSES = (
    ETH_TYPE.ones
    | IP_PROTO.ones
    | IPV4_SRC.ones
    | IPV4_DST.ones
    | IPV6_SRC.ones
    | IPV6_DST.ones
    | MPLS_LSE_0.ones
)
_PORTS = TP_SRC.ones | TP_DST.ones
_FLOW = _ADDRESSES | _PORTS
_LABEL = IPV6_LABEL.ones
_LABELLED = _ADDRESSES | _LABEL
_WITH_PORTS = (IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP)
_UNDIRECTED = ETH_TYPE.ones | IP_PROTO.ones
_FRAGMENT = IP_FRAG.ones

HASH_SW_BIT: Final = 1 << 32
HASH_L4_BIT: Final = 1 << 33
"""OVS_PACKET_HASH_*_BIT of net/openvswitch/datapath.h: computed by software; from the ports too."""

_MULTIPLIER: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: spreads what differs in a few bits."""


def _mix(number: int) -> int:
    number &= 0xFFFFFFFFFFFFFFFF
    return ((number ^ number >> 29) * _MULTIPLIER >> 29 & 0xFFFFFFFF) or 1


def flow_hash(packet: Packet) -> int:
    """The hash, 32 bits and never 0; kept in the packet until an action changes the flow.

    Fragments of a packet have one hash, so for them it is without the ports, which the first has.
    A flow label of IPv6 stands for the ports, as in __skb_get_hash().
    A hash that userspace has given counts where it says how it was made, as in skb_get_hash().
    """
    known = packet.hash
    if not known or not known & (HASH_SW_BIT | HASH_L4_BIT):
        key = packet.key
        fields, bits = _ADDRESSES, HASH_SW_BIT
        if key & _LABEL:
            fields, bits = _LABELLED, HASH_SW_BIT | HASH_L4_BIT
        elif not key & _FRAGMENT and IP_PROTO.get(key) in _WITH_PORTS:
            fields = _FLOW
            if key & _PORTS:
                bits = HASH_SW_BIT | HASH_L4_BIT
        known = packet.hash = bits | _mix(hash(key & fields))
    return known & 0xFFFFFFFF


def symmetric_hash(packet: Packet) -> int:
    """A hash that is the same for both directions of a flow (OVS_HASH_ALG_SYM_L4)."""
    key = packet.key
    has_ports = not key & _FRAGMENT
    ends = []
    for ipv4, ipv6, port in ((IPV4_SRC, IPV6_SRC, TP_SRC), (IPV4_DST, IPV6_DST, TP_DST)):
        address = (key & ipv4.ones) >> ipv4.shift | (key & ipv6.ones) >> ipv6.shift
        ends.append((address, port.get(key) if has_ports else 0))
    return _mix(hash((key & _UNDIRECTED, *sorted(ends))))


_INITIAL: Final = 0xDEADBEEF
_ROUNDS: Final = ((2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24))
"""The last mixing of lookup3.c (Bob Jenkins, public domain): which of three words is XORed with
which other, and the rotation of that other which is then subtracted."""


def dp_hash(flow: int, basis: int) -> int:
    """What the action hash computes of a flow's hash: jhash_1word() of <linux/jhash.h>; never 0."""
    start = basis + _INITIAL + 4 & 0xFFFFFFFF
    words = [flow + start & 0xFFFFFFFF, start, start]
    for target, other, rotation in _ROUNDS:
        word = words[other]
        rotated = (word << rotation | word >> 32 - rotation) & 0xFFFFFFFF
        words[target] = (words[target] ^ word) - rotated & 0xFFFFFFFF
    return words[2] or 1
