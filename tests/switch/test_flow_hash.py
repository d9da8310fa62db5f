"""Hashes of flows: the same for all packets of a flow and in every process, spread over 32 bits."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from ovsdp_cuse.switch.flow_hash import (
    HASH_L4_BIT,
    HASH_SW_BIT,
    dp_hash,
    flow_hash,
    symmetric_hash,
)
from ovsdp_cuse.switch.key import (
    ETH_TYPE,
    IP_PROTO,
    IPV4_DST,
    IPV4_SRC,
    IPV6_SRC,
    TP_DST,
    TP_SRC,
)
from ovsdp_cuse.switch.packet import Packet
from tests.switch.board import packet_of

V4 = IP(src="192.0.2.1", dst="198.51.100.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")


def of(layers: Any, vlan: bool = False) -> Packet:
    """A packet with these layers behind Ethernet."""
    return packet_of(bytes(Ether() / Dot1Q() / layers if vlan else Ether() / layers))


def with_key(key: int) -> Packet:
    """A packet of which only the key is of interest."""
    packet = Packet(bytearray(), 0, 0)
    packet.key = key
    return packet


def test_packets_of_a_flow_have_one_hash() -> None:
    """Flags, TTL and payload do not matter."""
    one = of(V4 / TCP(sport=1, dport=2, flags="S"))
    other = of(IP(src="192.0.2.1", dst="198.51.100.2", ttl=3, tos=9) / TCP(sport=1, dport=2) / b"x")
    assert flow_hash(one) == flow_hash(other)
    assert symmetric_hash(one) == symmetric_hash(other)


@pytest.mark.parametrize(
    "other",
    [
        V4 / UDP(sport=1, dport=2),
        V4 / TCP(sport=3, dport=2),
        V4 / TCP(sport=1, dport=3),
        V4 / TCP(sport=2, dport=1),
        IP(src="192.0.2.3", dst="198.51.100.2") / TCP(sport=1, dport=2),
        IP(src="192.0.2.1", dst="198.51.100.3") / TCP(sport=1, dport=2),
        V6 / TCP(sport=1, dport=2),
        ARP(),
    ],
)
def test_flows_have_different_hashes(other: Any) -> None:
    """Each field counts."""
    assert flow_hash(of(V4 / TCP(sport=1, dport=2))) != flow_hash(of(other))


def test_fragments_have_the_hash_of_their_packet() -> None:
    """The first has ports, the others have none."""
    first = of(IP(src="1.2.3.4", dst="5.6.7.8", flags="MF") / UDP(sport=1, dport=2) / bytes(8))
    later = of(IP(src="1.2.3.4", dst="5.6.7.8", frag=2, proto=17) / bytes(8))
    assert flow_hash(first) == flow_hash(later)
    assert symmetric_hash(first) == symmetric_hash(later)


@pytest.mark.parametrize("network", [(IP, "192.0.2.1", "192.0.2.9"), (IPv6, "::1", "::2")])
@pytest.mark.parametrize("transport", [TCP, UDP])
def test_symmetric(network: Any, transport: Any) -> None:
    """Both directions have the same hash, another than other ends have."""
    kind, a, b = network
    there = symmetric_hash(of(kind(src=a, dst=b) / transport(sport=1, dport=2)))
    back = symmetric_hash(of(kind(src=b, dst=a) / transport(sport=2, dport=1)))
    crossed = symmetric_hash(of(kind(src=b, dst=a) / transport(sport=1, dport=2)))
    assert there == back != crossed


def test_the_hash_is_kept() -> None:
    """Until an action forgets it."""
    packet = of(V4 / TCP())
    packet.hash = HASH_SW_BIT | 7
    assert flow_hash(packet) == 7
    assert packet.clone().hash == HASH_SW_BIT | 7


@pytest.mark.parametrize("known", [None, 0, 7])
def test_a_hash_that_does_not_say_how_it_was_made_is_made_anew(known: int | None) -> None:
    packet, other = of(V4 / TCP()), of(V4 / TCP())
    packet.hash = known
    assert flow_hash(packet) == flow_hash(other) != 7
    assert packet.hash == other.hash == flow_hash(other) | HASH_SW_BIT | HASH_L4_BIT


def labelled(label: int) -> Any:
    return IPv6(src="2001:db8::1", dst="2001:db8::2", fl=label)


def test_a_flow_label_stands_for_the_ports() -> None:
    one, other = of(labelled(5) / TCP(sport=1)), of(labelled(5) / TCP(sport=2))
    assert flow_hash(one) == flow_hash(other) != flow_hash(of(labelled(6) / TCP(sport=1)))


def test_the_bits_tell_of_what_the_hash_is() -> None:
    for frame, bits in (
        (V4 / TCP(), 3),
        (V4 / Raw(b"x"), 1),
        (IP(flags="MF") / UDP(), 1),
        (V4 / ICMP(), 1),
        (V6 / ICMPv6EchoRequest(), 1),
        (labelled(5) / Raw(b"x"), 3),
    ):
        packet = of(frame)
        flow_hash(packet)
        assert packet.hash is not None
        assert packet.hash >> 32 == bits


@given(
    st.binary(min_size=4, max_size=4), st.integers(0, 0xFFFF), st.binary(min_size=16, max_size=16)
)
def test_range(address: bytes, port: int, long_address: bytes) -> None:
    """32 bits, never 0: so is what the action hash makes of it."""
    packet = with_key(IPV4_SRC.place(address) | TP_SRC.place(port) | IPV6_SRC.place(long_address))
    for number in (flow_hash(packet), symmetric_hash(packet), dp_hash(flow_hash(packet), port)):
        assert 0 < number <= 0xFFFFFFFF
    assert flow_hash(with_key(0)) == 1


@pytest.mark.parametrize("count", [2, 3, 8, 64])
@pytest.mark.parametrize("compute", [flow_hash, symmetric_hash])
def test_distribution(count: int, compute: Any) -> None:
    """Flows that differ in a port or in the end of an address are spread over PIDs evenly."""
    base = ETH_TYPE.place(0x0800) | IP_PROTO.place(6)
    ports = [base | TP_SRC.place(n) | TP_DST.place(80) for n in range(4096)]
    addresses = [
        base | IPV4_SRC.place(bytes((10, 0, n >> 8, n & 255))) | IPV4_DST.place(bytes(4))
        for n in range(4096)
    ]
    for keys in (ports, addresses):
        places = Counter(compute(with_key(key)) % count for key in keys)
        assert len(places) == count
        assert max(places.values()) < 1.5 * 4096 / count


def test_other_processes_have_the_same_hashes() -> None:
    """Python's hash of strings and bytes is seeded, so it may not be in it."""
    script = (
        "from ovsdp_cuse.switch.flow_hash import *; from ovsdp_cuse.switch.packet import Packet\n"
        "p = Packet(bytearray(), 0, 0); p.key = 3 << 700 | 5 << 250 | 7\n"
        "print(flow_hash(p), symmetric_hash(p))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    packet = with_key(3 << 700 | 5 << 250 | 7)
    assert told == {f"{flow_hash(packet)} {symmetric_hash(packet)}\n".encode()}


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_dp_hash(word: int, basis: int) -> None:
    """It is lookup3's hashword() of one word."""
    assert dp_hash(word, basis) == (lookup3(word, basis) or 1)


def lookup3(word: int, basis: int) -> int:
    """The same written out: final() of lookup3.c."""

    def rotated(number: int, by: int) -> int:
        return number << by & 0xFFFFFFFF | number >> 32 - by

    a = b = c = 0xDEADBEEF + 4 + basis & 0xFFFFFFFF
    a = a + word & 0xFFFFFFFF
    c = (c ^ b) - rotated(b, 14) & 0xFFFFFFFF
    a = (a ^ c) - rotated(c, 11) & 0xFFFFFFFF
    b = (b ^ a) - rotated(a, 25) & 0xFFFFFFFF
    c = (c ^ b) - rotated(b, 16) & 0xFFFFFFFF
    a = (a ^ c) - rotated(c, 4) & 0xFFFFFFFF
    b = (b ^ a) - rotated(a, 14) & 0xFFFFFFFF
    return (c ^ b) - rotated(b, 24) & 0xFFFFFFFF
