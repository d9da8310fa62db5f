"""Keys in netlink form: every attribute comes back, is shown as people read it, or is refused."""

from __future__ import annotations

import struct
from errno import EINVAL
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.attributes import Unparsed, pack_attribute, walk
from ovsdp_cuse.wire.exact import NESTED, VARIABLE, ExactSet
from ovsdp_cuse.wire.key import (
    KEY,
    KEY_ATTRIBUTES,
    KEY_SIZES,
    TUNNEL_KEY,
    KeyArp,
    KeyAttr,
    KeyCtTupleIpv4,
    KeyEthernet,
    KeyIcmp,
    KeyIpv4,
    KeyIpv6,
    KeyMpls,
    KeyNd,
    KeyPorts,
)
from ovsdp_cuse.wire.nsh import NSH, NshKeyAttr, NshKeyBase
from ovsdp_cuse.wire.tunnel import TUNNEL, VXLAN, TunnelKeyAttr, VxlanExt

MAC_A, MAC_B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")

NAMED_SETS: dict[tuple[str, int], ExactSet] = {
    ("OVS_KEY_ATTR", KeyAttr.ENCAP): KEY_ATTRIBUTES,
    ("OVS_KEY_ATTR", KeyAttr.TUNNEL): TUNNEL,
    ("OVS_KEY_ATTR", KeyAttr.NSH): NSH,
    ("OVS_TUNNEL_KEY_ATTR", TunnelKeyAttr.VXLAN_OPTS): VXLAN,
}

every_set = pytest.mark.parametrize(
    "attributes", [KEY_ATTRIBUTES, TUNNEL, NSH, VXLAN], ids=lambda attributes: attributes.name
)


@st.composite
def contents(draw: st.DrawFn, attributes: ExactSet, depth: int = 0) -> bytes:
    """The bytes of a set: any of its attributes, once each, in any order."""
    numbers = draw(st.lists(st.sampled_from(sorted(attributes.sizes)), unique=True))
    built = b""
    for number in numbers:
        size = attributes.sizes[number]
        if size == NESTED and depth < 2:
            inner = NAMED_SETS[attributes.name, number]
            payload = draw(contents(inner, depth + 1))
        elif (attributes.name, number) == ("OVS_KEY_ATTR", KeyAttr.MPLS):
            payload = draw(st.binary(max_size=3).map(lambda labels: labels * 4))
        elif size in (VARIABLE, NESTED):
            payload = b"" if size == NESTED else draw(st.binary(max_size=20))
        else:
            payload = draw(st.binary(min_size=size, max_size=size))
        built += pack_attribute(number, payload)
    return built


PADDING = {KeyAttr.ARP: 2, KeyAttr.CT_ORIG_TUPLE_IPV4: 3, KeyAttr.CT_ORIG_TUPLE_IPV6: 3}
"""Bytes that C leaves unused at the end of three structures."""


def without_padding(data: bytes) -> bytes:
    """A key with zeros where its structures have no fields."""
    built = b""
    for _offset, number, payload in walk(data):
        if number == KeyAttr.ENCAP:
            payload = without_padding(payload)
        unused = PADDING.get(KeyAttr(number), 0)
        built += pack_attribute(number, payload[: len(payload) - unused] + bytes(unused))
    return built


@every_set
@given(data=st.data())
def test_what_is_parsed_is_built_again(attributes: ExactSet, data: st.DataObject) -> None:
    content = data.draw(contents(attributes))
    parsed = attributes.parse(content)
    built = attributes.build(parsed)
    assert attributes.parse(built) == parsed
    assert len(built) == len(content)
    assert built == (content if attributes is not KEY_ATTRIBUTES else without_padding(content))


@every_set
@given(data=st.data())
def test_every_value_has_a_form_to_read(attributes: ExactSet, data: st.DataObject) -> None:
    parsed = attributes.parse(data.draw(contents(attributes)))
    for number, value in parsed.items():
        shown = attributes.table[number].format(value)
        assert shown
        assert "\n" not in shown


@every_set
def test_every_attribute_has_a_size_and_a_value(attributes: ExactSet) -> None:
    assert attributes.sizes.keys() == attributes.table.keys()


def test_what_has_no_size_is_what_never_is_on_the_wire() -> None:
    assert set(KeyAttr) - KEY_SIZES.keys() == {
        KeyAttr.PACKET_TYPE,
        KeyAttr.ND_EXTENSIONS,
        KeyAttr.TUNNEL_INFO,
    }


FORMATTED: list[tuple[dict[int, Any], str]] = [
    (
        {
            KeyAttr.RECIRC_ID: 5,
            KeyAttr.IN_PORT: 3,
            KeyAttr.CT_STATE: 0x22,
            KeyAttr.ETHERNET: KeyEthernet(MAC_A, MAC_B),
            KeyAttr.ETHERTYPE: 0x0800,
            KeyAttr.IPV4: KeyIpv4(bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), 6, 3, 64, 0),
            KeyAttr.TCP: KeyPorts(1000, 80),
            KeyAttr.TCP_FLAGS: 0x12,
        },
        "{RECIRC_ID=0x5, IN_PORT=3, CT_STATE=0x22(ESTABLISHED|TRACKED), "
        "ETHERNET={src=02:00:00:00:00:01, dst=02:00:00:00:00:02}, ETHERTYPE=0x0800, "
        "IPV4={src=10.0.0.1, dst=10.0.0.2, proto=6, tos=0x3, ttl=64, frag=0}, "
        "TCP={src=1000, dst=80}, TCP_FLAGS=0x12}",
    ),
    (
        {
            KeyAttr.ETHERTYPE: 0x86DD,
            KeyAttr.IPV6: KeyIpv6(b"\xfd" + bytes(14) + b"\1", bytes(16), 0x12345, 58, 0, 255, 0),
            KeyAttr.IPV6_EXTHDRS: 0x40,
            KeyAttr.ICMPV6: KeyIcmp(135, 0),
            KeyAttr.ND: KeyNd(b"\xfe\x80" + bytes(13) + b"\2", MAC_A, bytes(6)),
        },
        "{ETHERTYPE=0x86dd, IPV6={src=fd00::1, dst=::, label=0x12345, proto=58, tclass=0x0, "
        "hlimit=255, frag=0}, IPV6_EXTHDRS=0x40, ICMPV6={type=135, code=0}, "
        "ND={target=fe80::2, sll=02:00:00:00:00:01, tll=00:00:00:00:00:00}}",
    ),
    (
        {
            KeyAttr.TUNNEL: {
                TunnelKeyAttr.ID: 0x7B,
                TunnelKeyAttr.IPV4_DST: bytes([192, 0, 2, 1]),
                TunnelKeyAttr.TTL: 64,
                TunnelKeyAttr.CSUM: True,
                TunnelKeyAttr.VXLAN_OPTS: {VxlanExt.GBP: 5},
            },
            KeyAttr.ETHERTYPE: 0x88A8,
            KeyAttr.VLAN: 0x100A,
            KeyAttr.ENCAP: {
                KeyAttr.ETHERTYPE: 0x8100,
                KeyAttr.VLAN: 0x1014,
                KeyAttr.ENCAP: {
                    KeyAttr.ETHERTYPE: 0x8847,
                    KeyAttr.MPLS: (KeyMpls(0x64000), KeyMpls(0xC8140)),
                },
            },
        },
        "{TUNNEL={ID=0x7b, IPV4_DST=192.0.2.1, TTL=64, CSUM=True, VXLAN_OPTS={GBP=0x5}}, "
        "ETHERTYPE=0x88a8, VLAN=0x100a, ENCAP={ETHERTYPE=0x8100, VLAN=0x1014, "
        "ENCAP={ETHERTYPE=0x8847, MPLS=[{lse=0x64000}, {lse=0xc8140}]}}}",
    ),
    (
        {
            KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(
                bytes([1, 2, 3, 4]), bytes([5, 6, 7, 8]), 1, 2, 17
            ),
            KeyAttr.ETHERTYPE: 0x894F,
            KeyAttr.NSH: {
                NshKeyAttr.BASE: NshKeyBase(0, 63, 1, 3, 0x123FF),
                NshKeyAttr.MD1: bytes(range(16)),
            },
        },
        "{CT_ORIG_TUPLE_IPV4={src=1.2.3.4, dst=5.6.7.8, src_port=1, dst_port=2, proto=17}, "
        "ETHERTYPE=0x894f, NSH={BASE={flags=0, ttl=63, mdtype=1, np=3, path_hdr=0x123ff}, "
        "MD1=000102030405060708090a0b0c0d0e0f}}",
    ),
    (
        {
            KeyAttr.ARP: KeyArp(
                bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), 1, MAC_A, b"\xff\xff\xff\xff\xff\xff"
            )
        },
        "{ARP={sip=10.0.0.1, tip=10.0.0.2, op=1, sha=02:00:00:00:00:01, tha=ff:ff:ff:ff:ff:ff}}",
    ),
]


@pytest.mark.parametrize(("key", "shown"), FORMATTED, ids=range(len(FORMATTED)))
def test_a_key_as_people_read_it(key: dict[int, Any], shown: str) -> None:
    built = KEY.encode(key)
    assert KEY.decode(built, False) == key
    assert Unparsed(KEY).format(built) == shown


def test_numbers_of_headers_are_in_network_order_and_others_in_the_machines() -> None:
    built = KEY.encode({KeyAttr.IN_PORT: 3, KeyAttr.ETHERTYPE: 0x0800, KeyAttr.CT_ZONE: 7})
    assert built == (
        pack_attribute(KeyAttr.IN_PORT, struct.pack("=I", 3))
        + pack_attribute(KeyAttr.ETHERTYPE, b"\x08\x00")
        + pack_attribute(KeyAttr.CT_ZONE, struct.pack("=H", 7))
    )


def nested(depth: int) -> bytes:
    """A key in a key in a key."""
    data = b""
    for _ in range(depth):
        data = pack_attribute(KeyAttr.ENCAP, data)
    return data


@pytest.mark.parametrize(
    ("data", "path"),
    [
        *(
            (pack_attribute(number, bytes(4)), (number,))
            for number in (
                KeyAttr.UNSPEC,
                KeyAttr.PACKET_TYPE,
                KeyAttr.ND_EXTENSIONS,
                KeyAttr.TUNNEL_INFO,
                33,
                50,
            )
        ),
        *(
            (pack_attribute(number, bytes(size + difference)), (number,))
            for number, size in KEY_SIZES.items()
            for difference in (-1, 1)
            if size + difference >= 0 and size >= 0
        ),
        (2 * pack_attribute(KeyAttr.IN_PORT, bytes(4)), (KeyAttr.IN_PORT,)),
        (pack_attribute(KeyAttr.IN_PORT, bytes(4)) + b"\0", ()),
        (pack_attribute(KeyAttr.IN_PORT, bytes(4)) + b"\x09\0\x03\0\0\0\0\0", ()),
        (pack_attribute(KeyAttr.IN_PORT, bytes(4)) + b"\x03\0\x03\0", ()),
        (pack_attribute(KeyAttr.ETHERTYPE, bytes(2))[:-2], ()),
        (pack_attribute(KeyAttr.MPLS, bytes(5)), (KeyAttr.MPLS,)),
        (
            pack_attribute(KeyAttr.ENCAP, pack_attribute(50, b"")),
            (KeyAttr.ENCAP, 50),
        ),
        (
            pack_attribute(KeyAttr.TUNNEL, pack_attribute(TunnelKeyAttr.TTL, b"")),
            (KeyAttr.TUNNEL, TunnelKeyAttr.TTL),
        ),
        (
            pack_attribute(KeyAttr.TUNNEL, pack_attribute(17, b"")),
            (KeyAttr.TUNNEL, 17),
        ),
        (
            pack_attribute(KeyAttr.NSH, pack_attribute(NshKeyAttr.UNSPEC, b"")),
            (KeyAttr.NSH, NshKeyAttr.UNSPEC),
        ),
    ],
)
def test_refused(data: bytes, path: tuple[int, ...]) -> None:
    with pytest.raises(DatapathError) as refusal:
        KEY.decode(data, False)
    assert (refusal.value.errno, refusal.value.path) == (EINVAL, path)
    assert Unparsed(KEY).format(data) == data.hex()


def test_a_tunnel_needs_no_padding_at_its_end_and_takes_the_last_of_duplicates() -> None:
    data = pack_attribute(TunnelKeyAttr.TTL, b"\1") + pack_attribute(TunnelKeyAttr.TTL, b"\2")
    assert TUNNEL_KEY.decode(data[:-3], False) == {TunnelKeyAttr.TTL: 2}


def test_nesting_is_shown_as_deep_as_frames_have_tags() -> None:
    assert Unparsed(KEY).format(nested(3)) == "{ENCAP={ENCAP={ENCAP=(empty)}}}"
    deep = nested(8000)
    assert Unparsed(KEY).format(deep).startswith("{ENCAP={ENCAP={ENCAP=")
