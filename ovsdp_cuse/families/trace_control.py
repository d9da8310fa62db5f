"""The commands of `ovsdp_control` for traces; `trace_feed` has the group that is told them."""

from __future__ import annotations

from ovsdp_cuse.families.registry import Command, DeviceOperation
from ovsdp_cuse.families.request import Answer, Request
from ovsdp_cuse.families.trace_filter import TraceFilter
from ovsdp_cuse.wire.ovsdp_control import OvsdpCmd


async def set_filter(request: Request) -> Answer:
    """OVSDP_CMD_TRACE_FILTER: what this handle is to be told, once it is in the group.

    Without attributes: everything. Raises what TraceFilter.parse raises; then the last one stays.
    """
    request.session.trace_filter = TraceFilter.parse(request.attributes, request.context.registry)
    return Answer()


COMMANDS = (
    Command(
        OvsdpCmd.TRACE_FILTER,
        "OVSDP_CMD_TRACE_FILTER",
        DeviceOperation.TRANSACT | DeviceOperation.WRITE,
        set_filter,
        summary="choose what the group `ovsdp_trace` tells this handle",
    ),
)
