"""Setting header fields: the frame is what scapy makes of the same change, checksums and all."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData

from ovsdp_cuse.switch.actions import Layer, Set
from ovsdp_cuse.switch.edits import CannotApply
from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.flow_hash import flow_hash
from ovsdp_cuse.switch.key import (
    ETH_DST,
    ETH_SRC,
    IP_TOS,
    IP_TTL,
    IPV4_DST,
    IPV4_SRC,
    IPV6_DST,
    IPV6_LABEL,
    IPV6_SRC,
    PRIORITY,
    SKB_MARK,
    TP_DST,
    TP_SRC,
    BytesField,
    Field,
)
from tests.switch.board import METADATA, edited, packet_of

ETHER = Ether(dst="02:00:00:00:00:0b", src="02:00:00:00:00:0a")
V4 = IP(src="192.0.2.1", dst="198.51.100.2", id=7, tos=0x2E, ttl=61)
V6 = IPv6(src="2001:db8::1", dst="2001:db8:1::2", tc=0xB8, fl=0x12345, hlim=63)
DATA = b"some data"

TRANSPORTS: Final[dict[str, Any]] = {
    "tcp": TCP(sport=40000, dport=443, options=[("MSS", 1460)]) / DATA,
    "udp": UDP(sport=5353, dport=53) / DATA,
    "sctp": SCTP(sport=2905, dport=2906) / SCTPChunkData(data=b"data"),
}
NETWORKS: Final[dict[str, Any]] = {
    "ipv4": V4,
    "ipv4 with options": IP(src="192.0.2.1", dst="192.0.2.2", options=b"\x01" * 8),
    "ipv6": V6,
    "ipv6 with options": V6 / IPv6ExtHdrDestOpt(),
}
LINKS: Final[dict[str, Any]] = {
    "untagged": ETHER,
    "tagged": ETHER / Dot1Q(vlan=100, prio=5),
    "tagged twice": ETHER / Dot1AD(vlan=200) / Dot1Q(vlan=100),
}
LAYERS: Final = {"tcp": Layer.TCP, "udp": Layer.UDP, "sctp": Layer.SCTP}


def field_bits(*fields: Field) -> st.SearchStrategy[int]:
    """Any bits of some fields of a key, often all or none of a field."""
    return st.tuples(*map(one_field, fields)).map(sum)


def one_field(field: Field) -> st.SearchStrategy[int]:
    """Any bits of a field."""

    def place(number: int) -> int:
        return number << field.shift

    return st.sampled_from((0, field.ones)) | st.integers(0, field.ones >> field.shift).map(place)


def rebuilt(frame: bytes) -> bytes:
    """The frame with all checksums computed anew by scapy."""
    layer: Any = Ether(frame)
    parsed = layer
    while layer:
        if isinstance(layer, IP | TCP | UDP | SCTP):
            layer.chksum = None
        if isinstance(layer, ICMPv6EchoRequest):
            layer.cksum = None
        layer = layer.payload
    return bytes(parsed)


def raw_set(frame: bytes, places: dict[Field, tuple[int, int]], value: int, mask: int) -> bytes:
    """The frame with bits replaced; `places` are a field's offset and size in the frame."""
    changed = bytearray(frame)
    for field, (offset, size) in places.items():
        order: Any = "little" if isinstance(field, BytesField) else "big"
        new, ones = (value & field.ones) >> field.shift, (mask & field.ones) >> field.shift
        old = int.from_bytes(frame[offset : offset + size], order)
        changed[offset : offset + size] = (old & ~ones | new & ones).to_bytes(size, order)
    return bytes(changed)


@settings(max_examples=20)
@given(st.data())
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("link", LINKS)
def test_addresses_and_ports(link: str, network: str, transport: str, data: st.DataObject) -> None:
    """Sets of addresses and ports, with any masks, one after another."""
    frame = bytes(LINKS[link] / NETWORKS[network] / TRANSPORTS[transport])
    packet = packet_of(frame)
    at, is_v4 = packet.network, network.startswith("ipv4")
    places: dict[Field, tuple[int, int]]
    if is_v4:
        places = {
            IP_TOS: (at + 1, 1),
            IP_TTL: (at + 8, 1),
            IPV4_SRC: (at + 12, 4),
            IPV4_DST: (at + 16, 4),
        }
    else:
        places = {IP_TTL: (at + 7, 1), IPV6_SRC: (at + 8, 16), IPV6_DST: (at + 24, 16)}
    ports: dict[Field, tuple[int, int]] = {
        TP_SRC: (packet.transport, 2),
        TP_DST: (packet.transport + 2, 2),
    }
    for layer, fields in (
        (Layer.IPV4 if is_v4 else Layer.IPV6, places),
        (LAYERS[transport], ports),
    ):
        mask = data.draw(field_bits(*fields))
        value = data.draw(field_bits(*fields)) & mask
        frame = raw_set(frame, fields, value, mask)
        edited(packet, Set(layer, value, mask))
    # scapy's own checksum of UDP is never 0 either.
    assert packet.frame == rebuilt(frame)
    assert_key_is_right(packet)


def assert_key_is_right(packet: Any) -> None:
    """The key and the offsets are what extraction would find now."""
    assert packet.key_valid
    told = packet.key, packet.network, packet.transport
    assert extract(packet, METADATA | packet.key & (PRIORITY.ones | SKB_MARK.ones))
    assert (packet.key, packet.network, packet.transport) == told


@given(st.data())
@pytest.mark.parametrize("link", LINKS)
def test_ethernet(link: str, data: st.DataObject) -> None:
    """Addresses of Ethernet, with any mask."""
    frame = bytes(LINKS[link] / V4 / TRANSPORTS["tcp"])
    packet = packet_of(frame)
    places: dict[Field, tuple[int, int]] = {ETH_DST: (0, 6), ETH_SRC: (6, 6)}
    mask = data.draw(field_bits(*places))
    value = data.draw(field_bits(*places)) & mask
    edited(packet, Set(Layer.ETHERNET, value, mask))
    assert packet.frame == raw_set(frame, places, value, mask)
    assert_key_is_right(packet)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 0xFFFFF), st.integers(0, 0xFFFFF))
def test_ipv6_class_and_label(
    traffic_class: int, class_mask: int, label: int, label_mask: int
) -> None:
    """Traffic class and flow label lie across bytes; neither is in a checksum."""
    packet = packet_of(bytes(ETHER / V6 / TRANSPORTS["udp"]))
    value = IP_TOS.place(traffic_class & class_mask) | IPV6_LABEL.place(label & label_mask)
    mask = IP_TOS.place(class_mask) | IPV6_LABEL.place(label_mask)
    edited(packet, Set(Layer.IPV6, value, mask))
    changed = V6.copy()
    changed.tc = 0xB8 & ~class_mask | traffic_class & class_mask
    changed.fl = 0x12345 & ~label_mask | label & label_mask
    assert packet.frame == bytes(ETHER / changed / TRANSPORTS["udp"])
    assert_key_is_right(packet)


def ipv6_destination(packet: Any) -> bytes:
    """The frame after its destination was set to 2001:db8::99."""
    address = bytes.fromhex("20010db8000000000000000000000099")
    edited(packet, Set(Layer.IPV6, IPV6_DST.place(address), IPV6_DST.ones))
    frame: bytes = packet.frame
    return frame


def test_icmpv6_has_a_pseudo_header() -> None:
    """A new address changes the checksum of ICMPv6, and not that of ICMP."""
    packet = packet_of(bytes(ETHER / V6 / ICMPv6EchoRequest(id=1, seq=2)))
    changed = V6.copy()
    changed.dst = "2001:db8::99"
    assert ipv6_destination(packet) == bytes(ETHER / changed / ICMPv6EchoRequest(id=1, seq=2))


@pytest.mark.parametrize(("segments_left", "follows"), [(0, True), (1, False)])
def test_routing_header(segments_left: int, follows: bool) -> None:
    """Where segments are left, the checksum is of another destination and stays."""
    routing = IPv6ExtHdrRouting(addresses=["2001:db8::3"], segleft=segments_left)
    frame = bytes(ETHER / V6 / routing / TRANSPORTS["udp"])
    packet = packet_of(frame)
    check = packet.transport + 6
    changed = ipv6_destination(packet)
    assert changed[24 + 14 : 40 + 14].hex() == "20010db8000000000000000000000099"
    assert (changed[check : check + 2] != frame[check : check + 2]) is follows


def test_fragments_of_ipv6() -> None:
    """The checksum of a first fragment follows; a later one has none."""
    first = bytes(ETHER / V6 / IPv6ExtHdrFragment(m=1) / TRANSPORTS["udp"])
    packet = packet_of(first)
    check = packet.transport + 6
    assert ipv6_destination(packet)[check : check + 2] != first[check : check + 2]
    later = bytes(ETHER / V6 / IPv6ExtHdrFragment(offset=3, nh=17) / bytes(range(40)))
    assert ipv6_destination(packet_of(later))[54:] == later[54:]


def test_later_fragment_of_ipv4() -> None:
    """What follows the header of a later fragment is nobody's checksum."""
    frame = bytes(ETHER / IP(src="1.2.3.4", dst="5.6.7.8", frag=3, proto=6) / bytes(range(40)))
    packet = packet_of(frame)
    edited(packet, Set(Layer.IPV4, IPV4_SRC.place(b"\x09\x08\x07\x06"), IPV4_SRC.ones))
    changed = Ether(frame)
    changed.src, changed[IP].src, changed[IP].chksum = ETHER.src, "9.8.7.6", None
    assert packet.frame == bytes(changed)


def test_udp_without_checksum() -> None:
    """A checksum of 0 stays 0."""
    frame = bytes(ETHER / V4 / UDP(sport=1, dport=2, chksum=0) / DATA)
    packet = packet_of(frame)
    edited(
        packet,
        Set(Layer.IPV4, IPV4_SRC.place(b"\x09\x08\x07\x06"), IPV4_SRC.ones),
        Set(Layer.UDP, TP_SRC.place(7), TP_SRC.ones),
    )
    assert packet.frame[40:42] == b"\0\0"
    assert packet.frame[34:36] == b"\0\7"
    assert_key_is_right(packet)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_udp_checksum_is_never_zero(transport: str) -> None:
    """Where the sum comes to 0, UDP says 0xFFFF and TCP says 0."""
    base = Ether(bytes(ETHER / V4 / TRANSPORTS[transport]))
    kind: Any = TCP if transport == "tcp" else UDP
    check = base[kind].chksum
    port = base[kind].sport + check
    port = port % 0xFFFF
    packet = packet_of(bytes(base))
    edited(packet, Set(LAYERS[transport], TP_SRC.place(port), TP_SRC.ones))
    at = packet.transport + (16 if transport == "tcp" else 6)
    assert packet.frame[at : at + 2] == (b"\0\0" if transport == "tcp" else b"\xff\xff")


@given(st.binary(min_size=2, max_size=2), st.binary(min_size=4, max_size=4))
def test_wrong_checksums_stay_wrong(error: bytes, address: bytes) -> None:
    """An incremental update carries an error through: so does a router."""
    frame = bytearray(bytes(ETHER / V4 / TRANSPORTS["tcp"]))
    right = int.from_bytes(frame[24:26], "big")
    frame[24:26] = error
    packet = packet_of(bytes(frame))
    good = packet_of(bytes(ETHER / V4 / TRANSPORTS["tcp"]))
    action = Set(Layer.IPV4, IPV4_SRC.place(address), IPV4_SRC.ones)
    edited(packet, action)
    edited(good, action)
    wrong = int.from_bytes(packet.frame[24:26], "big") - int.from_bytes(good.frame[24:26], "big")
    assert (wrong - (int.from_bytes(error, "big") - right)) % 0xFFFF == 0


def test_sctp_error_is_carried_through() -> None:
    """old XOR right old XOR right new, as set_sctp() does."""
    frame = bytearray(bytes(ETHER / V4 / TRANSPORTS["sctp"]))
    frame[42] ^= 0x55
    packet = packet_of(bytes(frame))
    edited(packet, Set(Layer.SCTP, TP_DST.place(9), TP_DST.ones))
    right = bytearray(rebuilt(packet.frame))
    right[42] ^= 0x55
    assert packet.frame == bytes(right)


def test_metadata() -> None:
    """Priority and mark are set in the packet and in the key, bit by bit."""
    packet = packet_of(bytes(ETHER / V4 / TRANSPORTS["tcp"]))
    packet.mark = 0xF0F0
    edited(
        packet,
        Set(Layer.METADATA, PRIORITY.place(7), PRIORITY.ones),
        Set(Layer.METADATA, SKB_MARK.place(0xF), SKB_MARK.place(0xFF)),
    )
    assert (packet.priority, packet.mark) == (7, 0xF00F)
    assert (PRIORITY.get(packet.key), SKB_MARK.get(packet.key)) == (7, 0xF00F)
    assert_key_is_right(packet)


@pytest.mark.parametrize(
    ("layer", "field", "changes"),
    [
        (Layer.ETHERNET, ETH_DST, False),
        (Layer.IPV4, IP_TTL, False),
        (Layer.IPV4, IPV4_SRC, True),
        (Layer.TCP, TP_SRC, True),
    ],
)
def test_hash_is_forgotten(layer: Layer, field: Any, changes: bool) -> None:
    """Addresses and ports make another flow, so its hash is another."""
    packet = packet_of(bytes(ETHER / V4 / TRANSPORTS["tcp"]))
    before = flow_hash(packet)
    edited(packet, Set(layer, field.ones, field.ones))
    assert (packet.hash == 0) is changes
    assert (flow_hash(packet) != before) is changes


@pytest.mark.parametrize(
    ("layer", "field", "size"),
    [
        (Layer.IPV4, IP_TTL, 14 + 19),
        (Layer.TCP, TP_SRC, 14 + 20 + 19),
        (Layer.ETHERNET, ETH_DST, 13),
    ],
)
def test_cut_off_headers(layer: Layer, field: Any, size: int) -> None:
    """A header that is cut off cannot be set (ENOMEM), and nothing is written behind the frame."""
    packet = packet_of(bytes(ETHER / V4 / TRANSPORTS["tcp"]))
    packet.end = packet.start + size
    with pytest.raises(CannotApply):
        edited(packet, Set(layer, field.ones, field.ones))


@pytest.mark.parametrize("layer", [Layer.CONNTRACK])
def test_sets_that_fail(layer: Layer) -> None:
    """execute_masked_set_action() knows these, and refuses them."""
    with pytest.raises(CannotApply):
        edited(packet_of(bytes(ETHER / V4 / TRANSPORTS["tcp"])), Set(layer, 0, 0))
