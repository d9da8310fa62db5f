"""Lists of actions: `set(ipv4(ttl=63)),push_vlan(vid=5,pcp=0),2`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ovsdp_cuse.wire.action_attributes import (
    ADD_MPLS,
    HASH,
    MAXIMUM_DEPTH,
    OVS_ACTION_ATTR_DROP,
    OVS_HASH_ALG_L4,
    OVS_HASH_ALG_SYM_L4,
    PUSH_ETH,
    PUSH_MPLS,
    PUSH_VLAN,
    ActionAttr,
    CheckPktLenAttr,
    DecTtlAttr,
    SampleAttr,
)
from ovsdp_cuse.wire.exact import mac
from ovsdp_cuse.wire.key import KEY_IPV6, KeyAttr
from ovsdp_cuse.wire.text import nsh
from ovsdp_cuse.wire.text.conntrack import ct_text
from ovsdp_cuse.wire.text.formats import label_text, vlan_text
from ovsdp_cuse.wire.text.key import attribute_text
from ovsdp_cuse.wire.text.layout import Policy, attributes_of, leftover, parse, spaced
from ovsdp_cuse.wire.text.numbers import big, c_hex, native, port_text
from ovsdp_cuse.wire.text.userspace import userspace_text

ETH_P_8021Q: Final = 0x8100
VARIABLE: Final = -1
"""A size: any."""

_HASHES: Final = {OVS_HASH_ALG_L4: "l4", OVS_HASH_ALG_SYM_L4: "sym_l4"}


@dataclass(frozen=True)
class Place:
    """Where in lists of lists we are. show_port: how ports are written."""

    show_port: Callable[[int], str]
    depth: int = 0

    def inside(self, payload: bytes) -> str:
        """A list that an action holds. None is followed deeper than the kernel lets one be."""
        if self.depth == MAXIMUM_DEPTH:
            return payload.hex()
        return _list_text(payload, Place(self.show_port, self.depth + 1))


Show = Callable[[bytes, Place], str]


def actions_text(payload: bytes, port_names: Mapping[int, str] | None = None) -> str:
    """Actions as `ovs-dpctl dump-flows` writes them, from the payload of OVS_FLOW_ATTR_ACTIONS.

    port_names: by number; without them ports are numbers.
    """
    return _list_text(payload, Place(port_text(port_names)))


def _list_text(payload: bytes, place: Place) -> str:
    if not payload:
        return "drop"
    actions, used = attributes_of(payload)
    shown = ",".join([_action_text(number, inner, place) for number, inner in actions])
    return shown + leftover(payload, used)


def _action_text(number: int, payload: bytes, place: Place) -> str:
    size, show = ACTIONS.get(number, _NO_ACTION)
    if size != VARIABLE and size != len(payload):
        wanted = -1 if show is _generic else size
        return f"bad length {len(payload)}, expected {wanted} for: {_hex_text(number, payload)}"
    return show(payload, place)


def _generic(_payload: bytes, _place: Place) -> str:
    return ""


_NO_ACTION: Final[tuple[int, Show]] = (-2, _generic)
"""What no number of an action has: no size is right."""


def _hex_text(number: int, payload: bytes) -> str:
    return f"action{number}" + (f"({spaced(payload)})" if payload else "")


def _output(payload: bytes, place: Place) -> str:
    return place.show_port(native(payload))


def _named(name: str, show: Callable[[int], str] = str) -> Show:
    """An action with one number: name(number)."""
    return lambda payload, _place: f"{name}({show(native(payload))})"


def _only(name: str) -> Show:
    return lambda _payload, _place: name


def _push_vlan(payload: bytes, _place: Place) -> str:
    tag = PUSH_VLAN.parse(payload)
    tpid = "" if tag.tpid == ETH_P_8021Q else f"tpid={tag.tpid:#06x},"
    return f"push_vlan({tpid}{vlan_text(tag.tci, 0xFFFF, False)})"


def _push_mpls(payload: bytes, _place: Place) -> str:
    label = PUSH_MPLS.parse(payload)
    return f"push_mpls({label_text(label.lse)},eth_type={label.ethertype:#x})"


def _add_mpls(payload: bytes, _place: Place) -> str:
    label = ADD_MPLS.parse(payload)
    return f"add_mpls({label_text(label.lse)},eth_type={label.ethertype:#x})"


def _pop_mpls(payload: bytes, _place: Place) -> str:
    return f"pop_mpls(eth_type={big(payload):#x})"


def _push_eth(payload: bytes, _place: Place) -> str:
    addresses = PUSH_ETH.parse(payload)
    return f"push_eth(src={mac(addresses.src)},dst={mac(addresses.dst)})"


def _hash(payload: bytes, _place: Place) -> str:
    algorithm, basis = HASH.parse(payload)
    name = _HASHES.get(algorithm)
    if name is None:
        return f"hash(Unknown hash algorithm({algorithm}))"
    return f"hash({name}({basis}))"


def _userspace(payload: bytes, place: Place) -> str:
    return userspace_text(payload, place.show_port)


def _set(payload: bytes, _place: Place) -> str:
    attributes, _used = attributes_of(payload)
    if not attributes:
        return "set(error)"
    number, value = attributes[0]
    return f"set({attribute_text(number, value, None, True)})"


def _set_masked(payload: bytes, _place: Place) -> str:
    attributes, _used = attributes_of(payload)
    if not attributes:
        return "set(error)"
    number, both = attributes[0]
    if number == KeyAttr.NSH:
        return nsh.set_masked_text(both)
    size = len(both) // 2
    if size > KEY_IPV6.size:
        return f"set({attribute_text(number, both, None, False)})"
    return f"set({attribute_text(number, both[:size], both[size : 2 * size], False)})"


def _push_nsh(payload: bytes, _place: Place) -> str:
    attributes, _used = attributes_of(payload)
    return nsh.push_text(attributes[0][1] if attributes else b"")


def _ct(payload: bytes, _place: Place) -> str:
    return ct_text(payload)


def _clone(payload: bytes, place: Place) -> str:
    return f"clone({place.inside(payload)})"


_SAMPLE: Final[Policy] = {SampleAttr.PROBABILITY: (4, 4), SampleAttr.ACTIONS: (0, None)}
_CHECK_PKT_LEN: Final[Policy] = {
    CheckPktLenAttr.PKT_LEN: (2, 2),
    CheckPktLenAttr.ACTIONS_IF_GREATER: (0, None),
    CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL: (0, None),
}
_DEC_TTL: Final[Policy] = {DecTtlAttr.ACTION: (0, None)}


def _sample(payload: bytes, place: Place) -> str:
    attributes = parse(payload, _SAMPLE)
    if attributes is None or len(attributes) != len(_SAMPLE):
        return "sample(error)"
    probability = native(attributes[SampleAttr.PROBABILITY])
    inside = place.inside(attributes[SampleAttr.ACTIONS])
    return f"sample(sample={100 * probability / 0xFFFFFFFF:.1f}%,actions({inside}))"


def _check_pkt_len(payload: bytes, place: Place) -> str:
    attributes = parse(payload, _CHECK_PKT_LEN)
    if attributes is None or len(attributes) != len(_CHECK_PKT_LEN):
        return "check_pkt_len(error)"
    size = native(attributes[CheckPktLenAttr.PKT_LEN])
    greater = place.inside(attributes[CheckPktLenAttr.ACTIONS_IF_GREATER])
    less = place.inside(attributes[CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL])
    return f"check_pkt_len(size={size},gt({greater}),le({less}))"


def _dec_ttl(payload: bytes, place: Place) -> str:
    attributes = parse(payload, _DEC_TTL)
    if attributes is None or len(attributes) != len(_DEC_TTL):
        return "dec_ttl(error)"
    return f"dec_ttl(le_1({place.inside(attributes[DecTtlAttr.ACTION])}))"


ACTIONS: Final[Mapping[int, tuple[int, Show]]] = {
    ActionAttr.OUTPUT: (4, _output),
    ActionAttr.USERSPACE: (VARIABLE, _userspace),
    ActionAttr.SET: (VARIABLE, _set),
    ActionAttr.PUSH_VLAN: (PUSH_VLAN.size, _push_vlan),
    ActionAttr.POP_VLAN: (0, _only("pop_vlan")),
    ActionAttr.SAMPLE: (VARIABLE, _sample),
    ActionAttr.RECIRC: (4, _named("recirc", c_hex)),
    ActionAttr.HASH: (HASH.size, _hash),
    ActionAttr.PUSH_MPLS: (PUSH_MPLS.size, _push_mpls),
    ActionAttr.POP_MPLS: (2, _pop_mpls),
    ActionAttr.SET_MASKED: (VARIABLE, _set_masked),
    ActionAttr.CT: (VARIABLE, _ct),
    ActionAttr.TRUNC: (4, _named("trunc")),
    ActionAttr.PUSH_ETH: (PUSH_ETH.size, _push_eth),
    ActionAttr.POP_ETH: (0, _only("pop_eth")),
    ActionAttr.CT_CLEAR: (0, _only("ct_clear")),
    ActionAttr.PUSH_NSH: (VARIABLE, _push_nsh),
    ActionAttr.POP_NSH: (0, _only("pop_nsh()")),
    ActionAttr.METER: (4, _named("meter")),
    ActionAttr.CLONE: (VARIABLE, _clone),
    ActionAttr.CHECK_PKT_LEN: (VARIABLE, _check_pkt_len),
    ActionAttr.ADD_MPLS: (ADD_MPLS.size, _add_mpls),
    ActionAttr.DEC_TTL: (VARIABLE, _dec_ttl),
    OVS_ACTION_ATTR_DROP: (4, _only("drop")),
}
"""The size of each action's payload, and how it is written."""
