"""Actions as people read them, in the spelling of ovs-dpctl(8) and ovs-actions(7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

from ovsdp_cuse.wire.action_attributes import (
    OVS_HASH_ALG_L4,
    OVS_HASH_ALG_SYM_L4,
    AddMpls,
    CtAttr,
    Hash,
    NatAttr,
    PushEth,
    PushMpls,
    PushVlan,
    UserspaceAttr,
)
from ovsdp_cuse.wire.exact import mac
from ovsdp_cuse.wire.key import KEY_ATTRIBUTES, KeyAttr

ETH_P_8021Q: Final = 0x8100
VLAN_CFI: Final = 0x1000

_HASHES: Final = {OVS_HASH_ALG_L4: "hash_l4", OVS_HASH_ALG_SYM_L4: "hash_sym_l4"}
_KEY_NAMES: Final[dict[int, str]] = {KeyAttr.ETHERNET: "eth"}


def push_vlan(tag: PushVlan) -> str:
    """push_vlan(vid=5,pcp=0); the TPID where it is not the usual one."""
    parts = [f"vid={tag.tci & 0xFFF}", f"pcp={tag.tci >> 13}"]
    if tag.tpid != ETH_P_8021Q:
        parts.insert(0, f"tpid={tag.tpid:#06x}")
    if not tag.tci & VLAN_CFI:
        parts.append("cfi=0")
    return f"push_vlan({','.join(parts)})"


def push_mpls(label: PushMpls) -> str:
    """push_mpls(label=100,tc=3,ttl=64,bos=1,eth_type=0x8847)."""
    return f"push_mpls({_label(label.lse)},eth_type={label.ethertype:#x})"


def add_mpls(label: AddMpls) -> str:
    """As push_mpls; it says where the label goes, too."""
    place = "l3" if label.is_l3 else "l2"
    return f"add_mpls({_label(label.lse)},eth_type={label.ethertype:#x},{place})"


def _label(lse: int) -> str:
    return f"label={lse >> 12},tc={lse >> 9 & 7},ttl={lse & 0xFF},bos={lse >> 8 & 1}"


def push_eth(addresses: PushEth) -> str:
    """push_eth(src=...,dst=...)."""
    return f"push_eth(src={mac(addresses.src)},dst={mac(addresses.dst)})"


def hash_(algorithm: Hash) -> str:
    """hash(hash_l4(0))."""
    name = _HASHES.get(algorithm.algorithm, f"alg_{algorithm.algorithm}")
    return f"hash({name}({algorithm.basis}))"


def userspace(attributes: Mapping[int, Any]) -> str:
    """userspace(pid=...,userdata(...),actions,tunnel_out_port=...)."""
    parts = []
    if UserspaceAttr.PID in attributes:
        parts.append(f"pid={attributes[UserspaceAttr.PID]}")
    if UserspaceAttr.USERDATA in attributes:
        parts.append(f"userdata({attributes[UserspaceAttr.USERDATA].hex()})")
    if UserspaceAttr.ACTIONS in attributes:
        parts.append("actions")
    if UserspaceAttr.EGRESS_TUN_PORT in attributes:
        parts.append(f"tunnel_out_port={attributes[UserspaceAttr.EGRESS_TUN_PORT]}")
    return f"userspace({','.join(parts)})"


def set_key(attributes: Mapping[int, Any]) -> str:
    """set(eth(src=...,dst=...))."""
    shown = (f"{_name(n)}({','.join(_fields(n, value))})" for n, value in attributes.items())
    return f"set({','.join(shown)})"


def set_masked(item: tuple[int, Any, Any]) -> str:
    """set(ipv4(ttl=9/255)): value and mask of the fields that are set at all."""
    number, value, mask = item
    # A mask that is a structure, or a tuple of one, tells which of the fields count.
    bits = mask[0] if isinstance(mask, tuple) and mask and isinstance(mask[0], tuple) else mask
    masks = bits if isinstance(bits, tuple) else (bits,)
    parts = [
        f"{shown}/{shown_mask.rpartition('=')[2]}"
        for shown, shown_mask, one in zip(
            _fields(number, value), _fields(number, mask), masks, strict=False
        )
        if (any(one) if isinstance(one, bytes) else one)
    ]
    return f"set({_name(number)}({','.join(parts)}))"


def _name(number: int) -> str:
    return _KEY_NAMES.get(number) or KEY_ATTRIBUTES.names.get(number, str(number)).lower()


def _fields(number: int, value: Any) -> list[str]:
    """What a key's attribute says: name=value of each field, or one value that has no name."""
    text = KEY_ATTRIBUTES.table[number].format(value)
    return text.strip("[{}]").split(", ")


def ct(attributes: Mapping[int, Any]) -> str:
    """ct(commit,zone=3,mark=0x1/0xf,nat(src=10.0.0.1))."""
    return "ct" + (f"({','.join(_ct_parts(attributes))})" if attributes else "")


def _ct_parts(attributes: Mapping[int, Any]) -> Iterator[str]:
    for number, value in attributes.items():
        match number:
            case CtAttr.COMMIT:
                yield "commit"
            case CtAttr.FORCE_COMMIT:
                yield "force_commit"
            case CtAttr.MARK:
                yield f"mark={value.value:#x}/{value.mask:#x}"
            case CtAttr.LABELS:
                yield f"label={value.value.hex()}/{value.mask.hex()}"
            case CtAttr.NAT:
                yield "nat" + (f"({','.join(_nat_parts(value))})" if value else "")
            case CtAttr.HELPER | CtAttr.TIMEOUT:
                # A name is the client's; it must not steer the terminal that it is shown on.
                yield f"{CtAttr(number).name.lower()}={ascii(value.split(bytes(1))[0])[2:-1]}"
            case _:
                yield f"{CtAttr(number).name.lower()}={value}"


def _nat_parts(attributes: Mapping[int, Any]) -> Iterator[str]:
    """Addresses and ports belong to the direction; the other options are flags."""
    for number in (NatAttr.SRC, NatAttr.DST):
        if number in attributes:
            addresses = _range(attributes, NatAttr.IP_MIN, NatAttr.IP_MAX)
            ports = _range(attributes, NatAttr.PROTO_MIN, NatAttr.PROTO_MAX)
            if ports and ":" in addresses:
                addresses = f"[{addresses}]"
            where = f"={addresses}" + (f":{ports}" if ports else "") if addresses or ports else ""
            yield number.name.lower() + where
    for number in (NatAttr.PERSISTENT, NatAttr.PROTO_HASH, NatAttr.PROTO_RANDOM):
        if number in attributes:
            yield number.name.lower().removeprefix("proto_")


def _range(attributes: Mapping[int, Any], lowest: NatAttr, highest: NatAttr) -> str:
    ends = [
        str(ip_address(end)) if isinstance(end, bytes) and len(end) in (4, 16) else str(end)
        for end in (attributes.get(lowest), attributes.get(highest))
        if end is not None
    ]
    return "-".join(dict.fromkeys(ends))
