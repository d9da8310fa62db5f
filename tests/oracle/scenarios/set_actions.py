"""SET and SET_MASKED: which fields may be set in which packets, and to what."""

from __future__ import annotations

from tests.oracle.frames import GOOD
from tests.oracle.keys import (
    ETH_A,
    ETH_B,
    IP6_A,
    IP6_B,
    IP_A,
    IP_B,
    P_IP,
    P_IPV6,
    TCP,
    UDP,
    arp_key,
    ethertype,
    in_port,
    ipv4,
    ipv6,
    ports,
    set_,
    set_masked,
    udp_key,
    userspace,
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
    Flow,
    Key,
    Packet,
    attr,
    be16,
    be32,
    nest,
    u16,
    u32,
)
from tests.oracle.scenarios.actions import BASE, FF, try_actions
from tests.oracle.steps import Scenario, Script


def setting(script: Script) -> None:
    """SET and SET_MASKED of every field."""
    values: dict[int, bytes] = {
        Key.PRIORITY: u32(7),
        Key.SKB_MARK: u32(8),
        Key.ETHERNET: ETH_B + ETH_A,
        Key.IPV4: IP_B + IP_A + bytes([UDP, 0x20, 9, 0]),
        Key.IPV6: IP6_B + IP6_A + be32(0x777) + bytes([UDP, 0x20, 9, 0]),
        Key.TCP: be16(7, 8),
        Key.UDP: be16(7, 8),
        Key.SCTP: be16(7, 8),
        Key.MPLS: be32(300 << 12 | 0x120),
        Key.IN_PORT: u32(3),
        Key.ETHERTYPE: be16(P_IP),
        Key.VLAN: be16(0x1009),
        Key.ICMP: b"\0\0",
        Key.ICMPV6: b"\x81\0",
        Key.ARP: IP_A + IP_B + be16(2) + ETH_A + ETH_B + bytes(2),
        Key.ND: IP6_B + ETH_A + ETH_B,
        Key.TCP_FLAGS: be16(2),
        Key.DP_HASH: u32(1),
        Key.RECIRC_ID: u32(1),
        Key.CT_STATE: u32(1),
        Key.CT_ZONE: u16(1),
        Key.CT_MARK: u32(1),
        Key.CT_LABELS: bytes(16),
        Key.PACKET_TYPE: bytes(4),
        Key.TUNNEL_INFO: bytes(8),
        Key.IPV6_EXTHDRS: u16(1),
    }
    lists = {"nothing": set_(), "masked, nothing": attr(Action.SET_MASKED)}
    for number, value in values.items():
        name = Key(number).name
        lists[f"set {name}"] = set_(attr(number, value))
        lists[f"set {name}, short"] = set_(attr(number, value[:-1]))
        lists[f"set {name} by ones"] = set_masked(number, value, FF[: len(value)])
        lists[f"set {name} by nothing"] = set_masked(number, value, bytes(len(value)))
        half = bytes(0xFF if at % 2 else 0 for at in range(len(value)))
        lists[f"set {name} by half"] = set_masked(number, value, half)
    try_actions(script, lists)


def setting_parts(script: Script) -> None:
    """One field of an IP header at a time."""
    lists = {}
    for protocol in (UDP, TCP):
        four = {
            "source": IP_B + IP_B + bytes([protocol, 0, 64, 0]),
            "target": IP_A + IP_A + bytes([protocol, 0, 64, 0]),
            "tos": IP_A + IP_B + bytes([protocol, 0xFC, 64, 0]),
            "ttl": IP_A + IP_B + bytes([protocol, 0, 1, 0]),
            "frag": IP_A + IP_B + bytes([protocol, 0, 64, 1]),
        }
        for label, value in four.items():
            lists[f"IPv4 {protocol} {label}"] = set_(attr(Key.IPV4, value))
    for at in range(12):
        mask = bytearray(12)
        mask[at] = 0x5A
        lists[f"IPv4 byte {at}"] = set_masked(Key.IPV4, FF[:12], bytes(mask))
        lists[f"IPv4 byte {at}, set to mask"] = set_masked(Key.IPV4, bytes(mask), bytes(mask))
    for at in range(40):
        mask = bytearray(40)
        mask[at] = 0x5A
        lists[f"IPv6 byte {at}, set to mask"] = set_masked(Key.IPV6, bytes(mask), bytes(mask))
    for number in (Key.UDP, Key.TCP):
        for mask_ in (b"\xff\xff\0\0", b"\0\0\xff\xff", b"\0\xff\0\0"):
            value = bytes(a & b for a, b in zip(be16(0x1122, 0x3344), mask_, strict=True))
            lists[f"{number.name} by {mask_.hex()}"] = set_masked(number, value, mask_)
        lists[f"{number.name} to 0"] = set_(attr(number, bytes(4)))
    try_actions(script, lists, ("UDP", "TCP", "UDP over IPv6"))
    for label in (
        "UDP without a checksum",
        "later fragment",
        "IPv4 options",
        "IPv6 later fragment",
    ):
        frame = attr(Packet.PACKET, GOOD[label]), nest(Packet.KEY, in_port())
        for name, action in {
            "address": set_masked(Key.IPV4, IP_B + bytes(8), FF[:4] + bytes(8)),
            "ttl": set_masked(Key.IPV4, bytes(10) + b"\5\0", bytes(10) + b"\xff\0"),
            "ports": set_masked(Key.UDP, be16(5, 6), FF[:4]),
            "IPv6 address": set_masked(Key.IPV6, IP6_B + bytes(24), FF[:16] + bytes(24)),
        }.items():
            run = nest(Packet.ACTIONS, action, userspace(script.pid))
            script.ask(f"{label}: {name}", PACKET, EXECUTE, *frame, run, flags=ACK)


def sets_by_packet(script: Script) -> None:
    """What may be set depends on the flow's key and mask."""
    script.make_datapath()
    values = {
        "IPv4": attr(Key.IPV4, IP_A + IP_B + bytes([UDP, 0, 9, 0])),
        "IPv6": attr(Key.IPV6, IP6_A + IP6_B + bytes(4) + bytes([UDP, 0, 9, 0])),
        "UDP": attr(Key.UDP, be16(1, 2)),
        "TCP": attr(Key.TCP, be16(1, 2)),
        "MPLS": attr(Key.MPLS, be32(0x64140)),
        "Ethernet": attr(Key.ETHERNET, ETH_B + ETH_A),
    }
    kind = attr(Key.ETHERTYPE, b"\xff\xff")
    protocol = attr(Key.IPV4, bytes(8) + b"\xff\0\0\0")
    flows = {
        "wildcarded": (udp_key(), attr(Flow.MASK)),
        "type matched": (udp_key(), nest(Flow.MASK, kind)),
        "protocol matched": (udp_key(), nest(Flow.MASK, kind, protocol)),
        "fragment": (BASE + ethertype() + ipv4(frag=2), attr(Flow.MASK, kind + protocol)),
        "protocol 0": (BASE + ethertype() + ipv4(0), attr(Flow.MASK, kind + protocol)),
        "IPv6 protocol 0": (BASE + ethertype(P_IPV6) + ipv6(0), attr(Flow.MASK, kind)),
        "ports 0": (BASE + ethertype() + ipv4() + ports(source=0, target=0), b""),
        "ARP": (arp_key(), nest(Flow.MASK, attr(Key.ETHERTYPE, be16(0xFFFF)))),
        "no Ethernet": (in_port() + ethertype() + ipv4() + ports(), b""),
        "type 0": (BASE, b""),
    }
    for label, (key, mask) in flows.items():
        for name, value in values.items():
            told = attr(Flow.KEY, key), mask, nest(Flow.ACTIONS, set_(value))
            script.ask(f"{label}: set {name}", FLOW, NEW, *told, flags=ECHO)
            script.ask("read", FLOW, GET, attr(Flow.KEY, key))
            script.ask("flush", FLOW, DEL)


SCENARIOS = tuple(
    Scenario(f"actions {run.__name__.rstrip('_')}", run, is_long=True)
    for run in (
        setting,
        setting_parts,
        sets_by_packet,
    )
)
