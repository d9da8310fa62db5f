"""The attributes of a key or a mask -> a switch key: which values there may be, and where they go.

Source of the rules: metadata_from_nlattrs() and ovs_key_from_nlattrs() in
net/openvswitch/flow_netlink.c of Linux 6.1, with conntrack built in, as Debian has it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from errno import EINVAL
from typing import Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.attributes import CT_SUPPORTED, KeyAttributes
from ovsdp_cuse.families.translate.ethernet import ETH_P_802_2, ETH_P_802_3_MIN
from ovsdp_cuse.families.translate.layout import LAYOUTS
from ovsdp_cuse.families.translate.nsh import parse_nsh
from ovsdp_cuse.families.translate.overlap import overlaps, parse_overlapping
from ovsdp_cuse.families.translate.tunnel import TUNNEL_KEY_FIELDS, parse_tunnel, parse_tunnel_mask
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.key import KEY_ATTRIBUTES, FragType, KeyAttr

# Plain integers: looking up a member of an enumeration costs more than what is done with it.
_ETHERNET: Final = int(KeyAttr.ETHERNET)
_ETHERTYPE: Final = int(KeyAttr.ETHERTYPE)
_IN_PORT: Final = int(KeyAttr.IN_PORT)
_TUNNEL: Final = int(KeyAttr.TUNNEL)

METADATA: Final = frozenset(
    {
        KeyAttr.DP_HASH,
        KeyAttr.RECIRC_ID,
        KeyAttr.PRIORITY,
        KeyAttr.IN_PORT,
        KeyAttr.SKB_MARK,
        KeyAttr.TUNNEL,
        KeyAttr.CT_STATE,
        KeyAttr.CT_ZONE,
        KeyAttr.CT_MARK,
        KeyAttr.CT_LABELS,
        KeyAttr.CT_ORIG_TUPLE_IPV4,
        KeyAttr.CT_ORIG_TUPLE_IPV6,
    }
)
"""What a packet does not show itself."""

_NO_PORT: Final = k.IN_PORT.place(k.NO_PORT)
_NO_MAC: Final = k.MAC_PROTO.place(k.MAC_PROTO_NONE)
_ETHERNET_MAC: Final = k.MAC_PROTO.place(k.MAC_PROTO_ETHERNET)
_802_2: Final = k.ETH_TYPE.place(ETH_P_802_2)

LABEL_DEPTH: Final = len(k.MPLS_LSES)


def key_fields(attributes: KeyAttributes) -> int:
    """The key that the attributes say; raises DatapathError (EINVAL)."""
    payloads = attributes.payloads
    if _ETHERNET in payloads:
        fields = attributes.tags | _ETHERNET_MAC
        if _ETHERTYPE not in payloads:
            fields |= _802_2
    elif _ETHERTYPE in payloads:
        fields = attributes.tags | _NO_MAC
    else:
        raise DatapathError(EINVAL, "a key has an Ethernet header, or the type of what it is")
    if _IN_PORT not in payloads:
        fields |= _NO_PORT
    if overlaps(payloads):
        return fields | parse_overlapping(payloads, _key_field)
    for number, payload in payloads.items():
        parse = _KEY_FIELDS.get(number)
        fields |= LAYOUTS[number].parse(payload) if parse is None else parse(payload)
    return fields


def mask_fields(attributes: KeyAttributes, key: int, mask: int = 0) -> int:
    """The mask that the attributes say, for a key; raises DatapathError (EINVAL).

    mask: what to begin with; the attributes replace the flags of the tunnel in it, and add to the
    rest.
    """
    fields = mask | attributes.tags | k.MAC_PROTO.ones
    for number, payload in attributes.payloads.items():
        if number == _TUNNEL:
            fields = fields & ~k.TUN_FLAGS.ones | parse_tunnel_mask(payload, key)
        else:
            parse = _MASK_FIELDS.get(number)
            fields |= LAYOUTS[number].parse(payload) if parse is None else parse(payload)
    return fields


def metadata_fields(attributes: KeyAttributes) -> int:
    """What a key says that a packet does not show; raises DatapathError (EINVAL)."""
    payloads = attributes.payloads
    wanted = {number: payload for number, payload in payloads.items() if number in METADATA}
    fields = _ETHERNET_MAC
    if _ETHERTYPE in payloads and _ETHERNET not in payloads:
        # A packet without Ethernet header does not show what it is.
        fields = _NO_MAC
        wanted[_ETHERTYPE] = payloads[_ETHERTYPE]
    if _IN_PORT not in payloads:
        fields |= _NO_PORT
    if overlaps(wanted):
        return fields | parse_overlapping(wanted, _key_field)
    for number, payload in wanted.items():
        fields |= _key_field(number, payload)
    return fields


def exact_tunnel(key: int) -> int:
    """What an exact mask begins with: a tunnel is matched also where its attributes are zero."""
    return TUNNEL_KEY_FIELDS if key & k.TUN_PROTO.ones else 0


def _key_field(number: int, payload: bytes) -> int:
    parse = _KEY_FIELDS.get(number)
    return LAYOUTS[number].parse(payload) if parse is None else parse(payload)


def _checked(number: KeyAttr, refuse: Callable[[bytes], str | None]) -> Callable[[bytes], int]:
    """Parse an attribute that `refuse` has nothing to say about."""
    number_, parse = int(number), LAYOUTS[number].parse

    def checked(payload: bytes) -> int:
        refusal = refuse(payload)
        if refusal is not None:
            raise DatapathError(EINVAL, refusal, (number_,))
        return parse(payload)

    return checked


def _refuse_in_port(payload: bytes) -> str | None:
    port = int.from_bytes(payload, sys.byteorder)
    return f"port {port} is not below {k.NO_PORT}" if port >= k.NO_PORT else None


def _refuse_ether_type(payload: bytes) -> str | None:
    number = int.from_bytes(payload, "big")
    if number < ETH_P_802_3_MIN:
        return f"EtherType {number:#06x} is below {ETH_P_802_3_MIN:#06x}"
    return None


def _refuse_state(payload: bytes) -> str | None:
    state = int.from_bytes(payload, sys.byteorder)
    return f"ct_state {state:#x} has unknown bits" if state & ~CT_SUPPORTED else None


def _refuse_ipv4(payload: bytes) -> str | None:
    fragment = payload[11]
    return f"IPv4 fragment type {fragment} is unknown" if fragment > FragType.LATER else None


def _refuse_ipv6(payload: bytes) -> str | None:
    fragment = payload[39]
    if fragment > FragType.LATER:
        return f"IPv6 fragment type {fragment} is unknown"
    if payload[32] or payload[33] & 0xF0:
        return f"IPv6 flow label 0x{payload[32:36].hex()} has more than 20 bits"
    return None


def _refuse_arp(payload: bytes) -> str | None:
    return f"ARP operation 0x{payload[8:10].hex()} is unknown" if payload[8] else None


def _mpls(payload: bytes) -> int:
    labels, rest = divmod(len(payload), 4)
    if rest or not 0 < labels <= LABEL_DEPTH:
        raise DatapathError(
            EINVAL,
            f"{len(payload)} bytes of MPLS labels: 1 to {LABEL_DEPTH} of 4 bytes are allowed",
            (KeyAttr.MPLS,),
        )
    return LAYOUTS[KeyAttr.MPLS].parse(payload) | k.MPLS_LABEL_BITS.place((1 << labels) - 1)


def _nested(number: KeyAttr, parse: Callable[[bytes], int]) -> Callable[[bytes], int]:
    """Lead the paths of errors through the attribute that is parsed."""

    def nested(payload: bytes) -> int:
        try:
            return parse(payload)
        except DatapathError as error:
            error.path = (number, *error.path)
            raise

    return nested


def _unknown(number: KeyAttr) -> Callable[[bytes], int]:
    """Refuse what is part of a tag where there is no tag, and what is nothing."""

    def unknown(payload: bytes) -> int:
        name = KEY_ATTRIBUTES.name_of(number)
        raise DatapathError(EINVAL, f"{name} is not expected here", (number,))

    return unknown


def _all(field: k.Field) -> Callable[[bytes], int]:
    """Match a field exactly, whatever the mask says."""
    return lambda payload: field.ones


_BOTH: Final[dict[int, Callable[[bytes], int]]] = {
    KeyAttr.UNSPEC: _unknown(KeyAttr.UNSPEC),
    KeyAttr.ENCAP: _unknown(KeyAttr.ENCAP),
    KeyAttr.VLAN: _unknown(KeyAttr.VLAN),
    KeyAttr.CT_STATE: _checked(KeyAttr.CT_STATE, _refuse_state),
    KeyAttr.MPLS: _mpls,
}

_KEY_FIELDS: Final[dict[int, Callable[[bytes], int]]] = {
    **_BOTH,
    KeyAttr.IN_PORT: _checked(KeyAttr.IN_PORT, _refuse_in_port),
    KeyAttr.ETHERTYPE: _checked(KeyAttr.ETHERTYPE, _refuse_ether_type),
    KeyAttr.IPV4: _checked(KeyAttr.IPV4, _refuse_ipv4),
    KeyAttr.IPV6: _checked(KeyAttr.IPV6, _refuse_ipv6),
    KeyAttr.ARP: _checked(KeyAttr.ARP, _refuse_arp),
    KeyAttr.TUNNEL: _nested(KeyAttr.TUNNEL, parse_tunnel),
    KeyAttr.NSH: _nested(KeyAttr.NSH, parse_nsh),
}
"""How an attribute of a key is parsed, where its layout alone does not say it."""

_MASK_FIELDS: Final[dict[int, Callable[[bytes], int]]] = {
    **_BOTH,
    KeyAttr.IN_PORT: _all(k.IN_PORT),
    KeyAttr.ETHERTYPE: _all(k.ETH_TYPE),
    KeyAttr.NSH: _nested(KeyAttr.NSH, lambda payload: parse_nsh(payload, is_mask=True)),
}
"""The same for an attribute of a mask."""
