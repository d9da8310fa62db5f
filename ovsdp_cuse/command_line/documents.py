"""Messages as JSON documents.

A message of a family:

    {"family": "ovs_datapath", "command": "OVS_DP_CMD_NEW", "flags": 0, "sequence": 1, "pid": 7,
     "dp_ifindex": 1, "attributes": {"NAME": "dp0", "UPCALL_PID": [0]}}

An error or acknowledgement (errno "0"), and the end of a dump (type "NLMSG_DONE"):

    {"type": "NLMSG_ERROR", "errno": "EEXIST", "message": TEXT or null, "offset": BYTE or null,
     "flags": 256, "sequence": 1, "pid": 7}

What cannot be decoded: {"hex": "0011..."}. Attributes are as `wire.documents` has them.
"""

from __future__ import annotations

import struct

from ovsdp_cuse.client.conversation import split
from ovsdp_cuse.errors import DatapathError, errno_name
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.wire.documents import Document, attributes_document
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, ControlType, parse_error
from ovsdp_cuse.wire.trace import TraceRecord


def messages(registry: Registry, datagram: bytes) -> list[Document]:
    """The messages of a datagram."""
    try:
        return [_message(registry, data) for data in split(datagram)]
    except DatapathError:
        return [{"hex": datagram.hex()}]


def trace(registry: Registry, record: TraceRecord) -> Document:
    """What was traced; what there is nothing to say of is null."""
    return {
        "kind": record.kind.name,
        "time_ns": record.time_ns,
        "pid": record.pid,
        "process": record.process,
        "process_name": record.command,
        "operation": record.operation or None,
        "latency_ns": record.latency_ns,
        "errno": errno_name(record.errno) if record.errno else None,
        "text": record.text or None,
        "path": list(record.path),
        "fault": record.fault or None,
        "length": record.length,
        "messages": messages(registry, record.message),
    }


def _message(registry: Registry, data: bytes) -> Document:
    header = NETLINK_HEADER.parse(data)
    numbers = {"flags": header.flags, "sequence": header.sequence, "pid": header.pid}
    try:
        if header.type in (ControlType.ERROR, ControlType.DONE):
            told = parse_error(data)
            return {
                "type": f"NLMSG_{ControlType(header.type).name}",
                "errno": errno_name(told.errno) if told.errno else "0",
                "message": told.message,
                "offset": told.offset,
                **numbers,
            }
        family = registry.lookup(header.type)
        if family is None:
            return {"hex": data.hex()}
        schema = family.schema
        message = schema.parse(data)
    except (DatapathError, struct.error):
        return {"hex": data.hex()}
    return {
        "family": schema.name,
        "command": schema.command_name(message.command),
        **numbers,
        "dp_ifindex": message.dp_ifindex,
        "attributes": attributes_document(
            schema.attributes_of(message.command), message.attributes
        ),
    }
