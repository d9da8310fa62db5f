"""`ovsdp_control`: the state of the daemon, traces, explanations and faults.

A family of our own, no kernel has it. What its commands carry is in `state`, `trace`, `explain`
and `fault`, a module for each concern.
"""

from __future__ import annotations

from enum import IntEnum

from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.explain import EXPLAIN
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.fault import FAULT
from ovsdp_cuse.wire.meter import METER
from ovsdp_cuse.wire.state import DROPS, HANDLE, INFO, MASK
from ovsdp_cuse.wire.trace import TRACE, TRACE_FILTER

OVSDP_CONTROL_VERSION = 1


class OvsdpCmd(IntEnum):
    """enum ovsdp_control_cmd."""

    UNSPEC = 0
    INFO_GET = 1
    HANDLE_GET = 2
    DROPS_GET = 3
    MASK_GET = 4
    TRACE = 5
    TRACE_FILTER = 6
    EXPLAIN = 7
    FAULT_NEW = 8
    FAULT_DEL = 9
    FAULT_GET = 10
    FAULT_RELEASE = 11
    METER_GET = 12
    """A dump of a datapath's meters, with the attributes of ovs_meter, which has no dump."""


OVSDP_CONTROL = FamilySchema(
    id=0x1A,
    name="ovsdp_control",
    version=OVSDP_CONTROL_VERSION,
    command_prefix="OVSDP_CMD",
    commands=OvsdpCmd,
    attributes=AttributeSet("OVSDP_ATTR", {}),
    attributes_by_command={
        OvsdpCmd.INFO_GET: INFO,
        OvsdpCmd.HANDLE_GET: HANDLE,
        OvsdpCmd.DROPS_GET: DROPS,
        OvsdpCmd.MASK_GET: MASK,
        OvsdpCmd.TRACE: TRACE,
        OvsdpCmd.TRACE_FILTER: TRACE_FILTER,
        OvsdpCmd.EXPLAIN: EXPLAIN,
        OvsdpCmd.FAULT_NEW: FAULT,
        OvsdpCmd.FAULT_DEL: FAULT,
        OvsdpCmd.FAULT_GET: FAULT,
        OvsdpCmd.FAULT_RELEASE: FAULT,
        OvsdpCmd.METER_GET: METER.attributes,
    },
)
