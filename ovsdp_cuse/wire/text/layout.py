"""Attributes as they lie in a payload, and what is written of those that do not fit."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ovsdp_cuse.wire.attributes import NLA_TYPE_MASK

Policy = Mapping[int, tuple[int, int | None]]
"""Number -> the fewest and most bytes of its payload (None: any); others are ignored."""

_HEADER: Final = struct.Struct("=HH").unpack_from


def attributes_of(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """(number, payload) of each attribute that fits, and how many bytes they are."""
    found = []
    start, end = 0, len(data)
    while start + 4 <= end:
        length, number = _HEADER(data, start)
        stop = start + length
        if length < 4 or stop > end:
            break
        found.append((number & NLA_TYPE_MASK, data[start + 4 : stop]))
        start = (stop + 3) & ~3
    return found, min(start, end)


@lru_cache(maxsize=512)
def first_attributes(data: bytes) -> Mapping[int, bytes]:
    """Attributes by number; of duplicates the first counts."""
    found: dict[int, bytes] = {}
    for number, payload in attributes_of(data)[0]:
        found.setdefault(number, payload)
    return found


def spaced(payload: bytes) -> str:
    """Bytes in hexadecimal: 01 02 03."""
    return payload.hex(" ")


def bad_length(
    sizes: Mapping[int, int], number: int, payload: bytes, mask: bytes | None
) -> str | None:
    """What is written of an attribute whose key or mask has a wrong size; None where all is well.

    sizes: bytes by number; a negative one is no size. What is not in it may have any.
    """
    wanted = sizes.get(number, -1)
    bad_key = len(payload) != wanted
    bad_mask = mask is not None and len(mask) != wanted
    if wanted < 0 or not (bad_key or bad_mask):
        return None
    text = f"(bad key length {len(payload)}, expected {wanted})(" if bad_key else ""
    text += spaced(payload)
    if mask is not None:
        text += "/"
        if bad_mask:
            text += f"(bad mask length {len(mask)}, expected {wanted})("
        text += spaced(mask)
    return text + ")"


def leftover(data: bytes, used: int) -> str:
    """What is written of bytes after the last attribute that fits; "" where there are none."""
    rest = data[used:]
    if not rest:
        return ""
    empty = "" if used else "<empty>"
    return f"{empty},***{len(rest)} leftover bytes*** ({rest.hex()})"


def parse(payload: bytes, policy: Policy) -> dict[int, bytes] | None:
    """Attributes inside an action by number, of duplicates the last: all of them right, or None.

    None where one has a wrong size, or where bytes are left over.
    """
    found: dict[int, bytes] = {}
    attributes, used = attributes_of(payload)
    if used != len(payload):
        return None
    for number, inner in attributes:
        if number not in policy:
            continue
        fewest, most = policy[number]
        if len(inner) < fewest or (most is not None and len(inner) > most):
            return None
        found[number] = inner
    return found
