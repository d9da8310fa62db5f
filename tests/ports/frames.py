"""Frames for the tests of ports."""

from __future__ import annotations

import struct

from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_TCPV4,
    Offload,
)
from tests.ports.rigs import Frame

ADDRESSES = bytes.fromhex("020000000001020000000002")
ETH_P_EXPERIMENT = 0x88B5
"""IEEE Std 802 Local Experimental Ethertype 1."""
TAG = bytes.fromhex("8100e064")
SERVICE_TAG = bytes.fromhex("88a80bcd")
IPPROTO_TCP = 6


def numbered(number: int, size: int = 60) -> bytes:
    """A frame like no other."""
    payload = struct.pack("!I", number) + bytes(index & 0xFF for index in range(size - 18))
    return ADDRESSES + struct.pack("!H", ETH_P_EXPERIMENT) + payload


def tagged(frame: bytes, *tags: bytes) -> bytes:
    """A frame with VLAN tags."""
    return frame[:12] + b"".join(tags) + frame[12:]


def sum16(data: bytes) -> int:
    """The ones' complement sum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def tcp(payload_size: int, segment_size: int, *tags: bytes) -> Frame:
    """TCP over IPv4, its checksum to be completed; to be segmented too, unless that is 0."""
    tcp_length = 20 + payload_size
    source, target = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + tcp_length, 1, 0x4000, 64, IPPROTO_TCP, 0)
    ip += source + target
    ip = ip[:10] + struct.pack("!H", ~sum16(ip) & 0xFFFF) + ip[12:]
    pseudo = sum16(source + target + struct.pack("!HH", IPPROTO_TCP, tcp_length))
    header = struct.pack("!HHIIBBHHH", 1000, 2000, 1, 1, 0x50, 0x10, 512, pseudo, 0)
    payload = bytes(index & 0xFF for index in range(payload_size))
    frame = tagged(ADDRESSES + b"\x08\x00" + ip + header + payload, *tags)
    start = 34 + 4 * len(tags)
    gso_type = VIRTIO_NET_HDR_GSO_TCPV4 if segment_size else 0
    offload = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, gso_type, start + 20, segment_size, start, 16)
    return Frame(frame, offload)
