"""check -> handler -> reply, error, dump or notification: both doors of a handle.

The device door (ioctl) checks a request in this order, and what fails fails the ioctl:

    EBUSY       another request is running on the handle
    ENOTTY      there is no such ioctl
    EINVAL      the buffers are shorter than 24 bytes, or nlmsg_len is not in 24..len
    EINVAL      no such family, or no such command by this device operation
    EINVAL      the message's version is older than the family's
    ENODEV      the datapath does not exist, for a command that needs one
    EINVAL      nlmsg_pid is neither 0 nor the handle's
    EINVAL      the attributes are not well formed
    EPERM       an admin command came through a handle that was not opened for writing

What fails later, in a value's policy or in the handler, is an NLMSG_ERROR in the reply buffer.

The stream door (read and write) does what netlink_rcv_skb() and genl_rcv_msg() of the kernel do:
whatever is wrong with a message is told by an NLMSG_ERROR in the queue.

No exception but DatapathError leaves this module, and cancellation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import IntEnum
from errno import EBUSY, EINVAL, EIO, EMSGSIZE, ENODEV, ENOENT, ENOTTY, EOPNOTSUPP, EPERM
from sys import byteorder
from typing import NamedTuple

import structlog
import trio

from ovsdp_cuse.errors import DatapathError, LayoutError
from ovsdp_cuse.families.dump import Dump
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family
from ovsdp_cuse.families.request import Body, Context, Request
from ovsdp_cuse.families.session import Access, Owner, Session
from ovsdp_cuse.families.tap import Direction, Tap
from ovsdp_cuse.wire.attributes import Attributes, offset_of
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NETLINK_HEADER_SIZE,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_ECHO,
    NLM_F_REQUEST,
    NLMSG_MIN_TYPE,
    OVS_HEADER_SIZE,
    OVS_MESSAGE_HEADER,
    build_error,
)

log = structlog.get_logger(__name__)

MESSAGE_MAXIMUM = 212_992
"""Bytes of the longest message that a write may carry: net.core.wmem_default, which bounds a
sendmsg on a netlink socket."""
UNCUT = 31 * 4096
"""Bytes of one buffer that the kernel passes on in one piece: 32 pages, and it may begin within
one. Only a longer write goes on in another; a longer datagram cannot be read from every node."""
ECHO_MAXIMUM = UNCUT - 4096
"""Bytes of the longest message that its error echoes whole, so that there is room for a text."""


class Ioctl(IntEnum):
    """The six ioctls of the device door, by their number (_IOC_NR)."""

    GET_PID = 0
    READ = 1
    READ_EVENT = 2
    READ_PACKET = 3
    WRITE = 4
    TRANSACT = 5


class IoctlResult(NamedTuple):
    """What an ioctl returns: its value (>= 0) and the bytes for the client's buffer."""

    value: int
    data: bytes = b""


def _check_output(out_size: int) -> None:
    if out_size < OVS_HEADER_SIZE:
        raise DatapathError(
            EINVAL, f"a message has at least {OVS_HEADER_SIZE} bytes, the output {out_size}"
        )


def _not_permitted(command: Command) -> DatapathError:
    return DatapathError(EPERM, f"{command.name} needs a handle that was opened for writing")


def _failed(request: Request) -> DatapathError:
    """Log the exception that a handler has just raised; EIO is what its client learns of it."""
    command = request.command.name
    log.exception("a handler failed", command=command, pid=request.session.pid)
    return DatapathError(EIO, f"the handler of {command} failed; the daemon's log says why")


class Dispatcher:
    """Routes what comes through the doors of any handle; `tap` sees every message."""

    def __init__(self, context: Context, tap: Tap | None = None) -> None:
        self.context = context
        self.tap = tap
        self._registry = context.registry
        self._switch = context.switch
        self._sessions = context.sessions
        self._ioctls: dict[Ioctl, Callable[[Session, bytes, int], Awaitable[IoctlResult]]] = {
            Ioctl.GET_PID: self._get_pid,
            Ioctl.READ: self._read,
            Ioctl.READ_EVENT: self._read_event,
            Ioctl.READ_PACKET: self._read_packet,
            Ioctl.WRITE: self._write,
            Ioctl.TRANSACT: self._transact,
        }

    # Handles -----------------------------------------------------------------------------------

    def open(self, access: Access, nonblocking: bool, owner: Owner) -> Session:
        """Open a handle; ENFILE when the limit is reached."""
        session = self._sessions.open(access, nonblocking, owner)
        if self.tap is not None:
            self.tap.opened(session)
        return session

    def close(self, session: Session) -> None:
        """Close a handle; what waits on it ends."""
        self._sessions.close(session)
        if self.tap is not None:
            self.tap.closed(session)

    # The device door ---------------------------------------------------------------------------

    async def ioctl(
        self, session: Session, ioctl: Ioctl | None, data: bytes, out_size: int
    ) -> IoctlResult:
        """Run one ioctl; None stands for a number that is not ours.

        data: what the client's buffer held, empty without _IOC_WRITE. out_size: bytes that it
        takes back, 0 without _IOC_READ.
        """
        try:
            if session.running is not None:
                raise DatapathError(EBUSY, "another request is running on this handle")
            if ioctl is None:
                raise DatapathError(ENOTTY, "no such ioctl")
            session.running = mine = object()
            try:
                return await self._ioctls[ioctl](session, data, out_size)
            finally:
                # A request that waits for an event has given the handle free, and another may
                # have it.
                if session.running is mine:
                    session.running = None
        except DatapathError as error:
            if self.tap is not None:
                self.tap.refused(session, ioctl.name if ioctl is not None else "ioctl", error)
            raise

    async def _get_pid(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        if out_size < 4:
            raise DatapathError(EINVAL, f"a PID has 4 bytes, the buffer {out_size}")
        return IoctlResult(4, session.pid.to_bytes(4, byteorder))

    async def _read(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        _check_output(out_size)
        kept = session.take(Kind.KEPT, out_size)
        if not kept and session.dump is not None:
            return self._next_part(session, session.dump, out_size)
        return self._give(session, kept)

    async def _read_event(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        _check_output(out_size)
        return self._give(session, session.take(Kind.EVENT, out_size))

    async def _read_packet(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        _check_output(out_size)
        return self._give(session, session.take(Kind.PACKET, out_size))

    async def _write(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        request = self._check(session, DeviceOperation.WRITE, data, None)
        if request.header.flags & NLM_F_DUMP == NLM_F_DUMP:
            session.dump = self._start_dump(request)
        else:
            await self._handle(request)
        return IoctlResult(len(data))

    async def _transact(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        if out_size:
            _check_output(out_size)
        request = self._check(session, DeviceOperation.TRANSACT, data, out_size)
        dump = None
        reply = None
        try:
            if request.header.flags & NLM_F_DUMP == NLM_F_DUMP:
                session.dump = dump = self._start_dump(request)
            else:
                reply, _group = await self._handle(request)
                if reply is None and request.header.flags & NLM_F_ACK:
                    reply = build_error(data, 0, capped=True, portid=session.pid)
        except DatapathError as error:
            if not out_size:
                raise
            reply = self._build_error(request.data, session, error, request.family, capped=True)
        if dump is not None and out_size:
            return self._next_part(session, dump, out_size)
        if reply is None or not out_size:
            return IoctlResult(0)
        if len(reply) > out_size:
            session.put(Kind.KEPT, reply)
            raise DatapathError(
                EMSGSIZE,
                f"the reply has {len(reply)} bytes, the buffer {out_size}; READ returns it",
            )
        return self._give(session, reply)

    def _next_part(self, session: Session, dump: Dump, out_size: int) -> IoctlResult:
        part = dump.next_part(out_size)
        if dump.done:
            session.dump = None
        return self._give(session, part)

    def _give(self, session: Session, datagram: bytes) -> IoctlResult:
        if self.tap is not None and datagram:
            self.tap.message(session, Direction.TO_CLIENT, datagram)
        return IoctlResult(len(datagram), datagram)

    def _check(
        self, session: Session, operation: DeviceOperation, data: bytes, out_size: int | None
    ) -> Request:
        """The checks of the device door that a message must pass, in their order."""
        if len(data) < OVS_HEADER_SIZE:
            raise DatapathError(
                EINVAL, f"a message has at least {OVS_HEADER_SIZE} bytes, the input {len(data)}"
            )
        header = OVS_MESSAGE_HEADER.parse(data)
        if not OVS_HEADER_SIZE <= header.length <= len(data):
            raise DatapathError(
                EINVAL, f"nlmsg_len {header.length} is not in {OVS_HEADER_SIZE}..{len(data)}"
            )
        if header.length != len(data):
            data = data[: header.length]
        if self.tap is not None:
            self.tap.message(session, Direction.FROM_CLIENT, data, operation)
        try:
            family, command = self._registry.route(header.type, header.command, operation)
        except DatapathError as error:
            raise DatapathError(EINVAL, error.message) from None
        if header.version < family.schema.version:
            raise DatapathError(
                EINVAL,
                f"version {header.version} is older than {family.schema.name}'s "
                f"{family.schema.version}",
            )
        dp_ifindex = header.dp_ifindex if family.schema.header_size else 0
        dumps = header.flags & NLM_F_DUMP == NLM_F_DUMP
        if command.needs_datapath and not dumps:
            datapath = self._switch.lookup(dp_ifindex) if dp_ifindex else self._switch.default()
            if datapath is None:
                raise DatapathError(ENODEV, f"no datapath has the index {dp_ifindex}")
            dp_ifindex = datapath.index
        if header.pid and header.pid != session.pid:
            raise DatapathError(
                EINVAL, f"nlmsg_pid {header.pid} is neither 0 nor this handle's {session.pid}"
            )
        schema = family.schema
        attribute_set = schema.attributes_of(header.command)
        attributes: Attributes = {}
        invalid = None
        try:
            attributes = attribute_set.parse(data, schema.attributes_start, strict_layout=True)
        except LayoutError:
            raise
        except DatapathError as error:
            attribute_set.check_layout(data, schema.attributes_start)
            invalid = error
        if command.admin and not session.writable:
            raise _not_permitted(command)
        return Request(
            self.context,
            session,
            family,
            command,
            header,
            dp_ifindex,
            attributes,
            data,
            invalid,
            operation,
            out_size,
        )

    # The stream door ---------------------------------------------------------------------------

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
                await self._stream_message(session, data[start : start + length])
                start += (length + 3) & ~3
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
        datagram = await session.read(size, nonblocking)
        if self.tap is not None:
            self.tap.message(session, Direction.TO_CLIENT, datagram)
        return datagram

    async def _stream_message(self, session: Session, data: bytes) -> None:
        """One whole message: handle it, queue its reply and what it is owed of an ACK or error."""
        header = NETLINK_HEADER.parse(data)
        if self.tap is not None:
            self.tap.message(session, Direction.FROM_CLIENT, data)
        family = self._registry.lookup(header.type)
        try:
            is_request = header.flags & NLM_F_REQUEST and header.type >= NLMSG_MIN_TYPE
            if is_request and await self._stream_request(session, data):
                return  # a dump: NLMSG_DONE is its acknowledgement
        except DatapathError as error:
            capped = len(data) > ECHO_MAXIMUM
            session.put(Kind.REPLY, self._build_error(data, session, error, family, capped))
        else:
            if header.flags & NLM_F_ACK:
                session.put(Kind.REPLY, build_error(data, 0, capped=True, portid=session.pid))

    async def _stream_request(self, session: Session, data: bytes) -> bool:
        """Handle a request; whether it began a dump."""
        request = self._check_stream(session, data)
        if request.header.flags & NLM_F_DUMP == NLM_F_DUMP:
            session.start_stream_dump(self._start_dump(request))
            return True
        echo = bool(request.header.flags & NLM_F_ECHO)
        reply, group = await self._handle(request, session if echo else None)
        if reply is not None and (group is None or echo):
            session.put(Kind.REPLY, reply)
        return False

    def _check_stream(self, session: Session, data: bytes) -> Request:
        """The checks of genl_rcv_msg(), in their order."""
        header = OVS_MESSAGE_HEADER.parse(data.ljust(OVS_HEADER_SIZE, b"\0"))
        family = self._registry.lookup(header.type)
        if family is None:
            raise DatapathError(ENOENT, f"no family has the id {header.type:#x}")
        schema = family.schema
        if len(data) < schema.attributes_start:
            raise DatapathError(
                EINVAL, f"a message of {schema.name} has at least {schema.attributes_start} bytes"
            )
        command = family.routes.get(
            (header.command, DeviceOperation.TRANSACT)
        ) or family.routes.get((header.command, DeviceOperation.WRITE))
        if command is None:
            raise DatapathError(EOPNOTSUPP, f"{schema.name} has no command {header.command}")
        if command.admin and not session.writable:
            raise _not_permitted(command)
        dp_ifindex = header.dp_ifindex if schema.header_size else 0
        request = Request(self.context, session, family, command, header, dp_ifindex, {}, data)
        dumps = header.flags & NLM_F_DUMP == NLM_F_DUMP
        if dumps and command.dump is not None and session.stream_dump is not None:
            raise DatapathError(EBUSY, "a dump is running on this handle")
        if command.validates_dump if dumps else command.handler is not None:
            request.attributes = schema.attributes_of(header.command).parse(
                data, schema.attributes_start
            )
        return request

    # Both doors --------------------------------------------------------------------------------

    async def _handle(
        self, request: Request, exclude: Session | None = None
    ) -> tuple[bytes | None, int | None]:
        """Run the handler, notify the group of its answer, and return its message and the group.

        exclude: a session that is not notified, because it gets the message as its reply.
        """
        command = request.command
        if command.handler is None:
            raise DatapathError(EOPNOTSUPP, f"{command.name} is for dumps (NLM_F_DUMP) only")
        if request.invalid is not None:
            raise request.invalid
        try:
            answer = await command.handler(request)
            body = answer.body
            message = body.build(request) if isinstance(body, Body) else body
        except DatapathError:
            raise
        except Exception:
            raise _failed(request) from None
        if answer.group is not None and message is not None:
            self._sessions.multicast(answer.group, message, exclude)
        return message, answer.group

    @staticmethod
    def _start_dump(request: Request) -> Dump:
        command = request.command
        if command.dump is None:
            raise DatapathError(EOPNOTSUPP, f"{command.name} has no dump")
        if command.validates_dump and request.invalid is not None:
            raise request.invalid
        try:
            return Dump(request, command.dump(request))
        except DatapathError:
            raise
        except Exception:
            raise _failed(request) from None

    @staticmethod
    def _build_error(
        data: bytes, session: Session, error: DatapathError, family: Family | None, capped: bool
    ) -> bytes:
        offset = None
        if error.path and family is not None:
            offset = offset_of(data, family.schema.attributes_start, error.path)
        return build_error(
            data,
            error.errno,
            capped=capped,
            portid=session.pid,
            message=error.message or None,
            offset=offset,
        )
