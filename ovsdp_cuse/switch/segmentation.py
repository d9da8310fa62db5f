"""One frame into many: TCP and UDP segments and IP fragments, to the same bytes as by Linux.

tcp_gso_segment(), __udp_gso_segment(), udp4_ufo_fragment() and udp6_ufo_fragment(), then
inet_gso_segment() and ipv6_gso_segment(). Every segment begins with what comes before the payload
in the whole, whatever it is; then the transport header is put right, then the innermost IP header.

Fragments differ from Linux's in two things: behind IPv6 extension headers their offsets are right,
and their size must be a multiple of 8.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final

from ovsdp_cuse.switch.checksum import checksum, pseudo_header
from ovsdp_cuse.switch.key import IP_FRAG
from ovsdp_cuse.switch.layers import Layers, OffloadError, find_layers
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_ECN,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6,
    VIRTIO_NET_HDR_GSO_UDP,
    VIRTIO_NET_HDR_GSO_UDP_L4,
    VNET_HEADER_SIZE,
    Offload,
    Packet,
)
from ovsdp_cuse.switch.protocols import (
    ETH_P_IP,
    ETH_P_IPV6,
    IPPROTO_FRAGMENT,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPV6_SIZE,
    OVS_FRAG_TYPE_LATER,
    TCP_SIZE,
    UDP_SIZE,
)

TCP_CHECKSUM: Final = 16
"""Where a TCP header has its checksum."""
UDP_CHECKSUM: Final = 6
TCP_MIN_GSO_SIZE: Final = 8
UDP_MAX_SEGMENTS: Final = 128

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_FRAGMENT_HEADER = struct.Struct(">BBHI")
_FIN_PSH: Final = 0x09
_CWR: Final = 0x80
SEGMENTS_MAXIMUM: Final = 512
"""Of one frame. With segments of 536 bytes, which is what IPv4 guarantees, there are 120; with the
8 that a sender may claim one frame would be thousands."""
_MORE_FRAGMENTS: Final = 0x2000
_MORE_FRAGMENTS_V6: Final = 0x0001


class Cut:
    """How a frame is cut: `header_size` bytes that every segment has, then `size` bytes of payload.

    What it needs of the frame has been checked when it is made. layers: see there. offload: the
    frame's own.
    """

    def __init__(self, packet: Packet, offload: Offload) -> None:
        """Raises OffloadError."""
        kind = offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN
        if kind not in _KINDS:
            raise OffloadError(f"gso_type {offload.gso_type:#x} is unknown")
        eth_types, protocol, self.segment = _KINDS[kind]
        self.layers = layers = find_layers(packet)
        self.offload = offload
        self.size = offload.gso_size
        if layers.eth_type not in eth_types or layers.protocol != protocol:
            raise OffloadError(f"gso_type {offload.gso_type:#x} is not what the frame holds")
        if not self.size:
            raise OffloadError("gso_size is 0")
        if protocol == IPPROTO_TCP:
            self._cut_tcp(packet)
        elif kind == VIRTIO_NET_HDR_GSO_UDP_L4:
            self._cut_udp(packet)
        else:
            self._cut_fragments(packet)
        self.payload_size = len(packet) - self.header_size
        if self.payload_size > self.size * SEGMENTS_MAXIMUM:
            raise OffloadError(f"these are more than {SEGMENTS_MAXIMUM} segments")
        if self.header_size - layers.network + min(self.size, self.payload_size) > 0xFFFF:
            raise OffloadError("a segment would be longer than IP can be")

    def _cut_tcp(self, packet: Packet) -> None:
        transport = self.layers.transport
        self._need(packet, transport + TCP_SIZE)
        length = 4 * (packet.buffer[packet.start + transport + 12] >> 4)
        self.header_size = transport + length
        self._need(packet, self.header_size)
        if length < TCP_SIZE:
            raise OffloadError("the TCP header claims to be shorter than it is")
        if self.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM:
            self._need_checksum_at(TCP_CHECKSUM)
        self.size = max(self.size, TCP_MIN_GSO_SIZE)

    def _cut_udp(self, packet: Packet) -> None:
        self.header_size = self.layers.transport + UDP_SIZE
        self._need(packet, self.header_size)
        if not self.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM:
            raise OffloadError("UDP segments need a checksum that is left to the sender")
        self._need_checksum_at(UDP_CHECKSUM)
        if len(packet) - self.header_size > self.size * UDP_MAX_SEGMENTS:
            raise OffloadError(f"these are more than {UDP_MAX_SEGMENTS} UDP segments")

    def _cut_fragments(self, packet: Packet) -> None:
        self.header_size = self.layers.fragmentable or self.layers.transport
        self._need(packet, self.layers.transport + UDP_SIZE)
        if self.size % 8:
            raise OffloadError(f"fragments of {self.size} bytes are not a multiple of 8")
        if len(packet) - self.header_size > 0xFFFF:
            raise OffloadError("the datagram is longer than IP can be")

    def _need(self, packet: Packet, size: int) -> None:
        if len(packet) < size:
            raise OffloadError("the transport header is cut off")

    def _need_checksum_at(self, offset: int) -> None:
        start, place = self.offload.csum_start, self.offload.csum_offset
        if (start, place) != (self.layers.transport, offset):
            raise OffloadError(f"csum_start {start}, csum_offset {place} are not the header's")

    @property
    def is_needed(self) -> bool:
        """Whether there is more than one segment."""
        return self.payload_size > self.size

    def apply(self, packet: Packet) -> list[Packet]:
        """The segments."""
        return self.segment(packet, self)


def _segment_tcp(packet: Packet, cut: Cut) -> list[Packet]:
    """Sequence numbers count up; FIN and PSH stay in the last segment, CWR in the first."""
    layers = cut.layers
    transport = layers.transport
    tcp = packet.start + transport
    (sequence,) = _U32.unpack_from(packet.buffer, tcp + 4)
    flags = packet.buffer[tcp + 13]
    seed = _checksum_seed(packet, cut, TCP_CHECKSUM)
    pieces = _copies(packet, cut.header_size, cut.size)
    last = len(pieces) - 1
    for number, piece in enumerate(pieces):
        buffer, at = piece.buffer, piece.start + transport
        _U32.pack_into(buffer, at + 4, sequence + number * cut.size & 0xFFFFFFFF)
        kept = flags if number == last else flags & ~_FIN_PSH
        buffer[at + 13] = kept & ~_CWR if number else kept
        _U16.pack_into(buffer, at + TCP_CHECKSUM, 0)
        check = checksum(memoryview(buffer)[at : piece.end], seed + piece.end - at)
        _U16.pack_into(buffer, at + TCP_CHECKSUM, check)
    _finish_network(pieces, layers)
    return pieces


def _segment_udp(packet: Packet, cut: Cut) -> list[Packet]:
    """Datagrams of their own."""
    layers = cut.layers
    transport = layers.transport
    seed = _checksum_seed(packet, cut, UDP_CHECKSUM)
    pieces = _copies(packet, cut.header_size, cut.size)
    for piece in pieces:
        buffer, at = piece.buffer, piece.start + transport
        length = piece.end - at
        # The length and, still zero, the checksum.
        _U32.pack_into(buffer, at + 4, length << 16)
        check = checksum(memoryview(buffer)[at : piece.end], seed + length)
        _U16.pack_into(buffer, at + UDP_CHECKSUM, check or 0xFFFF)
    _finish_network(pieces, layers)
    return pieces


def _checksum_seed(packet: Packet, cut: Cut, offset: int) -> int:
    """The sum of the pseudo-header but for the length: as the frame has it, else a new one."""
    layers = cut.layers
    at = packet.start + layers.transport
    if not cut.offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM:
        return pseudo_header(_addresses(packet, layers), layers.protocol, 0)
    (seed,) = _U16.unpack_from(packet.buffer, at + offset)
    length = packet.end - at
    if layers.protocol == IPPROTO_UDP:
        # Linux takes what UDP says of its length for what is in the sum.
        (length,) = _U16.unpack_from(packet.buffer, at + 4)
    return int(seed) + -length % 0xFFFF


def _fragment_udp(packet: Packet, cut: Cut) -> list[Packet]:
    """IP fragments of one datagram, whose checksum is made here."""
    layers = cut.layers
    whole = packet.clone()
    whole.make_writable()
    buffer, at = whole.buffer, whole.start + layers.transport
    _U16.pack_into(buffer, at + UDP_CHECKSUM, 0)
    initial = pseudo_header(_addresses(whole, layers), IPPROTO_UDP, whole.end - at)
    check = checksum(memoryview(buffer)[at : whole.end], initial)
    _U16.pack_into(buffer, at + UDP_CHECKSUM, check or 0xFFFF)
    header_size = cut.header_size
    if layers.eth_type == ETH_P_IPV6:
        next_header = whole.start + layers.next_header
        fragment = _FRAGMENT_HEADER.pack(buffer[next_header], 0, 0, random.getrandbits(32) or 1)
        buffer[next_header] = IPPROTO_FRAGMENT
        whole.push(header_size, fragment)
        whole.transport += len(fragment)
        header_size += len(fragment)
    pieces = _copies(whole, header_size, cut.size)
    last = len(pieces) - 1
    for number, piece in enumerate(pieces):
        offset = number * cut.size
        if layers.eth_type == ETH_P_IPV6:
            word = offset | (_MORE_FRAGMENTS_V6 if number < last else 0)
            _U16.pack_into(piece.buffer, piece.start + header_size - 6, word)
        else:
            word = offset >> 3 | (_MORE_FRAGMENTS if number < last else 0)
            _U16.pack_into(piece.buffer, piece.start + layers.network + 6, word)
        if number:
            piece.key = IP_FRAG.replace(piece.key, OVS_FRAG_TYPE_LATER)
    _finish_network(pieces, layers, same_identification=True)
    return pieces


def _copies(packet: Packet, header_size: int, size: int) -> list[Packet]:
    """Packets that all begin as this one, each with the next `size` bytes of its payload.

    They lie in one buffer, each behind a vnet header of zeros, so none of them owns it.
    """
    frame = memoryview(packet.buffer)[packet.start : packet.end]
    header = frame[:header_size]
    spans = range(header_size, len(frame), size)
    buffer = bytearray(len(spans) * (VNET_HEADER_SIZE + header_size) + len(frame) - header_size)
    view = memoryview(buffer)
    pieces = []
    end = 0
    for begin in spans:
        start = end + VNET_HEADER_SIZE
        middle = start + header_size
        payload = frame[begin : begin + size]
        end = middle + len(payload)
        view[start:middle] = header
        view[middle:end] = payload
        pieces.append(packet.over(buffer, start, end))
    return pieces


def _finish_network(
    pieces: list[Packet], layers: Layers, same_identification: bool = False
) -> None:
    """Put the innermost IP headers right; the identifications of IPv4 count up."""
    network = layers.network
    if layers.eth_type == ETH_P_IPV6:
        for piece in pieces:
            length = piece.end - piece.start - network - IPV6_SIZE
            _U16.pack_into(piece.buffer, piece.start + network + 4, length)
        return
    first = pieces[0]
    (identification,) = _U16.unpack_from(first.buffer, first.start + network + 4)
    size = layers.transport - network
    for number, piece in enumerate(pieces):
        buffer, at = piece.buffer, piece.start + network
        _U16.pack_into(buffer, at + 2, piece.end - at)
        if not same_identification:
            _U16.pack_into(buffer, at + 4, identification + number & 0xFFFF)
        _U16.pack_into(buffer, at + 10, 0)
        _U16.pack_into(buffer, at + 10, checksum(buffer[at : at + size]))


def _addresses(packet: Packet, layers: Layers) -> bytes:
    """Source and destination as they stand in the IP header."""
    at = packet.start + layers.network
    at, size = (at + 12, 8) if layers.eth_type == ETH_P_IP else (at + 8, 32)
    return bytes(packet.buffer[at : at + size])


_IPV4: Final = (ETH_P_IP,)
_IPV6: Final = (ETH_P_IPV6,)
_KINDS: Final[dict[int, tuple[tuple[int, ...], int, Callable[[Packet, Cut], list[Packet]]]]] = {
    VIRTIO_NET_HDR_GSO_TCPV4: (_IPV4, IPPROTO_TCP, _segment_tcp),
    VIRTIO_NET_HDR_GSO_TCPV6: (_IPV6, IPPROTO_TCP, _segment_tcp),
    VIRTIO_NET_HDR_GSO_UDP: (_IPV4 + _IPV6, IPPROTO_UDP, _fragment_udp),
    VIRTIO_NET_HDR_GSO_UDP_L4: (_IPV4 + _IPV6, IPPROTO_UDP, _segment_udp),
}
"""By gso_type without ECN: EtherTypes, the protocol, and what makes the segments.

ECN says nothing that matters here: Linux clears CWR in all segments but the first with and without.
"""
