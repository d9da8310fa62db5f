"""Keys and masks of a form that was parsed before, parsed at once.

A client puts one flow after the other whose keys have the same attributes in the same order. Few
bits of such a key decide whether the rules take it: the headers of its attributes and `DECIDING`.
The rest are addresses, ports and the like, which go where they went in the key before. So a key
whose deciding bits are those of one that was taken is taken, and becomes a switch key when its
bytes are put into another order (layout.py), at a fifth of the cost of looking at each attribute.

Keys with tags, tunnels, labels or service headers have no plans, nor have those that are long.
Masks may have a tunnel, for ovs-vswitchd's always do; it must be the same to the bit.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Set
from typing import Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.layout import (
    IMAGE_SIZE,
    NOTHING,
    PARTS,
    TABLE_SIZE,
    byte_pairs,
    fields_of,
)
from ovsdp_cuse.families.translate.overlap import overlaps
from ovsdp_cuse.families.translate.validate import check_mask
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, walk
from ovsdp_cuse.wire.key import KeyAttr

PLANS_MAXIMUM: Final = 16
"""Plans of one length of key, and of masks of one length for one of them; there are few forms."""

_STATE: Final = 0xFFFFFF00.to_bytes(4, sys.byteorder)

DECIDING: Final[dict[int, bytes]] = {
    KeyAttr.ETHERTYPE: b"\xff\xff",
    KeyAttr.IN_PORT: 0xFFFF0000.to_bytes(4, sys.byteorder),
    KeyAttr.CT_STATE: _STATE,
    KeyAttr.IPV4: bytes(8) + b"\xff\0\0\xff",  # the protocol, and which fragment
    KeyAttr.IPV6: bytes(32) + b"\xff\xf0\0\0" + b"\xff\0\0\xff",  # and what is above the label
    KeyAttr.ARP: bytes(8) + b"\xff",  # the upper half of the operation
    KeyAttr.ICMPV6: b"\xff",  # the type
}
"""The bits of a key's payloads that a rule looks at, beside a port that no port has."""

DECIDING_OF_MASK: Final[dict[int, bytes]] = {
    KeyAttr.ETHERTYPE: b"\xff\xff",
    KeyAttr.IN_PORT: b"\xff\xff\xff\xff",
    KeyAttr.CT_STATE: _STATE,
    KeyAttr.IPV4: bytes(8) + b"\xff",
    KeyAttr.IPV6: bytes(36) + b"\xff",
    KeyAttr.ICMPV6: b"\xff",
}
"""The same for a mask. A type and a port are matched whole, whatever bits of them are set."""

_SIMPLE: Final = PARTS.keys() - {KeyAttr.MPLS}
_SIMPLE_OF_MASK: Final = _SIMPLE | {KeyAttr.TUNNEL}
_WHOLE: Final = frozenset({KeyAttr.ETHERTYPE, KeyAttr.IN_PORT})
_NO_PORT: Final = k.IN_PORT.ones


class Plan:
    """How the keys, or the masks, of one form are parsed.

    masks: of a key's plan, the plans of its masks, by their length. exact: likewise, the mask that
    is meant by none; None where that is not known.
    """

    __slots__ = ("_always", "_deciding", "_order", "_wanted", "exact", "masks")

    def __init__(
        self, data: bytes, parsed: int, deciding: dict[int, bytes], whole: frozenset[int]
    ) -> None:
        bits = bytearray(len(data))
        order = bytearray([NOTHING]) * IMAGE_SIZE
        moved = 0
        for offset, number, payload in walk(data):
            start = offset + NLA_HEADER_SIZE
            bits[offset:start] = b"\xff" * NLA_HEADER_SIZE
            decides = deciding.get(number, b"") if number in PARTS else b"\xff" * len(payload)
            bits[start : start + len(decides)] = decides
            if number in PARTS and number not in whole:
                moved |= fields_of(PARTS[number])
                for outside, inside in byte_pairs(PARTS[number]):
                    order[inside] = start + outside
        self._order = bytes(order).rstrip(bytes([NOTHING]))
        self._always = parsed & ~moved
        self._deciding = int.from_bytes(bits, "little")
        self._wanted = int.from_bytes(data, "little") & self._deciding
        self.masks: dict[int, list[Plan]] = {}
        self.exact: int | None = None

    def parse(self, data: bytes) -> int | None:
        """The key or mask; None for one that has another form. Its length is that of the plan's."""
        if int.from_bytes(data, "little") & self._deciding != self._wanted:
            return None
        ordered = self._order.translate(data.ljust(TABLE_SIZE, b"\0"))
        return int.from_bytes(ordered, "little") | self._always


_plans: Final[dict[int, list[Plan]]] = {}
"""Plans of keys by their length."""


def find(key: bytes) -> tuple[int, Plan] | None:
    """The switch key of a key that has a plan, and the plan; None where there is none."""
    for plan in _plans.get(len(key), ()):
        parsed = plan.parse(key)
        if parsed is not None and parsed & _NO_PORT != _NO_PORT:
            return parsed, plan
    return None


def find_mask(plan: Plan, mask: bytes | None) -> int | None:
    """The mask of a key that has a plan; None where the mask has none."""
    if mask is None:
        return plan.exact
    for mask_plan in plan.masks.get(len(mask), ()):
        parsed = mask_plan.parse(mask)
        if parsed is not None:
            return parsed
    return None


def learn(key: bytes, parsed: int) -> Plan | None:
    """Make a plan of a key that was taken; None where there is to be none."""
    same_length = _plans.setdefault(len(key), [])
    numbers = _numbers(key, _SIMPLE)
    if len(same_length) >= PLANS_MAXIMUM or numbers is None or KeyAttr.IN_PORT not in numbers:
        return None
    plan = Plan(key, parsed, DECIDING, frozenset())
    same_length.append(plan)
    return plan


def learn_mask(
    plan: Plan, key: int, key_there: Collection[int], mask: bytes | None, parsed: int
) -> None:
    """Make a plan of a mask that was taken with the key of a plan.

    key_there: the attributes of the key. An exact mask is the same for all keys of a plan.
    """
    if mask is None:
        plan.exact = parsed
        return
    same_length = plan.masks.setdefault(len(mask), [])
    numbers = _numbers(mask, _SIMPLE_OF_MASK)
    if len(same_length) >= PLANS_MAXIMUM or numbers is None:
        return
    try:
        # Attributes of zeros are no part of a mask, so they may stand where others must not.
        check_mask(key, key_there, parsed, numbers & _SIMPLE)
    except DatapathError:
        return
    same_length.append(Plan(mask, parsed, DECIDING_OF_MASK, _WHOLE))


def _numbers(data: bytes, planned: Set[int]) -> set[int] | None:
    """The attributes of a key or mask that may have a plan, all of them `planned`; None for
    another."""
    listed = [number for _offset, number, _payload in walk(data)]
    numbers = set(listed)
    simple = len(data) < NOTHING and len(numbers) == len(listed) and numbers <= planned
    return numbers if simple and not overlaps(numbers) else None
