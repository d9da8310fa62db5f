"""Attributes as JSON documents.

Attributes have their names without the common prefix, or their number; structures are objects,
bytes are hexadecimal, and actions are the text that `flow-show` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.actions import ActionList
from ovsdp_cuse.wire.attributes import AttributeSet, Nested, NestedArray, Unparsed
from ovsdp_cuse.wire.values import Value

Document = dict[str, Any]


def attributes_document(attributes: AttributeSet, values: Mapping[int, Any]) -> Document:
    """Attributes by name."""
    return {
        attributes.names.get(number, str(number)): _value(attributes.table.get(number), value)
        for number, value in values.items()
    }


def _value(kind: Value | None, value: Any) -> Any:
    if isinstance(kind, Unparsed):
        try:
            return _value(kind.inner, kind.inner.decode(value, False))
        except DatapathError:
            return value.hex()
    if isinstance(kind, ActionList):
        return kind.format(value)
    if isinstance(kind, Nested):
        return attributes_document(kind.attributes, value)
    if isinstance(kind, NestedArray):
        return {str(index): _value(kind.element, element) for index, element in value.items()}
    if hasattr(value, "_asdict"):
        return {name: _value(None, field) for name, field in value._asdict().items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_value(None, element) for element in value]
    return value
