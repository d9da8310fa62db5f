"""Keys and masks between netlink and the switch: what the kernel did with real ones, and laws."""

from __future__ import annotations

from errno import EINVAL
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.ethernet import ETH_P_802_2
from ovsdp_cuse.families.translate.key import (
    build_key,
    build_mask,
    build_masked_key,
    parse_exact_key,
    parse_match,
    parse_metadata,
    parse_packet_key,
)
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.attributes import pack_attribute, walk
from ovsdp_cuse.wire.flow import FlowAttr
from ovsdp_cuse.wire.key import (
    KEY,
    KEY_ATTRIBUTES,
    KEY_SIZES,
    KeyAttr,
    KeyCtTupleIpv4,
    KeyCtTupleIpv6,
    KeyEthernet,
)
from tests.families.key_cases import (
    EVERY_KIND,
    IP_A,
    IP_B,
    MAC_A,
    MAC_B,
    TCP,
    Attributes,
    fields,
    make_key,
    masks,
    switch_keys,
    tunnels,
    wire,
)

RECORDED = [
    tuple(line.split())
    for line in (Path(__file__).parent / "recorded_keys.txt").read_text().splitlines()
    if not line.startswith("#")
]


def recorded(*kinds: str) -> list[tuple[str, ...]]:
    """The recorded lines of some kinds."""
    lines = [line for line in RECORDED if line[0] in kinds]
    assert len(lines) > 10
    return lines


def unhex(text: str) -> bytes | None:
    """Bytes of a recorded line; None for those that were not there."""
    return None if text == "-" else bytes.fromhex(text)


def readable(data: bytes | None) -> str:
    """A key in words, so that a difference can be read."""
    return "" if data is None else KEY.format(KEY.decode(data, False))


@pytest.mark.parametrize("line", recorded("upcall"), ids=range(len(recorded("upcall"))))
def test_a_key_of_the_kernel_is_built_again_as_it_was(line: tuple[str, ...]) -> None:
    content = bytes.fromhex(line[1])
    key = parse_exact_key(content)
    assert readable(build_key(key)) == readable(content)
    assert build_key(key) == content


@pytest.mark.parametrize(
    "line", recorded("told", "named"), ids=range(len(recorded("told", "named")))
)
def test_a_flow_is_dumped_as_the_kernel_dumps_it(line: tuple[str, ...]) -> None:
    kind, sent_key, sent_mask, told_key, told_mask = line
    key, mask = parse_match(bytes.fromhex(sent_key), unhex(sent_mask))
    built = build_key(key) if kind == "told" else build_masked_key(key, mask)
    assert readable(built) == readable(unhex(told_key))
    assert readable(build_mask(key & mask, mask)) == readable(unhex(told_mask))
    assert built == unhex(told_key)
    assert build_mask(key & mask, mask) == unhex(told_mask)
    assert build_mask(key, mask) == unhex(told_mask)


@pytest.mark.parametrize("line", recorded("refused"), ids=range(len(recorded("refused"))))
def test_what_the_kernel_refused_is_refused(line: tuple[str, ...]) -> None:
    _kind, key, mask = line
    with pytest.raises(DatapathError) as refusal:
        parse_match(bytes.fromhex(key), unhex(mask))
    assert refusal.value.errno == EINVAL
    assert refusal.value.path[0] in (FlowAttr.KEY, FlowAttr.MASK)


def test_every_field_of_a_packet_has_its_place() -> None:
    assert parse_exact_key(wire(TCP, RECIRC_ID=7, SKB_MARK=0x1234)) == make_key(
        in_port=1,
        recirc_id=7,
        skb_mark=0x1234,
        mac_proto=1,
        eth_src=MAC_A,
        eth_dst=MAC_B,
        eth_type=0x0800,
        ip_proto=6,
        ip_ttl=64,
        ipv4_src=IP_A,
        ipv4_dst=IP_B,
        tp_src=1000,
        tp_dst=80,
        tcp_flags=2,
    )


def test_a_mask_has_what_is_always_matched() -> None:
    key, mask = parse_match(wire(TCP), wire({KeyAttr.IN_PORT: 1, KeyAttr.ETHERTYPE: 1}))
    assert fields(mask) == {
        "in_port": 0xFFFF,
        "mac_proto": 0xFF,
        "vlan_tci": 0xFFFF,
        "cvlan_tci": 0xFFFF,
        "eth_type": 0xFFFF,
    }
    assert key == parse_exact_key(wire(TCP))


def test_a_mask_of_zeros_is_no_mask() -> None:
    empty = parse_match(wire(TCP), b"")
    zeros = b"".join(
        pack_attribute(number, bytes(max(size, 0))) for number, size in KEY_SIZES.items()
    )
    assert parse_match(wire(TCP), zeros) == parse_match(wire(TCP), 2 * zeros) == empty
    assert fields(empty.mask) == {"mac_proto": 0xFF, "vlan_tci": 0xFFFF, "cvlan_tci": 0xFFFF}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_without_a_mask_all_that_the_key_says_is_matched(kind: str) -> None:
    content = wire(EVERY_KIND[kind])
    key, mask = parse_match(content, None)
    assert key == parse_exact_key(content)
    type_is_told = KeyAttr.ETHERTYPE in EVERY_KIND[kind]
    assert key & mask == key & ~(0 if type_is_told else k.ETH_TYPE.ones)
    for attribute in EVERY_KIND[kind]:
        assert attribute in {number for _offset, number, _payload in walk(build_mask(key, mask))}


def test_metadata_is_what_a_packet_does_not_show() -> None:
    content = wire(TCP, RECIRC_ID=3, PRIORITY=4, CT_STATE=0x22, CT_ZONE=5, IN_PORT=None)
    assert fields(parse_metadata(content)) == {
        "in_port": k.NO_PORT,
        "recirc_id": 3,
        "priority": 4,
        "ct_state": 0x22,
        "ct_zone": 5,
        "mac_proto": k.MAC_PROTO_ETHERNET,
    }


def test_metadata_of_a_packet_without_ethernet_header_has_its_type() -> None:
    content = wire(EVERY_KIND["layer 3"])
    assert fields(parse_metadata(content)) == {"in_port": 1, "eth_type": 0x0800}


def test_metadata_tells_which_tuples_were_given() -> None:
    ipv4: Attributes = {KeyAttr.CT_ORIG_TUPLE_IPV4: KeyCtTupleIpv4(IP_A, IP_B, 1, 2, 6)}
    ipv6: Attributes = {KeyAttr.CT_ORIG_TUPLE_IPV6: KeyCtTupleIpv6()}
    assert parse_packet_key(b"") == (parse_metadata(b""), False, False)
    assert parse_packet_key(wire(ipv4)) == (parse_metadata(wire(ipv4)), True, False)
    assert parse_packet_key(wire(ipv6)) == (parse_metadata(b""), False, True)
    told = fields(parse_metadata(wire(ipv4)))
    assert (told["ct_orig_ipv4_src"], told["ct_orig_tp_dst"], told["ct_orig_proto"]) == (IP_A, 2, 6)


def test_metadata_needs_nothing_and_minds_no_more_than_the_form() -> None:
    assert fields(parse_metadata(b"")) == {"in_port": k.NO_PORT, "mac_proto": 1}
    unspecified = pack_attribute(KeyAttr.UNSPEC, b"")
    tag: Attributes = {KeyAttr.VLAN: 7, KeyAttr.ENCAP: {}}
    assert parse_metadata(wire(tag) + unspecified) == parse_metadata(b"")


@given(switch_keys(), st.one_of(st.just(0), tunnels()))
def test_what_is_built_is_parsed_again(key: int, tunnel: int) -> None:
    key |= tunnel
    assert fields(parse_exact_key(build_key(key))) == fields(key)


@given(switch_keys(), tunnels(), st.randoms())
def test_the_order_of_attributes_means_nothing(key: int, tunnel: int, random: Random) -> None:
    built = build_key(key | tunnel)
    attributes = [pack_attribute(number, payload) for _offset, number, payload in walk(built)]
    random.shuffle(attributes)
    assert build_key(parse_exact_key(b"".join(attributes))) == built


@given(st.data())
def test_masks_are_built_and_parsed_again(data: st.DataObject) -> None:
    key = data.draw(switch_keys()) | data.draw(st.one_of(st.just(0), tunnels()))
    content = build_key(key)
    if k.ETH_TYPE.get(key) == ETH_P_802_2:
        # Behind a tag, such a key has no attribute, and what an exact mask is made of is refused.
        exact = parse_match(content, wire({KeyAttr.ETHERNET: KeyEthernet(MAC_A, MAC_B)})).mask
    else:
        exact = parse_match(content, None).mask
    # Of a tunnel, an exact mask has more than can be told; what is told of it is a mask, too.
    exact = parse_match(content, build_mask(key & exact, exact)).mask
    mask = data.draw(masks(exact))
    parsed = parse_match(content, build_mask(key & mask, mask))
    assert fields(parsed.key) == fields(key)
    assert fields(parsed.mask) == fields(mask)


@given(switch_keys(), st.data())
def test_spoiled_keys_are_refused_or_taken_and_nothing_else(key: int, data: st.DataObject) -> None:
    content = bytearray(build_key(key))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    spoiled = bytes(content[: data.draw(st.integers(0, len(content)))])
    for parse in (
        parse_exact_key,
        parse_metadata,
        lambda x: parse_match(x, None),
        lambda x: parse_match(build_key(key), x),
        lambda x: parse_match(x, x),
    ):
        try:
            parse(spoiled)
        except DatapathError as error:
            assert error.errno == EINVAL
            assert error.message


def test_a_key_of_attributes_alone_says_which_are_there() -> None:
    """Each attribute that a key may have is built for some kind of packet."""
    built: set[int] = set()
    for kind in EVERY_KIND.values():
        built |= KEY_ATTRIBUTES.parse(build_key(parse_exact_key(wire(kind)))).keys()
    rare = {
        KeyAttr.UNSPEC,
        KeyAttr.SCTP,
        KeyAttr.ICMP,
        KeyAttr.TUNNEL,
        KeyAttr.CT_ORIG_TUPLE_IPV4,
        KeyAttr.CT_ORIG_TUPLE_IPV6,
    }
    assert KEY_SIZES.keys() - built == rare
