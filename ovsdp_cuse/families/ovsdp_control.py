"""The family `ovsdp_control`: see inside the daemon, and make it fail on purpose.

The file system of live state, `ovsdp-cuse trace`, `record`, `explain` and `fault` use these
commands, and nothing that others could not use. Each concern has a module with its commands.
"""

from __future__ import annotations

from ovsdp_cuse.families import explain, fault_control, state, trace_control, trace_feed
from ovsdp_cuse.families.registry import Family
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL

_COMMANDS = (
    *state.COMMANDS,
    *trace_control.COMMANDS,
    *fault_control.COMMANDS,
    *explain.COMMANDS,
)

FAMILY = Family(
    schema=OVSDP_CONTROL,
    summary="the daemon's state, traces, explanations and faults",
    commands=tuple(sorted(_COMMANDS, key=lambda command: command.number)),
    groups=(trace_feed.GROUP,),
)
