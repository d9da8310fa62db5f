"""Which masks are refused, and what is matched of those that pass: every rule of the kernel's."""

from __future__ import annotations

from errno import EINVAL

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.key import (
    build_key,
    build_mask,
    parse_exact_key,
    parse_match,
)
from ovsdp_cuse.wire.attributes import offset_of, pack_attribute
from ovsdp_cuse.wire.flow import FlowAttr
from ovsdp_cuse.wire.key import (
    KEY,
    KeyArp,
    KeyAttr,
    KeyCtTupleIpv4,
    KeyCtTupleIpv6,
    KeyEthernet,
    KeyIcmp,
    KeyIpv4,
    KeyIpv6,
    KeyMpls,
    KeyNd,
    KeyPorts,
)
from ovsdp_cuse.wire.nsh import NshKeyAttr, NshKeyBase
from tests.families.key_cases import (
    ALL,
    ARP,
    ETHERNET,
    IP6_A,
    IP6_B,
    IP_A,
    IP_B,
    IPV4,
    IPV6,
    LAYER_3,
    MAC_A,
    MAC_B,
    MPLS,
    ND,
    NSH,
    TCP,
    TWO_TAGS,
    UDP,
    VLAN,
    Attributes,
    fields,
    wire,
)

TYPE: Attributes = {KeyAttr.ETHERTYPE: 0xFFFF}
PROTOCOL_4: Attributes = {**TYPE, KeyAttr.IPV4: KeyIpv4(proto=0xFF)}
PROTOCOL_6: Attributes = {**TYPE, KeyAttr.IPV6: KeyIpv6(proto=0xFF)}

MASK_FAULTS: dict[str, tuple[Attributes, Attributes | bytes, tuple[int, ...]]] = {
    "unknown attribute": (TCP, pack_attribute(40, b""), (40,)),
    "attribute twice": (TCP, 2 * wire({KeyAttr.IN_PORT: ALL}), (KeyAttr.IN_PORT,)),
    "unknown conntrack state": (
        {**TCP, KeyAttr.CT_STATE: 0},
        {KeyAttr.CT_STATE: ALL},
        (KeyAttr.CT_STATE,),
    ),
    "metadata that the key has not": (TCP, {KeyAttr.SKB_MARK: 1}, (KeyAttr.SKB_MARK,)),
    "Ethernet header of layer 3": (
        LAYER_3,
        {KeyAttr.ETHERNET: KeyEthernet(MAC_A, MAC_B)},
        (KeyAttr.ETHERNET,),
    ),
    "IPv4 without type": (IPV4, {KeyAttr.IPV4: KeyIpv4(ttl=1)}, (KeyAttr.IPV4,)),
    "IPv4 of IPv6": (IPV6, {**TYPE, KeyAttr.IPV4: KeyIpv4(ttl=1)}, (KeyAttr.IPV4,)),
    "IPv6 without type": (IPV6, {KeyAttr.IPV6: KeyIpv6(hlimit=1)}, (KeyAttr.IPV6,)),
    "TCP without protocol": (TCP, {**TYPE, KeyAttr.TCP: KeyPorts(1)}, (KeyAttr.TCP,)),
    "TCP with a part of the protocol": (
        TCP,
        {**TYPE, KeyAttr.IPV4: KeyIpv4(proto=0xFE), KeyAttr.TCP: KeyPorts(1)},
        (KeyAttr.TCP,),
    ),
    "TCP flags without protocol": (TCP, {**TYPE, KeyAttr.TCP_FLAGS: 1}, (KeyAttr.TCP_FLAGS,)),
    "UDP of TCP": (
        {**TCP, KeyAttr.UDP: KeyPorts()},
        {**PROTOCOL_4, KeyAttr.UDP: KeyPorts(1)},
        (KeyAttr.UDP,),
    ),
    "UDP of a later fragment": (
        {**UDP, KeyAttr.IPV4: KeyIpv4(proto=17, frag=2)},
        {**PROTOCOL_4, KeyAttr.UDP: KeyPorts(1)},
        (KeyAttr.UDP,),
    ),
    "ND without type of ICMPv6": (
        ND,
        {**PROTOCOL_6, KeyAttr.ND: KeyNd(IP6_A)},
        (KeyAttr.ND,),
    ),
    "ND with a part of the type of ICMPv6": (
        ND,
        {**PROTOCOL_6, KeyAttr.ICMPV6: KeyIcmp(0x7F), KeyAttr.ND: KeyNd(IP6_A)},
        (KeyAttr.ND,),
    ),
    "conntrack tuple of neighbour discovery": (
        {**ND, KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6()},
        {**PROTOCOL_6, KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6(proto=1)},
        (KeyAttr.CT_ORIG_TUPLE_IPV6,),
    ),
    "conntrack tuple of IPv4 of IPv6": (
        {**IPV6, KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4()},
        {**TYPE, KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(proto=1)},
        (KeyAttr.CT_ORIG_TUPLE_IPV4,),
    ),
    "conntrack tuple without type": (
        {**IPV4, KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4()},
        {KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(proto=1)},
        (KeyAttr.CT_ORIG_TUPLE_IPV4,),
    ),
    "ARP without type": (ARP, {KeyAttr.ARP: KeyArp(op=1)}, (KeyAttr.ARP,)),
    "MPLS without type": (MPLS, {KeyAttr.MPLS: (KeyMpls(1),)}, (KeyAttr.MPLS,)),
    "four MPLS labels": (MPLS, {**TYPE, KeyAttr.MPLS: 4 * (KeyMpls(1),)}, (KeyAttr.MPLS,)),
    "NSH without type": (NSH, {KeyAttr.NSH: {NshKeyAttr.BASE: NshKeyBase(ttl=1)}}, (KeyAttr.NSH,)),
    "NSH metadata of type 2": (
        NSH,
        {**TYPE, KeyAttr.NSH: {NshKeyAttr.MD2: bytes(4)}},
        (KeyAttr.NSH, NshKeyAttr.MD2),
    ),
    "IPv6 extension headers that the key has not": (
        IPV6,
        {**TYPE, KeyAttr.IPV6_EXTHDRS: 1},
        (KeyAttr.IPV6_EXTHDRS,),
    ),
    "tag without ENCAP": (VLAN, {**TYPE, KeyAttr.VLAN: 0xFFFF}, (KeyAttr.VLAN,)),
    "tag where the key has none": (
        IPV4,
        {**TYPE, KeyAttr.VLAN: 0xFFFF, KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0xFFFF}},
        (KeyAttr.ENCAP,),
    ),
    "second tag where the key has one": (
        VLAN,
        {
            **TYPE,
            KeyAttr.VLAN: 0xFFFF,
            KeyAttr.ENCAP: {
                KeyAttr.ETHERTYPE: 0xFFFF,
                KeyAttr.VLAN: 0xFFFF,
                KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0xFFFF},
            },
        },
        (KeyAttr.ENCAP, KeyAttr.ENCAP),
    ),
    "tag without CFI": (
        VLAN,
        {**TYPE, KeyAttr.VLAN: 0xEFFF, KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0xFFFF}},
        (KeyAttr.VLAN,),
    ),
    "tag without type": (
        VLAN,
        {KeyAttr.VLAN: 0xFFFF, KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0xFFFF}},
        (KeyAttr.ETHERTYPE,),
    ),
    "tag with a part of its type": (
        VLAN,
        {
            KeyAttr.ETHERTYPE: 0xFFFE,
            KeyAttr.VLAN: 0xFFFF,
            KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0xFFFF},
        },
        (KeyAttr.ETHERTYPE,),
    ),
}


def mask_of(mask: Attributes | bytes) -> bytes:
    """A mask in netlink form."""
    return mask if isinstance(mask, bytes) else wire(mask)


@pytest.mark.parametrize("fault", MASK_FAULTS)
def test_a_mask_is_refused(fault: str) -> None:
    attributes, mask, path = MASK_FAULTS[fault]
    key = wire(attributes)
    parse_exact_key(key)
    with pytest.raises(DatapathError) as refusal:
        parse_match(key, mask_of(mask))
    assert refusal.value.errno == EINVAL
    assert refusal.value.path == (FlowAttr.MASK, *path)
    message = pack_attribute(FlowAttr.KEY, key) + pack_attribute(FlowAttr.MASK, mask_of(mask))
    assert offset_of(message, 0, refusal.value.path) is not None


MASKS_TAKEN: dict[str, tuple[Attributes, Attributes, dict[str, int | bytes]]] = {
    "a part of the port is all of it": (TCP, {KeyAttr.IN_PORT: 1}, {"in_port": 0xFFFF}),
    "a port that the key has not": (
        {**TCP, KeyAttr.IN_PORT: None},
        {KeyAttr.IN_PORT: 1},
        {"in_port": 0xFFFF},
    ),
    "a part of the type is all of it": (TCP, {KeyAttr.ETHERTYPE: 1}, {"eth_type": 0xFFFF}),
    "a type that the key has not": (ETHERNET, TYPE, {"eth_type": 0xFFFF}),
    "a wrong fragment type": (
        IPV4,
        {**TYPE, KeyAttr.IPV4: KeyIpv4(frag=0xFF)},
        {"eth_type": 0xFFFF, "ip_frag": 0xFF},
    ),
    "a wrong label": (
        IPV6,
        {**TYPE, KeyAttr.IPV6: KeyIpv6(label=ALL)},
        {"eth_type": 0xFFFF, "ipv6_label": ALL},
    ),
    "the upper half of an ARP operation": (
        ARP,
        {**TYPE, KeyAttr.ARP: KeyArp(op=0xFF0F)},
        {"eth_type": 0xFFFF, "ip_proto": 0x0F},
    ),
    "only bytes of ARP that are not used": (ARP, TYPE, {"eth_type": 0xFFFF}),
    "fewer labels than the key has": (
        MPLS,
        {**TYPE, KeyAttr.MPLS: (KeyMpls(ALL),)},
        {"eth_type": 0xFFFF, "mpls_label_bits": 1, "mpls_lse_0": ALL},
    ),
    "more labels than the key has": (
        MPLS,
        {**TYPE, KeyAttr.MPLS: 3 * (KeyMpls(1),)},
        {
            "eth_type": 0xFFFF,
            "mpls_label_bits": 7,
            **{f"mpls_lse_{index}": 1 for index in range(3)},
        },
    ),
    "NSH metadata of any type": (
        NSH,
        {**TYPE, KeyAttr.NSH: {NshKeyAttr.MD1: b"\xff" * 16}},
        {"eth_type": 0xFFFF, "nsh_context": b"\xff" * 16},
    ),
    "extension headers of anything": (
        {**TCP, KeyAttr.IPV6_EXTHDRS: 0},
        {KeyAttr.IPV6_EXTHDRS: 0xFFFF},
        {"ipv6_exthdrs": 0xFFFF},
    ),
    "ports with a protocol": (
        TCP,
        {**PROTOCOL_4, KeyAttr.TCP: KeyPorts(0, 0xFFFF), KeyAttr.TCP_FLAGS: 0xFFF},
        {"eth_type": 0xFFFF, "ip_proto": 0xFF, "tp_dst": 0xFFFF, "tcp_flags": 0xFFF},
    ),
    "a target with a type": (
        ND,
        {**PROTOCOL_6, KeyAttr.ICMPV6: KeyIcmp(0xFF), KeyAttr.ND: KeyNd(IP6_A, MAC_A)},
        {
            "eth_type": 0xFFFF,
            "ip_proto": 0xFF,
            "tp_src": 0xFF,
            "nd_target": IP6_A,
            "nd_sll": MAC_A,
        },
    ),
    "a conntrack tuple": (
        {**IPV4, KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(IP_A, IP_B, 1, 2, 6)},
        {**TYPE, KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(IP_A, IP_B, 3, 4, 0xFF)},
        {
            "eth_type": 0xFFFF,
            "ct_orig_ipv4_src": IP_A,
            "ct_orig_ipv4_dst": IP_B,
            "ct_orig_tp_src": 3,
            "ct_orig_tp_dst": 4,
            "ct_orig_proto": 0xFF,
        },
    ),
    "a conntrack tuple of IPv6": (
        {**IPV6, KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6(IP6_A, IP6_B, 1, 2, 6)},
        {**TYPE, KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6(IP6_A, IP6_B, 3, 4, 0xFF)},
        {
            "eth_type": 0xFFFF,
            "ct_orig_ipv6_src": IP6_A,
            "ct_orig_ipv6_dst": IP6_B,
            "ct_orig_tp_src": 3,
            "ct_orig_tp_dst": 4,
            "ct_orig_proto": 0xFF,
        },
    ),
    "a tag": (
        VLAN,
        {**TYPE, KeyAttr.VLAN: 0xF00F, KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 1}},
        {"vlan_tpid": 0xFFFF, "vlan_tci": 0xF00F, "eth_type": 0xFFFF},
    ),
    "two tags": (
        TWO_TAGS,
        {
            **TYPE,
            KeyAttr.VLAN: 0xF00F,
            KeyAttr.ENCAP: {
                **TYPE,
                KeyAttr.VLAN: 0x1FFF,
                KeyAttr.ENCAP: PROTOCOL_4,
            },
        },
        {
            "vlan_tpid": 0xFFFF,
            "vlan_tci": 0xF00F,
            "cvlan_tpid": 0xFFFF,
            "cvlan_tci": 0x1FFF,
            "eth_type": 0xFFFF,
            "ip_proto": 0xFF,
        },
    ),
    "a tag without TCI has what the key has last": (
        TWO_TAGS,
        {**TYPE, KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 1}},
        {"vlan_tpid": 0xFFFF, "vlan_tci": 0x1014, "eth_type": 0xFFFF},
    ),
    "a second tag without TCI has what the first has": (
        TWO_TAGS,
        {
            **TYPE,
            KeyAttr.VLAN: 0xF00F,
            KeyAttr.ENCAP: {**TYPE, KeyAttr.VLAN: 0, KeyAttr.ENCAP: TYPE},
        },
        {
            "vlan_tpid": 0xFFFF,
            "vlan_tci": 0xF00F,
            "cvlan_tpid": 0xFFFF,
            "cvlan_tci": 0xF00F,
            "eth_type": 0xFFFF,
        },
    ),
    "ENCAP with nothing in it": (VLAN, {KeyAttr.ENCAP: {}}, {}),
    "zeros twice": (TCP, {KeyAttr.TCP: KeyPorts(), KeyAttr.UDP: KeyPorts()}, {}),
}


@pytest.mark.parametrize("case", MASKS_TAKEN)
def test_a_mask_is_taken(case: str) -> None:
    attributes, mask, matched = MASKS_TAKEN[case]
    content = wire({number: value for number, value in attributes.items() if value is not None})
    parsed = parse_match(content, wire(mask))
    always: dict[str, int | bytes] = {"mac_proto": 0xFF, "vlan_tci": 0xFFFF, "cvlan_tci": 0xFFFF}
    assert fields(parsed.mask) == always | matched


@pytest.mark.parametrize(
    "attributes",
    [
        {**TCP, KeyAttr.UDP: KeyPorts(1, 2)},
        {**IPV4, KeyAttr.IPV6: KeyIpv6()},
        {**ETHERNET, KeyAttr.IPV4: KeyIpv4()},
        {**ND, KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6()},
        {**VLAN, KeyAttr.VLAN: 0, KeyAttr.ENCAP: {}},
        {**VLAN, KeyAttr.ENCAP: {}},
    ],
    ids=["ports", "network", "no network", "tuple of ND", "cut off tag", "empty tag"],
)
def test_a_key_that_is_taken_with_a_mask_is_refused_without(attributes: Attributes) -> None:
    """Without a mask the kernel makes one of the key, which its rules for masks refuse."""
    content = wire(attributes)
    parse_match(content, b"")
    with pytest.raises(DatapathError) as refusal:
        parse_match(content, None)
    assert refusal.value.errno == EINVAL
    assert refusal.value.path[0] == FlowAttr.KEY


def test_only_bytes_of_ARP_that_are_not_used_are_masked() -> None:
    arp = wire(TYPE) + pack_attribute(KeyAttr.ARP, bytes(22) + b"\xff\xff")
    assert parse_match(wire(ARP), arp) == parse_match(wire(ARP), wire(TYPE))
    with pytest.raises(DatapathError):
        parse_match(wire(IPV4, ARP=KeyArp()), arp)


def test_what_a_mask_tells_of_a_key_without_port() -> None:
    """Its port is a number that no port has, of which the kernel tells nothing."""
    without_port = {number: value for number, value in TCP.items() if number != KeyAttr.IN_PORT}
    key, mask = parse_match(wire(without_port), wire({KeyAttr.IN_PORT: ALL}))
    assert KeyAttr.IN_PORT not in KEY.decode(build_key(key), False)
    assert KEY.decode(build_mask(key, mask), False)[KeyAttr.IN_PORT] == ALL
    key, mask = parse_match(wire(without_port), b"")
    assert KEY.decode(build_mask(key, mask), False)[KeyAttr.IN_PORT] == 0xFFFF0000
    assert KEY.decode(build_key(key & mask), False)[KeyAttr.IN_PORT] == 0


def test_what_a_mask_tells_of_the_type_of_a_frame_with_a_length() -> None:
    key, mask = parse_match(wire(ETHERNET), wire(TYPE))
    assert KeyAttr.ETHERTYPE not in KEY.decode(build_key(key & mask), False)
    assert KEY.decode(build_mask(key, mask), False)[KeyAttr.ETHERTYPE] == 0xFFFF
    key, mask = parse_match(wire(ETHERNET), b"")
    assert KEY.decode(build_key(key & mask), False)[KeyAttr.ETHERTYPE] == 0
    assert KEY.decode(build_mask(key, mask), False)[KeyAttr.ETHERTYPE] == 0
