"""The other end of a port: frames as bytes, in and out of a veth."""

from __future__ import annotations

import select
import socket
import struct

from tests.oracle.messages import be16

SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
ETH_P_ALL = 3
AUXDATA = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata."""
TP_STATUS_VLAN_VALID = 0x10
MARKER_TYPE = 0x88B5  # for experiments: IEEE 802
DEADLINE_S = 60.0


class Wire:
    """A packet socket on an interface; made in the interface's namespace."""

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind((interface, ETH_P_ALL))

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire."""
        assert self._socket.send(frame) == len(frame)

    def receive(self) -> bytes:
        """The next frame, with the VLAN tag that the kernel keeps beside it."""
        if not select.select([self._socket], [], [], DEADLINE_S)[0]:
            raise TimeoutError(f"nothing came to {self.interface}")
        frame, ancillary, _flags, _address = self._socket.recvmsg(65536, 64)
        for level, kind, data in ancillary:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, _length, _captured, _mac, _net, tci, tpid = AUXDATA.unpack(data)
                if status & TP_STATUS_VLAN_VALID:
                    return frame[:12] + be16(tpid, tci) + frame[12:]
        return frame

    def until(self, marker: bytes) -> list[bytes]:
        """The frames before a marker."""
        frames = []
        while (frame := self.receive()) != marker:
            frames.append(frame)
        return frames

    def close(self) -> None:
        self._socket.close()


def marker(number: int) -> bytes:
    """A frame that tells where one case ends."""
    return b"\x02" + bytes(10) + b"\x01" + be16(MARKER_TYPE) + struct.pack(">Q", number) + bytes(40)
