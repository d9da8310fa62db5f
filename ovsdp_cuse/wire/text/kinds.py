"""The attributes of a key: what each is called, how it is written, and how large it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ovsdp_cuse.wire.key import KEY_SIZES, KeyAttr
from ovsdp_cuse.wire.text.fields import (
    Fields,
    Fragment,
    Unmasked,
    decimal,
    hexadecimal,
    in_order,
    ipv4_field,
    ipv6_field,
    label_field,
    mac_field,
)
from ovsdp_cuse.wire.text.formats import (
    Compile,
    ct_state,
    mpls,
    nsh_key,
    number,
    of_fields,
    tcp_flags,
    tunnel_key,
    unknown,
    vlan,
)
from ovsdp_cuse.wire.text.numbers import big, c_hex, native


class Kind(NamedTuple):
    """How an attribute is written: its name, and what is in its parentheses.

    meaningful: the bytes of it that tell whether its mask looks at all or at nothing; the others
    are what C puts at the end of a structure.
    """

    name: str
    compile: Compile
    meaningful: int | None = None


_PORTS: Final = of_fields(in_order("!HH", decimal("src", 16), decimal("dst", 16)))
_ICMP: Final = of_fields(in_order("BB", decimal("type", 8), decimal("code", 8)))
_ARP: Final = in_order(
    "!4s4sH6s6s2x",
    ipv4_field("sip"),
    ipv4_field("tip"),
    decimal("op", 16),
    mac_field("sha"),
    mac_field("tha"),
)
_IPV4: Final = in_order(
    "4s4sBBBB",
    ipv4_field("src"),
    ipv4_field("dst"),
    decimal("proto", 8),
    hexadecimal("tos", 8),
    decimal("ttl", 8),
    Fragment(),
)
_IPV6: Final = in_order(
    "!16s16sIBBBB",
    ipv6_field("src"),
    ipv6_field("dst"),
    label_field("label"),
    decimal("proto", 8),
    hexadecimal("tclass", 8),
    decimal("hlimit", 8),
    Fragment(),
)
_CT_TUPLE4: Final = Fields(
    "!4s4sHHB3x",
    [
        (0, ipv4_field("src")),
        (1, ipv4_field("dst")),
        (4, decimal("proto", 8)),
        (2, decimal("tp_src", 16)),
        (3, decimal("tp_dst", 16)),
    ],
)
_CT_TUPLE6: Final = Fields(
    "!16s16sHHB3x",
    [
        (0, ipv6_field("src")),
        (1, ipv6_field("dst")),
        (4, decimal("proto", 8)),
        (2, decimal("src_port", 16)),
        (3, decimal("dst_port", 16)),
    ],
)

KINDS: Final[Mapping[int, Kind]] = {
    KeyAttr.UNSPEC: Kind("unspec", unknown),
    KeyAttr.ENCAP: Kind("encap", unknown),
    KeyAttr.PRIORITY: Kind("skb_priority", number(native, True)),
    KeyAttr.IN_PORT: Kind("in_port", number(native, True, str, c_hex)),
    KeyAttr.ETHERNET: Kind("eth", of_fields(in_order("6s6s", mac_field("src"), mac_field("dst")))),
    KeyAttr.VLAN: Kind("vlan", vlan),
    KeyAttr.ETHERTYPE: Kind("eth_type", number(big, True, "{:#06x}".format)),
    KeyAttr.IPV4: Kind("ipv4", of_fields(_IPV4)),
    KeyAttr.IPV6: Kind("ipv6", of_fields(_IPV6)),
    KeyAttr.TCP: Kind("tcp", _PORTS),
    KeyAttr.UDP: Kind("udp", _PORTS),
    KeyAttr.ICMP: Kind("icmp", _ICMP),
    KeyAttr.ICMPV6: Kind("icmpv6", _ICMP),
    KeyAttr.ARP: Kind("arp", of_fields(_ARP), 22),
    KeyAttr.ND: Kind(
        "nd",
        of_fields(in_order("16s6s6s", ipv6_field("target"), mac_field("sll"), mac_field("tll"))),
    ),
    KeyAttr.SKB_MARK: Kind("skb_mark", number(native, True)),
    KeyAttr.TUNNEL: Kind("tunnel", tunnel_key),
    KeyAttr.SCTP: Kind("sctp", _PORTS),
    KeyAttr.TCP_FLAGS: Kind("tcp_flags", tcp_flags),
    KeyAttr.DP_HASH: Kind("dp_hash", number(native, True)),
    KeyAttr.RECIRC_ID: Kind("recirc_id", number(native, True)),
    KeyAttr.MPLS: Kind("mpls", mpls),
    KeyAttr.CT_STATE: Kind("ct_state", ct_state),
    KeyAttr.CT_ZONE: Kind("ct_zone", number(native, False)),
    KeyAttr.CT_MARK: Kind("ct_mark", number(native, False)),
    KeyAttr.CT_LABELS: Kind("ct_label", number(native, False)),
    KeyAttr.CT_ORIG_TUPLE_IPV4: Kind("ct_tuple4", of_fields(_CT_TUPLE4), 13),
    KeyAttr.CT_ORIG_TUPLE_IPV6: Kind("ct_tuple6", of_fields(_CT_TUPLE6), 37),
    KeyAttr.NSH: Kind("nsh", nsh_key),
    KeyAttr.PACKET_TYPE: Kind(
        "packet_type", of_fields(in_order("!HH", decimal("ns", 16), hexadecimal("id", 16)))
    ),
    KeyAttr.ND_EXTENSIONS: Kind(
        "nd_ext",
        of_fields(in_order("!IB3x", Unmasked("nd_reserved"), decimal("nd_options_type", 8))),
    ),
}

NESTED: Final = (KeyAttr.ENCAP, KeyAttr.TUNNEL, KeyAttr.NSH)
"""What holds attributes is written even where the mask looks at nothing of it."""

NO_CONSTANT: Final = (KeyAttr.UNSPEC, KeyAttr.ENCAP)
"""Attributes of which nobody says that a mask looks at all, or at nothing, of them."""

UNCHECKED: Final = (KeyAttr.IPV6_EXTHDRS,)
"""What Linux 6.1 has and Open vSwitch 3.1 does not know: it has no size there, and no name."""

SIZES: Final[Mapping[int, int]] = {
    **{number: size for number, size in KEY_SIZES.items() if number not in UNCHECKED},
    KeyAttr.PACKET_TYPE: 4,
    KeyAttr.ND_EXTENSIONS: 8,
}
