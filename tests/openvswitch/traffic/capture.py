"""The frames that come out of a wire, as they were on it: VLAN tags are put back."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from tests.namespaces import Namespace
from tests.nodes.interface import DEADLINE_S

ETH_P_ALL: Final = 0x0003
SOL_PACKET: Final = 263
PACKET_AUXDATA: Final = 8
PACKET_IGNORE_OUTGOING: Final = 23
SO_RCVBUFFORCE: Final = 33
RECEIVE_BUFFER: Final = 8 << 20
LARGEST: Final = 1 << 17

AUXDATA: Final = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata of <linux/if_packet.h>: status, len, snaplen, mac, net, vlan_tci,
vlan_tpid."""
TP_STATUS_VLAN_VALID: Final = 1 << 4

Predicate = Callable[[bytes], object]


class Capture:
    """All frames that an interface receives from now on; a context manager."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        self.frames: list[bytes] = []
        """What has been seen; `wait` looks for more."""
        with namespace:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            for option in (PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
                self._socket.setsockopt(SOL_PACKET, option, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
            self._socket.bind((interface, ETH_P_ALL))

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def wait(
        self, wanted: Predicate, count: int = 1, deadline_s: float = DEADLINE_S
    ) -> list[bytes]:
        """The frames that satisfy a predicate, once there are `count` or more of them;
        AssertionError, with all frames, after the deadline."""
        end = time.monotonic() + deadline_s
        while len(found := self.seen(wanted)) < count:
            left = end - time.monotonic()
            ready, _, _ = select.select([self._socket], [], [], max(left, 0))
            if not ready:
                frames = "\n".join(frame.hex() for frame in self.frames)
                raise AssertionError(f"{len(found)} of {count} frames came:\n{frames}")
        return found

    def wait_frame(self, frame: bytes, count: int = 1) -> None:
        """Return once exactly this frame has come `count` times."""
        self.wait(frame.__eq__, count)

    def seen(self, wanted: Predicate) -> list[bytes]:
        """The frames that have come and satisfy a predicate; nothing is waited for."""
        while select.select([self._socket], [], [], 0)[0]:
            self._receive()
        return [frame for frame in self.frames if wanted(frame)]

    def _receive(self) -> None:
        data, messages, _flags, _address = self._socket.recvmsg(
            LARGEST, socket.CMSG_SPACE(AUXDATA.size)
        )
        for _level, _type, auxiliary in messages:
            status, _len, _snaplen, _mac, _net, tci, tpid = AUXDATA.unpack(auxiliary)
            if status & TP_STATUS_VLAN_VALID:
                data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
        self.frames.append(data)
