"""`set` and `set_masked`: which fields of which headers can be set, and where."""

from __future__ import annotations

import struct
from errno import EINVAL

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.actions import parse_actions
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.switch.actions import (
    Action,
    Layer,
    PushMpls,
    Set,
)
from ovsdp_cuse.wire.action_attributes import (
    ActionAttr,
)
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.key import KeyAttr
from tests.families.action_cases import (
    ARP,
    CFI,
    ICMP,
    IPV4,
    IPV6,
    MAC_A,
    MAC_B,
    MPLS,
    NSH,
    POP_ETH,
    SCTP,
    TCP,
    TCP_FLOW,
    UDP,
    flow_key,
    ipv4,
    ipv6,
    pop_mpls,
    push_mpls,
    set_,
    set_masked,
    u32,
)

TAGGED = flow_key(vlan_tci=CFI | 5)
NO_ETHERNET = flow_key(ethernet=False)
LABELLED = flow_key(MPLS, labels=2)
ETH_ONES = k.ETH_SRC.ones | k.ETH_DST.ones
IPV4_ONES = k.IPV4_SRC.ones | k.IPV4_DST.ones | k.IP_TOS.ones | k.IP_TTL.ones
IPV6_ONES = (
    k.IPV6_SRC.ones | k.IPV6_DST.ones | k.IPV6_LABEL.place(0xFFFFF) | k.IP_TOS.ones | k.IP_TTL.ones
)
PORT_ONES = k.TP_SRC.ones | k.TP_DST.ones
ADDRESSES = MAC_A + MAC_B
PORTS = struct.pack("!HH", 1000, 2000)
PORT_KEY = k.TP_SRC.place(1000) | k.TP_DST.place(2000)
SRC, DST = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])

ACCEPTED: list[tuple[str, int, bytes, list[Action]]] = [
    (
        "set eth",
        TCP_FLOW,
        set_(KeyAttr.ETHERNET, ADDRESSES),
        [
            Set(Layer.ETHERNET, k.ETH_SRC.place(MAC_A) | k.ETH_DST.place(MAC_B), ETH_ONES),
        ],
    ),
    (
        "set ipv4",
        flow_key(protocol=UDP, fragment=1),
        set_(KeyAttr.IPV4, ipv4(SRC, DST, UDP, 0x2E, 9, 1)),
        [
            Set(
                Layer.IPV4,
                k.IPV4_SRC.place(SRC)
                | k.IPV4_DST.place(DST)
                | k.IP_TOS.place(0x2E)
                | k.IP_TTL.place(9),
                IPV4_ONES,
            )
        ],
    ),
    (
        "set ipv6",
        flow_key(IPV6),
        set_(KeyAttr.IPV6, ipv6(0xFFFFF, TCP, 3, 4)),
        [
            Set(
                Layer.IPV6,
                k.IPV6_LABEL.place(0xFFFFF) | k.IP_TOS.place(3) | k.IP_TTL.place(4),
                IPV6_ONES,
            )
        ],
    ),
    ("set tcp", flow_key(IPV6), set_(KeyAttr.TCP, PORTS), [Set(Layer.TCP, PORT_KEY, PORT_ONES)]),
    (
        "set udp",
        flow_key(protocol=UDP),
        set_(KeyAttr.UDP, PORTS),
        [
            Set(Layer.UDP, PORT_KEY, PORT_ONES),
        ],
    ),
    (
        "set sctp",
        flow_key(protocol=SCTP),
        set_(KeyAttr.SCTP, PORTS),
        [
            Set(Layer.SCTP, PORT_KEY, PORT_ONES),
        ],
    ),
    (
        "set mpls",
        LABELLED,
        set_(KeyAttr.MPLS, struct.pack("!I", 0x12345)),
        [
            Set(Layer.MPLS, k.MPLS_LSE_0.place(0x12345), k.MPLS_LSE_0.ones),
        ],
    ),
    (
        "set mpls of a pushed label",
        TCP_FLOW,
        push_mpls(lse=1) + set_(KeyAttr.MPLS, bytes(4)),
        [
            PushMpls(1, MPLS),
            Set(Layer.MPLS, 0, k.MPLS_LSE_0.ones),
        ],
    ),
    (
        "set priority",
        TCP_FLOW,
        set_(KeyAttr.PRIORITY, u32(5)),
        [
            Set(Layer.METADATA, k.PRIORITY.place(5), k.PRIORITY.ones),
        ],
    ),
    (
        "set_masked skb_mark",
        TCP_FLOW,
        set_masked(KeyAttr.SKB_MARK, u32(5), u32(7)),
        [
            Set(Layer.METADATA, k.SKB_MARK.place(5), k.SKB_MARK.place(7)),
        ],
    ),
    (
        "set ct_mark",
        TCP_FLOW,
        set_(KeyAttr.CT_MARK, u32(5)),
        [
            Set(Layer.CONNTRACK, k.CT_MARK.place(5), k.CT_MARK.ones),
        ],
    ),
    (
        "set_masked ct_labels",
        TCP_FLOW,
        set_masked(KeyAttr.CT_LABELS, bytes(16), b"\xff" * 16),
        [
            Set(Layer.CONNTRACK, 0, k.CT_LABELS.ones),
        ],
    ),
    (
        "set_masked ipv4 of another protocol's packets",
        flow_key(protocol=0),
        set_masked(KeyAttr.IPV4, ipv4(proto=0, ttl=9), ipv4(proto=0, ttl=255)),
        [Set(Layer.IPV4, k.IP_TTL.place(9), k.IP_TTL.ones)],
    ),
    (
        "set_masked ipv6",
        flow_key(IPV6),
        set_masked(KeyAttr.IPV6, ipv6(5, 0, 0, 0), ipv6(0xF, 0, 0, 0)),
        [Set(Layer.IPV6, k.IPV6_LABEL.place(5), k.IPV6_LABEL.place(0xF))],
    ),
    (
        "set_masked of nothing",
        TCP_FLOW,
        set_masked(KeyAttr.ETHERNET, bytes(12), bytes(12)),
        [Set(Layer.ETHERNET, 0, 0)],
    ),
    (
        "set_masked with a byte that belongs to nothing",
        TCP_FLOW,
        set_masked(KeyAttr.PRIORITY, u32(1), u32(1) + b"?"),
        [Set(Layer.METADATA, k.PRIORITY.place(1), k.PRIORITY.place(1))],
    ),
]


@pytest.mark.parametrize(
    ("key", "data", "actions"), [case[1:] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED]
)
def test_accepted(key: int, data: bytes, actions: list[Action]) -> None:
    parsed = parse_actions(data, key)
    assert parsed.actions == tuple(actions)
    assert parsed.wire == data


def raw(number: int, payload: bytes) -> bytes:
    """Any action."""
    return pack_attribute(number, payload)


REJECTED: list[tuple[str, int, bytes]] = [
    ("set ipv4 after pop_mpls", LABELLED, pop_mpls(IPV4) + set_(KeyAttr.IPV4, ipv4())),
    ("set of nothing", TCP_FLOW, raw(ActionAttr.SET, b"")),
    ("set of a cut attribute", TCP_FLOW, raw(ActionAttr.SET, struct.pack("=HH", 8, 2))),
    ("set of an attribute too short", TCP_FLOW, raw(ActionAttr.SET, struct.pack("=HH", 3, 2))),
    ("set of two attributes", TCP_FLOW, raw(ActionAttr.SET, raw(2, u32(1)) + raw(15, u32(1)))),
    ("set without padding", TCP_FLOW, raw(ActionAttr.SET, raw(2, bytes(3))[:-1])),
    ("set of another size", TCP_FLOW, set_(KeyAttr.ETHERNET, bytes(11))),
    ("set_masked of another size", TCP_FLOW, set_masked(KeyAttr.ETHERNET, bytes(12), bytes(10))),
    ("set_masked without mask", TCP_FLOW, raw(ActionAttr.SET_MASKED, raw(2, u32(1)))),
    ("set_masked of more than the mask", TCP_FLOW, set_masked(KeyAttr.PRIORITY, u32(9), u32(1))),
    ("set eth without Ethernet", NO_ETHERNET, set_(KeyAttr.ETHERNET, ADDRESSES)),
    ("set eth after pop_eth", TCP_FLOW, POP_ETH + set_(KeyAttr.ETHERNET, ADDRESSES)),
    ("set ipv4 of IPv6", flow_key(IPV6), set_(KeyAttr.IPV4, ipv4())),
    ("set ipv4 to another protocol", TCP_FLOW, set_(KeyAttr.IPV4, ipv4(proto=UDP))),
    ("set ipv4 to another fragment", TCP_FLOW, set_(KeyAttr.IPV4, ipv4(frag=1))),
    ("set ipv4 after push_mpls", TCP_FLOW, push_mpls() + set_(KeyAttr.IPV4, ipv4())),
    (
        "set_masked ipv4 protocol",
        TCP_FLOW,
        set_masked(KeyAttr.IPV4, bytes(12), ipv4(proto=1, ttl=0)),
    ),
    (
        "set_masked ipv4 fragment",
        TCP_FLOW,
        set_masked(KeyAttr.IPV4, bytes(12), ipv4(proto=0, ttl=0, frag=1)),
    ),
    ("set ipv6 of IPv4", TCP_FLOW, set_(KeyAttr.IPV6, ipv6())),
    ("set ipv6 to another protocol", flow_key(IPV6), set_(KeyAttr.IPV6, ipv6(proto=UDP))),
    ("set ipv6 to another fragment", flow_key(IPV6), set_(KeyAttr.IPV6, ipv6(frag=2))),
    ("set ipv6 label", flow_key(IPV6), set_(KeyAttr.IPV6, ipv6(0x100000))),
    (
        "set_masked ipv6 protocol",
        flow_key(IPV6),
        set_masked(KeyAttr.IPV6, bytes(40), ipv6(0, 1, 0, 0)),
    ),
    (
        "set_masked ipv6 fragment",
        flow_key(IPV6),
        set_masked(KeyAttr.IPV6, bytes(40), ipv6(0, 0, 0, 0, 1)),
    ),
    (
        "set_masked ipv6 label",
        flow_key(IPV6),
        set_masked(KeyAttr.IPV6, bytes(40), ipv6(0x100000, 0, 0, 0)),
    ),
    ("set tcp of UDP", flow_key(protocol=UDP), set_(KeyAttr.TCP, PORTS)),
    ("set tcp of no IP", flow_key(ARP), set_(KeyAttr.TCP, PORTS)),
    ("set udp of TCP", TCP_FLOW, set_(KeyAttr.UDP, PORTS)),
    ("set sctp of TCP", TCP_FLOW, set_(KeyAttr.SCTP, PORTS)),
    ("set tcp after push_mpls", TCP_FLOW, push_mpls() + set_(KeyAttr.TCP, PORTS)),
    ("set mpls of IPv4", TCP_FLOW, set_(KeyAttr.MPLS, bytes(4))),
    ("set mpls of two labels", LABELLED, set_(KeyAttr.MPLS, bytes(8))),
    ("set_masked mpls without mask", LABELLED, raw(ActionAttr.SET_MASKED, raw(21, bytes(4)))),
    ("set tunnel, masked", TCP_FLOW, set_masked(KeyAttr.TUNNEL, b"", b"")),
    *(
        (f"set {KeyAttr(number).name}", key, set_(number, bytes(size)))
        for number, key, size in (
            (KeyAttr.UNSPEC, TCP_FLOW, 0),
            (KeyAttr.ENCAP, TAGGED, 0),
            (KeyAttr.IN_PORT, TCP_FLOW, 4),
            (KeyAttr.VLAN, TAGGED, 2),
            (KeyAttr.ETHERTYPE, TCP_FLOW, 2),
            (KeyAttr.ICMP, flow_key(protocol=ICMP), 2),
            (KeyAttr.ICMPV6, flow_key(IPV6, 58), 2),
            (KeyAttr.ARP, flow_key(ARP), 24),
            (KeyAttr.ND, flow_key(IPV6, 58), 28),
            (KeyAttr.TCP_FLAGS, TCP_FLOW, 2),
            (KeyAttr.DP_HASH, TCP_FLOW, 4),
            (KeyAttr.RECIRC_ID, TCP_FLOW, 4),
            (KeyAttr.CT_STATE, TCP_FLOW, 4),
            (KeyAttr.CT_ZONE, TCP_FLOW, 2),
            (KeyAttr.CT_ORIG_TUPLE_IPV4, TCP_FLOW, 16),
            (KeyAttr.CT_ORIG_TUPLE_IPV6, flow_key(IPV6), 40),
            (KeyAttr.NSH, flow_key(NSH), 0),
            (KeyAttr.PACKET_TYPE, TCP_FLOW, 4),
            (KeyAttr.ND_EXTENSIONS, TCP_FLOW, 4),
            (KeyAttr.TUNNEL_INFO, TCP_FLOW, 8),
            (KeyAttr.IPV6_EXTHDRS, flow_key(IPV6), 2),
        )
    ),
    ("set of an unknown attribute", TCP_FLOW, set_(33, u32(0))),
]


@pytest.mark.parametrize(
    ("key", "data"), [case[1:] for case in REJECTED], ids=[case[0] for case in REJECTED]
)
def test_rejected(key: int, data: bytes) -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(data, key)
    assert caught.value.errno == EINVAL, caught.value
    assert "set" in caught.value.message
