"""Actions as netlink attributes: enum ovs_action_attr of <linux/openvswitch.h>, Linux 6.1.

Actions are a list: the order counts, and a number may stand in it many times. Here are the numbers
and the structures; actions.py has the construct of the list.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Final, NamedTuple

from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.values import Binary, u32

MAXIMUM_DEPTH: Final = 16
"""OVS_COPY_ACTIONS_MAX_DEPTH of net/openvswitch/flow_netlink.c: lists in lists, the first is 0."""

OVS_ACTION_ATTR_DROP: Final = 24
"""The kernel's since Linux 6.7; Debian's header does not have it yet."""

OVS_HASH_ALG_L4: Final = 0
OVS_HASH_ALG_SYM_L4: Final = 1
"""Open vSwitch's own name of what its userspace datapath has, too."""

MPLS_L3_TUNNEL: Final = 1 << 0
"""OVS_MPLS_L3_TUNNEL_FLAG_MASK: the label goes behind the Ethernet header, not before it."""


class ActionAttr(IntEnum):
    """enum ovs_action_attr."""

    UNSPEC = 0
    OUTPUT = 1
    USERSPACE = 2
    SET = 3
    PUSH_VLAN = 4
    POP_VLAN = 5
    SAMPLE = 6
    RECIRC = 7
    HASH = 8
    PUSH_MPLS = 9
    POP_MPLS = 10
    SET_MASKED = 11
    CT = 12
    TRUNC = 13
    PUSH_ETH = 14
    POP_ETH = 15
    CT_CLEAR = 16
    PUSH_NSH = 17
    POP_NSH = 18
    METER = 19
    CLONE = 20
    CHECK_PKT_LEN = 21
    ADD_MPLS = 22
    DEC_TTL = 23


class UserspaceAttr(IntEnum):
    """enum ovs_userspace_attr."""

    UNSPEC = 0
    PID = 1
    USERDATA = 2
    EGRESS_TUN_PORT = 3
    ACTIONS = 4


class SampleAttr(IntEnum):
    """enum ovs_sample_attr."""

    UNSPEC = 0
    PROBABILITY = 1
    ACTIONS = 2


class CheckPktLenAttr(IntEnum):
    """enum ovs_check_pkt_len_attr."""

    UNSPEC = 0
    PKT_LEN = 1
    ACTIONS_IF_GREATER = 2
    ACTIONS_IF_LESS_EQUAL = 3


class DecTtlAttr(IntEnum):
    """enum ovs_dec_ttl_attr."""

    UNSPEC = 0
    ACTION = 1


class CtAttr(IntEnum):
    """enum ovs_ct_attr."""

    UNSPEC = 0
    COMMIT = 1
    ZONE = 2
    MARK = 3
    LABELS = 4
    HELPER = 5
    NAT = 6
    FORCE_COMMIT = 7
    EVENTMASK = 8
    TIMEOUT = 9


class NatAttr(IntEnum):
    """enum ovs_nat_attr."""

    UNSPEC = 0
    SRC = 1
    DST = 2
    IP_MIN = 3
    IP_MAX = 4
    PROTO_MIN = 5
    PROTO_MAX = 6
    PERSISTENT = 7
    PROTO_HASH = 8
    PROTO_RANDOM = 9


class PushVlan(NamedTuple):
    """struct ovs_action_push_vlan, as numbers of the machine."""

    tpid: int
    tci: int


class PushMpls(NamedTuple):
    """struct ovs_action_push_mpls, as numbers of the machine."""

    lse: int
    ethertype: int


class AddMpls(NamedTuple):
    """struct ovs_action_add_mpls; of its fields only `tun_flags` is in the machine's order."""

    lse: int
    ethertype: int
    tun_flags: bytes

    @property
    def is_l3(self) -> bool:
        """Whether the label goes behind the Ethernet header rather than before it."""
        return bool(int.from_bytes(self.tun_flags, sys.byteorder) & MPLS_L3_TUNNEL)


class PushEth(NamedTuple):
    """struct ovs_action_push_eth."""

    src: bytes
    dst: bytes


class Hash(NamedTuple):
    """struct ovs_action_hash."""

    algorithm: int
    basis: int


PUSH_VLAN: Final = FixedStruct("HH", PushVlan, "!")
PUSH_MPLS: Final = FixedStruct("IHxx", PushMpls, "!")
ADD_MPLS: Final = FixedStruct("IH2s", AddMpls, "!")
PUSH_ETH: Final = FixedStruct("6s6s", PushEth)
HASH: Final = FixedStruct("II", Hash)

USERSPACE: Final = AttributeSet(
    "OVS_USERSPACE_ATTR",
    {
        UserspaceAttr.PID: u32(),
        UserspaceAttr.USERDATA: Binary(),
        UserspaceAttr.EGRESS_TUN_PORT: u32(),
        UserspaceAttr.ACTIONS: Binary(),
    },
)
"""ACTIONS is a flag, but the kernel looks at no payload of it."""
