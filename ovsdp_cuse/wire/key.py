"""Flow keys and masks in netlink form. Source: <linux/openvswitch.h> of Linux 6.1.

A key is a set of attributes, each with one header's fields as they stand in a packet. Behind a VLAN
tag, the attributes of what follows the tag are in OVS_KEY_ATTR_ENCAP, and so behind a second one.
A mask has the same form.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from ovsdp_cuse.wire.attributes import Nested
from ovsdp_cuse.wire.exact import (
    NESTED,
    VARIABLE,
    ExactSet,
    Fields,
    Scalar,
    Sizes,
    ipv4,
    ipv6,
    mac,
)
from ovsdp_cuse.wire.nsh import NSH
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.tunnel import TUNNEL
from ovsdp_cuse.wire.values import Binary, Flag, Value


class KeyAttr(IntEnum):
    """enum ovs_key_attr. PACKET_TYPE and ND_EXTENSIONS are userspace's own, TUNNEL_INFO the
    kernel's own: none of them is ever on the wire."""

    UNSPEC = 0
    ENCAP = 1
    PRIORITY = 2
    IN_PORT = 3
    ETHERNET = 4
    VLAN = 5
    ETHERTYPE = 6
    IPV4 = 7
    IPV6 = 8
    TCP = 9
    UDP = 10
    ICMP = 11
    ICMPV6 = 12
    ARP = 13
    ND = 14
    SKB_MARK = 15
    TUNNEL = 16
    SCTP = 17
    TCP_FLAGS = 18
    DP_HASH = 19
    RECIRC_ID = 20
    MPLS = 21
    CT_STATE = 22
    CT_ZONE = 23
    CT_MARK = 24
    CT_LABELS = 25
    CT_ORIG_TUPLE_IPV4 = 26
    CT_ORIG_TUPLE_IPV6 = 27
    NSH = 28
    PACKET_TYPE = 29
    ND_EXTENSIONS = 30
    TUNNEL_INFO = 31
    IPV6_EXTHDRS = 32


class FragType(IntEnum):
    """enum ovs_frag_type: whether an IP packet is a fragment, and which."""

    NONE = 0
    FIRST = 1
    LATER = 2


class CtState(IntFlag):
    """OVS_CS_F_*: bits of KeyAttr.CT_STATE."""

    NEW = 0x01
    ESTABLISHED = 0x02
    RELATED = 0x04
    REPLY_DIR = 0x08
    INVALID = 0x10
    TRACKED = 0x20
    SRC_NAT = 0x40
    DST_NAT = 0x80


class KeyEthernet(NamedTuple):
    """struct ovs_key_ethernet."""

    src: bytes = bytes(6)
    dst: bytes = bytes(6)


class KeyIpv4(NamedTuple):
    """struct ovs_key_ipv4; frag is a FragType."""

    src: bytes = bytes(4)
    dst: bytes = bytes(4)
    proto: int = 0
    tos: int = 0
    ttl: int = 0
    frag: int = 0


class KeyIpv6(NamedTuple):
    """struct ovs_key_ipv6; label has 20 bits, frag is a FragType."""

    src: bytes = bytes(16)
    dst: bytes = bytes(16)
    label: int = 0
    proto: int = 0
    tclass: int = 0
    hlimit: int = 0
    frag: int = 0


class KeyPorts(NamedTuple):
    """struct ovs_key_tcp, ovs_key_udp and ovs_key_sctp."""

    src: int = 0
    dst: int = 0


class KeyIcmp(NamedTuple):
    """struct ovs_key_icmp and ovs_key_icmpv6."""

    type: int = 0
    code: int = 0


class KeyArp(NamedTuple):
    """struct ovs_key_arp, without the two bytes that C puts at its end."""

    sip: bytes = bytes(4)
    tip: bytes = bytes(4)
    op: int = 0
    sha: bytes = bytes(6)
    tha: bytes = bytes(6)


class KeyNd(NamedTuple):
    """struct ovs_key_nd: what a neighbour solicitation or advertisement holds (RFC 4861)."""

    target: bytes = bytes(16)
    sll: bytes = bytes(6)
    tll: bytes = bytes(6)


class KeyMpls(NamedTuple):
    """struct ovs_key_mpls: one label stack entry (RFC 3032)."""

    lse: int = 0


class KeyCtTupleIpv4(NamedTuple):
    """struct ovs_key_ct_tuple_ipv4, without the three bytes that C puts at its end."""

    src: bytes = bytes(4)
    dst: bytes = bytes(4)
    src_port: int = 0
    dst_port: int = 0
    proto: int = 0


class KeyCtTupleIpv6(NamedTuple):
    """struct ovs_key_ct_tuple_ipv6, without the three bytes that C puts at its end."""

    src: bytes = bytes(16)
    dst: bytes = bytes(16)
    src_port: int = 0
    dst_port: int = 0
    proto: int = 0


KEY_ETHERNET: Final = FixedStruct("6s6s", KeyEthernet, byte_order="!")
KEY_IPV4: Final = FixedStruct("4s4sBBBB", KeyIpv4, byte_order="!")
KEY_IPV6: Final = FixedStruct("16s16sIBBBB", KeyIpv6, byte_order="!")
KEY_PORTS: Final = FixedStruct("HH", KeyPorts, byte_order="!")
KEY_ICMP: Final = FixedStruct("BB", KeyIcmp, byte_order="!")
KEY_ARP: Final = FixedStruct("4s4sH6s6s2x", KeyArp, byte_order="!")
KEY_ND: Final = FixedStruct("16s6s6s", KeyNd, byte_order="!")
KEY_MPLS: Final = FixedStruct("I", KeyMpls, byte_order="!")
KEY_CT_TUPLE_IPV4: Final = FixedStruct("4s4sHHB3x", KeyCtTupleIpv4, byte_order="!")
KEY_CT_TUPLE_IPV6: Final = FixedStruct("16s16sHHB3x", KeyCtTupleIpv6, byte_order="!")

KEY_SIZES: Final[Sizes] = {
    KeyAttr.UNSPEC: 0,
    KeyAttr.ENCAP: NESTED,
    KeyAttr.PRIORITY: 4,
    KeyAttr.IN_PORT: 4,
    KeyAttr.ETHERNET: KEY_ETHERNET.size,
    KeyAttr.VLAN: 2,
    KeyAttr.ETHERTYPE: 2,
    KeyAttr.IPV4: KEY_IPV4.size,
    KeyAttr.IPV6: KEY_IPV6.size,
    KeyAttr.TCP: KEY_PORTS.size,
    KeyAttr.UDP: KEY_PORTS.size,
    KeyAttr.ICMP: KEY_ICMP.size,
    KeyAttr.ICMPV6: KEY_ICMP.size,
    KeyAttr.ARP: KEY_ARP.size,
    KeyAttr.ND: KEY_ND.size,
    KeyAttr.SKB_MARK: 4,
    KeyAttr.TUNNEL: NESTED,
    KeyAttr.SCTP: KEY_PORTS.size,
    KeyAttr.TCP_FLAGS: 2,
    KeyAttr.DP_HASH: 4,
    KeyAttr.RECIRC_ID: 4,
    KeyAttr.MPLS: VARIABLE,
    KeyAttr.CT_STATE: 4,
    KeyAttr.CT_ZONE: 2,
    KeyAttr.CT_MARK: 4,
    KeyAttr.CT_LABELS: 16,
    KeyAttr.CT_ORIG_TUPLE_IPV4: KEY_CT_TUPLE_IPV4.size,
    KeyAttr.CT_ORIG_TUPLE_IPV6: KEY_CT_TUPLE_IPV6.size,
    KeyAttr.NSH: NESTED,
    KeyAttr.IPV6_EXTHDRS: 2,
}
"""Exact sizes of the attributes that a key may have, as the kernel's ovs_key_lens.

UNSPEC without payload is there because the kernel's parser lets it pass (and ignores it where it
ignores what it does not know).
"""


def _state(bits: int) -> str:
    names = [str(flag.name) for flag in CtState if bits & flag]
    return f"{bits:#x}" + (f"({'|'.join(names)})" if names else "")


def _ether_type(number: int) -> str:
    return f"{number:#06x}"


TUNNEL_KEY: Final = Nested(TUNNEL)
"""A tunnel key alone: the value of OVS_PACKET_ATTR_EGRESS_TUN_KEY."""

_TABLE: Final[dict[IntEnum, Value]] = {
    KeyAttr.UNSPEC: Flag(),
    KeyAttr.PRIORITY: Scalar("=I", hex),
    KeyAttr.IN_PORT: Scalar("=I"),
    KeyAttr.ETHERNET: Fields(KEY_ETHERNET, src=mac, dst=mac),
    KeyAttr.VLAN: Scalar(">H", hex),
    KeyAttr.ETHERTYPE: Scalar(">H", _ether_type),
    KeyAttr.IPV4: Fields(KEY_IPV4, src=ipv4, dst=ipv4, tos=hex),
    KeyAttr.IPV6: Fields(KEY_IPV6, src=ipv6, dst=ipv6, label=hex, tclass=hex),
    KeyAttr.TCP: Fields(KEY_PORTS),
    KeyAttr.UDP: Fields(KEY_PORTS),
    KeyAttr.ICMP: Fields(KEY_ICMP),
    KeyAttr.ICMPV6: Fields(KEY_ICMP),
    KeyAttr.ARP: Fields(KEY_ARP, sip=ipv4, tip=ipv4, sha=mac, tha=mac),
    KeyAttr.ND: Fields(KEY_ND, target=ipv6, sll=mac, tll=mac),
    KeyAttr.SKB_MARK: Scalar("=I", hex),
    KeyAttr.TUNNEL: TUNNEL_KEY,
    KeyAttr.SCTP: Fields(KEY_PORTS),
    KeyAttr.TCP_FLAGS: Scalar(">H", hex),
    KeyAttr.DP_HASH: Scalar("=I", hex),
    KeyAttr.RECIRC_ID: Scalar("=I", hex),
    KeyAttr.MPLS: Fields(KEY_MPLS, many=True, lse=hex),
    KeyAttr.CT_STATE: Scalar("=I", _state),
    KeyAttr.CT_ZONE: Scalar("=H"),
    KeyAttr.CT_MARK: Scalar("=I", hex),
    KeyAttr.CT_LABELS: Scalar("16s", bytes.hex),
    KeyAttr.CT_ORIG_TUPLE_IPV4: Fields(KEY_CT_TUPLE_IPV4, src=ipv4, dst=ipv4),
    KeyAttr.CT_ORIG_TUPLE_IPV6: Fields(KEY_CT_TUPLE_IPV6, src=ipv6, dst=ipv6),
    KeyAttr.NSH: Nested(NSH),
    KeyAttr.IPV6_EXTHDRS: Scalar("=H", hex),
}


def _key_set(encap: Value) -> ExactSet:
    return ExactSet("OVS_KEY_ATTR", {KeyAttr.ENCAP: encap, **_TABLE}, KEY_SIZES)


# A frame has two tags at most, and what a client nests deeper than that is not looked into.
KEY_ATTRIBUTES: Final = _key_set(Nested(_key_set(Nested(_key_set(Binary())))))
"""The attributes of a key or a mask."""

KEY: Final = Nested(KEY_ATTRIBUTES)
"""A key or a mask: the value of OVS_FLOW_ATTR_KEY, OVS_FLOW_ATTR_MASK and OVS_PACKET_ATTR_KEY."""
