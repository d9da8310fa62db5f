"""Decrementing the TTL or hop limit."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

from ovsdp_cuse.switch.edits import CannotApply
from ovsdp_cuse.switch.edits.ttl import decrement
from ovsdp_cuse.switch.key import IP_TTL
from tests.switch.board import packet_of

ETHER = Ether(dst="02:00:00:00:00:0b", src="02:00:00:00:00:0a")


def frame(link: Any, version: int, ttl: int) -> bytes:
    """A frame with a TTL or hop limit."""
    network = IP(src="1.2.3.4", dst="5.6.7.8", ttl=ttl) if version == 4 else IPv6(hlim=ttl)
    return bytes(link / network / UDP() / b"data")


@pytest.mark.parametrize("link", [ETHER, ETHER / Dot1Q(vlan=5)])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("ttl", [2, 64, 255])
def test_decrement(link: Any, version: int, ttl: int) -> None:
    """Frame, checksum and key follow."""
    packet = packet_of(frame(link, version, ttl))
    assert decrement(packet)
    assert packet.frame == frame(link, version, ttl - 1)
    assert IP_TTL.get(packet.key) == ttl - 1
    assert packet.key_valid


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("ttl", [0, 1])
def test_expiry(version: int, ttl: int) -> None:
    """Nothing is changed where the TTL ends."""
    packet = packet_of(frame(ETHER, version, ttl))
    assert not decrement(packet)
    assert packet.frame == frame(ETHER, version, ttl)


@pytest.mark.parametrize(
    "other", [bytes(ETHER / ARP()), frame(ETHER / Dot1AD(vlan=6) / Dot1Q(vlan=5), 4, 1)]
)
def test_what_is_not_ip(other: bytes) -> None:
    """Nothing happens; for Linux a packet with two tags is not IP."""
    packet = packet_of(other)
    assert decrement(packet)
    assert packet.frame == other


@pytest.mark.parametrize("version", [4, 6])
def test_cut_off_header(version: int) -> None:
    """ENOMEM of skb_ensure_writable()."""
    packet = packet_of(frame(ETHER, version, 9)[:30])
    with pytest.raises(CannotApply):
        decrement(packet)
