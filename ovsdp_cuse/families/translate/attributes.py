"""The attributes of a key or mask as bytes by number: tags unwrapped, nothing understood yet.

Source of the rules: __parse_flow_nlattrs() and parse_vlan_from_nlattrs() in
net/openvswitch/flow_netlink.c of Linux 6.1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from errno import EINVAL
from typing import Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.ethernet import VLAN_CFI, VLAN_TYPES
from ovsdp_cuse.switch.key import CVLAN_TCI, CVLAN_TPID, VLAN_TCI, VLAN_TPID, NumberField
from ovsdp_cuse.wire.attributes import pack_attribute, walk
from ovsdp_cuse.wire.exact import NESTED
from ovsdp_cuse.wire.key import KEY_ATTRIBUTES, KEY_SIZES, KeyAttr
from ovsdp_cuse.wire.nsh import NSH_SIZES
from ovsdp_cuse.wire.tunnel import TUNNEL_SIZES, VXLAN_SIZES, TunnelKeyAttr

# Plain integers: looking up a member of an enumeration costs more than what is done with it.
_ENCAP: Final = int(KeyAttr.ENCAP)
_ETHERNET: Final = int(KeyAttr.ETHERNET)
_ETHERTYPE: Final = int(KeyAttr.ETHERTYPE)
_VLAN: Final = int(KeyAttr.VLAN)

CT_SUPPORTED: Final = 0xFF
"""CT_SUPPORTED_MASK: the bits of OVS_KEY_ATTR_CT_STATE that there are."""

TAGS: Final = ((VLAN_TPID, VLAN_TCI, "VLAN"), (CVLAN_TPID, CVLAN_TCI, "C-VLAN"))
"""Where a key has its tags, the outer one first."""

_items = KEY_ATTRIBUTES.items


class KeyAttributes:
    """The attributes of one key or mask.

    payloads: what is there and not understood yet. tags: the fields of the VLAN tags, as a part
    of a key or mask. depth: how many tags there are. before: all that was ever there by number, the
    last of each; the kernel looks at those too, see `_mask_tag`.
    """

    __slots__ = ("before", "depth", "payloads", "tags")

    def __init__(self) -> None:
        self.payloads: dict[int, bytes] = {}
        self.before: dict[int, bytes] = {}
        self.tags = 0
        self.depth = 0

    def locate(self, data: bytes, path: tuple[int, ...]) -> tuple[int, ...]:
        """The path to one of these attributes in their `data`, led through the tags before it."""
        levels = [data]
        for _tag in range(self.depth):
            levels.append(dict(_pairs(levels[-1])).get(_ENCAP, b""))
        for depth in range(self.depth, 0, -1):
            if path and path[0] in dict(_pairs(levels[depth])):
                return (_ENCAP,) * depth + path
        return path


def parse_key_attributes(data: bytes, unwrap: bool = True) -> KeyAttributes:
    """The attributes of a key; raises DatapathError (EINVAL).

    unwrap: whether to look behind VLAN tags.
    """
    attributes = KeyAttributes()
    payloads = attributes.payloads
    _collect_key(data, payloads)
    if unwrap and _is_tagged(payloads):
        try:
            _unwrap_key(attributes)
        except DatapathError as error:
            error.path = (_ENCAP,) * attributes.depth + error.path
            raise
    return attributes


def parse_mask_attributes(data: bytes, key: KeyAttributes) -> KeyAttributes:
    """The attributes of a mask that have a bit set; raises DatapathError (EINVAL)."""
    attributes = KeyAttributes()
    payloads = attributes.payloads
    _collect_mask(data, payloads)
    attributes.tags = (
        VLAN_TCI.ones | CVLAN_TCI.ones
    )  # A tag, or that there is none, always matches.
    if _ENCAP in payloads:
        attributes.before = {**key.before, **key.payloads}
        try:
            _unwrap_mask(attributes, key)
        except DatapathError as error:
            error.path = (_ENCAP,) * attributes.depth + error.path
            raise
    return attributes


def exact_mask(data: bytes) -> bytes:
    """The mask that matches all that a key says: its attributes, with all bits set.

    The key must have been parsed: what is nested too deep for a key is not looked at.
    """
    return _with_ones(data, _NESTED)


def _collect_key(data: bytes, payloads: dict[int, bytes]) -> None:
    for number, payload in _items(data):
        if number in payloads:
            raise KEY_ATTRIBUTES.duplicate(number)
        payloads[number] = payload


def _collect_mask(data: bytes, payloads: dict[int, bytes]) -> None:
    for number, payload in _items(data):
        if number in payloads:
            raise KEY_ATTRIBUTES.duplicate(number)
        if payload.strip(b"\0"):
            payloads[number] = payload


def _unwrap_key(attributes: KeyAttributes) -> None:
    payloads = attributes.payloads
    for tpid, tci, name in TAGS:
        if not _is_tagged(payloads):
            break
        tag = _key_tag(payloads, name)
        attributes.tags |= tpid.place(int.from_bytes(payloads[_ETHERTYPE], "big"))
        attributes.tags |= tci.place(tag)
        _collect_key(_unwrap(attributes), payloads)
        if not tag & VLAN_CFI:
            break


def _unwrap_mask(attributes: KeyAttributes, key: KeyAttributes) -> None:
    payloads = attributes.payloads
    for tpid, tci, name in TAGS:
        if _ENCAP not in payloads:
            break
        _check_tagged(key, tci, name)
        tag = _mask_tag(payloads, attributes.before, name)
        attributes.tags = tci.replace(attributes.tags | tpid.ones, tag)
        _collect_mask(_unwrap(attributes), payloads)


def _is_tagged(payloads: dict[int, bytes]) -> bool:
    return (
        _ETHERTYPE in payloads
        and _ETHERNET in payloads
        and int.from_bytes(payloads[_ETHERTYPE], "big") in VLAN_TYPES
    )


def _unwrap(attributes: KeyAttributes) -> bytes:
    """Take the attributes of a tag away; what it held in ENCAP."""
    payloads = attributes.payloads
    attributes.before.update(payloads)
    attributes.depth += 1
    for number in (_ETHERTYPE, _VLAN):
        payloads.pop(number, None)
    return payloads.pop(_ENCAP)


def _key_tag(payloads: dict[int, bytes], name: str) -> int:
    """The TCI of a tag; 0 for one that is cut off (validate_vlan_from_nlattrs)."""
    for number in (_VLAN, _ENCAP):
        if number not in payloads:
            raise DatapathError(
                EINVAL,
                f"the {name} tag has no {KEY_ATTRIBUTES.name_of(number)}",
                (_ETHERTYPE,),
            )
    tci = int.from_bytes(payloads[_VLAN], "big")
    if not tci & VLAN_CFI:
        if tci:
            raise DatapathError(
                EINVAL, f"the {name} TCI {tci:#06x} has not the bit {VLAN_CFI:#x}", (_VLAN,)
            )
        if payloads[_ENCAP]:
            raise DatapathError(
                EINVAL, f"a {name} tag that is cut off has nothing behind it", (_ENCAP,)
            )
    return tci


def _check_tagged(key: KeyAttributes, tci: NumberField, name: str) -> None:
    if not tci.get(key.tags) & VLAN_CFI:
        raise DatapathError(
            EINVAL, f"a mask of what is behind a {name} tag, without one", (_ENCAP,)
        )


def _mask_tag(payloads: dict[int, bytes], before: dict[int, bytes], name: str) -> int:
    """The TCI's mask (validate_vlan_mask_from_nlattrs).

    Where the mask has no TCI or no type (or zeros for it), the kernel takes what it saw last: that
    of the outer tag's mask, or of the key.
    """
    tpid = payloads.get(_ETHERTYPE, before.get(_ETHERTYPE, b""))
    tci = int.from_bytes(payloads.get(_VLAN, before.get(_VLAN, b"")), "big")
    if tpid != b"\xff\xff":
        raise DatapathError(EINVAL, f"the {name} TPID must be matched exactly", (_ETHERTYPE,))
    if not tci & VLAN_CFI:
        raise DatapathError(
            EINVAL, f"the mask {tci:#06x} of the {name} TCI has not the bit {VLAN_CFI:#x}", (_VLAN,)
        )
    return tci


def _pairs(data: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, payload) for _offset, number, payload in walk(data))


class _Sizes:
    """Which attributes are nested, and what is in them; where a set does not say, itself."""

    def __init__(self, sizes: dict[int, int], inner: dict[int, _Sizes]) -> None:
        self.nested = {
            number: inner.get(number, self) for number, size in sizes.items() if size == NESTED
        }


_NESTED: Final = _Sizes(
    dict(KEY_SIZES),
    {
        KeyAttr.TUNNEL: _Sizes(
            dict(TUNNEL_SIZES), {TunnelKeyAttr.VXLAN_OPTS: _Sizes(dict(VXLAN_SIZES), {})}
        ),
        KeyAttr.NSH: _Sizes(dict(NSH_SIZES), {}),
    },
)


def _with_ones(data: bytes, sizes: _Sizes) -> bytes:
    built = b""
    for _offset, number, payload in walk(data):
        inner = sizes.nested.get(number)
        if inner is not None:
            ones = _with_ones(payload, inner)
        elif number == KeyAttr.CT_STATE and sizes is _NESTED:
            ones = CT_SUPPORTED.to_bytes(4, sys.byteorder)
        else:
            ones = b"\xff" * len(payload)
        built += pack_attribute(number, ones)
    return built
