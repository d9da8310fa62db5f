"""Packets: who reads which memory, and what pushing and pulling leaves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsdp_cuse.switch.packet import (
    HEADROOM,
    NO_OFFLOAD,
    VIRTIO_NET_HDR_F_DATA_VALID,
    VIRTIO_NET_HDR_F_NEEDS_CSUM,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VNET_HEADER,
    VNET_HEADER_SIZE,
    Offload,
    Packet,
)

FRAME = bytes(range(60))
PARTIAL = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 1448, 34, 16)


def received(frame: bytes, offload: Offload, before: int = VNET_HEADER_SIZE) -> Packet:
    """A packet as a port makes it: in a buffer of the port's, with other things around it."""
    buffer = bytearray(b"\xaa" * (before + len(frame) + 40))
    VNET_HEADER.pack_into(buffer, before - VNET_HEADER_SIZE, *offload)
    buffer[before : before + len(frame)] = frame
    return Packet(buffer, before, before + len(frame))


def test_of() -> None:
    packet = Packet.of(FRAME, PARTIAL)
    assert (packet.frame, packet.offload, len(packet), packet.owned) == (FRAME, PARTIAL, 60, True)
    assert not Packet.of(FRAME).has_offload
    assert Packet.of(FRAME).offload == Offload(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("flags", "gso_type", "has_offload"),
    [
        (0, 0, False),
        (VIRTIO_NET_HDR_F_DATA_VALID, 0, False),
        (VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, True),
        (0, VIRTIO_NET_HDR_GSO_TCPV4, True),
        (VIRTIO_NET_HDR_F_DATA_VALID, VIRTIO_NET_HDR_GSO_TCPV4, True),
    ],
)
def test_has_offload(flags: int, gso_type: int, has_offload: bool) -> None:
    assert Packet.of(FRAME, Offload(flags, gso_type, 1, 1, 1, 1)).has_offload == has_offload


def test_a_ports_buffer_is_not_written() -> None:
    packet = received(FRAME, PARTIAL)
    before = bytes(packet.buffer)
    buffer = packet.buffer
    packet.make_writable()
    packet.buffer[packet.start] ^= 0xFF
    assert packet.owned
    assert packet.buffer is not buffer
    assert bytes(buffer) == before
    assert packet.offload == PARTIAL


def test_an_owned_buffer_is_not_copied() -> None:
    packet = Packet.of(FRAME)
    buffer = packet.buffer
    packet.make_writable()
    packet.push(12, b"\x81\x00\x00\x01")
    packet.pull(12, 4)
    assert packet.buffer is buffer
    assert packet.frame == FRAME


def test_a_clone_reads_the_same_memory_until_one_writes() -> None:
    packet = Packet.of(FRAME, PARTIAL)
    packet.key, packet.network, packet.transport = 5, 14, 34
    packet.priority, packet.mark, packet.hash, packet.mru = 1, 2, 3, 4
    packet.key_valid, packet.link, packet.cut = False, (0x800, True), 60
    clone = packet.clone()
    assert clone.buffer is packet.buffer
    assert not clone.owned
    assert not packet.owned
    fresh = Packet(packet.buffer, 0, 0)
    for name in Packet.__slots__:
        assert getattr(clone, name) == getattr(packet, name)
        assert name in ("buffer", "owned") or getattr(clone, name) != getattr(fresh, name), name
    packet.make_writable()
    packet.buffer[packet.start] = 0xEE
    assert clone.frame == FRAME


def test_pushing_more_than_the_room_before_the_frame_moves_it() -> None:
    packet = Packet.of(FRAME, PARTIAL)
    for _ in range(HEADROOM // 4):
        packet.push(0, b"head")
    assert packet.frame == b"head" * (HEADROOM // 4) + FRAME
    packet.push(0, bytes(500))
    assert packet.frame[:504] == bytes(500) + b"head"
    assert packet.offload.csum_start == PARTIAL.csum_start + HEADROOM + 500


@pytest.mark.parametrize(
    ("offset", "size", "csum_start"),
    [(0, 4, 38), (12, 4, 38), (34, 4, 38), (35, 4, 34)],
)
def test_push_moves_what_the_offload_says(offset: int, size: int, csum_start: int) -> None:
    packet = Packet.of(FRAME, PARTIAL)
    packet.push(offset, bytes(size))
    assert packet.frame == FRAME[:offset] + bytes(size) + FRAME[offset:]
    assert packet.offload == PARTIAL._replace(csum_start=csum_start, header_length=58)


def test_pull_moves_what_the_offload_says() -> None:
    packet = Packet.of(FRAME, PARTIAL)
    packet.pull(12, 4)
    assert packet.frame == FRAME[:12] + FRAME[16:]
    assert packet.offload == PARTIAL._replace(csum_start=30, header_length=50)


@pytest.mark.parametrize("value", [0, 3, 65535])
def test_an_offload_that_lies_does_not_leave_its_fields(value: int) -> None:
    lie = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, value, 1, value, value)
    packet = Packet.of(FRAME, lie)
    packet.pull(0, 14)
    assert packet.offload.csum_start == max(value - 14, 0)
    packet = Packet.of(FRAME, lie)
    packet.push(0, bytes(14))
    assert packet.offload.header_length == min(value + 14, 65535)


@dataclass
class Model:
    """A packet, and what is to be in it."""

    packet: Packet
    frame: bytes
    offload: Offload

    def push(self, offset: int, header: bytes) -> None:
        self.packet.push(offset, header)
        self.frame = self.frame[:offset] + header + self.frame[offset:]
        self._move(offset, len(header))

    def pull(self, offset: int, size: int) -> None:
        self.packet.pull(offset, size)
        self.frame = self.frame[:offset] + self.frame[offset + size :]
        self._move(offset, -size)

    def write(self, offset: int, value: int) -> None:
        self.packet.make_writable()
        self.packet.buffer[self.packet.start + offset] = value
        self.frame = self.frame[:offset] + bytes([value]) + self.frame[offset + 1 :]

    def clone(self) -> Model:
        return Model(self.packet.clone(), self.frame, self.offload)

    def _move(self, offset: int, grown: int) -> None:
        if self.packet.has_offload:
            if self.offload.csum_start >= offset:
                moved = max(self.offload.csum_start + grown, 0)
                self.offload = self.offload._replace(csum_start=moved)
            length = max(self.offload.header_length + grown, 0)
            self.offload = self.offload._replace(header_length=length)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["push", "pull", "write", "clone"]),
        st.integers(0, 7),
        st.integers(0, 100),
        st.binary(min_size=1, max_size=40),
    ),
    max_size=20,
)


@settings(max_examples=200)
@given(
    steps=STEPS,
    offload=st.sampled_from([PARTIAL, Offload._make(VNET_HEADER.unpack(NO_OFFLOAD))]),
    before=st.sampled_from([VNET_HEADER_SIZE, 14, 64]),
    kind=st.sampled_from([bytearray, memoryview, None]),
)
def test_packets_do_not_see_what_others_do(
    steps: list[tuple[str, int, int, bytes]],
    offload: Offload,
    before: int,
    kind: type[bytearray] | type[memoryview] | None,
) -> None:
    """Whatever is done to some of the packets that share memory, each holds what it is to hold."""
    packet = Packet.of(FRAME, offload) if kind is None else received(FRAME, offload, before)
    whole = None if kind is None else bytes(packet.buffer)
    buffer = packet.buffer
    if kind is memoryview:
        packet.buffer = memoryview(packet.buffer)
    models = [Model(packet, FRAME, offload)]
    for step, which, at, data in steps:
        model = models[which % len(models)]
        offset = at % (len(model.frame) + 1)
        if step == "clone":
            models.append(model.clone())
        elif step == "push":
            model.push(offset, data)
        elif step == "pull":
            model.pull(offset, min(len(data), len(model.frame) - offset))
        elif offset < len(model.frame):
            model.write(offset, data[0])
        for other in models:
            assert other.packet.frame == other.frame
            assert other.packet.offload == other.offload
    if whole is not None:
        assert bytes(buffer) == whole
