"""Lists of actions: order and repetition survive, text is what people know, no list is too deep."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import LayoutError
from ovsdp_cuse.wire.action_attributes import (
    MAXIMUM_DEPTH,
    OVS_ACTION_ATTR_DROP,
    ActionAttr,
    AddMpls,
    CheckPktLenAttr,
    CtAttr,
    DecTtlAttr,
    Hash,
    NatAttr,
    PushEth,
    PushMpls,
    PushVlan,
    SampleAttr,
    UserspaceAttr,
)
from ovsdp_cuse.wire.actions import ACTIONS, Masked
from ovsdp_cuse.wire.attributes import Unparsed, pack_attribute
from ovsdp_cuse.wire.key import KeyAttr, KeyEthernet, KeyIpv4, KeyMpls, KeyPorts
from ovsdp_cuse.wire.nsh import NshKeyAttr, NshKeyBase

MAC_A, MAC_B = bytes.fromhex("0a0000000001"), bytes.fromhex("0a0000000002")
OUTPUT = ((ActionAttr.OUTPUT, 2),)

Items = tuple[tuple[int, Any], ...]

SPELLINGS: list[tuple[Items, str]] = [
    ((), "drop"),
    (((ActionAttr.OUTPUT, 2), (ActionAttr.OUTPUT, 1), (ActionAttr.OUTPUT, 2)), "2,1,2"),
    (((ActionAttr.USERSPACE, {UserspaceAttr.PID: 7}),), "userspace(pid=7)"),
    (
        (
            (
                ActionAttr.USERSPACE,
                {
                    UserspaceAttr.PID: 7,
                    UserspaceAttr.USERDATA: b"\1\2",
                    UserspaceAttr.EGRESS_TUN_PORT: 4,
                    UserspaceAttr.ACTIONS: b"",
                },
            ),
        ),
        "userspace(pid=7,userdata(0102),actions,tunnel_out_port=4)",
    ),
    (
        ((ActionAttr.SET, {KeyAttr.ETHERNET: KeyEthernet(MAC_A, MAC_B)}),),
        "set(eth(src=0a:00:00:00:00:01,dst=0a:00:00:00:00:02))",
    ),
    (((ActionAttr.SET, {KeyAttr.PRIORITY: 9}),), "set(skb_priority(0x9))"),
    (
        ((ActionAttr.SET, {KeyAttr.MPLS: (KeyMpls(0x1FF),)}),),
        "set(mpls(label=0,tc=0,ttl=255,bos=1))",
    ),
    (
        ((ActionAttr.SET_MASKED, (KeyAttr.IPV4, KeyIpv4(ttl=9), KeyIpv4(ttl=255))),),
        "set(ipv4(ttl=9))",
    ),
    (((ActionAttr.SET_MASKED, (KeyAttr.SKB_MARK, 5, 7)),), "set(skb_mark(0x5/0x7))"),
    (((ActionAttr.SET_MASKED, (KeyAttr.TCP, KeyPorts(), KeyPorts())),), "set(tcp())"),
    (
        ((ActionAttr.SET_MASKED, (KeyAttr.MPLS, (KeyMpls(1),), (KeyMpls(3),))),),
        "set(mpls(label=0/0x0,tc=0/0,ttl=1/0x3,bos=0/0))",
    ),
    (((ActionAttr.PUSH_VLAN, PushVlan(0x8100, 0x3005)),), "push_vlan(vid=5,pcp=1)"),
    (((ActionAttr.PUSH_VLAN, PushVlan(0x88A8, 5)),), "push_vlan(tpid=0x88a8,vid=5,pcp=0,cfi=0)"),
    (((ActionAttr.POP_VLAN, True),), "pop_vlan"),
    (
        ((ActionAttr.SAMPLE, {SampleAttr.PROBABILITY: 2**31, SampleAttr.ACTIONS: OUTPUT}),),
        "sample(sample=50.0%,actions(2))",
    ),
    (((ActionAttr.RECIRC, 16),), "recirc(0x10)"),
    (
        ((ActionAttr.HASH, Hash(0, 5)), (ActionAttr.HASH, Hash(1, 0))),
        "hash(l4(5)),hash(sym_l4(0))",
    ),
    (((ActionAttr.HASH, Hash(7, 0)),), "hash(Unknown hash algorithm(7))"),
    (
        ((ActionAttr.PUSH_MPLS, PushMpls(0x64740, 0x8847)),),
        "push_mpls(label=100,tc=3,ttl=64,bos=1,eth_type=0x8847)",
    ),
    (
        ((ActionAttr.ADD_MPLS, AddMpls(0x64040, 0x8848, struct.pack("=H", 1))),),
        "add_mpls(label=100,tc=0,ttl=64,bos=0,eth_type=0x8848)",
    ),
    (((ActionAttr.POP_MPLS, 0x800),), "pop_mpls(eth_type=0x800)"),
    (((ActionAttr.CT, {}),), "ct"),
    (
        (
            (
                ActionAttr.CT,
                {
                    CtAttr.COMMIT: True,
                    CtAttr.ZONE: 3,
                    CtAttr.MARK: Masked(1, 15),
                    CtAttr.LABELS: Masked(bytes(16), b"\1" * 16),
                    CtAttr.HELPER: b"ftp\0",
                    CtAttr.NAT: {
                        NatAttr.SRC: True,
                        NatAttr.IP_MIN: bytes([10, 0, 0, 1]),
                        NatAttr.IP_MAX: bytes([10, 0, 0, 9]),
                        NatAttr.PROTO_MIN: 80,
                        NatAttr.PROTO_MAX: 80,
                        NatAttr.PERSISTENT: True,
                        NatAttr.PROTO_RANDOM: True,
                    },
                },
            ),
        ),
        f"ct(commit,zone=3,mark=0x1/0xf,label=0/0x1{'01' * 15},helper=ftp,"
        "nat(src=10.0.0.1-10.0.0.9:80,persistent,random))",
    ),
    (
        ((ActionAttr.CT, {CtAttr.FORCE_COMMIT: True, CtAttr.EVENTMASK: 5, CtAttr.NAT: {}}),),
        "ct(force_commit,nat)",
    ),
    (
        (
            (
                ActionAttr.CT,
                {
                    CtAttr.NAT: {
                        NatAttr.DST: True,
                        NatAttr.IP_MIN: bytes(15) + b"\1",
                        NatAttr.PROTO_MIN: 8,
                    }
                },
            ),
        ),
        "ct(nat(dst=[::1]:8))",
    ),
    (((ActionAttr.CT, {CtAttr.HELPER: b"\x1b[2J\0"}),), "ct(helper=\\x1b[2J)"),
    (((ActionAttr.CT_CLEAR, True),), "ct_clear"),
    (((ActionAttr.TRUNC, 64),), "trunc(64)"),
    (
        ((ActionAttr.PUSH_ETH, PushEth(MAC_A, MAC_B)),),
        "push_eth(src=0a:00:00:00:00:01,dst=0a:00:00:00:00:02)",
    ),
    (((ActionAttr.POP_ETH, True),), "pop_eth"),
    (((ActionAttr.POP_NSH, True),), "pop_nsh()"),
    (((ActionAttr.METER, 3),), "meter(3)"),
    (((ActionAttr.CLONE, OUTPUT),), "clone(2)"),
    (
        (
            (
                ActionAttr.CHECK_PKT_LEN,
                {
                    CheckPktLenAttr.PKT_LEN: 100,
                    CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL: (),
                    CheckPktLenAttr.ACTIONS_IF_GREATER: OUTPUT,
                },
            ),
        ),
        "check_pkt_len(size=100,gt(2),le(drop))",
    ),
    (((ActionAttr.DEC_TTL, {DecTtlAttr.ACTION: OUTPUT}),), "dec_ttl(le_1(2))"),
    (((OVS_ACTION_ATTR_DROP, 3),), "drop"),
    (((99, b"\1\2"),), "bad length 2, expected -1 for: action99(01 02)"),
]


@pytest.mark.parametrize(("actions", "text"), SPELLINGS, ids=[text for _actions, text in SPELLINGS])
def test_text_and_round_trip(actions: Items, text: str) -> None:
    payload = ACTIONS.encode(actions)
    assert ACTIONS.decode(payload, False) == actions
    assert ACTIONS.format(actions) == text


def test_push_nsh_shows_its_header() -> None:
    header = {NshKeyAttr.BASE: NshKeyBase(mdtype=1), NshKeyAttr.MD1: bytes(16)}
    actions = ((ActionAttr.PUSH_NSH, {KeyAttr.NSH: header}),)
    assert ACTIONS.decode(ACTIONS.encode(actions), False) == actions
    text = ACTIONS.format(actions)
    assert text.startswith("push_nsh(")
    assert "mdtype=1" in text


@pytest.mark.parametrize(
    ("number", "payload", "text"),
    [
        (ActionAttr.OUTPUT, b"\1", "bad length 1, expected 4 for: action1(01)"),
        (ActionAttr.PUSH_VLAN, b"", "bad length 0, expected 4 for: action4"),
        (ActionAttr.SET_MASKED, bytes(4), "set(error)"),
        (
            ActionAttr.SET_MASKED,
            pack_attribute(KeyAttr.PRIORITY, b"odd"),
            "set((bad key length 1, expected 4)(6f/(bad mask length 1, expected 4)(64))",
        ),
        (ActionAttr.SET, b"abc", "set(error)"),
        (ActionAttr.CLONE, b"abc", "clone(<empty>,***3 leftover bytes*** (616263))"),
        (ActionAttr.CT, pack_attribute(CtAttr.ZONE, b"a"), "ct(error)"),
    ],
)
def test_what_does_not_fit_stays_bytes(number: int, payload: bytes, text: str) -> None:
    data = pack_attribute(number, payload)
    assert ACTIONS.decode(data, False) == ((number, payload),)
    assert ACTIONS.format(ACTIONS.decode(data, False)) == text
    assert ACTIONS.encode(ACTIONS.decode(data, False)) == data


@pytest.mark.parametrize("data", [b"a", bytes(4), struct.pack("=HH", 8, 1)])
def test_bytes_left_over_are_an_error(data: bytes) -> None:
    with pytest.raises(LayoutError):
        ACTIONS.decode(data, False)
    assert Unparsed(ACTIONS).format(data) == data.hex()


def test_lists_below_the_deepest_stay_bytes() -> None:
    """However deep a client nests: no recursion follows it."""
    headers = range(65_000, 3, -4)
    data = b"".join(struct.pack("=HH", length, ActionAttr.CLONE) for length in headers)
    decoded: Any = ACTIONS.decode(data, False)
    depth = 0
    while not isinstance(decoded, bytes):
        ((_number, decoded),) = decoded
        depth += 1
    assert depth == MAXIMUM_DEPTH + 1
    assert ACTIONS.format(ACTIONS.decode(data, False)).startswith("clone(" * MAXIMUM_DEPTH)
    assert ACTIONS.encode(ACTIONS.decode(data, False)) == data


@given(st.binary(max_size=120), st.sampled_from(ActionAttr))
def test_any_bytes_have_a_text(payload: bytes, number: ActionAttr) -> None:
    for data in (payload, pack_attribute(number, payload)):
        assert Unparsed(ACTIONS).format(data).isprintable()
