"""The steps of an explanation, as lines for people and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.explain import ExplainAttr, ExplainStep
from ovsdp_cuse.wire.text.flow import FlowText, ufid_text

SHOWN: Final = 64
"""Bytes of a frame that a line shows."""

Owner = Callable[[int], str]
"""Who has the handle with a PID, for people."""

_JSON_NUMBERS: Final = (ExplainAttr.FLOWS, ExplainAttr.PORT, ExplainAttr.PID)
_JSON_TEXTS: Final = (ExplainAttr.PORT_NAME, ExplainAttr.REASON, ExplainAttr.TEXT)


def document(step: Attributes, text: FlowText) -> dict[str, Any]:
    """A step in JSON: "step", "depth", and what there is of the others."""
    shown: dict[str, Any] = {
        "step": ExplainStep(step[ExplainAttr.STEP]).name,
        "depth": step[ExplainAttr.DEPTH],
    }
    if ExplainAttr.KEY in step:
        shown["key"] = text.key(step[ExplainAttr.KEY], step.get(ExplainAttr.MASK))
    elif ExplainAttr.MASK in step:
        shown["mask"] = step[ExplainAttr.MASK].hex()
    if ExplainAttr.ACTIONS in step:
        shown["actions"] = text.actions(step[ExplainAttr.ACTIONS])
    for number in (ExplainAttr.UFID, ExplainAttr.PACKET):
        if number in step:
            shown[number.name.lower()] = step[number].hex()
    for number in (*_JSON_NUMBERS, *_JSON_TEXTS):
        if number in step:
            shown[number.name.lower()] = step[number]
    return shown


def lines(steps: Iterable[Attributes], text: FlowText, owner: Owner) -> Iterator[str]:
    """The steps, one or more lines each, indented by their depth."""
    key = b""
    for step in steps:
        kind = ExplainStep(step[ExplainAttr.STEP])
        if kind in (ExplainStep.EXTRACTED, ExplainStep.RECIRCULATED):
            key = step[ExplainAttr.KEY]
        indent = "  " * step[ExplainAttr.DEPTH]
        for line in _SHOW[kind](step, text, key, owner):
            yield indent + line


def _frame(frame: bytes) -> str:
    more = "..." if len(frame) > SHOWN else ""
    return f"{len(frame)} bytes: {frame[:SHOWN].hex()}{more}"


def _extracted(step: Attributes, text: FlowText, key: bytes, _owner: Owner) -> Iterator[str]:
    yield f"key: {text.key(key)}"


def _mask_tried(step: Attributes, text: FlowText, key: bytes, _owner: Owner) -> Iterator[str]:
    flows = step[ExplainAttr.FLOWS]
    many = f"{flows} flow{'' if flows == 1 else 's'}"
    if ExplainAttr.MASK not in step:
        yield f"no match: {step.get(ExplainAttr.TEXT, '')} ({many})"
        return
    yield f"no match: {text.key(key, step[ExplainAttr.MASK])} ({many})"


def _hit(step: Attributes, text: FlowText, _key: bytes, _owner: Owner) -> Iterator[str]:
    yield f"hit: {text.key(step[ExplainAttr.KEY], step.get(ExplainAttr.MASK))}"
    if ExplainAttr.UFID in step:
        yield f"     {ufid_text(step[ExplainAttr.UFID])}"
    if ExplainAttr.TEXT in step:
        yield f"     {step[ExplainAttr.TEXT]}"
    yield f"     actions:{text.actions(step[ExplainAttr.ACTIONS])}"


def _miss(_step: Attributes, _text: FlowText, _key: bytes, _owner: Owner) -> Iterator[str]:
    yield "miss: no flow matches"


def _action(step: Attributes, text: FlowText, _key: bytes, _owner: Owner) -> Iterator[str]:
    yield text.actions(step[ExplainAttr.ACTIONS])
    if ExplainAttr.PACKET in step:
        yield f"    now {_frame(step[ExplainAttr.PACKET])}"
    if ExplainAttr.KEY in step:
        yield f"    key: {text.key(step[ExplainAttr.KEY])}"


def _output(step: Attributes, _text: FlowText, _key: bytes, _owner: Owner) -> Iterator[str]:
    name = printable(step[ExplainAttr.PORT_NAME])
    yield f"--> to port {step[ExplainAttr.PORT]} ({name}): {_frame(step[ExplainAttr.PACKET])}"


def _upcall(step: Attributes, _text: FlowText, _key: bytes, owner: Owner) -> Iterator[str]:
    pid = step[ExplainAttr.PID]
    yield f"--> to userspace, PID {pid} ({owner(pid)}): {_frame(step[ExplainAttr.PACKET])}"


def _recirculated(step: Attributes, text: FlowText, key: bytes, _owner: Owner) -> Iterator[str]:
    yield f"looked up again: {text.key(key)}"


def _dropped(step: Attributes, _text: FlowText, _key: bytes, _owner: Owner) -> Iterator[str]:
    why = f" ({printable(step[ExplainAttr.TEXT])})" if ExplainAttr.TEXT in step else ""
    yield f"--> dropped: {step[ExplainAttr.REASON]}{why}"


def _decided(step: Attributes, _text: FlowText, _key: bytes, _owner: Owner) -> Iterator[str]:
    yield f"    {step[ExplainAttr.TEXT]}"


def _deferred(_step: Attributes, _text: FlowText, _key: bytes, _owner: Owner) -> Iterator[str]:
    yield "    this is deep, and waits until the rest is done"


def _ended(step: Attributes, _text: FlowText, _key: bytes, _owner: Owner) -> Iterator[str]:
    yield f"the rest is not told: {step[ExplainAttr.TEXT]}"


_SHOW: Final[dict[ExplainStep, Callable[[Attributes, FlowText, bytes, Owner], Iterator[str]]]] = {
    ExplainStep.EXTRACTED: _extracted,
    ExplainStep.MASK_TRIED: _mask_tried,
    ExplainStep.HIT: _hit,
    ExplainStep.MISS: _miss,
    ExplainStep.ACTION: _action,
    ExplainStep.OUTPUT: _output,
    ExplainStep.UPCALL: _upcall,
    ExplainStep.RECIRCULATED: _recirculated,
    ExplainStep.DROPPED: _dropped,
    ExplainStep.DECIDED: _decided,
    ExplainStep.DEFERRED: _deferred,
    ExplainStep.ENDED: _ended,
}
