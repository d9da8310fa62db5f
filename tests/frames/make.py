"""Builds the golden frames: python -m tests.frames.make"""

from __future__ import annotations

import json
from typing import Any

from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData

from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import MAC_PROTO, MAC_PROTO_ETHERNET, format_key
from ovsdp_cuse.switch.packet import Packet
from tests.frames import FILE

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ETHER = Ether(dst=B, src=A)
V4 = IP(src="192.0.2.1", dst="198.51.100.2", id=7, tos=0x2E, ttl=61)
V6 = IPv6(src="2001:db8::1", dst="2001:db8:1::2", tc=0xB8, fl=0x12345, hlim=63)
TCP_ = TCP(sport=40000, dport=443, seq=1, ack=2, flags="PA")
UDP_ = UDP(sport=5353, dport=53)
PAYLOAD = bytes(range(32))

FRAMES: dict[str, Any] = {
    "ipv4 tcp": ETHER / V4 / TCP_ / PAYLOAD,
    "ipv4 tcp with options": ETHER / V4 / TCP(sport=1, dport=2, options=[("MSS", 1460)]),
    "ipv4 tcp with all flags": ETHER / V4 / TCP(sport=1, dport=2, flags=0x1FF, reserved=7),
    "ipv4 udp": ETHER / V4 / UDP_ / PAYLOAD,
    "ipv4 udp without payload": ETHER / V4 / UDP_,
    "ipv4 sctp": ETHER / V4 / SCTP(sport=2905, dport=2906) / SCTPChunkData(data=b"data"),
    "ipv4 icmp": ETHER / V4 / ICMP(type=8, code=0) / PAYLOAD,
    "ipv4 unknown protocol": ETHER / IP(src="192.0.2.1", dst="192.0.2.2", proto=89) / PAYLOAD,
    "ipv4 options tcp": ETHER / IP(src="192.0.2.1", dst="192.0.2.2", options=b"\x01" * 8) / TCP_,
    "ipv4 first fragment": ETHER
    / IP(src="192.0.2.1", dst="192.0.2.2", flags="MF")
    / UDP_
    / PAYLOAD,
    "ipv4 later fragment": ETHER
    / IP(src="192.0.2.1", dst="192.0.2.2", flags="MF", frag=3, proto=6)
    / PAYLOAD,
    "vlan": ETHER / Dot1Q(vlan=100, prio=5) / V4 / TCP_,
    "priority tag": ETHER / Dot1Q(vlan=0, prio=7) / V4 / UDP_,
    "vlan in vlan": ETHER / Dot1AD(vlan=200, prio=1) / Dot1Q(vlan=100) / V4 / TCP_,
    "three tags": ETHER / Dot1AD(vlan=200) / Dot1Q(vlan=100) / Dot1Q(vlan=5) / V4 / TCP_,
    "arp request": ETHER / ARP(op=1, hwsrc=A, psrc="192.0.2.1", pdst="192.0.2.2"),
    "arp reply": ETHER / ARP(op=2, hwsrc=A, psrc="192.0.2.1", hwdst=B, pdst="192.0.2.2"),
    "rarp": Ether(dst=B, src=A, type=0x8035)
    / ARP(op=3, hwsrc=A, psrc="0.0.0.0", hwdst=A, pdst="0.0.0.0"),
    "llc": Dot3(dst="01:80:c2:00:00:00", src=A) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / PAYLOAD,
    "snap": Dot3(dst=B, src=A) / LLC() / SNAP(OUI=0, code=0x0800) / V4 / UDP_,
    "snap of another organization": Dot3(dst=B, src=A)
    / LLC()
    / SNAP(OUI=12, code=0x2000)
    / PAYLOAD,
    "ipv6 tcp": ETHER / V6 / TCP_ / PAYLOAD,
    "ipv6 udp": ETHER / V6 / UDP_,
    "ipv6 sctp": ETHER / V6 / SCTP(sport=1, dport=2) / SCTPChunkData(data=b"data"),
    "ipv6 echo": ETHER / V6 / ICMPv6EchoRequest(id=1, seq=2),
    "ipv6 extension headers": ETHER
    / V6
    / IPv6ExtHdrHopByHop()
    / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrRouting(addresses=["2001:db8::3"], segleft=0)
    / IPv6ExtHdrDestOpt()
    / TCP_,
    "ipv6 no next header": ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2", nh=59),
    "ipv6 first fragment": ETHER / V6 / IPv6ExtHdrFragment(m=1, id=1) / UDP_ / PAYLOAD,
    "ipv6 later fragment": ETHER / V6 / IPv6ExtHdrFragment(offset=4, nh=17, id=1) / PAYLOAD,
    "neighbour solicitation": ETHER
    / IPv6(src="fe80::1", dst="ff02::1:ff00:2", hlim=255)
    / ICMPv6ND_NS(tgt="fe80::2")
    / ICMPv6NDOptSrcLLAddr(lladdr=A),
    "neighbour advertisement": ETHER
    / IPv6(src="fe80::2", dst="fe80::1", hlim=255)
    / ICMPv6ND_NA(tgt="fe80::2")
    / ICMPv6NDOptDstLLAddr(lladdr=B),
    "mpls": ETHER / MPLS(label=1000, cos=3, s=1, ttl=60) / V4 / TCP_,
    "mpls of four labels": ETHER
    / MPLS(label=1, s=0, ttl=9)
    / MPLS(label=2, s=0)
    / MPLS(label=3, s=0)
    / MPLS(label=4, s=1)
    / V6
    / UDP_,
    "nsh md type 1": Ether(dst=B, src=A, type=0x894F)
    / NSH(spi=0x123456, si=255, nextproto=3, mdtype=1, context_header=bytes(range(16)))
    / ETHER
    / V4
    / TCP_,
    "nsh md type 2": Ether(dst=B, src=A, type=0x894F)
    / NSH(spi=7, si=1, nextproto=1, mdtype=2, length=2)
    / V4
    / UDP_,
    "unknown type": Ether(dst=B, src=A, type=0x1234) / PAYLOAD,
}


def main() -> None:
    """Write the file."""
    entries = []
    for name, built in FRAMES.items():
        frame = bytes(built)
        packet = Packet.of(frame)
        assert extract(packet, MAC_PROTO.place(MAC_PROTO_ETHERNET)), name
        entries.append(
            {
                "name": name,
                "frame": frame.hex(),
                "key": format_key(packet.key),
                "network": packet.network,
                "transport": packet.transport,
            }
        )
    FILE.write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main()
