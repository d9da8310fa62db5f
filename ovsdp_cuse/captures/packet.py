"""What a capture file holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

LINKTYPE_ETHERNET: Final = 1
LINKTYPE_NETLINK: Final = 253
"""https://www.tcpdump.org/linktypes.html"""


class CaptureError(Exception):
    """Bytes that are no capture file; the text says why."""


class Way(IntEnum):
    """Bits 0 and 1 of epb_flags: which way a packet went, seen from who captured it."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet.

    number: from 1, as Wireshark counts. data: what was captured of it; length: how many bytes it
    had. time_ns: since 1970. interface: if_name of where it was captured, where the file tells.
    offset: of its record in the file, once unpacked.
    """

    number: int
    data: bytes
    linktype: int
    length: int
    time_ns: int
    offset: int
    interface: str | None = None
    comments: tuple[str, ...] = ()
    way: Way = Way.UNKNOWN

    @property
    def cut(self) -> bool:
        """Whether the file has only the beginning of it."""
        return len(self.data) < self.length


@dataclass(frozen=True, slots=True)
class Capture:
    """The whole packets of a file; problem: why nothing could be read after them, and where."""

    packets: tuple[Packet, ...]
    problem: str | None = None


class Stop(Exception):
    """The rest of a file cannot be read; the text says why."""
