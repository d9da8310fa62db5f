"""Sets on frames whose checksum is left to the sender (VIRTIO_NET_HDR_F_NEEDS_CSUM).

The field holds the sum of the pseudo-header then, so addresses change it and ports do not. What the
sender would make of it in the end is the same as if the checksum had been there from the start.
"""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from ovsdp_cuse.switch.actions import Action, Layer, PopVlan, PushVlan, Set
from ovsdp_cuse.switch.key import IPV4_DST, IPV4_SRC, IPV6_DST, IPV6_SRC, TP_DST, TP_SRC
from ovsdp_cuse.switch.offload import complete_checksum
from ovsdp_cuse.switch.packet import VIRTIO_NET_HDR_F_NEEDS_CSUM, Offload, Packet
from tests.switch.board import edited, packet_of

ETHER = Ether(dst="02:00:00:00:00:0b", src="02:00:00:00:00:0a")
NETWORKS: dict[str, Any] = {
    "ipv4": IP(src="192.0.2.1", dst="198.51.100.2"),
    "ipv6": IPv6(src="2001:db8::1", dst="2001:db8:1::2"),
}
TRANSPORTS: dict[str, Any] = {"tcp": TCP(sport=1, dport=2), "udp": UDP(sport=1, dport=2)}
LAYERS = {"ipv4": Layer.IPV4, "ipv6": Layer.IPV6, "tcp": Layer.TCP, "udp": Layer.UDP}
PLACES = {"tcp": 16, "udp": 6}

V4_SOURCE, V6_SOURCE = b"\x09\x08\x07\x06", bytes(range(16))
ADDRESSES: dict[str, Action] = {
    "ipv4": Set(
        Layer.IPV4,
        IPV4_SRC.place(V4_SOURCE) | IPV4_DST.place(b"\xff\x00\xff\x01"),
        IPV4_SRC.ones | IPV4_DST.ones,
    ),
    "ipv6": Set(
        Layer.IPV6,
        IPV6_SRC.place(V6_SOURCE) | IPV6_DST.place(V6_SOURCE[::-1]),
        IPV6_SRC.ones | IPV6_DST.ones,
    ),
}


def half_done(complete: bytes, place: int) -> Packet:
    """A frame as a sender hands it down: with the sum of its pseudo-header."""
    whole = packet_of(complete)
    transport = whole.transport
    packet = packet_of(complete, Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, transport, place))
    packet.make_writable()
    at = packet.start + transport + place
    # The right checksum is what the sum of all is to be completed to: take off what is not the
    # pseudo-header's, by summing the header and data as they are.
    covered = bytearray(complete[transport:])
    covered[place : place + 2] = bytes(2)
    check = int.from_bytes(complete[transport + place :][:2], "big")
    total = int.from_bytes(covered + bytes(len(covered) % 2), "big")
    pseudo = (-check - total) % 0xFFFF
    packet.buffer[at : at + 2] = pseudo.to_bytes(2, "big")
    packet.owned = False
    return packet


def field(packet: Packet, place: int) -> bytes:
    """The checksum's field."""
    return packet.frame[packet.transport + place :][:2]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("tags", [0, 1])
@pytest.mark.parametrize("size", [0, 7, 100])
def test_the_sender_ends_with_the_right_checksum(
    network: str, transport: str, tags: int, size: int
) -> None:
    """Addresses, ports and tags changed before and after the checksum was completed: the same."""
    payload = bytes(range(size))
    link: Any = ETHER / Dot1Q(vlan=5) if tags else ETHER
    complete = bytes(link / NETWORKS[network] / TRANSPORTS[transport] / payload)
    place = PLACES[transport]
    actions = (
        ADDRESSES[network],
        PopVlan() if tags else PushVlan(0x8100, 0x1007),
        Set(LAYERS[transport], TP_SRC.place(999), TP_SRC.ones),
    )
    late = edited(half_done(complete, place), *actions)
    complete_checksum(late)
    early = edited(packet_of(complete), *actions)
    assert late.frame == early.frame


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ports_are_not_in_the_pseudo_header(transport: str) -> None:
    """The field stays as it is, and the ports change."""
    complete = bytes(ETHER / NETWORKS["ipv4"] / TRANSPORTS[transport] / b"data")
    packet = half_done(complete, PLACES[transport])
    before = field(packet, PLACES[transport])
    edited(packet, Set(LAYERS[transport], TP_DST.place(999), TP_DST.ones))
    assert field(packet, PLACES[transport]) == before
    assert TP_DST.get(packet.key) == 999
    assert packet.frame[packet.transport + 2 :][:2] == (999).to_bytes(2, "big")


def test_udp_field_of_zero_counts() -> None:
    """A sum of 0 is a sum here, not the absence of a checksum."""
    complete = bytes(ETHER / NETWORKS["ipv4"] / TRANSPORTS["udp"] / b"data")
    packet = half_done(complete, 6)
    packet.make_writable()
    at = packet.start + packet.transport + 6
    packet.buffer[at : at + 2] = bytes(2)
    edited(packet, ADDRESSES["ipv4"])
    assert field(packet, 6) != bytes(2)
