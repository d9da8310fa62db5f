"""Attributes of flow keys, masks and actions as bytes, with values that mean nothing special."""

from __future__ import annotations

from tests.oracle.messages import (
    Action,
    CheckPktLen,
    DecTtl,
    Key,
    Sample,
    TunnelKey,
    Userspace,
    attr,
    be16,
    be32,
    be64,
    nest,
    u8,
    u16,
    u32,
)

ETH_A, ETH_B = bytes.fromhex("0200000000aa"), bytes.fromhex("0200000000bb")
IP_A, IP_B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
IP6_A = bytes.fromhex("fd000000000000000000000000000001")
IP6_B = bytes.fromhex("fd000000000000000000000000000002")

P_IP, P_ARP, P_RARP, P_8021Q, P_8021AD, P_IPV6 = 0x0800, 0x0806, 0x8035, 0x8100, 0x88A8, 0x86DD
P_MPLS, P_MPLS_MC, P_NSH, P_TEB = 0x8847, 0x8848, 0x894F, 0x6558
ICMP, TCP, UDP, GRE, ICMPV6, SCTP = 1, 6, 17, 47, 58, 132
FRAG_NONE, FRAG_FIRST, FRAG_LATER = 0, 1, 2
VLAN_CFI = 0x1000


def in_port(number: int = 1) -> bytes:
    return attr(Key.IN_PORT, u32(number))


def ethernet(source: bytes = ETH_A, target: bytes = ETH_B) -> bytes:
    return attr(Key.ETHERNET, source + target)


def ethertype(number: int = P_IP) -> bytes:
    return attr(Key.ETHERTYPE, be16(number))


def ipv4(
    protocol: int = UDP,
    tos: int = 0,
    ttl: int = 64,
    frag: int = 0,
    source: bytes = IP_A,
    target: bytes = IP_B,
) -> bytes:
    return attr(Key.IPV4, source + target + bytes([protocol, tos, ttl, frag]))


def ipv6(
    protocol: int = UDP,
    label: int = 0,
    tclass: int = 0,
    hlimit: int = 64,
    frag: int = 0,
    source: bytes = IP6_A,
    target: bytes = IP6_B,
) -> bytes:
    return attr(Key.IPV6, source + target + be32(label) + bytes([protocol, tclass, hlimit, frag]))


def ports(kind: Key = Key.UDP, source: int = 1000, target: int = 2000) -> bytes:
    """TCP, UDP or SCTP."""
    return attr(kind, be16(source, target))


def icmp(kind: Key = Key.ICMP, number: int = 8, code: int = 0) -> bytes:
    return attr(kind, bytes([number, code]))


def arp(operation: int = 1, source: bytes = IP_A, target: bytes = IP_B) -> bytes:
    return attr(Key.ARP, source + target + be16(operation) + ETH_A + ETH_B + bytes(2))


def nd(target: bytes = IP6_A) -> bytes:
    return attr(Key.ND, target + ETH_A + ETH_B)


def vlan(*inner: bytes, tci: int = 5 | VLAN_CFI, tpid: int = P_8021Q) -> bytes:
    """A tagged frame: ETHERTYPE, VLAN and ENCAP."""
    return ethertype(tpid) + attr(Key.VLAN, be16(tci)) + nest(Key.ENCAP, *inner)


def udp_key(port: int = 1) -> bytes:
    """A UDP packet that came from a port."""
    return in_port(port) + ethernet() + ethertype() + ipv4(UDP) + ports()


def tcp_key(port: int = 1, flags: int = 0x10) -> bytes:
    return (
        in_port(port)
        + ethernet()
        + ethertype()
        + ipv4(TCP)
        + ports(Key.TCP)
        + attr(Key.TCP_FLAGS, be16(flags))
    )


def arp_key(port: int = 1) -> bytes:
    return in_port(port) + ethernet() + ethertype(P_ARP) + arp()


def udp6_key(port: int = 1) -> bytes:
    return in_port(port) + ethernet() + ethertype(P_IPV6) + ipv6() + ports()


def tunnel(*more: bytes, number: int = 5) -> bytes:
    """An IPv4 tunnel's key."""
    return nest(
        Key.TUNNEL,
        attr(TunnelKey.ID, be64(number)),
        attr(TunnelKey.IPV4_SRC, IP_A),
        attr(TunnelKey.IPV4_DST, IP_B),
        attr(TunnelKey.TTL, u8(64)),
        *more,
    )


def output(port: int = 2) -> bytes:
    return attr(Action.OUTPUT, u32(port))


def userspace(pid: int, *more: bytes) -> bytes:
    return nest(Action.USERSPACE, attr(Userspace.PID, u32(pid)), *more)


def set_(*attributes: bytes) -> bytes:
    return nest(Action.SET, *attributes)


def set_masked(number: int, value: bytes, mask: bytes) -> bytes:
    return nest(Action.SET_MASKED, attr(number, value + mask))


def push_vlan(tci: int = 7 | VLAN_CFI, tpid: int = P_8021Q) -> bytes:
    return attr(Action.PUSH_VLAN, be16(tpid, tci))


def pop_vlan() -> bytes:
    return attr(Action.POP_VLAN)


def push_mpls(lse: int = 0x00064140, ethertype: int = P_MPLS) -> bytes:
    return attr(Action.PUSH_MPLS, be32(lse) + be16(ethertype) + bytes(2))


def add_mpls(lse: int = 0x00064140, ethertype: int = P_MPLS, flags: int = 1) -> bytes:
    return attr(Action.ADD_MPLS, be32(lse) + be16(ethertype) + u16(flags))


def pop_mpls(ethertype: int = P_IP) -> bytes:
    return attr(Action.POP_MPLS, be16(ethertype))


def push_eth() -> bytes:
    return attr(Action.PUSH_ETH, ETH_A + ETH_B)


def sample(probability: int = 0xFFFFFFFF, *actions: bytes) -> bytes:
    return nest(
        Action.SAMPLE,
        attr(Sample.PROBABILITY, u32(probability)),
        nest(Sample.ACTIONS, *actions),
    )


def clone(*actions: bytes) -> bytes:
    return nest(Action.CLONE, *actions)


def check_pkt_len(size: int, greater: bytes = b"", less_equal: bytes = b"") -> bytes:
    return nest(
        Action.CHECK_PKT_LEN,
        attr(CheckPktLen.PKT_LEN, u16(size)),
        attr(CheckPktLen.ACTIONS_IF_GREATER, greater),
        attr(CheckPktLen.ACTIONS_IF_LESS_EQUAL, less_equal),
    )


def dec_ttl(*actions: bytes) -> bytes:
    return nest(Action.DEC_TTL, nest(DecTtl.ACTION, *actions))


def trunc(size: int = 100) -> bytes:
    return attr(Action.TRUNC, u32(size))


def recirc(number: int = 9) -> bytes:
    return attr(Action.RECIRC, u32(number))


def hash_(algorithm: int = 0, basis: int = 1) -> bytes:
    return attr(Action.HASH, u32(algorithm, basis))


def meter(number: int = 1) -> bytes:
    return attr(Action.METER, u32(number))
