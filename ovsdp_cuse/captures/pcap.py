"""Reads classic pcap: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from ovsdp_cuse.captures.packet import CaptureError, Packet, Stop

_FORMATS: Final = {
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b23c4d"): (">", 1),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
}
"""The file's first bytes -> its byte order, and nanoseconds in the smaller unit of its times."""

MAGICS: Final = tuple(_FORMATS)
_HEADER_SIZE, _RECORD_SIZE = 24, 16
_LINKTYPE_BITS = 0xFFFF
"""The others tell of frame check sequences."""


def packets(data: bytes) -> Iterator[Packet]:
    """The packets of a file that begins with one of MAGICS.

    Raises CaptureError for a file that ends within its header, and Stop where the rest cannot be
    read.
    """
    order, unit_ns = _FORMATS[data[:4]]
    if len(data) < _HEADER_SIZE:
        raise CaptureError(f"a pcap file that ends within its header, at byte {len(data)}")
    linktype = struct.unpack_from(order + "I", data, 20)[0] & _LINKTYPE_BITS
    record = struct.Struct(order + "IIII")
    start, number = _HEADER_SIZE, 0
    while start < len(data):
        if len(data) - start < _RECORD_SIZE:
            raise Stop(f"the file ends within the record at byte {start}")
        seconds, fraction, captured, length = record.unpack_from(data, start)
        begin = start + _RECORD_SIZE
        if captured > len(data) - begin:
            raise Stop(
                f"the record at byte {start} claims {captured} bytes, {len(data) - begin} are there"
            )
        number += 1
        time_ns = seconds * 10**9 + fraction * unit_ns
        frame = data[begin : begin + captured]
        yield Packet(number, frame, linktype, max(length, captured), time_ns, start)
        start = begin + captured
