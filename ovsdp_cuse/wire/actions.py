"""The construct of a list of actions: `ACTIONS`, the payload of OVS_FLOW_ATTR_ACTIONS.

Actions are a list: the order counts, and a number may stand in it many times. So the value is a
tuple of (number, value). What is no valid payload of its action stays bytes, as a handler wants to
say itself what is wrong with it, and a trace wants to show it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from ovsdp_cuse.errors import DatapathError, LayoutError
from ovsdp_cuse.wire.action_attributes import (
    ADD_MPLS,
    HASH,
    MAXIMUM_DEPTH,
    OVS_ACTION_ATTR_DROP,
    PUSH_ETH,
    PUSH_MPLS,
    PUSH_VLAN,
    USERSPACE,
    ActionAttr,
    CheckPktLenAttr,
    CtAttr,
    DecTtlAttr,
    NatAttr,
    SampleAttr,
)
from ovsdp_cuse.wire.attributes import (
    NLA_HEADER_SIZE,
    AttributeSet,
    Nested,
    pack_attribute,
    walk,
)
from ovsdp_cuse.wire.exact import Fields, Scalar
from ovsdp_cuse.wire.key import KEY_ATTRIBUTES
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.text.actions import actions_text
from ovsdp_cuse.wire.values import Binary, Flag, PolicyType, Value, u16, u32


class Masked(NamedTuple):
    """A value and its mask, as numbers or bytes."""

    value: Any
    mask: Any


class MaskedKey(Value):
    """One attribute of a key whose payload is a value and then a mask: (number, value, mask)."""

    def decode(self, payload: bytes, strict: bool) -> tuple[int, Any, Any]:
        for _offset, number, both in walk(payload):
            if number in KEY_ATTRIBUTES.table and not len(both) % 2:
                value = KEY_ATTRIBUTES.table[number]
                size = len(both) // 2
                return (
                    number,
                    value.decode(both[:size], strict),
                    value.decode(both[size:], strict),
                )
        raise LayoutError("no attribute of a key with a mask")

    def encode(self, obj: tuple[int, Any, Any]) -> bytes:
        number, value, mask = obj
        construct = KEY_ATTRIBUTES.table[number]
        return pack_attribute(number, construct.encode(value) + construct.encode(mask))


class ActionList(Value):
    """A list of actions, and lists inside it down to `depth` more.

    What is deeper stays bytes: the kernel refuses it, and nobody needs to follow a client there.
    """

    policy_type = PolicyType.NESTED

    def __init__(self, depth: int) -> None:
        super().__init__()
        inner: Value = ActionList(depth - 1) if depth else Binary()
        self.table: dict[int, Value] = {**_FLAT, **_nested(inner)}

    def decode(self, payload: bytes, strict: bool) -> tuple[tuple[int, Any], ...]:
        """(number, value) of each action; LayoutError where they do not fit the payload."""
        actions = []
        left = len(payload)
        for at, number, data in walk(payload):
            actions.append((number, self._decode_one(number, data, strict)))
            left = len(payload) - at - ((NLA_HEADER_SIZE + len(data) + 3) & ~3)
        if left > 0:
            raise LayoutError(f"{left} bytes are left over after the last action")
        return tuple(actions)

    def _decode_one(self, number: int, data: bytes, strict: bool) -> Any:
        value = self.table.get(number)
        if value is None:
            return data
        try:
            return value.decode(data, strict)
        except DatapathError:
            return data

    def encode(self, obj: Iterable[tuple[int, Any]]) -> bytes:
        """KeyError for an unknown action whose value is not bytes."""
        return b"".join(
            pack_attribute(
                number, value if isinstance(value, bytes) else self.table[number].encode(value)
            )
            for number, value in obj
        )

    def format(self, obj: Any) -> str:
        return actions_text(obj if isinstance(obj, bytes) else self.encode(obj))


_NAT: Final = AttributeSet(
    "OVS_NAT_ATTR",
    {
        NatAttr.SRC: Flag(),
        NatAttr.DST: Flag(),
        NatAttr.IP_MIN: Binary(),
        NatAttr.IP_MAX: Binary(),
        NatAttr.PROTO_MIN: u16(),
        NatAttr.PROTO_MAX: u16(),
        NatAttr.PERSISTENT: Flag(),
        NatAttr.PROTO_HASH: Flag(),
        NatAttr.PROTO_RANDOM: Flag(),
    },
)

_CT: Final = AttributeSet(
    "OVS_CT_ATTR",
    {
        CtAttr.COMMIT: Flag(),
        CtAttr.ZONE: u16(),
        CtAttr.MARK: Fields(FixedStruct("II", Masked)),
        CtAttr.LABELS: Fields(FixedStruct("16s16s", Masked)),
        CtAttr.HELPER: Binary(),
        CtAttr.NAT: Nested(_NAT),
        CtAttr.FORCE_COMMIT: Flag(),
        CtAttr.EVENTMASK: u32(hexadecimal=True),
        CtAttr.TIMEOUT: Binary(),
    },
)

_FLAT: Final[dict[int, Value]] = {
    ActionAttr.OUTPUT: Scalar("=I"),
    ActionAttr.USERSPACE: Nested(USERSPACE),
    ActionAttr.SET: Nested(KEY_ATTRIBUTES),
    ActionAttr.PUSH_VLAN: Fields(PUSH_VLAN),
    ActionAttr.POP_VLAN: Flag(),
    ActionAttr.RECIRC: Scalar("=I", hex),
    ActionAttr.HASH: Fields(HASH),
    ActionAttr.PUSH_MPLS: Fields(PUSH_MPLS),
    ActionAttr.POP_MPLS: Scalar("!H"),
    ActionAttr.SET_MASKED: MaskedKey(),
    ActionAttr.CT: Nested(_CT),
    ActionAttr.TRUNC: Scalar("=I"),
    ActionAttr.PUSH_ETH: Fields(PUSH_ETH),
    ActionAttr.POP_ETH: Flag(),
    ActionAttr.CT_CLEAR: Flag(),
    ActionAttr.PUSH_NSH: Nested(KEY_ATTRIBUTES),
    ActionAttr.POP_NSH: Flag(),
    ActionAttr.METER: Scalar("=I"),
    ActionAttr.ADD_MPLS: Fields(ADD_MPLS),
    OVS_ACTION_ATTR_DROP: Scalar("=I"),
}


def _nested(inner: Value) -> dict[int, Value]:
    """The actions that hold actions, which are lists of `inner`."""
    sample = AttributeSet(
        "OVS_SAMPLE_ATTR", {SampleAttr.PROBABILITY: u32(), SampleAttr.ACTIONS: inner}
    )
    check_pkt_len = AttributeSet(
        "OVS_CHECK_PKT_LEN_ATTR",
        {
            CheckPktLenAttr.PKT_LEN: u16(),
            CheckPktLenAttr.ACTIONS_IF_GREATER: inner,
            CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL: inner,
        },
    )
    return {
        ActionAttr.CLONE: inner,
        ActionAttr.SAMPLE: Nested(sample),
        ActionAttr.CHECK_PKT_LEN: Nested(check_pkt_len),
        ActionAttr.DEC_TTL: Nested(AttributeSet("OVS_DEC_TTL_ATTR", {DecTtlAttr.ACTION: inner})),
    }


ACTIONS: Final = ActionList(MAXIMUM_DEPTH)
"""The value of OVS_FLOW_ATTR_ACTIONS and OVS_PACKET_ATTR_ACTIONS."""
