"""ICMP echo between hosts, without ping(8): raw sockets, RFC 792 and RFC 4443."""

from __future__ import annotations

import itertools
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

from tests.namespaces import Namespace
from tests.nodes.interface import DEADLINE_S

ECHO: Final = struct.Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence number."""
IPPROTO_ICMPV6: Final = 58
RESEND_S: Final = 1.0
_identifiers = itertools.count(os.getpid())


@dataclass(frozen=True)
class Version:
    """What ICMP is called in a version of IP."""

    family: socket.AddressFamily
    protocol: int
    request: int
    reply: int


ICMP: Final = Version(socket.AF_INET, socket.IPPROTO_ICMP, 8, 0)
ICMPV6: Final = Version(socket.AF_INET6, IPPROTO_ICMPV6, 128, 129)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Pinger:
    """A raw socket for echo requests to one address; a context manager."""

    def __init__(self, namespace: Namespace, address: str) -> None:
        self._version = ICMPV6 if ":" in address else ICMP
        self._address = address
        self._identifier = next(_identifiers) & 0xFFFF
        self._numbers = itertools.count(1)
        with namespace:
            self._socket = socket.socket(
                self._version.family, socket.SOCK_RAW, self._version.protocol
            )

    def __enter__(self) -> Pinger:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def send(self, size: int = 56) -> int:
        """Send a request with `size` bytes of data; its sequence number."""
        number = next(self._numbers) & 0xFFFF
        self._socket.sendto(self._message(self._version.request, number, size), (self._address, 0))
        return number

    def replied(self, number: int, size: int, timeout_s: float) -> bool:
        """Whether the reply to a request comes in time, with the request's data."""
        end = time.monotonic() + timeout_s
        wanted = self._message(self._version.reply, number, size)
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                return False
            packet = self._socket.recv(1 << 16)
            if self._version is ICMP:
                packet = packet[(packet[0] & 15) * 4 :]
            # ICMPv6's checksum is the kernel's business, which has verified it, as ICMP's
            if packet[:2] + packet[4:] == wanted[:2] + wanted[4:]:
                return True
        return False

    def _message(self, type: int, number: int, size: int) -> bytes:
        data = bytes((index + number) & 0xFF for index in range(size))
        head = ECHO.pack(type, 0, 0, self._identifier, number)
        return ECHO.pack(type, 0, checksum(head + data), self._identifier, number) + data


def ping(namespace: Namespace, address: str, *sizes: int, count: int = 1) -> None:
    """`count` requests of each size (bytes of data; 56 where none is given), each answered before
    the next is sent; AssertionError for one that is not."""
    with Pinger(namespace, address) as pinger:
        for size in sizes or (56,):
            for _ in range(count):
                number = pinger.send(size)
                assert pinger.replied(number, size, DEADLINE_S), (
                    f"{address} does not answer echo request {number} of {size} bytes"
                )


def ping_until(namespace: Namespace, address: str, *sizes: int) -> None:
    """Ping until there is an answer to each size, for paths that take a moment to be there."""
    with Pinger(namespace, address) as pinger:
        for size in sizes or (56,):
            end = time.monotonic() + DEADLINE_S
            while not pinger.replied(pinger.send(size), size, RESEND_S):
                assert time.monotonic() < end, f"{address} does not answer {size} bytes"
