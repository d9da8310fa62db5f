"""Frames of every protocol that extraction reads, built by scapy: hypothesis strategies."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
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
from scapy.layers.sctp import SCTP

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def layers(kind: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Scapy layers of a kind."""
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


def joined(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One layer on the other."""

    def join(chosen: tuple[Any, ...]) -> Any:
        whole = chosen[0]
        for part in chosen[1:]:
            whole = whole / part
        return whole

    return st.tuples(*parts).map(join)


U8, U16 = st.integers(0, 0xFF), st.integers(0, 0xFFFF)
MAC = st.binary(min_size=6, max_size=6).map(lambda mac: mac.hex(":"))
IP4 = st.ip_addresses(v=4).map(str)
IP6 = st.ip_addresses(v=6).map(str)
DATA = st.binary(max_size=40)
PORT = st.sampled_from([4001, 4003, 50001, 65531])
"""Ports that scapy takes for no protocol of its own."""
TCP_LAYER = layers(
    TCP, sport=PORT, dport=PORT, flags=st.integers(0, 0x1FF), reserved=st.integers(0, 7)
)
UDP_LAYER = layers(UDP, sport=PORT, dport=PORT)
SCTP_LAYER = layers(SCTP, sport=U16, dport=U16)
COMMON = st.one_of(TCP_LAYER, UDP_LAYER, SCTP_LAYER)
MAC_OPTIONS = st.sampled_from(
    [
        b"",
        ICMPv6NDOptSrcLLAddr(lladdr=A),
        ICMPv6NDOptDstLLAddr(lladdr=B),
        ICMPv6NDOptDstLLAddr(lladdr=A) / ICMPv6NDOptSrcLLAddr(lladdr=B),
    ]
)
IPV4 = joined(
    layers(
        IP,
        src=IP4,
        dst=IP4,
        tos=U8,
        ttl=U8,
        flags=st.sampled_from([0, "DF", "MF"]),
        options=st.sampled_from([b"", b"\x01" * 4]),
    ),
    st.one_of(COMMON, layers(ICMP, type=st.sampled_from([0, 8]), code=U8)),
    DATA,
) | joined(layers(IP, src=IP4, dst=IP4, frag=st.integers(1, 8191), proto=U8), DATA)
IPV6_HEAD = layers(IPv6, src=IP6, dst=IP6, tc=U8, fl=st.integers(0, 0xFFFFF), hlim=U8)
EXTENSION_LAYERS = st.tuples(
    st.sampled_from([None, IPv6ExtHdrHopByHop()]),
    st.sampled_from([None, IPv6ExtHdrDestOpt()]),
    st.sampled_from([None, IPv6ExtHdrRouting(addresses=["2001:db8::9"])]),
    st.sampled_from([None, IPv6ExtHdrFragment(m=1), IPv6ExtHdrFragment(m=0)]),
).map(lambda chosen: [part for part in chosen if part is not None])
IPV6 = st.one_of(
    st.tuples(IPV6_HEAD, EXTENSION_LAYERS, COMMON, DATA).map(
        lambda parts: joined_all([parts[0], *parts[1], parts[2], parts[3]])
    ),
    joined(IPV6_HEAD, layers(IPv6ExtHdrFragment, offset=st.integers(1, 8191), m=st.just(1)), DATA),
    joined(IPV6_HEAD, layers(ICMPv6EchoRequest, code=U8), DATA),
    joined(IPV6_HEAD, layers(ICMPv6ND_NS, tgt=IP6), MAC_OPTIONS),
    joined(IPV6_HEAD, layers(ICMPv6ND_NA, tgt=IP6), MAC_OPTIONS),
)
MPLS_LAYER = st.tuples(
    st.lists(st.tuples(st.integers(0, 0xFFFFF), st.integers(0, 7), U8), min_size=1, max_size=5),
    IPV4 | IPV6,
).map(
    lambda parts: joined_all(
        [
            *(
                MPLS(label=label, cos=cos, ttl=ttl, s=int(number == len(parts[0]) - 1))
                for number, (label, cos, ttl) in enumerate(parts[0])
            ),
            parts[1],
        ]
    )
)
NSH_LAYER = layers(
    NSH,
    oam=st.integers(0, 1),
    ttl=st.integers(0, 63),
    spi=st.integers(0, 0xFFFFFF),
    si=U8,
    mdtype=st.just(1),
    nextproto=st.just(3),
    context_header=st.binary(min_size=16, max_size=16),
)
ARP_LAYER = layers(ARP, op=st.integers(1, 300), hwsrc=MAC, hwdst=MAC, psrc=IP4, pdst=IP4)
TAG = layers(Dot1Q, prio=st.integers(0, 7), vlan=st.integers(0, 4095)) | layers(
    Dot1AD, prio=st.integers(0, 7), vlan=st.integers(0, 4095)
)
TAGS = st.lists(TAG, max_size=2)


def joined_all(parts: list[Any]) -> Any:
    """One layer on the other."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole / part
    return whole


def framed(parts: tuple[str, str, list[Any], Any]) -> bytes:
    """A frame with these addresses, tags and contents."""
    dst, src, tags, inner = parts
    if isinstance(inner, NSH):
        inner = inner / Ether(dst=A, src=B) / IP(src="192.0.2.1", dst="192.0.2.2")
        last: Any = tags[-1] if tags else None
        if last is not None:
            last.type = 0x894F
        return bytes(
            joined_all([Ether(dst=dst, src=src, type=tag_type(tags, 0x894F)), *tags, inner])
        )
    return bytes(joined_all([Ether(dst=dst, src=src), *tags, inner]))


def tag_type(tags: list[Any], otherwise: int) -> int:
    """The EtherType before the tags."""
    if not tags:
        return otherwise
    return 0x88A8 if isinstance(tags[0], Dot1AD) else 0x8100


FRAMES = st.tuples(MAC, MAC, TAGS, IPV4 | IPV6 | ARP_LAYER | MPLS_LAYER | NSH_LAYER).map(framed)
"""Frames with an EtherType."""
LLC_FRAMES = joined(
    layers(LLC, dsap=st.integers(0, 0xA9), ssap=U8, ctrl=st.just(3))
    | joined(
        layers(LLC, dsap=st.just(0xAA), ssap=st.just(0xAA), ctrl=st.just(3)),
        layers(SNAP, OUI=st.sampled_from([0, 1]), code=st.just(0x0800)),
        IPV4,
    ),
    DATA,
).map(lambda inner: bytes(Dot3(dst=B, src=A) / inner))
"""Frames with a length, and 802.2 LLC."""
