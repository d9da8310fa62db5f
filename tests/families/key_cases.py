"""Keys and masks for tests: in netlink form by attribute, and as the switch's integers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.key import (
    KEY_ATTRIBUTES,
    KeyArp,
    KeyAttr,
    KeyEthernet,
    KeyIcmp,
    KeyIpv4,
    KeyIpv6,
    KeyMpls,
    KeyNd,
    KeyPorts,
)
from ovsdp_cuse.wire.nsh import NshKeyAttr, NshKeyBase

MAC_A, MAC_B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
IP_A, IP_B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
IP6_A, IP6_B = b"\xfd" + bytes(14) + b"\1", b"\xfd" + bytes(14) + b"\2"
ALL = 0xFFFFFFFF

Attributes = dict[int, Any]

ETHERNET: Attributes = {KeyAttr.IN_PORT: 1, KeyAttr.ETHERNET: KeyEthernet(MAC_A, MAC_B)}
IPV4: Attributes = {
    **ETHERNET,
    KeyAttr.ETHERTYPE: 0x0800,
    KeyAttr.IPV4: KeyIpv4(IP_A, IP_B, 0, 0, 64),
}
TCP: Attributes = {
    **IPV4,
    KeyAttr.IPV4: KeyIpv4(IP_A, IP_B, 6, 0, 64),
    KeyAttr.TCP: KeyPorts(1000, 80),
    KeyAttr.TCP_FLAGS: 2,
}
UDP: Attributes = {
    **IPV4,
    KeyAttr.IPV4: KeyIpv4(IP_A, IP_B, 17, 0, 64),
    KeyAttr.UDP: KeyPorts(1000, 53),
}
IPV6: Attributes = {
    **ETHERNET,
    KeyAttr.ETHERTYPE: 0x86DD,
    KeyAttr.IPV6: KeyIpv6(IP6_A, IP6_B, 0x12345, 0, 0, 64),
}
ND: Attributes = {
    **IPV6,
    KeyAttr.IPV6: KeyIpv6(IP6_A, IP6_B, 0, 58, 0, 255),
    KeyAttr.ICMPV6: KeyIcmp(135, 0),
    KeyAttr.ND: KeyNd(IP6_B, MAC_A, bytes(6)),
}
ARP: Attributes = {
    **ETHERNET,
    KeyAttr.ETHERTYPE: 0x0806,
    KeyAttr.ARP: KeyArp(IP_A, IP_B, 1, MAC_A, bytes(6)),
}
MPLS: Attributes = {
    **ETHERNET,
    KeyAttr.ETHERTYPE: 0x8847,
    KeyAttr.MPLS: (KeyMpls(0x64000), KeyMpls(0xC8140)),
}
NSH: Attributes = {
    **ETHERNET,
    KeyAttr.ETHERTYPE: 0x894F,
    KeyAttr.NSH: {
        NshKeyAttr.BASE: NshKeyBase(0, 63, 1, 3, 0x123FF),
        NshKeyAttr.MD1: bytes(range(16)),
    },
}
VLAN: Attributes = {
    **ETHERNET,
    KeyAttr.ETHERTYPE: 0x8100,
    KeyAttr.VLAN: 0x100A,
    KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0x0800, KeyAttr.IPV4: KeyIpv4(IP_A, IP_B)},
}
TWO_TAGS: Attributes = {
    **ETHERNET,
    KeyAttr.ETHERTYPE: 0x88A8,
    KeyAttr.VLAN: 0x100A,
    KeyAttr.ENCAP: {
        KeyAttr.ETHERTYPE: 0x8100,
        KeyAttr.VLAN: 0x1014,
        KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0x0800, KeyAttr.IPV4: KeyIpv4(IP_A, IP_B)},
    },
}
LAYER_3: Attributes = {KeyAttr.IN_PORT: 1, KeyAttr.ETHERTYPE: 0x0800, KeyAttr.IPV4: KeyIpv4()}

EVERY_KIND = {
    "ethernet": ETHERNET,
    "ipv4": IPV4,
    "tcp": TCP,
    "udp": UDP,
    "ipv6": IPV6,
    "nd": ND,
    "arp": ARP,
    "mpls": MPLS,
    "nsh": NSH,
    "vlan": VLAN,
    "two tags": TWO_TAGS,
    "layer 3": LAYER_3,
}


def wire(attributes: Attributes, **changes: Any) -> bytes:
    """A key in netlink form; `changes` by name of attribute, None to leave one out."""
    changed = dict(attributes)
    changed.update({KeyAttr[name]: value for name, value in changes.items()})
    return KEY_ATTRIBUTES.build({n: value for n, value in changed.items() if value is not None})


def fields(key: int) -> dict[str, int | bytes]:
    """The fields of a key that are not zero."""
    return {name: field.get(key) for name, field in k.FIELDS.items() if key & field.ones}


def make_key(**values: int | bytes) -> int:
    """A key of these fields."""
    key = 0
    for name, value in values.items():
        field = k.FIELDS[name]
        if isinstance(field, k.BytesField):
            assert isinstance(value, bytes)
            key |= field.place(value)
        else:
            assert isinstance(value, int)
            key |= field.place(value)
    return key


def numbers(bits: int) -> st.SearchStrategy[int]:
    """Any number of so many bits; zeros and ones more often than others."""
    return st.sampled_from([0, (1 << bits) - 1]) | st.integers(0, (1 << bits) - 1)


@st.composite
def switch_keys(draw: st.DrawFn) -> int:
    """Keys of every kind of packet, with nothing in them that the packet has not."""
    key = k.IN_PORT.place(draw(numbers(16)))
    for name in ("recirc_id", "priority", "skb_mark", "dp_hash", "ct_mark"):
        key |= make_key(**{name: draw(numbers(32))})
    key |= k.CT_STATE.place(draw(numbers(8))) | k.CT_ZONE.place(draw(numbers(16)))
    key |= k.CT_LABELS.place(draw(st.binary(min_size=16, max_size=16)))
    kind = draw(st.sampled_from([None, 0x0800, 0x0806, 0x8035, 0x86DD, 0x8847, 0x8848, 0x894F, 0]))
    if kind is None or draw(st.booleans()):
        key |= k.MAC_PROTO.place(k.MAC_PROTO_ETHERNET)
        key |= _some(draw, "eth_src", "eth_dst")
        key |= draw(_tags())
    if kind is None:
        return key | k.ETH_TYPE.place(0x0004)
    key |= k.ETH_TYPE.place(kind or draw(st.sampled_from([0x0600, 0x88CC, 0xFFFF])))
    return key | _network(draw, kind)


@st.composite
def _tags(draw: st.DrawFn) -> int:
    count = draw(st.integers(0, 3))
    key = 0
    if count:
        key |= k.VLAN_TPID.place(draw(st.sampled_from([0x8100, 0x88A8])))
        key |= k.VLAN_TCI.place(0x1000 | draw(numbers(16)))
    if count > 1:
        key |= k.CVLAN_TPID.place(draw(st.sampled_from([0x8100, 0x88A8])))
        key |= k.CVLAN_TCI.place(0x1000 | draw(numbers(16)))
    return key


def _some(draw: st.DrawFn, *names: str) -> int:
    """Fields with anything in them."""
    key = 0
    for name in names:
        field = k.FIELDS[name]
        content = draw(st.binary(min_size=field.size, max_size=field.size))
        key |= int.from_bytes(content, "little") << field.shift
    return key


def _network(draw: st.DrawFn, kind: int) -> int:
    match kind:
        case 0x0800 | 0x86DD:
            version = "ipv4" if kind == 0x0800 else "ipv6"
            key = _some(draw, f"{version}_src", f"{version}_dst", "ip_tos", "ip_ttl")
            if version == "ipv6":
                key |= k.IPV6_LABEL.place(draw(numbers(20))) | _some(draw, "ipv6_exthdrs")
            return key | _transport(draw, version)
        case 0x0806 | 0x8035:
            return _some(draw, "ip_proto", "ipv4_src", "ipv4_dst", "arp_sha", "arp_tha")
        case 0x8847 | 0x8848:
            labels = draw(st.integers(1, 3))
            key = k.MPLS_LABEL_BITS.place((1 << labels) - 1)
            return key | _some(draw, *(f"mpls_lse_{index}" for index in range(labels)))
        case 0x894F:
            key = _some(draw, "nsh_flags", "nsh_ttl", "nsh_np", "nsh_path_hdr")
            mdtype = draw(st.sampled_from([0, 1, 2]))
            key |= k.NSH_MDTYPE.place(mdtype)
            return key | (_some(draw, "nsh_context") if mdtype == 1 else 0)
    return 0


def _transport(draw: st.DrawFn, version: str) -> int:
    protocol = draw(st.sampled_from([0, 1, 6, 17, 50, 58, 132]))
    fragment = draw(st.sampled_from([0, 0, 1, 2]))
    key = k.IP_PROTO.place(protocol) | k.IP_FRAG.place(fragment)
    if fragment == 2:
        return key
    is_nd = False
    if protocol in (6, 17, 132):
        key |= _some(draw, "tp_src", "tp_dst")
        if protocol == 6:
            key |= _some(draw, "tcp_flags")
    elif protocol == (1 if version == "ipv4" else 58):
        kind = draw(st.sampled_from([0, 8, 128, 135, 136, 255]))
        key |= k.TP_SRC.place(kind) | k.TP_DST.place(draw(numbers(8)))
        is_nd = version == "ipv6" and kind in (135, 136)
        if is_nd:
            key |= _some(draw, "nd_target", "nd_sll", "nd_tll")
    if not is_nd and draw(st.booleans()):
        key |= k.CT_ORIG_PROTO.place(draw(st.integers(1, 255)))
        key |= _some(draw, f"ct_orig_{version}_src", f"ct_orig_{version}_dst")
        key |= _some(draw, "ct_orig_tp_src", "ct_orig_tp_dst")
    return key


@st.composite
def tunnels(draw: st.DrawFn) -> int:
    """The fields of a tunnel that a key has."""
    version = draw(st.sampled_from([4, 6]))
    key = k.TUN_PROTO.place(2 if version == 4 else 10)
    key |= _some(draw, f"tun_ipv{version}_src", f"tun_ipv{version}_dst")
    key |= _some(draw, "tun_tos", "tun_ttl", "tun_tp_src", "tun_tp_dst")
    destination = k.TUN_IPV4_DST if version == 4 else k.TUN_IPV6_DST
    if not key & destination.ones:
        key |= destination.place(b"\1" * destination.size)
    flags = draw(st.integers(0, 15))
    bits = sum(bit for index, bit in enumerate((0x1, 0x4, 0x100, 0x200)) if flags >> index & 1)
    if bits & 0x4:
        key |= _some(draw, "tun_id")
    option = draw(st.sampled_from([0, 0x0800, 0x1000, 0x4000]))
    if option:
        size = {0x0800: 4 * draw(st.integers(0, 63)), 0x1000: 4, 0x4000: 12}[option]
        content = draw(st.binary(min_size=size, max_size=size))
        # Options without a byte are not told.
        bits |= option if size else 0
        key |= k.TUN_OPTS_LEN.place(size) | k.TUN_OPTS.place(content.ljust(255, b"\0"))
    return key | k.TUN_FLAGS.place(bits)


LOOSE = [
    *("recirc_id", "priority", "skb_mark", "dp_hash", "ct_zone", "ct_mark", "ct_labels"),
    *("eth_src", "eth_dst", "ip_tos", "ip_ttl", "ip_frag", "ipv4_src", "ipv4_dst"),
    *("ipv6_src", "ipv6_dst", "ipv6_label", "ipv6_exthdrs", "arp_sha", "arp_tha"),
    *("nd_target", "nd_sll", "nd_tll", "tcp_flags"),
]
"""Fields of which a mask may have any bits, whatever else it has."""


@st.composite
def masks(draw: st.DrawFn, exact: int) -> int:
    """An exact mask with any bits of loose fields cleared."""
    cleared = _some(draw, *draw(st.lists(st.sampled_from(LOOSE), unique=True)))
    return exact & ~cleared
