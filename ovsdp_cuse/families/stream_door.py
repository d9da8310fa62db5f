"""The stream door: read(2) and write(2), which do what a netlink socket does.

As netlink_rcv_skb() (net/netlink/af_netlink.c) and genl_rcv_msg() (net/netlink/genetlink.c): what
is wrong with a message is told by an NLMSG_ERROR in the queue, and what is no message is swallowed.
"""

from __future__ import annotations

from errno import EBUSY, EINVAL, EMSGSIZE
from sys import byteorder
from time import monotonic

import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.backlog import Backlog, Waiting
from ovsdp_cuse.families.execute import check_permission, error_reply, execute, start_dump
from ovsdp_cuse.families.faults import Fault
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.registry import DeviceOperation
from ovsdp_cuse.families.request import Context, Request
from ovsdp_cuse.families.session import Session
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NETLINK_HEADER_SIZE,
    NLM_F_ACK,
    NLM_F_ECHO,
    NLM_F_REQUEST,
    NLMSG_MIN_TYPE,
    OVS_HEADER_SIZE,
    OVS_MESSAGE_HEADER,
    NetlinkHeader,
    build_error,
)
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL

MESSAGE_MAXIMUM = 212_992
"""Bytes of the longest message that a write may carry: net.core.wmem_default, which bounds a
sendmsg on a netlink socket."""
UNCUT = 31 * 4096
"""Bytes of one buffer that the kernel passes on in one piece: 32 pages, and it may begin within
one. Only a longer write goes on in another; a longer datagram cannot be read from every node."""
ECHO_MAXIMUM = UNCUT - 4096
"""Bytes of the longest message that its error echoes whole, so that there is room for a text."""


MESSAGES_BEFORE_OTHERS = 256
TIME_BEFORE_OTHERS_S = 0.05
"""Messages of one write that are handled, and for how long at most, before others get their turn:
other handles, and the packets of ports. To delete an interface takes longer than other things."""


class StreamDoor:
    """Handles writes and reads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._taps = context.sessions.taps
        self._faults = context.faults
        self._backlog = Backlog(context.faults, self._answer_with)
        self.run = self._backlog.run

    async def write(self, session: Session, data: bytes, continues: bool = False) -> int:
        """Handle the messages of one write(2); returns the bytes taken, which are all of them.

        continues: whether `data` goes on from the last write. The kernel cuts a write of more
        than 32 pages, or of more than 32 buffers, and may do so in the middle of a message: such
        a message is handled when its rest has come. Where no rest comes, it was cut short by the
        client, and is swallowed; so is, with all that follows, a message whose nlmsg_len cannot
        be: both as netlink does. EMSGSIZE for a message that is there, as far as can be seen, and
        is longer than MESSAGE_MAXIMUM.
        """
        size = len(data)
        start = 0
        if continues:
            if session.unfinished is None:
                return size
            rest, start = session.unfinished
            data = rest + data
        session.unfinished = None
        end = len(data)
        handled = 0
        turn_ends = monotonic() + TIME_BEFORE_OTHERS_S
        try:
            while end - start >= NETLINK_HEADER_SIZE:
                length = int.from_bytes(data[start : start + 4], byteorder)
                if not NETLINK_HEADER_SIZE <= length <= MESSAGE_MAXIMUM:
                    if length > MESSAGE_MAXIMUM and size >= UNCUT:
                        raise DatapathError(
                            EMSGSIZE, f"a message has at most {MESSAGE_MAXIMUM} bytes, not {length}"
                        )
                    return size
                if length > end - start:
                    break
                if handled == MESSAGES_BEFORE_OTHERS or (handled and monotonic() >= turn_ends):
                    await trio.lowlevel.checkpoint()
                    turn_ends = monotonic() + TIME_BEFORE_OTHERS_S
                    handled = 0
                await self._stream_message(session, data[start : start + length])
                start += (length + 3) & ~3
                handled += 1
        except (trio.Cancelled, DatapathError):
            # A signal, or a message too long: what has been done cannot be undone, so say how far
            # it went. The scope that was cancelled is this request's alone and ends with it.
            taken = min(start, end) - (end - size)
            if taken > 0:
                return taken
            raise
        session.unfinished = data[start:], max(start - end, 0)
        return size

    async def read(self, session: Session, size: int, nonblocking: bool) -> bytes:
        """The next datagram for read(2); see Session.read for the errors."""
        return await session.read(size, nonblocking)

    async def _stream_message(self, session: Session, data: bytes) -> None:
        """One whole message: handle it, queue its reply and what it is owed of an ACK or error."""
        header = NETLINK_HEADER.parse(data)
        meets_faults = self._faults.active and header.type != OVSDP_CONTROL.id
        if meets_faults:
            self._backlog.check_room(session, len(data))
        session.requests += 1
        if self._taps.active is not None:
            self._taps.active.request(session, data, "STREAM")
        if not meets_faults:
            await self._answer(session, data, None)
            return
        fault = self._find_fault(session, header, data)
        turn = self._faults.join(session, fault)
        if turn is not None:
            self._backlog.put(Waiting(session, data, turn, fault))
        else:
            await self._answer_with(session, data, fault)

    def _find_fault(self, session: Session, header: NetlinkHeader, data: bytes) -> Fault | None:
        """The fault of a message; what will be refused anyway, or is no request, has none."""
        if not header.flags & NLM_F_REQUEST or header.type < NLMSG_MIN_TYPE:
            return None
        try:
            request = self._route(session, data)
            self._parse(request)
        except DatapathError:
            return None
        return self._faults.find_for(request)

    async def _answer_with(self, session: Session, data: bytes, fault: Fault | None) -> None:
        """Answer a message with its fault, which is told of what answers it."""
        session.fault = 0 if fault is None else fault.id
        try:
            await self._answer(session, data, fault)
        finally:
            session.fault = 0

    async def _answer(self, session: Session, data: bytes, fault: Fault | None) -> None:
        """Handle one whole message, and queue what it is answered."""
        header = NETLINK_HEADER.parse(data)
        try:
            is_request = header.flags & NLM_F_REQUEST and header.type >= NLMSG_MIN_TYPE
            if is_request and await self._stream_request(session, data, fault):
                return  # a dump: NLMSG_DONE is its acknowledgement
        except DatapathError as error:
            family = self._context.registry.lookup(header.type)
            capped = session.cap_ack or len(data) > ECHO_MAXIMUM
            session.errors += 1
            self._reply(session, error_reply(data, session, error, family, capped), fault)
        else:
            if header.flags & NLM_F_ACK:
                acknowledgement = build_error(data, 0, capped=True, portid=session.pid)
                self._reply(session, acknowledgement, fault)
            elif self._taps.active is not None:
                self._taps.active.handled(session, data)

    async def _stream_request(self, session: Session, data: bytes, fault: Fault | None) -> bool:
        """Handle a request; whether it began a dump."""
        request = self._check(session, data)
        request.fault = fault
        if request.is_dump:
            session.start_stream_dump(start_dump(request))
            return True
        echo = bool(request.header.flags & NLM_F_ECHO)
        reply, group = await execute(request, session if echo else None, echo)
        if reply is not None and (group is None or echo):
            self._reply(session, reply, fault)
        return False

    def _reply(self, session: Session, reply: bytes, fault: Fault | None) -> None:
        if fault is not None:
            reply = fault.cut(reply)
        if session.put(Kind.REPLY, reply):
            session.replies += 1

    def _check(self, session: Session, data: bytes) -> Request:
        """The checks of genl_rcv_msg(), in their order."""
        request = self._route(session, data)
        if request.is_dump and request.command.dump and session.stream_dump is not None:
            raise DatapathError(EBUSY, "a dump is running on this handle")
        self._parse(request)
        return request

    def _route(self, session: Session, data: bytes) -> Request:
        """The request that a message is, its attributes not yet parsed."""
        registry = self._context.registry
        header = OVS_MESSAGE_HEADER.parse(data.ljust(OVS_HEADER_SIZE, b"\0"))
        known = registry.lookup(header.type)
        if known is not None and len(data) < known.schema.attributes_start:
            raise DatapathError(
                EINVAL,
                f"a message of {known.schema.name} has at least "
                f"{known.schema.attributes_start} bytes",
            )
        family, command = registry.route(header.type, header.command, DeviceOperation.STREAM)
        check_permission(session, command)
        schema = family.schema
        dp_ifindex = header.dp_ifindex if schema.header_size else 0
        return Request(self._context, session, family, command, header, dp_ifindex, {}, data)

    def _parse(self, request: Request) -> None:
        """Parse the attributes, where the kernel does."""
        command, schema = request.command, request.family.schema
        if command.validates_dump if request.is_dump else command.handler is not None:
            request.attributes = schema.attributes_of(command.number).parse(
                request.data, schema.attributes_start
            )
