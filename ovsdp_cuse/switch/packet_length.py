"""The length that check_pkt_len compares: of what a packet will be on the wire."""

from __future__ import annotations

from typing import Final

from ovsdp_cuse.switch.edits.link import is_tagged, length, mac_length
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_GSO_ECN,
    VIRTIO_NET_HDR_GSO_NONE,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6,
    VIRTIO_NET_HDR_GSO_UDP_L4,
    Packet,
)
from ovsdp_cuse.switch.protocols import UDP_SIZE, VLAN_SIZE

_TCP: Final = (VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6)
_TCP_DATA_OFFSET = 12


def fits(packet: Packet, limit: int) -> bool:
    """Whether a packet, each of its segments, or each of what were its fragments has `limit` bytes.

    Ethernet counts, an outermost VLAN tag does not: execute_check_pkt_len().
    """
    size = packet.mru + mac_length(packet) if packet.mru else length(packet)
    if size <= limit:
        return True
    segment = _segment_length(packet)
    return segment is not None and segment <= limit


def _segment_length(packet: Packet) -> int | None:
    """Bytes of the longest segment (skb_gso_mac_seglen()); None for a packet that is one frame."""
    offload = packet.offload
    kind = offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN
    if kind == VIRTIO_NET_HDR_GSO_NONE:
        return None
    transport = packet.transport if packet.transport >= 0 else offload.csum_start
    size = transport + offload.gso_size - (VLAN_SIZE if is_tagged(packet) else 0)
    data_offset = packet.start + transport + _TCP_DATA_OFFSET
    if kind in _TCP and data_offset < packet.end:
        size += packet.buffer[data_offset] >> 4 << 2
    elif kind == VIRTIO_NET_HDR_GSO_UDP_L4:
        size += UDP_SIZE
    return size
