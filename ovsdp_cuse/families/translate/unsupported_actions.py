"""Actions that are checked by the kernel's rules, and refused where they are right: EOPNOTSUPP.

Connection tracking and tunnels come later. What is wrong with such an action is told first, with
the kernel's errno (net/openvswitch/conntrack.c and flow_netlink.c of Linux 6.1).
"""

from __future__ import annotations

from errno import EOPNOTSUPP, ERANGE
from typing import Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.action_state import (
    ETH_P_IP,
    ETH_P_IPV6,
    IP_TYPES,
    Copied,
    State,
    attributes_of,
    invalid,
)
from ovsdp_cuse.families.translate.tunnel import TUNNEL_GENEVE_OPT, parse_tunnel
from ovsdp_cuse.switch.key import ETH_TYPE, IP_PROTO, TUN_FLAGS, TUN_OPTS, TUN_OPTS_LEN
from ovsdp_cuse.wire.action_attributes import CtAttr, NatAttr
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.tunnel import TunnelKeyAttr

CONNECTION_SIZE: Final = 164
TUNNEL_SIZE: Final = 16
"""What the kernel keeps for these actions: struct ovs_conntrack_info, struct ovs_tunnel_info."""

CT_SIZES: Final[dict[int, tuple[int, int]]] = {
    CtAttr.COMMIT: (0, 0),
    CtAttr.ZONE: (2, 2),
    CtAttr.MARK: (8, 8),
    CtAttr.LABELS: (32, 32),
    CtAttr.HELPER: (1, 16),
    CtAttr.NAT: (0, 0xFFFF),
    CtAttr.FORCE_COMMIT: (0, 0),
    CtAttr.EVENTMASK: (4, 4),
    CtAttr.TIMEOUT: (1, 32),
}
"""Smallest and largest payload, as ovs_ct_attr_lens."""

NAT_SIZES: Final[dict[int, tuple[int, int]]] = {
    NatAttr.SRC: (0, 0),
    NatAttr.DST: (0, 0),
    NatAttr.IP_MIN: (4, 16),
    NatAttr.IP_MAX: (4, 16),
    NatAttr.PROTO_MIN: (2, 2),
    NatAttr.PROTO_MAX: (2, 2),
    NatAttr.PERSISTENT: (0, 0),
    NatAttr.PROTO_HASH: (0, 0),
    NatAttr.PROTO_RANDOM: (0, 0),
}
"""Payload of each attribute, in a flow of IPv4 and in one of IPv6."""

TCP, UDP = 6, 17

HELPERS: Final[dict[bytes, frozenset[tuple[int, int]]]] = {
    b"amanda": frozenset({(ETH_P_IP, UDP), (ETH_P_IPV6, UDP)}),
    b"H.245": frozenset({(ETH_P_IP, UDP), (ETH_P_IPV6, UDP)}),
    b"Q.931": frozenset({(ETH_P_IP, TCP), (ETH_P_IPV6, TCP)}),
    b"RAS": frozenset({(ETH_P_IP, UDP), (ETH_P_IPV6, UDP)}),
    b"ftp": frozenset({(ETH_P_IP, TCP), (ETH_P_IPV6, TCP)}),
    b"irc": frozenset({(ETH_P_IP, TCP)}),
    b"netbios-ns": frozenset({(ETH_P_IP, UDP)}),
    b"pptp": frozenset({(ETH_P_IP, TCP)}),
    b"sane": frozenset({(ETH_P_IP, TCP), (ETH_P_IPV6, TCP)}),
    b"sip": frozenset({(ETH_P_IP, p) for p in (TCP, UDP)} | {(ETH_P_IPV6, p) for p in (TCP, UDP)}),
    b"snmp": frozenset({(ETH_P_IP, UDP)}),
    b"tftp": frozenset({(ETH_P_IP, UDP), (ETH_P_IPV6, UDP)}),
}
"""Connection tracking helpers of Linux, by name: EtherType and protocol of what they read."""

GENEVE_OPTION_SIZE: Final = 4


def parse_ct(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_CT. The flow must match on IP; what earlier actions did does not count."""
    eth_type = ETH_TYPE.get(state.key)
    if eth_type not in IP_TYPES:
        raise invalid("ct: the flow does not match on IPv4 or IPv6")
    commit = False
    nat = False
    needs_commit = False
    helper: bytes | None = None
    attributes, left = attributes_of(payload)
    for number, value in attributes:
        shortest, longest = CT_SIZES.get(number, (1, 0))
        if not shortest <= len(value) <= longest:
            raise invalid(f"ct: attribute {number} is unknown or has a wrong size", number)
        match number:
            case CtAttr.COMMIT | CtAttr.FORCE_COMMIT:
                commit = True
            case CtAttr.MARK | CtAttr.LABELS:
                if not any(value[len(value) // 2 :]):
                    raise invalid("ct: the mask of a mark or of labels cannot be 0", number)
                needs_commit = True
            case CtAttr.HELPER | CtAttr.TIMEOUT:
                if b"\0" not in value:
                    raise invalid("ct: a name must end with a NUL", number)
                if number == CtAttr.HELPER:
                    helper = value[: value.index(0)]
            case CtAttr.NAT:
                _check_nat(value, eth_type, commit, nat)
                nat = True
    if needs_commit and not commit:
        raise invalid("ct: mark and labels can only be set together with commit")
    if left > 0:
        raise invalid("ct: bytes are left over")
    if helper is not None and (eth_type, IP_PROTO.get(state.key)) not in HELPERS.get(helper, ()):
        raise invalid("ct: no such helper for this protocol", CtAttr.HELPER)
    return _refused(state, "ct", payload, CONNECTION_SIZE)


def _check_nat(payload: bytes, eth_type: int, commit: bool, nat: bool) -> None:
    """commit, nat: whether these came before it in the same ct."""
    typed = nat
    options = False
    attributes, left = attributes_of(payload)
    for number, value in attributes:
        if number not in NAT_SIZES or len(value) != NAT_SIZES[number][eth_type == ETH_P_IPV6]:
            raise invalid(
                f"ct: nat attribute {number} is unknown or has a wrong size", CtAttr.NAT, number
            )
        if number not in (NatAttr.SRC, NatAttr.DST):
            options = True
        elif typed:
            raise DatapathError(
                ERANGE, "ct: nat of one direction only, and once", (CtAttr.NAT, number)
            )
        else:
            typed = True
    if left > 0:
        raise invalid("ct: bytes are left over in nat", CtAttr.NAT)
    if options and not typed:
        raise invalid("ct: nat has options, but neither src nor dst", CtAttr.NAT)
    if typed and not commit:
        raise invalid("ct: nat of new connections needs commit before it", CtAttr.NAT)


def set_tunnel(state: State, payload: bytes) -> Copied:
    """OVS_ACTION_ATTR_SET of a tunnel key, with addresses and a TTL, and options that are whole."""
    try:
        key = parse_tunnel(payload)
    except DatapathError as error:
        error.path = (KeyAttr.TUNNEL, *error.path)
        raise
    if TUN_FLAGS.get(key) & TUNNEL_GENEVE_OPT:
        _check_geneve(TUN_OPTS.get(key)[: TUN_OPTS_LEN.get(key)])
    return _refused(state, "set of a tunnel", payload, TUNNEL_SIZE)


def _check_geneve(options: bytes) -> None:
    """Options of Geneve (RFC 8926, section 3.5): class, type, length of the data in words."""
    while options:
        size = GENEVE_OPTION_SIZE
        if len(options) >= size:
            size += 4 * (options[3] & 0x1F)
        if len(options) < size:
            raise invalid(
                "set: a Geneve option does not fit", KeyAttr.TUNNEL, TunnelKeyAttr.GENEVE_OPTS
            )
        options = options[size:]


def _refused(state: State, name: str, payload: bytes, size: int) -> Copied:
    state.unsupported.append(
        DatapathError(EOPNOTSUPP, f"not supported yet: {name}", (*state.path, state.number))
    )
    return Copied(None, payload, size)
