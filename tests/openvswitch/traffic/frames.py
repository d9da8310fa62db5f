"""The frames that tests send, from one host to another, as scapy makes them."""

from __future__ import annotations

from typing import Any, Final

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

from tests.openvswitch.traffic.hosts import Host

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
PAYLOAD: Final = bytes(range(64))
"""More than the shortest frame needs: nothing is padded."""


def ether(sender: Host, receiver: Host | str, **fields: Any) -> Any:
    """The Ethernet header; the receiver is a host or a MAC."""
    to = receiver if isinstance(receiver, str) else receiver.mac
    return Ether(src=sender.mac, dst=to, **fields)


def packet(sender: Host, receiver: Host, **fields: Any) -> Any:
    """Ethernet and IPv4 headers; fields: of the latter, such as ttl."""
    return ether(sender, receiver) / IP(src=sender.address, dst=receiver.address, **fields)


def udp(sender: Host, receiver: Host, sport: int = 1000, dport: int = 2000) -> Any:
    """A datagram with 64 bytes."""
    return packet(sender, receiver) / UDP(sport=sport, dport=dport) / PAYLOAD


def tcp(sender: Host, receiver: Host, sport: int = 1000, dport: int = 2000) -> Any:
    """A segment with 64 bytes."""
    return packet(sender, receiver) / TCP(sport=sport, dport=dport, flags="PA") / PAYLOAD


def echo(sender: Host, receiver: Host) -> Any:
    """An echo request with 64 bytes."""
    return packet(sender, receiver) / ICMP(type=8, id=1, seq=1) / PAYLOAD
