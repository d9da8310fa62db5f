"""What every kind of port must do, so that a switch need not know which one it has."""

from __future__ import annotations

from errno import EAFNOSUPPORT, ENODEV

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, Port, PortSpec
from tests.ports.frames import SERVICE_TAG, TAG, numbered, tagged, tcp
from tests.ports.rigs import Frame, Receptions, Rig

MANY = 200
"""More than a batch."""
LARGEST = 65_535

TAGGED = pytest.mark.parametrize(
    "tags", [(), (TAG,), (SERVICE_TAG, TAG)], ids=["untagged", "tagged", "tagged twice"]
)


def same_work(sent: Frame, got: Frame) -> bool:
    """Whether a frame came through as it was; the length of headers is only a hint."""
    return sent.frame == got.frame and sent.offload._replace(
        header_length=0
    ) == got.offload._replace(header_length=0)


def transmit(port: Port, *frames: Frame) -> None:
    """Send frames as a switch does."""
    queued = [port.transmit(Packet.of(*frame)) for frame in frames]
    if any(queued):
        port.flush()


async def test_frames_are_sent_whole_and_in_order(rig: Rig) -> None:
    port = rig.open("port")
    end = rig.end(port)
    frames = [Frame(numbered(number, 60 + number)) for number in range(MANY)]
    transmit(port, *frames)
    for frame in frames:
        assert await end.receive() == frame


async def test_frames_are_received_whole_and_in_order(rig: Rig) -> None:
    port = rig.open("port")
    end, got = rig.end(port), Receptions(port)
    frames = [Frame(numbered(number, 60 + number)) for number in range(MANY)]
    async with rig.running():
        for frame in frames:
            end.send(*frame)
        assert await got.wait(MANY) == frames
    assert got.batches[-1] == MANY


@TAGGED
async def test_tags_are_in_the_frame_both_ways(rig: Rig, tags: tuple[bytes, ...]) -> None:
    port = rig.open("port")
    end, got = rig.end(port), Receptions(port)
    frame = Frame(tagged(numbered(1), *tags))
    async with rig.running():
        end.send(*frame)
        assert await got.wait(1) == [frame]
    transmit(port, frame)
    assert await end.receive() == frame


@pytest.mark.parametrize(
    ("payload_size", "segment_size"),
    [(100, 0), (1400, 0), (2000, 1000), (60_000, 1448)],
    ids=["small", "large", "two segments", "many segments"],
)
@pytest.mark.parametrize("tags", [(), (TAG,)], ids=["untagged", "tagged"])
async def test_what_is_still_to_be_done_is_told_both_ways(
    rig: Rig, tags: tuple[bytes, ...], payload_size: int, segment_size: int
) -> None:
    port = rig.open("port")
    end, got = rig.end(port), Receptions(port)
    frame = tcp(payload_size, segment_size, *tags)
    async with rig.running():
        end.send(*frame)
        (received,) = await got.wait(1)
    assert same_work(frame, received)
    transmit(port, frame)
    assert same_work(frame, await end.receive())


async def test_what_is_received_may_be_sent_on(rig: Rig) -> None:
    one, other = rig.open("one"), rig.open("other")
    ends, got = (rig.end(one), rig.end(other)), Receptions(one)
    queued: list[bool] = []
    got.each = lambda packet: queued.append(other.transmit(packet))
    received = one.received

    def flush() -> None:
        received()
        other.flush()

    one.received = flush
    frames = [tcp(60_000, 1448, TAG), *(Frame(numbered(number)) for number in range(MANY))]
    async with rig.running():
        for frame in frames:
            ends[0].send(*frame)
        for frame in frames:
            assert same_work(frame, await ends[1].receive())


async def test_packets_of_a_batch_do_not_share_what_may_be_written(rig: Rig) -> None:
    port = rig.open("port")
    end, got = rig.end(port), Receptions(port)
    packets: list[tuple[Packet, bytes]] = []

    def push(packet: Packet) -> None:
        before = packet.frame
        packet.push(12, TAG * 3)
        packet.push(0, bytes(300))
        packets.append((packet, bytes(300) + tagged(before, TAG, TAG, TAG)))
        assert all(packet.frame == expected for packet, expected in packets)

    def forget() -> None:
        packets.clear()
        received()

    got.each = push
    received, port.received = port.received, forget
    frames = [Frame(numbered(number)) for number in range(MANY)]
    async with rig.running():
        for frame in frames:
            end.send(*frame)
        assert await got.wait(MANY) == frames


async def test_what_was_sent_may_be_written_after_the_flush(rig: Rig) -> None:
    port = rig.open("port")
    end = rig.end(port)
    packet = Packet.of(numbered(1))
    if port.transmit(packet):
        assert not packet.owned
        port.flush()
    packet.buffer[packet.start : packet.end] = bytes(len(packet))
    assert await end.receive() == Frame(numbered(1))


async def test_it_counts_packets_and_bytes(rig: Rig) -> None:
    port = rig.open("port")
    end, got = rig.end(port), Receptions(port)
    before = port.stats
    seen = (before.rx_packets, before.rx_bytes, before.tx_packets, before.tx_bytes)
    async with rig.running():
        for number in range(3):
            end.send(numbered(number))
        await got.wait(3)
    for number in range(2):
        transmit(port, Frame(numbered(number)))
        await end.receive()
    after = port.stats
    came, went = (3, 180), (2, 120)
    if rig.kind == PORT_TYPE_INTERNAL and rig.counts_as_the_host:
        # As the kernel's internal devices: what goes to the host it has received, and counts
        # without the Ethernet header.
        came, went = (2, 120 - 2 * 14), (3, 180)
    assert (after.rx_packets - seen[0], after.rx_bytes - seen[1]) == came
    assert (after.tx_packets - seen[2], after.tx_bytes - seen[3]) == went
    assert (after.rx_errors, after.tx_errors, after.rx_dropped, after.tx_dropped) == (0, 0, 0, 0)


async def test_a_new_mtu_is_told(rig: Rig) -> None:
    port = rig.open("port")
    assert port.mtu == 1500
    async with rig.running() as events:
        rig.change(port, mtu=1400)
        await events.wait("changed", "port 1400")
    assert port.mtu == 1400
    assert rig.ports.interface("port").mtu == 1400


async def test_a_new_name_is_told(rig: Rig) -> None:
    port = rig.open("port")
    ifindex = port.ifindex
    rig.end(port)
    async with rig.running() as events:
        rig.change(port, name="other")
        await events.wait("renamed", "port other")
    assert port.name == "other"
    assert rig.ports.interface("other").ifindex == port.ifindex == ifindex


async def test_an_interface_that_goes_takes_its_port_along(rig: Rig) -> None:
    port, other = rig.open("port"), rig.open("other")
    end, got = rig.end(other), Receptions(other)
    async with rig.running() as events:
        rig.remove(port)
        await events.wait("vanished", "port")
        port.close()
        end.send(numbered(1))  # and the others go on
        assert await got.wait(1) == [Frame(numbered(1))]
    with pytest.raises(DatapathError) as caught:
        rig.ports.interface("port")
    assert caught.value.errno == ENODEV


async def test_a_port_can_be_opened_again(rig: Rig) -> None:
    rig.prepare("port")
    spec = PortSpec(rig.kind, "port")
    async with rig.running():
        for number in range(3):
            port = rig.ports.open(spec)
            end, got = rig.end(port), Receptions(port)
            end.send(numbered(number))
            assert await got.wait(1) == [Frame(numbered(number))]
            port.close()
            port.close()


def test_interfaces_are_promiscuous_while_they_are_ports(rig: Rig) -> None:
    port = rig.open("port")
    assert rig.ports.interface("port").is_promiscuous
    assert rig.ports.interface("port").ifindex == port.ifindex
    assert len(rig.ports.interface("port").mac) == 6


def test_types_that_there_are(rig: Rig) -> None:
    assert rig.ports.has_type(rig.kind)
    assert not rig.ports.has_type(200)
    with pytest.raises(DatapathError) as caught:
        rig.ports.open(PortSpec(200, "port"))
    assert caught.value.errno == EAFNOSUPPORT


async def test_frames_as_long_as_they_can_be(rig: Rig) -> None:
    """A port's interface with the largest MTU has frames of up to 65,535 bytes, headers and all."""
    port = rig.open("port")
    end, got = rig.end(port), Receptions(port)
    frame = tcp(LARGEST - 54, 1448)
    assert len(frame.frame) == LARGEST
    async with rig.running():
        end.send(*frame)
        (received,) = await got.wait(1)
    assert same_work(frame, received)
