"""Rules of the actions that hold attributes: userspace, and those with actions inside.

Each has its own way to look at its attributes in the kernel, and these differ in what they let
pass: unknown numbers, duplicates, bytes left over (net/openvswitch/flow_netlink.c, lib/nlattr.c).
"""

from __future__ import annotations

import struct
from errno import ERANGE
from typing import Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.action_state import (
    Copied,
    State,
    attributes_of,
    check_size,
    invalid,
)
from ovsdp_cuse.switch.actions import CheckPktLen, Clone, DecTtl, Sample, Userspace
from ovsdp_cuse.wire.action_attributes import (
    USERSPACE,
    CheckPktLenAttr,
    DecTtlAttr,
    SampleAttr,
    UserspaceAttr,
)
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, pack_attribute

CLONE_FLAG_SIZE: Final = 8
SAMPLE_ARGUMENT_SIZE: Final = 12
LENGTH_ARGUMENT_SIZE: Final = 8
"""What the kernel puts before the inner actions: OVS_CLONE_ATTR_EXEC, OVS_SAMPLE_ATTR_ARG and
OVS_CHECK_PKT_LEN_ATTR_ARG, with their headers."""

_u32 = struct.Struct("=I")
_u16 = struct.Struct("=H")


PLACEHOLDER: Final = b""
"""`Userspace.actions` while the list that it stands in is being read, which has more bytes."""


def parse_userspace(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_USERSPACE; unknown attributes and what is left over are ignored."""
    attributes = USERSPACE.parse(payload)
    pid = attributes.get(UserspaceAttr.PID, 0)
    if not pid:
        raise invalid("userspace: a PID that is not 0 is needed", UserspaceAttr.PID)
    with_actions = UserspaceAttr.ACTIONS in attributes
    state.wants_list |= with_actions
    return Copied(
        Userspace(
            pid,
            attributes.get(UserspaceAttr.USERDATA),
            attributes.get(UserspaceAttr.EGRESS_TUN_PORT),
            PLACEHOLDER if with_actions else None,
        ),
        payload,
        NLA_HEADER_SIZE + len(payload),
    )


def parse_sample(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_SAMPLE: each attribute once, none that is unknown, nothing left over."""
    found: dict[int, bytes] = {}
    attributes, left = attributes_of(payload)
    for number, value in attributes:
        if number not in _SAMPLE_NUMBERS or number in found:
            raise invalid(f"sample: attribute {number} is unknown or there twice", number)
        found[number] = value
    if left:
        raise invalid("sample: the padding of the last attribute is wrong")
    probability = found.get(SampleAttr.PROBABILITY)
    if probability is None or len(probability) != 4:
        raise invalid("sample: a probability of 4 bytes is needed", SampleAttr.PROBABILITY)
    actions = _actions(found, SampleAttr.ACTIONS, "sample")
    inner = state.parse_inner(actions, SampleAttr.ACTIONS)
    return _checked(
        Copied(
            Sample(_u32.unpack(probability)[0], inner.actions),
            pack_attribute(SampleAttr.PROBABILITY, probability)
            + pack_attribute(SampleAttr.ACTIONS, inner.wire),
            NLA_HEADER_SIZE + SAMPLE_ARGUMENT_SIZE + inner.size,
        )
    )


def parse_clone(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_CLONE: its payload is the list."""
    if 0 < len(payload) < NLA_HEADER_SIZE:
        raise invalid(f"clone: {len(payload)} bytes are no action")
    inner = state.parse_inner(payload)
    return _checked(
        Copied(Clone(inner.actions), inner.wire, NLA_HEADER_SIZE + CLONE_FLAG_SIZE + inner.size)
    )


def parse_dec_ttl(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_DEC_TTL: each attribute once, unknown ones are ignored, nothing left over."""
    found: dict[int, bytes] = {}
    attributes, left = attributes_of(payload)
    for number, value in attributes:
        if number > DecTtlAttr.ACTION:
            continue
        if number == DecTtlAttr.UNSPEC or number in found:
            raise invalid(f"dec_ttl: attribute {number} is invalid or there twice", number)
        found[number] = value
    if left:
        raise invalid("dec_ttl: the padding of the last attribute is wrong")
    inner = state.parse_inner(_actions(found, DecTtlAttr.ACTION, "dec_ttl"), DecTtlAttr.ACTION)
    size = NLA_HEADER_SIZE + inner.size
    check_size(size)
    return _checked(
        Copied(
            DecTtl(inner.actions),
            pack_attribute(DecTtlAttr.ACTION, inner.wire),
            NLA_HEADER_SIZE + size,
        )
    )


def parse_check_pkt_len(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_CHECK_PKT_LEN: of duplicates the last counts; unknown attributes are refused.

    A value that is too short is ERANGE, as netlink's policies have it.
    """
    found: dict[int, bytes] = {}
    attributes, left = attributes_of(payload)
    for number, value in attributes:
        if number not in _LENGTH_NUMBERS:
            raise invalid(f"check_pkt_len: attribute {number} is unknown", number)
        minimum = 2 if number == CheckPktLenAttr.PKT_LEN else NLA_HEADER_SIZE
        if len(value) < minimum and (value or number == CheckPktLenAttr.PKT_LEN):
            raise DatapathError(
                ERANGE, f"check_pkt_len: {len(value)} bytes, {minimum} needed", (number,)
            )
        found[number] = value
    if left > 0:
        raise invalid("check_pkt_len: bytes are left over")
    length = _u16.unpack_from(found.get(CheckPktLenAttr.PKT_LEN, b"\0\0"))[0]
    if not length:
        raise invalid("check_pkt_len: a length that is not 0 is needed", CheckPktLenAttr.PKT_LEN)
    for number in (CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL, CheckPktLenAttr.ACTIONS_IF_GREATER):
        if number not in found:
            raise invalid("check_pkt_len: both lists of actions are needed", number)
    lists = []
    size = NLA_HEADER_SIZE + LENGTH_ARGUMENT_SIZE
    for number in (CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL, CheckPktLenAttr.ACTIONS_IF_GREATER):
        inner = state.parse_inner(found[number], number)
        check_size(NLA_HEADER_SIZE + inner.size)
        size += NLA_HEADER_SIZE + inner.size
        lists.append(inner)
    less_or_equal, greater = lists
    return _checked(
        Copied(
            CheckPktLen(length, greater.actions, less_or_equal.actions),
            pack_attribute(CheckPktLenAttr.PKT_LEN, _u16.pack(length))
            + pack_attribute(CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL, less_or_equal.wire)
            + pack_attribute(CheckPktLenAttr.ACTIONS_IF_GREATER, greater.wire),
            size,
        )
    )


_SAMPLE_NUMBERS: Final = {SampleAttr.PROBABILITY, SampleAttr.ACTIONS}
_LENGTH_NUMBERS: Final = set(CheckPktLenAttr) - {CheckPktLenAttr.UNSPEC}


def _actions(found: dict[int, bytes], number: int, name: str) -> bytes:
    actions = found.get(number)
    if actions is None or 0 < len(actions) < NLA_HEADER_SIZE:
        raise invalid(f"{name}: a list of actions is needed", number)
    return actions


def _checked(copied: Copied) -> Copied:
    check_size(copied.size)
    return copied
