"""`ovs_flow`: flows as messages. Source: <linux/openvswitch.h> of Linux 6.1.

Keys, masks and actions are described in `key.py` and `actions.py`; a handler parses them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.attributes import AttributeSet, Unparsed
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.key import KEY
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.values import Binary, Flag, Structure, u8, u32, u64

OVS_FLOW_VERSION = 1


class FlowCmd(IntEnum):
    """enum ovs_flow_cmd."""

    UNSPEC = 0
    NEW = 1
    DEL = 2
    GET = 3
    SET = 4


class FlowAttr(IntEnum):
    """enum ovs_flow_attr."""

    UNSPEC = 0
    KEY = 1
    ACTIONS = 2
    STATS = 3
    TCP_FLAGS = 4
    USED = 5
    CLEAR = 6
    MASK = 7
    PROBE = 8
    UFID = 9
    UFID_FLAGS = 10
    PAD = 11


class UfidFlag(IntFlag):
    """OVS_UFID_F_*: what a reply may leave out."""

    OMIT_KEY = 1 << 0
    OMIT_MASK = 1 << 1
    OMIT_ACTIONS = 1 << 2


class FlowStats(NamedTuple):
    """struct ovs_flow_stats: packets and bytes that matched."""

    n_packets: int
    n_bytes: int


class UfidValue(Binary):
    """A UFID; 16 bytes are shown as ovs-dpctl does, as four words of the machine's byte order."""

    def format(self, obj: Any) -> str:
        if len(obj) != 16:
            return super().format(obj)
        words = memoryview(obj).cast("I")
        text = "".join(f"{word:08x}" for word in words)
        return f"ufid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


FLOW = FamilySchema(
    id=0x15,
    name="ovs_flow",
    version=OVS_FLOW_VERSION,
    command_prefix="OVS_FLOW_CMD",
    commands=FlowCmd,
    attributes=AttributeSet(
        "OVS_FLOW_ATTR",
        {
            FlowAttr.KEY: Unparsed(KEY),
            FlowAttr.ACTIONS: Unparsed(ACTIONS),
            FlowAttr.STATS: Structure(FixedStruct("QQ", FlowStats)),
            FlowAttr.TCP_FLAGS: u8(),
            FlowAttr.USED: u64(),
            FlowAttr.CLEAR: Flag(),
            FlowAttr.MASK: Unparsed(KEY),
            FlowAttr.PROBE: Flag(),
            FlowAttr.UFID: UfidValue(minimum=1),
            FlowAttr.UFID_FLAGS: u32(),
        },
        maximum=FlowAttr.PAD,
    ),
)
