"""The flow key: what a switch knows of a packet, as one integer.

Every field of struct sw_flow_key (net/openvswitch/flow.h of Linux 6.1) has a fixed place in a
Python integer, and a mask has the same layout. So a masked key is `key & mask`, a look-up is that
and one hash, and comparing two keys is comparing two integers.

What is common lies low and what is rare lies high: an integer does not store leading zeros, so the
key of a plain TCP packet is short although a key may have tunnel options of 255 bytes.

Fields are numbers, or bytes as they stand in the packet (addresses, labels). What the kernel keeps
in odd places is kept there, because masks show it: an ARP operation is in `ip_proto`, ARP's
protocol addresses in `ipv4_src` and `ipv4_dst`, ICMP type and code in `tp_src` and `tp_dst`. What
it keeps in unions has places of its own here.
"""

from __future__ import annotations

import struct
from typing import Final


class Field:
    """One field: `size` bytes at bit `shift`; `ones` is the field's part of an exact mask."""

    __slots__ = ("name", "ones", "shift", "size")

    def __init__(self, name: str, size: int, shift: int) -> None:
        self.name = name
        self.size = size
        self.shift = shift
        self.ones = ((1 << 8 * size) - 1) << shift

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class NumberField(Field):
    """A field that holds a number."""

    __slots__ = ()

    def get(self, key: int) -> int:
        """The number in a key or mask."""
        return (key & self.ones) >> self.shift

    def place(self, value: int) -> int:
        """A key with this number in the field and zeros elsewhere; ValueError if it is too big."""
        if value >> 8 * self.size:
            raise ValueError(f"{self.name} has {self.size} bytes, {value:#x} does not fit")
        return value << self.shift

    def replace(self, key: int, value: int) -> int:
        """The key with another number in this field."""
        return (key & ~self.ones) | self.place(value)


class BytesField(Field):
    """A field that holds bytes as they stand in the packet."""

    __slots__ = ()

    def get(self, key: int) -> bytes:
        """The bytes in a key or mask."""
        return ((key & self.ones) >> self.shift).to_bytes(self.size, "little")

    def place(self, value: bytes) -> int:
        """A key with these bytes in the field and zeros elsewhere; ValueError for another size."""
        if len(value) != self.size:
            raise ValueError(f"{self.name} has {self.size} bytes, not {len(value)}")
        return int.from_bytes(value, "little") << self.shift

    def replace(self, key: int, value: bytes) -> int:
        """The key with other bytes in this field."""
        return (key & ~self.ones) | self.place(value)


FIELDS: Final[dict[str, NumberField | BytesField]] = {}
"""All fields by name, from the lowest bits to the highest."""


def _end() -> int:
    last = next(reversed(FIELDS.values()), None)
    return last.shift + 8 * last.size if last is not None else 0


def _number(name: str, size: int) -> NumberField:
    field = FIELDS[name] = NumberField(name, size, _end())
    return field


def _bytes(name: str, size: int) -> BytesField:
    field = FIELDS[name] = BytesField(name, size, _end())
    return field


# The first part is what every frame has, up to IPv4 with ports: `FIRST_PART` packs it at once.
IN_PORT = _number("in_port", 2)
RECIRC_ID = _number("recirc_id", 4)
MAC_PROTO = _number("mac_proto", 1)
ETH_DST = _bytes("eth_dst", 6)
ETH_SRC = _bytes("eth_src", 6)
VLAN_TPID = _number("vlan_tpid", 2)
VLAN_TCI = _number("vlan_tci", 2)
CVLAN_TPID = _number("cvlan_tpid", 2)
CVLAN_TCI = _number("cvlan_tci", 2)
ETH_TYPE = _number("eth_type", 2)
IP_PROTO = _number("ip_proto", 1)
IP_TOS = _number("ip_tos", 1)
IP_TTL = _number("ip_ttl", 1)
IP_FRAG = _number("ip_frag", 1)
IPV4_SRC = _bytes("ipv4_src", 4)
IPV4_DST = _bytes("ipv4_dst", 4)
TP_SRC = _number("tp_src", 2)
TP_DST = _number("tp_dst", 2)
TCP_FLAGS = _number("tcp_flags", 2)

FIRST_PART: Final = struct.Struct("<HIB6s6sHHHHHBBBB4s4sHHH")
"""The fields above, in order; int.from_bytes(FIRST_PART.pack(...), "little") is a key."""
assert 8 * FIRST_PART.size == _end()

PRIORITY = _number("priority", 4)
SKB_MARK = _number("skb_mark", 4)
DP_HASH = _number("dp_hash", 4)

IPV6_SRC = _bytes("ipv6_src", 16)
IPV6_DST = _bytes("ipv6_dst", 16)
IPV6_LABEL = _number("ipv6_label", 4)
IPV6_EXTHDRS = _number("ipv6_exthdrs", 2)

ARP_SHA = _bytes("arp_sha", 6)
ARP_THA = _bytes("arp_tha", 6)
ND_TARGET = _bytes("nd_target", 16)
ND_SLL = _bytes("nd_sll", 6)
ND_TLL = _bytes("nd_tll", 6)

CT_STATE = _number("ct_state", 1)
CT_ZONE = _number("ct_zone", 2)
CT_MARK = _number("ct_mark", 4)
CT_LABELS = _bytes("ct_labels", 16)
CT_ORIG_PROTO = _number("ct_orig_proto", 1)
CT_ORIG_TP_SRC = _number("ct_orig_tp_src", 2)
CT_ORIG_TP_DST = _number("ct_orig_tp_dst", 2)
CT_ORIG_IPV4_SRC = _bytes("ct_orig_ipv4_src", 4)
CT_ORIG_IPV4_DST = _bytes("ct_orig_ipv4_dst", 4)
CT_ORIG_IPV6_SRC = _bytes("ct_orig_ipv6_src", 16)
CT_ORIG_IPV6_DST = _bytes("ct_orig_ipv6_dst", 16)

MPLS_LABEL_BITS = _number("mpls_label_bits", 1)
"""A bit for each label that is there, as num_labels_mask of the kernel."""
MPLS_LSE_0 = _number("mpls_lse_0", 4)
MPLS_LSE_1 = _number("mpls_lse_1", 4)
MPLS_LSE_2 = _number("mpls_lse_2", 4)
MPLS_LSES = (MPLS_LSE_0, MPLS_LSE_1, MPLS_LSE_2)
"""Label stack entries, the outermost first: label 20 bits, traffic class 3, bottom 1, TTL 8."""

NSH_FLAGS = _number("nsh_flags", 1)
NSH_TTL = _number("nsh_ttl", 1)
NSH_MDTYPE = _number("nsh_mdtype", 1)
NSH_NP = _number("nsh_np", 1)
NSH_PATH_HDR = _number("nsh_path_hdr", 4)
NSH_CONTEXT = _bytes("nsh_context", 16)

TUN_PROTO = _number("tun_proto", 1)
"""Address family of the tunnel: AF_INET (2), AF_INET6 (10), or 0 where there is no tunnel."""
TUN_ID = _bytes("tun_id", 8)
TUN_FLAGS = _number("tun_flags", 2)
"""TUNNEL_* bits of <linux/if_tunnel.h>, in the byte order of the machine."""
TUN_TOS = _number("tun_tos", 1)
TUN_TTL = _number("tun_ttl", 1)
TUN_TP_SRC = _number("tun_tp_src", 2)
TUN_TP_DST = _number("tun_tp_dst", 2)
TUN_LABEL = _number("tun_label", 4)
TUN_IPV4_SRC = _bytes("tun_ipv4_src", 4)
TUN_IPV4_DST = _bytes("tun_ipv4_dst", 4)
TUN_IPV6_SRC = _bytes("tun_ipv6_src", 16)
TUN_IPV6_DST = _bytes("tun_ipv6_dst", 16)
TUN_OPTS_LEN = _number("tun_opts_len", 1)
TUN_OPTS = _bytes("tun_opts", 255)
"""Options of the tunnel, from the beginning of the field; TUN_OPTS_LEN bytes of it count."""

MAC_PROTO_NONE = 0
MAC_PROTO_ETHERNET = 1
NO_PORT = 0xFFFF
"""`in_port` of a packet that came through no port (DP_MAX_PORTS)."""


def format_key(key: int) -> str:
    """The fields that are not zero, as name=value; for tests and logs."""
    parts = []
    for name, field in FIELDS.items():
        if key & field.ones:
            value = field.get(key)
            parts.append(
                f"{name}={value:#x}" if isinstance(value, int) else f"{name}={value.hex()}"
            )
    return ", ".join(parts)
