"""Flows as JSON documents."""

from __future__ import annotations

from typing import Any

from ovsdp_cuse.wire.documents import attributes_document
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FlowAttr, FlowStats
from ovsdp_cuse.wire.key import KEY, KEY_ATTRIBUTES
from ovsdp_cuse.wire.text.flow import FlowText


def flow_document(message: Message, text: FlowText) -> dict[str, Any]:
    """A flow; `text` writes its match and actions.

    used_ms: milliseconds of CLOCK_MONOTONIC.
    """
    attributes = message.attributes
    key, mask = attributes.get(FlowAttr.KEY, b""), attributes.get(FlowAttr.MASK, b"")
    stats: FlowStats = attributes.get(FlowAttr.STATS, FlowStats(0, 0))
    ufid: bytes | None = attributes.get(FlowAttr.UFID)
    return {
        "ufid": None if ufid is None else ufid.hex(),
        "match": text.key(key, mask),
        "actions": text.actions(attributes.get(FlowAttr.ACTIONS, b"")),
        "key": attributes_document(KEY_ATTRIBUTES, KEY.decode(key, False)),
        "mask": attributes_document(KEY_ATTRIBUTES, KEY.decode(mask, False)),
        "packets": stats.n_packets,
        "bytes": stats.n_bytes,
        "used_ms": attributes.get(FlowAttr.USED),
        "tcp_flags": attributes.get(FlowAttr.TCP_FLAGS, 0),
    }
