"""Edits: what single actions do to a packet, byte for byte as Linux 6.1 does it.

An edit changes frame, offsets and key together, as the functions of net/openvswitch/actions.c and
net/core/skbuff.c do. It raises CannotApply where Linux returns an error; then the packet may have
been changed in part, and is to be dropped. Masks and values are looked up when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL
from typing import Final

from ovsdp_cuse.switch.actions import (
    Action,
    AddMpls,
    CtClear,
    Layer,
    PopEth,
    PopMpls,
    PopNsh,
    PopVlan,
    PushEth,
    PushMpls,
    PushNsh,
    PushVlan,
    Set,
)
from ovsdp_cuse.switch.edits.ethernet import pop_eth, push_eth, set_addresses
from ovsdp_cuse.switch.edits.ipv4 import set_ipv4
from ovsdp_cuse.switch.edits.ipv6 import set_ipv6
from ovsdp_cuse.switch.edits.link import CannotApply
from ovsdp_cuse.switch.edits.metadata import clear_ct, set_metadata
from ovsdp_cuse.switch.edits.mpls import add_mpls, pop_mpls, push_mpls, set_mpls
from ovsdp_cuse.switch.edits.nsh import pop_nsh, push_nsh
from ovsdp_cuse.switch.edits.transport import set_sctp, set_tcp, set_udp
from ovsdp_cuse.switch.edits.vlan import pop_vlan, push_vlan
from ovsdp_cuse.switch.packet import Packet

Edit = Callable[[Packet], None]


def _refuse(value: int, mask: int) -> Edit:
    def edit(packet: Packet) -> None:
        raise CannotApply(EINVAL)

    return edit


_SETS: Final[dict[Layer, Callable[[int, int], Edit]]] = {
    Layer.METADATA: set_metadata,
    Layer.ETHERNET: set_addresses,
    Layer.IPV4: set_ipv4,
    Layer.IPV6: set_ipv6,
    Layer.TCP: set_tcp,
    Layer.UDP: set_udp,
    Layer.SCTP: set_sctp,
    Layer.MPLS: set_mpls,
    # execute_masked_set_action() returns EINVAL for it.
    Layer.CONNTRACK: _refuse,
}


def make_edit(action: Action) -> Edit | None:
    """What an action does to a packet; None for an action that does something else."""
    match action:
        case Set(layer, value, mask):
            return _SETS[layer](value, mask)
        case CtClear():
            return clear_ct
        case PushVlan(tpid, tci):
            return push_vlan(tpid, tci)
        case PopVlan():
            return pop_vlan
        case PushMpls(lse, eth_type):
            return push_mpls(lse, eth_type)
        case AddMpls(lse, eth_type, is_l3):
            return add_mpls(lse, eth_type, is_l3)
        case PopMpls(eth_type):
            return pop_mpls(eth_type)
        case PushEth(dst, src):
            return push_eth(dst, src)
        case PopEth():
            return pop_eth
        case PushNsh(header):
            return push_nsh(header)
        case PopNsh():
            return pop_nsh
    return None


__all__ = ["CannotApply", "Edit", "make_edit"]
