"""Actions: from their netlink form, with every rule of the kernel, and to what a dump shows.

Source of the rules, their order and their errors: ovs_nla_copy_actions() and ovs_nla_put_actions()
of net/openvswitch/flow_netlink.c, Linux 6.1. Differences: OVS_ACTION_ATTR_DROP, which Linux has
since 6.7, and OVS_HASH_ALG_SYM_L4, which Open vSwitch has, are accepted; what is not supported yet
is refused with EOPNOTSUPP where the kernel accepts it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from errno import EOVERFLOW
from typing import Final, NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate import nested_actions, set_actions, unsupported_actions
from ovsdp_cuse.families.translate.action_state import Copied, CopiedList, State, invalid
from ovsdp_cuse.families.translate.header_actions import RULES
from ovsdp_cuse.switch.actions import Action, Userspace
from ovsdp_cuse.wire.action_attributes import MAXIMUM_DEPTH, OVS_ACTION_ATTR_DROP, ActionAttr
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, NLA_TYPE_MASK, pack_attribute

_unpack_header = struct.Struct("=HH").unpack_from

NESTED_RULES: Final[dict[int, Callable[[State, bytes], Copied]]] = {
    ActionAttr.USERSPACE: nested_actions.parse_userspace,
    ActionAttr.SET: set_actions.parse_set,
    ActionAttr.SAMPLE: nested_actions.parse_sample,
    ActionAttr.SET_MASKED: set_actions.parse_set_masked,
    ActionAttr.CT: unsupported_actions.parse_ct,
    ActionAttr.CLONE: nested_actions.parse_clone,
    ActionAttr.CHECK_PKT_LEN: nested_actions.parse_check_pkt_len,
    ActionAttr.DEC_TTL: nested_actions.parse_dec_ttl,
}


class ParsedActions(NamedTuple):
    """Actions to run, and the payload of OVS_FLOW_ATTR_ACTIONS that a dump shows for them."""

    actions: tuple[Action, ...]
    wire: bytes


def parse_actions(data: bytes, key: int) -> ParsedActions:
    """The actions in the payload of OVS_FLOW_ATTR_ACTIONS or OVS_PACKET_ATTR_ACTIONS.

    key: the masked key of the flow, or the whole key of a packet: what is known of a packet that
    the actions will see.

    Raises DatapathError; its path starts with the number of an action. EINVAL: an action that is
    unknown, malformed, or not possible here. ERANGE: a policy is broken. EOVERFLOW: lists in lists
    are too deep. EMSGSIZE: nested actions are too large for the kernel's own form. EOPNOTSUPP: all
    is well, but something is not supported yet.
    """
    state = State(key, _parse_list)
    copied = _parse_list(data, state)
    if state.unsupported:
        raise state.unsupported[0]
    return ParsedActions(copied.actions, copied.wire)


def _parse_list(data: bytes, state: State) -> CopiedList:
    if state.depth > MAXIMUM_DEPTH:
        raise DatapathError(EOVERFLOW, f"actions are nested more than {MAXIMUM_DEPTH} deep")
    actions: list[Action] = []
    wire: list[bytes] = []
    size = 0
    start = 0
    end = len(data)
    while start + NLA_HEADER_SIZE <= end:
        length, flagged_number = _unpack_header(data, start)
        stop = start + length
        if length < NLA_HEADER_SIZE or stop > end:
            break
        number = flagged_number & NLA_TYPE_MASK
        payload = came = data[start + NLA_HEADER_SIZE : stop]
        try:
            rule = RULES.get(number)
            if rule is not None:
                wanted, parse = rule
                if wanted != length - NLA_HEADER_SIZE and wanted >= 0:
                    raise invalid(f"{len(payload)} bytes where there must be {wanted}")
                actions.append(parse(state, payload))
                if number == OVS_ACTION_ATTR_DROP and stop != end:
                    raise invalid("drop: it must be the last action of its list")
                size += (length + 3) & ~3
            else:
                nested_rule = NESTED_RULES.get(number)
                if nested_rule is None:
                    raise invalid(f"unknown action {number}")
                state.number = number
                action, payload, inner_size = nested_rule(state, payload)
                if action is not None:
                    actions.append(action)
                size += (inner_size + 3) & ~3
        except DatapathError as error:
            error.path = (number, *error.path)
            raise
        if payload is came and number == flagged_number and not length & 3:
            wire.append(data[start:stop])
        else:
            wire.append(pack_attribute(number, payload))
        start = (stop + 3) & ~3
    if start < end:
        raise invalid(f"{end - start} bytes are left over after the last action")
    dumped = b"".join(wire)
    if state.wants_list:
        actions = [
            replace(action, actions=dumped)
            if isinstance(action, Userspace) and action.actions == nested_actions.PLACEHOLDER
            else action
            for action in actions
        ]
    return CopiedList(tuple(actions), dumped, size)
