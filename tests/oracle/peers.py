"""Who answers requests: the kernel's module, a device node, or the daemon in this process.

All three handle a request while it is written, and queue its answers, notifications and upcalls
before the write returns; and a dump goes on as it is read. So what can be read without waiting
after a write is the whole answer, and nothing here waits.

A peer has two channels: requests go through the first, and the second is a member of all multicast
groups. Requests and answers are in our family ids everywhere; the kernel's are translated here.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from errno import EAGAIN
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.session import Access
from tests.contract.control import subscribe
from tests.families.doors import READ_WRITE, Daemon, Handle
from tests.namespaces import Namespace
from tests.nodes.real import RealHandle
from tests.oracle import messages
from tests.oracle.messages import NLCTRL, NLMSG_ERROR, Ctrl, attr, head

T = TypeVar("T")

NETLINK_GENERIC = 16
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_EXT_ACK = 270, 1, 11
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
ROOM = 1 << 16
SPACE = 16 << 20
"""Bytes that may wait on a channel."""

GROUPS = ("ovs_datapath", "ovs_vport", "ovs_flow", "ovs_meter", "ovs_ct_limit")
WRITE_IOCTL = 1 << 30 | 0xC804
"""OVS_IOCTL_WRITE(0)."""


class Channel(Protocol):
    """One socket, or one handle."""

    pid: int

    def send(self, data: bytes) -> None:
        """sendmsg(2) or write(2) of whole messages."""

    def receive(self) -> bytes | None:
        """One datagram; None where none waits."""

    def join(self, group: str) -> None:
        """Become a member of a multicast group."""

    def close(self) -> None:
        """close(2)."""


class HandleChannel:
    """A handle of a daemon in this process; may_write: whether it is open for writing."""

    def __init__(self, daemon: Daemon, may_write: bool = True) -> None:
        self._daemon = daemon
        self._handle: Handle = daemon.open(READ_WRITE if may_write else Access.READ)
        self._handle.session.queue.limit = SPACE
        self.pid = self._handle.pid

    def send(self, data: bytes) -> None:
        """Raises DatapathError as write(2) would fail."""
        if data and head(data[:16]).length + 3 & ~3 == len(data):
            at_once(self._handle.send(data))
        else:  # between messages others may get their turn
            trio.run(self._handle.send, data)

    def receive(self) -> bytes | None:
        """Raises DatapathError as read(2) would fail, but for EAGAIN."""
        if not self._handle.session.queue.bytes and not self._handle.session.queue.overrun:
            return None
        return at_once(self._handle.receive_bytes(ROOM))

    def join(self, group: str) -> None:
        request = subscribe(group_id(self._daemon.context.registry, group))
        trio.run(self._handle.write_ioctl, request)

    def close(self) -> None:
        self._handle.close()


class NodeChannel:
    """A descriptor of a device node."""

    def __init__(self, path: Path, registry: Registry) -> None:
        self._handle = RealHandle(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self._registry = registry
        _value, pid = self._handle.ioctl(2 << 30 | 4 << 16 | 0xC8 << 8 | Ioctl.GET_PID)
        self.pid = int(struct.unpack("=I", pid)[0])

    def send(self, data: bytes) -> None:
        assert self._handle.write(data) == len(data)

    def receive(self) -> bytes | None:
        try:
            return self._handle.read(ROOM)
        except BlockingIOError:
            return None

    def join(self, group: str) -> None:
        request = subscribe(group_id(self._registry, group))
        self._handle.ioctl(WRITE_IOCTL | len(request) << 16, request)

    def close(self) -> None:
        self._handle.close()


class SocketChannel:
    """A socket connected to the kernel; pid: the port id to take, 0 for any."""

    def __init__(self, pid: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self._socket.setblocking(False)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SPACE)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SPACE)
        self._socket.bind((pid, 0))
        self.pid = int(self._socket.getsockname()[0])
        self._numbers, self._group_ids = kernel_numbers()

    def send(self, data: bytes) -> None:
        translated = b"".join(
            part + bytes(-len(part) & 3) for part in map(self._numbers.to_kernel, whole(data))
        )
        assert self._socket.send(translated) == len(data)

    def receive(self) -> bytes | None:
        try:
            datagram = self._socket.recv(ROOM)
        except BlockingIOError:
            return None
        parts = [self._numbers.from_kernel(part) for part in messages.split(datagram)]
        return b"".join(part + bytes(-len(part) & 3) for part in parts)

    def join(self, group: str) -> None:
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, self._group_ids[group])

    def close(self) -> None:
        self._socket.close()


class Numbers:
    """The ids of families here and at the kernel."""

    def __init__(self) -> None:
        self._to_kernel: dict[int, int] = {}
        self._from_kernel: dict[int, int] = {}

    def add(self, ours: int, theirs: int) -> None:
        """A family is `theirs` at the kernel."""
        self._to_kernel[ours] = theirs
        self._from_kernel[theirs] = ours

    def to_kernel(self, data: bytes) -> bytes:
        """A request with the kernel's ids."""
        return _replace_ids(data, self._to_kernel)

    def from_kernel(self, data: bytes) -> bytes:
        """An answer with ours; the request in an error is ours again, too."""
        if len(data) >= 36 and head(data).type == NLMSG_ERROR:
            return data[:20] + _replace_ids(data[20:], self._from_kernel)
        return _replace_ids(data, self._from_kernel)


@cache
def kernel_numbers() -> tuple[Numbers, dict[str, int]]:
    """The kernel's ids of families and multicast groups, which it keeps while it has them."""
    numbers = Numbers()
    groups: dict[str, int] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as asked:
        for ours, name in messages.FAMILY_NAMES.items():
            if ours != NLCTRL:
                theirs, more = _resolve(asked, name)
                numbers.add(ours, theirs)
                groups |= more
    return numbers, groups


def _resolve(asked: socket.socket, name: str) -> tuple[int, dict[str, int]]:
    """The id of a family and of its multicast groups."""
    by_name = messages.text(Ctrl.FAMILY_NAME, name)
    asked.send(messages.message(NLCTRL, messages.GETFAMILY, by_name, version=1))
    reply = asked.recv(ROOM)
    assert head(reply).type == NLCTRL, f"the kernel has no family {name}: {reply.hex()}"
    told = dict(messages.attributes(reply[20:]) or ())
    groups = {}
    for _index, group in messages.attributes(told.get(Ctrl.MCAST_GROUPS, b"")) or ():
        fields = dict(messages.attributes(group) or ())
        groups[fields[1].rstrip(b"\0").decode()] = int(struct.unpack("=I", fields[2])[0])
    return int(struct.unpack("=H", told[Ctrl.FAMILY_ID])[0]), groups


def _replace_ids(data: bytes, ids: dict[int, int]) -> bytes:
    """A message with other ids, where it tells them: nlmsg_type and CTRL_ATTR_FAMILY_ID."""
    family = head(data).type
    if family in ids:
        return data[:4] + struct.pack("=H", ids[family]) + data[6:]
    if family == NLCTRL:
        for number, value in ids.items():
            written = attr(Ctrl.FAMILY_ID, struct.pack("=H", number))
            at = data.find(written, 20)
            if at >= 0:
                replaced = attr(Ctrl.FAMILY_ID, struct.pack("=H", value))
                return data[:at] + replaced + data[at + len(replaced) :]
    return data


def whole(data: bytes) -> Iterable[bytes]:
    """The messages of a write, as far as they are some; the rest as it is."""
    start = 0
    while len(data) - start >= 16:
        length = head(data[start : start + 16]).length
        end = start + (length + 3 & ~3)
        if not 16 <= length <= len(data) - start or end > len(data):
            break
        yield data[start:end]
        start = end
    if start < len(data):
        yield data[start:]


def group_id(registry: Registry, name: str) -> int:
    """The number of a multicast group of ours."""
    return next(group.id for family in registry for group in family.groups if group.name == name)


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that does not wait; trio.run() would take much longer."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise AssertionError("a read waits though something can be read")


@dataclass(frozen=True)
class Answers:
    """What came after one write.

    replies: messages on the channel that sent it. events: those on the other one. failure: the
    errno with which the write or a read failed.
    """

    replies: tuple[bytes, ...]
    events: tuple[bytes, ...] = ()
    failure: int = 0


class Peer:
    """One that answers; `requests` and `listener` are its channels."""

    def __init__(self, name: str, requests: Channel, listener: Channel) -> None:
        self.name = name
        self.requests = requests
        self.listener = listener
        for group in GROUPS:
            listener.join(group)

    def ask(self, *written: bytes) -> Answers:
        """Send messages in one write, and collect all that comes of it."""
        failure = 0
        try:
            self.requests.send(b"".join(written))
        except (OSError, DatapathError) as error:
            failure = error.errno or 0
        replies, problem = drain(self.requests)
        events, other = drain(self.listener)
        return Answers(replies, events, failure or problem or other)

    def close(self) -> None:
        """Close both channels."""
        self.requests.close()
        self.listener.close()


def drain(channel: Channel) -> tuple[tuple[bytes, ...], int]:
    """All messages that can be read, and the errno where reading failed (else 0)."""
    found: list[bytes] = []
    problem = 0
    while True:
        try:
            datagram = channel.receive()
        except (OSError, DatapathError) as error:
            assert error.errno != EAGAIN
            problem = error.errno or 0
            continue
        if datagram is None:
            return tuple(found), problem
        found += messages.split(datagram)


def kernel_peer(namespace: Namespace, like: Peer) -> Peer:
    """The kernel, in a namespace, with the PIDs of another peer."""
    with namespace:
        return Peer(
            "the kernel", SocketChannel(like.requests.pid), SocketChannel(like.listener.pid)
        )


def node_peer(path: Path, registry: Registry) -> Peer:
    """A device node."""
    return Peer("the device", NodeChannel(path, registry), NodeChannel(path, registry))


def daemon_peer(daemon: Daemon) -> Peer:
    """A daemon in this process."""
    return Peer("the daemon", HandleChannel(daemon), HandleChannel(daemon))
