"""Frames of many segments as scapy builds them, and what their segments must be."""

from __future__ import annotations

import struct
from typing import Any

from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import IN_PORT, MAC_PROTO, MAC_PROTO_ETHERNET
from ovsdp_cuse.switch.offload import segments, validate
from ovsdp_cuse.switch.packet import VIRTIO_NET_HDR_F_NEEDS_CSUM, Offload, Packet

ETHERNET = MAC_PROTO.place(MAC_PROTO_ETHERNET)
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ETHER = Ether(dst=B, src=A)
TAG = Dot1Q(vlan=5, prio=3)
OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (123, 456))]
CHECKSUMS = {6: 16, 17: 6, 132: 8, 1: 2, 58: 2}
"""Where a transport header has its checksum, by protocol."""

OUTER: dict[str, Any] = {
    "ethernet": ETHER,
    "vlan": ETHER / TAG,
    "two tags": ETHER / Dot1AD(vlan=7) / TAG,
    "three tags": ETHER / Dot1AD(vlan=7) / TAG / TAG,
    "mpls": ETHER / TAG / MPLS(label=5, s=0) / MPLS(label=6, s=1),
    "nsh": Ether(dst=A, src=B, type=0x894F)
    / NSH(spi=1, si=2, nextproto=3, context_header=bytes(16))
    / ETHER,
}


def ipv4(identification: int = 0, **fields: Any) -> Any:
    """An IPv4 header."""
    return IP(src="192.0.2.1", dst="198.51.100.2", id=identification & 0xFFFF, **fields)


def ipv6(*extensions: Any) -> Any:
    """An IPv6 header with extension headers."""
    header: Any = IPv6(src="2001:db8::1", dst="2001:db8::2", fl=77)
    for extension in extensions:
        header = header / extension
    return header


def fold(total: int) -> int:
    """One's complement addition with 16 bits."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def transport_of(frame: bytes, protocol: int, payload_size: int) -> int:
    """Where the last transport header of a frame of scapy's begins."""
    layer: Any = Ether(frame)
    kind = {6: TCP, 17: UDP}[protocol]
    return len(frame) - payload_size - (layer[kind].dataofs * 4 if kind is TCP else 8)


def superframe(
    frame: Any, protocol: int, payload: bytes, offload: Offload, partial: bool
) -> Packet:
    """A packet of a frame whose checksum is left to the sender, with the sum of a pseudo-header."""
    data = bytearray(bytes(frame))
    start = transport_of(bytes(data), protocol, len(payload))
    place = CHECKSUMS[protocol]
    length = len(data) - start
    inner: Any = Ether(bytes(data))
    if IPv6 in inner:
        packed = b"".join(bytes.fromhex(_hex(inner[IPv6], name)) for name in ("src", "dst"))
    else:
        packed = bytes(inner[IP])[12:20]
    seed = fold(sum(struct.unpack(f">{len(packed) // 2}H", packed)) + protocol + length)
    if partial:
        data[start + place : start + place + 2] = seed.to_bytes(2, "big")
        offload = offload._replace(
            flags=VIRTIO_NET_HDR_F_NEEDS_CSUM, csum_start=start, csum_offset=place
        )
    packet = Packet.of(bytes(data), offload)
    assert extract(packet, ETHERNET | IN_PORT.place(4))
    return packet


def _hex(ip: Any, name: str) -> str:
    return bytes(IPv6(src=getattr(ip, name), dst="::"))[8:24].hex()


def split(payload: bytes, size: int) -> list[bytes]:
    """A payload in pieces."""
    return [payload[at : at + size] for at in range(0, len(payload), size)]


def check(packet: Packet, expected: list[Any]) -> list[Packet]:
    """Compare a packet's segments with what scapy builds, and that the packet is as before."""
    before, offload = packet.frame, packet.offload
    pieces = segments(packet)
    assert [piece.frame.hex() for piece in pieces] == [bytes(frame).hex() for frame in expected]
    assert not any(piece.has_offload for piece in pieces)
    assert all(IN_PORT.get(piece.key) == 4 for piece in pieces)
    assert (packet.frame, packet.offload) == (before, offload)
    validate(packet)
    return pieces


def payload_of(size: int) -> bytes:
    """Bytes that differ from place to place."""
    return bytes(at * 7 + at // 256 & 0xFF for at in range(size))
