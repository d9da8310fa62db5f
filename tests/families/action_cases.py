"""Actions in netlink form, byte by byte, and keys of the flows that they are in."""

from __future__ import annotations

import struct

from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.action_attributes import (
    ADD_MPLS,
    HASH,
    PUSH_ETH,
    PUSH_MPLS,
    PUSH_VLAN,
    ActionAttr,
    AddMpls,
    CheckPktLenAttr,
    DecTtlAttr,
    Hash,
    PushEth,
    PushMpls,
    PushVlan,
    SampleAttr,
    UserspaceAttr,
)
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.nsh import NSH_KEY_BASE, NshKeyAttr, NshKeyBase

IPV4, IPV6, ARP, MPLS, MPLS_MULTICAST, NSH = 0x0800, 0x86DD, 0x0806, 0x8847, 0x8848, 0x894F
TEB = 0x6558
VLAN, QINQ = 0x8100, 0x88A8
TCP, UDP, SCTP, ICMP = 6, 17, 132, 1
CFI = 0x1000

MAC_A = bytes.fromhex("0a0000000001")
MAC_B = bytes.fromhex("0a0000000002")


def flow_key(
    eth_type: int = IPV4,
    protocol: int = TCP,
    fragment: int = 0,
    ethernet: bool = True,
    vlan_tci: int = 0,
    labels: int = 0,
    nsh_protocol: int = 0,
) -> int:
    """A flow's masked key: what the rules of actions look at."""
    return (
        k.ETH_TYPE.place(eth_type)
        | k.IP_PROTO.place(protocol)
        | k.IP_FRAG.place(fragment)
        | k.MAC_PROTO.place(k.MAC_PROTO_ETHERNET if ethernet else k.MAC_PROTO_NONE)
        | k.VLAN_TPID.place(VLAN if vlan_tci else 0)
        | k.VLAN_TCI.place(vlan_tci)
        | k.MPLS_LABEL_BITS.place((1 << labels) - 1)
        | k.NSH_NP.place(nsh_protocol)
    )


TCP_FLOW = flow_key()


def u16(number: int) -> bytes:
    """A number of the machine."""
    return struct.pack("=H", number)


def u32(number: int) -> bytes:
    """A number of the machine."""
    return struct.pack("=I", number)


def be16(number: int) -> bytes:
    """A number of the network."""
    return struct.pack("!H", number)


def output(port: int) -> bytes:
    """Send it through a port."""
    return pack_attribute(ActionAttr.OUTPUT, u32(port))


OUTPUT = output(2)
POP_VLAN = pack_attribute(ActionAttr.POP_VLAN, b"")
POP_ETH = pack_attribute(ActionAttr.POP_ETH, b"")
POP_NSH = pack_attribute(ActionAttr.POP_NSH, b"")
CT_CLEAR = pack_attribute(ActionAttr.CT_CLEAR, b"")


def trunc(size: int) -> bytes:
    """The next output is this short."""
    return pack_attribute(ActionAttr.TRUNC, u32(size))


def hash_(algorithm: int, basis: int = 0) -> bytes:
    """Compute a hash."""
    return pack_attribute(ActionAttr.HASH, HASH.build(Hash(algorithm, basis)))


def push_vlan(tpid: int = VLAN, tci: int = CFI | 5) -> bytes:
    """Push a tag."""
    return pack_attribute(ActionAttr.PUSH_VLAN, PUSH_VLAN.build(PushVlan(tpid, tci)))


def push_mpls(eth_type: int = MPLS, lse: int = 0x64140) -> bytes:
    """Push a label."""
    return pack_attribute(ActionAttr.PUSH_MPLS, PUSH_MPLS.build(PushMpls(lse, eth_type)))


def add_mpls(eth_type: int = MPLS, is_l3: bool = False, lse: int = 0x64140) -> bytes:
    """Push a label at the beginning, or (l3) behind the Ethernet header."""
    label = AddMpls(lse, eth_type, u16(is_l3))
    return pack_attribute(ActionAttr.ADD_MPLS, ADD_MPLS.build(label))


def pop_mpls(eth_type: int = IPV4) -> bytes:
    """Pop a label."""
    return pack_attribute(ActionAttr.POP_MPLS, be16(eth_type))


PUSH_ETHERNET = pack_attribute(ActionAttr.PUSH_ETH, PUSH_ETH.build(PushEth(MAC_A, MAC_B)))


def nsh_base(mdtype: int = 1, protocol: int = 3) -> bytes:
    """OVS_NSH_KEY_ATTR_BASE."""
    base = NshKeyBase(flags=1, ttl=63, mdtype=mdtype, np=protocol, path_hdr=0x000123FE)
    return pack_attribute(NshKeyAttr.BASE, NSH_KEY_BASE.build(base))


def push_nsh(attributes: bytes) -> bytes:
    """Push a service header."""
    return pack_attribute(ActionAttr.PUSH_NSH, pack_attribute(KeyAttr.NSH, attributes))


NSH_CONTEXT = pack_attribute(NshKeyAttr.MD1, bytes(range(16)))


def set_(number: int, value: bytes) -> bytes:
    """Set a header."""
    return pack_attribute(ActionAttr.SET, pack_attribute(number, value))


def set_masked(number: int, value: bytes, mask: bytes) -> bytes:
    """Set bits of a header."""
    return pack_attribute(ActionAttr.SET_MASKED, pack_attribute(number, value + mask))


def userspace(pid: int = 7, *attributes: tuple[int, bytes]) -> bytes:
    """Send it to userspace."""
    payload = pack_attribute(UserspaceAttr.PID, u32(pid))
    payload += b"".join(pack_attribute(*attribute) for attribute in attributes)
    return pack_attribute(ActionAttr.USERSPACE, payload)


def sample(actions: bytes, probability: int = 0xFFFFFFFF) -> bytes:
    """Run actions now and then."""
    return pack_attribute(
        ActionAttr.SAMPLE,
        pack_attribute(SampleAttr.PROBABILITY, u32(probability))
        + pack_attribute(SampleAttr.ACTIONS, actions),
    )


def clone(actions: bytes) -> bytes:
    """Run actions on a copy."""
    return pack_attribute(ActionAttr.CLONE, actions)


def check_pkt_len(length: int, greater: bytes, less_or_equal: bytes) -> bytes:
    """Run one list or the other, in the order in which Open vSwitch sends them."""
    return pack_attribute(
        ActionAttr.CHECK_PKT_LEN,
        pack_attribute(CheckPktLenAttr.PKT_LEN, u16(length))
        + pack_attribute(CheckPktLenAttr.ACTIONS_IF_GREATER, greater)
        + pack_attribute(CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL, less_or_equal),
    )


def dec_ttl(actions: bytes) -> bytes:
    """Decrement the TTL; run actions where it ends."""
    return pack_attribute(ActionAttr.DEC_TTL, pack_attribute(DecTtlAttr.ACTION, actions))


def ipv4(
    src: bytes = bytes(4),
    dst: bytes = bytes(4),
    proto: int = TCP,
    tos: int = 0,
    ttl: int = 64,
    frag: int = 0,
) -> bytes:
    """struct ovs_key_ipv4."""
    return src + dst + bytes([proto, tos, ttl, frag])


def ipv6(
    label: int = 0, proto: int = TCP, tclass: int = 0, hlimit: int = 64, frag: int = 0
) -> bytes:
    """struct ovs_key_ipv6 with addresses of zeros."""
    return bytes(32) + struct.pack("!IBBBB", label, proto, tclass, hlimit, frag)
