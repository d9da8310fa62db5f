"""Both doors of a handle, a little nearer to what a test wants to say."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.messages import DONE, Reply, parse, parse_all
from tests.nodes.interface import Handle

IOC_WRITE, IOC_READ = 1, 2
LARGEST = 16383
"""The most that an ioctl's size can say."""
ERRNO_NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP"}
"""Linux has one number for EOPNOTSUPP and ENOTSUP; netlink's name for it is the former."""

GET_PID, READ, READ_EVENT, READ_PACKET, WRITE, TRANSACT, PEEK = range(7)


def number(operation: int, size: int, direction: int, type_: int = 0xC8) -> int:
    """_IOC() of <asm-generic/ioctl.h>."""
    assert 0 <= size <= LARGEST
    return direction << 30 | size << 16 | type_ << 8 | operation


def get_pid(handle: Handle) -> int:
    """OVS_IOCTL_GET_PID."""
    value, data = handle.ioctl(number(GET_PID, 4, IOC_READ))
    assert value == 4
    return int(struct.unpack("=I", data)[0])


def take(handle: Handle, operation: int = READ, room: int = LARGEST) -> bytes:
    """OVS_IOCTL_READ, READ_EVENT or READ_PACKET: the bytes that it gave."""
    value, data = handle.ioctl(number(operation, room, IOC_READ))
    return data[:value]


def peek(handle: Handle, room: int = LARGEST) -> tuple[int, bytes]:
    """OVS_IOCTL_PEEK: the length of the next datagram, and its first bytes."""
    value, data = handle.ioctl(number(PEEK, room, IOC_READ))
    return value, data[:value]


def put(handle: Handle, request: bytes) -> None:
    """OVS_IOCTL_WRITE of one request."""
    assert handle.ioctl(number(WRITE, len(request), IOC_WRITE), request)[0] == len(request)


def transact(handle: Handle, request: bytes, room: int = 4096) -> bytes:
    """OVS_IOCTL_TRANSACT: the bytes of the reply."""
    room = max(room, len(request))
    value, data = handle.ioctl(number(TRANSACT, room, IOC_READ | IOC_WRITE), request)
    return data[:value]


def ask(handle: Handle, request: bytes) -> Reply:
    """OVS_IOCTL_TRANSACT of what has one reply."""
    return parse(transact(handle, request))


def receive(handle: Handle, size: int = 1 << 16) -> Reply:
    """read(2) of a datagram that is one message."""
    return parse(handle.read(size))


def receive_all(handle: Handle) -> list[Reply]:
    """The messages of all datagrams that wait; the handle must be O_NONBLOCK."""
    replies: list[Reply] = []
    while True:
        try:
            replies += parse_all(handle.read(1 << 18))
        except BlockingIOError:
            return replies


def take_dump(handle: Handle, room: int = LARGEST) -> list[list[Reply]]:
    """OVS_IOCTL_READ until it gives nothing: the messages of each part."""
    parts = []
    while part := take(handle, READ, room):
        parts.append(parse_all(part))
    return parts


def receive_dump(handle: Handle, size: int = 1 << 16) -> list[list[Reply]]:
    """read(2) until NLMSG_DONE: the messages of each part."""
    parts = [parse_all(handle.read(size))]
    while parts[-1][-1].type != DONE:
        parts.append(parse_all(handle.read(size)))
    return parts


def failure(call: Callable[..., Any], *arguments: Any) -> str:
    """The name of the errno that a call fails with; the test fails where it succeeds."""
    with pytest.raises(OSError) as caught:
        call(*arguments)
    return ERRNO_NAMES[caught.value.errno or 0]
