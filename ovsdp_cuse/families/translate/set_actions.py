"""Rules of `set` and `set_masked`: one header's fields, in netlink form and as a part of a key."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from ovsdp_cuse.families.translate.action_state import (
    ETH_P_IP,
    ETH_P_IPV6,
    IP_TYPES,
    MPLS_TYPES,
    Copied,
    State,
    invalid,
)
from ovsdp_cuse.families.translate.layout import LAYOUTS
from ovsdp_cuse.families.translate.unsupported_actions import set_tunnel
from ovsdp_cuse.switch.actions import Layer, Set
from ovsdp_cuse.switch.key import (
    IP_FRAG,
    IP_PROTO,
    IPV6_LABEL,
    MAC_PROTO_ETHERNET,
    MPLS_LSE_0,
    MPLS_LSE_1,
    MPLS_LSE_2,
)
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, NLA_TYPE_MASK, pack_attribute
from ovsdp_cuse.wire.key import KEY_SIZES, KeyAttr

IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_SCTP: Final = 132

IPV6_LABEL_MASK: Final = 0x000FFFFF

_unpack_header = struct.Struct("=HH").unpack_from

Check = Callable[[State, bytes, bytes | None], None]
"""May these fields be set here? Gets the value, and the mask where there is one."""


def _anything(state: State, value: bytes, mask: bytes | None) -> None:
    """The packet's metadata may always be set."""


def _ethernet(state: State, value: bytes, mask: bytes | None) -> None:
    if state.mac_proto != MAC_PROTO_ETHERNET:
        raise invalid("set eth: the packet has no Ethernet header")


def _ipv4(state: State, value: bytes, mask: bytes | None) -> None:
    if state.eth_type != ETH_P_IP:
        raise invalid(f"set ipv4: the packet is no IPv4 but {state.eth_type:#06x}")
    _keeps_kind(state, "ipv4", value, mask, protocol=8, fragment=11)


def _ipv6(state: State, value: bytes, mask: bytes | None) -> None:
    if state.eth_type != ETH_P_IPV6:
        raise invalid(f"set ipv6: the packet is no IPv6 but {state.eth_type:#06x}")
    _keeps_kind(state, "ipv6", value, mask, protocol=36, fragment=39)
    # A flow label has 20 bits; it stands in the low ones of bytes 32 to 35.
    if value[32] or value[33] & 0xF0 or (mask and (mask[32] or mask[33] & 0xF0)):
        raise invalid("set ipv6: a flow label has 20 bits")


def _keeps_kind(
    state: State, name: str, value: bytes, mask: bytes | None, protocol: int, fragment: int
) -> None:
    """Protocol and kind of fragment are in the structure, but nobody can change them.

    protocol, fragment: where they are in the structure.
    """
    if mask is not None:
        if mask[protocol] or mask[fragment]:
            raise invalid(f"set {name}: protocol and kind of fragment cannot be set")
    elif value[protocol] != IP_PROTO.get(state.key):
        raise invalid(f"set {name}: protocol {value[protocol]} is not the flow's")
    elif value[fragment] != IP_FRAG.get(state.key):
        raise invalid(f"set {name}: kind of fragment {value[fragment]} is not the flow's")


def _ports(name: str, protocol: int) -> Check:
    def check(state: State, value: bytes, mask: bytes | None) -> None:
        if state.eth_type not in IP_TYPES:
            raise invalid(f"set {name}: the packet is no IP but {state.eth_type:#06x}")
        if IP_PROTO.get(state.key) != protocol:
            raise invalid(f"set {name}: the flow does not match on protocol {protocol}")

    return check


def _mpls(state: State, value: bytes, mask: bytes | None) -> None:
    if state.eth_type not in MPLS_TYPES:
        raise invalid(f"set mpls: the packet is no MPLS but {state.eth_type:#06x}")
    if len(value) != MPLS_LSE_0.size:
        raise invalid("set mpls: only one label can be set")


class Settable(NamedTuple):
    """A header that can be set.

    ones: the bits of a key that can be changed. parse: an attribute's payload as a part of a key.
    """

    layer: Layer
    check: Check
    ones: int
    parse: Callable[[bytes], int]


def _settable(number: KeyAttr, layer: Layer, check: Check, fixed: int = 0) -> Settable:
    """fixed: bits that are in the attribute and cannot be changed."""
    layout = LAYOUTS[number]
    return Settable(layer, check, layout.ones & ~fixed, layout.parse)


_KIND: Final = IP_PROTO.ones | IP_FRAG.ones
_LABEL: Final = IPV6_LABEL.ones ^ IPV6_LABEL.place(IPV6_LABEL_MASK)
_INNER_LABELS: Final = MPLS_LSE_1.ones | MPLS_LSE_2.ones

SETTABLE: Final[dict[int, Settable]] = {
    KeyAttr.PRIORITY: _settable(KeyAttr.PRIORITY, Layer.METADATA, _anything),
    KeyAttr.SKB_MARK: _settable(KeyAttr.SKB_MARK, Layer.METADATA, _anything),
    KeyAttr.CT_MARK: _settable(KeyAttr.CT_MARK, Layer.CONNTRACK, _anything),
    KeyAttr.CT_LABELS: _settable(KeyAttr.CT_LABELS, Layer.CONNTRACK, _anything),
    KeyAttr.ETHERNET: _settable(KeyAttr.ETHERNET, Layer.ETHERNET, _ethernet),
    KeyAttr.IPV4: _settable(KeyAttr.IPV4, Layer.IPV4, _ipv4, _KIND),
    KeyAttr.IPV6: _settable(KeyAttr.IPV6, Layer.IPV6, _ipv6, _KIND | _LABEL),
    KeyAttr.TCP: _settable(KeyAttr.TCP, Layer.TCP, _ports("tcp", IPPROTO_TCP)),
    KeyAttr.UDP: _settable(KeyAttr.UDP, Layer.UDP, _ports("udp", IPPROTO_UDP)),
    KeyAttr.SCTP: _settable(KeyAttr.SCTP, Layer.SCTP, _ports("sctp", IPPROTO_SCTP)),
    KeyAttr.MPLS: _settable(KeyAttr.MPLS, Layer.MPLS, _mpls, _INNER_LABELS),
}
"""What validate_set() of net/openvswitch/flow_netlink.c lets pass. Fields of NSH are not among it:
Linux cannot set them (CVE-2025-40254), and CT_MARK and CT_LABELS pass, but fail with each packet.
"""


def parse_set(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_SET: one attribute of a key, which is set as a whole."""
    number, value = _only_key(payload)
    if number == KeyAttr.TUNNEL:
        return set_tunnel(state, value)
    settable = _check(state, number, value, None)
    return Copied(
        Set(settable.layer, settable.parse(value) & settable.ones, settable.ones),
        pack_attribute(number, value),
        2 * NLA_HEADER_SIZE + ((2 * len(value) + 3) & ~3),
    )


def parse_set_masked(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_SET_MASKED: one attribute of a key, the value and then the mask."""
    number, both = _only_key(payload)
    size = len(both) // 2
    value, mask = both[:size], both[size : 2 * size]
    settable = _check(state, number, value, mask)
    return Copied(
        Set(settable.layer, settable.parse(value), settable.parse(mask)),
        payload,
        NLA_HEADER_SIZE + len(payload),
    )


def _only_key(payload: bytes) -> tuple[int, bytes]:
    if len(payload) >= NLA_HEADER_SIZE:
        length, number = _unpack_header(payload)
        if length >= NLA_HEADER_SIZE and (length + 3) & ~3 == len(payload):
            return number & NLA_TYPE_MASK, payload[NLA_HEADER_SIZE:length]
    raise invalid("set: it must hold one OVS_KEY_ATTR_*, padded, and nothing else")


def _check(state: State, number: int, value: bytes, mask: bytes | None) -> Settable:
    wanted = KEY_SIZES.get(number)
    settable = SETTABLE.get(number)
    if wanted is None or settable is None:
        raise invalid("set: this header cannot be set", number)
    if wanted >= 0 and len(value) != wanted:
        raise invalid(f"set: {len(value)} bytes where there must be {wanted}", number)
    if mask is not None and int.from_bytes(value, "big") & ~int.from_bytes(mask, "big"):
        raise invalid("set: the value has bits that its mask does not have", number)
    settable.check(state, value, mask)
    return settable
