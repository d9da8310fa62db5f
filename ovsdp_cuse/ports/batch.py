"""Many frames by one system call: recvmmsg(2) and sendmmsg(2) on packet sockets.

The rule of this module: nothing is made for a frame that is not handed out. The message headers
lie in memory that was laid out once; of each batch a few numbers are read from it, or written to
it, with one call of struct. Frames are received into slots, and sent from where they lie.

The slots are shared by all ports: a batch is done with before the next one is received.

Why so: processor time for a small frame that is received and sent on between two veth pairs was
4.3 us with recv_into and send, 3.5 us with recvmmsg and sendmmsg, 2.6 us with a TPACKET_V3 ring and
sendmmsg, TCP in GSO frames as fast with the first two and a fifth faster with the ring. But a ring
takes megabytes of locked memory for each port, of which there may be thousands, and lets a frame
wait up to a millisecond until its block is handed over.

Layouts: recvmmsg(2), cmsg(3), packet(7), <linux/if_packet.h>.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from errno import EAGAIN, EINTR, ENETDOWN
from typing import Final

from ovsdp_cuse.switch.packet import (
    HEADROOM,
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VNET_HEADER,
    VNET_HEADER_SIZE,
    Packet,
)
from ovsdp_cuse.switch.port import Forward, PortStats

BATCH_SIZE: Final = 32
"""Frames by one system call: more gain nothing that can be measured."""
FRAME_ROOM: Final = 0x10000 + 0x100
"""Bytes that a frame may have: the largest GSO packet of Linux, headers and tags."""

MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40
TP_STATUS_VLAN_VALID: Final = 1 << 4
TP_STATUS_VLAN_TPID_VALID: Final = 1 << 6
ETH_P_8021Q: Final = 0x8100
MAC_ADDRESSES: Final = 12
"""Bytes of a frame before its first VLAN tag."""
VLAN_TAG: Final = struct.Struct("!HH")

# struct mmsghdr: name, length of name, iovec, number of iovecs, control, length of control, flags;
# then the length of the message. Native sizes and alignment ("0P" aligns the end as C does).
MMSGHDR: Final = struct.Struct("@PIPNPNi0PI0P")
MESSAGE_LENGTH_OFFSET: Final = struct.calcsize("@PIPNPNi0P")
IOVEC: Final = struct.Struct("@PN")
# struct cmsghdr, then struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid.
AUXDATA: Final = struct.Struct("@NiiIIIHHHH0N")
AUXDATA_STATUS_OFFSET: Final = struct.calcsize("@Nii")
AUXDATA_VLAN: Final = struct.Struct("@HH")
AUXDATA_VLAN_OFFSET: Final = struct.calcsize("@NiiIIIHH")

_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_int,
    ctypes.c_void_p,
)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


def address_of(memory: bytearray) -> int:
    """Where the bytes lie; they may not be resized, and stay there as long as they live."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


class Slots:
    """Buffers that frames are received into, and their addresses by the id of the buffer."""

    def __init__(self, count: int = BATCH_SIZE) -> None:
        self.buffers = [bytearray(HEADROOM + FRAME_ROOM) for _ in range(count)]
        self.addresses = {id(buffer): address_of(buffer) for buffer in self.buffers}


class Receiver:
    """Receives batches of frames with their vnet headers (PACKET_VNET_HDR, PACKET_AUXDATA)."""

    def __init__(self, slots: Slots) -> None:
        self.buffers = slots.buffers
        first = HEADROOM - VNET_HEADER_SIZE
        self.views = [(buffer, (memoryview(buffer)[first:],)) for buffer in slots.buffers]
        """Each slot with where its vnet header and frame go, for readv(2)."""
        self._addresses = [slots.addresses[id(buffer)] + first for buffer in slots.buffers]
        """Where the vnet headers lie."""
        count = len(slots.buffers)
        self._iovecs = bytearray(IOVEC.size * count)
        self._control = bytearray(AUXDATA.size * count)
        self._headers = bytearray(MMSGHDR.size * count)
        iovecs, control = address_of(self._iovecs), address_of(self._control)
        for number in range(count):
            start = self._addresses[number]
            room = VNET_HEADER_SIZE + FRAME_ROOM
            IOVEC.pack_into(self._iovecs, IOVEC.size * number, start, room)
            MMSGHDR.pack_into(
                self._headers,
                MMSGHDR.size * number,
                *(0, 0, iovecs + IOVEC.size * number, 1),
                *(control + AUXDATA.size * number, AUXDATA.size, 0, 0),
            )
        self._address = address_of(self._headers)
        self._fresh_headers = bytes(self._headers)  # the kernel writes lengths and flags
        self._lengths = _picks(MMSGHDR.size, MESSAGE_LENGTH_OFFSET, count)
        self._statuses = _picks(AUXDATA.size, AUXDATA_STATUS_OFFSET, count)

    def receive(
        self,
        descriptor: int,
        forward: Forward,
        give: Callable[[Packet], None],
        counts: PortStats,
    ) -> bool:
        """Receive the frames that wait on a packet socket, as far as one batch holds them.

        forward: is asked for the lane of a frame, which is the `frames` of a SendQueue; give: gets
        a packet of each other frame. True where there may be more. Frames that cannot be had whole
        are counted in `rx_errors`. Raises OSError for what the socket tells of its interface.
        """
        slots = self.buffers
        self._headers[:] = self._fresh_headers
        count: int = _recvmmsg(
            descriptor, self._address, len(slots), MSG_DONTWAIT | MSG_TRUNC, None
        )
        if count < 0:
            errno = ctypes.get_errno()
            if errno in (EAGAIN, EINTR):
                return errno == EINTR
            raise OSError(errno, os.strerror(errno))
        lengths = self._lengths[count].unpack_from(self._headers)
        statuses = self._statuses[count].unpack_from(self._control)
        for number, (buffer, address, length, status) in enumerate(
            zip(slots, self._addresses, lengths, statuses, strict=False)  # there are more slots
        ):
            if length > FRAME_ROOM + VNET_HEADER_SIZE:
                counts.rx_errors += 1
                continue
            start = HEADROOM
            if status & TP_STATUS_VLAN_VALID:
                start = self._restore_tag(buffer, number, status)
            else:
                lane = forward(buffer, HEADROOM, length - VNET_HEADER_SIZE)
                if lane is not None:
                    lane += (address, length)
                    continue
            packet = Packet(buffer, start, HEADROOM - VNET_HEADER_SIZE + length)
            packet.owned = True  # until the batch is done with nobody else has this slot
            give(packet)
        return count == len(slots)

    def _restore_tag(self, buffer: bytearray, number: int, status: int) -> int:
        """Put the VLAN tag back that the kernel has taken out; where the frame begins then.

        The vnet header tells offsets without the tag.
        """
        tci, tpid = AUXDATA_VLAN.unpack_from(
            self._control, AUXDATA.size * number + AUXDATA_VLAN_OFFSET
        )
        old = HEADROOM - VNET_HEADER_SIZE
        start = old - VLAN_TAG.size
        size = VNET_HEADER_SIZE + MAC_ADDRESSES
        buffer[start : start + size] = buffer[old : old + size]
        tpid = tpid if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q
        VLAN_TAG.pack_into(buffer, start + size, tpid, tci)
        if buffer[start] & VIRTIO_NET_HDR_F_NEEDS_CSUM or buffer[start + 1]:
            flags, gso, header_length, gso_size, csum_start, csum_offset = VNET_HEADER.unpack_from(
                buffer, start
            )
            # These are claims, and a number that is too large for its field is no truer before.
            header_length = min(header_length + VLAN_TAG.size, 0xFFFF)
            if flags & VIRTIO_NET_HDR_F_NEEDS_CSUM:
                csum_start = min(csum_start + VLAN_TAG.size, 0xFFFF)
            VNET_HEADER.pack_into(
                buffer, start, flags, gso, header_length, gso_size, csum_start, csum_offset
            )
        return start + VNET_HEADER_SIZE


def _picks(size: int, offset: int, count: int) -> list[struct.Struct]:
    """For 0 to `count` records: what reads the u32 at `offset` in each of them."""
    record = f"{offset}xI{size - offset - 4}x"
    return [struct.Struct("=" + record * number) for number in range(count + 1)]


class Sender:
    """Sends batches of frames that lie anywhere, each with the vnet header before it."""

    def __init__(self, slots: Slots, count: int = BATCH_SIZE) -> None:
        self.addresses = slots.addresses
        self._count = count
        self._iovecs = bytearray(IOVEC.size * count)
        self._headers = bytearray(MMSGHDR.size * count)
        iovecs = address_of(self._iovecs)
        for number in range(count):
            MMSGHDR.pack_into(
                self._headers,
                MMSGHDR.size * number,
                *(0, 0, iovecs + IOVEC.size * number, 1, 0, 0, 0, 0),
            )
        self._address = address_of(self._headers)
        self._layouts = [struct.Struct("@" + "PN" * number) for number in range(count + 1)]

    def send(self, descriptor: int, queue: list[int], refused: Callable[[int, int], None]) -> None:
        """Send what is queued: addresses and lengths by turns.

        `refused` is told the error number, and how many frames it has cost.
        """
        for first in range(0, len(queue), 2 * self._count):
            part = queue[first : first + 2 * self._count]
            count = len(part) // 2
            self._layouts[count].pack_into(self._iovecs, 0, *part)
            self._send(descriptor, count, refused)

    def _send(self, descriptor: int, count: int, refused: Callable[[int, int], None]) -> None:
        sent = 0
        may_be_old = True
        while sent < count:
            address = self._address + MMSGHDR.size * sent
            result = _sendmmsg(descriptor, address, count - sent, MSG_DONTWAIT)
            if result > 0:
                sent += result
                continue
            # The first of them was refused. Where the socket's memory is used up the others would
            # be too: there is nothing to wait for, a full queue loses frames.
            errno = ctypes.get_errno()
            lost = count - sent if errno == EAGAIN else 1
            if errno == ENETDOWN and may_be_old:
                may_be_old = False  # a socket tells once that the interface has been down
            elif errno != EINTR:
                refused(errno, lost)
                sent += lost


class SendQueue:
    """Frames of one port that wait for `Sender.send`, and what keeps their memory."""

    __slots__ = ("_addresses", "_kept", "frames")

    def __init__(self, sender: Sender) -> None:
        self._addresses = sender.addresses
        self._kept: list[object] = []
        self.frames: list[int] = []
        """Addresses of vnet headers, and lengths from there, by turns."""

    def add(self, packet: Packet) -> None:
        """Queue a frame where it lies; from now on the packet does not own its buffer."""
        packet.owned = False
        buffer = packet.buffer
        start = packet.start - VNET_HEADER_SIZE
        address = self._addresses.get(id(buffer))
        if address is None:
            # Keeps the buffer alive, and where it is, until the queue is cleared.
            first = ctypes.c_char.from_buffer(buffer)
            self._kept.append(first)
            address = ctypes.addressof(first)
        self.frames += (address + start, packet.end - start)

    def clear(self) -> None:
        """Forget what is queued."""
        self.frames.clear()
        self._kept.clear()
