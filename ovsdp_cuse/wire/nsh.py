"""OVS_KEY_ATTR_NSH: a Network Service Header (RFC 8300).

Source: <linux/openvswitch.h> of Linux 6.1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from ovsdp_cuse.wire.exact import VARIABLE, ExactSet, Fields, Scalar, Sizes
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.values import Binary


class NshKeyAttr(IntEnum):
    """enum ovs_nsh_key_attr."""

    UNSPEC = 0
    BASE = 1
    MD1 = 2
    MD2 = 3


class NshKeyBase(NamedTuple):
    """struct ovs_nsh_key_base; path_hdr: service path identifier 24 bits, service index 8."""

    flags: int = 0
    ttl: int = 0
    mdtype: int = 0
    np: int = 0
    path_hdr: int = 0


NSH_KEY_BASE: Final = FixedStruct("BBBBI", NshKeyBase, byte_order="!")

NSH_SIZES: Final[Sizes] = {
    NshKeyAttr.BASE: 8,
    NshKeyAttr.MD1: 16,
    NshKeyAttr.MD2: VARIABLE,
}

NSH: Final = ExactSet(
    "OVS_NSH_KEY_ATTR",
    {
        NshKeyAttr.BASE: Fields(NSH_KEY_BASE, path_hdr=hex),
        NshKeyAttr.MD1: Scalar("16s", bytes.hex),
        NshKeyAttr.MD2: Binary(),
    },
    NSH_SIZES,
    padded=False,
    repeated=True,
)
"""A service header; its last attribute need not be padded, and of duplicates the last counts."""
