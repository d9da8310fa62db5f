"""`ovs_meter`: meters as messages. Source: <linux/openvswitch.h> of Linux 6.1."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from ovsdp_cuse.wire.attributes import AttributeSet, Nested, NestedArray, Unparsed
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.values import Flag, Structure, u32, u64

OVS_METER_VERSION = 1


class MeterCmd(IntEnum):
    """enum ovs_meter_cmd."""

    UNSPEC = 0
    FEATURES = 1
    SET = 2
    DEL = 3
    GET = 4


class MeterAttr(IntEnum):
    """enum ovs_meter_attr."""

    UNSPEC = 0
    ID = 1
    KBPS = 2
    STATS = 3
    BANDS = 4
    USED = 5
    CLEAR = 6
    MAX_METERS = 7
    MAX_BANDS = 8
    PAD = 9


class BandAttr(IntEnum):
    """enum ovs_band_attr."""

    UNSPEC = 0
    TYPE = 1
    RATE = 2
    BURST = 3
    STATS = 4


class MeterStats(NamedTuple):
    """struct ovs_flow_stats of a meter: packets and bytes."""

    n_packets: int
    n_bytes: int


BAND = AttributeSet(
    "OVS_BAND_ATTR",
    {
        BandAttr.TYPE: u32(),
        BandAttr.RATE: u32(),
        BandAttr.BURST: u32(),
        BandAttr.STATS: Structure(FixedStruct("QQ", MeterStats), checked=True),
    },
)

BANDS = NestedArray(Nested(BAND))
"""The payload of MeterAttr.BANDS. Numbers do not count: the kernel tells each band as number 0."""

METER = FamilySchema(
    id=0x19,
    name="ovs_meter",
    version=OVS_METER_VERSION,
    command_prefix="OVS_METER_CMD",
    commands=MeterCmd,
    attributes=AttributeSet(
        "OVS_METER_ATTR",
        {
            MeterAttr.ID: u32(),
            MeterAttr.KBPS: Flag(),
            MeterAttr.STATS: Structure(FixedStruct("QQ", MeterStats), checked=True),
            MeterAttr.BANDS: Unparsed(BANDS),
            MeterAttr.USED: u64(),
            MeterAttr.CLEAR: Flag(),
            MeterAttr.MAX_METERS: u32(),
            MeterAttr.MAX_BANDS: u32(),
        },
        maximum=MeterAttr.PAD,
    ),
)
