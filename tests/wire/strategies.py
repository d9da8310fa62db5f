"""Hypothesis strategies, read off the schemas: a value for each kind, attributes for each set."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from ovsdp_cuse.wire.actions import ActionList, MaskedKey
from ovsdp_cuse.wire.attributes import Attributes, AttributeSet, Nested, NestedArray, Unparsed
from ovsdp_cuse.wire.ct_limit import ZoneLimit, ZoneLimits
from ovsdp_cuse.wire.exact import Fields, Scalar
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.key import KEY_ATTRIBUTES
from ovsdp_cuse.wire.values import (
    Binary,
    Flag,
    Integer,
    IntegerArray,
    String,
    Structure,
    Value,
)

U16 = st.integers(0, 2**16 - 1)
U32 = st.integers(0, 2**32 - 1)
S32 = st.integers(-(2**31), 2**31 - 1)


def values(value: Value) -> st.SearchStrategy[Any]:
    """Everything that a kind of attribute may hold."""
    match value:
        case Integer(bounds=(lowest, highest)):
            return st.integers(lowest, highest)
        case String(maximum=maximum):
            # Names are bytes: what is no UTF-8 is a surrogate in Python, as in os.fsdecode().
            names = st.binary(max_size=maximum).map(lambda name: name.replace(b"\0", b"x"))
            return names.map(lambda name: name.decode("utf-8", "surrogateescape"))
        case Binary(minimum=minimum, maximum=maximum):
            return st.binary(min_size=minimum, max_size=min(maximum or 64, 64))
        case Flag():
            return st.just(True)
        case IntegerArray():
            return st.lists(U32, min_size=1, max_size=8).map(tuple)
        case Structure():
            size = len(value.encode(value.decode(bytes(4096), False)))
            return st.binary(min_size=size, max_size=size).map(lambda b: value.decode(b, False))
        case Unparsed(inner=inner):
            any_bytes = st.binary(max_size=64).filter(lambda payload: len(payload) not in (1, 2, 3))
            return any_bytes | values(inner).map(inner.encode)
        case Nested(attributes=inner):
            return attributes(inner)
        case NestedArray(element=element):
            return st.dictionaries(st.integers(0, 2**14 - 1), values(element), max_size=4)
        case ZoneLimits():
            return st.lists(st.builds(ZoneLimit, S32, U32, U32), max_size=4).map(tuple)
        case Scalar(layout=layout):
            size = struct.calcsize(layout)
            return st.binary(min_size=size, max_size=size).map(lambda b: value.decode(b, False))
        case Fields(structure=structure, many=many):
            size = structure.size
            one = st.binary(min_size=size, max_size=size).map(structure.parse)
            return st.lists(one, max_size=3).map(tuple) if many else one
        case ActionList():
            return actions(value)
        case MaskedKey():
            return masked_keys()
    raise AssertionError(f"no strategy for {value!r}")


@st.composite
def actions(draw: st.DrawFn, of: ActionList) -> tuple[tuple[int, Any], ...]:
    """Any list of actions; those in it are drawn when it is their turn, for they are deep."""
    numbers = draw(st.lists(st.sampled_from(sorted(of.table)), max_size=3))
    return tuple((number, draw(values(of.table[number]))) for number in numbers)


def masked_keys() -> st.SearchStrategy[Any]:
    """The number of a key's attribute that is a field, a value and a mask."""
    fields = [
        st.tuples(st.just(number), values(kind), values(kind))
        for number, kind in KEY_ATTRIBUTES.table.items()
        if isinstance(kind, Scalar) or (isinstance(kind, Fields) and not kind.many)
    ]
    return st.one_of(fields)


def attributes(attribute_set: AttributeSet) -> st.SearchStrategy[Attributes]:
    """Any of a set's attributes, each at most once, in any order."""
    pairs = [st.tuples(st.just(n), values(v)) for n, v in attribute_set.table.items()]
    if not pairs:
        return st.just({})
    return st.lists(st.one_of(pairs), unique_by=lambda pair: pair[0]).map(dict)


@st.composite
def messages(draw: st.DrawFn, schema: FamilySchema) -> Message:
    """Any message of a family."""
    command = draw(st.sampled_from([int(command) for command in schema.commands]))
    return Message(
        type=draw(U16),
        command=command,
        attributes=draw(attributes(schema.attributes_of(command))),
        dp_ifindex=draw(S32) if schema.header_size else 0,
        flags=draw(U16),
        sequence=draw(U32),
        pid=draw(U32),
        version=draw(st.integers(0, 255)),
    )
