"""Flow keys: each attribute, what it needs, what it must not be with, and its sizes.

Every key is installed, read back and deleted; without a mask, with one of ones, and with an empty
one.
"""

from __future__ import annotations

from tests.oracle.keys import (
    ETH_A,
    ETH_B,
    GRE,
    ICMP,
    ICMPV6,
    IP6_A,
    IP6_B,
    IP_A,
    IP_B,
    P_8021AD,
    P_8021Q,
    P_ARP,
    P_IP,
    P_IPV6,
    P_MPLS,
    P_MPLS_MC,
    P_NSH,
    P_RARP,
    SCTP,
    TCP,
    UDP,
    arp,
    ethernet,
    ethertype,
    icmp,
    in_port,
    ipv4,
    ipv6,
    nd,
    output,
    ports,
    tunnel,
    vlan,
)
from tests.oracle.messages import (
    DEL,
    ECHO,
    FLOW,
    GET,
    NEW,
    Flow,
    Key,
    NshKey,
    TunnelKey,
    attr,
    attributes,
    be16,
    be32,
    be64,
    nest,
    u8,
    u16,
    u32,
)
from tests.oracle.steps import Scenario, Script

NESTS = (Key.ENCAP, Key.TUNNEL, Key.NSH)
BASE = in_port() + ethernet()
LOW = attr(Key.IN_PORT, u32(0xFFFFFFFF)) + attr(Key.ETHERNET, b"\xff" * 12)


def ones(key: bytes) -> bytes:
    """The same attributes with all bits set; of a VLAN, its outer type is kept."""
    out = b""
    for number, payload in attributes(key) or ():
        filled = ones(payload) if number in NESTS else b"\xff" * len(payload)
        out += attr(number, filled)
    return out


def try_keys(script: Script, keys: dict[str, bytes]) -> None:
    """Install each key in three ways."""
    script.make_datapath()
    actions = nest(Flow.ACTIONS, output())
    for label, data in keys.items():
        key = attr(Flow.KEY, data)
        for how, mask in {
            "exact": (),
            "masked by ones": (attr(Flow.MASK, ones(data)),),
            "wildcarded": (attr(Flow.MASK),),
        }.items():
            script.ask(f"{label}, {how}", FLOW, NEW, key, *mask, actions, flags=ECHO)
            script.ask(f"{label}, {how}: read", FLOW, GET, key)
            script.ask(f"{label}, {how}: delete", FLOW, DEL, key, flags=ECHO)
    script.ask("nothing is left", FLOW, GET, flags=0x300)


def layers(script: Script) -> None:
    ip = BASE + ethertype(P_IP)
    six = BASE + ethertype(P_IPV6)
    try_keys(
        script,
        {
            "in_port only": in_port(),
            "Ethernet only": BASE,
            "no in_port": ethernet() + ethertype() + ipv4() + ports(),
            "no Ethernet": in_port() + ethertype() + ipv4() + ports(),
            "no type": BASE + ipv4() + ports(),
            "type only": ip,
            "type 0": BASE + ethertype(0),
            "type 5": BASE + ethertype(5),
            "type 0x5ff": BASE + ethertype(0x5FF),
            "type 0x600": BASE + ethertype(0x600),
            "type 0xffff": BASE + ethertype(0xFFFF),
            "UDP": ip + ipv4() + ports(),
            "UDP without ports": ip + ipv4(),
            "TCP": ip + ipv4(TCP) + ports(Key.TCP) + attr(Key.TCP_FLAGS, be16(2)),
            "TCP without flags": ip + ipv4(TCP) + ports(Key.TCP),
            "TCP flags only": ip + ipv4(TCP) + attr(Key.TCP_FLAGS, be16(2)),
            "TCP flags of UDP": ip + ipv4() + ports() + attr(Key.TCP_FLAGS, be16(2)),
            "TCP flags above 12 bits": ip + ipv4(TCP) + ports(Key.TCP) + attr(18, be16(0xF002)),
            "SCTP": ip + ipv4(SCTP) + ports(Key.SCTP),
            "ICMP": ip + ipv4(ICMP) + icmp(),
            "GRE": ip + ipv4(GRE),
            "UDP ports of TCP": ip + ipv4(TCP) + ports(),
            "ICMP of UDP": ip + ipv4() + icmp(),
            "ICMPv6 of IPv4": ip + ipv4(ICMPV6) + icmp(Key.ICMPV6, 128),
            "first fragment": ip + ipv4(frag=1) + ports(),
            "first fragment without ports": ip + ipv4(frag=1),
            "later fragment": ip + ipv4(frag=2),
            "later fragment with ports": ip + ipv4(frag=2) + ports(),
            "fragment type 3": ip + ipv4(frag=3) + ports(),
            "ttl, tos": ip + ipv4(tos=255, ttl=0) + ports(),
            "IPv4 of IPv6": six + ipv4() + ports(),
            "IPv6 of IPv4": ip + ipv6() + ports(),
            "both": ip + ipv4() + ipv6() + ports(),
            "UDP over IPv6": six + ipv6() + ports(),
            "TCP over IPv6": six + ipv6(TCP) + ports(Key.TCP) + attr(Key.TCP_FLAGS, be16(2)),
            "label": six + ipv6(label=0xFFFFF) + ports(),
            "label too wide": six + ipv6(label=0x100000) + ports(),
            "IPv6 fragment": six + ipv6(frag=1) + ports(),
            "IPv6 later": six + ipv6(frag=2),
            "IPv6 fragment type 3": six + ipv6(frag=3),
            "ICMPv6": six + ipv6(ICMPV6) + icmp(Key.ICMPV6, 128),
            "ICMPv6 without": six + ipv6(ICMPV6),
            "ND": six + ipv6(ICMPV6) + icmp(Key.ICMPV6, 135) + nd(),
            "NA": six + ipv6(ICMPV6) + icmp(Key.ICMPV6, 136) + nd(),
            "ND without": six + ipv6(ICMPV6) + icmp(Key.ICMPV6, 135),
            "ND of echo": six + ipv6(ICMPV6) + icmp(Key.ICMPV6, 128) + nd(),
            "ND of code 1": six + ipv6(ICMPV6) + icmp(Key.ICMPV6, 135, 1) + nd(),
            "ND of a fragment": six + ipv6(ICMPV6, frag=1) + icmp(Key.ICMPV6, 135) + nd(),
            "extension headers": six + ipv6() + ports() + attr(Key.IPV6_EXTHDRS, u16(0x21)),
            "extension headers, all": six + ipv6() + ports() + attr(32, u16(0xFFFF)),
            "extension headers of IPv4": ip + ipv4() + ports() + attr(32, u16(1)),
            "ARP": BASE + ethertype(P_ARP) + arp(),
            "ARP without": BASE + ethertype(P_ARP),
            "RARP": BASE + ethertype(P_RARP) + arp(3),
            "ARP of IPv4": ip + arp(),
            "ARP operation 255": BASE + ethertype(P_ARP) + arp(255),
            "ARP operation 256": BASE + ethertype(P_ARP) + arp(256),
            "ARP, padding": BASE + ethertype(P_ARP) + attr(Key.ARP, bytes(22) + b"\1\1"),
            "MPLS": BASE + ethertype(P_MPLS) + attr(Key.MPLS, be32(0x64140)),
            "MPLS multicast": BASE + ethertype(P_MPLS_MC) + attr(Key.MPLS, be32(0x64140)),
            "MPLS without": BASE + ethertype(P_MPLS),
            "MPLS, two": BASE + ethertype(P_MPLS) + attr(Key.MPLS, be32(1, 2)),
            "MPLS, three": BASE + ethertype(P_MPLS) + attr(Key.MPLS, be32(1, 2, 3)),
            "MPLS, four": BASE + ethertype(P_MPLS) + attr(Key.MPLS, be32(1, 2, 3, 4)),
            "MPLS, none": BASE + ethertype(P_MPLS) + attr(Key.MPLS),
            "MPLS, odd": BASE + ethertype(P_MPLS) + attr(Key.MPLS, bytes(6)),
            "MPLS of IPv4": ip + ipv4() + attr(Key.MPLS, be32(1)),
        },
    )


def metadata(script: Script) -> None:
    udp = in_port() + ethernet() + ethertype() + ipv4() + ports()
    l3 = ipv4() + ports()
    state = attr(Key.CT_STATE, u32(0x21))
    tuple4 = attr(Key.CT_ORIG_TUPLE_IPV4, IP_A + IP_B + be16(1, 2) + bytes([UDP, 0, 0, 0]))
    tuple6 = attr(Key.CT_ORIG_TUPLE_IPV6, IP6_A + IP6_B + be16(1, 2) + bytes([UDP, 0, 0, 0]))
    six = in_port() + ethernet() + ethertype(P_IPV6) + ipv6() + ports()
    keys = {
        "priority": udp + attr(Key.PRIORITY, u32(7)),
        "mark": udp + attr(Key.SKB_MARK, u32(7)),
        "hash, recirc": udp + attr(Key.DP_HASH, u32(7)) + attr(Key.RECIRC_ID, u32(8)),
        "in_port 65534": in_port(65534) + udp[8:],
        "in_port 65535": in_port(65535) + udp[8:],
        "in_port 65536": in_port(65536) + udp[8:],
        "in_port 0xffffffff": in_port(0xFFFFFFFF) + udp[8:],
        "CT all": udp
        + state
        + attr(Key.CT_ZONE, u16(3))
        + attr(Key.CT_MARK, u32(4))
        + attr(Key.CT_LABELS, bytes(range(16))),
        "CT zone": udp + attr(Key.CT_ZONE, u16(3)),
        "CT mark": udp + attr(Key.CT_MARK, u32(3)),
        "CT labels": udp + attr(Key.CT_LABELS, bytes(range(16))),
        "CT original tuple": udp + state + tuple4,
        "CT original tuple, no state": udp + tuple4,
        "CT original tuple of IPv6": six + state + tuple6,
        "CT original tuple of the other": udp + state + tuple6,
        "CT original tuples": udp + state + tuple4 + tuple6,
        "IPv4 packet type": in_port() + attr(Key.PACKET_TYPE, be16(1, P_IP)) + ethertype() + l3,
        "IPv4 packet type, no type": in_port() + attr(Key.PACKET_TYPE, be16(1, P_IP)) + l3,
        "IPv4 packet type and Ethernet": udp + attr(Key.PACKET_TYPE, be16(1, P_IP)),
        "Ethernet packet type": udp + attr(Key.PACKET_TYPE, bytes(4)),
        "packet type 2": in_port() + attr(Key.PACKET_TYPE, be16(2, P_IP)) + ethertype() + l3,
        "packet type and another type": in_port()
        + attr(Key.PACKET_TYPE, be16(1, P_IPV6))
        + ethertype()
        + l3,
        "TUNNEL_INFO": udp + attr(Key.TUNNEL_INFO, bytes(8)),
        "ND_EXTENSIONS": udp + attr(Key.ND_EXTENSIONS, bytes(8)),
        "attribute 0": attr(0, bytes(4)) + udp,
        "attribute 33": udp + attr(33, bytes(4)),
        "attribute 60": udp + attr(60, bytes(4)),
        "a flag on a number": attr(Key.IN_PORT | 0x4000, u32(1)) + udp[8:],
        "trailing bytes": udp + b"\1\2\3",
        "a length of 3": udp + attr(Key.PRIORITY, u32(1), length=3),
        "a length beyond": udp + attr(Key.PRIORITY, u32(1), length=12),
    }
    for bit in range(10):
        keys[f"CT state {1 << bit:#x}"] = udp + attr(Key.CT_STATE, u32(1 << bit))
    try_keys(script, keys)


def sizes(script: Script) -> None:
    """Each attribute a byte too short, a byte too long, empty, twice."""
    udp = {
        number: attr(number, payload)
        for number, payload in attributes(BASE + ethertype() + ipv4() + ports()) or ()
    }
    known = {
        Key.PRIORITY: 4, Key.SKB_MARK: 4, Key.DP_HASH: 4, Key.RECIRC_ID: 4, Key.CT_STATE: 4,
        Key.CT_ZONE: 2, Key.CT_MARK: 4, Key.CT_LABELS: 16, Key.CT_ORIG_TUPLE_IPV4: 13,
        Key.CT_ORIG_TUPLE_IPV6: 37, Key.PACKET_TYPE: 4, Key.IPV6: 40, Key.TCP: 4, Key.SCTP: 4,
        Key.ICMP: 2, Key.ICMPV6: 2, Key.ARP: 24, Key.ND: 28, Key.TCP_FLAGS: 2, Key.VLAN: 2,
        Key.IN_PORT: 4, Key.ETHERNET: 12, Key.ETHERTYPE: 2, Key.IPV4: 12, Key.UDP: 4,
        Key.MPLS: 4, Key.IPV6_EXTHDRS: 2, Key.TUNNEL: 0, Key.NSH: 0, Key.ENCAP: 0,
    }  # fmt: skip
    keys = {}
    for number, size in known.items():
        for wrong in sorted({0, size - 1, size, size + 1, size + 4} - {-1}):
            changed = udp | {number: attr(number, bytes(wrong))}
            keys[f"{Key(number).name} of {wrong} bytes"] = b"".join(changed.values())
        both = attr(number, bytes(size)) * 2
        keys[f"{Key(number).name} twice"] = b"".join((udp | {number: both}).values())
    try_keys(script, keys)


def vlans(script: Script) -> None:
    inner = ethertype() + ipv4() + ports()
    tci = attr(Key.VLAN, be16(0x1005))
    try_keys(
        script,
        {
            "VLAN": BASE + vlan(inner),
            "802.1ad": BASE + vlan(inner, tpid=P_8021AD),
            "no CFI": BASE + vlan(inner, tci=5),
            "tci 0": BASE + vlan(inner, tci=0),
            "tci 0, nothing in it": BASE + vlan(tci=0),
            "nothing in it": BASE + vlan(),
            "no ENCAP": BASE + ethertype(P_8021Q) + tci,
            "no VLAN": BASE + ethertype(P_8021Q) + nest(Key.ENCAP, inner),
            "type only": BASE + ethertype(P_8021Q),
            "another type": BASE + ethertype(P_IP) + tci + nest(Key.ENCAP, inner),
            "no type": BASE + tci + nest(Key.ENCAP, inner),
            "IPv4 outside": BASE + vlan(ethertype()) + ipv4(),
            "Ethernet within": BASE + vlan(ethernet(), inner),
            "two": BASE + vlan(vlan(inner, tci=0x1006), tpid=P_8021AD),
            "two, nothing within": BASE + vlan(vlan(tci=0x1006), tpid=P_8021AD),
            "two, inner without CFI": BASE + vlan(vlan(inner, tci=6), tpid=P_8021AD),
            "two, inner tci 0": BASE + vlan(vlan(tci=0), tpid=P_8021AD),
            "three": BASE + vlan(vlan(vlan(inner)), tpid=P_8021AD),
            "inner type only": BASE + vlan(ethertype(P_8021Q)),
            "inner without type": BASE + vlan(ipv4() + ports()),
            "ARP within": BASE + vlan(ethertype(P_ARP) + arp()),
            "MPLS within": BASE + vlan(ethertype(P_MPLS) + attr(Key.MPLS, be32(0x64140))),
            "priority within": BASE + vlan(inner + attr(Key.PRIORITY, u32(1))),
            "without Ethernet": in_port() + vlan(inner),
            "bad within": BASE + vlan(inner + attr(60, bytes(4))),
        },
    )


def tunnels(script: Script) -> None:
    udp = BASE + ethertype() + ipv4() + ports()
    ident = attr(TunnelKey.ID, be64(5))
    four = attr(TunnelKey.IPV4_SRC, IP_A) + attr(TunnelKey.IPV4_DST, IP_B)
    six = attr(TunnelKey.IPV6_SRC, IP6_A) + attr(TunnelKey.IPV6_DST, IP6_B)
    ttl = attr(TunnelKey.TTL, u8(64))
    gbp = nest(TunnelKey.VXLAN_OPTS, attr(1, u32(77)))
    geneve = attr(TunnelKey.GENEVE_OPTS, bytes.fromhex("0102030112345678"))
    erspan = attr(TunnelKey.ERSPAN_OPTS, bytes([1, 0, 0, 0]) + be32(9) + bytes(4))

    def with_tunnel(*inside: bytes) -> bytes:
        return nest(Key.TUNNEL, *inside) + udp

    keys = {
        "IPv4": with_tunnel(ident, four, ttl),
        "IPv6": with_tunnel(ident, six, ttl),
        "no id": with_tunnel(four, ttl),
        "no ttl": with_tunnel(ident, four),
        "no source": with_tunnel(ident, attr(TunnelKey.IPV4_DST, IP_B), ttl),
        "no destination": with_tunnel(ident, attr(TunnelKey.IPV4_SRC, IP_B), ttl),
        "destination 0": with_tunnel(ident, attr(TunnelKey.IPV4_DST, bytes(4)), ttl),
        "IPv6 destination 0": with_tunnel(ident, attr(TunnelKey.IPV6_DST, bytes(16)), ttl),
        "both": with_tunnel(ident, four, six, ttl),
        "no address": with_tunnel(ident, ttl),
        "nothing": with_tunnel(),
        "tos": with_tunnel(ident, four, ttl, attr(TunnelKey.TOS, u8(9))),
        "flags": with_tunnel(ident, four, ttl, attr(5), attr(6), attr(7)),
        "flag of 4 bytes": with_tunnel(ident, four, ttl, attr(5, bytes(4))),
        "ports": with_tunnel(ident, four, ttl, attr(9, be16(7)), attr(10, be16(8))),
        "GBP": with_tunnel(ident, four, ttl, gbp),
        "GBP, empty": with_tunnel(ident, four, ttl, nest(TunnelKey.VXLAN_OPTS)),
        "GBP, unknown": with_tunnel(ident, four, ttl, nest(11, attr(2, u32(1)))),
        "GBP of 2 bytes": with_tunnel(ident, four, ttl, nest(11, attr(1, u16(1)))),
        "Geneve": with_tunnel(ident, four, ttl, geneve),
        "Geneve, none": with_tunnel(ident, four, ttl, attr(TunnelKey.GENEVE_OPTS)),
        "Geneve of 6 bytes": with_tunnel(ident, four, ttl, attr(8, bytes(6))),
        "Geneve of 252 bytes": with_tunnel(ident, four, ttl, attr(8, bytes(252))),
        "Geneve of 256 bytes": with_tunnel(ident, four, ttl, attr(8, bytes(256))),
        "ERSPAN": with_tunnel(ident, four, ttl, erspan),
        "ERSPAN of 4 bytes": with_tunnel(ident, four, ttl, attr(15, bytes(4))),
        "two options": with_tunnel(ident, four, ttl, gbp, geneve),
        "bridge": with_tunnel(ident, four, ttl, attr(TunnelKey.IPV4_INFO_BRIDGE)),
        "pad": with_tunnel(ident, four, ttl, attr(TunnelKey.PAD)),
        "attribute 17": with_tunnel(ident, four, ttl, attr(17, bytes(4))),
        "attribute 60": with_tunnel(ident, four, ttl, attr(60, bytes(4))),
        "twice": with_tunnel(ident, ident, four, ttl),
        "trailing bytes": with_tunnel(ident, four, ttl, b"\1\2\3"),
        "tunnel alone": tunnel(),
    }
    for number, size in {0: 8, 1: 4, 2: 4, 3: 1, 4: 1, 9: 2, 10: 2, 12: 16, 13: 16}.items():
        for wrong in (0, size - 1, size + 1, size + 4):
            inside = ident + four + ttl + attr(number, bytes(wrong))
            keys[f"{TunnelKey(number).name} of {wrong} bytes"] = with_tunnel(inside)
    try_keys(script, keys)


def nsh(script: Script) -> None:
    base = BASE + ethertype(P_NSH)
    context = attr(NshKey.MD1, bytes(range(16)))

    def head(flags: int = 0, ttl: int = 63, kind: int = 1, following: int = 1) -> bytes:
        return attr(NshKey.BASE, bytes([flags, ttl, kind, following]) + be32(0x123FF))

    try_keys(
        script,
        {
            "MD type 1": base + nest(Key.NSH, head(), context),
            "MD type 1, no context": base + nest(Key.NSH, head()),
            "no base": base + nest(Key.NSH, context),
            "nothing": base + nest(Key.NSH),
            "without": base,
            "of IPv4": BASE + ethertype() + nest(Key.NSH, head(), context),
            "MD type 2": base + nest(Key.NSH, head(kind=2)),
            "MD type 2 and context": base + nest(Key.NSH, head(kind=2), context),
            "MD type 2, MD2": base + nest(Key.NSH, head(kind=2), attr(NshKey.MD2, bytes(8))),
            "MD type 1, MD2": base + nest(Key.NSH, head(), attr(NshKey.MD2, bytes(8))),
            "MD type 3": base + nest(Key.NSH, head(kind=3)),
            "next protocol 0": base + nest(Key.NSH, head(following=0), context),
            "next protocol 3": base + nest(Key.NSH, head(following=3), context),
            "flags": base + nest(Key.NSH, head(flags=0xFF), context),
            "ttl": base + nest(Key.NSH, head(ttl=255), context),
            "base of 7 bytes": base + nest(Key.NSH, attr(NshKey.BASE, bytes(7)), context),
            "context of 15": base + nest(Key.NSH, head(), attr(NshKey.MD1, bytes(15))),
            "base twice": base + nest(Key.NSH, head(), head(), context),
            "attribute 4": base + nest(Key.NSH, head(), context, attr(4, bytes(4))),
            "trailing": base + nest(Key.NSH, head(), context, b"\1\2\3"),
        },
    )


def addresses(script: Script) -> None:
    """Values that have a meaning of their own."""
    ip = BASE + ethertype()
    try_keys(
        script,
        {
            "broadcast": in_port() + ethernet(ETH_A, b"\xff" * 6) + ethertype() + ipv4() + ports(),
            "zero MACs": in_port() + ethernet(bytes(6), bytes(6)) + ethertype() + ipv4() + ports(),
            "zero IPs": ip + ipv4(source=bytes(4), target=bytes(4)) + ports(),
            "protocol 0": ip + ipv4(0),
            "protocol 255": ip + ipv4(255),
            "ports 0": ip + ipv4() + ports(source=0, target=0),
            "swapped": in_port() + ethernet(ETH_B, ETH_A) + ethertype() + ipv4() + ports(),
        },
    )


SCENARIOS = tuple(
    Scenario(f"keys {run.__name__}", run, is_long=True)
    for run in (layers, metadata, sizes, vlans, tunnels, nsh, addresses)
)
