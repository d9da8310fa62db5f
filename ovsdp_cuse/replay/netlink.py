"""The kernel's own module as a target, over sockets of NETLINK_GENERIC."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from errno import ENOBUFS
from struct import pack
from typing import Any, Final

from ovsdp_cuse.captures.families import Names
from ovsdp_cuse.captures.netlink import split
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.replay.channel import ChannelError, NotSendable, TargetError
from ovsdp_cuse.replay.compare import is_dump
from ovsdp_cuse.replay.numbers import Schemas, Side
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, McastAttr
from ovsdp_cuse.wire.datapath import DATAPATH
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.genetlink import GENL_ID_CTRL, NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.netlink import (
    NETLINK_GENERIC,
    NETLINK_HEADER,
    NLM_F_ACK,
    NLM_F_ECHO,
    NLM_F_REQUEST,
    ControlType,
    parse_error,
)

SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP, NETLINK_EXT_ACK = 270, 1, 2, 11
SO_RCVBUFFORCE: Final = 33
_SPACE: Final = 16 << 20
_LARGEST: Final = 1 << 17
"""Bytes of a datagram; a part of a dump has at most 32 KiB, a message with its attributes more."""

CONTROL_ID: Final = 0xFFFF
"""What stands for ovs_win_control, which the kernel has not: setsockopt(2) does what it does."""


class NetlinkTarget:
    """The kernel; names: of the families that are wanted. Raises TargetError."""

    def __init__(self, names: Iterable[str], schemas: Schemas) -> None:
        self.name = "netlink"
        known = Names()
        with _socket() as asked:
            for name in names:
                if name in schemas and name not in (NLCTRL.name, CONTROL.name):
                    for message in _family(asked, name):
                        known.learn(message)
        if DATAPATH.name not in known.ids:
            raise TargetError(
                f"the kernel has no family {DATAPATH.name}: load its module, modprobe openvswitch"
            )
        self.side = Side(schemas, {**known.ids, CONTROL.name: CONTROL_ID}, known.groups)

    def open(self, may_write: bool) -> NetlinkChannel:
        """As Target.open."""
        if not may_write:
            raise NotSendable("asked by who had no rights; sockets have those of this process")
        return NetlinkChannel()


class NetlinkChannel:
    """A socket that is connected to the kernel."""

    def __init__(self) -> None:
        self._socket = _socket()
        self._socket.bind((0, 0))
        self.pid = int(self._socket.getsockname()[0])

    def send(self, request: bytes, operation: str | None) -> list[bytes]:
        """As Channel.send.

        What the device answers by an ioctl, a socket is asked for by flags: to echo the new object,
        and to say that it is done.
        """
        header = NETLINK_HEADER.parse(request)
        if header.type == CONTROL_ID:
            self._control(request)
            return []
        by_ioctl = operation == "TRANSACT" and not is_dump(request)
        sent = _with_flags(request, NLM_F_ACK | NLM_F_ECHO) if by_ioctl else request
        try:
            self._socket.send(sent)
        except OSError as error:
            raise ChannelError(error.errno or 0, error.strerror or "send") from None
        if not by_ioctl:
            return []
        replies = self.receive()
        if not header.flags & NLM_F_ACK:
            replies = [reply for reply in replies if not _is_acknowledgement(reply)]
        return replies

    def receive(self) -> list[bytes]:
        """As Channel.receive. A dump goes on as it is read, so that none has to be waited for."""
        found: list[bytes] = []
        while True:
            try:
                found += split(self._socket.recv(_LARGEST))
            except BlockingIOError:
                return found
            except OSError as error:
                text = "messages were lost" if error.errno == ENOBUFS else str(error.strerror)
                raise ChannelError(error.errno or 0, text) from None

    def close(self) -> None:
        """As Channel.close."""
        self._socket.close()

    def _control(self, request: bytes) -> None:
        """MC_SUBSCRIBE_REQ, as a socket does it."""
        message = CONTROL.parse(request)
        if message.command != ControlCmd.MC_SUBSCRIBE_REQ:
            what = CONTROL.command_name(message.command)
            raise NotSendable(f"{what}: what it asks for, sockets have without a request")
        option, group = _membership(message.attributes)
        try:
            self._socket.setsockopt(SOL_NETLINK, option, group)
        except OSError as error:
            raise ChannelError(error.errno or 0, f"group {group}: {error.strerror}") from None


def _membership(attributes: Attributes) -> tuple[int, Any]:
    joins = attributes.get(McastAttr.MCAST_JOIN, 1)
    option = NETLINK_ADD_MEMBERSHIP if joins else NETLINK_DROP_MEMBERSHIP
    return option, attributes.get(McastAttr.MCAST_GRP, 0)


def _socket() -> socket.socket:
    """A socket as Open vSwitch's are, but that it does not wait."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    made.setblocking(False)
    made.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _SPACE)
    except PermissionError:  # who has no rights has the usual room
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SPACE)
    return made


def _family(asked: socket.socket, name: str) -> list[bytes]:
    """What nlctrl tells of a family; nothing where there is none."""
    wanted: Attributes = {int(CtrlAttr.FAMILY_NAME): name}
    request = NLCTRL.build(
        Message(GENL_ID_CTRL, CtrlCmd.GETFAMILY, wanted, 0, NLM_F_REQUEST, 1, 0, NLCTRL.version)
    )
    try:
        asked.send(request)
        return [
            message
            for message in split(asked.recv(_LARGEST))
            if NETLINK_HEADER.parse(message).type == GENL_ID_CTRL
        ]
    except OSError as error:
        raise TargetError(f"NETLINK_GENERIC: {error.strerror}") from None


def _with_flags(request: bytes, flags: int) -> bytes:
    header = NETLINK_HEADER.parse(request)
    return request[:6] + pack("=H", header.flags | flags) + request[8:]


def _is_acknowledgement(message: bytes) -> bool:
    try:
        told = parse_error(message)
    except DatapathError:
        return False
    return told.header.type == ControlType.ERROR and not told.errno
