"""The construct of a list of actions: `ACTIONS`, the payload of OVS_FLOW_ATTR_ACTIONS.

Actions are a list: the order counts, and a number may stand in it many times. So the value is a
tuple of (number, value). What is no valid payload of its action stays bytes, as a handler wants to
say itself what is wrong with it, and a trace wants to show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final, NamedTuple

from ovsdp_cuse.errors import DatapathError, LayoutError
from ovsdp_cuse.wire import action_text as text
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
from ovsdp_cuse.wire.values import Binary, Flag, PolicyType, Value, u16, u32


class Masked(NamedTuple):
    """A value and its mask, as numbers or bytes."""

    value: Any
    mask: Any


class Shown(Value):
    """A value, and how its action is written."""

    def __init__(self, inner: Value, show: Callable[[Any], str]) -> None:
        super().__init__()
        self.inner = inner
        self._show = show

    def decode(self, payload: bytes, strict: bool) -> Any:
        return self.inner.decode(payload, strict)

    def encode(self, obj: Any) -> bytes:
        return self.inner.encode(obj)

    def format(self, obj: Any) -> str:
        return self._show(obj)


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
        if isinstance(obj, bytes):
            return obj.hex()
        # The kernel's way to drop a packet is to do nothing with it.
        return ",".join(self._format_one(*action) for action in obj) or "drop"

    def _format_one(self, number: int, value: Any) -> str:
        if number not in self.table or isinstance(value, bytes):
            return f"action{number}({value.hex()})"
        return self.table[number].format(value)


def _named(name: str, inner: Value) -> Shown:
    return Shown(inner, lambda obj: f"{name}({inner.format(obj)})")


def _only(name: str) -> Shown:
    return Shown(Flag(), lambda _obj: name)


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
    ActionAttr.USERSPACE: Shown(Nested(USERSPACE), text.userspace),
    ActionAttr.SET: Shown(Nested(KEY_ATTRIBUTES), text.set_key),
    ActionAttr.PUSH_VLAN: Shown(Fields(PUSH_VLAN), text.push_vlan),
    ActionAttr.POP_VLAN: _only("pop_vlan"),
    ActionAttr.RECIRC: _named("recirc", Scalar("=I", hex)),
    ActionAttr.HASH: Shown(Fields(HASH), text.hash_),
    ActionAttr.PUSH_MPLS: Shown(Fields(PUSH_MPLS), text.push_mpls),
    ActionAttr.POP_MPLS: Shown(Scalar("!H"), "pop_mpls(eth_type={:#x})".format),
    ActionAttr.SET_MASKED: Shown(MaskedKey(), text.set_masked),
    ActionAttr.CT: Shown(Nested(_CT), text.ct),
    ActionAttr.TRUNC: _named("trunc", Scalar("=I")),
    ActionAttr.PUSH_ETH: Shown(Fields(PUSH_ETH), text.push_eth),
    ActionAttr.POP_ETH: _only("pop_eth"),
    ActionAttr.CT_CLEAR: _only("ct_clear"),
    ActionAttr.PUSH_NSH: _named("push_nsh", Nested(KEY_ATTRIBUTES)),
    ActionAttr.POP_NSH: _only("pop_nsh"),
    ActionAttr.METER: _named("meter", Scalar("=I")),
    ActionAttr.ADD_MPLS: Shown(Fields(ADD_MPLS), text.add_mpls),
    OVS_ACTION_ATTR_DROP: _named("drop", Scalar("=I")),
}


def _nested(inner: Value) -> dict[int, Value]:
    """The actions that hold actions, which are lists of `inner`."""

    def sample(obj: Any) -> str:
        probability = 100 * obj.get(SampleAttr.PROBABILITY, 0) / 0xFFFFFFFF
        return f"sample(sample={probability:.1f}%,actions({show(obj, SampleAttr.ACTIONS)}))"

    def check_pkt_len(obj: Any) -> str:
        return (
            f"check_pkt_len(size={obj.get(CheckPktLenAttr.PKT_LEN)}"
            f",gt({show(obj, CheckPktLenAttr.ACTIONS_IF_GREATER)})"
            f",le({show(obj, CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL)}))"
        )

    def dec_ttl(obj: Any) -> str:
        return f"dec_ttl(le_1({show(obj, DecTtlAttr.ACTION)}))"

    def show(obj: Any, number: IntEnum) -> str:
        return inner.format(obj[number]) if number in obj else ""

    return {
        ActionAttr.CLONE: _named("clone", inner),
        ActionAttr.SAMPLE: Shown(
            Nested(
                AttributeSet(
                    "OVS_SAMPLE_ATTR",
                    {SampleAttr.PROBABILITY: u32(), SampleAttr.ACTIONS: inner},
                )
            ),
            sample,
        ),
        ActionAttr.CHECK_PKT_LEN: Shown(
            Nested(
                AttributeSet(
                    "OVS_CHECK_PKT_LEN_ATTR",
                    {
                        CheckPktLenAttr.PKT_LEN: u16(),
                        CheckPktLenAttr.ACTIONS_IF_GREATER: inner,
                        CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL: inner,
                    },
                )
            ),
            check_pkt_len,
        ),
        ActionAttr.DEC_TTL: Shown(
            Nested(AttributeSet("OVS_DEC_TTL_ATTR", {DecTtlAttr.ACTION: inner})), dec_ttl
        ),
    }


ACTIONS: Final = ActionList(MAXIMUM_DEPTH)
"""The value of OVS_FLOW_ATTR_ACTIONS and OVS_PACKET_ATTR_ACTIONS."""
