"""What `serve --trace` prints: what crosses the device, as `trace_text` writes it."""

from __future__ import annotations

import os
from typing import TextIO

from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.session import Session
from ovsdp_cuse.families.tap import Arrived
from ovsdp_cuse.families.trace_text import TraceText
from ovsdp_cuse.wire.trace import TraceRecord


def has_colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal whose user wants colours (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


class Trace:
    """A Watcher that writes to a stream; colours None lets the stream decide.

    When the stream fails (its reader went away, the disk is full), nothing is written any more.
    """

    def __init__(self, registry: Registry, stream: TextIO, colours: bool | None = None) -> None:
        self._text = TraceText(registry)
        self._stream: TextIO | None = stream
        self._colours = has_colours(stream) if colours is None else colours

    def __call__(self, session: Session, record: TraceRecord, request: Arrived | None) -> None:
        """Something happened on a handle."""
        if self._stream is None:
            return
        lines = self._text.lines(record)
        text = "".join(f"{line.painted() if self._colours else line.text}\n" for line in lines)
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None
