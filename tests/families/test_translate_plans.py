"""Plans change how fast keys and masks are parsed, and nothing else."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate import plans
from ovsdp_cuse.families.translate.key import (
    Match,
    build_key,
    build_mask,
    parse_exact_key,
    parse_match,
)
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, pack_attribute, walk
from ovsdp_cuse.wire.key import KeyAttr, KeyIpv4, KeyPorts
from ovsdp_cuse.wire.tunnel import TunnelKeyAttr
from tests.families.key_cases import (
    ALL,
    EVERY_KIND,
    IPV4,
    MPLS,
    ND,
    NSH,
    TCP,
    TWO_TAGS,
    UDP,
    VLAN,
    masks,
    switch_keys,
    wire,
)

MASK = wire(
    {
        KeyAttr.IN_PORT: ALL,
        KeyAttr.ETHERTYPE: 0xFFFF,
        KeyAttr.IPV4: KeyIpv4(proto=0xFF, frag=0xFF),
        KeyAttr.TCP: KeyPorts(0, 0xFFFF),
        KeyAttr.TCP_FLAGS: 0,
    }
)


Outcome = Match | tuple[int, tuple[int, ...]]


def outcome(key: bytes, mask: bytes | None) -> Outcome:
    """What a key and a mask come to: a match, or the errno and path of the refusal."""
    try:
        return parse_match(key, mask)
    except DatapathError as error:
        return error.errno, error.path


def without_plans(key: bytes, mask: bytes | None) -> Outcome:
    """What a key and a mask come to that are the first of their form."""
    with mock.patch.object(plans, "_plans", {}):
        return outcome(key, mask)


def without_tunnel(data: bytes) -> bytes:
    """A mask as the simplest clients send it, which says nothing of tunnels."""
    return b"".join(
        pack_attribute(number, payload)
        for _offset, number, payload in walk(data)
        if number != KeyAttr.TUNNEL
    )


def spoil(drawn: st.DataObject, data: bytes) -> bytes:
    """Change some bytes, mostly of payloads."""
    changed = bytearray(data)
    places = [
        offset + NLA_HEADER_SIZE + index
        for offset, _number, payload in walk(data)
        for index in range(len(payload))
    ]
    for place in drawn.draw(st.lists(st.sampled_from(places or [0]), max_size=6)):
        if changed:
            changed[place] = drawn.draw(st.sampled_from([0, 1, 6, 17, 58, 135, 0xFF]))
    if changed and drawn.draw(st.integers(0, 9)) == 0:
        changed[drawn.draw(st.integers(0, len(changed) - 1))] = drawn.draw(st.integers(0, 255))
    return bytes(changed)


@settings(max_examples=100)
@given(st.data())
def test_a_plan_parses_what_would_be_parsed_without_it(data: st.DataObject) -> None:
    draw = data.draw
    key = build_key(draw(switch_keys()))
    exact = without_plans(key, None)
    mask: bytes | None = None
    if not isinstance(exact, Match):
        mask = draw(st.sampled_from([b"", key]))
    elif draw(st.booleans()):
        bits = draw(masks(exact.mask))
        mask = build_mask(exact.key & bits, bits)
        mask = draw(st.sampled_from([mask, without_tunnel(mask)]))
    with mock.patch.object(plans, "_plans", {}):
        first = outcome(key, mask)
        assert first == outcome(key, mask) == without_plans(key, mask)
        for _ in range(4):
            other = spoil(data, key)
            other_mask = None if mask is None else spoil(data, mask)
            for pair in ((other, mask), (key, other_mask), (other, other_mask)):
                assert outcome(*pair) == without_plans(*pair)


@pytest.mark.parametrize(
    ("key", "mask", "planned"),
    [
        (wire(TCP), MASK, True),
        (wire(TCP), None, True),
        (wire(UDP), b"", True),
        (wire(ND), b"", True),
        (wire(TCP, IN_PORT=None), b"", False),
        (wire(TCP, UDP=KeyPorts()), b"", False),
        (wire(MPLS), None, False),
        (wire(NSH), None, False),
        (wire(VLAN), b"", False),
        (wire(TWO_TAGS), b"", False),
        (wire(UDP, TUNNEL={TunnelKeyAttr.IPV4_DST: b"1234", TunnelKeyAttr.TTL: 1}), b"", False),
    ],
)
def test_which_keys_have_plans(key: bytes, mask: bytes | None, planned: bool) -> None:
    with mock.patch.object(plans, "_plans", {}):
        match = parse_match(key, mask)
        found = plans.find(key)
        assert (found is not None) == planned
        if found is not None:
            assert (found[0], plans.find_mask(found[1], mask)) == match
            assert parse_exact_key(key) == match.key


@pytest.mark.parametrize(
    ("mask", "planned"),
    [
        (MASK, True),
        (2 * wire({KeyAttr.SKB_MARK: 0}), False),
        (wire({KeyAttr.UDP: KeyPorts()}), False),
        (wire({KeyAttr.TCP: KeyPorts()}), False),
        (wire({KeyAttr.TUNNEL: {}}), True),
        (wire({KeyAttr.TUNNEL: {TunnelKeyAttr.TTL: 0}}) + MASK, True),  # as ovs-vswitchd's
        (wire({KeyAttr.TUNNEL: {TunnelKeyAttr.TTL: 0xFF}}), True),
    ],
)
def test_masks_have_plans_where_no_zero_matters(mask: bytes, planned: bool) -> None:
    """A zero passes where other bits would not, so a plan must not be made of it."""
    with mock.patch.object(plans, "_plans", {}):
        parse_match(wire(TCP), mask)
        found = plans.find(wire(TCP))
        assert found is not None
        assert (plans.find_mask(found[1], mask) is not None) == planned


def test_a_plan_is_for_one_tunnel() -> None:
    """Of a tunnel, no bit may differ from the mask that the plan was made of."""
    with mock.patch.object(plans, "_plans", {}):
        seen = [
            parse_match(wire(TCP), wire({KeyAttr.TUNNEL: {TunnelKeyAttr.TTL: ttl}}) + MASK)
            for ttl in (0, 0xFF, 0)
        ]
    assert seen[0] == seen[2] != seen[1]


def test_there_are_so_many_plans_and_no_more() -> None:
    with mock.patch.object(plans, "_plans", {}):
        for protocol in range(60, 60 + 2 * plans.PLANS_MAXIMUM):
            key = wire(IPV4, IPV4=KeyIpv4(proto=protocol))
            parse_match(key, b"")
            planned = protocol < 60 + plans.PLANS_MAXIMUM
            assert (plans.find(key) is not None) == planned
        first = wire(IPV4, IPV4=KeyIpv4(proto=60))
        for bits in range(1, 2 * plans.PLANS_MAXIMUM):
            mask = wire({KeyAttr.ETHERTYPE: bits})
            assert parse_match(first, mask) == without_plans(first, mask)
            found = plans.find(first)
            assert found is not None
            assert (plans.find_mask(found[1], mask) is not None) == (bits <= plans.PLANS_MAXIMUM)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_key_is_the_same_every_time(kind: str) -> None:
    content = wire(EVERY_KIND[kind])
    assert outcome(content, b"") == outcome(content, b"") == without_plans(content, b"")
    assert outcome(content, None) == outcome(content, None) == without_plans(content, None)
