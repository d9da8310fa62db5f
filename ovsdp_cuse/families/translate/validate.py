"""Which attributes a key must have and a mask may have, by what the key says that the packet is.

Source of the rules: match_validate() in net/openvswitch/flow_netlink.c of Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from errno import EINVAL
from functools import lru_cache
from typing import Final, NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate import ethernet as e
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.key import KEY_ATTRIBUTES, FragType, KeyAttr


class Matched(NamedTuple):
    """What a mask must match exactly before it may have an attribute: `mask & ones == exact`."""

    ones: int
    exact: int


_ETH_TYPE: Final = Matched(k.ETH_TYPE.ones, k.ETH_TYPE.ones)
_IP_PROTO: Final = Matched(k.IP_PROTO.ones, k.IP_PROTO.ones)
_ICMPV6_TYPE: Final = Matched(k.TP_SRC.ones, k.TP_SRC.place(0xFF))

NETWORK: Final[dict[int, KeyAttr]] = {
    e.ETH_P_ARP: KeyAttr.ARP,
    e.ETH_P_RARP: KeyAttr.ARP,
    e.ETH_P_MPLS_UC: KeyAttr.MPLS,
    e.ETH_P_MPLS_MC: KeyAttr.MPLS,
    e.ETH_P_IP: KeyAttr.IPV4,
    e.ETH_P_IPV6: KeyAttr.IPV6,
    e.ETH_P_NSH: KeyAttr.NSH,
}
"""EtherType -> the attribute that a key with it must have."""

TUPLE: Final[dict[int, KeyAttr]] = {
    e.ETH_P_IP: KeyAttr.CT_ORIG_TUPLE_IPV4,
    e.ETH_P_IPV6: KeyAttr.CT_ORIG_TUPLE_IPV6,
}
"""EtherType -> the conntrack tuple that a mask may have."""

_PORTS: Final[dict[int, tuple[KeyAttr, ...]]] = {
    e.IPPROTO_UDP: (KeyAttr.UDP,),
    e.IPPROTO_SCTP: (KeyAttr.SCTP,),
    e.IPPROTO_TCP: (KeyAttr.TCP, KeyAttr.TCP_FLAGS),
}

TRANSPORT: Final[dict[int, dict[int, tuple[KeyAttr, ...]]]] = {
    e.ETH_P_IP: {**_PORTS, e.IPPROTO_ICMP: (KeyAttr.ICMP,)},
    e.ETH_P_IPV6: {**_PORTS, e.IPPROTO_ICMPV6: (KeyAttr.ICMPV6,)},
}
"""EtherType -> IP protocol -> the attributes that a key with them must have."""

ALWAYS: Final = frozenset({KeyAttr.TUNNEL, KeyAttr.IN_PORT, KeyAttr.ETHERTYPE})
"""What a mask may always have. Other metadata it may have where the key has it."""

CONDITIONAL: Final[frozenset[KeyAttr]] = frozenset(
    {
        *NETWORK.values(),
        *TUPLE.values(),
        *(number for table in TRANSPORT.values() for some in table.values() for number in some),
        KeyAttr.ND,
    }
)
"""What a mask may have only for the packets that it belongs to."""


class Kind(NamedTuple):
    """A kind of packet: what its keys need, and what their masks may have and when."""

    needed: frozenset[int]
    allowed: dict[int, Matched]


def check_key(key: int, there: Iterable[int]) -> None:
    """Raise DatapathError (EINVAL) where a key lacks an attribute; `there` are those it has."""
    missing = _kind_of(key).needed.difference(there)
    if missing:
        name = KEY_ATTRIBUTES.name_of(min(missing))
        raise DatapathError(EINVAL, f"the key of such a packet needs {name}")


def check_mask(
    key: int, key_there: Collection[int], mask: int, mask_there: Collection[int]
) -> None:
    """Raise DatapathError (EINVAL) where a mask has an attribute that it must not have.

    key_there, mask_there: the numbers of their attributes, those of the tags left out.
    """
    allowed = _kind_of(key).allowed
    for number in mask_there:
        needed = allowed.get(number)
        if needed is None:
            if number in CONDITIONAL or (number not in key_there and number not in ALWAYS):
                name = KEY_ATTRIBUTES.name_of(number)
                raise DatapathError(EINVAL, f"the key of this mask has no {name}", (number,))
        elif mask & needed.ones != needed.exact:
            name = KEY_ATTRIBUTES.name_of(number)
            raise DatapathError(
                EINVAL, f"{name} is masked, and what says that it is there is not", (number,)
            )


def _kind_of(key: int) -> Kind:
    eth_type = (key & k.ETH_TYPE.ones) >> k.ETH_TYPE.shift
    if eth_type not in TRANSPORT or k.IP_FRAG.get(key) == FragType.LATER:
        return _kind(eth_type, None, 0)
    protocol = k.IP_PROTO.get(key)
    return _kind(eth_type, protocol, k.TP_SRC.get(key) if protocol == e.IPPROTO_ICMPV6 else 0)


@lru_cache(maxsize=4096)
def _kind(eth_type: int, protocol: int | None, icmpv6_type: int) -> Kind:
    """What there is of packets with an EtherType and, where they have one, an IP protocol."""
    allowed: dict[int, Matched] = {}
    if eth_type in NETWORK:
        allowed[NETWORK[eth_type]] = _ETH_TYPE
    if protocol is not None:
        allowed.update(dict.fromkeys(TRANSPORT[eth_type].get(protocol, ()), _IP_PROTO))
    if KeyAttr.ICMPV6 in allowed and icmpv6_type in e.NEIGHBOUR_DISCOVERY:
        allowed[KeyAttr.ND] = _ICMPV6_TYPE
    needed = frozenset(allowed)
    # The kernel keeps the tuple of IPv6 where it keeps the target of neighbour discovery.
    if eth_type in TUPLE and KeyAttr.ND not in allowed:
        allowed[TUPLE[eth_type]] = _ETH_TYPE
    return Kind(needed, allowed)
