"""Connection tracking and tunnels: the kernel's errors first, and then that they come later."""

from __future__ import annotations

import struct
from errno import EINVAL, EMSGSIZE, EOPNOTSUPP, ERANGE

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.actions import parse_actions
from ovsdp_cuse.wire.action_attributes import (
    ActionAttr,
    CheckPktLenAttr,
    CtAttr,
    NatAttr,
    SampleAttr,
)
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.tunnel import TunnelKeyAttr
from tests.families.action_cases import (
    ARP,
    IPV4,
    IPV6,
    OUTPUT,
    TCP_FLOW,
    UDP,
    check_pkt_len,
    clone,
    flow_key,
    push_mpls,
    sample,
    set_,
    u16,
    u32,
)

Attribute = tuple[int, bytes]

COMMIT = (CtAttr.COMMIT, b"")
SRC = (NatAttr.SRC, b"")
DST = (NatAttr.DST, b"")
MIN = (NatAttr.IP_MIN, bytes([10, 0, 0, 1]))
MIN_IPV6 = (NatAttr.IP_MIN, bytes(15) + b"\1")


def ct(*attributes: Attribute) -> bytes:
    """Track the connection."""
    return pack_attribute(ActionAttr.CT, b"".join(pack_attribute(*a) for a in attributes))


def nat(*attributes: Attribute) -> Attribute:
    """Translate addresses."""
    return CtAttr.NAT, b"".join(pack_attribute(*a) for a in attributes)


def tunnel(*attributes: Attribute) -> bytes:
    """Set the tunnel key."""
    return set_(KeyAttr.TUNNEL, b"".join(pack_attribute(*a) for a in attributes))


TO = (TunnelKeyAttr.IPV4_DST, bytes([10, 0, 0, 1]))
TTL = (TunnelKeyAttr.TTL, b"\x40")
OPTION = bytes.fromhex("0102 80 01 aabbccdd")
FTP = (CtAttr.HELPER, b"ftp\0")


VALID: list[tuple[int, bytes]] = [
    (TCP_FLOW, ct()),
    (flow_key(IPV6), ct((CtAttr.ZONE, u16(9)), (CtAttr.EVENTMASK, u32(1)))),
    (TCP_FLOW, ct(COMMIT, (CtAttr.MARK, u32(0) + u32(1)), (CtAttr.LABELS, bytes(31) + b"\1"))),
    (TCP_FLOW, ct((CtAttr.MARK, u32(5) + u32(1)), (CtAttr.FORCE_COMMIT, b""))),
    (TCP_FLOW, ct(COMMIT, FTP)),
    (flow_key(IPV6), ct(FTP)),
    (TCP_FLOW, ct((CtAttr.TIMEOUT, b"any\0"))),
    (TCP_FLOW, ct(nat())),
    (TCP_FLOW, ct(COMMIT, nat(SRC))),
    (TCP_FLOW, ct(COMMIT, nat(DST, MIN, (NatAttr.PROTO_MIN, u16(1)), (NatAttr.PERSISTENT, b"")))),
    (flow_key(IPV6), ct(COMMIT, nat(SRC, MIN_IPV6))),
    (TCP_FLOW, push_mpls() + ct()),
    (TCP_FLOW, tunnel(TO, TTL)),
    (TCP_FLOW, tunnel(TO, TTL, (TunnelKeyAttr.GENEVE_OPTS, OPTION * 2))),
    (TCP_FLOW, tunnel(TO, TTL, (TunnelKeyAttr.GENEVE_OPTS, b""))),
    (TCP_FLOW, tunnel((TunnelKeyAttr.IPV6_DST, bytes(15) + b"\1"), TTL)),
    (TCP_FLOW, tunnel((TunnelKeyAttr.IPV4_INFO_BRIDGE, b""))),
]


@pytest.mark.parametrize(("key", "data"), VALID)
def test_valid_but_not_supported_yet(key: int, data: bytes) -> None:
    with pytest.raises(DatapathError, match="not supported yet") as caught:
        parse_actions(OUTPUT + data + OUTPUT, key)
    assert caught.value.errno == EOPNOTSUPP
    assert caught.value.path[0] in (ActionAttr.CT, ActionAttr.SET)


INVALID: list[tuple[str, int, int, bytes]] = [
    ("no IP", EINVAL, flow_key(ARP), ct()),
    ("unknown", EINVAL, TCP_FLOW, ct((10, b""))),
    ("0", EINVAL, TCP_FLOW, ct((0, b""))),
    ("commit with a payload", EINVAL, TCP_FLOW, ct((CtAttr.COMMIT, b"x"))),
    ("zone of another size", EINVAL, TCP_FLOW, ct((CtAttr.ZONE, u32(1)))),
    ("mark without mask", EINVAL, TCP_FLOW, ct(COMMIT, (CtAttr.MARK, u32(1)))),
    ("mark, mask 0", EINVAL, TCP_FLOW, ct(COMMIT, (CtAttr.MARK, u32(1) + u32(0)))),
    ("mark without commit", EINVAL, TCP_FLOW, ct((CtAttr.MARK, u32(1) * 2))),
    ("labels, mask 0", EINVAL, TCP_FLOW, ct(COMMIT, (CtAttr.LABELS, b"\1" + bytes(31)))),
    ("labels without commit", EINVAL, TCP_FLOW, ct((CtAttr.LABELS, b"\1" * 32))),
    ("helper without NUL", EINVAL, TCP_FLOW, ct(COMMIT, (CtAttr.HELPER, b"ftp"))),
    ("helper without name", EINVAL, TCP_FLOW, ct(COMMIT, (CtAttr.HELPER, b""))),
    ("helper, long", EINVAL, TCP_FLOW, ct(COMMIT, (CtAttr.HELPER, bytes(17)))),
    ("helper, unknown", EINVAL, TCP_FLOW, ct(COMMIT, (CtAttr.HELPER, b"nosuch\0"))),
    ("helper of TCP for UDP", EINVAL, flow_key(protocol=UDP), ct(COMMIT, FTP)),
    ("helper of IPv4 for IPv6", EINVAL, flow_key(IPV6), ct(COMMIT, (CtAttr.HELPER, b"irc\0"))),
    ("timeout without NUL", EINVAL, TCP_FLOW, ct((CtAttr.TIMEOUT, b"a"))),
    ("timeout, long", EINVAL, TCP_FLOW, ct((CtAttr.TIMEOUT, bytes(33)))),
    ("eventmask of another size", EINVAL, TCP_FLOW, ct((CtAttr.EVENTMASK, u16(1)))),
    ("left over", EINVAL, TCP_FLOW, pack_attribute(ActionAttr.CT, b"abc")),
    ("nat without commit", EINVAL, TCP_FLOW, ct(nat(SRC))),
    ("nat before commit", EINVAL, TCP_FLOW, ct(nat(SRC), COMMIT)),
    ("nat without direction", EINVAL, TCP_FLOW, ct(COMMIT, nat(MIN))),
    ("nat of both directions", ERANGE, TCP_FLOW, ct(COMMIT, nat(SRC, DST))),
    ("nat twice", ERANGE, TCP_FLOW, ct(COMMIT, nat(), nat(SRC))),
    ("nat, IPv6 address in a flow of IPv4", EINVAL, TCP_FLOW, ct(COMMIT, nat(SRC, MIN_IPV6))),
    ("nat, IPv4 address in a flow of IPv6", EINVAL, flow_key(IPV6), ct(COMMIT, nat(SRC, MIN))),
    ("nat, port of another size", EINVAL, TCP_FLOW, ct(COMMIT, nat(SRC, (5, u32(1))))),
    ("nat, unknown", EINVAL, TCP_FLOW, ct(COMMIT, nat(SRC, (10, b"")))),
    ("nat, 0", EINVAL, TCP_FLOW, ct(COMMIT, nat(SRC, (0, b"")))),
    ("nat, left over", EINVAL, TCP_FLOW, ct(COMMIT, (CtAttr.NAT, b"ab"))),
    ("tunnel of nothing", EINVAL, TCP_FLOW, tunnel()),
    ("tunnel without TTL", EINVAL, TCP_FLOW, tunnel(TO)),
    ("tunnel to nowhere", EINVAL, TCP_FLOW, tunnel(TTL)),
    ("tunnel, unknown", EINVAL, TCP_FLOW, tunnel(TO, TTL, (17, b""))),
    ("Geneve, cut", EINVAL, TCP_FLOW, tunnel(TO, TTL, (8, OPTION[:4]))),
    ("Geneve, longer than its space", EINVAL, TCP_FLOW, tunnel(TO, TTL, (8, OPTION + b"\0\0\0\1"))),
]


@pytest.mark.parametrize(
    ("errno", "key", "data"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID]
)
def test_invalid(errno: int, key: int, data: bytes) -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(data, key)
    assert caught.value.errno == errno, caught.value


def test_path_leads_into_lists() -> None:
    for data, path in (
        (sample(clone(ct())), (ActionAttr.SAMPLE, SampleAttr.ACTIONS, ActionAttr.CLONE)),
        (
            OUTPUT + check_pkt_len(9, ct(), OUTPUT),
            (ActionAttr.CHECK_PKT_LEN, CheckPktLenAttr.ACTIONS_IF_GREATER),
        ),
    ):
        with pytest.raises(DatapathError) as caught:
            parse_actions(data, TCP_FLOW)
        assert caught.value.path == (*path, ActionAttr.CT)


def test_the_kernels_errors_come_first() -> None:
    with pytest.raises(DatapathError) as caught:
        parse_actions(clone(ct()) + struct.pack("=HH", 4, 99), TCP_FLOW)
    assert caught.value.errno == EINVAL
    # A ct of 4 bytes is kept as 164.
    with pytest.raises(DatapathError) as caught:
        parse_actions(clone(ct() * 400), TCP_FLOW)
    assert caught.value.errno == EMSGSIZE


def test_actions_after_ct_are_those_of_the_flow() -> None:
    """`ct` looks at the flow, not at what actions before it did: so the kernel accepts this."""
    with pytest.raises(DatapathError) as caught:
        parse_actions(push_mpls() + ct(), flow_key(IPV4))
    assert caught.value.errno == EOPNOTSUPP
