"""Reads and writes pcapng: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html.

Numbers are in the byte order of the section that they stand in. Blocks that are unknown are
skipped; a block begins with its type and length, and ends with its length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ovsdp_cuse.captures.packet import Packet, Stop, Way

MAGIC: Final = bytes.fromhex("0a0d0d0a")
"""Section header block: the type reads the same in both byte orders."""

_SECTION, _INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDER = 0x1A2B3C4D
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF
_SMALLEST = 12
_END, _COMMENT = 0, 1
_SHB_HARDWARE, _SHB_OS, _SHB_USERAPPL = 2, 3, 4
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _IF_TSOFFSET = 2, 3, 9, 14
_EPB_FLAGS = 2
_WAY_BITS = 3
_NANOSECONDS = 9
_MICROSECONDS = 6


class Writer:
    """Writes a file of one section and one interface.

    write: takes bytes; each call is one whole block, so that a file is whole after each. linktype,
    name, description: of the interface. application: shb_userappl.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        linktype: int,
        name: str,
        description: str = "",
        application: str = "",
    ) -> None:
        self._write = write
        section = struct.pack("=IHHQ", _BYTE_ORDER, 1, 0, _UNKNOWN_LENGTH)
        told = [(_SHB_USERAPPL, application.encode())] if application else []
        self._block(_SECTION, section + _options(told))
        told = [(_IF_NAME, name.encode(errors="surrogateescape"))]
        if description:
            told.append((_IF_DESCRIPTION, description.encode()))
        told.append((_IF_TSRESOL, bytes([_NANOSECONDS])))
        self._block(_INTERFACE, struct.pack("=HHI", linktype, 0, 0) + _options(told))

    def packet(
        self,
        data: bytes,
        time_ns: int,
        length: int | None = None,
        comments: Iterable[str] = (),
        way: Way = Way.UNKNOWN,
    ) -> None:
        """Write a packet; time_ns: since 1970. length: how many bytes it has had, if not all are
        here."""
        told = [(_COMMENT, comment.encode(errors="replace")) for comment in comments]
        told.append((_EPB_FLAGS, struct.pack("=I", way)))
        whole = len(data) if length is None else length
        head = struct.pack("=IIIII", 0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), whole)
        self._block(_ENHANCED, head + _padded(data) + _options(told))

    def _block(self, kind: int, body: bytes) -> None:
        length = len(body) + _SMALLEST
        self._write(struct.pack("=II", kind, length) + body + struct.pack("=I", length))


def packets(data: bytes) -> Iterator[Packet]:
    """The packets of a file that begins with MAGIC; raises Stop where the rest cannot be read."""
    interfaces: list[_Interface] = []
    number = 0
    for start, order, kind, body in _blocks(data):
        try:
            if kind == _SECTION:
                interfaces = []
            elif kind == _INTERFACE:
                interfaces.append(_interface(order, body))
            elif kind in _READERS:
                number += 1
                yield _READERS[kind](order, body, interfaces, number, start)
        except (struct.error, IndexError, ValueError) as error:
            raise Stop(f"the block at byte {start} is malformed: {error}") from None


@dataclass(frozen=True)
class _Interface:
    linktype: int
    snap_length: int
    name: str | None
    exponent: int
    offset_s: int

    def time_ns(self, high: int, low: int) -> int:
        """A timestamp, in units of if_tsresol, as nanoseconds since 1970."""
        count = high << 32 | low
        if self.exponent & 0x80:
            nanoseconds = count * 10**9 >> (self.exponent & 0x7F)
        else:
            nanoseconds = count * 10**9 // 10**self.exponent
        return nanoseconds + self.offset_s * 10**9


def _blocks(data: bytes) -> Iterator[tuple[int, str, int, bytes]]:
    """(offset, byte order, type, body) of each block."""
    start, order = 0, "="
    while start < len(data):
        left = len(data) - start
        if left < _SMALLEST:
            raise Stop(f"the file ends within the block at byte {start}")
        if data[start : start + 4] == MAGIC:
            order = "<" if data[start + 8] == _BYTE_ORDER & 0xFF else ">"
            if struct.unpack_from(order + "I", data, start + 8)[0] != _BYTE_ORDER:
                raise Stop(f"the section at byte {start} has no byte order")
        kind, length = struct.unpack_from(order + "II", data, start)
        if length < _SMALLEST or length % 4:
            raise Stop(f"the block at byte {start} claims a length of {length} bytes")
        if length > left:
            raise Stop(f"the block at byte {start} claims {length} bytes, {left} are there")
        if struct.unpack_from(order + "I", data, start + length - 4)[0] != length:
            raise Stop(f"the block at byte {start} does not end with its length")
        yield start, order, kind, data[start + 8 : start + length - 4]
        start += length


def _interface(order: str, body: bytes) -> _Interface:
    linktype, snap_length = struct.unpack_from(order + "HxxI", body)
    name, exponent, offset_s = None, _MICROSECONDS, 0
    for option, value in _read_options(order, body[8:]):
        if option == _IF_NAME:
            name = value.rstrip(b"\0").decode(errors="surrogateescape")
        elif option == _IF_TSRESOL:
            exponent = value[0]
        elif option == _IF_TSOFFSET:
            offset_s = struct.unpack(order + "q", value)[0]
    return _Interface(linktype, snap_length, name, exponent, offset_s)


def _enhanced(
    order: str, body: bytes, interfaces: list[_Interface], number: int, start: int
) -> Packet:
    index, high, low, captured, length = struct.unpack_from(order + "IIIII", body)
    return _packet(order, body, 20, interfaces[index], (high, low), captured, length, number, start)


def _old(order: str, body: bytes, interfaces: list[_Interface], number: int, start: int) -> Packet:
    """The packet block, which the enhanced one has replaced."""
    index, high, low, captured, length = struct.unpack_from(order + "HxxIIII", body)
    return _packet(order, body, 20, interfaces[index], (high, low), captured, length, number, start)


def _simple(
    order: str, body: bytes, interfaces: list[_Interface], number: int, start: int
) -> Packet:
    """One that has no time, and is of the first interface."""
    (length,) = struct.unpack_from(order + "I", body)
    interface = interfaces[0]
    captured = min(length, interface.snap_length or length, len(body) - 4)
    return Packet(
        number, body[4 : 4 + captured], interface.linktype, length, 0, start, interface.name
    )


_READERS: Final = {_PACKET: _old, _SIMPLE: _simple, _ENHANCED: _enhanced}


def _packet(
    order: str,
    body: bytes,
    begin: int,
    interface: _Interface,
    time: tuple[int, int],
    captured: int,
    length: int,
    number: int,
    start: int,
) -> Packet:
    end = begin + captured
    if end > len(body):
        raise ValueError(f"a packet of {captured} bytes, {len(body) - begin} are there")
    comments, way = [], Way.UNKNOWN
    for option, value in _read_options(order, body[end + (-captured & 3) :]):
        if option == _COMMENT:
            comments.append(value.decode(errors="replace"))
        elif option == _EPB_FLAGS:
            bits = struct.unpack(order + "I", value)[0] & _WAY_BITS
            way = Way(bits) if bits in set(Way) else Way.UNKNOWN
    return Packet(
        number,
        body[begin:end],
        interface.linktype,
        max(length, captured),
        interface.time_ns(*time),
        start,
        interface.name,
        tuple(comments),
        way,
    )


def _read_options(order: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    """(code, value) of each option; ValueError where one does not fit."""
    start = 0
    while len(data) - start >= 4:
        code, length = struct.unpack_from(order + "HH", data, start)
        if code == _END:
            return
        start += 4
        if length > len(data) - start:
            raise ValueError(f"an option of {length} bytes, {len(data) - start} are there")
        yield code, data[start : start + length]
        start += (length + 3) & ~3


def _options(told: Iterable[tuple[int, bytes]]) -> bytes:
    """Options and their end; values are at most 65,535 bytes, of longer ones the beginning."""
    options = b"".join(
        struct.pack("=HH", code, len(value[:0xFFFF])) + _padded(value[:0xFFFF])
        for code, value in told
    )
    return options + struct.pack("=HH", _END, 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) & 3)
