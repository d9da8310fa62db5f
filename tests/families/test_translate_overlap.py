"""Keys with more attributes than their packet has: what the kernel's unions make of them."""

from __future__ import annotations

from typing import Any

import pytest

from ovsdp_cuse.families.translate.key import build_key, parse_exact_key, parse_match
from ovsdp_cuse.families.translate.layout import LAYOUTS
from ovsdp_cuse.families.translate.overlap import overlaps
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.key import (
    KEY,
    KeyArp,
    KeyAttr,
    KeyCtTupleIpv4,
    KeyCtTupleIpv6,
    KeyIcmp,
    KeyIpv4,
    KeyIpv6,
    KeyMpls,
    KeyPorts,
)
from ovsdp_cuse.wire.nsh import NshKeyAttr, NshKeyBase
from tests.families.key_cases import (
    ARP,
    EVERY_KIND,
    IP6_A,
    IP_A,
    IP_B,
    IPV4,
    IPV6,
    MPLS,
    ND,
    NSH,
    TCP,
    UDP,
    Attributes,
    wire,
)

BYTES_16 = bytes(range(16))

CASES: dict[str, tuple[Attributes, dict[int, Any]]] = {
    "UDP is written after TCP": (
        {**TCP, KeyAttr.UDP: KeyPorts(7, 9)},
        {KeyAttr.TCP: KeyPorts(7, 9), KeyAttr.TCP_FLAGS: 2},
    ),
    "ICMP is written after UDP": (
        {**UDP, KeyAttr.ICMP: KeyIcmp(7, 9)},
        {KeyAttr.UDP: KeyPorts(7, 9)},
    ),
    "IPv6 is written over IPv4": (
        {**IPV4, KeyAttr.IPV6: KeyIpv6(BYTES_16, IP6_A, 0, 50, 1, 2, 0)},
        {KeyAttr.IPV4: KeyIpv4(BYTES_16[:4], BYTES_16[4:8], 50, 1, 2, 0)},
    ),
    "IPv4 is written before IPv6": (
        {**IPV6, KeyAttr.IPV4: KeyIpv4(IP_A, IP_B, 50, 1, 2, 0)},
        {KeyAttr.IPV6: IPV6[KeyAttr.IPV6]},
    ),
    "ARP is written over IPv4": (
        {**IPV4, KeyAttr.ARP: KeyArp(IP_B, IP_A, 50)},
        {KeyAttr.IPV4: KeyIpv4(IP_B, IP_A, 50, 0, 64)},
    ),
    "ARP is written over the start of IPv6": (
        {**IPV6, KeyAttr.ARP: KeyArp(b"aaaa", b"bbbb", 50, b"cccccc", b"dddddd")},
        {
            KeyAttr.IPV6: KeyIpv6(
                b"aaaabbbbccccccdd", b"dddd" + bytes(11) + b"\2", 0x12345, 50, 0, 64
            )
        },
    ),
    "MPLS is written over IPv4": (
        {**IPV4, KeyAttr.MPLS: (KeyMpls(0x01020304),)},
        {KeyAttr.IPV4: KeyIpv4(b"\1\0\0\0", b"\1\2\3\4", 0, 0, 64)},
    ),
    "MPLS is written over NSH": (
        {**NSH, KeyAttr.MPLS: (KeyMpls(0x01020304),)},
        {
            KeyAttr.NSH: {
                NshKeyAttr.BASE: NshKeyBase(1, 0, 0, 0, 0x01020304),
            }
        },
    ),
    "NSH is written before MPLS": (
        {**MPLS, KeyAttr.NSH: NSH[KeyAttr.NSH]},
        {KeyAttr.MPLS: MPLS[KeyAttr.MPLS]},
    ),
    "IPv4 is written before ARP": (
        {**ARP, KeyAttr.IPV4: KeyIpv4(b"aaaa", b"bbbb", 9, 1, 2)},
        {KeyAttr.ARP: ARP[KeyAttr.ARP]},
    ),
    "the target is written over the tuple": (
        {**ND, KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6(IP6_A, IP6_A, 1, 2, 6)},
        {
            KeyAttr.ND: ND[KeyAttr.ND],
            KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6(
                ND[KeyAttr.ND].target,
                ND[KeyAttr.ND].sll + ND[KeyAttr.ND].tll + IP6_A[12:],
                1,
                2,
                6,
            ),
        },
    ),
    "the tuples share what is not an address": (
        {
            **IPV4,
            KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(IP_A, IP_B, 1, 2, 6),
            KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6(IP6_A, IP6_A, 3, 4, 17),
        },
        {KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(IP_A, IP_B, 3, 4, 17)},
    ),
    "a tuple is where the metadata of NSH is": (
        {
            **NSH,
            KeyAttr.NSH: {NshKeyAttr.BASE: NshKeyBase(mdtype=1)},
            KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(b"aaaa", b"bbbb"),
        },
        {
            KeyAttr.NSH: {
                NshKeyAttr.BASE: NshKeyBase(mdtype=1),
                NshKeyAttr.MD1: b"aaaabbbb" + bytes(8),
            }
        },
    ),
    "extension headers stand beside all others": (
        {**IPV4, KeyAttr.IPV6_EXTHDRS: 0x1234},
        {KeyAttr.IPV4: IPV4[KeyAttr.IPV4]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_told(case: str) -> None:
    attributes, expected = CASES[case]
    key = parse_exact_key(wire(attributes))
    shown = KEY.decode(build_key(key), False)
    assert {number: shown[number] for number in expected} == expected


@pytest.mark.parametrize("case", CASES)
def test_the_order_on_the_wire_means_nothing(case: str) -> None:
    attributes, _expected = CASES[case]
    backwards = dict(reversed(attributes.items()))
    assert parse_exact_key(wire(backwards)) == parse_exact_key(wire(attributes))
    assert parse_match(wire(backwards), b"") == parse_match(wire(attributes), b"")


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_keys_of_real_packets_have_nothing_that_overlaps(kind: str) -> None:
    assert not overlaps(EVERY_KIND[kind])


def test_every_case_overlaps() -> None:
    for case, (attributes, _expected) in CASES.items():
        assert overlaps(attributes), case


@pytest.mark.parametrize("number", LAYOUTS, ids=lambda number: KeyAttr(number).name)
def test_an_attribute_is_laid_out_and_back(number: int) -> None:
    layout = LAYOUTS[number]
    fields = 0
    for seed in (0x55, 0xAA, 0xFF, 0x01):
        key = int.from_bytes(bytes([seed]) * (k.TUN_PROTO.shift // 8), "little") & layout.ones
        payload = layout.build(key)
        assert len(payload) == layout.size
        expected = key
        if number in (KeyAttr.ICMP, KeyAttr.ICMPV6):
            expected = key & (k.TP_SRC.place(0xFF) | k.TP_DST.place(0xFF))
        assert layout.parse(payload) == expected
        fields |= expected
    assert fields.bit_count() > 0
    assert layout.parse(bytes(layout.size)) == 0
