"""Requests as bytes, well formed or not: attributes, headers, and the numbers of Linux 6.1.

Nothing is checked and nothing is shared with the code under test but the ids of its families, which
peers.py replaces by the kernel's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from sys import byteorder
from typing import NamedTuple

NLMSG_HEADER = struct.Struct("=IHHII")
GENL_HEADER = struct.Struct("=BBH")

REQUEST, MULTI, ACK, ECHO, DUMP = 0x1, 0x2, 0x4, 0x8, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
ACK_TLVS = 0x200
NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
NLA_F_NESTED, NLA_F_NET_BYTEORDER = 0x8000, 0x4000

DP = 777
"""The dp_ifindex of the datapath that most requests mean."""

NLCTRL, DATAPATH, PACKET, VPORT, FLOW, CT_LIMIT, METER = 0x10, 0x12, 0x13, 0x14, 0x15, 0x18, 0x19
"""Our ids of the families, in which requests are written."""
FAMILY_NAMES = {
    NLCTRL: "nlctrl",
    DATAPATH: "ovs_datapath",
    PACKET: "ovs_packet",
    VPORT: "ovs_vport",
    FLOW: "ovs_flow",
    CT_LIMIT: "ovs_ct_limit",
    METER: "ovs_meter",
}
VERSIONS = {NLCTRL: 2, DATAPATH: 2}
"""genlmsghdr.version; 1 for the others."""

NEW, DEL, GET, SET = 1, 2, 3, 4
MISS, ACTION, EXECUTE = 1, 2, 3
METER_FEATURES, METER_SET, METER_DEL, METER_GET = 1, 2, 3, 4
CT_LIMIT_SET, CT_LIMIT_DEL, CT_LIMIT_GET = 1, 2, 3
GETFAMILY, GETPOLICY = 3, 10

Ctrl = IntEnum(
    "Ctrl", "FAMILY_ID FAMILY_NAME VERSION HDRSIZE MAXATTR OPS MCAST_GROUPS POLICY OP_POLICY OP"
)
Dp = IntEnum(
    "Dp",
    "NAME UPCALL_PID STATS MEGAFLOW_STATS USER_FEATURES PAD MASKS_CACHE_SIZE PER_CPU_PIDS IFINDEX",
)
Vport = IntEnum("Vport", "PORT_NO TYPE NAME OPTIONS UPCALL_PID STATS PAD IFINDEX NETNSID")
Flow = IntEnum("Flow", "KEY ACTIONS STATS TCP_FLAGS USED CLEAR MASK PROBE UFID UFID_FLAGS PAD")
Packet = IntEnum(
    "Packet",
    "PACKET KEY ACTIONS USERDATA EGRESS_TUN_KEY UNUSED1 UNUSED2 PROBE MRU LEN HASH",
)
Meter = IntEnum("Meter", "ID KBPS STATS BANDS USED CLEAR MAX_METERS MAX_BANDS PAD")
Band = IntEnum("Band", "TYPE RATE BURST STATS")
CtLimit = IntEnum("CtLimit", "ZONE_LIMIT")
Key = IntEnum(
    "Key",
    "ENCAP PRIORITY IN_PORT ETHERNET VLAN ETHERTYPE IPV4 IPV6 TCP UDP ICMP ICMPV6 ARP ND SKB_MARK "
    "TUNNEL SCTP TCP_FLAGS DP_HASH RECIRC_ID MPLS CT_STATE CT_ZONE CT_MARK CT_LABELS "
    "CT_ORIG_TUPLE_IPV4 CT_ORIG_TUPLE_IPV6 NSH PACKET_TYPE ND_EXTENSIONS TUNNEL_INFO IPV6_EXTHDRS",
)
TunnelKey = IntEnum(
    "TunnelKey",
    "ID IPV4_SRC IPV4_DST TOS TTL DONT_FRAGMENT CSUM OAM GENEVE_OPTS TP_SRC TP_DST VXLAN_OPTS "
    "IPV6_SRC IPV6_DST PAD ERSPAN_OPTS IPV4_INFO_BRIDGE",
    start=0,
)
NshKey = IntEnum("NshKey", "BASE MD1 MD2")
Action = IntEnum(
    "Action",
    "OUTPUT USERSPACE SET PUSH_VLAN POP_VLAN SAMPLE RECIRC HASH PUSH_MPLS POP_MPLS SET_MASKED CT "
    "TRUNC PUSH_ETH POP_ETH CT_CLEAR PUSH_NSH POP_NSH METER CLONE CHECK_PKT_LEN ADD_MPLS DEC_TTL",
)
Userspace = IntEnum("Userspace", "PID USERDATA EGRESS_TUN_PORT ACTIONS")
Sample = IntEnum("Sample", "PROBABILITY ACTIONS ARG")
Ct = IntEnum("Ct", "COMMIT ZONE MARK LABELS HELPER NAT FORCE_COMMIT EVENTMASK TIMEOUT")
Nat = IntEnum("Nat", "SRC DST IP_MIN IP_MAX PROTO_MIN PROTO_MAX PERSISTENT PROTO_HASH PROTO_RANDOM")
CheckPktLen = IntEnum("CheckPktLen", "PKT_LEN ACTIONS_IF_GREATER ACTIONS_IF_LESS_EQUAL")
DecTtl = IntEnum("DecTtl", "ACTION")


def u8(value: int) -> bytes:
    return struct.pack("=B", value)


def u16(value: int) -> bytes:
    return struct.pack("=H", value)


def u32(*values: int) -> bytes:
    return struct.pack(f"={len(values)}I", *(value & 0xFFFFFFFF for value in values))


def u64(value: int) -> bytes:
    return struct.pack("=Q", value)


def be16(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def be32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def be64(value: int) -> bytes:
    return struct.pack(">Q", value)


def attr(number: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """One attribute, padded; `length` replaces what nla_len says."""
    told = len(payload) + 4 if length is None else length
    return struct.pack("=HH", told, number) + payload + bytes(-len(payload) & 3)


def nest(number: int, *children: bytes) -> bytes:
    """An attribute that holds attributes. NLA_F_NESTED is not set, as Open vSwitch does not."""
    return attr(number, b"".join(children))


def text(number: int, value: str) -> bytes:
    """A string with its NUL."""
    return attr(number, value.encode() + b"\0")


def message(
    family: int,
    command: int,
    *attributes: bytes,
    flags: int = 0,
    dp: int | None = DP,
    version: int | None = None,
    reserved: int = 0,
) -> bytes:
    """A request. dp: dp_ifindex, None for a family without struct ovs_header.

    The sequence number is 0: whoever sends it sets one with `numbered`.
    """
    payload = GENL_HEADER.pack(
        command, VERSIONS.get(family, 1) if version is None else version, reserved
    )
    if dp is not None and family != NLCTRL:
        payload += struct.pack("=i", dp)
    payload += b"".join(attributes)
    return NLMSG_HEADER.pack(16 + len(payload), family, REQUEST | flags, 0, 0) + payload


def numbered(request: bytes, sequence: int) -> bytes:
    """The request with another nlmsg_seq, padded to be followed by another one."""
    return request[:8] + sequence.to_bytes(4, byteorder) + request[12:] + bytes(-len(request) & 3)


class Head(NamedTuple):
    """struct nlmsghdr."""

    length: int
    type: int
    flags: int
    sequence: int
    pid: int


def head(data: bytes) -> Head:
    """The header of a message."""
    return Head(*NLMSG_HEADER.unpack_from(data))


def errno_of(data: bytes) -> int | None:
    """The (positive) errno of NLMSG_ERROR and NLMSG_DONE, None of other messages."""
    if head(data).type not in (NLMSG_ERROR, NLMSG_DONE):
        return None
    return -int(struct.unpack_from("=i", data, 16)[0])


def split(datagram: bytes) -> Iterator[bytes]:
    """The messages of a datagram."""
    start = 0
    while len(datagram) - start >= 16:
        length = head(datagram[start : start + 16]).length
        assert 16 <= length <= len(datagram) - start, f"nlmsg_len {length} in {datagram.hex()}"
        yield datagram[start : start + length]
        start += length + 3 & ~3


def attributes(data: bytes) -> list[tuple[int, bytes]] | None:
    """(nla_type, payload) of each attribute; None where `data` is not made of attributes."""
    found = []
    start = 0
    while start < len(data):
        if len(data) - start < 4:
            return None
        length, number = struct.unpack_from("=HH", data, start)
        if not 4 <= length <= len(data) - start:
            return None
        found.append((number, data[start + 4 : start + length]))
        start += length + 3 & ~3
    return found


def body_start(family: int) -> int:
    """Where the attributes of a message begin."""
    return 20 if family == NLCTRL else 24
