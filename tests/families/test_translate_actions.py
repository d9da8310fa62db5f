"""Actions from their netlink form: what each rule of the kernel lets pass, and what it refuses."""

from __future__ import annotations

import os
import struct
from errno import EINVAL, ERANGE

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.actions import parse_actions
from ovsdp_cuse.switch.actions import (
    Action,
    AddMpls,
    CtClear,
    Drop,
    Hash,
    Meter,
    Output,
    PopEth,
    PopMpls,
    PopNsh,
    PopVlan,
    PushEth,
    PushMpls,
    PushNsh,
    PushVlan,
    Recirc,
    Trunc,
    Userspace,
)
from ovsdp_cuse.wire.action_attributes import (
    OVS_ACTION_ATTR_DROP,
    ActionAttr,
    UserspaceAttr,
)
from ovsdp_cuse.wire.attributes import NLA_F_NESTED, pack_attribute
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.nsh import NshKeyAttr
from tests.families.action_cases import (
    ARP,
    CFI,
    CT_CLEAR,
    IPV4,
    MAC_A,
    MAC_B,
    MPLS,
    MPLS_MULTICAST,
    NSH,
    NSH_CONTEXT,
    OUTPUT,
    POP_ETH,
    POP_NSH,
    POP_VLAN,
    PUSH_ETHERNET,
    QINQ,
    TCP_FLOW,
    TEB,
    VLAN,
    add_mpls,
    be16,
    flow_key,
    hash_,
    ipv4,
    nsh_base,
    output,
    pop_mpls,
    push_mpls,
    push_nsh,
    push_vlan,
    set_,
    trunc,
    u16,
    u32,
    userspace,
)

TAGGED = flow_key(vlan_tci=CFI | 5)
NO_ETHERNET = flow_key(ethernet=False)
LABELLED = flow_key(MPLS, labels=2)
NSH_HEADER = bytes.fromhex("1fc6 0103 000123fe") + bytes(range(16))
"""Version 0, flags 1, TTL 63, 6 words; type 1, next Ethernet; path and index; context."""

ACCEPTED: list[tuple[str, int, bytes, list[Action]]] = [
    ("nothing: drop", TCP_FLOW, b"", []),
    ("output", TCP_FLOW, output(0) + output(65534), [Output(0), Output(65534)]),
    ("trunc", TCP_FLOW, trunc(14) + trunc(2**32 - 1), [Trunc(14), Trunc(2**32 - 1)]),
    ("recirc", TCP_FLOW, pack_attribute(ActionAttr.RECIRC, u32(0)), [Recirc(0)]),
    ("meter", TCP_FLOW, pack_attribute(ActionAttr.METER, u32(2**32 - 1)), [Meter(2**32 - 1)]),
    ("drop", TCP_FLOW, pack_attribute(OVS_ACTION_ATTR_DROP, u32(5)), [Drop(5)]),
    ("hash", TCP_FLOW, hash_(0, 9) + hash_(1), [Hash(9, False), Hash(0, True)]),
    ("push_vlan", TCP_FLOW, push_vlan(VLAN, CFI), [PushVlan(VLAN, CFI)]),
    ("push_vlan on a tag", TAGGED, push_vlan(QINQ, 0xFFFF), [PushVlan(QINQ, 0xFFFF)]),
    ("pop_vlan where there is no tag", TCP_FLOW, POP_VLAN * 2, [PopVlan(), PopVlan()]),
    ("push_mpls", TCP_FLOW, push_mpls(lse=0x123), [PushMpls(0x123, MPLS)]),
    (
        "push_mpls on labels",
        LABELLED,
        push_mpls(MPLS_MULTICAST, 1),
        [PushMpls(1, MPLS_MULTICAST)],
    ),
    ("push_mpls before ARP", flow_key(ARP), push_mpls(lse=1), [PushMpls(1, MPLS)]),
    ("push_mpls before RARP", flow_key(0x8035), push_mpls(lse=1), [PushMpls(1, MPLS)]),
    (
        "push_mpls behind a popped tag",
        TAGGED,
        POP_VLAN + push_mpls(lse=1),
        [PopVlan(), PushMpls(1, MPLS)],
    ),
    ("add_mpls", TCP_FLOW, add_mpls(lse=1), [AddMpls(1, MPLS, False)]),
    ("add_mpls before a tag", TAGGED, add_mpls(lse=1), [AddMpls(1, MPLS, False)]),
    ("add_mpls before anything", flow_key(0x88CC), add_mpls(lse=1), [AddMpls(1, MPLS, False)]),
    ("add_mpls, l3", TCP_FLOW, add_mpls(is_l3=True, lse=1), [AddMpls(1, MPLS, True)]),
    ("pop_mpls", LABELLED, pop_mpls(MPLS) + pop_mpls(), [PopMpls(MPLS), PopMpls(IPV4)]),
    (
        "pop_mpls of what was pushed",
        TCP_FLOW,
        push_mpls(lse=1) + pop_mpls(),
        [
            PushMpls(1, MPLS),
            PopMpls(IPV4),
        ],
    ),
    (
        "pop_mpls to Ethernet without Ethernet",
        flow_key(MPLS, ethernet=False, labels=1),
        pop_mpls(TEB),
        [PopMpls(TEB)],
    ),
    (
        "pop_mpls, of labels that the mask does not tell",
        flow_key(MPLS),
        pop_mpls(MPLS) * 3,
        [PopMpls(MPLS)] * 3,
    ),
    ("push_eth", NO_ETHERNET, PUSH_ETHERNET, [PushEth(dst=MAC_B, src=MAC_A)]),
    (
        "pop_eth, push_eth",
        TCP_FLOW,
        POP_ETH + PUSH_ETHERNET,
        [
            PopEth(),
            PushEth(dst=MAC_B, src=MAC_A),
        ],
    ),
    ("ct_clear", TCP_FLOW, CT_CLEAR, [CtClear()]),
    ("pop_eth behind a popped tag", TAGGED, POP_VLAN + POP_ETH, [PopVlan(), PopEth()]),
    ("push_nsh", TCP_FLOW, push_nsh(nsh_base() + NSH_CONTEXT), [PushNsh(NSH_HEADER)]),
    (
        "push_nsh, push_eth",
        TCP_FLOW,
        push_nsh(NSH_CONTEXT + nsh_base()) + PUSH_ETHERNET,
        [PushNsh(NSH_HEADER), PushEth(dst=MAC_B, src=MAC_A)],
    ),
    (
        "push_nsh on IPv4, metadata of type 2",
        NO_ETHERNET,
        push_nsh(nsh_base(2, 1) + pack_attribute(NshKeyAttr.MD2, b"abcdef")),
        [PushNsh(bytes.fromhex("1fc3 0201 000123fe") + b"abcd")],
    ),
    ("pop_nsh", flow_key(NSH, nsh_protocol=1), POP_NSH, [PopNsh()]),
    (
        "pop_nsh, Ethernet follows",
        flow_key(NSH, ethernet=False, nsh_protocol=3),
        POP_NSH + POP_ETH,
        [
            PopNsh(),
            PopEth(),
        ],
    ),
    ("userspace", TCP_FLOW, userspace(7), [Userspace(7)]),
    (
        "userspace with all",
        TCP_FLOW,
        userspace(7, (UserspaceAttr.USERDATA, b"abc"), (UserspaceAttr.EGRESS_TUN_PORT, u32(3))),
        [Userspace(7, b"abc", 3)],
    ),
    (
        "userspace: long numbers, unknown attributes, and the last of duplicates",
        TCP_FLOW,
        userspace(1, (UserspaceAttr.PID, u32(7) + b"more"), (99, b"x"), (0, b""), (99, b"y")),
        [Userspace(7)],
    ),
    (
        "userspace with empty userdata",
        TCP_FLOW,
        userspace(7, (UserspaceAttr.USERDATA, b"")),
        [
            Userspace(7, b""),
        ],
    ),
]


@pytest.mark.parametrize(
    ("key", "data", "actions"), [case[1:] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED]
)
def test_accepted(key: int, data: bytes, actions: list[Action]) -> None:
    parsed = parse_actions(data, key)
    assert parsed.actions == tuple(actions)
    assert parsed.wire == data, "what needs no other form is dumped as it came"


def raw(number: int, payload: bytes) -> bytes:
    """Any action."""
    return pack_attribute(number, payload)


REJECTED: list[tuple[str, int, bytes]] = [
    ("unspec", TCP_FLOW, raw(0, b"")),
    ("unspec with a payload", TCP_FLOW, raw(0, u32(1))),
    ("unknown", TCP_FLOW, raw(25, u32(0))),
    ("unknown, large", TCP_FLOW, raw(0x3FFF, b"")),
    ("trailing bytes", TCP_FLOW, OUTPUT + b"\0\0\0"),
    ("trailing header of nothing", TCP_FLOW, OUTPUT + bytes(4)),
    ("an attribute that is cut", TCP_FLOW, OUTPUT[:-1]),
    ("an attribute that claims more", TCP_FLOW, struct.pack("=HHI", 12, 1, 0)),
    ("an error after good actions", TCP_FLOW, OUTPUT * 100 + raw(25, b"")),
    ("output of another size", TCP_FLOW, raw(ActionAttr.OUTPUT, u16(1))),
    ("output, long", TCP_FLOW, raw(ActionAttr.OUTPUT, bytes(8))),
    ("output beyond the largest port", TCP_FLOW, output(65535)),
    ("trunc of another size", TCP_FLOW, raw(ActionAttr.TRUNC, b"")),
    ("trunc below a header", TCP_FLOW, trunc(13)),
    ("recirc of another size", TCP_FLOW, raw(ActionAttr.RECIRC, bytes(5))),
    ("meter of another size", TCP_FLOW, raw(ActionAttr.METER, bytes(3))),
    ("drop of another size", TCP_FLOW, raw(OVS_ACTION_ATTR_DROP, b"")),
    ("drop before an output", TCP_FLOW, raw(OVS_ACTION_ATTR_DROP, u32(5)) + OUTPUT),
    ("drop twice", TCP_FLOW, raw(OVS_ACTION_ATTR_DROP, u32(5)) * 2),
    ("hash of another size", TCP_FLOW, raw(ActionAttr.HASH, bytes(4))),
    ("hash of an unknown kind", TCP_FLOW, hash_(2)),
    ("push_vlan of another size", TCP_FLOW, raw(ActionAttr.PUSH_VLAN, bytes(2))),
    ("push_vlan of no tag", TCP_FLOW, push_vlan(IPV4)),
    ("push_vlan without CFI", TCP_FLOW, push_vlan(tci=5)),
    ("push_vlan without Ethernet", NO_ETHERNET, push_vlan()),
    ("pop_vlan with a payload", TCP_FLOW, raw(ActionAttr.POP_VLAN, bytes(4))),
    ("pop_vlan without Ethernet", NO_ETHERNET, POP_VLAN),
    ("push_mpls of 6 bytes", TCP_FLOW, raw(ActionAttr.PUSH_MPLS, bytes(4) + be16(MPLS))),
    ("push_mpls of no MPLS", TCP_FLOW, push_mpls(IPV4)),
    ("push_mpls behind a tag", TAGGED, push_mpls()),
    ("push_mpls behind a pushed tag", TCP_FLOW, push_vlan() + push_mpls()),
    ("push_mpls before NSH", flow_key(NSH), push_mpls()),
    ("add_mpls of another size", TCP_FLOW, raw(ActionAttr.ADD_MPLS, bytes(6))),
    ("add_mpls of no MPLS", TCP_FLOW, add_mpls(IPV4)),
    ("add_mpls, l3, behind a tag", TAGGED, add_mpls(is_l3=True)),
    ("add_mpls, l3, before NSH", flow_key(NSH), add_mpls(is_l3=True)),
    ("add_mpls leaves no Ethernet", TCP_FLOW, add_mpls() + POP_ETH),
    ("add_mpls leaves no IPv4", TCP_FLOW, add_mpls() + set_(KeyAttr.IPV4, ipv4())),
    ("pop_mpls of another size", LABELLED, raw(ActionAttr.POP_MPLS, bytes(4))),
    ("pop_mpls of no MPLS", TCP_FLOW, pop_mpls()),
    ("pop_mpls behind a tag", flow_key(MPLS, vlan_tci=CFI, labels=2), pop_mpls()),
    ("pop_mpls to Ethernet behind Ethernet", LABELLED, pop_mpls(TEB)),
    ("pop_mpls after the last label", flow_key(MPLS, labels=1), pop_mpls(MPLS) * 2),
    ("pop_mpls after another protocol", LABELLED, pop_mpls(IPV4) + pop_mpls(IPV4)),
    ("push_eth of another size", NO_ETHERNET, raw(ActionAttr.PUSH_ETH, bytes(14))),
    ("push_eth on Ethernet", TCP_FLOW, PUSH_ETHERNET),
    ("push_eth twice", NO_ETHERNET, PUSH_ETHERNET * 2),
    ("pop_eth with a payload", TCP_FLOW, raw(ActionAttr.POP_ETH, bytes(1))),
    ("pop_eth without Ethernet", NO_ETHERNET, POP_ETH),
    ("pop_eth of a tagged frame", TAGGED, POP_ETH),
    ("pop_eth behind a pushed tag", TCP_FLOW, push_vlan() + POP_ETH),
    ("push_nsh of nothing", TCP_FLOW, raw(ActionAttr.PUSH_NSH, b"")),
    ("push_nsh of another attribute", TCP_FLOW, raw(ActionAttr.PUSH_NSH, raw(1, NSH_CONTEXT))),
    (
        "push_nsh of two headers",
        TCP_FLOW,
        raw(ActionAttr.PUSH_NSH, raw(KeyAttr.NSH, nsh_base() + NSH_CONTEXT) * 2),
    ),
    (
        "push_nsh whose padding is not there",
        TCP_FLOW,
        raw(
            ActionAttr.PUSH_NSH,
            raw(KeyAttr.NSH, nsh_base(2) + struct.pack("=HH1s", 5, NshKeyAttr.MD2, b"x"))[:-3],
        ),
    ),
    ("push_nsh without metadata", TCP_FLOW, push_nsh(nsh_base())),
    ("push_nsh without base", TCP_FLOW, push_nsh(NSH_CONTEXT)),
    ("push_nsh of metadata of another type", TCP_FLOW, push_nsh(nsh_base(2) + NSH_CONTEXT)),
    (
        "push_nsh with metadata of both types",
        TCP_FLOW,
        push_nsh(nsh_base() + NSH_CONTEXT + raw(NshKeyAttr.MD2, bytes(4))),
    ),
    ("push_nsh, empty MD2", TCP_FLOW, push_nsh(nsh_base(2) + raw(NshKeyAttr.MD2, b""))),
    ("push_nsh, large MD2", TCP_FLOW, push_nsh(nsh_base(2) + raw(NshKeyAttr.MD2, bytes(249)))),
    ("push_nsh, MD1 of another size", TCP_FLOW, push_nsh(nsh_base() + raw(2, bytes(12)))),
    ("push_nsh, base of another size", TCP_FLOW, push_nsh(raw(1, bytes(4)) + NSH_CONTEXT)),
    ("push_nsh, unknown inside", TCP_FLOW, push_nsh(nsh_base() + NSH_CONTEXT + raw(4, b""))),
    ("push_nsh, 0 inside", TCP_FLOW, push_nsh(nsh_base() + NSH_CONTEXT + raw(0, b""))),
    ("push_nsh, bytes left over", TCP_FLOW, push_nsh(nsh_base() + NSH_CONTEXT + b"xyz")),
    (
        "push_nsh on what cannot follow",
        flow_key(ARP, ethernet=False),
        push_nsh(nsh_base() + NSH_CONTEXT),
    ),
    ("push_nsh leaves no Ethernet", TCP_FLOW, push_nsh(nsh_base() + NSH_CONTEXT) + POP_ETH),
    ("pop_nsh with a payload", flow_key(NSH, nsh_protocol=1), raw(ActionAttr.POP_NSH, bytes(4))),
    ("pop_nsh of no NSH", TCP_FLOW, POP_NSH),
    ("pop_nsh, unknown what follows", flow_key(NSH), POP_NSH),
    ("pop_nsh leaves no Ethernet", flow_key(NSH, nsh_protocol=1), POP_NSH + POP_ETH),
    ("userspace of nothing", TCP_FLOW, raw(ActionAttr.USERSPACE, b"")),
    ("userspace without PID", TCP_FLOW, raw(ActionAttr.USERSPACE, raw(2, b"abcd"))),
    ("userspace with PID 0", TCP_FLOW, userspace(0)),
    ("userspace whose last PID is 0", TCP_FLOW, userspace(7, (UserspaceAttr.PID, u32(0)))),
    ("ct_clear with a payload", TCP_FLOW, raw(ActionAttr.CT_CLEAR, bytes(4))),
]


@pytest.mark.parametrize(
    ("key", "data"), [case[1:] for case in REJECTED], ids=[case[0] for case in REJECTED]
)
def test_rejected(key: int, data: bytes) -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(data, key)
    assert caught.value.errno == EINVAL, caught.value
    assert caught.value.message != os.strerror(EINVAL)


@pytest.mark.parametrize("number", [UserspaceAttr.PID, UserspaceAttr.EGRESS_TUN_PORT])
def test_userspace_numbers_have_a_policy(number: int) -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(userspace(7, (number, b"abc")), TCP_FLOW)
    assert (caught.value.errno, caught.value.path) == (ERANGE, (ActionAttr.USERSPACE, number))


def test_path_names_the_action() -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(OUTPUT + set_(KeyAttr.ARP, bytes(24)), TCP_FLOW)
    assert caught.value.path == (ActionAttr.SET, KeyAttr.ARP)


def test_flags_of_attribute_numbers_are_not_dumped() -> None:
    """But for those that are inside what is kept as it came."""
    flagged = KeyAttr.PRIORITY | NLA_F_NESTED
    data = (
        raw(ActionAttr.OUTPUT | NLA_F_NESTED, u32(2))
        + raw(ActionAttr.SET | NLA_F_NESTED, raw(flagged, u32(1)))
        + raw(ActionAttr.SET_MASKED | NLA_F_NESTED, raw(flagged, u32(1) * 2))
    )
    wire = parse_actions(data, TCP_FLOW).wire
    assert wire == OUTPUT + set_(KeyAttr.PRIORITY, u32(1)) + raw(
        ActionAttr.SET_MASKED, raw(flagged, u32(1) * 2)
    )


def test_padding_is_made_anew() -> None:
    data = struct.pack("=HH2sH", 6, ActionAttr.POP_MPLS, be16(IPV4), 0xABCD)
    assert parse_actions(data, LABELLED).wire == pop_mpls(IPV4)
    assert parse_actions(data[:6], LABELLED).wire == pop_mpls(IPV4), "the last may have none"


def test_an_upcall_carries_the_list_that_its_action_stands_in() -> None:
    asking = userspace(7, (UserspaceAttr.ACTIONS, b""))
    parsed = parse_actions(asking + userspace(8) + OUTPUT, TCP_FLOW)
    assert parsed.actions == (
        Userspace(7, actions=parsed.wire),
        Userspace(8),
        Output(2),
    )


def test_ct_is_refused_after_all_else_is_found_right() -> None:
    ct = pack_attribute(ActionAttr.CT, b"")
    with pytest.raises(DatapathError, match="not supported yet: ct"):
        parse_actions(ct + OUTPUT, TCP_FLOW)
    with pytest.raises(DatapathError, match="65535 is beyond the largest") as caught:
        parse_actions(ct + output(65535), TCP_FLOW)
    assert caught.value.errno == EINVAL
