"""Rules of the actions that push, pop or look at headers, and of those that only name something.

A rule gets the state and the payload, which has the right size already; it returns the action,
changes the state to what the packet is after it, or raises DatapathError (EINVAL).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from ovsdp_cuse.families.translate.action_state import (
    ETH_P_8021AD,
    ETH_P_8021Q,
    ETH_P_ARP,
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_MPLS_UC,
    ETH_P_NSH,
    ETH_P_RARP,
    ETH_P_TEB,
    MPLS_TYPES,
    VLAN_CFI,
    State,
    attributes_of,
    invalid,
)
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
)
from ovsdp_cuse.switch.key import MAC_PROTO_ETHERNET, MAC_PROTO_NONE, NO_PORT, NSH_NP
from ovsdp_cuse.wire.action_attributes import (
    ADD_MPLS,
    HASH,
    OVS_ACTION_ATTR_DROP,
    OVS_HASH_ALG_L4,
    OVS_HASH_ALG_SYM_L4,
    PUSH_ETH,
    PUSH_MPLS,
    PUSH_VLAN,
    ActionAttr,
)
from ovsdp_cuse.wire.exact import VARIABLE
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.nsh import NSH, NSH_KEY_BASE, NshKeyAttr, NshKeyBase

ETH_HLEN: Final = 14

VLAN_TYPES: Final = frozenset({ETH_P_8021Q, ETH_P_8021AD})
BEHIND_MPLS: Final = MPLS_TYPES | {ETH_P_IP, ETH_P_IPV6, ETH_P_ARP, ETH_P_RARP}
"""What a label may be pushed before: the order of its headers is known."""

TUN_P_ETHERNET: Final = 3
NEXT_PROTOCOLS: Final = {
    1: ETH_P_IP,
    2: ETH_P_IPV6,
    TUN_P_ETHERNET: ETH_P_TEB,
    4: ETH_P_NSH,
    5: ETH_P_MPLS_UC,
}
"""Next protocols of RFC 8300, section 2.2 -> EtherType; as TUN_P_* of Linux's tun_proto.h."""
NEXT_TYPES: Final = frozenset(NEXT_PROTOCOLS.values())

NSH_BASE_SIZE: Final = 8
NSH_CONTEXT_MAXIMUM: Final = 248
NSH_M_TYPE1: Final = 1
NSH_M_TYPE2: Final = 2

_u32 = struct.Struct("=I").unpack
_be16 = struct.Struct("!H").unpack

Rule = Callable[[State, bytes], Action]


def _output(state: State, payload: bytes) -> Action:
    (port,) = _u32(payload)
    if port >= NO_PORT:
        raise invalid(f"output: port {port} is beyond the largest, {NO_PORT - 1}")
    return Output(port)


def _trunc(state: State, payload: bytes) -> Action:
    (length,) = _u32(payload)
    if length < ETH_HLEN:
        raise invalid(f"trunc: {length} bytes are less than an Ethernet header")
    return Trunc(length)


def _recirc(state: State, payload: bytes) -> Action:
    return Recirc(*_u32(payload))


def _meter(state: State, payload: bytes) -> Action:
    # A meter that does not exist is no error: the kernel lets the packet pass.
    return Meter(*_u32(payload))


def _drop(state: State, payload: bytes) -> Action:
    return Drop(*_u32(payload))


def _hash(state: State, payload: bytes) -> Action:
    algorithm, basis = HASH.parse(payload)
    if algorithm not in (OVS_HASH_ALG_L4, OVS_HASH_ALG_SYM_L4):
        raise invalid(f"hash: unknown algorithm {algorithm}")
    return Hash(basis, algorithm == OVS_HASH_ALG_SYM_L4)


def _ct_clear(state: State, payload: bytes) -> Action:
    return CtClear()


def _push_vlan(state: State, payload: bytes) -> Action:
    _needs_ethernet(state, "push_vlan")
    tpid, tci = PUSH_VLAN.parse(payload)
    if tpid not in VLAN_TYPES:
        raise invalid(f"push_vlan: TPID {tpid:#06x} is neither 802.1Q nor 802.1ad")
    if not tci & VLAN_CFI:
        raise invalid(f"push_vlan: TCI {tci:#06x} lacks the CFI bit ({VLAN_CFI:#x})")
    state.vlan_tci = tci
    return PushVlan(tpid, tci)


def _pop_vlan(state: State, payload: bytes) -> Action:
    _needs_ethernet(state, "pop_vlan")
    state.vlan_tci = 0
    return PopVlan()


def _push_mpls(state: State, payload: bytes) -> Action:
    lse, eth_type = PUSH_MPLS.parse(payload)
    _check_mpls_type(eth_type, "push_mpls")
    _check_behind_mpls(state, "push_mpls")
    state.eth_type = eth_type
    state.mpls_labels += 1
    return PushMpls(lse, eth_type)


def _add_mpls(state: State, payload: bytes) -> Action:
    label = ADD_MPLS.parse(payload)
    _check_mpls_type(label.ethertype, "add_mpls")
    if label.is_l3:
        _check_behind_mpls(state, "add_mpls")
        state.mpls_labels += 1
    elif state.mac_proto == MAC_PROTO_ETHERNET:
        state.mpls_labels = 1
        state.mac_proto = MAC_PROTO_NONE
    else:
        state.mpls_labels += 1
    state.eth_type = label.ethertype
    return AddMpls(label.lse, label.ethertype, label.is_l3)


def _pop_mpls(state: State, payload: bytes) -> Action:
    if state.vlan_tci & VLAN_CFI:
        raise invalid("pop_mpls: the packet has a VLAN tag")
    if state.eth_type not in MPLS_TYPES:
        raise invalid(f"pop_mpls: the packet is no MPLS but {state.eth_type:#06x}")
    (eth_type,) = _be16(payload)
    if eth_type == ETH_P_TEB and state.mac_proto != MAC_PROTO_NONE:
        raise invalid("pop_mpls: an Ethernet frame cannot follow an Ethernet header")
    # What comes out of the last label is looked at only after a recirculation. (The count wraps
    # in the kernel where the mask left it 0, and so it must never be 0 again here.)
    state.mpls_labels -= 1
    state.eth_type = eth_type if eth_type in MPLS_TYPES and state.mpls_labels else 0
    return PopMpls(eth_type)


def _push_eth(state: State, payload: bytes) -> Action:
    if state.mac_proto != MAC_PROTO_NONE:
        raise invalid("push_eth: the packet has an Ethernet header")
    state.mac_proto = MAC_PROTO_ETHERNET
    addresses = PUSH_ETH.parse(payload)
    return PushEth(dst=addresses.dst, src=addresses.src)


def _pop_eth(state: State, payload: bytes) -> Action:
    _needs_ethernet(state, "pop_eth")
    if state.vlan_tci & VLAN_CFI:
        raise invalid("pop_eth: the packet has a VLAN tag")
    state.mac_proto = MAC_PROTO_NONE
    return PopEth()


def _push_nsh(state: State, payload: bytes) -> Action:
    if state.mac_proto != MAC_PROTO_ETHERNET and state.eth_type not in NEXT_TYPES:
        raise invalid(f"push_nsh: nothing that can follow it, but {state.eth_type:#06x}")
    state.mac_proto = MAC_PROTO_NONE
    return PushNsh(_nsh_header(payload))


def _nsh_header(payload: bytes) -> bytes:
    """The header in the packet; its next protocol and length are the pusher's business."""
    inner, left = attributes_of(payload)
    if len(inner) != 1 or left or inner[0][0] != KeyAttr.NSH:
        raise invalid("push_nsh: it must hold one OVS_KEY_ATTR_NSH, padded, and nothing else")
    base: NshKeyBase | None = None
    context: bytes | None = None
    kinds = set()
    for number, value in NSH.items(inner[0][1]):
        if number == NshKeyAttr.BASE:
            base = NSH_KEY_BASE.parse(value)
            continue
        if number == NshKeyAttr.MD2 and not 0 < len(value) <= NSH_CONTEXT_MAXIMUM:
            raise invalid(f"push_nsh: {len(value)} bytes of metadata", KeyAttr.NSH, number)
        kinds.add(NSH_M_TYPE1 if number == NshKeyAttr.MD1 else NSH_M_TYPE2)
        context = value
    if base is None or context is None:
        raise invalid("push_nsh: base header or metadata is missing", KeyAttr.NSH)
    if kinds != {base.mdtype}:
        raise invalid(f"push_nsh: metadata is not of type {base.mdtype}", KeyAttr.NSH)
    words = (NSH_BASE_SIZE + len(context)) // 4
    first = (base.flags & 0x3) << 12 | (base.ttl & 0x3F) << 6 | words & 0x3F
    return (
        struct.pack("!HBBI", first, base.mdtype, base.np, base.path_hdr)
        + context[: 4 * words - NSH_BASE_SIZE]
    )


def _pop_nsh(state: State, payload: bytes) -> Action:
    if state.eth_type != ETH_P_NSH:
        raise invalid(f"pop_nsh: the packet is no NSH but {state.eth_type:#06x}")
    protocol = NSH_NP.get(state.key)
    if protocol not in NEXT_PROTOCOLS:
        raise invalid(f"pop_nsh: the key does not tell what follows (next protocol {protocol})")
    state.mac_proto = MAC_PROTO_ETHERNET if protocol == TUN_P_ETHERNET else MAC_PROTO_NONE
    return PopNsh()


def _needs_ethernet(state: State, name: str) -> None:
    if state.mac_proto != MAC_PROTO_ETHERNET:
        raise invalid(f"{name}: the packet has no Ethernet header")


def _check_mpls_type(eth_type: int, name: str) -> None:
    if eth_type not in MPLS_TYPES:
        raise invalid(f"{name}: {eth_type:#06x} is no EtherType of MPLS")


def _check_behind_mpls(state: State, name: str) -> None:
    if state.vlan_tci & VLAN_CFI:
        raise invalid(f"{name}: the packet has a VLAN tag")
    if state.eth_type not in BEHIND_MPLS:
        raise invalid(f"{name}: a label before {state.eth_type:#06x} is not possible")


RULES: Final[dict[int, tuple[int, Rule]]] = {
    ActionAttr.OUTPUT: (4, _output),
    ActionAttr.PUSH_VLAN: (PUSH_VLAN.size, _push_vlan),
    ActionAttr.POP_VLAN: (0, _pop_vlan),
    ActionAttr.RECIRC: (4, _recirc),
    ActionAttr.HASH: (HASH.size, _hash),
    ActionAttr.PUSH_MPLS: (PUSH_MPLS.size, _push_mpls),
    ActionAttr.POP_MPLS: (2, _pop_mpls),
    ActionAttr.TRUNC: (4, _trunc),
    ActionAttr.PUSH_ETH: (PUSH_ETH.size, _push_eth),
    ActionAttr.POP_ETH: (0, _pop_eth),
    ActionAttr.CT_CLEAR: (0, _ct_clear),
    ActionAttr.PUSH_NSH: (VARIABLE, _push_nsh),
    ActionAttr.POP_NSH: (0, _pop_nsh),
    ActionAttr.METER: (4, _meter),
    ActionAttr.ADD_MPLS: (ADD_MPLS.size, _add_mpls),
    OVS_ACTION_ATTR_DROP: (4, _drop),
}
"""Attribute number -> size of the payload, and the rule. These are dumped as they came."""
