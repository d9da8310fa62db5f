"""Keys and masks: `in_port(1),eth(dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(proto=6)`.

What the mask does not look at is left out, unless all is asked for (`verbose`); a mask is written
behind a value where it looks at some of the bits only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from ovsdp_cuse.wire.key import KEY_SIZES, CtState, KeyAttr
from ovsdp_cuse.wire.text import nsh, tunnel
from ovsdp_cuse.wire.text.fields import (
    IPV6_LABEL_BITS,
    Fields,
    Fragment,
    Show,
    Unmasked,
    Writer,
    decimal,
    hexadecimal,
    in_order,
    ipv4_field,
    ipv6_field,
    label_field,
    mac_field,
)
from ovsdp_cuse.wire.text.layout import (
    attributes_of,
    bad_length,
    first_attributes,
    leftover,
    spaced,
)
from ovsdp_cuse.wire.text.numbers import (
    big,
    c_hex,
    flags_text,
    masked_flags_text,
    names_of_bits,
    native,
    port_text,
)

VLAN_CFI: Final = 0x1000
DEEPEST: Final = 3
"""Keys in keys that are followed: a frame has two tags at most."""

_CT_STATES: Final[Mapping[int, str]] = {
    CtState.NEW: "new",
    CtState.ESTABLISHED: "est",
    CtState.RELATED: "rel",
    CtState.REPLY_DIR: "rpl",
    CtState.INVALID: "inv",
    CtState.TRACKED: "trk",
    CtState.SRC_NAT: "snat",
    CtState.DST_NAT: "dnat",
}
_TCP_FLAG_NAMES: Final = names_of_bits(
    "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"
)
_TCP_FLAG_BITS: Final = 0xFFF

Compile = Callable[[bytes | None, bool, bool], Writer]
"""mask (None: there is none), whether it looks at all bits, verbose -> how payloads are written."""


class Kind(NamedTuple):
    """How an attribute is written: its name, and what is in its parentheses.

    meaningful: the bytes of it that tell whether its mask looks at all or at nothing; the others
    are what C puts at the end of a structure.
    """

    name: str
    compile: Compile
    meaningful: int | None = None


def _fields(fields: Fields) -> Compile:
    return lambda mask, _exact, verbose: fields.writer(mask, verbose)


def _number(
    read: Callable[[bytes], int], always: bool, show: Show = c_hex, show_mask: Show | None = None
) -> Compile:
    """One number; `always`: it is written even where the mask looks at nothing of it."""

    def compile_(mask: bytes | None, exact: bool, verbose: bool) -> Writer:
        if not (always or verbose or (mask is not None and any(mask))):
            return lambda _payload: ""
        suffix = "" if exact or mask is None else f"/{(show_mask or show)(read(mask))}"
        return lambda payload: show(read(payload)) + suffix

    return compile_


def _ct_state(mask: bytes | None, exact: bool, verbose: bool) -> Writer:
    if verbose:
        return _number(native, True)(mask, exact, verbose)
    if exact or mask is None:
        return lambda payload: flags_text(_CT_STATES, native(payload))
    bits = native(mask)
    return lambda payload: masked_flags_text(_CT_STATES, native(payload), bits, 0xFFFFFFFF)


def _tcp_flags(mask: bytes | None, exact: bool, _verbose: bool) -> Writer:
    if exact or mask is None:
        return lambda payload: flags_text(_TCP_FLAG_NAMES, big(payload))
    bits = big(mask) & _TCP_FLAG_BITS
    return lambda payload: masked_flags_text(_TCP_FLAG_NAMES, big(payload), bits, _TCP_FLAG_BITS)


def _vlan(mask: bytes | None, _exact: bool, verbose: bool) -> Writer:
    bits = 0xFFFF if mask is None else big(mask)
    return lambda payload: vlan_text(big(payload), bits, verbose)


def vlan_text(tci: int, mask: int, verbose: bool) -> str:
    """vid=5,pcp=0, of the tag control information of a VLAN tag; cfi=0 where it is no tag."""
    parts = []
    for name, value, bits, ones in (
        ("vid", tci & 0xFFF, mask & 0xFFF, 0xFFF),
        ("pcp", tci >> 13, mask >> 13, 7),
    ):
        if verbose or value or bits:
            parts.append(f"{name}={value}" + ("" if bits == ones else f"/{bits:#x}"))
    if not tci & VLAN_CFI:
        parts.append("cfi=0")
    return ",".join(parts)


def _mpls(mask: bytes | None, exact: bool, _verbose: bool) -> Writer:
    def write(payload: bytes) -> str:
        size = len(payload)
        if not size or size % 4:
            return f"(bad key length {size})"
        labels = struct.unpack(f"!{size // 4}I", payload)
        if exact or mask is None:
            return ",".join(map(label_text, labels))
        if len(mask) != size:
            return f"(key length {size} != mask length {len(mask)})"
        masks = struct.unpack(f"!{size // 4}I", mask)
        return ",".join(map(_masked_label, labels, masks))

    return write


def label_text(entry: int) -> str:
    """label=100,tc=3,ttl=64,bos=1, of a label stack entry (RFC 3032)."""
    return f"label={entry >> 12},tc={entry >> 9 & 7},ttl={entry & 0xFF},bos={entry >> 8 & 1}"


def _masked_label(entry: int, mask: int) -> str:
    return (
        f"label={entry >> 12}/{mask >> 12:#x},tc={entry >> 9 & 7}/{mask >> 9 & 7:x}"
        f",ttl={entry & 0xFF}/{mask & 0xFF:#x},bos={entry >> 8 & 1}/{mask >> 8 & 1:x}"
    )


def _tunnel(mask: bytes | None, _exact: bool, verbose: bool) -> Writer:
    return lambda payload: tunnel.key_text(payload, mask, verbose)


def _nsh(mask: bytes | None, _exact: bool, _verbose: bool) -> Writer:
    return lambda payload: nsh.key_text(payload, mask)


def _unknown(mask: bytes | None, exact: bool, _verbose: bool) -> Writer:
    suffix = "" if exact or mask is None else f"/{spaced(mask)}"
    return lambda payload: spaced(payload) + suffix


def _ports() -> Compile:
    return _fields(in_order("!HH", decimal("src", 16), decimal("dst", 16)))


def _icmp() -> Compile:
    return _fields(in_order("BB", decimal("type", 8), decimal("code", 8)))


_ARP: Final = in_order(
    "!4s4sH6s6s2x",
    ipv4_field("sip"),
    ipv4_field("tip"),
    decimal("op", 16),
    mac_field("sha"),
    mac_field("tha"),
)
_IPV4: Final = in_order(
    "4s4sBBBB",
    ipv4_field("src"),
    ipv4_field("dst"),
    decimal("proto", 8),
    hexadecimal("tos", 8),
    decimal("ttl", 8),
    Fragment(),
)
_IPV6: Final = in_order(
    "!16s16sIBBBB",
    ipv6_field("src"),
    ipv6_field("dst"),
    label_field("label"),
    decimal("proto", 8),
    hexadecimal("tclass", 8),
    decimal("hlimit", 8),
    Fragment(),
)
_CT_TUPLE4: Final = Fields(
    "!4s4sHHB3x",
    [
        (0, ipv4_field("src")),
        (1, ipv4_field("dst")),
        (4, decimal("proto", 8)),
        (2, decimal("tp_src", 16)),
        (3, decimal("tp_dst", 16)),
    ],
)
_CT_TUPLE6: Final = Fields(
    "!16s16sHHB3x",
    [
        (0, ipv6_field("src")),
        (1, ipv6_field("dst")),
        (4, decimal("proto", 8)),
        (2, decimal("src_port", 16)),
        (3, decimal("dst_port", 16)),
    ],
)

KINDS: Final[Mapping[int, Kind]] = {
    KeyAttr.UNSPEC: Kind("unspec", _unknown),
    KeyAttr.ENCAP: Kind("encap", _unknown),
    KeyAttr.PRIORITY: Kind("skb_priority", _number(native, True)),
    KeyAttr.IN_PORT: Kind("in_port", _number(native, True, str, c_hex)),
    KeyAttr.ETHERNET: Kind("eth", _fields(in_order("6s6s", mac_field("src"), mac_field("dst")))),
    KeyAttr.VLAN: Kind("vlan", _vlan),
    KeyAttr.ETHERTYPE: Kind("eth_type", _number(big, True, "{:#06x}".format)),
    KeyAttr.IPV4: Kind("ipv4", _fields(_IPV4)),
    KeyAttr.IPV6: Kind("ipv6", _fields(_IPV6)),
    KeyAttr.TCP: Kind("tcp", _ports()),
    KeyAttr.UDP: Kind("udp", _ports()),
    KeyAttr.ICMP: Kind("icmp", _icmp()),
    KeyAttr.ICMPV6: Kind("icmpv6", _icmp()),
    KeyAttr.ARP: Kind("arp", _fields(_ARP), 22),
    KeyAttr.ND: Kind(
        "nd",
        _fields(in_order("16s6s6s", ipv6_field("target"), mac_field("sll"), mac_field("tll"))),
    ),
    KeyAttr.SKB_MARK: Kind("skb_mark", _number(native, True)),
    KeyAttr.TUNNEL: Kind("tunnel", _tunnel),
    KeyAttr.SCTP: Kind("sctp", _ports()),
    KeyAttr.TCP_FLAGS: Kind("tcp_flags", _tcp_flags),
    KeyAttr.DP_HASH: Kind("dp_hash", _number(native, True)),
    KeyAttr.RECIRC_ID: Kind("recirc_id", _number(native, True)),
    KeyAttr.MPLS: Kind("mpls", _mpls),
    KeyAttr.CT_STATE: Kind("ct_state", _ct_state),
    KeyAttr.CT_ZONE: Kind("ct_zone", _number(native, False)),
    KeyAttr.CT_MARK: Kind("ct_mark", _number(native, False)),
    KeyAttr.CT_LABELS: Kind("ct_label", _number(native, False)),
    KeyAttr.CT_ORIG_TUPLE_IPV4: Kind("ct_tuple4", _fields(_CT_TUPLE4), 13),
    KeyAttr.CT_ORIG_TUPLE_IPV6: Kind("ct_tuple6", _fields(_CT_TUPLE6), 37),
    KeyAttr.NSH: Kind("nsh", _nsh),
    KeyAttr.PACKET_TYPE: Kind(
        "packet_type", _fields(in_order("!HH", decimal("ns", 16), hexadecimal("id", 16)))
    ),
    KeyAttr.ND_EXTENSIONS: Kind(
        "nd_ext",
        _fields(in_order("!IB3x", Unmasked("nd_reserved"), decimal("nd_options_type", 8))),
    ),
}

NESTED: Final = (KeyAttr.ENCAP, KeyAttr.TUNNEL, KeyAttr.NSH)
"""What holds attributes is written even where the mask looks at nothing of it."""

NO_CONSTANT: Final = (KeyAttr.UNSPEC, KeyAttr.ENCAP)
"""Attributes of which nobody says that a mask looks at all, or at nothing, of them."""

OPEN_ETHERNET: Final = "eth()"
"""Tells that a frame has an Ethernet header at all, which no mask can; no comma follows it."""

UNCHECKED: Final = (KeyAttr.IPV6_EXTHDRS,)
"""What Linux 6.1 has and Open vSwitch 3.1 does not know: it has no size there, and no name."""

SIZES: Final[Mapping[int, int]] = {
    **{number: size for number, size in KEY_SIZES.items() if number not in UNCHECKED},
    KeyAttr.PACKET_TYPE: 4,
    KeyAttr.ND_EXTENSIONS: 8,
}


# Plain integers: looking up a member of an enumeration costs more than many an attribute's text.
_ENCAP: Final = int(KeyAttr.ENCAP)
_IN_PORT: Final = int(KeyAttr.IN_PORT)
_ETHERTYPE: Final = int(KeyAttr.ETHERTYPE)
_PACKET_TYPE: Final = int(KeyAttr.PACKET_TYPE)


def key_text(
    key: bytes,
    mask: bytes | None = None,
    port_names: Mapping[int, str] | None = None,
    verbose: bool = True,
) -> str:
    """A key as `ovs-dpctl dump-flows` writes it, from the payload of OVS_FLOW_ATTR_KEY.

    mask: the payload of OVS_FLOW_ATTR_MASK; all bits are looked at where it is None or empty.
    port_names: by number; without them ports are numbers. verbose: write fields that the mask does
    not look at, too, as `-m` does.
    """
    return _key_text(key, mask, port_names, verbose, 0)


def _key_text(
    key: bytes,
    mask: bytes | None,
    port_names: Mapping[int, str] | None,
    verbose: bool,
    depth: int,
) -> str:
    if not key:
        return "<empty>"
    attributes, used = attributes_of(key)
    masks = first_attributes(mask) if mask else None
    text = separator = ""
    tells_type = False
    for number, payload in attributes:
        bits = masks.get(number) if masks is not None else None
        if number == _ENCAP and depth < DEEPEST:
            inner = _key_text(payload, bits or None, None, verbose, depth + 1) if payload else ""
            piece: str | None = f"encap({inner})"
        elif number == _IN_PORT and port_names and len(payload) == 4:
            piece = _in_port(payload, bits, masks is not None, verbose, port_names)
        else:
            piece = _attribute(number, payload, bits, masks is not None, verbose)
        if number == _PACKET_TYPE:
            tells_type = piece is not None
        if piece is None or (piece == OPEN_ETHERNET and tells_type):
            continue
        if piece.startswith("("):
            text += piece
            continue
        text += separator + piece
        if piece != OPEN_ETHERNET or verbose:
            separator = ","
    text += leftover(key, used)
    # Frames without an EtherType: a mask asks for that where the key has none.
    if masks is None or _ETHERTYPE not in masks or any(n == _ETHERTYPE for n, _ in attributes):
        return text
    return f"{text},eth_type(0/0x{masks[_ETHERTYPE].hex()})"


def attribute_text(number: int, payload: bytes, mask: bytes | None, verbose: bool) -> str:
    """One attribute of a key alone, as actions set it; ports are numbers."""
    if number == KeyAttr.ENCAP:
        inner = _key_text(payload, mask or None, None, verbose, 1) if payload else ""
        return f"encap({inner})"
    wrong = bad_length(SIZES, number, payload, mask)
    return _write(number, mask, verbose)(payload) if wrong is None else wrong


@lru_cache(maxsize=4096)
def _attribute(
    number: int, payload: bytes, mask: bytes | None, is_masked: bool, verbose: bool
) -> str | None:
    """One attribute; None where it is left out. is_masked: whether there is a mask at all."""
    wrong = bad_length(SIZES, number, payload, mask)
    if wrong is not None:
        return wrong
    is_open = is_masked and (mask is None or _is_constant(number, mask, 0))
    if is_open and not verbose and number not in NESTED:
        return OPEN_ETHERNET if number == KeyAttr.ETHERNET else None
    if is_masked and mask is None:
        mask = b"" if number in NESTED else bytes(len(payload))
    return _write(number, mask, verbose)(payload)


def _in_port(
    payload: bytes,
    mask: bytes | None,
    is_masked: bool,
    verbose: bool,
    port_names: Mapping[int, str],
) -> str | None:
    """in_port(NAME); a mask that looks at some of the bits takes the number."""
    if not is_masked or mask == b"\xff\xff\xff\xff":
        return f"in_port({port_text(port_names)(native(payload))})"
    return _attribute(KeyAttr.IN_PORT, payload, mask, is_masked, verbose)


@lru_cache(maxsize=4096)
def _write(number: int, mask: bytes | None, verbose: bool) -> Writer:
    """How an attribute is written under a mask, its name and parentheses included."""
    kind = KINDS.get(number) or Kind(f"key{number}", _unknown)
    exact = mask is None or _is_constant(number, mask, 0xFF)
    inner = kind.compile(mask, exact, verbose)
    head = f"{kind.name}("

    def write(payload: bytes) -> str:
        text = inner(payload)
        # What is wrong with a label stack is told in parentheses that nobody closes.
        return head + text if text.startswith("(") else f"{head}{text})"

    return write


def _is_constant(number: int, mask: bytes, byte: int) -> bool:
    """Whether a mask looks at all bits (0xFF) or at none (0)."""
    if number in NO_CONSTANT or number not in KINDS:
        return False
    if number == KeyAttr.IPV6:
        # A label has 20 bits, whatever a mask says of the others.
        label = big(mask[32:36]) & IPV6_LABEL_BITS
        rest = mask[:32] + mask[36:]
        return bool(label == (IPV6_LABEL_BITS if byte else 0) and rest == bytes([byte]) * len(rest))
    if number == KeyAttr.TCP_FLAGS:
        flags = big(mask) & _TCP_FLAG_BITS
        return bool(flags == (_TCP_FLAG_BITS if byte else 0))
    counted = mask[: KINDS[number].meaningful]
    return counted == bytes([byte]) * len(counted)
