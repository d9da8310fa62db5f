"""What a flow matches, as people read it: key and mask in one, much as ovs-dpctl(8) spells it.

    in_port(1),eth(dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0,proto=6)

What the mask leaves open is left out, and a field's mask is shown only where it is not all ones.
What the mask asks for and the key has not is `none`, such as the EtherType of a frame without.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ovsdp_cuse.wire.attributes import AttributeSet, Nested
from ovsdp_cuse.wire.exact import Fields, Scalar
from ovsdp_cuse.wire.key import KEY_ATTRIBUTES
from ovsdp_cuse.wire.values import Flag, Value

NAMES: Final[dict[str, str]] = {"ETHERNET": "eth", "ETHERTYPE": "eth_type"}
"""Where the field's name is not the attribute's."""

LABEL_ONES: Final = 0xFFFFF
"""An IPv6 label has 20 bits, and so has its mask."""


def match_text(key: Mapping[int, Any], mask: Mapping[int, Any]) -> str:
    """The match of a flow, from its decoded OVS_FLOW_ATTR_KEY and OVS_FLOW_ATTR_MASK."""
    return ",".join(_attributes(KEY_ATTRIBUTES, key, mask))


def _attributes(
    attributes: AttributeSet, key: Mapping[int, Any], mask: Mapping[int, Any]
) -> Iterator[str]:
    for number, bits in mask.items():
        name = attributes.names.get(number, str(number))
        name = NAMES.get(name, name.lower())
        kind = attributes.table[number]
        if not _matters(kind, bits):
            continue
        if number not in key:
            yield f"{name}(none)"
        elif isinstance(kind, Flag):
            yield name
        else:
            yield f"{name}({','.join(_fields(kind, key[number], bits))})"


def _matters(kind: Value, bits: Any) -> bool:
    """Whether a mask does not leave all of an attribute open."""
    if isinstance(kind, Nested):
        table = kind.attributes.table
        return any(_matters(table[number], inner) for number, inner in bits.items())
    return isinstance(kind, Flag) or any(kind.encode(bits))


def _fields(kind: Value, value: Any, bits: Any) -> Iterator[str]:
    """The fields of one attribute that the mask does not leave open."""
    if isinstance(kind, Nested):
        yield from _attributes(kind.attributes, value, bits)
    elif isinstance(kind, Fields):
        pairs = zip(value, bits, strict=False) if kind.many else [(value, bits)]
        for one, mask in pairs:
            yield from _structure(kind, one, mask)
    else:
        is_exact = isinstance(kind, Scalar) and bits == _ones(kind.layout)
        yield kind.format(value) + ("" if is_exact else f"/{kind.format(bits)}")


def _structure(kind: Fields, value: Any, bits: Any) -> Iterator[str]:
    ones = kind.structure.parse(b"\xff" * kind.structure.size)
    if "label" in ones._fields:
        ones = ones._replace(label=LABEL_ONES)
    shown, masks = (
        kind.format((some,) if kind.many else some).strip("[{}]").split(", ")
        for some in (value, bits)
    )
    for text, mask_text, mask, all_ones in zip(shown, masks, bits, ones, strict=True):
        if any(mask) if isinstance(mask, bytes) else mask:
            yield text if mask == all_ones else f"{text}/{mask_text.partition('=')[2]}"


def _ones(layout: str) -> Any:
    return struct.unpack(layout, b"\xff" * struct.calcsize(layout))[0]
