"""Actions with actions inside: their rules, the form that a dump shows, depth and size."""

from __future__ import annotations

import struct
from collections.abc import Callable
from errno import EINVAL, EMSGSIZE, EOVERFLOW, ERANGE
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.actions import parse_actions
from ovsdp_cuse.switch.actions import (
    Action,
    CheckPktLen,
    Clone,
    DecTtl,
    Output,
    PopEth,
    Sample,
    Userspace,
)
from ovsdp_cuse.wire.action_attributes import (
    MAXIMUM_DEPTH,
    ActionAttr,
    CheckPktLenAttr,
    SampleAttr,
    UserspaceAttr,
)
from ovsdp_cuse.wire.attributes import NLA_F_NESTED, pack_attribute
from ovsdp_cuse.wire.key import KeyAttr
from tests.families.action_cases import (
    IPV4,
    OUTPUT,
    POP_ETH,
    TCP_FLOW,
    be16,
    check_pkt_len,
    clone,
    dec_ttl,
    ipv4,
    output,
    push_mpls,
    sample,
    set_,
    trunc,
    u16,
    u32,
    userspace,
)

PROBABILITY = pack_attribute(SampleAttr.PROBABILITY, u32(77))
ACTIONS = pack_attribute(SampleAttr.ACTIONS, OUTPUT)
LENGTH = pack_attribute(CheckPktLenAttr.PKT_LEN, u16(100))
GREATER = pack_attribute(CheckPktLenAttr.ACTIONS_IF_GREATER, output(3))
LESS_EQUAL = pack_attribute(CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL, output(4))

# The padding of this list's last action is not there.
UNPADDED = pack_attribute(
    ActionAttr.USERSPACE, pack_attribute(1, u32(7)) + struct.pack("=HHB", 5, 2, 9)
)[:-3]


def raw(number: int, payload: bytes) -> bytes:
    """Any action."""
    return pack_attribute(number, payload)


ACCEPTED: list[tuple[str, bytes, Action, bytes | None]] = [
    ("sample", sample(OUTPUT, 77), Sample(77, (Output(2),)), None),
    ("sample of nothing", sample(b"", 0), Sample(0, ()), None),
    (
        "sample whose probability comes last",
        raw(ActionAttr.SAMPLE, ACTIONS + PROBABILITY),
        Sample(77, (Output(2),)),
        sample(OUTPUT, 77),
    ),
    ("clone", clone(OUTPUT + output(3)), Clone((Output(2), Output(3))), None),
    ("clone of nothing", clone(b""), Clone(()), None),
    (
        "clone of a list without its last padding",
        raw(ActionAttr.CLONE, UNPADDED),
        Clone((Userspace(7, b"\t"),)),
        clone(raw(ActionAttr.USERSPACE, raw(1, u32(7)) + struct.pack("=HHB", 5, 2, 9))),
    ),
    ("dec_ttl", dec_ttl(OUTPUT), DecTtl((Output(2),)), None),
    (
        "dec_ttl with unknown attributes",
        raw(ActionAttr.DEC_TTL, raw(2, b"x") + raw(1, OUTPUT) + raw(9, b"") * 2),
        DecTtl((Output(2),)),
        dec_ttl(OUTPUT),
    ),
    (
        "check_pkt_len",
        check_pkt_len(100, output(3), output(4)),
        CheckPktLen(100, (Output(3),), (Output(4),)),
        raw(ActionAttr.CHECK_PKT_LEN, LENGTH + LESS_EQUAL + GREATER),
    ),
    (
        "check_pkt_len of nothing",
        raw(ActionAttr.CHECK_PKT_LEN, LENGTH + raw(3, b"") + raw(2, b"")),
        CheckPktLen(100, (), ()),
        None,
    ),
    (
        "check_pkt_len: long numbers, and the last of duplicates",
        raw(
            ActionAttr.CHECK_PKT_LEN,
            GREATER + raw(2, OUTPUT) + LESS_EQUAL + LENGTH + raw(1, u16(9) + b"more"),
        ),
        CheckPktLen(9, (Output(2),), (Output(4),)),
        raw(ActionAttr.CHECK_PKT_LEN, raw(1, u16(9)) + LESS_EQUAL + raw(2, OUTPUT)),
    ),
    (
        "check_pkt_len without its last padding",
        raw(ActionAttr.CHECK_PKT_LEN, GREATER + LESS_EQUAL + LENGTH[:-2]),
        CheckPktLen(100, (Output(3),), (Output(4),)),
        raw(ActionAttr.CHECK_PKT_LEN, LENGTH + LESS_EQUAL + GREATER),
    ),
    (
        "what is known of the Ethernet header is the flow's, inside",
        POP_ETH + clone(POP_ETH),
        Clone((PopEth(),)),
        None,
    ),
    (
        "flags of attribute numbers, inside",
        raw(
            ActionAttr.SAMPLE | NLA_F_NESTED,
            PROBABILITY + raw(2 | NLA_F_NESTED, raw(1 | NLA_F_NESTED, u32(2))),
        ),
        Sample(77, (Output(2),)),
        sample(OUTPUT, 77),
    ),
]


@pytest.mark.parametrize(
    ("data", "action", "wire"), [case[1:] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED]
)
def test_accepted(data: bytes, action: Action, wire: bytes | None) -> None:
    parsed = parse_actions(data, TCP_FLOW)
    assert parsed.actions[-1] == action
    assert parsed.wire == (data if wire is None else wire)
    assert parse_actions(parsed.wire, TCP_FLOW) == parsed, "a dump can be put again"


REJECTED: list[tuple[str, int, bytes]] = [
    ("sample of nothing at all", EINVAL, raw(ActionAttr.SAMPLE, b"")),
    ("sample without probability", EINVAL, raw(ActionAttr.SAMPLE, ACTIONS)),
    ("sample without actions", EINVAL, raw(ActionAttr.SAMPLE, PROBABILITY)),
    ("sample: long probability", EINVAL, raw(ActionAttr.SAMPLE, raw(1, bytes(5)) + ACTIONS)),
    ("sample: actions too short", EINVAL, raw(ActionAttr.SAMPLE, PROBABILITY + raw(2, bytes(3)))),
    ("sample: twice", EINVAL, raw(ActionAttr.SAMPLE, PROBABILITY + ACTIONS * 2)),
    ("sample: unknown", EINVAL, raw(ActionAttr.SAMPLE, PROBABILITY + ACTIONS + raw(3, b""))),
    ("sample: 0", EINVAL, raw(ActionAttr.SAMPLE, PROBABILITY + ACTIONS + raw(0, b""))),
    ("sample: left over", EINVAL, raw(ActionAttr.SAMPLE, PROBABILITY + ACTIONS + b"abc")),
    (
        "sample: no padding",
        EINVAL,
        raw(ActionAttr.SAMPLE, PROBABILITY + raw(2, UNPADDED)[:-3]),
    ),
    ("sample: wrong inside", EINVAL, sample(trunc(13))),
    ("clone: too short", EINVAL, clone(bytes(3))),
    ("clone: wrong inside", EINVAL, clone(OUTPUT + bytes(4))),
    ("clone: what came before counts", EINVAL, push_mpls() + clone(set_(KeyAttr.IPV4, ipv4()))),
    ("dec_ttl of nothing", EINVAL, raw(ActionAttr.DEC_TTL, b"")),
    ("dec_ttl of unknown attributes", EINVAL, raw(ActionAttr.DEC_TTL, raw(2, OUTPUT))),
    ("dec_ttl: twice", EINVAL, raw(ActionAttr.DEC_TTL, raw(1, OUTPUT) * 2)),
    ("dec_ttl: 0", EINVAL, raw(ActionAttr.DEC_TTL, raw(1, OUTPUT) + raw(0, b""))),
    ("dec_ttl: actions too short", EINVAL, dec_ttl(bytes(2))),
    ("dec_ttl: left over", EINVAL, raw(ActionAttr.DEC_TTL, raw(1, OUTPUT) + b"a")),
    ("dec_ttl: no padding", EINVAL, raw(ActionAttr.DEC_TTL, raw(1, UNPADDED)[:-3])),
    ("dec_ttl: wrong inside", EINVAL, dec_ttl(raw(99, b""))),
    ("check_pkt_len of nothing", EINVAL, raw(ActionAttr.CHECK_PKT_LEN, b"")),
    ("check_pkt_len: no length", EINVAL, raw(ActionAttr.CHECK_PKT_LEN, GREATER + LESS_EQUAL)),
    ("check_pkt_len: length 0", EINVAL, check_pkt_len(0, OUTPUT, OUTPUT)),
    ("check_pkt_len: no greater", EINVAL, raw(ActionAttr.CHECK_PKT_LEN, LENGTH + LESS_EQUAL)),
    ("check_pkt_len: no less", EINVAL, raw(ActionAttr.CHECK_PKT_LEN, LENGTH + GREATER)),
    (
        "check_pkt_len: unknown",
        EINVAL,
        raw(ActionAttr.CHECK_PKT_LEN, LENGTH + GREATER + LESS_EQUAL + raw(4, b"")),
    ),
    (
        "check_pkt_len: 0",
        EINVAL,
        raw(ActionAttr.CHECK_PKT_LEN, LENGTH + GREATER + LESS_EQUAL + raw(0, b"")),
    ),
    (
        "check_pkt_len: left over",
        EINVAL,
        raw(ActionAttr.CHECK_PKT_LEN, LENGTH + GREATER + LESS_EQUAL + b"abc"),
    ),
    ("check_pkt_len: short length", ERANGE, raw(ActionAttr.CHECK_PKT_LEN, raw(1, b"a"))),
    ("check_pkt_len: empty length", ERANGE, raw(ActionAttr.CHECK_PKT_LEN, raw(1, b""))),
    ("check_pkt_len: short actions", ERANGE, raw(ActionAttr.CHECK_PKT_LEN, raw(2, b"abc"))),
    ("check_pkt_len: wrong greater", EINVAL, check_pkt_len(9, trunc(1), OUTPUT)),
    ("check_pkt_len: wrong less", EINVAL, check_pkt_len(9, OUTPUT, trunc(1))),
]


@pytest.mark.parametrize(
    ("errno", "data"), [case[1:] for case in REJECTED], ids=[case[0] for case in REJECTED]
)
def test_rejected(errno: int, data: bytes) -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(data, TCP_FLOW)
    assert caught.value.errno == errno, caught.value


def test_the_list_for_packets_that_are_not_longer_is_looked_at_first() -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(check_pkt_len(9, trunc(1), output(70000)), TCP_FLOW)
    assert caught.value.path == (
        ActionAttr.CHECK_PKT_LEN,
        CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL,
        ActionAttr.OUTPUT,
    )


def test_what_a_list_inside_does_is_not_known_after_it() -> None:
    data = clone(push_mpls()) + sample(POP_ETH) + set_(KeyAttr.IPV4, ipv4()) + POP_ETH
    assert parse_actions(data, TCP_FLOW).wire == data


def test_an_upcall_carries_the_inner_list() -> None:
    asking = userspace(7, (UserspaceAttr.ACTIONS, b""))
    parsed = parse_actions(clone(asking + OUTPUT) + OUTPUT, TCP_FLOW)
    inner = Userspace(7, actions=asking + OUTPUT)
    assert parsed.actions == (Clone((inner, Output(2))), Output(2))


WRAPPERS: list[Callable[[bytes], bytes]] = [
    clone,
    sample,
    dec_ttl,
    lambda inner: check_pkt_len(1, inner, b""),
    lambda inner: check_pkt_len(1, b"", inner),
]


def nest(wrap: Callable[[bytes], bytes], depth: int, inner: bytes = OUTPUT) -> bytes:
    """A list in so many others."""
    for _ in range(depth):
        inner = wrap(inner)
    return inner


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_depth(wrap: Callable[[bytes], bytes]) -> None:
    assert len(parse_actions(nest(wrap, MAXIMUM_DEPTH), TCP_FLOW).actions) == 1
    with pytest.raises(DatapathError) as caught:
        parse_actions(nest(wrap, MAXIMUM_DEPTH + 1), TCP_FLOW)
    assert caught.value.errno == EOVERFLOW
    assert len(caught.value.path) >= MAXIMUM_DEPTH


def test_depth_is_told_before_what_is_wrong_below_it() -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(nest(clone, MAXIMUM_DEPTH + 1, trunc(1)), TCP_FLOW)
    assert caught.value.errno == EOVERFLOW
    with pytest.raises(DatapathError) as caught:
        parse_actions(nest(clone, MAXIMUM_DEPTH, trunc(1)), TCP_FLOW)
    assert caught.value.errno == EINVAL


SET = set_(KeyAttr.ETHERNET, bytes(12))
SET_SIZE_KEPT = 32
"""A set of 20 bytes is kept with a mask of 12 more."""


@pytest.mark.parametrize(
    ("wrap", "overhead"), [(clone, 12), (sample, 16), (dec_ttl, 8), (WRAPPERS[3], 20)]
)
def test_size_is_that_of_the_form_with_masks(wrap: Callable[[bytes], bytes], overhead: int) -> None:
    most = (0xFFFF - overhead) // SET_SIZE_KEPT
    assert len(parse_actions(wrap(SET * most), TCP_FLOW).actions) == 1
    with pytest.raises(DatapathError) as caught:
        parse_actions(wrap(SET * (most + 1)), TCP_FLOW)
    assert caught.value.errno == EMSGSIZE
    assert len(parse_actions(SET * (most + 1), TCP_FLOW).actions) == most + 1, "not for the flow's"


def chain(size: int) -> bytes:
    """A header in a header in a header, as deep as `size` bytes allow."""
    headers = range(size, 3, -4)
    return b"".join(struct.pack("=HH", length, ActionAttr.CLONE) for length in headers)


@pytest.mark.parametrize(
    ("data", "errno"),
    [
        (pack_attribute(ActionAttr.POP_VLAN, b"") * 16_000, 0),
        (OUTPUT * 8_000, 0),
        (clone(b"") * 16_000, 0),
        (nest(clone, MAXIMUM_DEPTH, OUTPUT * 8_000), 0),
        (sample(OUTPUT) * 2_500, 0),
        (set_(KeyAttr.IPV4, ipv4()) * 3_000, 0),
        (userspace(7, (UserspaceAttr.ACTIONS, b"")) * 3_000, 0),
        (chain(65_000), EOVERFLOW),
        (OUTPUT * 8_000 + b"\1", EINVAL),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else None,
)
def test_large_lists_take_no_time(data: bytes, errno: int) -> None:
    """Milliseconds each; seconds would hold up every client of the daemon."""
    started = process_time()
    try:
        parsed = parse_actions(data, TCP_FLOW)
    except DatapathError as error:
        assert error.errno == errno
    else:
        assert errno == 0
        assert len(parsed.wire) >= len(data)
    assert process_time() - started < 1.0


def lists(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Lists of valid actions around lists."""
    several = st.lists(inner, max_size=3).map(b"".join)
    return st.one_of(
        several.map(clone),
        st.builds(sample, several, st.integers(0, 2**32 - 1)),
        several.map(dec_ttl),
        st.builds(check_pkt_len, st.integers(1, 0xFFFF), several, several),
    )


VALID = st.recursive(
    st.one_of(
        st.integers(0, 65534).map(output),
        st.integers(14, 2**32 - 1).map(trunc),
        st.builds(
            userspace, st.integers(1, 2**32 - 1), st.tuples(st.just(2), st.binary(max_size=9))
        ),
        st.binary(min_size=12, max_size=12).map(lambda value: set_(KeyAttr.ETHERNET, value)),
    ),
    lists,
    max_leaves=12,
)


@given(st.lists(VALID, max_size=4).map(b"".join))
def test_what_is_dumped_can_be_put_again_and_is_dumped_so(data: bytes) -> None:
    parsed = parse_actions(data, TCP_FLOW)
    assert parse_actions(parsed.wire, TCP_FLOW) == parsed


@given(st.lists(VALID, max_size=4).map(b"".join), st.data())
def test_what_is_nearly_valid_is_refused_cleanly(data: bytes, draw: st.DataObject) -> None:
    broken = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        if broken:
            at = draw.draw(st.integers(0, len(broken) - 1))
            broken[at] = draw.draw(st.integers(0, 255))
    try:
        parsed = parse_actions(bytes(broken), TCP_FLOW)
    except DatapathError as error:
        assert error.errno > 0
        assert error.message
    else:
        assert parse_actions(parsed.wire, TCP_FLOW) == parsed


@given(st.binary(max_size=200), st.sampled_from(ActionAttr))
@example(b"", ActionAttr.SAMPLE)
@example(be16(IPV4), ActionAttr.POP_MPLS)
def test_any_bytes_are_answered(payload: bytes, number: ActionAttr) -> None:
    for data in (payload, raw(number, payload)):
        try:
            parsed = parse_actions(data, TCP_FLOW)
        except DatapathError as error:
            assert error.errno > 0
            assert error.message
        else:
            assert parse_actions(parsed.wire, TCP_FLOW).wire == parsed.wire
