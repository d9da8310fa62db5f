"""`ovs_datapath`: datapaths as messages. Source: <linux/openvswitch.h> of Linux 6.1."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.values import (
    Integer,
    IntegerArray,
    PidArray,
    PolicyType,
    String,
    Structure,
    s32,
    u32,
)

OVS_DP_VERSION = 2
OVS_DP_VER_FEATURES = 2
"""The first version whose clients know user features."""

IFNAMSIZ = 16
MASKS_CACHE_SIZE_MAXIMUM = 4096
"""PCPU_MIN_UNIT_SIZE (32 KiB) over the 8 bytes of a cache entry: net/openvswitch/datapath.c."""


class DpCmd(IntEnum):
    """enum ovs_datapath_cmd."""

    UNSPEC = 0
    NEW = 1
    DEL = 2
    GET = 3
    SET = 4


class DpAttr(IntEnum):
    """enum ovs_datapath_attr."""

    UNSPEC = 0
    NAME = 1
    UPCALL_PID = 2
    STATS = 3
    MEGAFLOW_STATS = 4
    USER_FEATURES = 5
    PAD = 6
    MASKS_CACHE_SIZE = 7
    PER_CPU_PIDS = 8
    IFINDEX = 9


class DpFeature(IntFlag):
    """OVS_DP_F_*: bits of DpAttr.USER_FEATURES."""

    UNALIGNED = 1 << 0
    VPORT_PIDS = 1 << 1
    TC_RECIRC_SHARING = 1 << 2
    DISPATCH_UPCALL_PER_CPU = 1 << 3


class DpStats(NamedTuple):
    """struct ovs_dp_stats: counts since the datapath was made, and `flows` that are there now."""

    hit: int = 0
    missed: int = 0
    lost: int = 0
    flows: int = 0


class MegaflowStats(NamedTuple):
    """struct ovs_dp_megaflow_stats: masks looked at, masks there now, hits of the mask cache."""

    mask_hit: int = 0
    masks: int = 0
    pad0: int = 0
    cache_hits: int = 0
    pad1: int = 0


class UserFeatures(Integer):
    """A u32 of DpFeature bits, shown by their names."""

    def __init__(self) -> None:
        super().__init__("I", PolicyType.U32)

    def format(self, obj: Any) -> str:
        names = [feature.name for feature in DpFeature if obj & feature]
        return f"{obj:#x}" + (f"({'|'.join(map(str, names))})" if names else "")


DATAPATH = FamilySchema(
    id=0x12,
    name="ovs_datapath",
    version=OVS_DP_VERSION,
    command_prefix="OVS_DP_CMD",
    commands=DpCmd,
    attributes=AttributeSet(
        "OVS_DP_ATTR",
        {
            DpAttr.NAME: String(IFNAMSIZ - 1),
            DpAttr.UPCALL_PID: PidArray(),
            DpAttr.STATS: Structure(FixedStruct("QQQQ", DpStats)),
            DpAttr.MEGAFLOW_STATS: Structure(FixedStruct("QIIQQ", MegaflowStats)),
            DpAttr.USER_FEATURES: UserFeatures(),
            DpAttr.MASKS_CACHE_SIZE: u32(MASKS_CACHE_SIZE_MAXIMUM),
            DpAttr.PER_CPU_PIDS: IntegerArray(),
            DpAttr.IFINDEX: s32(0),
        },
    ),
)
