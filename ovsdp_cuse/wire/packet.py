"""`ovs_packet`: packets between the switch and userspace. Source: <linux/openvswitch.h>, 6.1."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.attributes import AttributeSet, Unparsed
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.key import KEY, TUNNEL_KEY
from ovsdp_cuse.wire.values import Binary, Flag, u16, u32, u64

OVS_PACKET_VERSION = 1

ETH_HLEN = 14
SHOWN = 64
"""Bytes of a frame that traces show: more than most headers have."""


class PacketCmd(IntEnum):
    """enum ovs_packet_cmd."""

    UNSPEC = 0
    MISS = 1
    ACTION = 2
    EXECUTE = 3


class PacketAttr(IntEnum):
    """enum ovs_packet_attr."""

    UNSPEC = 0
    PACKET = 1
    KEY = 2
    ACTIONS = 3
    USERDATA = 4
    EGRESS_TUN_KEY = 5
    UNUSED1 = 6
    UNUSED2 = 7
    PROBE = 8
    MRU = 9
    LEN = 10
    HASH = 11


class FrameValue(Binary):
    """A frame; its beginning is shown."""

    def format(self, obj: Any) -> str:
        cut = f"...({len(obj)} bytes)" if len(obj) > SHOWN else ""
        return f"{super().format(obj[:SHOWN])}{cut}"


PACKET = FamilySchema(
    id=0x13,
    name="ovs_packet",
    version=OVS_PACKET_VERSION,
    command_prefix="OVS_PACKET_CMD",
    commands=PacketCmd,
    attributes=AttributeSet(
        "OVS_PACKET_ATTR",
        {
            PacketAttr.PACKET: FrameValue(minimum=ETH_HLEN),
            PacketAttr.KEY: Unparsed(KEY),
            PacketAttr.ACTIONS: Unparsed(ACTIONS),
            PacketAttr.USERDATA: Binary(),
            PacketAttr.EGRESS_TUN_KEY: Unparsed(TUNNEL_KEY),
            PacketAttr.PROBE: Flag(),
            PacketAttr.MRU: u16(),
            PacketAttr.LEN: u32(),
            PacketAttr.HASH: u64(),
        },
    ),
)
