"""The device door: ioctl(2). What fails here fails the ioctl, in this order:

    EBUSY       another request is running on the handle
    ENOTTY      there is no such ioctl
    EINVAL      the buffers are shorter than 24 bytes, or nlmsg_len is not in 24..len
    EINVAL      no such family, or no such command by this device operation
    EINVAL      the message's version is older than the family's
    ENODEV      the datapath does not exist, for a command that needs one
    EINVAL      nlmsg_pid is neither 0 nor the handle's
    EINVAL      the attributes are not well formed
    EPERM       an admin command came through a handle that was not opened for writing

What fails later, in a value's policy or in the handler, is an NLMSG_ERROR in the reply buffer; for
WRITE, which has none, it fails the ioctl too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import IntEnum
from errno import EBUSY, EINVAL, EMSGSIZE, ENODEV, ENOTTY
from sys import byteorder
from time import monotonic_ns
from typing import NamedTuple

from ovsdp_cuse.errors import DatapathError, LayoutError
from ovsdp_cuse.families.dump import Dump
from ovsdp_cuse.families.execute import check_permission, error_reply, execute, start_dump
from ovsdp_cuse.families.faults import Fault
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family
from ovsdp_cuse.families.request import Context, Request
from ovsdp_cuse.families.session import Session
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.netlink import (
    NLM_F_ACK,
    NLM_F_DUMP,
    OVS_HEADER_SIZE,
    OVS_MESSAGE_HEADER,
    OvsMessageHeader,
    build_error,
)
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL


class Ioctl(IntEnum):
    """The ioctls of the device door, by their number (_IOC_NR)."""

    GET_PID = 0
    READ = 1
    READ_EVENT = 2
    READ_PACKET = 3
    WRITE = 4
    TRANSACT = 5
    PEEK = 6


class IoctlResult(NamedTuple):
    """What an ioctl returns: its value (>= 0) and the bytes for the client's buffer.

    The value counts those bytes, but for PEEK, which tells how long all of the datagram is.
    """

    value: int
    data: bytes = b""


def _check_output(out_size: int) -> None:
    if out_size < OVS_HEADER_SIZE:
        raise DatapathError(
            EINVAL, f"a message has at least {OVS_HEADER_SIZE} bytes, the output {out_size}"
        )


def _is_control(session: Session, ioctl: Ioctl, data: bytes) -> bool:
    """Whether an ioctl is one of `ovsdp_control`: a request, or a read of its dump."""
    if ioctl is Ioctl.READ:
        return session.dump is not None and session.dump.request.family.schema is OVSDP_CONTROL
    is_request = ioctl in (Ioctl.WRITE, Ioctl.TRANSACT)
    return is_request and int.from_bytes(data[4:6], byteorder) == OVSDP_CONTROL.id


class DeviceDoor:
    """Runs ioctls."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._taps = context.sessions.taps
        self._faults = context.faults
        self._ioctls: dict[Ioctl, Callable[[Session, bytes, int], Awaitable[IoctlResult]]] = {
            Ioctl.GET_PID: self._get_pid,
            Ioctl.READ: self._read,
            Ioctl.READ_EVENT: self._read_event,
            Ioctl.READ_PACKET: self._read_packet,
            Ioctl.WRITE: self._write,
            Ioctl.TRANSACT: self._transact,
            Ioctl.PEEK: self._peek,
        }

    async def ioctl(
        self, session: Session, ioctl: Ioctl | None, data: bytes, out_size: int
    ) -> IoctlResult:
        """Run one ioctl; None stands for a number that is not ours.

        data: what the client's buffer held, empty without _IOC_WRITE. out_size: bytes that it
        takes back, 0 without _IOC_READ.
        """
        try:
            if session.running is not None:
                if ioctl is not None and _is_control(session, ioctl, data):
                    # What a fault lets wait must not lock out who would end it.
                    return await self._ioctls[ioctl](session, data, out_size)
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
            if self._taps.active is not None:
                name = ioctl.name if ioctl is not None else "ioctl"
                # What was refused because another request runs has not come as a request.
                refused = data if error.errno != EBUSY else b""
                self._taps.active.refused(session, name, error, refused)
            raise
        finally:
            session.fault = 0

    async def _get_pid(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        if out_size < 4:
            raise DatapathError(EINVAL, f"a PID has 4 bytes, the buffer {out_size}")
        if self._taps.active is not None:
            self._taps.active.pid_told(session)
        return IoctlResult(4, session.pid.to_bytes(4, byteorder))

    async def _read(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        since_ns = monotonic_ns() if self._taps.active is not None else 0
        _check_output(out_size)
        fault = None
        if self._faults.active:
            upcoming = session.queue.peek(Kind.KEPT) or (session.dump and session.dump.request.data)
            fault = await self._faults.meet_read(session, "READ", upcoming or b"")
        kept = session.take_kept(out_size)
        if not kept and session.dump is not None:
            return self._next_part(session, session.dump, out_size, since_ns, fault)
        return self._give(session, kept, since_ns, fault)

    async def _read_event(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        return await self._take(session, Kind.EVENT, "READ_EVENT", out_size)

    async def _read_packet(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        return await self._take(session, Kind.PACKET, "READ_PACKET", out_size)

    async def _take(
        self, session: Session, kind: Kind, operation: str, out_size: int
    ) -> IoctlResult:
        _check_output(out_size)
        fault = None
        if self._faults.active:
            upcoming = session.queue.peek(kind) or b""
            fault = await self._faults.meet_read(session, operation, upcoming)
        datagram = session.take(kind, out_size)
        if fault is not None:
            datagram = fault.cut(datagram)
        return IoctlResult(len(datagram), datagram)

    async def _peek(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        # Nothing crosses for good, so nothing is traced.
        datagram = session.peek()
        return IoctlResult(len(datagram), datagram[:out_size])

    async def _write(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        session.requests += 1
        try:
            request = self._check(session, DeviceOperation.WRITE, data, None)
            if self._faults.active:
                await self._faults.meet(request)
            if request.header.flags & NLM_F_DUMP == NLM_F_DUMP:
                session.dump = start_dump(request)
            else:
                await execute(request, echo=False)
                if self._taps.active is not None:
                    self._taps.active.handled(session, request.data)
        except DatapathError:
            session.errors += 1
            raise
        return IoctlResult(len(data))

    async def _transact(self, session: Session, data: bytes, out_size: int) -> IoctlResult:
        session.requests += 1
        try:
            if out_size:
                _check_output(out_size)
            request = self._check(session, DeviceOperation.TRANSACT, data, out_size)
            if self._faults.active:
                await self._faults.meet(request)
        except DatapathError:
            session.errors += 1
            raise
        dump = None
        reply = None
        try:
            if request.header.flags & NLM_F_DUMP == NLM_F_DUMP:
                session.dump = dump = start_dump(request)
            else:
                reply, _group = await execute(request)
                if reply is None and request.header.flags & NLM_F_ACK:
                    reply = build_error(data, 0, capped=True, portid=session.pid)
        except DatapathError as error:
            session.errors += 1
            if not out_size:
                raise
            reply = error_reply(request.data, session, error, request.family, capped=True)
        if dump is not None and out_size:
            return self._next_part(session, dump, out_size)
        if reply is None or not out_size:
            if self._taps.active is not None:
                self._taps.active.handled(session, request.data)
            return IoctlResult(0)
        session.replies += 1
        if request.fault is not None:
            reply = request.fault.cut(reply)
        if len(reply) > out_size:
            session.keep(reply)
            raise DatapathError(
                EMSGSIZE,
                f"the reply has {len(reply)} bytes, the buffer {out_size}; READ returns it",
            )
        return self._give(session, reply)

    def _next_part(
        self,
        session: Session,
        dump: Dump,
        out_size: int,
        since_ns: int = 0,
        fault: Fault | None = None,
    ) -> IoctlResult:
        part = dump.next_part(out_size)
        session.replies += 1
        if dump.done:
            session.dump = None
        return self._give(session, part, since_ns, fault)

    def _give(
        self,
        session: Session,
        datagram: bytes,
        since_ns: int = 0,
        fault: Fault | None = None,
    ) -> IoctlResult:
        if fault is not None:
            datagram = fault.cut(datagram)
        if self._taps.active is not None and datagram:
            self._taps.active.reply(session, datagram, since_ns)
        return IoctlResult(len(datagram), datagram)

    def _check(
        self, session: Session, operation: DeviceOperation, data: bytes, out_size: int | None
    ) -> Request:
        """The checks that a message must pass, in their order."""
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
        if self._taps.active is not None:
            self._taps.active.request(session, data, str(operation.name))
        try:
            family, command = self._context.registry.route(header.type, header.command, operation)
        except DatapathError as error:
            raise DatapathError(EINVAL, error.message) from None
        schema = family.schema
        if header.version < schema.version:
            raise DatapathError(
                EINVAL, f"version {header.version} is older than {schema.name}'s {schema.version}"
            )
        dp_ifindex = self._find_datapath(family, command, header)
        if header.pid and header.pid != session.pid:
            raise DatapathError(
                EINVAL, f"nlmsg_pid {header.pid} is neither 0 nor this handle's {session.pid}"
            )
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
        check_permission(session, command)
        return Request(
            self._context,
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

    def _find_datapath(self, family: Family, command: Command, header: OvsMessageHeader) -> int:
        """The index that a handler is to see: 0 becomes the default datapath's; ENODEV."""
        dp_ifindex = header.dp_ifindex if family.schema.header_size else 0
        if not command.needs_datapath or header.flags & NLM_F_DUMP == NLM_F_DUMP:
            return dp_ifindex
        switch = self._context.switch
        datapath = switch.lookup(dp_ifindex) if dp_ifindex else switch.default()
        if datapath is None:
            raise DatapathError(ENODEV, f"no datapath has the index {dp_ifindex}")
        return datapath.index
