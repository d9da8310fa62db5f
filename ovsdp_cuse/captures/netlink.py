"""Netlink messages in captures: the cooked header in front of them, and who said them.

Each packet of link type NETLINK begins with 16 bytes in network byte order: which way it went
(PACKET_USER, PACKET_KERNEL of <linux/if_packet.h>; Linux's nlmon has other values, too, and says
nothing with them), ARPHRD_NETLINK, ten bytes of nothing, and the netlink protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ovsdp_cuse.captures.note import FAMILY_COMMENT, parse_note
from ovsdp_cuse.captures.packet import LINKTYPE_NETLINK, Capture
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.netlink import (
    NETLINK_GENERIC,
    NETLINK_HEADER,
    NETLINK_HEADER_SIZE,
    ControlType,
)
from ovsdp_cuse.wire.trace import TraceAttr

PACKET_USER: Final = 6
PACKET_KERNEL: Final = 7
ARPHRD_NETLINK: Final = 824

PLACEHOLDER: Final = NETLINK_HEADER.pack(NETLINK_HEADER_SIZE, ControlType.NOOP, 0, 0, 0)
"""The message of a record that has none, such as that a handle was opened."""

_COOKED: Final = struct.Struct("!HH10xH")


@dataclass(frozen=True, slots=True)
class Frame:
    """What crossed at once: a message, or several.

    number: of its packet. data: the messages; length: how many bytes they had. trace: what our own
    recording says of it, without TIME_NS and MESSAGE; None in a capture of somebody else's.
    introduces: whether it is one of the messages at a recording's beginning that tell the families.
    """

    number: int
    time_ns: int
    data: bytes
    length: int
    trace: Attributes | None = None
    introduces: bool = False

    def as_trace(self) -> Attributes:
        """All that is known, as a trace."""
        told = {**(self.trace or {}), TraceAttr.TIME_NS: self.time_ns}
        if self.data:
            told[TraceAttr.MESSAGE] = self.data
        if len(self.data) < self.length:
            told[TraceAttr.LENGTH] = self.length
        return told


def cooked(data: bytes, to_kernel: bool) -> bytes:
    """Messages with the header of their link type in front."""
    way = PACKET_KERNEL if to_kernel else PACKET_USER
    return _COOKED.pack(way, ARPHRD_NETLINK, NETLINK_GENERIC) + data


def frames(capture: Capture) -> Iterator[Frame]:
    """What there is of generic netlink in a capture; other protocols and link types are left out.

    A record of what has no message has no data.
    """
    for packet in capture.packets:
        if packet.linktype != LINKTYPE_NETLINK or len(packet.data) < _COOKED.size:
            continue
        if _COOKED.unpack_from(packet.data)[2] != NETLINK_GENERIC:
            continue
        notes = filter(None, map(parse_note, packet.comments))
        trace = next(notes, None)
        data = packet.data[_COOKED.size :]
        length = packet.length - _COOKED.size
        if trace is not None and data == PLACEHOLDER:
            data, length = b"", 0
        introduces = FAMILY_COMMENT in packet.comments
        yield Frame(packet.number, packet.time_ns, data, length, trace, introduces)


def split(data: bytes) -> Iterator[bytes]:
    """The messages of a frame without their padding; ends where what is left is none."""
    start = 0
    while len(data) - start >= NETLINK_HEADER_SIZE:
        length = NETLINK_HEADER.parse(data, start).length
        if not NETLINK_HEADER_SIZE <= length <= len(data) - start:
            return
        yield data[start : start + length]
        start += (length + 3) & ~3
