"""Traces as lines of the files `trace` and `trace.json`."""

from __future__ import annotations

import json
from datetime import datetime

from ovsdp_cuse.command_line.documents import trace
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.trace_text import TraceText
from ovsdp_cuse.filesystem.trace import LineMaker
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.trace import TraceRecord


def text_lines(registry: Registry) -> LineMaker:
    """What `serve --trace` prints, with the time of day."""
    text = TraceText(registry)

    def line(message: Message) -> str:
        record = TraceRecord.from_attributes(message.attributes)
        when = datetime.fromtimestamp(record.time_ns / 1e9).strftime("%H:%M:%S.%f")
        return "\n".join(f"{when} {told.text}" for told in text.lines(record))

    def lost(number: int | None) -> str:
        return f"... {number if number is not None else 'some'} lines were lost: too many came"

    return LineMaker(line, lost)


def json_lines(registry: Registry) -> LineMaker:
    """What `ovsdp-cuse trace --json` prints."""

    def line(message: Message) -> str:
        return json.dumps(trace(registry, TraceRecord.from_attributes(message.attributes)))

    def lost(number: int | None) -> str:
        return json.dumps({"lost": number})

    return LineMaker(line, lost)
