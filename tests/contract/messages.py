"""Messages as bytes, made and read by hand: <linux/netlink.h>, <linux/genetlink.h>."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

NLCTRL, CONTROL, DATAPATH = 0x10, 0x11, 0x12
VERSIONS = {NLCTRL: 2, CONTROL: 1, DATAPATH: 2}

NOOP, ERROR, DONE = 1, 2, 3
REQUEST, MULTI, ACK, ECHO, DUMP_INTR = 0x1, 0x2, 0x4, 0x8, 0x10
ROOT, MATCH, DUMP = 0x100, 0x200, 0x300
CAPPED, ACK_TLVS = 0x100, 0x200

MSG, OFFS = 1, 2
"""NLMSGERR_ATTR_MSG and _OFFS."""


def u8(value: int) -> bytes:
    """A __u8."""
    return struct.pack("=B", value)


def u16(value: int) -> bytes:
    """A __u16."""
    return struct.pack("=H", value)


def u32(*values: int) -> bytes:
    """One __u32, or an array."""
    return struct.pack(f"={len(values)}I", *values)


def text(value: str) -> bytes:
    """A string with its NUL."""
    return value.encode() + b"\0"


def attribute(number: int, payload: bytes) -> bytes:
    """An attribute with its padding."""
    return struct.pack("=HH", len(payload) + 4, number) + payload + bytes(-len(payload) & 3)


def build(
    family: int,
    command: int,
    *attributes: bytes,
    flags: int = REQUEST,
    sequence: int = 1,
    pid: int = 0,
    version: int | None = None,
    dp_ifindex: int = 0,
    length: int | None = None,
) -> bytes:
    """A request; `version` and `length` are the right ones unless given."""
    genl = struct.pack("=BBH", command, VERSIONS.get(family, 1) if version is None else version, 0)
    header = b"" if family == NLCTRL else struct.pack("=i", dp_ifindex)
    payload = genl + header + b"".join(attributes)
    length = 16 + len(payload) if length is None else length
    return struct.pack("=IHHII", length, family, flags, sequence, pid) + payload


def split_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, payload) of each attribute, which must fill `data`."""
    while data:
        length, number = struct.unpack_from("=HH", data)
        assert 4 <= length <= len(data), f"an attribute of {length} bytes in {len(data)}"
        yield number, data[4:length]
        data = data[(length + 3) & ~3 :]


@dataclass(frozen=True)
class Reply:
    """One message from the daemon.

    attributes: of a family's message, or the extended acknowledgement of an ERROR or DONE. errno:
    of those two, positive. request: the header (16 bytes) or the whole of what an ERROR answers.
    """

    type: int
    flags: int
    sequence: int
    pid: int
    raw: bytes
    attributes: dict[int, bytes]
    command: int = 0
    version: int = 0
    dp_ifindex: int = 0
    errno: int = 0
    request: bytes = b""

    @property
    def message(self) -> str:
        """The text of an extended acknowledgement."""
        payload = self.attributes[MSG]
        assert payload.endswith(b"\0")
        return payload[:-1].decode()

    @property
    def offset(self) -> int | None:
        """The offset in an extended acknowledgement; None where there is none."""
        payload = self.attributes.get(OFFS)
        return None if payload is None else int(struct.unpack("=I", payload)[0])

    def string(self, number: int) -> str:
        """A string attribute."""
        return self.attributes[number].split(b"\0")[0].decode()

    def number(self, number: int) -> int:
        """An unsigned attribute of any size."""
        return int.from_bytes(self.attributes[number], "little")


def parse(raw: bytes) -> Reply:
    """One message, which must be whole and nothing else."""
    length, type_, flags, sequence, pid = struct.unpack_from("=IHHII", raw)
    assert length == len(raw), f"nlmsg_len {length}, there are {len(raw)} bytes"
    common = (type_, flags, sequence, pid, raw)
    if type_ in (ERROR, DONE):
        errno = -struct.unpack_from("=i", raw, 16)[0]
        rest, request = raw[20:], b""
        if type_ == ERROR:
            whole = errno and not flags & CAPPED
            size = struct.unpack_from("=I", rest)[0] if whole else 16
            request, rest = rest[:size], rest[(size + 3) & ~3 :]
        assert bool(rest) == bool(flags & ACK_TLVS)
        return Reply(*common, dict(split_attributes(rest)), errno=errno, request=request)
    command, version, _ = struct.unpack_from("=BBH", raw, 16)
    start, dp_ifindex = 20, 0
    if type_ != NLCTRL:
        start, dp_ifindex = 24, struct.unpack_from("=i", raw, 20)[0]
    attributes = dict(split_attributes(raw[start:]))
    return Reply(*common, attributes, command, version, dp_ifindex)


def parse_all(datagram: bytes) -> list[Reply]:
    """The messages of one datagram; each must be whole."""
    replies = []
    while datagram:
        (length,) = struct.unpack_from("=I", datagram)
        assert 16 <= length <= len(datagram), f"nlmsg_len {length} in {len(datagram)} bytes"
        replies.append(parse(datagram[:length]))
        datagram = datagram[(length + 3) & ~3 :]
    return replies
