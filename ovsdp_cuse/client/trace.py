"""Traces: what crosses the device, as it happens.

    with Device() as device:
        for record in traces(device, TraceFilter(command="OVS_FLOW_CMD_NEW", errors=True)):
            print(record.kind.name, record.pid, record.command, record.errno)

The Device must have been opened for writing: a trace shows the frames of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from errno import EIO
from typing import Any

from ovsdp_cuse.client.device import Device
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, SocketAttr
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.trace import TRACE_GROUP, TraceFilterAttr, TraceRecord

QUEUE_LIMIT = 8 << 20
"""Bytes that are asked for, to wait on the handle: many messages come at once."""


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What is to be told; what is left out lets everything through.

    pid: of a handle. process: the process id of who opened a handle, or its command. family,
    command: by their names; what answers a request counts as the request. datapath: a dp_ifindex.
    errors: only what failed, with its request. slower_ns: only what was answered after more
    nanoseconds, with its request.
    """

    pid: int | None = None
    process: int | str | None = None
    family: str | None = None
    command: str | None = None
    datapath: int | None = None
    errors: bool = False
    slower_ns: int | None = None

    def attributes(self) -> dict[int, Any]:
        """The attributes of TRACE_FILTER."""
        by_name = isinstance(self.process, str)
        wanted = {
            TraceFilterAttr.PID: self.pid,
            TraceFilterAttr.PROCESS: None if by_name else self.process,
            TraceFilterAttr.PROCESS_NAME: self.process if by_name else None,
            TraceFilterAttr.FAMILY: self.family,
            TraceFilterAttr.COMMAND: self.command,
            TraceFilterAttr.DATAPATH: self.datapath,
            TraceFilterAttr.ERRORS: self.errors or None,
            TraceFilterAttr.SLOWER_NS: self.slower_ns,
        }
        return {int(number): value for number, value in wanted.items() if value is not None}


def traces(
    device: Device,
    trace_filter: TraceFilter | None = None,
    *,
    timeout: float | None = None,
    queue_limit: int = QUEUE_LIMIT,
) -> Traces:
    """Begin to trace, and iterate over what is told from now on.

    The iteration ends when nothing has come for `timeout` seconds; None waits for ever. A step
    raises EventsLost where more came than `queue_limit` bytes that wait can hold, and the next
    goes on after that. Raises EINVAL for a family or command that the device does not serve,
    EPERM for a Device that is read-only.
    """
    chosen = trace_filter or TraceFilter()
    # The filter comes first: so the group never tells what is not wanted.
    device.transact(OVSDP_CONTROL, OvsdpCmd.TRACE_FILTER, chosen.attributes())
    device.transact(CONTROL, ControlCmd.SOCK_PROP, {SocketAttr.SOCK_RCVBUF: queue_limit})
    device.subscribe(TRACE_GROUP)
    return Traces(device, timeout)


class Traces(Iterator[TraceRecord]):
    """An iterator over what is traced; see `traces`."""

    def __init__(self, device: Device, timeout: float | None) -> None:
        self._device = device
        self._timeout = timeout

    def __next__(self) -> TraceRecord:
        while (event := self._device.next_event(self._timeout)) is not None:
            schema, message = event
            if schema is OVSDP_CONTROL and message.command == OvsdpCmd.TRACE:
                return _record(message.attributes)
        raise StopIteration

    def close(self) -> None:
        """End the trace; the Device may be used for other things."""
        self._device.unsubscribe(TRACE_GROUP)


def _record(attributes: dict[int, Any]) -> TraceRecord:
    try:
        return TraceRecord.from_attributes(attributes)
    except ValueError as error:
        raise DatapathError(EIO, f"a trace of a newer daemon: {error}") from None
