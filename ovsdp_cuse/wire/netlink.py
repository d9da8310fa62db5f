"""Netlink and generic netlink headers, flags and error messages.

Sources: <linux/netlink.h>, <linux/genetlink.h>, <linux/openvswitch.h> (struct ovs_header).
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

from ovsdp_cuse.wire.attributes import Attributes, AttributeSet
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.values import Binary, String, u32

NETLINK_HEADER_SIZE = 16
GENERIC_HEADER_SIZE = 20
OVS_HEADER_SIZE = 24
NLMSG_MIN_TYPE = 0x10
NETLINK_GENERIC = 16
NETLINK_NETFILTER = 12


class ControlType(IntEnum):
    """nlmsg_type below NLMSG_MIN_TYPE: netlink's own messages."""

    NOOP = 1
    ERROR = 2
    DONE = 3
    OVERRUN = 4


class Flag(IntFlag):
    """nlmsg_flags; ROOT to APPEND mean different things to GET, to NEW and to DEL."""

    REQUEST = 0x01
    MULTI = 0x02
    ACK = 0x04
    ECHO = 0x08
    DUMP_INTR = 0x10
    DUMP_FILTERED = 0x20
    ROOT = 0x100
    MATCH = 0x200
    ATOMIC = 0x400
    DUMP = 0x300
    REPLACE = 0x100
    EXCL = 0x200
    CREATE = 0x400
    APPEND = 0x800
    CAPPED = 0x100
    ACK_TLVS = 0x200


# Plain integers for the hot path: an operation on IntFlag costs a microsecond.
NLM_F_REQUEST = int(Flag.REQUEST)
NLM_F_MULTI = int(Flag.MULTI)
NLM_F_ACK = int(Flag.ACK)
NLM_F_ECHO = int(Flag.ECHO)
NLM_F_DUMP = int(Flag.DUMP)
NLM_F_CREATE = int(Flag.CREATE)
NLM_F_EXCL = int(Flag.EXCL)
NLM_F_CAPPED = int(Flag.CAPPED)
NLM_F_ACK_TLVS = int(Flag.ACK_TLVS)


class NetlinkHeader(NamedTuple):
    """struct nlmsghdr: 16 bytes; `length` includes it."""

    length: int
    type: int
    flags: int
    sequence: int
    pid: int


NETLINK_HEADER = FixedStruct("IHHII", NetlinkHeader)


class GenericHeader(NamedTuple):
    """struct nlmsghdr + struct genlmsghdr: 20 bytes."""

    length: int
    type: int
    flags: int
    sequence: int
    pid: int
    command: int
    version: int
    reserved: int


GENERIC_HEADER = FixedStruct("IHHIIBBH", GenericHeader)


class OvsMessageHeader(NamedTuple):
    """struct nlmsghdr + struct genlmsghdr + struct ovs_header: 24 bytes, OVS_MESSAGE of 2014."""

    length: int
    type: int
    flags: int
    sequence: int
    pid: int
    command: int
    version: int
    reserved: int
    dp_ifindex: int


OVS_MESSAGE_HEADER = FixedStruct("IHHIIBBHi", OvsMessageHeader)


class ErrorAttr(IntEnum):
    """enum nlmsgerr_attrs."""

    UNUSED = 0
    MSG = 1
    OFFS = 2
    COOKIE = 3
    POLICY = 4
    MISS_TYPE = 5
    MISS_NEST = 6


ERROR_ATTRIBUTES = AttributeSet(
    "NLMSGERR_ATTR",
    {
        ErrorAttr.MSG: String(4096),
        ErrorAttr.OFFS: u32(),
        ErrorAttr.COOKIE: Binary(),
        ErrorAttr.POLICY: Binary(),
        ErrorAttr.MISS_TYPE: u32(),
        ErrorAttr.MISS_NEST: u32(),
    },
)


class NetlinkError(NamedTuple):
    """An NLMSG_ERROR, or the NLMSG_DONE that ends a dump.

    errno: positive, 0 for an acknowledgement. message, offset: extended-ack text, and the byte in
    the request where the offending attribute starts; None where the answer has none.
    """

    header: NetlinkHeader
    errno: int
    message: str | None = None
    offset: int | None = None


_ERROR_CODE = struct.Struct("=i")


def build_error(
    request: bytes,
    errno: int,
    *,
    capped: bool,
    portid: int,
    message: str | None = None,
    offset: int | None = None,
) -> bytes:
    """The NLMSG_ERROR that answers `request` (which begins with a whole nlmsghdr).

    errno: positive, or 0 for an acknowledgement. capped: echo the request's header only. The
    kernel echoes the whole request with an error and the header with an acknowledgement
    (netlink_ack() in net/netlink/af_netlink.c); NLM_F_CAPPED tells which.
    """
    header = NETLINK_HEADER.parse(request)
    capped = capped or not errno
    attributes: Attributes = {}
    if message is not None:
        attributes[int(ErrorAttr.MSG)] = message
    if offset is not None:
        attributes[int(ErrorAttr.OFFS)] = offset
    tail = ERROR_ATTRIBUTES.build(attributes)
    echoed = request[:NETLINK_HEADER_SIZE] if capped else request[: header.length]
    echoed += bytes(-len(echoed) & 3)
    # An acknowledgement is short by nature; CAPPED is said of what was cut.
    flags = (NLM_F_CAPPED if capped else 0) | (NLM_F_ACK_TLVS if tail else 0)
    length = NETLINK_HEADER_SIZE + 4 + len(echoed) + len(tail)
    return (
        NETLINK_HEADER.pack(length, ControlType.ERROR, flags, header.sequence, portid)
        + _ERROR_CODE.pack(-errno)
        + echoed
        + tail
    )


def build_done(
    header: NetlinkHeader | OvsMessageHeader | GenericHeader,
    errno: int,
    portid: int,
    message: str | None = None,
) -> bytes:
    """The NLMSG_DONE that ends the dump asked for by `header`; errno is 0 where all went well."""
    tail = ERROR_ATTRIBUTES.build({int(ErrorAttr.MSG): message}) if message is not None else b""
    flags = NLM_F_MULTI | (NLM_F_ACK_TLVS if tail else 0)
    return (
        NETLINK_HEADER.pack(20 + len(tail), ControlType.DONE, flags, header.sequence, portid)
        + _ERROR_CODE.pack(-errno)
        + tail
    )


def parse_error(data: bytes) -> NetlinkError:
    """Read an NLMSG_ERROR or an NLMSG_DONE.

    Raises struct.error where it is shorter than its fixed part.
    """
    header = NETLINK_HEADER.parse(data)
    errno = -_ERROR_CODE.unpack_from(data, NETLINK_HEADER_SIZE)[0]
    start = NETLINK_HEADER_SIZE + 4
    if header.type == ControlType.ERROR:
        echoed = NETLINK_HEADER.parse(data, start)
        capped = header.flags & NLM_F_CAPPED or not errno
        start += NETLINK_HEADER_SIZE if capped else (echoed.length + 3) & ~3
    attributes = (
        ERROR_ATTRIBUTES.parse(data[: header.length], start)
        if header.flags & NLM_F_ACK_TLVS
        else {}
    )
    return NetlinkError(
        header, errno, attributes.get(ErrorAttr.MSG), attributes.get(ErrorAttr.OFFS)
    )
