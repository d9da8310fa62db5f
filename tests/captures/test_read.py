"""Capture files: written and read, by us and by others; and of broken ones what is whole."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.packet import Raw
from scapy.utils import PcapNgReader, PcapWriter

from ovsdp_cuse.captures import (
    LINKTYPE_ETHERNET,
    LINKTYPE_NETLINK,
    CaptureError,
    Packet,
    Way,
    read_capture,
)
from ovsdp_cuse.captures.pcapng import Writer

TIME_NS = 1_795_430_183_221_433_007
FRAMES = (b"first frame", b"2nd", b"", b"four")


def written(*frames: bytes) -> bytes:
    """A pcapng file."""
    blocks: list[bytes] = []
    writer = Writer(blocks.append, LINKTYPE_NETLINK, "/dev/here", "what it is", "program 1")
    for number, frame in enumerate(frames):
        comments = [f"comment {number}", "another"][:number]
        writer.packet(frame, TIME_NS + number, comments=comments, way=Way(number % 3))
    return b"".join(blocks)


def classic(order: str, magic: int, frames: tuple[bytes, ...] = FRAMES) -> bytes:
    """A pcap file of Ethernet frames, 250 of the smaller units of time after each other."""
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, LINKTYPE_ETHERNET)
    for number, frame in enumerate(frames):
        data += struct.pack(order + "IIII", 7, 250 * number, len(frame), 100) + frame
    return data


def block(order: str, kind: int, body: bytes) -> bytes:
    """A block of pcapng."""
    body += bytes(-len(body) & 3)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def other_pcapng(order: str, interface_options: bytes = b"") -> bytes:
    """A pcapng file as others write them: byte orders, blocks that we do not know, old blocks."""
    frame = struct.pack(order + "IIIII", 0, 0, 5_000_001, 3, 9) + b"abc\0"
    return b"".join(
        (
            block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)),
            block(order, 0xBAD, b"whatever"),
            block(order, 1, struct.pack(order + "HHI", 1, 0, 2) + interface_options),
            block(order, 6, frame),
            block(order, 2, struct.pack(order + "HHIIII", 0, 0, 0, 1, 2, 2) + b"xy"),
            block(order, 3, struct.pack(order + "I", 4) + b"si"),
        )
    )


def test_what_is_written_is_read() -> None:
    capture = read_capture(written(*FRAMES))
    assert capture.problem is None
    assert [packet.data for packet in capture.packets] == list(FRAMES)
    assert capture.packets[2] == Packet(
        number=3,
        data=b"",
        linktype=LINKTYPE_NETLINK,
        length=0,
        time_ns=TIME_NS + 2,
        offset=capture.packets[2].offset,
        interface="/dev/here",
        comments=("comment 2", "another"),
        way=Way.OUTBOUND,
    )


def test_a_packet_that_was_cut_keeps_its_length() -> None:
    blocks: list[bytes] = []
    Writer(blocks.append, LINKTYPE_NETLINK, "x").packet(b"abc", 1, length=1000)
    (packet,) = read_capture(b"".join(blocks)).packets
    assert (packet.data, packet.length, packet.cut) == (b"abc", 1000, True)


def test_scapy_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "written.pcapng"
    path.write_bytes(written(*FRAMES))
    with PcapNgReader(str(path)) as reader:
        found = list(reader)
    assert [bytes(packet) for packet in found] == list(FRAMES)
    assert [packet.time for packet in found] == [
        pytest.approx((TIME_NS + number) / 1e9, abs=1e-5) for number in range(4)
    ]


def test_what_scapy_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scapy.pcap"
    with PcapWriter(str(path), linktype=LINKTYPE_ETHERNET, nano=True) as writer:
        for frame in FRAMES:
            writer.write(Raw(frame))
    capture = read_capture(path.read_bytes())
    assert [packet.data for packet in capture.packets] == list(FRAMES)
    assert {packet.linktype for packet in capture.packets} == {LINKTYPE_ETHERNET}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit_ns"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_classic_pcap(order: str, magic: int, unit_ns: int) -> None:
    capture = read_capture(classic(order, magic))
    assert capture.problem is None
    assert [packet.data for packet in capture.packets] == list(FRAMES)
    assert [packet.length for packet in capture.packets] == [100] * 4
    times = [packet.time_ns for packet in capture.packets]
    assert times == [7 * 10**9 + 250 * number * unit_ns for number in range(4)]


@pytest.mark.parametrize("order", "<>")
def test_blocks_as_others_write_them(order: str) -> None:
    capture = read_capture(other_pcapng(order))
    assert capture.problem is None
    assert [packet.data for packet in capture.packets] == [b"abc", b"xy", b"si"]
    assert [packet.length for packet in capture.packets] == [9, 2, 4]
    assert [packet.time_ns for packet in capture.packets] == [5_000_001_000, 1000, 0]
    assert [packet.linktype for packet in capture.packets] == [1, 1, 1]


@pytest.mark.parametrize(
    ("resolution", "time_ns"), [(3, 5_000_001_000_000), (9, 5_000_001), (0x80 | 10, 4882813476562)]
)
def test_units_of_time(resolution: int, time_ns: int) -> None:
    options = struct.pack("=HHB3xHHqHH", 9, 1, resolution, 14, 8, 2, 0, 0)
    packet = read_capture(other_pcapng("=", options)).packets[0]
    assert packet.time_ns == time_ns + 2 * 10**9  # if_tsoffset


def test_sections_one_after_the_other() -> None:
    capture = read_capture(other_pcapng("<") + other_pcapng(">") + written(b"last"))
    assert capture.problem is None
    assert [packet.number for packet in capture.packets] == list(range(1, 8))
    assert capture.packets[-1].interface == "/dev/here"


@pytest.mark.parametrize("data", [written(*FRAMES), classic("<", 0xA1B2C3D4)])
def test_a_file_that_is_cut_off_is_read_as_far_as_it_is_whole(data: bytes) -> None:
    whole = read_capture(data).packets
    ends = {packet.offset for packet in whole} | {len(data)}
    for end in range(whole[0].offset, len(data) + 1):
        capture = read_capture(data[:end])
        assert capture.packets == tuple(
            packet
            for packet, stop in zip(whole, [p.offset for p in whole[1:]] + [len(data)], strict=True)
            if stop <= end
        )
        if end in ends:
            assert capture.problem is None
        else:
            last = max(packet.offset for packet in whole if packet.offset < end)
            assert f"at byte {last}" in str(capture.problem)


def test_gzip() -> None:
    data = written(*FRAMES)
    assert read_capture(gzip.compress(data)) == read_capture(data)
    two = gzip.compress(data) + gzip.compress(written(b"more"))
    assert read_capture(two).packets[-1].data == b"more"
    frames = [bytes([number % 256]) * 50 for number in range(20_000)]
    cut = read_capture(gzip.compress(written(*frames), compresslevel=0)[:500_000])
    assert 1000 < len(cut.packets) < 20_000
    assert "the gzip file ends too early; the " in str(cut.problem)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the file is empty"),
        (b"#!/bin/sh", "the file begins with 23 21 2f 62"),
        (classic("<", 0xA1B2C3D4)[:20], "ends within its header, at byte 20"),
        (gzip.compress(b"no"), "the file begins with 6e 6f"),
    ],
)
def test_what_is_no_capture(data: bytes, text: str) -> None:
    with pytest.raises(CaptureError, match=text):
        read_capture(data)


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (4, 13, "the block at byte 0 claims a length of 13 bytes"),
        (4, 4, "claims a length of 4 bytes"),
        (8, 0, "the section at byte 0 has no byte order"),
        (24, 12, "does not end with its length"),
    ],
)
def test_blocks_that_contradict_themselves(at: int, value: int, text: str) -> None:
    data = bytearray(other_pcapng("="))
    struct.pack_into("=I", data, at, value)
    capture = read_capture(bytes(data))
    assert capture.packets == ()
    assert text in str(capture.problem)


def test_a_packet_of_no_interface() -> None:
    data = written() + block("=", 6, struct.pack("=IIIII", 1, 0, 0, 0, 0))
    assert "is malformed" in str(read_capture(data).problem)


@given(st.sampled_from((written(*FRAMES), classic(">", 0xA1B23C4D))), st.data())
def test_whatever_the_bytes_are(data: bytes, draw: st.DataObject) -> None:
    """It reads, says what is wrong, or refuses; it never fails otherwise, nor makes bytes up."""
    broken = bytearray(data)
    for at, value in draw.draw(
        st.lists(st.tuples(st.integers(4, len(data) - 1), st.integers(0, 255)), max_size=8)
    ):
        broken[at] = value
    capture = read_capture(bytes(broken))
    assert sum(len(packet.data) for packet in capture.packets) <= len(data)
