"""Attributes as a tree of lines, for who wants to see each of them by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.attributes import AttributeSet, Nested, NestedArray, Unparsed
from ovsdp_cuse.wire.values import Structure, Value

INDENT = "    "


def attribute_tree(
    attributes: AttributeSet, values: Mapping[int, Any], depth: int = 1
) -> Iterator[str]:
    """A line for each attribute, `NAME: value`; what holds attributes has theirs below it.

    depth: how far the first lines are indented.
    """
    for number, value in values.items():
        name = str(attributes.names.get(number, number))
        yield from _lines(name, attributes.table.get(number), value, depth)


def _lines(name: str, kind: Value | None, value: Any, depth: int) -> Iterator[str]:
    if isinstance(kind, Unparsed):
        try:
            kind, value = kind.inner, kind.inner.decode(value, False)
        except DatapathError:
            yield f"{INDENT * depth}{name}: {kind.format(value)}"
            return
    if isinstance(kind, Nested) and value:
        yield f"{INDENT * depth}{name}:"
        yield from attribute_tree(kind.attributes, value, depth + 1)
    elif isinstance(kind, NestedArray) and value:
        yield f"{INDENT * depth}{name}:"
        for index, element in value.items():
            yield from _lines(f"[{index}]", kind.element, element, depth + 1)
    elif isinstance(kind, Structure) and hasattr(value, "_asdict"):
        yield f"{INDENT * depth}{name}:"
        for field, content in value._asdict().items():
            yield f"{INDENT * (depth + 1)}{field}: {content}"
    else:
        yield f"{INDENT * depth}{name}: {kind.format(value) if kind is not None else value}"
