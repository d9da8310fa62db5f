"""How the attributes of a key are written that are not just fields one after the other."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from ovsdp_cuse.wire.key import CtState
from ovsdp_cuse.wire.text import nsh, tunnel
from ovsdp_cuse.wire.text.fields import Fields, Show, Writer
from ovsdp_cuse.wire.text.layout import spaced
from ovsdp_cuse.wire.text.numbers import (
    big,
    c_hex,
    flags_text,
    masked_flags_text,
    names_of_bits,
    native,
)

VLAN_CFI: Final = 0x1000
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
TCP_FLAG_BITS: Final = 0xFFF

Compile = Callable[[bytes | None, bool, bool], Writer]
"""mask (None: there is none), whether it looks at all bits, verbose -> how payloads are written."""


def of_fields(fields: Fields) -> Compile:
    """The fields of a structure."""
    return lambda mask, _exact, verbose: fields.writer(mask, verbose)


def number(
    read: Callable[[bytes], int], always: bool, show: Show = c_hex, show_mask: Show | None = None
) -> Compile:
    """One number; `always`: it is written even where the mask looks at nothing of it."""

    def compile_(mask: bytes | None, exact: bool, verbose: bool) -> Writer:
        if not (always or verbose or (mask is not None and any(mask))):
            return lambda _payload: ""
        suffix = "" if exact or mask is None else f"/{(show_mask or show)(read(mask))}"
        return lambda payload: show(read(payload)) + suffix

    return compile_


def ct_state(mask: bytes | None, exact: bool, verbose: bool) -> Writer:
    """The state of a connection: names of its bits, but a number where all is shown."""
    if verbose:
        return number(native, True)(mask, exact, verbose)
    if exact or mask is None:
        return lambda payload: flags_text(_CT_STATES, native(payload))
    bits = native(mask)
    return lambda payload: masked_flags_text(_CT_STATES, native(payload), bits, 0xFFFFFFFF)


def tcp_flags(mask: bytes | None, exact: bool, _verbose: bool) -> Writer:
    """Flags by their names."""
    if exact or mask is None:
        return lambda payload: flags_text(_TCP_FLAG_NAMES, big(payload))
    bits = big(mask) & TCP_FLAG_BITS
    return lambda payload: masked_flags_text(_TCP_FLAG_NAMES, big(payload), bits, TCP_FLAG_BITS)


def vlan(mask: bytes | None, _exact: bool, verbose: bool) -> Writer:
    """A VLAN tag."""
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


def mpls(mask: bytes | None, exact: bool, _verbose: bool) -> Writer:
    """A stack of labels; a mask has as many."""

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


def tunnel_key(mask: bytes | None, _exact: bool, verbose: bool) -> Writer:
    """The attributes of a tunnel key."""
    return lambda payload: tunnel.key_text(payload, mask, verbose)


def nsh_key(mask: bytes | None, _exact: bool, _verbose: bool) -> Writer:
    """The attributes of a service header."""
    return lambda payload: nsh.key_text(payload, mask)


def unknown(mask: bytes | None, exact: bool, _verbose: bool) -> Writer:
    """The bytes of what has no text of its own."""
    suffix = "" if exact or mask is None else f"/{spaced(mask)}"
    return lambda payload: spaced(payload) + suffix
