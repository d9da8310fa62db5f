"""Documents as files: JSON for programs, and for people a line for each thing that is said.

name           br0
stats.hit      12
features       vport_pids, dispatch_upcall_per_cpu
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]


def as_json(document: Document | list[Document]) -> bytes:
    """A document for programs."""
    return (json.dumps(document, indent=2) + "\n").encode()


def as_text(document: Document) -> bytes:
    """A document for people."""
    pairs = list(_pairs("", document))
    width = max((len(name) for name, _value in pairs), default=0)
    return "".join(f"{name:{width}}  {value}".rstrip() + "\n" for name, value in pairs).encode()


def as_row(document: Document) -> bytes:
    """A document for people, on a line, for a file that has many."""
    return (" ".join(f"{name}={value}" for name, value in _pairs("", document)) + "\n").encode()


def family_as_text(family: Document) -> bytes:
    """The document of a family for people: what it is, and a table of each thing it has."""
    title = {name: family[name] for name in ("name", "id", "version", "header_size")}
    parts = [as_text(title).decode()]
    parts += _table(
        "multicast groups", [(number, name) for name, number in family["groups"].items()]
    )
    parts += _table(
        "commands",
        [
            (one["number"], one["name"], ", ".join(one["operations"]), one["attributes"])
            for one in family["commands"]
        ],
    )
    for name, attributes in family["attributes"].items():
        rows = []
        for one in attributes:
            limits = [f"{key} {one[key]}" for key in one if key.startswith(("minimum", "maximum"))]
            limits += [str(one["attributes"])] if "attributes" in one else []
            rows.append((one["number"], one["name"], one["type"], ", ".join(limits)))
        parts += _table(f"attributes {name}", rows)
    return "".join(parts).encode()


def _table(title: str, rows: Sequence[Sequence[object]]) -> Iterator[str]:
    if rows:
        yield f"\n{title}\n"
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        columns = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(columns)}".rstrip() + "\n"


async def json_array(documents: AsyncIterable[Document]) -> AsyncGenerator[bytes, None]:
    """A JSON array, one document on each line, as they come."""
    before = b"[\n"
    async for document in documents:
        yield before + json.dumps(document).encode()
        before = b",\n"
    yield b"\n]\n" if before != b"[\n" else b"[]\n"


def printable(text: str) -> str:
    """The text with what would steer a terminal, or is no character, escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _pairs(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _pairs(f"{prefix}.{name}" if prefix else str(name), inner)
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        for index, inner in enumerate(value):
            yield from _pairs(f"{prefix}.{index}", inner)
    else:
        yield prefix, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "-"
    return printable(str(value))
