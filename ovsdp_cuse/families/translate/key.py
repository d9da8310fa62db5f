"""Flow keys and masks: netlink form <-> the switch's integers.

Source of the rules: ovs_nla_get_match(), ovs_nla_get_flow_metadata() and __ovs_nla_put_key() in
net/openvswitch/flow_netlink.c of Linux 6.1. Every refusal is EINVAL.
"""

from __future__ import annotations

from typing import NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.attributes import (
    TAGS,
    KeyAttributes,
    exact_mask,
    parse_key_attributes,
    parse_mask_attributes,
)
from ovsdp_cuse.families.translate.build_key import build_key, build_mask, build_masked_key
from ovsdp_cuse.families.translate.fields import (
    exact_tunnel,
    key_fields,
    mask_fields,
    metadata_fields,
)
from ovsdp_cuse.families.translate.validate import check_key, check_mask
from ovsdp_cuse.wire.attributes import walk
from ovsdp_cuse.wire.flow import FlowAttr
from ovsdp_cuse.wire.key import KeyAttr

__all__ = [
    "Match",
    "build_key",
    "build_mask",
    "build_masked_key",
    "parse_exact_key",
    "parse_match",
    "parse_metadata",
]


class Match(NamedTuple):
    """What a flow matches: the key as it came, not masked, and the mask."""

    key: int
    mask: int


def parse_match(key: bytes, mask: bytes | None) -> Match:
    """The match of a flow, from OVS_FLOW_ATTR_KEY and OVS_FLOW_ATTR_MASK.

    Without a mask, all is matched that the key says. Raises DatapathError (EINVAL), whose path
    begins with FlowAttr.KEY or FlowAttr.MASK.
    """
    attributes, fields = _parse_key(key)
    of_mask = mask
    bits = 0
    if of_mask is None:
        of_mask = exact_mask(key)
        bits = exact_tunnel(fields)
    try:
        mask_attributes = parse_mask_attributes(of_mask, attributes)
        bits = mask_fields(mask_attributes, fields, bits)
        check_mask(fields, attributes.payloads, bits, mask_attributes.payloads)
    except DatapathError as error:
        where, data = (FlowAttr.KEY, key) if mask is None else (FlowAttr.MASK, mask)
        error.path = (where, *_locate(data, error.path))
        raise
    return Match(fields, bits)


def parse_exact_key(key: bytes) -> int:
    """The key that names a flow, from OVS_FLOW_ATTR_KEY; raises DatapathError (EINVAL)."""
    return _parse_key(key)[1]


def parse_metadata(key: bytes) -> int:
    """What OVS_PACKET_ATTR_KEY says beside the packet itself; raises DatapathError (EINVAL).

    in_port, recirc_id, priority, skb_mark, dp_hash, conntrack and tunnel, mac_proto, and the
    EtherType of a packet without Ethernet header. Paths of errors begin with a KeyAttr.
    """
    return metadata_fields(parse_key_attributes(key, unwrap=False))


def _parse_key(data: bytes) -> tuple[KeyAttributes, int]:
    try:
        attributes = parse_key_attributes(data)
        fields = key_fields(attributes)
        check_key(fields, attributes.payloads)
    except DatapathError as error:
        error.path = (FlowAttr.KEY, *_locate(data, error.path))
        raise
    return attributes, fields


def _locate(data: bytes, path: tuple[int, ...]) -> tuple[int, ...]:
    """The path to an attribute of a key, led through the tags that it is behind."""
    tags: tuple[int, ...] = ()
    for _tag in TAGS:
        payloads = {number: payload for _offset, number, payload in walk(data)}
        if not path or path[0] in payloads or KeyAttr.ENCAP not in payloads:
            break
        tags += (KeyAttr.ENCAP,)
        data = payloads[KeyAttr.ENCAP]
    return tags + path
