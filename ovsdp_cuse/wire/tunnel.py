"""OVS_KEY_ATTR_TUNNEL: the outer headers. Source: <linux/openvswitch.h> of Linux 6.1."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ovsdp_cuse.wire.attributes import Nested
from ovsdp_cuse.wire.exact import NESTED, VARIABLE, ExactSet, Scalar, Sizes, ipv4, ipv6
from ovsdp_cuse.wire.values import Binary, Flag


class TunnelKeyAttr(IntEnum):
    """enum ovs_tunnel_key_attr; 0 is an attribute like the others."""

    ID = 0
    IPV4_SRC = 1
    IPV4_DST = 2
    TOS = 3
    TTL = 4
    DONT_FRAGMENT = 5
    CSUM = 6
    OAM = 7
    GENEVE_OPTS = 8
    TP_SRC = 9
    TP_DST = 10
    VXLAN_OPTS = 11
    IPV6_SRC = 12
    IPV6_DST = 13
    PAD = 14
    ERSPAN_OPTS = 15
    IPV4_INFO_BRIDGE = 16


class VxlanExt(IntEnum):
    """OVS_VXLAN_EXT_*: what TunnelKeyAttr.VXLAN_OPTS holds."""

    UNSPEC = 0
    GBP = 1


VXLAN_SIZES: Final[Sizes] = {VxlanExt.GBP: 4}

VXLAN: Final = ExactSet(
    "OVS_VXLAN_EXT", {VxlanExt.GBP: Scalar("=I", hex)}, VXLAN_SIZES, repeated=True
)

TUNNEL_SIZES: Final[Sizes] = {
    TunnelKeyAttr.ID: 8,
    TunnelKeyAttr.IPV4_SRC: 4,
    TunnelKeyAttr.IPV4_DST: 4,
    TunnelKeyAttr.TOS: 1,
    TunnelKeyAttr.TTL: 1,
    TunnelKeyAttr.DONT_FRAGMENT: 0,
    TunnelKeyAttr.CSUM: 0,
    TunnelKeyAttr.OAM: 0,
    TunnelKeyAttr.GENEVE_OPTS: VARIABLE,
    TunnelKeyAttr.TP_SRC: 2,
    TunnelKeyAttr.TP_DST: 2,
    TunnelKeyAttr.VXLAN_OPTS: NESTED,
    TunnelKeyAttr.IPV6_SRC: 16,
    TunnelKeyAttr.IPV6_DST: 16,
    TunnelKeyAttr.PAD: 0,
    TunnelKeyAttr.ERSPAN_OPTS: VARIABLE,
    TunnelKeyAttr.IPV4_INFO_BRIDGE: 0,
}

TUNNEL: Final = ExactSet(
    "OVS_TUNNEL_KEY_ATTR",
    {
        TunnelKeyAttr.ID: Scalar(">Q", hex),
        TunnelKeyAttr.IPV4_SRC: Scalar("4s", ipv4),
        TunnelKeyAttr.IPV4_DST: Scalar("4s", ipv4),
        TunnelKeyAttr.TOS: Scalar("B", hex),
        TunnelKeyAttr.TTL: Scalar("B"),
        TunnelKeyAttr.DONT_FRAGMENT: Flag(),
        TunnelKeyAttr.CSUM: Flag(),
        TunnelKeyAttr.OAM: Flag(),
        TunnelKeyAttr.GENEVE_OPTS: Binary(),
        TunnelKeyAttr.TP_SRC: Scalar(">H"),
        TunnelKeyAttr.TP_DST: Scalar(">H"),
        TunnelKeyAttr.VXLAN_OPTS: Nested(VXLAN),
        TunnelKeyAttr.IPV6_SRC: Scalar("16s", ipv6),
        TunnelKeyAttr.IPV6_DST: Scalar("16s", ipv6),
        TunnelKeyAttr.PAD: Flag(),
        TunnelKeyAttr.ERSPAN_OPTS: Binary(),
        TunnelKeyAttr.IPV4_INFO_BRIDGE: Flag(),
    },
    TUNNEL_SIZES,
    padded=False,
    repeated=True,
)
"""A tunnel key; its last attribute need not be padded, and of duplicates the last counts."""
