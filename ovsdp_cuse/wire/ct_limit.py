"""`ovs_ct_limit`: limits of conntrack zones as messages.

Source: <linux/openvswitch.h> of Linux 6.1.
"""

from __future__ import annotations

from enum import IntEnum
from errno import ERANGE
from typing import Any, NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, AttributeSet
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.values import PolicyType, Value

OVS_CT_LIMIT_VERSION = 1


class CtLimitCmd(IntEnum):
    """enum ovs_ct_limit_cmd."""

    UNSPEC = 0
    SET = 1
    DEL = 2
    GET = 3


class CtLimitAttr(IntEnum):
    """enum ovs_ct_limit_attr."""

    UNSPEC = 0
    ZONE_LIMIT = 1


class ZoneLimit(NamedTuple):
    """struct ovs_zone_limit: a limit, and how many connections there are (`count` in C).

    zone_id: OVS_ZONE_LIMIT_DEFAULT_ZONE (-1) is the default.
    """

    zone_id: int
    limit: int = 0
    connections: int = 0


ZONE_LIMIT = FixedStruct("iII", ZoneLimit)


class ZoneLimits(Value):
    """An array of struct ovs_zone_limit, which the kernel calls nested.

    It rounds the length up to four bytes, and ignores what is left over.
    """

    policy_type = PolicyType.NESTED

    def decode(self, payload: bytes, strict: bool) -> tuple[ZoneLimit, ...]:
        if 0 < len(payload) < NLA_HEADER_SIZE:
            raise DatapathError(ERANGE, f"Attribute failed policy validation: {len(payload)} bytes")
        payload += bytes(-len(payload) & 3)
        end = len(payload) - ZONE_LIMIT.size
        return tuple(ZONE_LIMIT.parse(payload, at) for at in range(0, end + 1, ZONE_LIMIT.size))

    def encode(self, obj: tuple[ZoneLimit, ...]) -> bytes:
        return b"".join(ZONE_LIMIT.pack(*limit) for limit in obj)

    def format(self, obj: Any) -> str:
        return "[" + ", ".join(f"zone{z}:limit={lim},count={n}" for z, lim, n in obj) + "]"


CT_LIMIT = FamilySchema(
    id=0x18,
    name="ovs_ct_limit",
    version=OVS_CT_LIMIT_VERSION,
    command_prefix="OVS_CT_LIMIT_CMD",
    commands=CtLimitCmd,
    attributes=AttributeSet("OVS_CT_LIMIT_ATTR", {CtLimitAttr.ZONE_LIMIT: ZoneLimits()}),
)
