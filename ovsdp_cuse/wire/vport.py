"""`ovs_vport`: virtual ports as messages. Source: <linux/openvswitch.h>.

UPCALL_STATS is of Linux 6.3; all else is of 6.1 and before.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

from ovsdp_cuse.wire.attributes import AttributeSet, Nested, Unparsed
from ovsdp_cuse.wire.datapath import IFNAMSIZ
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.tunnel import VxlanExt
from ovsdp_cuse.wire.values import (
    Integer,
    IntegerArray,
    PolicyType,
    String,
    Structure,
    s32,
    u16,
    u32,
    u64,
)

OVS_VPORT_VERSION = 1


class VportCmd(IntEnum):
    """enum ovs_vport_cmd."""

    UNSPEC = 0
    NEW = 1
    DEL = 2
    GET = 3
    SET = 4


class VportType(IntEnum):
    """enum ovs_vport_type."""

    UNSPEC = 0
    NETDEV = 1
    INTERNAL = 2
    GRE = 3
    VXLAN = 4
    GENEVE = 5


class VportAttr(IntEnum):
    """enum ovs_vport_attr."""

    UNSPEC = 0
    PORT_NO = 1
    TYPE = 2
    NAME = 3
    OPTIONS = 4
    UPCALL_PID = 5
    STATS = 6
    PAD = 7
    IFINDEX = 8
    NETNSID = 9
    UPCALL_STATS = 10


class TunnelAttr(IntEnum):
    """OVS_TUNNEL_ATTR_*: options of the ports that are tunnels."""

    UNSPEC = 0
    DST_PORT = 1
    EXTENSION = 2


class VportUpcallAttr(IntEnum):
    """enum ovs_vport_upcall_attr."""

    SUCCESS = 0
    FAIL = 1


class VportStats(NamedTuple):
    """struct ovs_vport_stats: packets, bytes, errors and drops of the interface."""

    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_errors: int = 0
    tx_errors: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0


class TypeValue(Integer):
    """A u32 of VportType, shown by its name."""

    def __init__(self) -> None:
        super().__init__("I", PolicyType.U32)

    def format(self, obj: Any) -> str:
        known = {int(kind): kind.name for kind in VportType}
        return f"{obj}({known[obj]})" if obj in known else str(obj)


TUNNEL_OPTIONS = AttributeSet(
    "OVS_TUNNEL_ATTR",
    {
        TunnelAttr.DST_PORT: u16(),
        TunnelAttr.EXTENSION: Nested(AttributeSet("OVS_VXLAN_EXT", {VxlanExt.GBP: u32()})),
    },
)

VPORT = FamilySchema(
    id=0x14,
    name="ovs_vport",
    version=OVS_VPORT_VERSION,
    command_prefix="OVS_VPORT_CMD",
    commands=VportCmd,
    attributes=AttributeSet(
        "OVS_VPORT_ATTR",
        {
            VportAttr.PORT_NO: u32(),
            VportAttr.TYPE: TypeValue(),
            VportAttr.NAME: String(IFNAMSIZ - 1),
            VportAttr.OPTIONS: Unparsed(Nested(TUNNEL_OPTIONS)),
            VportAttr.UPCALL_PID: IntegerArray(),
            VportAttr.STATS: Structure(FixedStruct("QQQQQQQQ", VportStats), checked=True),
            VportAttr.IFINDEX: s32(0),
            VportAttr.NETNSID: s32(),
            VportAttr.UPCALL_STATS: Nested(
                AttributeSet(
                    "OVS_VPORT_UPCALL_ATTR",
                    {VportUpcallAttr.SUCCESS: u64(), VportUpcallAttr.FAIL: u64()},
                )
            ),
        },
    ),
)
