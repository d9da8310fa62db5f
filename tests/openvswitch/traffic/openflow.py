"""As much of OpenFlow 1.3 as a controller needs that is told of packets and sends some.

Layouts: the OpenFlow Switch Specification 1.3.5, chapter 7.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from tests.nodes.interface import DEADLINE_S
from tests.openvswitch.traffic.bridges import Bridge

VERSION: Final = 4
HEADER: Final = struct.Struct("!BBHI")
"""Version, type, length, transaction."""
PACKET_IN_FIELDS: Final = struct.Struct("!IHBBQHH")
"""Buffer, length of the packet, reason, table, cookie; type and length of the match."""
PACKET_OUT_FIELDS: Final = struct.Struct("!IIHxxxxxx")
"""Buffer, port it came from, length of the actions."""
OUTPUT: Final = struct.Struct("!HHIHxxxxxx")
"""Type 0, length 16, port, how much of the packet to send to a controller."""
METER_MOD_FIELDS: Final = struct.Struct("!HHI")
METER_BAND_DROP: Final = struct.Struct("!HHIIxxxx")
NO_BUFFER: Final = 0xFFFFFFFF
OXM_IN_PORT: Final = 0x80000004
"""Class OFPXMC_OPENFLOW_BASIC, field OFPXMT_OFB_IN_PORT, no mask, 4 bytes."""


class Type(IntEnum):
    """OFPT_*."""

    HELLO = 0
    ERROR = 1
    ECHO_REQUEST = 2
    ECHO_REPLY = 3
    PACKET_IN = 10
    PACKET_OUT = 13
    BARRIER_REQUEST = 20
    BARRIER_REPLY = 21
    SET_ASYNC = 28
    METER_MOD = 29


class Reason(IntEnum):
    """OFPR_*."""

    NO_MATCH = 0
    ACTION = 1
    INVALID_TTL = 2


class Port(IntEnum):
    """OFPP_*."""

    FLOOD = 0xFFFFFFFB
    CONTROLLER = 0xFFFFFFFD


class PacketIn(NamedTuple):
    """What a controller is told of a packet. data: as much of it as was asked for."""

    reason: int
    table: int
    cookie: int
    length: int
    in_port: int
    data: bytes


class OpenFlow:
    """One connection with a switch, over which the two have greeted each other."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(DEADLINE_S)
        self._numbers = itertools.count(1)
        self.send(Type.HELLO)
        assert self._receive()[0] == Type.HELLO
        self.barrier()  # until the switch has read the greeting, it tells nothing

    def send(self, type: Type, body: bytes = b"", number: int | None = None) -> int:
        """Send a message; its transaction number."""
        number = next(self._numbers) if number is None else number
        self._socket.sendall(HEADER.pack(VERSION, type, HEADER.size + len(body), number) + body)
        return number

    def barrier(self) -> None:
        """Return when all that was sent has been done; AssertionError where something failed."""
        number = self.send(Type.BARRIER_REQUEST)
        while (received := self._next())[0] != Type.BARRIER_REPLY or received[1] != number:
            assert received[0] != Type.ERROR, received[2].hex()

    def packet_in(self) -> PacketIn:
        """The next packet that the switch tells of; TimeoutError."""
        while (received := self._next())[0] != Type.PACKET_IN:
            assert received[0] != Type.ERROR, received[2].hex()
        body = received[2]
        _buffer, length, reason, table, cookie, _type, size = PACKET_IN_FIELDS.unpack_from(body)
        match = body[PACKET_IN_FIELDS.size : PACKET_IN_FIELDS.size + size - 4]
        # The match is padded to 8 bytes, its header included, and 2 more follow
        data = body[PACKET_IN_FIELDS.size - 4 + (size + 7) // 8 * 8 + 2 :]
        return PacketIn(reason, table, cookie, length, _in_port(match), data)

    def packet_out(self, frame: bytes, port: int, in_port: int = Port.CONTROLLER) -> None:
        """Send a frame by a port."""
        fields = PACKET_OUT_FIELDS.pack(NO_BUFFER, in_port, OUTPUT.size)
        self.send(Type.PACKET_OUT, fields + OUTPUT.pack(0, OUTPUT.size, port, 0) + frame)

    def want_packets_for(self, *reasons: Reason) -> None:
        """Be told of packets for these reasons."""
        mask = sum(1 << reason for reason in reasons)
        self.send(Type.SET_ASYNC, struct.pack("!6I", mask, mask, 0, 0, 0, 0))
        self.barrier()

    def add_meter(self, number: int, kbps: int) -> None:
        """A meter that drops what is faster."""
        band = METER_BAND_DROP.pack(1, METER_BAND_DROP.size, kbps, 0)
        self.send(Type.METER_MOD, METER_MOD_FIELDS.pack(0, 1, number) + band)

    def _next(self) -> tuple[int, int, bytes]:
        while (received := self._receive())[0] == Type.ECHO_REQUEST:
            self.send(Type.ECHO_REPLY, received[2], received[1])
        return received

    def _receive(self) -> tuple[int, int, bytes]:
        _version, type, length, number = HEADER.unpack(self._receive_bytes(HEADER.size))
        return type, number, self._receive_bytes(length - HEADER.size)

    def _receive_bytes(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the switch has closed the connection")
            data += part
        return data


def _in_port(match: bytes) -> int:
    """What the entry OFPXMT_OFB_IN_PORT of a match says."""
    while match:
        if int.from_bytes(match[:4], "big") == OXM_IN_PORT:
            return int.from_bytes(match[4:8], "big")
        match = match[4 + match[3] :]
    raise AssertionError("a match without its port")


@contextmanager
def controller(bridge: Bridge, name: str = "controller") -> Iterator[OpenFlow]:
    """Be the controller of a bridge, which connects."""
    path = bridge.stack.directory / name
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(DEADLINE_S)
        listener.bind(str(path))
        listener.listen()
        try:
            bridge.stack.vsctl("set-controller", bridge.name, f"unix:{path}")
            connection, _ = listener.accept()
            with connection:
                yield OpenFlow(connection)
                bridge.stack.vsctl("del-controller", bridge.name)
        finally:
            Path(path).unlink()


@contextmanager
def management(bridge: Bridge) -> Iterator[OpenFlow]:
    """A connection as ovs-ofctl makes them."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(bridge.stack.directory / f"{bridge.name}.mgmt"))
        yield OpenFlow(connection)
