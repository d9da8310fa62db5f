"""What a client says and hears, without any input or output.

A Conversation numbers the requests of one handle. Each request begins an Exchange, to which the
caller gives what the device answers: it keeps the replies to its request, and hands back what is
not for it, which are events.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from errno import EBADMSG
from sys import byteorder
from typing import Any

from ovsdp_cuse.client.ioctl import OVS_IOCTL_MAX_LENGTH
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.attributes import pack_attribute, path_at
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NETLINK_HEADER_SIZE,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_ECHO,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_MIN_TYPE,
    OVS_HEADER_SIZE,
    ControlType,
    parse_error,
)

_EMPTY_ATTRIBUTE = pack_attribute(0, b"")


def split(datagram: bytes) -> Iterator[bytes]:
    """The messages of a datagram, each without its padding.

    Raises EBADMSG where a message's length is not that of what is there.
    """
    start = 0
    while start < len(datagram):
        length = int.from_bytes(datagram[start : start + 4], byteorder)
        if not NETLINK_HEADER_SIZE <= length <= len(datagram) - start:
            raise DatapathError(
                EBADMSG, f"a message claims {length} bytes, {len(datagram) - start} are there"
            )
        yield datagram[start : start + length]
        start += (length + 3) & ~3


class Exchange:
    """One request, and what has come back for it.

    request: the message to send. finished: whether nothing more will come; it is told by the
    answers themselves (NLMSG_ERROR, acknowledgements among them, and NLMSG_DONE).
    """

    def __init__(self, schema: FamilySchema, request: bytes, pid: int, sequence: int) -> None:
        self.request = request
        self.finished = False
        self._schema = schema
        self._pid = pid
        self._sequence = sequence
        self._replies: list[bytes] = []
        self._error: DatapathError | None = None

    @property
    def fits_ioctl(self) -> bool:
        """Whether an ioctl can carry the request."""
        return len(self.request) <= OVS_IOCTL_MAX_LENGTH

    def receive(self, datagram: bytes) -> list[bytes]:
        """Keep what answers the request, and return the other messages of the datagram.

        Raises EBADMSG for what is no sequence of messages.
        """
        others = []
        for message in split(datagram):
            header = NETLINK_HEADER.parse(message)
            if (header.pid, header.sequence) != (self._pid, self._sequence):
                others.append(message)
            elif header.type in (ControlType.ERROR, ControlType.DONE):
                self._finish(message)
            else:
                self._replies.append(message)
        return others

    def receive_reply(self, reply: bytes) -> None:
        """Keep what TRANSACT returned, which can be nothing but the reply; b"" for none."""
        if reply and not int.from_bytes(reply[:4], byteorder):
            # WIN_GET_PID of the 2014 patch: nothing is set but the PID.
            self._replies.append(len(reply).to_bytes(4, byteorder) + reply[4:])
        else:
            self.receive(reply)
        self.finished = True

    def messages(self) -> Iterator[Message]:
        """The replies, decoded as they are asked for.

        Raises the DatapathError that the device answered with, before any reply.
        """
        if self._error is not None:
            raise self._error
        return map(self._schema.parse, self._replies)

    def take_messages(self) -> list[Message]:
        """The replies that have come since the last call, decoded; for a dump, part by part.

        Raises as `messages` does, as soon as the error has come.
        """
        if self._error is not None:
            raise self._error
        replies, self._replies = self._replies, []
        return [self._schema.parse(reply) for reply in replies]

    def _finish(self, message: bytes) -> None:
        self.finished = True
        try:
            told = parse_error(message)
        except struct.error:
            raise DatapathError(EBADMSG, f"an error message of {len(message)} bytes") from None
        if told.errno:
            path: tuple[int, ...] = ()
            if told.offset is not None:
                path = path_at(self.request, self._schema.attributes_start, told.offset)
            self._error = DatapathError(told.errno, told.message or "", path)


class Conversation:
    """The requests of one handle, whose PID is `pid`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._sequence = 0

    def begin(
        self,
        schema: FamilySchema,
        command: int,
        attributes: Mapping[Any, Any] | None = None,
        dp_ifindex: int = 0,
        flags: int = 0,
    ) -> Exchange:
        """A request with the next sequence number.

        Raises KeyError for an attribute that the command does not have, and struct.error,
        TypeError or ValueError for a value that its attribute cannot hold.
        """
        self._sequence = self._sequence % (2**32 - 1) + 1  # 0 is the kernel's own
        message = Message(
            schema.id,
            int(command),
            {int(number): value for number, value in (attributes or {}).items()},
            dp_ifindex,
            flags | NLM_F_REQUEST,
            self._sequence,
            version=schema.version,
        )
        request = schema.build(message)
        if len(request) > OVS_IOCTL_MAX_LENGTH and not is_dump(flags):
            # It takes the stream door, which replies to a change, and says that it is done, only
            # where it is asked to.
            message.flags |= NLM_F_ACK | NLM_F_ECHO
            request = schema.build(message)
        return Exchange(schema, _long_enough(request), self.pid, self._sequence)

    def is_event(self, message: bytes) -> bool:
        """Whether a message that answers no request is a notification or an upcall.

        Otherwise it is left from an exchange that failed before its end.
        """
        header = NETLINK_HEADER.parse(message)
        left_over = header.pid == self.pid and header.flags & NLM_F_MULTI
        return header.type >= NLMSG_MIN_TYPE and not left_over


def is_dump(flags: int) -> bool:
    """Whether nlmsg_flags ask for a dump, which takes both of its bits."""
    return flags & NLM_F_DUMP == NLM_F_DUMP


def _long_enough(request: bytes) -> bytes:
    """The request, at least as long as the device door wants it.

    A family without struct ovs_header has requests of 20 bytes; an attribute of type 0, which
    means nothing to anybody, makes them 24.
    """
    if len(request) >= OVS_HEADER_SIZE:
        return request
    return OVS_HEADER_SIZE.to_bytes(4, byteorder) + request[4:] + _EMPTY_ATTRIBUTE
