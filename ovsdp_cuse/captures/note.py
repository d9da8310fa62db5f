"""What a recording of the device says of each message beside it: a comment, in words.

    reply; handle 7; ovs-vswitchd[4321]; after 123456 ns

It holds what a trace holds (`wire/trace.py`) beside the message and its time, so that it is read
back as one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ovsdp_cuse.errors import errno_name
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.trace import TraceAttr, TraceKind

FAMILY_COMMENT: Final = "a family of the device"
"""What is said of the messages at the beginning that tell readers the families' names."""

_KINDS: Final = {kind: kind.name.lower().replace("_", " ") for kind in TraceKind}
_BY_NAME: Final = {name: kind for kind, name in _KINDS.items()}
_NOTE: Final = re.compile(
    r"(?P<KIND>[a-z ]+); handle (?P<PID>\d+); (?P<COMMAND>.*?)\[(?P<PROCESS>\d+)\]"
    r"(?:; by (?P<OPERATION>[A-Z_]+))?(?:; after (?P<LATENCY_NS>\d+) ns)?"
    r"(?:; fault (?P<FAULT>\d+))?(?:; error (?P<ERRNO>\d+) \(\w+\))?"
    r"(?:; attribute (?P<PATH>[\d/]+))?(?:; (?P<TEXT>.*))?",
    re.DOTALL,
)
_WORDS: Final = ("COMMAND", "OPERATION", "TEXT")


def note_of(trace: Attributes) -> str:
    """The comment for a trace."""
    kind = trace[TraceAttr.KIND]
    words = [
        _KINDS.get(kind, str(kind)),
        f"handle {trace.get(TraceAttr.PID, 0)}",
        f"{trace.get(TraceAttr.COMMAND, '')}[{trace.get(TraceAttr.PROCESS, 0)}]",
    ]
    if TraceAttr.OPERATION in trace:
        words.append(f"by {trace[TraceAttr.OPERATION]}")
    if TraceAttr.LATENCY_NS in trace:
        words.append(f"after {trace[TraceAttr.LATENCY_NS]} ns")
    if TraceAttr.FAULT in trace:
        words.append(f"fault {trace[TraceAttr.FAULT]}")
    if TraceAttr.ERRNO in trace:
        number = trace[TraceAttr.ERRNO]
        words.append(f"error {number} ({errno_name(number)})")
    if TraceAttr.PATH in trace:
        words.append(f"attribute {'/'.join(map(str, trace[TraceAttr.PATH]))}")
    if TraceAttr.TEXT in trace:
        words.append(trace[TraceAttr.TEXT])
    return "; ".join(words)


def parse_note(comment: str) -> Attributes | None:
    """The trace that a comment tells of, without its message; None for another comment."""
    found = _NOTE.fullmatch(comment)
    if found is None or found["KIND"] not in _BY_NAME:
        return None
    trace: dict[int, Any] = {TraceAttr.KIND: int(_BY_NAME[found["KIND"]])}
    for name, text in found.groupdict().items():
        if text is None or name == "KIND":
            continue
        if name == "PATH":
            trace[TraceAttr.PATH] = tuple(map(int, text.split("/")))
        else:
            trace[TraceAttr[name]] = text if name in _WORDS else int(text)
    return trace
