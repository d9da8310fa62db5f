"""Actions: which are accepted for which packets, how they are shown, and what they do.

Each list of actions is installed with a flow, read back, and run by EXECUTE with an upcall behind
it, which brings the packet back with its key.
"""

from __future__ import annotations

from tests.oracle.frames import GOOD
from tests.oracle.keys import (
    ETH_A,
    ETH_B,
    IP6_B,
    IP_A,
    IP_B,
    P_8021AD,
    P_IP,
    P_IPV6,
    P_MPLS,
    P_MPLS_MC,
    P_NSH,
    P_TEB,
    add_mpls,
    arp_key,
    check_pkt_len,
    clone,
    dec_ttl,
    ethernet,
    ethertype,
    hash_,
    in_port,
    ipv4,
    meter,
    output,
    pop_mpls,
    pop_vlan,
    ports,
    push_eth,
    push_mpls,
    push_vlan,
    recirc,
    sample,
    set_,
    set_masked,
    tcp_key,
    trunc,
    tunnel,
    udp6_key,
    udp_key,
    userspace,
    vlan,
)
from tests.oracle.messages import (
    ACK,
    DEL,
    ECHO,
    EXECUTE,
    FLOW,
    GET,
    NEW,
    PACKET,
    Action,
    CheckPktLen,
    Ct,
    DecTtl,
    Flow,
    Key,
    Nat,
    NshKey,
    Packet,
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
from tests.oracle.steps import Scenario, Script

BASE = in_port() + ethernet()
FF = b"\xff" * 40
NSH = nest(
    Key.NSH,
    attr(NshKey.BASE, bytes([0, 63, 1, 1]) + be32(0x123FF)),
    attr(NshKey.MD1, bytes(range(16))),
)
PACKETS = {
    "UDP": udp_key(),
    "TCP": tcp_key(),
    "UDP over IPv6": udp6_key(),
    "ARP request": arp_key(),
    "VLAN": BASE + vlan(ethertype() + ipv4() + ports()),
    "MPLS": BASE + ethertype(P_MPLS) + attr(Key.MPLS, be32(100 << 12 | 0x140)),
    "NSH": BASE + ethertype(P_NSH) + NSH,
}
"""Flow keys of frames in GOOD."""

NOT_RUN = ("push_nsh, MD type 2",)
"""Installed only: Linux 6.1 warns of its own memcpy() there (nsh_hdr_from_nlattr())."""


def try_actions(
    script: Script, lists: dict[str, bytes], packets: tuple[str, ...] = tuple(PACKETS)
) -> None:
    """Install and run each list for each packet."""
    script.make_datapath()
    script.make_ports()
    up = userspace(script.pid)
    for packet in packets:
        key = attr(Flow.KEY, PACKETS[packet])
        told = attr(Packet.PACKET, GOOD[packet]), attr(Packet.KEY, PACKETS[packet])
        for label, actions in lists.items():
            name = f"{packet}: {label}"
            script.ask(name, FLOW, NEW, key, attr(Flow.ACTIONS, actions), flags=ECHO)
            script.ask(f"{name}: read", FLOW, GET, key)
            script.ask(f"{name}: delete", FLOW, DEL, key, flags=ECHO)
            if label in NOT_RUN:
                continue
            run = attr(Packet.ACTIONS, actions + up)
            script.ask(f"{name}: run", PACKET, EXECUTE, *told, run, flags=ACK)


def pushing(script: Script) -> None:
    """Headers pushed and popped, alone and one after the other."""
    try_actions(
        script,
        {
            "push_vlan": push_vlan(),
            "push_vlan 802.1ad": push_vlan(tpid=P_8021AD),
            "push_vlan, no CFI": push_vlan(7),
            "push_vlan, bad type": push_vlan(tpid=P_IP),
            "push_vlan, short": attr(Action.PUSH_VLAN, be16(0x8100)),
            "push_vlan twice": push_vlan() + push_vlan(0x1008),
            "push_vlan three times": push_vlan() * 3,
            "pop_vlan": pop_vlan(),
            "pop_vlan twice": pop_vlan() * 2,
            "pop_vlan with a byte": attr(Action.POP_VLAN, b"\0"),
            "push and pop": push_vlan() + pop_vlan(),
            "pop and push": pop_vlan() + push_vlan(),
            "push_mpls": push_mpls(),
            "push_mpls multicast": push_mpls(ethertype=P_MPLS_MC),
            "push_mpls, bad type": push_mpls(ethertype=P_IP),
            "push_mpls, short": attr(Action.PUSH_MPLS, bytes(6)),
            "push_mpls twice": push_mpls() * 2,
            "push_mpls four times": push_mpls() * 4,
            "push and pop MPLS": push_mpls() + pop_mpls(),
            "push two, pop one": push_mpls() * 2 + pop_mpls(P_MPLS),
            "push two, pop two": push_mpls() * 2 + pop_mpls(P_MPLS) + pop_mpls(P_IP),
            "pop, then set": push_mpls() + pop_mpls() + set_(attr(Key.IPV4, IP_B * 3)),
            "pop_mpls to IPv4": pop_mpls(P_IP),
            "pop_mpls to IPv6": pop_mpls(P_IPV6),
            "pop_mpls to MPLS": pop_mpls(P_MPLS),
            "pop_mpls to TEB": pop_mpls(P_TEB),
            "pop_mpls twice": pop_mpls(P_MPLS) + pop_mpls(P_IP),
            "pop_mpls, four bytes": attr(Action.POP_MPLS, bytes(4)),
            "set MPLS after push": push_mpls() + set_(attr(Key.MPLS, be32(0x12340))),
            "push_vlan, push_mpls": push_vlan() + push_mpls(),
            "push_mpls, push_vlan": push_mpls() + push_vlan(),
            "pop_vlan, push_mpls": pop_vlan() + push_mpls(),
            "add_mpls": add_mpls(),
            "add_mpls, L2": add_mpls(flags=0),
            "add_mpls, L2, twice": add_mpls(flags=0) * 2,
            "add_mpls, bad type": add_mpls(ethertype=P_IP),
            "add_mpls, other flags": add_mpls(flags=0xFFFE),
            "add_mpls, short": attr(Action.ADD_MPLS, bytes(6)),
            "add_mpls, L2, push_eth": add_mpls(flags=0) + push_eth(),
            "push_eth": push_eth(),
            "pop_eth": attr(Action.POP_ETH),
            "pop_eth twice": attr(Action.POP_ETH) * 2,
            "pop_eth, push_eth": attr(Action.POP_ETH) + push_eth(),
            "pop_eth, push_vlan": attr(Action.POP_ETH) + push_vlan(),
            "pop_eth, set Ethernet": attr(Action.POP_ETH) + set_(attr(4, ETH_B + ETH_A)),
            "pop_eth, output": attr(Action.POP_ETH) + output(),
            "pop_eth, push_nsh": attr(Action.POP_ETH) + nest(Action.PUSH_NSH, NSH),
            "push_nsh": nest(Action.PUSH_NSH, NSH),
            "push_nsh, push_eth": nest(Action.PUSH_NSH, NSH) + push_eth(),
            "push_nsh, nothing": attr(Action.PUSH_NSH),
            "push_nsh, empty": nest(Action.PUSH_NSH, nest(Key.NSH)),
            "push_nsh of another key": nest(Action.PUSH_NSH, attr(Key.IPV4, bytes(12))),
            "push_nsh, MD type 2": nest(
                Action.PUSH_NSH,
                nest(
                    Key.NSH,
                    attr(NshKey.BASE, bytes([0, 63, 2, 1]) + be32(0x123FF)),
                    attr(NshKey.MD2, bytes(8)),
                ),
            ),
            "pop_nsh": attr(Action.POP_NSH),
            "pop_nsh twice": attr(Action.POP_NSH) * 2,
            "set NSH": set_(NSH),
            "set NSH by ones": nest(
                Action.SET_MASKED,
                nest(Key.NSH, attr(NshKey.BASE, bytes([0, 9, 1, 1]) + be32(1) + FF[:8])),
            ),
            "set NSH ttl": nest(
                Action.SET_MASKED,
                nest(
                    Key.NSH,
                    attr(NshKey.BASE, bytes([0, 9, 0, 0]) + be32(0) + b"\0\xff" + bytes(6)),
                ),
            ),
        },
    )


def nesting(script: Script) -> None:
    """Actions within actions."""
    up = userspace(script.pid, attr(Userspace.USERDATA, b"in"))
    ttl = set_masked(Key.IPV4, bytes(10) + b"\5\0", bytes(10) + b"\xff\0")
    deep = output()
    for _level in range(16):
        shallow, deep = deep, clone(deep)
    lists = {
        "sample, always": sample(0xFFFFFFFF, up),
        "sample, never": sample(0, up),
        "sample, nothing": sample(0xFFFFFFFF),
        "sample that changes": sample(0xFFFFFFFF, push_vlan(), up),
        "sample and after": sample(0xFFFFFFFF, push_vlan(), up) + up,
        "sample without probability": nest(Action.SAMPLE, nest(Sample.ACTIONS, up)),
        "sample without actions": nest(Action.SAMPLE, attr(Sample.PROBABILITY, u32(1))),
        "sample, short probability": nest(Action.SAMPLE, attr(1, u16(1)), nest(2, up)),
        "sample, ARG": nest(Action.SAMPLE, attr(1, u32(1)), nest(2, up), attr(3, bytes(8))),
        "sample, unknown": nest(Action.SAMPLE, attr(1, u32(1)), nest(2, up), attr(4, bytes(8))),
        "sample, empty": attr(Action.SAMPLE),
        "sample, twice": nest(Action.SAMPLE, attr(1, u32(1)), attr(1, u32(1)), nest(2, up)),
        "sample, bad inside": sample(0xFFFFFFFF, attr(60)),
        "clone": clone(up),
        "clone, nothing": clone(),
        "clone of a byte": attr(Action.CLONE, b"a"),
        "clone that changes": clone(push_vlan(), up),
        "clone and after": clone(push_vlan(), up) + up,
        "clone in clone": clone(clone(push_vlan(), up), up),
        "clone, pop_eth": clone(attr(Action.POP_ETH)) + push_vlan(),
        "clone, bad inside": clone(attr(60)),
        "clone, 15 deep": shallow,
        "clone, 16 deep": deep,
        "clone, 17 deep": clone(deep),
        "check_pkt_len, greater": check_pkt_len(20, up, b""),
        "check_pkt_len, less": check_pkt_len(2000, b"", up),
        "check_pkt_len, both": check_pkt_len(50, push_vlan() + up, up),
        "check_pkt_len, nothing": check_pkt_len(50),
        "check_pkt_len, 0": check_pkt_len(0, up),
        "check_pkt_len, no length": nest(Action.CHECK_PKT_LEN, attr(2, up), attr(3)),
        "check_pkt_len, one branch": nest(Action.CHECK_PKT_LEN, attr(1, u16(9)), attr(2, up)),
        "check_pkt_len, other branch": nest(Action.CHECK_PKT_LEN, attr(1, u16(9)), attr(3, up)),
        "check_pkt_len, swapped": nest(
            Action.CHECK_PKT_LEN,
            attr(CheckPktLen.ACTIONS_IF_LESS_EQUAL, up),
            attr(CheckPktLen.ACTIONS_IF_GREATER, up),
            attr(CheckPktLen.PKT_LEN, u16(50)),
        ),
        "check_pkt_len, length of 4 bytes": nest(
            Action.CHECK_PKT_LEN, attr(1, u32(9)), attr(2), attr(3)
        ),
        "check_pkt_len, unknown": nest(
            Action.CHECK_PKT_LEN, attr(1, u16(9)), attr(2), attr(3), attr(9)
        ),
        "check_pkt_len after push": push_vlan() + check_pkt_len(74, up, b""),
        "dec_ttl": dec_ttl(),
        "dec_ttl, what to do": dec_ttl(up),
        "dec_ttl, twice": dec_ttl(up) * 2,
        "dec_ttl from 1": ttl + dec_ttl(up),
        "dec_ttl, no actions": attr(Action.DEC_TTL),
        "dec_ttl, unknown": nest(Action.DEC_TTL, attr(9), nest(DecTtl.ACTION, up)),
        "dec_ttl, actions twice": nest(Action.DEC_TTL, nest(1, up), nest(1, up)),
        "trunc": trunc(20) + up,
        "trunc, forgotten": trunc(20) + output(2) + up,
        "trunc 14": trunc(14) + up,
        "trunc 13": trunc(13) + up,
        "trunc large": trunc(70000) + up,
        "trunc twice": trunc(30) + trunc(20) + up,
        "trunc, clone": trunc(20) + clone(up),
        "hash": hash_(),
        "hash, basis": hash_(0, 0x12345678),
        "hash, symmetric": hash_(1),
        "hash, unknown": hash_(2),
        "hash, short": attr(Action.HASH, u32(0)),
        "recirc": recirc(),
        "recirc, 0": recirc(0),
        "recirc and more": recirc() + push_vlan() + up,
        "recirc, short": attr(Action.RECIRC, u16(1)),
        "meter that is none": meter(77),
        "meter, short": attr(Action.METER, u16(1)),
        "output to nobody": output(4000),
        "output 65534": output(65534),
        "output 65535": output(65535),
        "output, short": attr(Action.OUTPUT, u16(1)),
        "unknown 0": attr(0),
        "unknown 24": attr(24, bytes(8)),
        "unknown 25": attr(25, bytes(4)),
        "unknown 60": attr(60),
        "a flag on a number": attr(Action.OUTPUT | 0x8000, u32(2)),
        "nothing": b"",
        "a length of 3": attr(Action.OUTPUT, u32(2), length=3),
        "a length beyond": attr(Action.OUTPUT, u32(2), length=16),
        "trailing bytes": output() + b"\1\2\3",
        "ct_clear": attr(Action.CT_CLEAR),
        "ct_clear with a byte": attr(Action.CT_CLEAR, b"a"),
    }
    try_actions(script, lists, ("UDP", "TCP", "UDP over IPv6", "ARP request", "VLAN"))


def userspace_(script: Script) -> None:
    pid = attr(Userspace.PID, u32(script.pid))
    out = attr(Userspace.EGRESS_TUN_PORT, u32(2))
    try_actions(
        script,
        {
            "PID": nest(Action.USERSPACE, pid),
            "PID 0": userspace(0),
            "PID -1": userspace(0xFFFFFFFF),
            "no PID": attr(Action.USERSPACE),
            "PID of 2 bytes": nest(Action.USERSPACE, attr(1, u16(1))),
            "PID of 8 bytes": nest(Action.USERSPACE, attr(1, bytes(8))),
            "userdata": nest(Action.USERSPACE, pid, attr(2, b"abcde")),
            "much userdata": nest(Action.USERSPACE, pid, attr(2, bytes(3000))),
            "userdata alone": nest(Action.USERSPACE, attr(2, b"abcde")),
            "egress port": nest(Action.USERSPACE, pid, out),
            "egress port, short": nest(Action.USERSPACE, pid, attr(3, u16(1))),
            "actions": nest(Action.USERSPACE, pid, attr(4)),
            "actions with bytes": nest(Action.USERSPACE, pid, attr(4, b"abcd")),
            "all": nest(Action.USERSPACE, pid, attr(2, b"abcd"), out, attr(4)),
            "unknown": nest(Action.USERSPACE, pid, attr(9, b"abcd")),
            "twice": nest(Action.USERSPACE, pid, pid),
            "trailing": nest(Action.USERSPACE, pid, b"\1\2\3"),
            "NLA_F_NESTED": attr(Action.USERSPACE | 0x8000, pid),
        },
        ("UDP",),
    )


def conntrack(script: Script) -> None:
    """ct: what is accepted, and how it is shown."""
    nat = nest(Ct.NAT, attr(Nat.SRC), attr(Nat.IP_MIN, IP_A))
    lists = {
        "nothing": (),
        "commit": (attr(Ct.COMMIT),),
        "zone": (attr(Ct.ZONE, u16(3)),),
        "commit, zone, mark": (attr(Ct.COMMIT), attr(Ct.ZONE, u16(3)), attr(Ct.MARK, u32(1, 3))),
        "mark without commit": (attr(Ct.MARK, u32(1, 3)),),
        "mark by nothing": (attr(Ct.COMMIT), attr(Ct.MARK, u32(0, 0))),
        "labels": (attr(Ct.COMMIT), attr(Ct.LABELS, bytes(range(16)) + FF[:16])),
        "labels by nothing": (attr(Ct.COMMIT), attr(Ct.LABELS, bytes(32))),
        "helper": (attr(Ct.COMMIT), attr(Ct.HELPER, b"nosuch\0")),
        "force commit": (attr(Ct.FORCE_COMMIT),),
        "both commits": (attr(Ct.COMMIT), attr(Ct.FORCE_COMMIT)),
        "event mask": (attr(Ct.COMMIT), attr(Ct.EVENTMASK, u32(0x33))),
        "event mask without commit": (attr(Ct.EVENTMASK, u32(0x33)),),
        "NAT": (nest(Ct.NAT),),
        "NAT source": (attr(Ct.COMMIT), nat),
        "NAT source without commit": (nat,),
        "NAT both": (attr(Ct.COMMIT), nest(Ct.NAT, attr(Nat.SRC), attr(Nat.DST))),
        "NAT unknown": (attr(Ct.COMMIT), nest(Ct.NAT, attr(20))),
        "NAT range": (
            attr(Ct.COMMIT),
            nest(
                Ct.NAT,
                attr(Nat.DST),
                attr(Nat.IP_MIN, IP_A),
                attr(Nat.IP_MAX, IP_B),
                attr(Nat.PROTO_MIN, u16(10)),
                attr(Nat.PROTO_MAX, u16(20)),
                attr(Nat.PERSISTENT),
            ),
        ),
        "NAT port without type": (attr(Ct.COMMIT), nest(Ct.NAT, attr(Nat.PROTO_MIN, u16(10)))),
        "unknown": (attr(20, bytes(4)),),
        "zone of 4 bytes": (attr(Ct.ZONE, u32(3)),),
        "mark of 4 bytes": (attr(Ct.COMMIT), attr(Ct.MARK, u32(3))),
        "trailing": (b"\1\2\3",),
    }
    try_actions(
        script,
        {f"ct: {label}": nest(Action.CT, *inside) for label, inside in lists.items()},
        ("UDP", "UDP over IPv6", "ARP request"),
    )


def tunnels(script: Script) -> None:
    """SET of a tunnel key."""
    four = (attr(TunnelKey.IPV4_DST, IP_B), attr(TunnelKey.TTL, u8(64)))
    ident = attr(TunnelKey.ID, be64(7))
    lists = {
        "IPv4": set_(tunnel()),
        "IPv4, flags": set_(tunnel(attr(5), attr(6))),
        "no id": set_(nest(Key.TUNNEL, *four)),
        "no destination": set_(nest(Key.TUNNEL, ident, attr(TunnelKey.TTL, u8(64)))),
        "no ttl": set_(nest(Key.TUNNEL, ident, attr(TunnelKey.IPV4_DST, IP_B))),
        "IPv6": set_(nest(Key.TUNNEL, ident, attr(13, IP6_B), attr(TunnelKey.TTL, u8(9)))),
        "IPv6, label": set_(
            nest(Key.TUNNEL, ident, attr(13, IP6_B), attr(4, u8(9)), attr(3, u8(1)))
        ),
        "ports": set_(nest(Key.TUNNEL, ident, *four, attr(9, be16(1)), attr(10, be16(2)))),
        "Geneve": set_(nest(Key.TUNNEL, ident, *four, attr(8, bytes.fromhex("0102030112345678")))),
        "Geneve, critical": set_(
            nest(Key.TUNNEL, ident, *four, attr(8, bytes.fromhex("0102830112345678")))
        ),
        "Geneve, bad length": set_(
            nest(Key.TUNNEL, ident, *four, attr(8, bytes.fromhex("0102030512345678")))
        ),
        "GBP": set_(nest(Key.TUNNEL, ident, *four, nest(11, attr(1, u32(5))))),
        "ERSPAN": set_(nest(Key.TUNNEL, ident, *four, attr(15, bytes([1, 0, 0, 0]) + bytes(8)))),
        "bridge": set_(nest(Key.TUNNEL, ident, *four, attr(TunnelKey.IPV4_INFO_BRIDGE))),
        "bridge only": set_(nest(Key.TUNNEL, ident, attr(TunnelKey.IPV4_INFO_BRIDGE))),
        "masked": nest(Action.SET_MASKED, tunnel()),
        "nothing": set_(nest(Key.TUNNEL)),
        "and more": set_(tunnel() + attr(Key.PRIORITY, u32(1))),
        "two sets": set_(tunnel()) + set_(attr(Key.PRIORITY, u32(1))),
    }
    try_actions(script, {f"tunnel: {k}": v for k, v in lists.items()}, ("UDP",))


SCENARIOS = tuple(
    Scenario(f"actions {run.__name__.rstrip('_')}", run, is_long=True)
    for run in (
        pushing,
        nesting,
        userspace_,
        conntrack,
        tunnels,
    )
)
