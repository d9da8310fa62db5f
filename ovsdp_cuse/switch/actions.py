"""The actions of a flow, as data: what `enum ovs_action_attr` of <linux/openvswitch.h> names.

They are made by `families.translate`, which validates them, and run as a Program (program.py),
which trusts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Layer(Enum):
    """Which header a Set changes, and thereby which checksums follow."""

    METADATA = "metadata"
    ETHERNET = "ethernet"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"
    MPLS = "mpls"
    CONNTRACK = "conntrack"
    """Accepted in a flow, but every packet fails at it (EINVAL) and is dropped, as in Linux."""


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet through a port."""

    port: int


@dataclass(frozen=True, slots=True)
class Userspace:
    """Send the packet to userspace.

    pid: OVS_USERSPACE_ATTR_PID. userdata: None where there was none. egress_tunnel_port: None for
    none. actions: those that the upcall carries, which is the list that this one stands in, maybe
    inside another, in netlink form; None where it carries none.
    """

    pid: int
    userdata: bytes | None = None
    egress_tunnel_port: int | None = None
    actions: bytes | None = None


@dataclass(frozen=True, slots=True)
class Set:
    """Change header fields: `value` and `mask` have the layout of a flow key (key.py).

    `mask` has ones only in fields of the layer, and `value` only where `mask` has; METADATA is
    priority and skb_mark.
    """

    layer: Layer
    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class CtClear:
    """Forget what connection tracking has found out of the packet."""


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Push an 802.1Q or 802.1ad tag; `tci` has the CFI bit that says that there is one."""

    tpid: int
    tci: int


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Pop the outermost VLAN tag."""


@dataclass(frozen=True, slots=True)
class PushMpls:
    """Push a label stack entry behind the Ethernet header (and VLAN tags)."""

    lse: int
    eth_type: int


@dataclass(frozen=True, slots=True)
class AddMpls:
    """Push a label stack entry at the beginning (is_l3 False), or behind the Ethernet header."""

    lse: int
    eth_type: int
    is_l3: bool


@dataclass(frozen=True, slots=True)
class PopMpls:
    """Pop the outermost label stack entry; what follows is of `eth_type`."""

    eth_type: int


@dataclass(frozen=True, slots=True)
class PushEth:
    """Push an Ethernet header on a packet that has none."""

    dst: bytes
    src: bytes


@dataclass(frozen=True, slots=True)
class PopEth:
    """Pop the Ethernet header."""


@dataclass(frozen=True, slots=True)
class PushNsh:
    """Push a Network Service Header (RFC 8300); `header` is as it will stand in the packet."""

    header: bytes


@dataclass(frozen=True, slots=True)
class PopNsh:
    """Pop the Network Service Header."""


@dataclass(frozen=True, slots=True)
class Trunc:
    """The next output sends at most this many bytes."""

    max_len: int


@dataclass(frozen=True, slots=True)
class Recirc:
    """Look the packet up again, with this recirculation id."""

    recirc_id: int


@dataclass(frozen=True, slots=True)
class Hash:
    """Compute a hash into dp_hash; symmetric: OVS_HASH_ALG_SYM_L4 rather than OVS_HASH_ALG_L4."""

    basis: int
    symmetric: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """Run actions on a copy, with a probability of `probability` in 2**32 - 1."""

    probability: int
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Clone:
    """Run actions on a copy."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class CheckPktLen:
    """Run one list of actions or the other, by the length of the packet."""

    length: int
    greater: tuple[Action, ...]
    less_or_equal: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class DecTtl:
    """Decrement the IP TTL or hop limit; where it ends, run actions instead of the rest."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Meter:
    """Let a meter decide whether the packet goes on."""

    meter_id: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop the packet, for a reason of userspace's (0: none given)."""

    reason: int


Action = (
    Output
    | Userspace
    | Set
    | PushVlan
    | PopVlan
    | PushMpls
    | AddMpls
    | CtClear
    | PopMpls
    | PushEth
    | PopEth
    | PushNsh
    | PopNsh
    | Trunc
    | Recirc
    | Hash
    | Sample
    | Clone
    | CheckPktLen
    | DecTtl
    | Meter
    | Drop
)
