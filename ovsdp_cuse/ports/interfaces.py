"""Watching interfaces: the kernel's rtnetlink notifications as changes of the interfaces of ports.

Most notifications are of interfaces that no port has. They are told apart by fixed headers, before
anything is parsed. Layouts: rtnetlink(7).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import ENOBUFS
from typing import Final

from ovsdp_cuse.ports.ingress import (
    PRIORITY,
    QDISC_HANDLE,
    RTM_DELQDISC,
    RTM_DELTFILTER,
    RTM_NEWQDISC,
    RTM_NEWTFILTER,
)
from ovsdp_cuse.ports.rtnetlink import (
    HEADER,
    IFINFOMSG,
    IFLA_NEW_IFINDEX,
    IFLA_NEW_NETNSID,
    NETLINK_ROUTE,
    RECEIVE_SIZE,
    RTM_DELLINK,
    RTM_NEWLINK,
    Link,
    attributes_in,
    messages_in,
)

RTMGRP_LINK: Final = 1
RTMGRP_TC: Final = 8

NUMBER: Final = struct.Struct("=i")
TCMSG: Final = struct.Struct("=BxxxiIII")
"""struct tcmsg: family, ifindex, handle, parent, info."""

SO_RCVBUFFORCE: Final = 33
SOCKET_MEMORY: Final = 16 << 20
"""Bytes of notifications that may wait: thousands of interfaces may be made at once."""
DATAGRAMS: Final = 256
"""How many are read in one go, before others have their turn."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """An interface is now like this."""

    link: Link

    @property
    def ifindex(self) -> int:
        """Of the interface."""
        return self.link.ifindex


@dataclass(frozen=True, slots=True)
class LinkGone:
    """An interface was deleted; or it went to the namespace that has this id, and index there."""

    ifindex: int
    netns_id: int | None = None
    new_ifindex: int = 0


@dataclass(frozen=True, slots=True)
class QdiscGone:
    """The qdisc with the filters of received frames has been removed, and they with it."""

    ifindex: int


@dataclass(frozen=True, slots=True)
class FiltersChanged:
    """There is another such qdisc, or somebody has changed, or removed, filters in it."""

    ifindex: int


@dataclass(frozen=True, slots=True)
class Overrun:
    """Notifications were lost: everything may be otherwise."""


Change = LinkChanged | LinkGone | QdiscGone | FiltersChanged | Overrun


class InterfaceWatch:
    """Receives the notifications; `is_watched` tells whose are of interest, by index."""

    def __init__(self, is_watched: Callable[[int], bool]) -> None:
        self._is_watched = is_watched
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_ROUTE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_MEMORY)
        except PermissionError:  # so there will be few ports, too
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_MEMORY)
        self._socket.bind((0, RTMGRP_LINK | RTMGRP_TC))

    def fileno(self) -> int:
        """The descriptor that is readable where something has changed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def changes(self) -> Iterator[Change]:
        """What has changed of watched interfaces since the last call, in order."""
        for _ in range(DATAGRAMS):
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                yield Overrun()
                continue
            for kind, _flags, message in messages_in(data):
                parse = PARSERS.get(kind)
                change = parse and parse(message, self._is_watched)
                if change:
                    yield change


def _link_changed(message: bytes, is_watched: Callable[[int], bool]) -> Change | None:
    family, _hardware, ifindex, _flags, _change = IFINFOMSG.unpack_from(message, HEADER.size)
    if family != socket.AF_UNSPEC or not is_watched(ifindex):
        return None
    return LinkChanged(Link.parse(message))


def _link_gone(message: bytes, is_watched: Callable[[int], bool]) -> Change | None:
    # A bridge tells in its own family (AF_BRIDGE) that an interface is no longer in it.
    family, _hardware, ifindex, _flags, _change = IFINFOMSG.unpack_from(message, HEADER.size)
    if family != socket.AF_UNSPEC or not is_watched(ifindex):
        return None
    found = attributes_in(message, IFINFOMSG.size)
    if IFLA_NEW_NETNSID not in found:
        return LinkGone(ifindex)
    (netns_id,) = NUMBER.unpack(found[IFLA_NEW_NETNSID])
    (new_ifindex,) = NUMBER.unpack(found[IFLA_NEW_IFINDEX])
    return LinkGone(ifindex, netns_id, new_ifindex)


def _qdisc_gone(message: bytes, is_watched: Callable[[int], bool]) -> Change | None:
    _family, ifindex, handle, _parent, _info = TCMSG.unpack_from(message, HEADER.size)
    return QdiscGone(ifindex) if handle == QDISC_HANDLE and is_watched(ifindex) else None


def _qdisc_made(message: bytes, is_watched: Callable[[int], bool]) -> Change | None:
    _family, ifindex, handle, _parent, _info = TCMSG.unpack_from(message, HEADER.size)
    return FiltersChanged(ifindex) if handle == QDISC_HANDLE and is_watched(ifindex) else None


def _filter_made(message: bytes, is_watched: Callable[[int], bool]) -> Change | None:
    _family, ifindex, _handle, _parent, info = TCMSG.unpack_from(message, HEADER.size)
    is_ours = info >> 16 == PRIORITY
    return FiltersChanged(ifindex) if not is_ours and is_watched(ifindex) else None


def _filter_gone(message: bytes, is_watched: Callable[[int], bool]) -> Change | None:
    _family, ifindex, _handle, _parent, _info = TCMSG.unpack_from(message, HEADER.size)
    return FiltersChanged(ifindex) if is_watched(ifindex) else None


PARSERS: Final[dict[int, Callable[[bytes, Callable[[int], bool]], Change | None]]] = {
    RTM_NEWLINK: _link_changed,
    RTM_DELLINK: _link_gone,
    RTM_NEWQDISC: _qdisc_made,
    RTM_DELQDISC: _qdisc_gone,
    RTM_NEWTFILTER: _filter_made,
    RTM_DELTFILTER: _filter_gone,
}
