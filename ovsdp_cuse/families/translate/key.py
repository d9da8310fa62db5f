"""Flow keys and masks: netlink form <-> the switch's integers.

Source of the rules: ovs_nla_get_match(), ovs_nla_get_flow_metadata() and __ovs_nla_put_key() in
net/openvswitch/flow_netlink.c of Linux 6.1. Every refusal is EINVAL.
"""

from __future__ import annotations

from typing import NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.attributes import (
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
from ovsdp_cuse.wire.flow import FlowAttr

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
    if mask is None:
        bits = exact_tunnel(fields)
        return Match(fields, _parse_mask(exact_mask(key), attributes, fields, bits, FlowAttr.KEY))
    return Match(fields, _parse_mask(mask, attributes, fields, 0, FlowAttr.MASK))


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
    attributes = None
    try:
        attributes = parse_key_attributes(data)
        fields = key_fields(attributes)
        check_key(fields, attributes.payloads)
    except DatapathError as error:
        path = error.path if attributes is None else attributes.locate(data, error.path)
        error.path = (FlowAttr.KEY, *path)
        raise
    return attributes, fields


def _parse_mask(data: bytes, key: KeyAttributes, fields: int, bits: int, where: FlowAttr) -> int:
    """The mask of a key; `bits`: what to begin with, `where`: what errors are found in."""
    attributes = None
    try:
        attributes = parse_mask_attributes(data, key)
        mask = mask_fields(attributes, fields, bits)
        check_mask(fields, key.payloads, mask, attributes.payloads)
    except DatapathError as error:
        path = error.path if attributes is None else attributes.locate(data, error.path)
        error.path = (where, *path)
        raise
    return mask
