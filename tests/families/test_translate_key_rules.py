"""Which keys and masks are refused: every rule of the kernel's, and what it lets pass.

Each case says which rule it breaks; that the same without the fault passes is part of the case.
"""

from __future__ import annotations

from errno import EINVAL

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.key import (
    build_key,
    build_mask,
    parse_exact_key,
    parse_match,
    parse_metadata,
)
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.attributes import offset_of, pack_attribute
from ovsdp_cuse.wire.flow import FlowAttr
from ovsdp_cuse.wire.key import (
    KEY,
    KEY_SIZES,
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
    EVERY_KIND,
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

KEY_FAULTS: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "nothing": (b"", ()),
    "neither Ethernet header nor type": (wire({KeyAttr.IN_PORT: 1}), ()),
    "port 65535": (wire(ETHERNET, IN_PORT=65535), (KeyAttr.IN_PORT,)),
    "port 65536": (wire(ETHERNET, IN_PORT=65536), (KeyAttr.IN_PORT,)),
    "EtherType below 0x600": (wire(ETHERNET, ETHERTYPE=0x05FF), (KeyAttr.ETHERTYPE,)),
    "EtherType below 0x600, layer 3": (wire({KeyAttr.ETHERTYPE: 1}), (KeyAttr.ETHERTYPE,)),
    "unknown conntrack state": (wire(TCP, CT_STATE=0x100), (KeyAttr.CT_STATE,)),
    "unspecified attribute": (wire(TCP) + pack_attribute(0, b""), (KeyAttr.UNSPEC,)),
    "unknown attribute": (wire(TCP) + pack_attribute(33, b""), (33,)),
    "userspace's attribute": (wire(TCP) + pack_attribute(29, bytes(4)), (KeyAttr.PACKET_TYPE,)),
    "attribute twice": (wire(TCP) + wire({KeyAttr.IN_PORT: 1}), (KeyAttr.IN_PORT,)),
    "attribute too long": (
        wire(ETHERNET) + pack_attribute(KeyAttr.SKB_MARK, bytes(5)),
        (KeyAttr.SKB_MARK,),
    ),
    "bytes left over": (wire(TCP) + b"\0", ()),
    "padding missing": (wire(TCP)[:-2], ()),
    "IPv4 missing": (wire(IPV4, IPV4=None), ()),
    "IPv4 fragment type 3": (wire(IPV4, IPV4=KeyIpv4(frag=3)), (KeyAttr.IPV4,)),
    "IPv6 missing": (wire(IPV6, IPV6=None), ()),
    "IPv6 fragment type 3": (wire(IPV6, IPV6=KeyIpv6(frag=3)), (KeyAttr.IPV6,)),
    "IPv6 label of 21 bits": (wire(IPV6, IPV6=KeyIpv6(label=0x100000)), (KeyAttr.IPV6,)),
    "IPv6 label of 32 bits": (wire(IPV6, IPV6=KeyIpv6(label=0x80000000)), (KeyAttr.IPV6,)),
    "TCP missing": (wire(TCP, TCP=None), ()),
    "TCP flags missing": (wire(TCP, TCP_FLAGS=None), ()),
    "TCP missing over IPv6": (wire(IPV6, IPV6=KeyIpv6(proto=6)), ()),
    "UDP missing": (wire(UDP, UDP=None), ()),
    "UDP missing in a first fragment": (wire(IPV4, IPV4=KeyIpv4(proto=17, frag=1)), ()),
    "SCTP missing": (wire(IPV4, IPV4=KeyIpv4(proto=132)), ()),
    "ICMP missing": (wire(IPV4, IPV4=KeyIpv4(proto=1)), ()),
    "ICMPv6 missing": (wire(ND, ICMPV6=None, ND=None), ()),
    "ND missing": (wire(ND, ND=None), ()),
    "ND missing, advertisement": (wire(ND, ICMPV6=KeyIcmp(136), ND=None), ()),
    "ARP missing": (wire(ARP, ARP=None), ()),
    "RARP missing": (wire(ARP, ETHERTYPE=0x8035, ARP=None), ()),
    "ARP operation 256": (wire(ARP, ARP=KeyArp(op=256)), (KeyAttr.ARP,)),
    "MPLS missing": (wire(MPLS, MPLS=None), ()),
    "MPLS multicast missing": (wire(MPLS, ETHERTYPE=0x8848, MPLS=None), ()),
    "no MPLS label": (wire(MPLS, MPLS=()), (KeyAttr.MPLS,)),
    "four MPLS labels": (wire(MPLS, MPLS=4 * (KeyMpls(),)), (KeyAttr.MPLS,)),
    "half an MPLS label": (
        wire(MPLS, MPLS=None) + pack_attribute(KeyAttr.MPLS, bytes(6)),
        (KeyAttr.MPLS,),
    ),
    "NSH missing": (wire(NSH, NSH=None), ()),
    "NSH of type 2 with metadata of type 1": (
        wire(NSH, NSH={NshKeyAttr.BASE: NshKeyBase(mdtype=2), NshKeyAttr.MD1: bytes(16)}),
        (KeyAttr.NSH, NshKeyAttr.MD1),
    ),
    "NSH metadata without header": (
        wire(NSH, NSH={NshKeyAttr.MD1: bytes(16)}),
        (KeyAttr.NSH, NshKeyAttr.MD1),
    ),
    "NSH metadata of type 2": (
        wire(NSH, NSH={NshKeyAttr.BASE: NshKeyBase(mdtype=2), NshKeyAttr.MD2: bytes(8)}),
        (KeyAttr.NSH, NshKeyAttr.MD2),
    ),
    "NSH of another size": (
        wire(NSH, NSH=None) + pack_attribute(KeyAttr.NSH, pack_attribute(1, bytes(7))),
        (KeyAttr.NSH, NshKeyAttr.BASE),
    ),
    "VLAN without ENCAP": (wire(VLAN, ENCAP=None), (KeyAttr.ETHERTYPE,)),
    "VLAN without TCI": (wire(VLAN, VLAN=None), (KeyAttr.ETHERTYPE,)),
    "VLAN without CFI": (wire(VLAN, VLAN=0x000A), (KeyAttr.VLAN,)),
    "VLAN cut off, with something behind": (wire(VLAN, VLAN=0), (KeyAttr.ENCAP,)),
    "VLAN of another type": (wire(VLAN, ETHERTYPE=0x9100), (KeyAttr.VLAN,)),
    "VLAN without Ethernet header": (wire(VLAN, ETHERNET=None), (KeyAttr.VLAN,)),
    "fault behind a VLAN tag": (
        wire(VLAN, ENCAP={KeyAttr.ETHERTYPE: 0x0800, KeyAttr.IPV4: KeyIpv4(frag=9)}),
        (KeyAttr.ENCAP, KeyAttr.IPV4),
    ),
    "port behind a VLAN tag, too": (
        wire(VLAN, ENCAP={KeyAttr.ETHERTYPE: 0x0800, KeyAttr.IPV4: KeyIpv4(), KeyAttr.IN_PORT: 1}),
        (KeyAttr.ENCAP, KeyAttr.IN_PORT),
    ),
    "C-VLAN without CFI": (
        wire(VLAN, ENCAP={KeyAttr.ETHERTYPE: 0x8100, KeyAttr.VLAN: 5, KeyAttr.ENCAP: {}}),
        (KeyAttr.ENCAP, KeyAttr.VLAN),
    ),
    "C-VLAN without ENCAP": (
        wire(VLAN, ENCAP={KeyAttr.ETHERTYPE: 0x8100, KeyAttr.VLAN: 0x1005}),
        (KeyAttr.ENCAP, KeyAttr.ETHERTYPE),
    ),
    "a third tag": (
        wire(
            TWO_TAGS,
            ENCAP={
                KeyAttr.ETHERTYPE: 0x8100,
                KeyAttr.VLAN: 0x1014,
                KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0x8100, KeyAttr.VLAN: 0x1001, KeyAttr.ENCAP: {}},
            },
        ),
        (KeyAttr.ENCAP, KeyAttr.ENCAP, KeyAttr.VLAN),
    ),
}


@pytest.mark.parametrize("fault", KEY_FAULTS)
def test_a_key_is_refused(fault: str) -> None:
    content, path = KEY_FAULTS[fault]
    for parse in (parse_exact_key, lambda key: parse_match(key, b"")):
        with pytest.raises(DatapathError) as refusal:
            parse(content)
        assert refusal.value.errno == EINVAL
        assert refusal.value.path == (FlowAttr.KEY, *path)
        assert refusal.value.message
        message = pack_attribute(FlowAttr.KEY, content)
        assert offset_of(message, 0, refusal.value.path) is not None


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_key_of_every_kind_is_taken(kind: str) -> None:
    content = wire(EVERY_KIND[kind])
    parsed = parse_exact_key(content)
    assert parse_match(content, b"").key == parsed
    told = KEY.decode(build_key(parsed), False)
    assert {number: told[number] for number in EVERY_KIND[kind]} == EVERY_KIND[kind]


KEYS_TAKEN: dict[str, bytes] = {
    "port 65534": wire(ETHERNET, IN_PORT=65534),
    "no port": wire(ETHERNET, IN_PORT=None),
    "all of the conntrack state": wire(TCP, CT_STATE=0xFF),
    "UDP missing in a later fragment": wire(IPV4, IPV4=KeyIpv4(proto=17, frag=2)),
    "ICMP of IPv6 over IPv4": wire(IPV4, IPV4=KeyIpv4(proto=58)),
    "ICMP of IPv4 over IPv6": wire(IPV6, IPV6=KeyIpv6(proto=1)),
    "echo has no target": wire(ND, ICMPV6=KeyIcmp(128), ND=None),
    "another attribute than needed": wire(TCP, UDP=KeyPorts(1, 2)),
    "VLAN cut off": wire(VLAN, VLAN=0, ENCAP={}),
    "VLAN before a frame with a length": wire(VLAN, ENCAP={}),
    "C-VLAN cut off": wire(
        VLAN, ENCAP={KeyAttr.ETHERTYPE: 0x8100, KeyAttr.VLAN: 0, KeyAttr.ENCAP: {}}
    ),
    "metadata behind a VLAN tag": wire(
        VLAN,
        ENCAP={KeyAttr.ETHERTYPE: 0x0800, KeyAttr.IPV4: KeyIpv4(), KeyAttr.SKB_MARK: 1},
    ),
    "NSH without metadata": wire(NSH, NSH={NshKeyAttr.BASE: NshKeyBase(mdtype=1)}),
    "NSH with nothing": wire(NSH, NSH={}),
    "three tags": wire(
        TWO_TAGS,
        ENCAP={
            KeyAttr.ETHERTYPE: 0x8100,
            KeyAttr.VLAN: 0x1014,
            KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0x8100},
        },
    ),
}


@pytest.mark.parametrize("case", KEYS_TAKEN)
def test_a_key_is_taken(case: str) -> None:
    parse_exact_key(KEYS_TAKEN[case])


def test_a_frame_with_a_length_and_a_cut_off_tag_have_the_type_of_802_2() -> None:
    for content in (wire(ETHERNET), KEYS_TAKEN["VLAN cut off"], KEYS_TAKEN["C-VLAN cut off"]):
        key = parse_exact_key(content)
        assert k.ETH_TYPE.get(key) == 0x0004
        assert build_key(key) == build_key(parse_exact_key(build_key(key)))


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


METADATA_FAULTS = {
    name: KEY_FAULTS[name]
    for name in (
        "port 65535",
        "port 65536",
        "userspace's attribute",
        "unknown conntrack state",
        "unknown attribute",
        "attribute twice",
        "attribute too long",
        "bytes left over",
        "padding missing",
        "EtherType below 0x600, layer 3",
    )
}


@pytest.mark.parametrize("fault", METADATA_FAULTS)
def test_metadata_is_refused(fault: str) -> None:
    content, path = METADATA_FAULTS[fault]
    with pytest.raises(DatapathError) as refusal:
        parse_metadata(content)
    assert (refusal.value.errno, refusal.value.path) == (EINVAL, path)


@pytest.mark.parametrize("fault", KEY_FAULTS.keys() - METADATA_FAULTS.keys())
def test_metadata_minds_no_headers(fault: str) -> None:
    parse_metadata(KEY_FAULTS[fault][0])


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


def test_every_size_is_asked_for() -> None:
    for number, size in KEY_SIZES.items():
        if size > 0:
            with pytest.raises(DatapathError) as refusal:
                parse_metadata(pack_attribute(number, bytes(size - 1)))
            assert refusal.value.path == (number,)
