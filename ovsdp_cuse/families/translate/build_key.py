"""Switch keys and masks -> netlink form.

Which attributes there are, and in which order, depends on few fields of a key, and never on
addresses or ports. So there are few forms. Each is laid out once, as an order of the key's bytes
(layout.py) and the headers of the attributes; a key is built by putting its bytes into the order of
its form.

Source of the rules: __ovs_nla_put_key() in net/openvswitch/flow_netlink.c and ovs_ct_put_key() in
net/openvswitch/conntrack.c, Linux 6.1.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

from ovsdp_cuse.families.translate.ethernet import (
    ETH_P_802_2,
    IPPROTO_ICMPV6,
    NEIGHBOUR_DISCOVERY,
    VLAN_TYPES,
)
from ovsdp_cuse.families.translate.layout import (
    CVLAN_PARTS,
    NOTHING,
    NSH_PARTS,
    PARTS,
    VLAN_PARTS,
    Part,
    byte_pairs,
    image,
)
from ovsdp_cuse.families.translate.nsh import NSH_M_TYPE1
from ovsdp_cuse.families.translate.tunnel import build_tunnel
from ovsdp_cuse.families.translate.validate import NETWORK, TRANSPORT, TUPLE
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, pack_attribute
from ovsdp_cuse.wire.key import KEY_SIZES, FragType, KeyAttr
from ovsdp_cuse.wire.nsh import NSH_SIZES, NshKeyAttr

_FIRST_PART: Final = (1 << 8 * k.FIRST_PART.size) - 1
_FIRST_SIZE: Final = k.FIRST_PART.size
_unpack_first: Final = k.FIRST_PART.unpack
_TUNNEL_SHIFT: Final = k.TUN_PROTO.shift
_TUN_PROTO: Final = k.TUN_PROTO.ones
_LATER: Final = int(FragType.LATER)
_CT_ORIG_PROTO: Final = k.CT_ORIG_PROTO.ones

_NO_TUNNEL: Final = pack_attribute(KeyAttr.TUNNEL, build_tunnel(0))
"""What a mask tells of no tunnel."""


class Form(NamedTuple):
    """What decides which attributes a key or its mask has, and says nothing else.

    eth_type: the key's, or 0 where no attribute depends on it. protocol: likewise, and 0 in a later
    fragment. port_masked, type_masked: whether a mask matches in_port and EtherType. labels: how
    many of MPLS. has_context: whether NSH has one.
    """

    is_mask: bool
    has_port: bool
    has_ethernet: bool
    has_vlan: bool
    has_cvlan: bool
    eth_type: int
    protocol: int
    is_neighbour: bool
    has_tuple: bool
    port_masked: bool
    type_masked: bool
    labels: int
    has_context: bool


def build_key(key: int) -> bytes:
    """OVS_FLOW_ATTR_KEY and OVS_PACKET_ATTR_KEY as the kernel tells them: ovs_nla_put_key()."""
    layout = _layout(_form(key, key, False))
    built = layout.build(key)
    if key >> _TUNNEL_SHIFT and key & _TUN_PROTO:
        return _with_tunnel(built, layout.tunnel_at, key, key)
    return built


def build_masked_key(key: int, mask: int) -> bytes:
    """OVS_FLOW_ATTR_KEY of a flow that has a UFID: ovs_nla_put_masked_key()."""
    return build_key(key & mask)


def build_mask(key: int, mask: int) -> bytes:
    """OVS_FLOW_ATTR_MASK: ovs_nla_put_mask(). The key is the masked one; another is masked."""
    key &= mask
    layout = _layout(_form(key, mask, True))
    return _with_tunnel(layout.build(mask), layout.tunnel_at, key, mask)


def _with_tunnel(built: bytes, at: int, key: int, output: int) -> bytes:
    if (key | output) >> _TUNNEL_SHIFT:
        tunnel = pack_attribute(KeyAttr.TUNNEL, build_tunnel(key, output))
    else:
        tunnel = _NO_TUNNEL
    return built[:at] + tunnel + built[at:]


def _form(key: int, output: int, is_mask: bool) -> tuple[bool | int, ...]:
    """The Form of a key, whose values are taken from `output`; as a plain tuple, for speed."""
    (in_port, _r, mac_proto, _d, _s, _t, vlan, _ct, cvlan, eth_type, proto, _tos, _ttl, frag) = (
        _unpack_first((key & _FIRST_PART).to_bytes(_FIRST_SIZE, "little"))[:14]
    )
    protocol = labels = 0
    is_neighbour = has_tuple = has_context = False
    protocols = TRANSPORT.get(eth_type)
    if protocols is not None:
        has_tuple = bool(key & _CT_ORIG_PROTO)
        if frag != _LATER and proto in protocols:
            protocol = proto
            if proto == IPPROTO_ICMPV6:
                is_neighbour = k.TP_SRC.get(key) in NEIGHBOUR_DISCOVERY
    elif eth_type in NETWORK:
        labels = k.MPLS_LABEL_BITS.get(output).bit_count()
        has_context = is_mask or k.NSH_MDTYPE.get(output) == NSH_M_TYPE1
    elif eth_type != ETH_P_802_2 and eth_type not in VLAN_TYPES:
        eth_type = 0
    return (
        is_mask,
        in_port != k.NO_PORT,
        mac_proto == k.MAC_PROTO_ETHERNET,
        vlan != 0,
        cvlan != 0,
        eth_type,
        protocol,
        is_neighbour,
        has_tuple,
        is_mask and k.IN_PORT.get(output) == k.NO_PORT,
        is_mask and bool(output & k.ETH_TYPE.ones),
        labels,
        has_context,
    )


class Layout:
    """The bytes of one form: where in a key each comes from, and the bits that are always there.

    tunnel_at: where KeyAttr.TUNNEL goes, of which no layout knows.
    """

    __slots__ = ("_constant", "_order", "_size", "tunnel_at")

    def __init__(self, form: Form) -> None:
        before = _render(_first())
        after = _render([*_metadata(form), *_ethernet(form)])
        self.tunnel_at = len(before.order)
        self._order = before.order + after.order
        self._size = len(self._order)
        self._constant = int.from_bytes(before.constant + after.constant, "little")

    def build(self, key: int) -> bytes:
        """The attributes with the fields of a key or mask."""
        data = int.from_bytes(self._order.translate(image(key)), "little") | self._constant
        return data.to_bytes(self._size, "little")


class Bytes(NamedTuple):
    """Bytes of attributes: the order that a key's bytes are put into, and what is always there."""

    order: bytes
    constant: bytes


class Attribute(NamedTuple):
    """One attribute of a form.

    parts: what it holds, in `size` bytes. constant: bits that its payload has always. inner: what
    it holds instead if it is nested.
    """

    number: int
    parts: tuple[Part, ...] = ()
    size: int = 0
    constant: bytes = b""
    inner: list[Attribute] | None = None


def _render(attributes: list[Attribute]) -> Bytes:
    order = constant = b""
    for attribute in attributes:
        if attribute.inner is not None:
            inside = _render(attribute.inner)
        else:
            places = bytearray([NOTHING]) * attribute.size
            for outside, place in byte_pairs(attribute.parts):
                places[outside] = place
            inside = Bytes(bytes(places), attribute.constant.ljust(attribute.size, b"\0"))
        whole = pack_attribute(attribute.number, inside.constant)
        nothing = bytes([NOTHING])
        order += (nothing * NLA_HEADER_SIZE + inside.order).ljust(len(whole), nothing)
        constant += whole
    return Bytes(order, constant)


def _plain(number: int, constant: bytes = b"") -> Attribute:
    return Attribute(number, PARTS[number], KEY_SIZES[number], constant)


def _first() -> list[Attribute]:
    return [_plain(KeyAttr.RECIRC_ID), _plain(KeyAttr.DP_HASH), _plain(KeyAttr.PRIORITY)]


def _metadata(form: Form) -> list[Attribute]:
    attributes = []
    if form.has_port or form.port_masked:
        # The kernel's port has 16 bits, and the upper ones of its mask are always told as set.
        upper = (0xFFFF0000 if form.is_mask else 0).to_bytes(4, sys.byteorder)
        attributes.append(_plain(KeyAttr.IN_PORT, upper))
    attributes += map(
        _plain,
        (
            KeyAttr.SKB_MARK,
            KeyAttr.CT_STATE,
            KeyAttr.CT_ZONE,
            KeyAttr.CT_MARK,
            KeyAttr.CT_LABELS,
        ),
    )
    if form.has_tuple:
        attributes.append(_plain(TUPLE[form.eth_type]))
    return attributes


def _ethernet(form: Form) -> list[Attribute]:
    """The Ethernet header and what is behind it, in the nests of up to two tags."""
    if not form.has_ethernet:
        return _network(form)
    three_tags = form.eth_type in VLAN_TYPES
    inner = _after_tags(form)
    if form.has_vlan or three_tags:
        if not form.has_vlan:
            inner = []
        elif form.has_cvlan or three_tags:
            inner = _tag(form, CVLAN_PARTS, inner if form.has_cvlan else [])
        inner = _tag(form, VLAN_PARTS, inner)
    return [_plain(KeyAttr.ETHERNET), *inner]


def _tag(
    form: Form, parts: tuple[tuple[Part, ...], tuple[Part, ...]], inner: list[Attribute]
) -> list[Attribute]:
    tpid, tci = parts
    return [
        Attribute(KeyAttr.ETHERTYPE, tpid, 2, b"\xff\xff" if form.is_mask else b""),
        Attribute(KeyAttr.VLAN, tci, 2),
        Attribute(KeyAttr.ENCAP, inner=inner),
    ]


def _after_tags(form: Form) -> list[Attribute]:
    if form.eth_type == ETH_P_802_2:
        # A key tells this type by having none.
        return [_plain(KeyAttr.ETHERTYPE)] if form.type_masked else []
    return _network(form)


def _network(form: Form) -> list[Attribute]:
    attributes = [_plain(KeyAttr.ETHERTYPE)]
    number = NETWORK.get(form.eth_type)
    if number is None:
        return attributes
    if number == KeyAttr.MPLS:
        labels = min(form.labels, len(k.MPLS_LSES))
        attributes.append(Attribute(number, PARTS[number][:labels], 4 * labels))
    elif number == KeyAttr.NSH:
        inner = [NshKeyAttr.BASE, *([NshKeyAttr.MD1] if form.has_context else [])]
        attributes.append(
            Attribute(number, inner=[Attribute(n, NSH_PARTS[n], NSH_SIZES[n]) for n in inner])
        )
    else:
        attributes.append(_plain(number))
    if number == KeyAttr.IPV6:
        attributes.append(_plain(KeyAttr.IPV6_EXTHDRS))
    attributes += map(_plain, TRANSPORT.get(form.eth_type, {}).get(form.protocol, ()))
    if form.is_neighbour:
        attributes.append(_plain(KeyAttr.ND))
    return attributes


_layouts: Final[dict[tuple[bool | int, ...], Layout]] = {}
"""The layouts of the forms that were asked for; there are some thousands of forms at most."""


def _layout(form: tuple[bool | int, ...]) -> Layout:
    layout = _layouts.get(form)
    if layout is None:
        layout = _layouts[form] = Layout(Form._make(form))
    return layout
