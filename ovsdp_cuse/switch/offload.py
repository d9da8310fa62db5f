"""What is left to the sender of a frame, done in software: checksums and segments.

A frame comes with a struct virtio_net_hdr: it may lack its checksum (NEEDS_CSUM), and may be many
segments in one (gso_type). Where it goes to somebody who knows of neither, it is finished here, to
the same bytes as by skb_checksum_help() and skb_gso_segment() of Linux.

Every number in a virtio_net_hdr is a claim. It is compared with the frame, and OffloadError raised
where it cannot be.
"""

from __future__ import annotations

import struct
from typing import Final

from ovsdp_cuse.switch.checksum import SCTP_CHECKSUM, checksum, crc32c
from ovsdp_cuse.switch.layers import OffloadError, find_layers
from ovsdp_cuse.switch.packet import (
    NO_OFFLOAD,
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_NONE,
    VNET_HEADER_SIZE,
    Offload,
    Packet,
)
from ovsdp_cuse.switch.protocols import IPPROTO_SCTP
from ovsdp_cuse.switch.segmentation import Cut

__all__ = ["OffloadError", "complete_checksum", "is_gso", "segments", "validate"]

SCTP_MAXIMUM: Final = 16384

_U16 = struct.Struct(">H")
_CRC = struct.Struct("<I")


def is_gso(packet: Packet) -> bool:
    """Whether the packet is many segments in one."""
    return packet.buffer[packet.start - VNET_HEADER_SIZE + 1] != VIRTIO_NET_HDR_GSO_NONE


def validate(packet: Packet) -> None:
    """Raise OffloadError unless the frame can be finished as its virtio_net_hdr says.

    The packet's key says what the frame begins with, as for `segments`.
    """
    offload = packet.offload
    if offload.gso_type and Cut(packet, offload).is_needed:
        return
    if offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM:
        _validate_checksum(packet, offload)


def complete_checksum(packet: Packet) -> None:
    """Write the checksum that was left to the sender; a frame that lacks none is not touched.

    It is an Internet checksum (0 becomes 0xFFFF, whatever the protocol), or the CRC32c of SCTP. The
    packet is made writable for it. Raises OffloadError, also for a frame that is to be segmented.
    """
    offload = packet.offload
    if offload.gso_type:
        raise OffloadError("a frame that is to be segmented has no checksum of its own")
    if not offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM:
        return
    _validate_checksum(packet, offload)
    packet.make_writable()
    buffer, start, end = packet.buffer, packet.start, packet.end
    covered = start + offload.csum_start
    place = covered + offload.csum_offset
    if _is_sctp(packet, offload):
        _CRC.pack_into(buffer, place, 0)
        _CRC.pack_into(buffer, place, crc32c(buffer[covered:end]))
    else:
        _U16.pack_into(buffer, place, checksum(buffer[covered:end]) or 0xFFFF)
    buffer[start - VNET_HEADER_SIZE : start] = NO_OFFLOAD


def segments(packet: Packet) -> list[Packet]:
    """The complete frames that a frame stands for: one, where there is nothing to segment.

    The packet's key says whether the frame begins with Ethernet (MAC_PROTO), and if not, that or
    `packet.link` with what. The packet itself stays as it is; its segments have its key and what
    else is known of it, but for IP_FRAG, which is OVS_FRAG_TYPE_LATER in all fragments but the
    first. They share a buffer, so none of them owns it. Raises OffloadError.
    """
    offload = packet.offload
    if offload.gso_type:
        cut = Cut(packet, offload)
        if cut.is_needed:
            return cut.apply(packet)
    # What fits one segment is none: it has just a checksum.
    whole = packet.clone()
    whole.make_writable()
    whole.offload = offload._replace(gso_type=VIRTIO_NET_HDR_GSO_NONE)
    complete_checksum(whole)
    whole.buffer[whole.start - VNET_HEADER_SIZE : whole.start] = NO_OFFLOAD
    return [whole]


def _is_sctp(packet: Packet, offload: Offload) -> bool:
    """Whether the checksum is a CRC32c: the offset alone is a claim.

    It takes so much longer that it is refused for what no interface's MTU allows.
    """
    if offload.csum_offset != SCTP_CHECKSUM:
        return False
    try:
        if find_layers(packet).protocol != IPPROTO_SCTP:
            return False
    except OffloadError:  # no IP, so nothing of SCTP either
        return False
    if len(packet) > SCTP_MAXIMUM:
        raise OffloadError(f"a CRC32c over more than {SCTP_MAXIMUM} bytes")
    return True


def _validate_checksum(packet: Packet, offload: Offload) -> None:
    size = 4 if _is_sctp(packet, offload) else 2
    if offload.csum_start + offload.csum_offset + size > len(packet):
        raise OffloadError(
            f"csum_start {offload.csum_start}, csum_offset {offload.csum_offset} are beyond the "
            f"{len(packet)} bytes of the frame"
        )
