"""From a frame to its flow key: key_extract() of net/openvswitch/flow.c (Linux 6.1).

What is set, beside `packet.key`:

- `packet.network`: where the layer 3 header begins, from the frame's beginning: behind Ethernet, at
  most two VLAN tags, and 802.2 SNAP; 0 in a frame without Ethernet.
- `packet.transport`: where the layer 4 header begins, for IPv4 and IPv6 with complete headers; for
  MPLS, what lies behind the labels; -1 where there is no such thing. It may lie at the frame's end,
  or a header there be cut off: then the key's ports are zeros.

A frame that is too short for a header is no error but for Ethernet and NSH: the fields of that
header are zeros. VLAN tags are always in the frame here, never beside it.

`extract` itself is the fast way for IPv4 with TCP or UDP: the headers are read by one unpack_from
and the key made by one pack. What it does not know goes through a function per header.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from ovsdp_cuse.switch.extract_ipv6 import extract_ipv6
from ovsdp_cuse.switch.extract_network import (
    extract_arp,
    extract_ipv4,
    extract_mpls,
    extract_nsh,
    is_udp_fragmented,
)
from ovsdp_cuse.switch.key import (
    CT_ORIG_IPV6_DST,
    CT_STATE,
    DP_HASH,
    ETH_TYPE,
    FIRST_PART,
    IN_PORT,
    IP_PROTO,
    MAC_PROTO,
    MAC_PROTO_ETHERNET,
    PRIORITY,
    SKB_MARK,
    TP_DST,
    TP_SRC,
    TUN_OPTS,
    TUN_PROTO,
    Field,
)
from ovsdp_cuse.switch.packet import VNET_HEADER_SIZE, Packet
from ovsdp_cuse.switch.protocols import (
    ETH_P_802_2,
    ETH_P_802_3_MIN,
    ETH_P_ARP,
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_MPLS_MC,
    ETH_P_MPLS_UC,
    ETH_P_NSH,
    ETH_P_RARP,
    ETHERNET_SIZE,
    IPPROTO_ICMPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV4_SIZE,
    OVS_FRAG_TYPE_FIRST,
    OVS_FRAG_TYPE_NONE,
    VLAN_CFI_MASK,
    VLAN_SIZE,
    VLAN_TYPES,
)


def _span(first: Field, last: Field) -> int:
    """A mask of all fields from one to another."""
    return (last.ones | (last.ones - 1)) & ~((1 << first.shift) - 1)


METADATA: Final = (
    _span(IN_PORT, MAC_PROTO)
    | PRIORITY.ones
    | SKB_MARK.ones
    | DP_HASH.ones
    | _span(CT_STATE, CT_ORIG_IPV6_DST)
    | _span(TUN_PROTO, TUN_OPTS)
)
"""The fields that are not read from a frame."""
METADATA_L3: Final = METADATA | ETH_TYPE.ones
"""The same for a frame without Ethernet, whose EtherType is told beside it."""

_HEADERS = struct.Struct(">12sHBB4xHBB2x8sHH8xH6x")
"""Ethernet, IPv4 and TCP: addresses, EtherType; version and length, TOS, fragment, TTL, protocol,
addresses; ports, data offset and flags."""
_FIRST_PART = struct.Struct("<7x12s8xHBBBB8sHHH")
"""FIRST_PART of a frame without VLAN tags, with zeros for metadata and addresses in pairs."""
_ETHERNET = struct.Struct(">12sH")
_TAG = struct.Struct(">HH")
_SNAP = struct.Struct(">HB3sH")
_LINK = struct.Struct("<7x12sHHHHH")
"""The key up to the EtherType."""
assert FIRST_PART.size == _FIRST_PART.size
assert 8 * _LINK.size == IP_PROTO.shift

_SHORTEST = _HEADERS.size
_VERSION_AND_LENGTH = 0x45
"""IPv4 without options."""
_GSO_TYPE_BEFORE = VNET_HEADER_SIZE - 1
"""How far before a frame the gso_type of its vnet header lies."""
_FRAGMENT = 0x3FFF
"""More fragments, and the offset."""
_TRANSPORT = ETHERNET_SIZE + IPV4_SIZE
_ETHERNET_BIT: Final = MAC_PROTO.place(MAC_PROTO_ETHERNET)
_SNAP_HEAD: Final = (0xAAAA, b"\0\0\0")

_NETWORK: Final[dict[int, Callable[[Packet, int], int | None]]] = {
    ETH_P_IP: extract_ipv4,
    ETH_P_IPV6: extract_ipv6,
    ETH_P_ARP: extract_arp,
    ETH_P_RARP: extract_arp,
    ETH_P_MPLS_UC: extract_mpls,
    ETH_P_MPLS_MC: extract_mpls,
    ETH_P_NSH: extract_nsh,
}
"""By EtherType, what reads the header: (packet, place in the buffer) to a part of the key, or None
for a frame that is refused. It sets `packet.transport`, which is -1 before."""


def extract(packet: Packet, metadata: int) -> bool:
    """Set the packet's key, its offsets, and that the key is valid.

    metadata: the fields of METADATA, with MAC_PROTO; where that is MAC_PROTO_NONE, ETH_TYPE too,
    which says what the frame begins with. Returns False for a frame that is to be dropped as
    malformed; then the packet's key and offsets say nothing.
    """
    buffer, start = packet.buffer, packet.start
    size = packet.end - start
    if not metadata & _ETHERNET_BIT:
        eth_type = ETH_TYPE.get(metadata)
        return eth_type not in VLAN_TYPES and _extract_network(packet, metadata, eth_type, start)
    if size < _SHORTEST:
        return _extract_ethernet(packet, metadata)
    addresses, eth_type, version, tos, fragment, ttl, proto, ips, source, destination, flags = (
        _HEADERS.unpack_from(buffer, start)
    )
    if eth_type != ETH_P_IP or version != _VERSION_AND_LENGTH or fragment & _FRAGMENT:
        return _extract_ethernet(packet, metadata)
    fragment = OVS_FRAG_TYPE_NONE
    if proto == IPPROTO_TCP:
        length = flags >> 12
        if length != 5 and (length < 5 or size < _TRANSPORT + 4 * length):
            return _extract_ethernet(packet, metadata)
        flags &= 0xFFF
    elif proto == IPPROTO_UDP:
        flags = 0
        if buffer[start - _GSO_TYPE_BEFORE] and is_udp_fragmented(packet):
            fragment = OVS_FRAG_TYPE_FIRST
    else:
        return _extract_ethernet(packet, metadata)
    part = _FIRST_PART.pack(
        addresses, ETH_P_IP, proto, tos, ttl, fragment, ips, source, destination, flags
    )
    packet.key = metadata | int.from_bytes(part, "little")
    packet.network = ETHERNET_SIZE
    packet.transport = _TRANSPORT
    packet.key_valid = True
    return True


def update(packet: Packet) -> bool:
    """Extract again, after the frame has changed: ovs_flow_key_update().

    The metadata is that of the key. Where its MAC_PROTO says that the frame has no Ethernet header,
    its ETH_TYPE says what the frame begins with.
    """
    key = packet.key
    return extract(packet, key & (METADATA if key & _ETHERNET_BIT else METADATA_L3))


def extract_userspace(
    packet: Packet, metadata: int, *, has_ct_ipv4: bool = False, has_ct_ipv6: bool = False
) -> bool:
    """Extract a frame that userspace sent: ovs_flow_key_extract_userspace().

    metadata: what userspace said of the packet, ETH_TYPE too; that counts only where MAC_PROTO is
    MAC_PROTO_NONE. has_ct_ipv4, has_ct_ipv6: whether it gave an original tuple of a connection
    (OVS_KEY_ATTR_CT_ORIG_TUPLE_IPV4, _IPV6), which must be of the frame's protocol. Returns False
    where any of this is wrong (EINVAL).
    """
    if metadata & _ETHERNET_BIT:
        metadata &= ~ETH_TYPE.ones
    if not extract(packet, metadata):
        return False
    eth_type = ETH_TYPE.get(packet.key)
    if has_ct_ipv4 and eth_type != ETH_P_IP:
        return False
    return not has_ct_ipv6 or (eth_type == ETH_P_IPV6 and not is_neighbour_discovery(packet.key))


def is_neighbour_discovery(key: int) -> bool:
    """Whether a key is that of a neighbour solicitation or advertisement: sw_flow_key_is_nd()."""
    return (
        ETH_TYPE.get(key) == ETH_P_IPV6
        and IP_PROTO.get(key) == IPPROTO_ICMPV6
        and TP_DST.get(key) == 0
        and TP_SRC.get(key) in (135, 136)
    )


def _extract_ethernet(packet: Packet, metadata: int) -> bool:
    """What begins with an Ethernet header; `metadata` has no ETH_TYPE."""
    buffer, start, end = packet.buffer, packet.start, packet.end
    at = start + ETHERNET_SIZE
    if at > end:
        return False
    addresses, eth_type = _ETHERNET.unpack_from(buffer, start)
    tpid = tci = inner_tpid = inner_tci = 0
    # A tag counts where the EtherType behind it is there too.
    if eth_type in VLAN_TYPES and end - at >= VLAN_SIZE:
        tpid = eth_type
        tci, eth_type = _TAG.unpack_from(buffer, at)
        tci |= VLAN_CFI_MASK
        at += VLAN_SIZE
        if eth_type in VLAN_TYPES and end - at >= VLAN_SIZE:
            inner_tpid = eth_type
            inner_tci, eth_type = _TAG.unpack_from(buffer, at)
            inner_tci |= VLAN_CFI_MASK
            at += VLAN_SIZE
    if eth_type < ETH_P_802_3_MIN:
        eth_type, at = _read_llc(packet, at)
    link = _LINK.pack(addresses, tpid, tci, inner_tpid, inner_tci, eth_type)
    return _extract_network(packet, metadata | int.from_bytes(link, "little"), eth_type, at)


def _read_llc(packet: Packet, at: int) -> tuple[int, int]:
    """(EtherType, place of what it is of) of a frame with a length: 802.2 LLC, maybe SNAP.

    A SNAP header is passed over even if what it tells is not an EtherType.
    """
    if packet.end - at < _SNAP.size:
        return ETH_P_802_2, at
    points, _, organization, eth_type = _SNAP.unpack_from(packet.buffer, at)
    if (points, organization) != _SNAP_HEAD:
        return ETH_P_802_2, at
    known = eth_type if eth_type >= ETH_P_802_3_MIN else ETH_P_802_2
    return known, at + _SNAP.size


def _extract_network(packet: Packet, key: int, eth_type: int, at: int) -> bool:
    """What lies at `at` of the buffer; `key` has all that comes before."""
    packet.network = at - packet.start
    packet.transport = -1
    read = _NETWORK.get(eth_type)
    if read is not None:
        part = read(packet, at)
        if part is None:
            return False
        key |= part
    packet.key = key
    packet.key_valid = True
    return True
