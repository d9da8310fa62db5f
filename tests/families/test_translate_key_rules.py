"""Which keys are refused, and which pass: every rule of the kernel's."""

from __future__ import annotations

from errno import EINVAL

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.key import (
    build_key,
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
    KeyIcmp,
    KeyIpv4,
    KeyIpv6,
    KeyMpls,
    KeyPorts,
)
from ovsdp_cuse.wire.nsh import NshKeyAttr, NshKeyBase
from tests.families.key_cases import (
    ARP,
    ETHERNET,
    EVERY_KIND,
    IPV4,
    IPV6,
    MPLS,
    ND,
    NSH,
    TCP,
    TWO_TAGS,
    UDP,
    VLAN,
    wire,
)

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


@pytest.mark.parametrize("fault", [fault for fault in KEY_FAULTS if fault not in METADATA_FAULTS])
def test_metadata_minds_no_headers(fault: str) -> None:
    parse_metadata(KEY_FAULTS[fault][0])


def test_every_size_is_asked_for() -> None:
    for number, size in KEY_SIZES.items():
        if size > 0:
            with pytest.raises(DatapathError) as refusal:
                parse_metadata(pack_attribute(number, bytes(size - 1)))
            assert refusal.value.path == (number,)
