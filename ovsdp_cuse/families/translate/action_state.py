"""What the validation of actions knows of a packet at one place of a list of actions.

Actions change what a packet is: after push_mpls there is no IPv4 header to set. So the validator
walks a list with a state, as __ovs_nla_copy_actions() does (net/openvswitch/flow_netlink.c).
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL, EMSGSIZE
from typing import Final, NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.actions import Action
from ovsdp_cuse.switch.key import ETH_TYPE, MAC_PROTO, MPLS_LABEL_BITS, VLAN_TCI
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, walk

ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_TEB: Final = 0x6558
ETH_P_RARP: Final = 0x8035
ETH_P_8021Q: Final = 0x8100
ETH_P_IPV6: Final = 0x86DD
ETH_P_MPLS_UC: Final = 0x8847
ETH_P_MPLS_MC: Final = 0x8848
ETH_P_8021AD: Final = 0x88A8
ETH_P_NSH: Final = 0x894F
"""EtherTypes of <linux/if_ether.h>."""

MPLS_TYPES: Final = frozenset({ETH_P_MPLS_UC, ETH_P_MPLS_MC})
IP_TYPES: Final = frozenset({ETH_P_IP, ETH_P_IPV6})

VLAN_CFI: Final = 0x1000
"""The bit of a TCI that says in keys and actions that there is a tag."""

_LARGEST_ATTRIBUTE: Final = 0xFFFF


class Copied(NamedTuple):
    """An action that is kept in another form than it came in.

    action: None for one that is valid but not supported. payload: of the attribute, as a dump shows
    it. size: bytes that the kernel's own form of it takes, which has limits.
    """

    action: Action | None
    payload: bytes
    size: int


class CopiedList(NamedTuple):
    """A list of actions, its form in dumps, and the size of the kernel's own form."""

    actions: tuple[Action, ...]
    wire: bytes
    size: int


class State:
    """The packet as the actions so far have left it.

    key: the flow's masked key. parse: parses a list with a state of its own. unsupported: what was
    valid but is refused in the end, so that the kernel's errors come before our own.
    wants_list: whether a userspace action of this list wants the list in its upcalls.
    number: of the action that is looked at. path: the attribute numbers that lead to the list.
    """

    __slots__ = (
        "depth",
        "eth_type",
        "key",
        "mac_proto",
        "mpls_labels",
        "number",
        "parse",
        "path",
        "unsupported",
        "vlan_tci",
        "wants_list",
    )

    def __init__(self, key: int, parse: Callable[[bytes, State], CopiedList]) -> None:
        self.key = key
        self.parse = parse
        self.depth = 0
        self.eth_type = ETH_TYPE.get(key)
        self.vlan_tci = VLAN_TCI.get(key)
        self.mac_proto = MAC_PROTO.get(key)
        self.mpls_labels = (
            MPLS_LABEL_BITS.get(key).bit_count() if self.eth_type in MPLS_TYPES else 0
        )
        self.unsupported: list[DatapathError] = []
        self.wants_list = False
        self.number = 0
        self.path: tuple[int, ...] = ()

    def parse_inner(self, data: bytes, *path: int) -> CopiedList:
        """A list inside an action of this one; `path` leads to it.

        It begins with what is known here, but for mac_proto, which the kernel takes from the key.
        """
        inner = State.__new__(State)
        inner.key = self.key
        inner.parse = self.parse
        inner.depth = self.depth + 1
        inner.eth_type = self.eth_type
        inner.vlan_tci = self.vlan_tci
        inner.mac_proto = MAC_PROTO.get(self.key)
        inner.mpls_labels = self.mpls_labels
        inner.unsupported = self.unsupported
        inner.wants_list = False
        inner.number = 0
        inner.path = (*self.path, self.number, *path)
        try:
            return self.parse(data, inner)
        except DatapathError as error:
            error.path = path + error.path
            raise


def invalid(message: str, *path: int) -> DatapathError:
    """The error of nearly every rule: EINVAL."""
    return DatapathError(EINVAL, message, path)


def check_size(size: int) -> None:
    """Raise EMSGSIZE where an attribute of the kernel's own form would be too large.

    That form is larger than what was sent: a set has a mask there, a clone has a flag.
    """
    if size > _LARGEST_ATTRIBUTE:
        raise DatapathError(EMSGSIZE, f"nested actions take {size} bytes as the switch keeps them")


def attributes_of(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """The (number, payload) of each whole attribute, and how many bytes are left.

    As nla_for_each_attr() counts them: less than 0 where the padding of the last is not there.
    """
    attributes = []
    left = len(data)
    for at, number, payload in walk(data):
        attributes.append((number, payload))
        left = len(data) - at - ((NLA_HEADER_SIZE + len(payload) + 3) & ~3)
    return attributes, left
