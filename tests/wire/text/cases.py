"""One flow for each thing that a flow may say: every attribute under every mask, every action.

`recorded.txt` has what ovs-dpctl prints of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from ovsdp_cuse.wire.action_attributes import (
    ActionAttr,
    CheckPktLenAttr,
    CtAttr,
    NatAttr,
    SampleAttr,
    UserspaceAttr,
)
from ovsdp_cuse.wire.attributes import pack_attribute as attribute
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd, FlowStats
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.nsh import NshKeyAttr
from ovsdp_cuse.wire.tunnel import TunnelKeyAttr, VxlanExt

MAC_A, MAC_B = bytes.fromhex("0a0000000001"), bytes.fromhex("0a0000000002")
IP_A, IP_B = bytes([10, 0, 0, 1]), bytes([192, 168, 200, 255])
IP6_A, IP6_B = bytes.fromhex("fd00" + "00" * 13 + "01"), bytes.fromhex("20010db8" + "0001" * 6)

FIELDS: Final[dict[int, bytes]] = {
    KeyAttr.PRIORITY: struct.pack("=I", 0x123),
    KeyAttr.IN_PORT: struct.pack("=I", 0),
    KeyAttr.ETHERNET: MAC_A + MAC_B,
    KeyAttr.VLAN: struct.pack("!H", 0x3005),
    KeyAttr.ETHERTYPE: struct.pack("!H", 0x0800),
    KeyAttr.IPV4: IP_A + IP_B + bytes([6, 0x10, 64, 1]),
    KeyAttr.IPV6: IP6_A + IP6_B + struct.pack("!IBBBB", 0x12345, 17, 0x20, 63, 2),
    KeyAttr.TCP: struct.pack("!HH", 1000, 80),
    KeyAttr.UDP: struct.pack("!HH", 53, 0),
    KeyAttr.ICMP: bytes([8, 0]),
    KeyAttr.ICMPV6: bytes([135, 0]),
    KeyAttr.ARP: IP_A + IP_B + struct.pack("!H", 2) + MAC_A + MAC_B + bytes(2),
    KeyAttr.ND: IP6_B + MAC_A + bytes(6),
    KeyAttr.SKB_MARK: struct.pack("=I", 0),
    KeyAttr.SCTP: struct.pack("!HH", 5000, 65535),
    KeyAttr.TCP_FLAGS: struct.pack("!H", 0xA12),
    KeyAttr.DP_HASH: struct.pack("=I", 0xDEADBEEF),
    KeyAttr.RECIRC_ID: struct.pack("=I", 9),
    KeyAttr.MPLS: struct.pack("!II", 0x64740, 0x1FF),
    KeyAttr.CT_STATE: struct.pack("=I", 0x2A),
    KeyAttr.CT_ZONE: struct.pack("=H", 5),
    KeyAttr.CT_MARK: struct.pack("=I", 0x77),
    KeyAttr.CT_LABELS: bytes(range(14)) + bytes(2),
    KeyAttr.CT_ORIG_TUPLE_IPV4: IP_A + IP_B + struct.pack("!HHB3x", 1, 2, 6),
    KeyAttr.CT_ORIG_TUPLE_IPV6: IP6_A + IP6_B + struct.pack("!HHB3x", 3, 4, 17),
    KeyAttr.PACKET_TYPE: struct.pack("!HH", 1, 0x800),
    KeyAttr.ND_EXTENSIONS: struct.pack("!IB3x", 0x80000000, 1),
    KeyAttr.IPV6_EXTHDRS: struct.pack("=H", 0x41),
}
"""A value of each attribute that has no others in it."""

TUNNEL: Final = (
    attribute(TunnelKeyAttr.ID, struct.pack("!Q", 0x1234))
    + attribute(TunnelKeyAttr.IPV4_SRC, IP_A)
    + attribute(TunnelKeyAttr.IPV4_DST, IP_B)
    + attribute(TunnelKeyAttr.TOS, b"\4")
    + attribute(TunnelKeyAttr.TTL, b"\x40")
    + attribute(TunnelKeyAttr.DONT_FRAGMENT, b"")
    + attribute(TunnelKeyAttr.CSUM, b"")
    + attribute(TunnelKeyAttr.OAM, b"")
    + attribute(TunnelKeyAttr.TP_SRC, struct.pack("!H", 40000))
    + attribute(TunnelKeyAttr.TP_DST, struct.pack("!H", 4789))
)
TUNNEL6: Final = attribute(TunnelKeyAttr.IPV6_SRC, IP6_A) + attribute(TunnelKeyAttr.IPV6_DST, IP6_B)
GENEVE: Final = bytes.fromhex("0102 80 01 0000000a 0103 02 00 ffff 03 02 00112233 44556677")
ERSPAN1: Final = struct.pack("=i", 1) + struct.pack("!I", 0x12345) + bytes(4)
ERSPAN2: Final = struct.pack("=i", 2) + bytes(7) + b"\x58"
OPTIONS: Final = {
    "vxlan": attribute(
        TunnelKeyAttr.VXLAN_OPTS, attribute(VxlanExt.GBP, struct.pack("=I", 0x80005))
    ),
    "geneve": attribute(TunnelKeyAttr.GENEVE_OPTS, GENEVE),
    "erspan 1": attribute(TunnelKeyAttr.ERSPAN_OPTS, ERSPAN1),
    "erspan 2": attribute(TunnelKeyAttr.ERSPAN_OPTS, ERSPAN2),
}
NSH: Final = attribute(
    NshKeyAttr.BASE, bytes([2, 63, 1, 3]) + struct.pack("!I", 0x123405)
) + attribute(NshKeyAttr.MD1, struct.pack("!4I", 1, 0, 0xABCDEF, 0xFFFFFFFF))
ENCAP: Final = (
    attribute(KeyAttr.ETHERTYPE, FIELDS[KeyAttr.ETHERTYPE])
    + attribute(KeyAttr.IPV4, FIELDS[KeyAttr.IPV4])
    + attribute(KeyAttr.TCP, FIELDS[KeyAttr.TCP])
)
NESTED: Final = {
    "tunnel": (KeyAttr.TUNNEL, TUNNEL),
    "tunnel6": (KeyAttr.TUNNEL, TUNNEL6),
    **{name: (KeyAttr.TUNNEL, option) for name, option in OPTIONS.items()},
    "nsh": (KeyAttr.NSH, NSH),
    "encap": (KeyAttr.ENCAP, ENCAP),
    "empty encap": (KeyAttr.ENCAP, b""),
}

MASKS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "exact": lambda payload: b"\xff" * len(payload),
    "open": lambda payload: bytes(len(payload)),
    "partial": lambda payload: bytes(0xF0 >> at % 3 for at in range(len(payload))),
    "odd": lambda payload: bytes(0xFF * (at % 5 < 3) for at in range(len(payload))),
}
"""Masks of a payload."""

OPEN_PORT: Final = attribute(KeyAttr.IN_PORT, bytes(4))


def message(key: bytes, mask: bytes | None = None, actions: bytes = b"", **more: Any) -> Message:
    """A flow as a dump tells it; further attributes by their names."""
    attributes = {int(FlowAttr.KEY): key, int(FlowAttr.ACTIONS): actions}
    if mask is not None:
        attributes[FlowAttr.MASK] = mask
    return Message(
        FLOW.id,
        FlowCmd.GET,
        attributes | {int(FlowAttr[name.upper()]): value for name, value in more.items()},
    )


def _keys() -> Iterator[tuple[str, Message]]:
    for number, payload in FIELDS.items():
        name, key = KeyAttr(number).name.lower(), attribute(number, payload)
        yield f"{name}, no mask", message(key)
        yield f"{name}, not in the mask", message(key, OPEN_PORT)
        for kind, make in MASKS.items():
            yield f"{name}, {kind}", message(key, attribute(number, make(payload)))
    for name, (number, payload) in NESTED.items():
        key = attribute(number, payload)
        yield f"{name}, no mask", message(key)
        yield f"{name}, not in the mask", message(key, OPEN_PORT)
        yield f"{name}, empty mask", message(key, attribute(number, b""))
        for kind, make in MASKS.items():
            yield f"{name}, {kind}", message(key, attribute(number, _inner(payload, make)))
    labels = FIELDS[KeyAttr.MPLS]
    for name, payload, mask in (
        ("an empty label stack", b"", b""),
        ("half a label", labels[:2], labels[:2]),
        ("another label stack in the mask", labels, labels[:4]),
    ):
        yield name, message(attribute(KeyAttr.MPLS, payload), attribute(KeyAttr.MPLS, mask))
    no_type = attribute(KeyAttr.ETHERNET, MAC_A + MAC_B)
    yield "no EtherType", message(no_type, attribute(KeyAttr.ETHERTYPE, b"\xff\xff"))
    both = no_type + attribute(KeyAttr.ETHERTYPE, b"\x08\0")
    yield "an open eth() first", message(both, attribute(KeyAttr.ETHERTYPE, b"\xff\xff"))
    for bits in range(12):
        flags = attribute(KeyAttr.TCP_FLAGS, struct.pack("!H", 1 << bits))
        yield f"TCP flag {bits}", message(flags, attribute(KeyAttr.TCP_FLAGS, b"\xff\xff"))
    state = struct.pack("=I", 0xAA)
    yield (
        "all states",
        message(
            attribute(KeyAttr.CT_STATE, state),
            attribute(KeyAttr.CT_STATE, struct.pack("=I", 0x1FF)),
        ),
    )
    for text, address in {
        "all zeros": "00" * 16,
        "like IPv4": "00" * 12 + "01020304",
        "mapped IPv4": "00" * 10 + "ffff01020304",
        "two runs": "2001" + "0000" * 2 + "0001" + "0000" * 3 + "0001",
        "one zero": "0001" * 7 + "0000",
    }.items():
        ends = bytes.fromhex(address) * 2
        yield f"IPv6 {text}", message(attribute(KeyAttr.IPV6, ends + bytes(8)))


def _inner(payload: bytes, make: Callable[[bytes], bytes]) -> bytes:
    """A mask of attributes: of flags that they are there, of others what `make` says."""
    made = b""
    while payload:
        length, number = struct.unpack_from("=HH", payload)
        inner = payload[4:length]
        if number == TunnelKeyAttr.VXLAN_OPTS and len(inner) == 8:
            inner = inner[:4] + make(inner[4:])
            made += attribute(number, inner)
        else:
            made += attribute(number, make(inner))
        payload = payload[(length + 3) & ~3 :]
    return made


def cookie(kind: int, data: bytes) -> bytes:
    """struct user_action_cookie of Open vSwitch 3.1."""
    return struct.pack("=H", kind) + bytes(22) + data.ljust(24, b"\0")


def upcall(*attributes: bytes) -> bytes:
    """userspace(pid=7,...)."""
    pid = attribute(UserspaceAttr.PID, struct.pack("=I", 7))
    return attribute(ActionAttr.USERSPACE, pid + b"".join(attributes))


def masked(number: int, value: bytes, mask: bytes) -> bytes:
    """set() of some bits."""
    return attribute(ActionAttr.SET_MASKED, attribute(number, value + mask))


def ct(*attributes: tuple[int, bytes]) -> bytes:
    """ct(...)."""
    return attribute(ActionAttr.CT, b"".join(attribute(*one) for one in attributes))


def nat(*attributes: tuple[int, bytes]) -> bytes:
    """ct(nat(...))."""
    return ct((CtAttr.NAT, b"".join(attribute(*one) for one in attributes)))


OUTPUT: Final = attribute(ActionAttr.OUTPUT, struct.pack("=I", 0))
PORT_80: Final = struct.pack("=H", 80)

ACTIONS: Final[dict[str, bytes]] = {
    "drop": b"",
    "output": OUTPUT + attribute(ActionAttr.OUTPUT, struct.pack("=I", 65534)) + OUTPUT,
    "userspace": upcall(),
    "userspace, no pid": attribute(ActionAttr.USERSPACE, b""),
    "userspace, all": upcall(
        attribute(UserspaceAttr.USERDATA, b"\1\2\3"),
        attribute(UserspaceAttr.EGRESS_TUN_PORT, struct.pack("=I", 0)),
        attribute(UserspaceAttr.ACTIONS, b""),
    ),
    **{
        f"userspace, {name}": upcall(attribute(UserspaceAttr.USERDATA, cookie(kind, data)))
        for name, kind, data in (
            ("unspecified", 0, b""),
            ("sFlow", 1, struct.pack("!HxxI", 0x3005, 0x01000000)),
            ("slow path", 2, struct.pack("=II", 0, 4)),
            ("slow path, none", 2, b""),
            ("slow path, all", 2, struct.pack("=II", 0, 0x1FF)),
            ("flow sample", 3, struct.pack("=HxxIIIII", 9, 1, 2, 3, 0, 0)),
            ("flow sample, ingress", 3, struct.pack("=HxxIIIII", 9, 1, 2, 3, 4, 1)),
            ("flow sample, egress", 3, struct.pack("=HxxIIIII", 65535, 1, 2, 3, 4, 2)),
            ("ipfix", 4, struct.pack("=I", 0)),
            ("controller", 5, struct.pack("=BBHIQHH", 1, 0, 1, 7, 1, 0, 65535)),
            ("controller, continuation", 5, struct.pack("=BBHIQHH", 0, 1, 0, 0, 0, 5, 128)),
            ("another", 6, b"\1"),
        )
    },
    **{
        f"set {KeyAttr(number).name.lower()}": attribute(ActionAttr.SET, attribute(number, payload))
        for number, payload in FIELDS.items()
        if number < KeyAttr.PACKET_TYPE
    },
    **{
        f"set {name}": attribute(ActionAttr.SET, attribute(number, payload))
        for name, (number, payload) in NESTED.items()
    },
    **{
        f"set some of {KeyAttr(number).name.lower()}, {kind}": masked(
            number, payload, make(payload)
        )
        for number, payload in FIELDS.items()
        if number < KeyAttr.PACKET_TYPE and len(payload) <= 40
        for kind, make in MASKS.items()
    },
    "set some of nsh": attribute(
        ActionAttr.SET_MASKED,
        attribute(
            KeyAttr.NSH,
            attribute(NshKeyAttr.BASE, bytes([0, 5, 0, 0, 0, 0, 1, 2]) + b"\0\xff\0\0\0\0\x0f\xff"),
        ),
    ),
    "set another nsh": attribute(
        ActionAttr.SET_MASKED, attribute(KeyAttr.NSH, attribute(NshKeyAttr.MD2, bytes(8)))
    ),
    "push_vlan": attribute(ActionAttr.PUSH_VLAN, struct.pack("!HH", 0x8100, 0x1005)),
    "push_vlan, other TPID": attribute(ActionAttr.PUSH_VLAN, struct.pack("!HH", 0x88A8, 0x3005)),
    "push_vlan, no tag": attribute(ActionAttr.PUSH_VLAN, struct.pack("!HH", 0x8100, 0)),
    "pop_vlan": attribute(ActionAttr.POP_VLAN, b""),
    "sample": attribute(
        ActionAttr.SAMPLE,
        attribute(SampleAttr.PROBABILITY, struct.pack("=I", 1 << 31))
        + attribute(SampleAttr.ACTIONS, upcall() + OUTPUT),
    ),
    "sample, broken": attribute(ActionAttr.SAMPLE, attribute(SampleAttr.ACTIONS, OUTPUT)),
    "recirc": attribute(ActionAttr.RECIRC, struct.pack("=I", 0x10)),
    "recirc 0": attribute(ActionAttr.RECIRC, bytes(4)),
    **{
        f"hash {kind}": attribute(ActionAttr.HASH, struct.pack("=II", kind, 5)) for kind in range(3)
    },
    "push_mpls": attribute(ActionAttr.PUSH_MPLS, struct.pack("!IHxx", 0x64740, 0x8847)),
    "pop_mpls": attribute(ActionAttr.POP_MPLS, b"\x08\0"),
    "add_mpls": attribute(ActionAttr.ADD_MPLS, struct.pack("!IH", 0x64040, 0x8848) + b"\1\0"),
    "ct": ct(),
    "ct, zone 0": ct((CtAttr.ZONE, bytes(2))),
    "ct, all": ct(
        (CtAttr.COMMIT, b""),
        (CtAttr.FORCE_COMMIT, b""),
        (CtAttr.ZONE, struct.pack("=H", 3)),
        (CtAttr.MARK, struct.pack("=II", 0, 0xF)),
        (CtAttr.LABELS, bytes(range(16)) + b"\xff" * 8 + bytes(8)),
        (CtAttr.HELPER, b"ftp\0"),
        (CtAttr.NAT, b""),
        (CtAttr.EVENTMASK, struct.pack("=I", 5)),
        (CtAttr.TIMEOUT, b"slow\0"),
    ),
    "ct, whole label": ct((CtAttr.LABELS, bytes(16) + b"\xff" * 16)),
    "ct, broken": ct((CtAttr.ZONE, b"\1")),
    "nat src": nat((NatAttr.SRC, b"")),
    "nat dst, range": nat(
        (NatAttr.DST, b""),
        (NatAttr.IP_MIN, IP_A),
        (NatAttr.IP_MAX, IP_B),
        (NatAttr.PROTO_MIN, PORT_80),
        (NatAttr.PROTO_MAX, struct.pack("=H", 90)),
        (NatAttr.PERSISTENT, b""),
        (NatAttr.PROTO_HASH, b""),
        (NatAttr.PROTO_RANDOM, b""),
    ),
    "nat, one": nat(
        (NatAttr.SRC, b""),
        (NatAttr.IP_MIN, IP_A),
        (NatAttr.IP_MAX, IP_A),
        (NatAttr.PROTO_MIN, PORT_80),
        (NatAttr.PROTO_MAX, PORT_80),
    ),
    "nat, IPv6": nat((NatAttr.SRC, b""), (NatAttr.IP_MIN, IP6_B), (NatAttr.IP_MAX, IP6_A)),
    "nat, IPv6 range": nat(
        (NatAttr.SRC, b""),
        (NatAttr.IP_MIN, IP6_B),
        (NatAttr.IP_MAX, IP6_A),
        (NatAttr.PROTO_MIN, PORT_80),
    ),
    "nat, no direction": nat((NatAttr.IP_MIN, IP_A)),
    "nat, both": nat((NatAttr.SRC, b""), (NatAttr.DST, b"")),
    "nat, ports alone": nat((NatAttr.SRC, b""), (NatAttr.PROTO_MIN, PORT_80)),
    "nat, no lowest": nat((NatAttr.SRC, b""), (NatAttr.IP_MAX, IP_A)),
    "nat, sizes": nat((NatAttr.SRC, b""), (NatAttr.IP_MIN, IP_A), (NatAttr.IP_MAX, IP6_A)),
    "nat, backwards": nat((NatAttr.SRC, b""), (NatAttr.IP_MIN, IP_B), (NatAttr.IP_MAX, IP_A)),
    "nat, broken": nat((NatAttr.SRC, b""), (NatAttr.IP_MIN, b"\1")),
    "ct_clear": attribute(ActionAttr.CT_CLEAR, b""),
    "trunc": attribute(ActionAttr.TRUNC, struct.pack("=I", 64)),
    "push_eth": attribute(ActionAttr.PUSH_ETH, MAC_A + MAC_B),
    "pop_eth": attribute(ActionAttr.POP_ETH, b""),
    "push_nsh": attribute(ActionAttr.PUSH_NSH, attribute(KeyAttr.NSH, NSH)),
    "push_nsh, md2": attribute(
        ActionAttr.PUSH_NSH,
        attribute(
            KeyAttr.NSH,
            attribute(NshKeyAttr.BASE, bytes([0, 63, 2, 1, 0, 0, 1, 255]))
            + attribute(NshKeyAttr.MD2, bytes.fromhex("00010004 0a0b0c0d")),
        ),
    ),
    "push_nsh, md3": attribute(
        ActionAttr.PUSH_NSH,
        attribute(KeyAttr.NSH, attribute(NshKeyAttr.BASE, bytes([7, 255, 3, 1, 0, 0, 1, 255]))),
    ),
    "pop_nsh": attribute(ActionAttr.POP_NSH, b""),
    "meter": attribute(ActionAttr.METER, struct.pack("=I", 3)),
    "clone": attribute(ActionAttr.CLONE, attribute(ActionAttr.CLONE, b"") + OUTPUT),
    "check_pkt_len": attribute(
        ActionAttr.CHECK_PKT_LEN,
        attribute(CheckPktLenAttr.PKT_LEN, struct.pack("=H", 100))
        + attribute(CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL, b"")
        + attribute(CheckPktLenAttr.ACTIONS_IF_GREATER, OUTPUT),
    ),
    "check_pkt_len, broken": attribute(ActionAttr.CHECK_PKT_LEN, b""),
    "no action": attribute(99, b"\1\2"),
    "a wrong size": attribute(ActionAttr.METER, b"\1"),
}


def _flows() -> Iterator[tuple[str, Message]]:
    yield from _keys()
    key = attribute(KeyAttr.IN_PORT, bytes(4))
    for name, actions in ACTIONS.items():
        yield f"action {name}", message(key, None, actions)
    yield "a UFID", message(key, ufid=bytes(range(16)))
    yield "packets", message(key, stats=FlowStats(3, 1 << 63))
    for bit in range(8):
        yield f"flag {bit} of its packets", message(key, tcp_flags=1 << bit)
    yield "all flags of its packets", message(key, tcp_flags=0xFF)


CASES: Final[dict[str, Message]] = dict(_flows())
