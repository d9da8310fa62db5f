"""The family ovs_win_control in the tests: Open vSwitch v3.7.1, OvsDpInterfaceExt.h."""

from __future__ import annotations

from typing import Any

from tests.contract.messages import CONTROL, attribute, build, u8, u32

(
    WIN_PEND_REQ, WIN_PEND_PACKET_REQ, MC_SUBSCRIBE_REQ, PACKET_SUBSCRIBE_REQ, EVENT_NOTIFY,
    READ_NOTIFY, SOCK_PROP,
) = range(7)  # fmt: skip
WIN_GET_PID = 0
"""The same number as WIN_PEND_REQ: the former comes by TRANSACT, the latter by WRITE."""

MCAST_GRP, MCAST_JOIN, PACKET_SUBSCRIBE, PACKET_PID = range(4)
SOCK_PROTO, SOCK_PID, SOCK_RCVBUF, SOCK_EXT_ACK, SOCK_CAP_ACK, SOCK_NO_ENOBUFS, SOCK_BIND = range(7)
NETLINK_NETFILTER, NETLINK_GENERIC = 12, 16


def request(command: int, *attributes: bytes, **header: Any) -> bytes:
    """A request as v3.7's clients send it: no flags."""
    return build(CONTROL, command, *attributes, **{"flags": 0, **header})


def sock_prop(*options: bytes, **header: Any) -> bytes:
    """SOCK_PROP."""
    return request(SOCK_PROP, *options, **header)


def subscribe(group: int, join: bool = True, **header: Any) -> bytes:
    """MC_SUBSCRIBE_REQ."""
    attributes = attribute(MCAST_GRP, u32(group)), attribute(MCAST_JOIN, u8(join))
    return request(MC_SUBSCRIBE_REQ, *attributes, **header)


def subscribe_packets(pid: int, join: bool = True, **header: Any) -> bytes:
    """PACKET_SUBSCRIBE_REQ."""
    attributes = attribute(PACKET_SUBSCRIBE, u8(join)), attribute(PACKET_PID, u32(pid))
    return request(PACKET_SUBSCRIBE_REQ, *attributes, **header)
