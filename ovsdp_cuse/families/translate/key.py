"""Flow keys and masks: netlink form <-> the switch's integers.

Source of the rules: ovs_nla_get_match(), ovs_nla_get_flow_metadata() and __ovs_nla_put_key() in
net/openvswitch/flow_netlink.c of Linux 6.1. Every refusal is EINVAL.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate import plans
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
from ovsdp_cuse.wire.key import KeyAttr

__all__ = [
    "Match",
    "PacketKey",
    "build_key",
    "build_mask",
    "build_masked_key",
    "parse_exact_key",
    "parse_match",
    "parse_metadata",
    "parse_packet_key",
]

_TUPLE_IPV4: Final = int(KeyAttr.CT_ORIG_TUPLE_IPV4)
_TUPLE_IPV6: Final = int(KeyAttr.CT_ORIG_TUPLE_IPV6)


class Match(NamedTuple):
    """What a flow matches: the key as it came, not masked, and the mask."""

    key: int
    mask: int


class PacketKey(NamedTuple):
    """What a client says of a packet.

    metadata: in_port, recirc_id, priority, skb_mark, dp_hash, conntrack and tunnel, mac_proto, and
    the EtherType of a packet without Ethernet header. has_ct_ipv4, has_ct_ipv6: whether it gave a
    conntrack tuple, which may only be of what the packet then turns out to be.
    """

    metadata: int
    has_ct_ipv4: bool
    has_ct_ipv6: bool


def parse_match(key: bytes, mask: bytes | None) -> Match:
    """The match of a flow, from OVS_FLOW_ATTR_KEY and OVS_FLOW_ATTR_MASK.

    Without a mask, all is matched that the key says. Raises DatapathError (EINVAL), whose path
    begins with FlowAttr.KEY or FlowAttr.MASK.
    """
    found = plans.find(key)
    if found is None:
        attributes, fields = _parse_key(key)
        plan = plans.learn(key, fields)
    else:
        fields, plan = found
        bits = plans.find_mask(plan, mask)
        if bits is not None:
            return Match(fields, bits)
        attributes = parse_key_attributes(key)
    bits = _parse_mask(mask, key, attributes, fields)
    if plan is not None:
        plans.learn_mask(plan, fields, attributes.payloads, mask, bits)
    return Match(fields, bits)


def parse_exact_key(key: bytes) -> int:
    """The key that names a flow, from OVS_FLOW_ATTR_KEY; raises DatapathError (EINVAL)."""
    found = plans.find(key)
    return _parse_key(key)[1] if found is None else found[0]


def parse_metadata(key: bytes) -> int:
    """The metadata in OVS_PACKET_ATTR_KEY alone: see `parse_packet_key`."""
    return parse_packet_key(key).metadata


def parse_packet_key(key: bytes) -> PacketKey:
    """What OVS_PACKET_ATTR_KEY says beside the packet itself; raises DatapathError (EINVAL).

    Paths of errors begin with a KeyAttr.
    """
    attributes = parse_key_attributes(key, unwrap=False)
    return PacketKey(
        metadata_fields(attributes),
        _TUPLE_IPV4 in attributes.payloads,
        _TUPLE_IPV6 in attributes.payloads,
    )


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


def _parse_mask(mask: bytes | None, key: bytes, key_attributes: KeyAttributes, fields: int) -> int:
    """The mask of a key, which was parsed into attributes and fields."""
    if mask is None:
        where, data, bits = FlowAttr.KEY, exact_mask(key), exact_tunnel(fields)
    else:
        where, data, bits = FlowAttr.MASK, mask, 0
    attributes = None
    try:
        attributes = parse_mask_attributes(data, key_attributes)
        bits = mask_fields(attributes, fields, bits)
        check_mask(fields, key_attributes.payloads, bits, attributes.payloads)
    except DatapathError as error:
        path = error.path if attributes is None else attributes.locate(data, error.path)
        error.path = (where, *path)
        raise
    return bits
