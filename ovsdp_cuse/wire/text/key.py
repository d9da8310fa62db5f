"""Keys and masks: `in_port(1),eth(dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(proto=6)`.

What the mask does not look at is left out, unless all is asked for (`verbose`); a mask is written
behind a value where it looks at some of the bits only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.text.fields import IPV6_LABEL_BITS, Writer
from ovsdp_cuse.wire.text.formats import TCP_FLAG_BITS, unknown
from ovsdp_cuse.wire.text.kinds import KINDS, NESTED, NO_CONSTANT, SIZES, Kind
from ovsdp_cuse.wire.text.layout import (
    attributes_of,
    bad_length,
    first_attributes,
    leftover,
)
from ovsdp_cuse.wire.text.numbers import big, native, port_text

DEEPEST: Final = 3
"""Keys in keys that are followed: a frame has two tags at most."""

OPEN_ETHERNET: Final = "eth()"
"""Tells that a frame has an Ethernet header at all, which no mask can; no comma follows it."""

# Plain integers: looking up a member of an enumeration costs more than many an attribute's text.
_ENCAP: Final = int(KeyAttr.ENCAP)
_IN_PORT: Final = int(KeyAttr.IN_PORT)
_ETHERTYPE: Final = int(KeyAttr.ETHERTYPE)
_PACKET_TYPE: Final = int(KeyAttr.PACKET_TYPE)


def key_text(
    key: bytes,
    mask: bytes | None = None,
    port_names: Mapping[int, str] | None = None,
    verbose: bool = True,
) -> str:
    """A key as `ovs-dpctl dump-flows` writes it, from the payload of OVS_FLOW_ATTR_KEY.

    mask: the payload of OVS_FLOW_ATTR_MASK; all bits are looked at where it is None or empty.
    port_names: by number; without them ports are numbers. verbose: write fields that the mask does
    not look at, too, as `-m` does.
    """
    return _key_text(key, mask, port_names, verbose, 0)


def _key_text(
    key: bytes,
    mask: bytes | None,
    port_names: Mapping[int, str] | None,
    verbose: bool,
    depth: int,
) -> str:
    if not key:
        return "<empty>"
    attributes, used = attributes_of(key)
    masks = first_attributes(mask) if mask else None
    text = separator = ""
    tells_type = False
    for number, payload in attributes:
        bits = masks.get(number) if masks is not None else None
        if number == _ENCAP and depth < DEEPEST:
            inner = _key_text(payload, bits or None, None, verbose, depth + 1) if payload else ""
            piece: str | None = f"encap({inner})"
        elif number == _IN_PORT and port_names and len(payload) == 4:
            piece = _in_port(payload, bits, masks is not None, verbose, port_names)
        else:
            piece = _attribute(number, payload, bits, masks is not None, verbose)
        if number == _PACKET_TYPE:
            tells_type = piece is not None
        if piece is None or (piece == OPEN_ETHERNET and tells_type):
            continue
        if piece.startswith("("):
            text += piece
            continue
        text += separator + piece
        if piece != OPEN_ETHERNET or verbose:
            separator = ","
    text += leftover(key, used)
    # Frames without an EtherType: a mask asks for that where the key has none.
    if masks is None or _ETHERTYPE not in masks or any(n == _ETHERTYPE for n, _ in attributes):
        return text
    return f"{text},eth_type(0/0x{masks[_ETHERTYPE].hex()})"


def attribute_text(number: int, payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """One attribute of a key alone, as actions set it; ports are numbers."""
    if number == KeyAttr.ENCAP:
        inner = _key_text(payload, mask or None, None, verbose, 1) if payload else ""
        return f"encap({inner})"
    wrong = bad_length(SIZES, number, payload, mask)
    return _write(number, mask, verbose)(payload) if wrong is None else wrong


@lru_cache(maxsize=4096)
def _attribute(
    number: int, payload: bytes, mask: bytes | None, is_masked: bool, verbose: bool
) -> str | None:
    """One attribute; None where it is left out. is_masked: whether there is a mask at all."""
    wrong = bad_length(SIZES, number, payload, mask)
    if wrong is not None:
        return wrong
    is_open = is_masked and (mask is None or _is_constant(number, mask, 0))
    if is_open and not verbose and number not in NESTED:
        return OPEN_ETHERNET if number == KeyAttr.ETHERNET else None
    if is_masked and mask is None:
        mask = b"" if number in NESTED else bytes(len(payload))
    return _write(number, mask, verbose)(payload)


def _in_port(
    payload: bytes,
    mask: bytes | None,
    is_masked: bool,
    verbose: bool,
    port_names: Mapping[int, str],
) -> str | None:
    """in_port(NAME); a mask that looks at some of the bits takes the number."""
    if not is_masked or mask == b"\xff\xff\xff\xff":
        return f"in_port({port_text(port_names)(native(payload))})"
    return _attribute(KeyAttr.IN_PORT, payload, mask, is_masked, verbose)


@lru_cache(maxsize=4096)
def _write(number: int, mask: bytes | None, verbose: bool) -> Writer:
    """How an attribute is written under a mask, its name and parentheses included."""
    kind = KINDS.get(number) or Kind(f"key{number}", unknown)
    exact = mask is None or _is_constant(number, mask, 0xFF)
    inner = kind.compile(mask, exact, verbose)
    head = f"{kind.name}("

    def write(payload: bytes) -> str:
        text = inner(payload)
        # What is wrong with a label stack is told in parentheses that nobody closes.
        return head + text if text.startswith("(") else f"{head}{text})"

    return write


def _is_constant(number: int, mask: bytes, byte: int) -> bool:
    """Whether a mask looks at all bits (0xFF) or at none (0)."""
    if number in NO_CONSTANT or number not in KINDS:
        return False
    if number == KeyAttr.IPV6:
        # A label has 20 bits, whatever a mask says of the others.
        label = big(mask[32:36]) & IPV6_LABEL_BITS
        rest = mask[:32] + mask[36:]
        return bool(label == (IPV6_LABEL_BITS if byte else 0) and rest == bytes([byte]) * len(rest))
    if number == KeyAttr.TCP_FLAGS:
        flags = big(mask) & TCP_FLAG_BITS
        return bool(flags == (TCP_FLAG_BITS if byte else 0))
    counted = mask[: KINDS[number].meaningful]
    return counted == bytes([byte]) * len(counted)
