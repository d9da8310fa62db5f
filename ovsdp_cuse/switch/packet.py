"""A packet on its way through the switch.

The rule of this module: a frame lies at `buffer[start:end]`, and the VNET_HEADER_SIZE bytes before
it are always its struct virtio_net_hdr (<linux/virtio_net.h>), all zeros for a frame that is
complete. So a port that takes both sends one piece of memory, and nothing is copied on the way.

A packet does not own its buffer until somebody writes: ports fill one buffer again and again, and
what was queued for sending lies in the same memory. `make_writable` copies when that is so.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

VNET_HEADER: Final = struct.Struct("=BBHHHH")
VNET_HEADER_SIZE: Final = VNET_HEADER.size
NO_OFFLOAD: Final = bytes(VNET_HEADER_SIZE)

HEADROOM: Final = 128
"""Bytes before a frame in a buffer of its own: the vnet header, and headers that are pushed."""

VIRTIO_NET_HDR_F_NEEDS_CSUM: Final = 1
VIRTIO_NET_HDR_F_DATA_VALID: Final = 2
VIRTIO_NET_HDR_GSO_NONE: Final = 0
VIRTIO_NET_HDR_GSO_TCPV4: Final = 1
VIRTIO_NET_HDR_GSO_UDP: Final = 3
VIRTIO_NET_HDR_GSO_TCPV6: Final = 4
VIRTIO_NET_HDR_GSO_UDP_L4: Final = 5
VIRTIO_NET_HDR_GSO_ECN: Final = 0x80


class Offload(NamedTuple):
    """struct virtio_net_hdr: what is still to be done to a frame.

    csum_start, csum_offset: where the checksum starts that NEEDS_CSUM leaves to the sender (from
    the frame's beginning), and where in what it covers its field is (which holds the sum of the
    pseudo-header). gso_size: bytes of payload in each segment; header_length: bytes before it.
    """

    flags: int
    gso_type: int
    header_length: int
    gso_size: int
    csum_start: int
    csum_offset: int


class Packet:
    """One frame with what the switch knows of it.

    key: the flow key, kept by extraction and by the actions; key_valid: whether it still says what
    the frame holds (the kernel's SW_FLOW_KEY_INVALID). network, transport: offsets of the layers'
    headers from `start`, as extraction found them (extract.py says what they are where); who pushes
    or pulls headers and keeps the key, moves them too.
    hash: OVS_PACKET_ATTR_HASH: of the flow, with bits that say how it was made; None until somebody
    asks, 0 where there is none. mru: the largest fragment that was put together,
    0 for none. cut: how many bytes the next output sends at most (trunc), 0 for all.
    link: (EtherType, whether tagged) of what the frame begins with, once actions have changed that
    and the key does not tell it; None while it does (edits/link.py).
    owned: whether nobody else uses any of the buffer; who keeps a reference to it sets it to False.
    """

    __slots__ = (
        "buffer",
        "cut",
        "end",
        "hash",
        "key",
        "key_valid",
        "link",
        "mark",
        "mru",
        "network",
        "owned",
        "priority",
        "start",
        "transport",
    )

    def __init__(self, buffer: bytearray | memoryview, start: int, end: int) -> None:
        self.buffer = buffer
        self.start = start
        self.end = end
        self.owned = False
        self.key = 0
        self.key_valid = True
        self.link: tuple[int, bool] | None = None
        self.network = 0
        self.transport = 0
        self.priority = 0
        self.mark = 0
        self.hash: int | None = None
        self.mru = 0
        self.cut = 0

    @classmethod
    def of(cls, frame: bytes, offload: Offload | None = None) -> Packet:
        """A packet with a buffer of its own."""
        buffer = bytearray(HEADROOM + len(frame))
        buffer[HEADROOM:] = frame
        packet = cls(buffer, HEADROOM, HEADROOM + len(frame))
        packet.owned = True
        if offload is not None:
            packet.offload = offload
        return packet

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def frame(self) -> bytes:
        """A copy of the frame."""
        return bytes(self.buffer[self.start : self.end])

    @property
    def offload(self) -> Offload:
        """What is still to be done to the frame."""
        return Offload._make(VNET_HEADER.unpack_from(self.buffer, self.start - VNET_HEADER_SIZE))

    @offload.setter
    def offload(self, offload: Offload) -> None:
        VNET_HEADER.pack_into(self.buffer, self.start - VNET_HEADER_SIZE, *offload)

    @property
    def has_offload(self) -> bool:
        """Whether anything is still to be done to the frame: a checksum, or segments.

        VIRTIO_NET_HDR_F_DATA_VALID is no work: it says that a checksum has been found right.
        """
        header = self.start - VNET_HEADER_SIZE
        buffer = self.buffer
        return bool(buffer[header] & VIRTIO_NET_HDR_F_NEEDS_CSUM or buffer[header + 1])

    def make_writable(self) -> None:
        """Give the packet a buffer of its own, unless it has one that nobody else reads."""
        if not self.owned:
            self._move(HEADROOM)

    def push(self, offset: int, header: bytes) -> None:
        """Insert a header at `offset` bytes into the frame; the offload's offsets follow.

        `offset` is within the frame. What lies before it moves towards the buffer's beginning.
        """
        size = len(header)
        if not self.owned or self.start - VNET_HEADER_SIZE < size:
            self._move(HEADROOM + size)
        offload = self.offload if self.has_offload else None
        buffer, old = self.buffer, self.start
        self.start = start = old - size
        buffer[start : start + offset] = buffer[old : old + offset]
        buffer[start + offset : old + offset] = header
        self._set_moved(offload, offset, size)

    def pull(self, offset: int, size: int) -> None:
        """Remove `size` bytes at `offset` bytes into the frame; the offload's offsets follow.

        The frame has at least `offset + size` bytes.
        """
        self.make_writable()
        offload = self.offload if self.has_offload else None
        buffer, old = self.buffer, self.start
        self.start = start = old + size
        buffer[start : start + offset] = buffer[old : old + offset]
        self._set_moved(offload, offset, -size)

    def clone(self) -> Packet:
        """Another packet with the same frame, in the same memory until one of them writes."""
        self.owned = False
        return self.over(self.buffer, self.start, self.end)

    def over(self, buffer: bytearray | memoryview, start: int, end: int) -> Packet:
        """A packet of which the same is known as of this one, with another frame."""
        other = Packet(buffer, start, end)
        other.key, other.key_valid, other.link = self.key, self.key_valid, self.link
        other.network, other.transport = self.network, self.transport
        other.priority, other.mark = self.priority, self.mark
        other.hash, other.mru, other.cut = self.hash, self.mru, self.cut
        return other

    def _move(self, headroom: int) -> None:
        size = self.end - self.start
        buffer = bytearray(headroom + size)
        buffer[headroom - VNET_HEADER_SIZE :] = self.buffer[
            self.start - VNET_HEADER_SIZE : self.end
        ]
        self.buffer, self.start, self.end = buffer, headroom, headroom + size
        self.owned = True

    def _set_moved(self, offload: Offload | None, offset: int, grown: int) -> None:
        """Write the vnet header before a frame whose beginning has moved."""
        if offload is not None:
            self.offload = _moved(offload, offset, grown)
        else:
            start = self.start
            self.buffer[start - VNET_HEADER_SIZE : start] = NO_OFFLOAD


def _moved(offload: Offload, offset: int, grown: int) -> Offload:
    """The offload after `grown` bytes were inserted (or, below 0, removed) at `offset`.

    Its numbers are claims of whoever sent the frame: what would not be a u16 is brought to the
    nearest one, and whoever segments or checksums the frame finds that it is wrong.
    """
    if offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM and offload.csum_start >= offset:
        offload = offload._replace(csum_start=_u16(offload.csum_start + grown))
    if offload.gso_type:
        offload = offload._replace(header_length=_u16(offload.header_length + grown))
    return offload


def _u16(number: int) -> int:
    return min(max(number, 0), 0xFFFF)
