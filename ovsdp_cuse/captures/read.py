"""Reads a capture file of any kind that we know."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from ovsdp_cuse.captures import pcap, pcapng
from ovsdp_cuse.captures.packet import Capture, CaptureError, Packet, Stop

_GZIP: Final = b"\x1f\x8b"
_GZIP_BITS: Final = 31
_PART: Final = 1 << 16


def read_capture(data: bytes) -> Capture:
    """The packets of a pcapng or pcap file, which may be gzipped.

    Of a file that is cut off, or broken, what is whole is read, and `problem` tells of the rest.
    Raises CaptureError for what is no capture file.
    """
    problem = None
    if data[:2] == _GZIP:
        data, problem = _unzipped(data)
    packets: list[Packet] = []
    try:
        for packet in _packets(data):
            packets.append(packet)  # noqa: PERF402 - those before a Stop are kept
    except Stop as stop:
        problem = f"{problem}; {stop}" if problem else str(stop)
    return Capture(tuple(packets), problem)


def _packets(data: bytes) -> Iterator[Packet]:
    if data[:4] == pcapng.MAGIC:
        return pcapng.packets(data)
    if data[:4] in pcap.MAGICS:
        return pcap.packets(data)
    begins = f"begins with {data[:4].hex(' ')}" if data else "is empty"
    raise CaptureError(f"neither pcapng nor pcap: the file {begins}")


def _unzipped(data: bytes) -> tuple[bytes, str | None]:
    """What is in a gzip file, and why that is not all."""
    found = []
    while data[:2] == _GZIP:
        unzip = zlib.decompressobj(wbits=_GZIP_BITS)
        try:
            # In parts, so that what comes before a broken one is not lost.
            for start in range(0, len(data), _PART):
                found.append(unzip.decompress(data[start : start + _PART]))
                if unzip.eof:
                    break
        except zlib.error as error:
            return b"".join(found), f"the gzip file cannot be unpacked to its end: {error}"
        if not unzip.eof:
            return b"".join(found), "the gzip file ends too early"
        data = unzip.unused_data + data[start + _PART :]
    return b"".join(found), None
