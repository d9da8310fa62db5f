"""Tunnel keys: OVS_KEY_ATTR_TUNNEL <-> the tunnel's fields of a switch key.

Source of the rules: ip_tun_from_nlattr() and __ip_tun_to_nlattr() in
net/openvswitch/flow_netlink.c of Linux 6.1.

The kernel keeps the IPv4 addresses in the first eight bytes of the IPv6 source address, and the
options at the end of their space. Both show where a mask is of another kind than its key, so a
mask's address has its bits in the places of both families, and a mask's options are aligned with
the key's.
"""

from __future__ import annotations

import struct
from errno import EINVAL
from typing import Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.tunnel import TUNNEL, VXLAN, TunnelKeyAttr, VxlanExt

AF_INET: Final = 2
AF_INET6: Final = 10

# TUNNEL_* of <linux/if_tunnel.h>, as numbers.
TUNNEL_CSUM: Final = 0x0001
TUNNEL_KEY: Final = 0x0004
TUNNEL_DONT_FRAGMENT: Final = 0x0100
TUNNEL_OAM: Final = 0x0200
TUNNEL_GENEVE_OPT: Final = 0x0800
TUNNEL_VXLAN_OPT: Final = 0x1000
TUNNEL_ERSPAN_OPT: Final = 0x4000

OPTIONS_MAXIMUM: Final = k.TUN_OPTS.size
ERSPAN_METADATA_SIZE: Final = 12
"""sizeof(struct erspan_metadata): the version, and the larger of its two forms."""

FLAGS: Final[dict[int, int]] = {
    TunnelKeyAttr.ID: TUNNEL_KEY,
    TunnelKeyAttr.DONT_FRAGMENT: TUNNEL_DONT_FRAGMENT,
    TunnelKeyAttr.CSUM: TUNNEL_CSUM,
    TunnelKeyAttr.OAM: TUNNEL_OAM,
    TunnelKeyAttr.GENEVE_OPTS: TUNNEL_GENEVE_OPT,
    TunnelKeyAttr.VXLAN_OPTS: TUNNEL_VXLAN_OPT,
    TunnelKeyAttr.ERSPAN_OPTS: TUNNEL_ERSPAN_OPT,
}
"""The bit of TUN_FLAGS that each attribute sets by being there."""

OPTIONS: Final = frozenset(
    {TunnelKeyAttr.GENEVE_OPTS, TunnelKeyAttr.VXLAN_OPTS, TunnelKeyAttr.ERSPAN_OPTS}
)
"""Options of a tunnel; a key has those of one kind."""

_NUMBERS: Final[dict[int, k.NumberField]] = {
    TunnelKeyAttr.TOS: k.TUN_TOS,
    TunnelKeyAttr.TTL: k.TUN_TTL,
    TunnelKeyAttr.TP_SRC: k.TUN_TP_SRC,
    TunnelKeyAttr.TP_DST: k.TUN_TP_DST,
}

_ADDRESS_FIELDS: Final = (
    (TunnelKeyAttr.IPV4_SRC, k.TUN_IPV4_SRC),
    (TunnelKeyAttr.IPV4_DST, k.TUN_IPV4_DST),
    (TunnelKeyAttr.IPV6_SRC, k.TUN_IPV6_SRC),
    (TunnelKeyAttr.IPV6_DST, k.TUN_IPV6_DST),
)
_IPV4: Final = {TunnelKeyAttr.IPV4_SRC, TunnelKeyAttr.IPV4_DST, TunnelKeyAttr.IPV4_INFO_BRIDGE}
_IPV6: Final = {TunnelKeyAttr.IPV6_SRC, TunnelKeyAttr.IPV6_DST}

TUNNEL_KEY_FIELDS: Final = (
    k.TUN_ID.ones
    | k.TUN_FLAGS.ones
    | k.TUN_TOS.ones
    | k.TUN_TTL.ones
    | k.TUN_TP_SRC.ones
    | k.TUN_TP_DST.ones
    | k.TUN_LABEL.ones
    | k.TUN_IPV4_SRC.ones
    | k.TUN_IPV4_DST.ones
    | k.TUN_IPV6_SRC.ones
    | k.TUN_IPV6_DST.ones
)
"""struct ip_tunnel_key: all of a tunnel but its family and its options."""

_GBP: Final = struct.Struct("=I")


def parse_tunnel(data: bytes) -> int:
    """The tunnel's fields of a switch key; raises DatapathError (EINVAL).

    TUN_FLAGS says which options there are. OVS_TUNNEL_KEY_ATTR_IPV4_INFO_BRIDGE is checked, but a
    switch key has no place for it.
    """
    payloads = _collect(data)
    options = _check_options(payloads)
    fields = _common(payloads)
    for number, field in _ADDRESS_FIELDS:
        if number in payloads:
            fields |= field.place(payloads[number])
    is_ipv6 = not _IPV6.isdisjoint(payloads)
    fields |= k.TUN_PROTO.place(AF_INET6 if is_ipv6 else AF_INET)
    if options is not None:
        content = _options(options, payloads[options])
        fields |= k.TUN_OPTS_LEN.place(len(content))
        fields |= k.TUN_OPTS.place(content.ljust(OPTIONS_MAXIMUM, b"\0"))
    _check_key(payloads, fields, is_ipv6)
    return fields


def parse_tunnel_mask(data: bytes, key: int) -> int:
    """The mask of a tunnel key, for a switch key; raises DatapathError (EINVAL)."""
    payloads = _collect(data)
    options = _check_options(payloads)
    mask = _common(payloads) | k.TUN_PROTO.ones
    addresses = bytearray(32)
    for number, start in (
        (TunnelKeyAttr.IPV4_SRC, 0),
        (TunnelKeyAttr.IPV4_DST, 4),
        (TunnelKeyAttr.IPV6_SRC, 0),
        (TunnelKeyAttr.IPV6_DST, 16),
    ):
        if number in payloads:
            addresses[start : start + len(payloads[number])] = payloads[number]
    mask |= (
        k.TUN_IPV4_SRC.place(bytes(addresses[0:4]))
        | k.TUN_IPV4_DST.place(bytes(addresses[4:8]))
        | k.TUN_IPV6_SRC.place(bytes(addresses[0:16]))
        | k.TUN_IPV6_DST.place(bytes(addresses[16:32]))
    )
    if options is not None:
        length = k.TUN_OPTS_LEN.get(key)
        content = payloads[options]
        if options == TunnelKeyAttr.GENEVE_OPTS and len(content) != length:
            raise DatapathError(
                EINVAL,
                f"the mask of Geneve options has {len(content)} bytes, its key {length}",
                (options,),
            )
        content = _options(options, content).rjust(length, b"\0")[-length:] if length else b""
        mask |= k.TUN_OPTS_LEN.ones | k.TUN_OPTS.place(content.ljust(OPTIONS_MAXIMUM, b"\0"))
    return mask


def build_tunnel(key: int, output: int | None = None, info_bridge: bool = False) -> bytes:
    """The attributes in KeyAttr.TUNNEL, for the tunnel of `key`.

    output: where the values are taken from, the mask of `key` for instance; None for `key` itself.
    info_bridge: whether the tunnel is a bridge's (IP_TUNNEL_INFO_BRIDGE): it has an ID at most.
    """
    if output is None:
        output = key
    flags = k.TUN_FLAGS.get(output)
    data = b""
    if flags & TUNNEL_KEY:
        data += pack_attribute(TunnelKeyAttr.ID, k.TUN_ID.get(output))
    if info_bridge:
        return data + pack_attribute(TunnelKeyAttr.IPV4_INFO_BRIDGE, b"")
    data += _build_addresses(k.TUN_PROTO.get(key), output)
    for number, field, always in (
        (TunnelKeyAttr.TOS, k.TUN_TOS, False),
        (TunnelKeyAttr.TTL, k.TUN_TTL, True),
    ):
        if always or field.get(output):
            data += _pack_number(number, field, output)
    for number in (TunnelKeyAttr.DONT_FRAGMENT, TunnelKeyAttr.CSUM):
        if flags & FLAGS[number]:
            data += pack_attribute(number, b"")
    for number, field in (
        (TunnelKeyAttr.TP_SRC, k.TUN_TP_SRC),
        (TunnelKeyAttr.TP_DST, k.TUN_TP_DST),
    ):
        if field.get(output):
            data += _pack_number(number, field, output)
    if flags & TUNNEL_OAM:
        data += pack_attribute(TunnelKeyAttr.OAM, b"")
    return data + _build_options(k.TUN_OPTS_LEN.get(key), flags, output)


def _collect(data: bytes) -> dict[int, bytes]:
    """The attributes by number, the last of duplicates; options may be there once."""
    payloads: dict[int, bytes] = {}
    for number, payload in TUNNEL.items(data):
        if number in OPTIONS and not OPTIONS.isdisjoint(payloads):
            raise DatapathError(EINVAL, "a tunnel has options of one kind", (number,))
        payloads[number] = payload
    if not _IPV4.isdisjoint(payloads) and not _IPV6.isdisjoint(payloads):
        raise DatapathError(EINVAL, "a tunnel is of IPv4 or of IPv6")
    return payloads


def _common(payloads: dict[int, bytes]) -> int:
    """What a key and a mask have alike: flags, ID, TOS, TTL and ports."""
    flags = 0
    for number in payloads:
        flags |= FLAGS.get(number, 0)
    fields = k.TUN_FLAGS.place(flags)
    if TunnelKeyAttr.ID in payloads:
        fields |= k.TUN_ID.place(payloads[TunnelKeyAttr.ID])
    for number, field in _NUMBERS.items():
        if number in payloads:
            fields |= field.place(int.from_bytes(payloads[number], "big"))
    return fields


def _check_options(payloads: dict[int, bytes]) -> TunnelKeyAttr | None:
    """Which options are there; raises DatapathError where they have no size that they may have."""
    for number in OPTIONS:
        if number not in payloads:
            continue
        length = len(payloads[number])
        if number != TunnelKeyAttr.VXLAN_OPTS and length > OPTIONS_MAXIMUM:
            raise DatapathError(
                EINVAL, f"{length} bytes of options, {OPTIONS_MAXIMUM} are allowed", (number,)
            )
        if number == TunnelKeyAttr.GENEVE_OPTS and length % 4:
            raise DatapathError(
                EINVAL, f"Geneve options of {length} bytes, not a multiple of 4", (number,)
            )
        return number
    return None


def _options(number: TunnelKeyAttr, payload: bytes) -> bytes:
    """The options as a key holds them."""
    if number == TunnelKeyAttr.GENEVE_OPTS:
        return payload
    if number == TunnelKeyAttr.ERSPAN_OPTS:
        # The kernel counts its whole structure whatever comes, and aligns what comes at the end.
        return payload[-ERSPAN_METADATA_SIZE:].rjust(ERSPAN_METADATA_SIZE, b"\0")
    try:
        return dict(VXLAN.items(payload)).get(VxlanExt.GBP, bytes(4))
    except DatapathError as error:
        error.path = (number, *error.path)
        raise


def _check_key(payloads: dict[int, bytes], fields: int, is_ipv6: bool) -> None:
    """Raise DatapathError (EINVAL) where a key lacks what it must have."""
    if is_ipv6:
        if not fields & k.TUN_IPV6_DST.ones:
            raise DatapathError(
                EINVAL, "the IPv6 destination of the tunnel is zero", (TunnelKeyAttr.IPV6_DST,)
            )
    elif TunnelKeyAttr.IPV4_INFO_BRIDGE in payloads:
        without = TUNNEL_KEY_FIELDS & ~(k.TUN_ID.ones | k.TUN_FLAGS.ones)
        if fields & without or k.TUN_FLAGS.get(fields) & ~TUNNEL_KEY:
            raise DatapathError(
                EINVAL,
                "a bridge's tunnel information has an ID at most",
                (TunnelKeyAttr.IPV4_INFO_BRIDGE,),
            )
        return
    elif _IPV4.isdisjoint(payloads):
        raise DatapathError(EINVAL, "a tunnel key has no destination address")
    elif not fields & k.TUN_IPV4_DST.ones:
        raise DatapathError(
            EINVAL, "the IPv4 destination of the tunnel is zero", (TunnelKeyAttr.IPV4_DST,)
        )
    if TunnelKeyAttr.TTL not in payloads:
        raise DatapathError(EINVAL, "a tunnel key has no TTL")


def _build_addresses(family: int, output: int) -> bytes:
    wanted = {AF_INET: _ADDRESS_FIELDS[:2], AF_INET6: _ADDRESS_FIELDS[2:]}.get(family, ())
    return b"".join(
        pack_attribute(number, field.get(output)) for number, field in wanted if output & field.ones
    )


def _build_options(length: int, flags: int, output: int) -> bytes:
    if not length:
        return b""
    content = k.TUN_OPTS.get(output)[:length]
    data = b""
    if flags & TUNNEL_GENEVE_OPT:
        data += pack_attribute(TunnelKeyAttr.GENEVE_OPTS, content)
    if flags & TUNNEL_VXLAN_OPT:
        gbp = pack_attribute(VxlanExt.GBP, content[: _GBP.size].ljust(_GBP.size, b"\0"))
        data += pack_attribute(TunnelKeyAttr.VXLAN_OPTS, gbp)
    elif flags & TUNNEL_ERSPAN_OPT:
        data += pack_attribute(TunnelKeyAttr.ERSPAN_OPTS, content)
    return data


def _pack_number(number: int, field: k.NumberField, output: int) -> bytes:
    return pack_attribute(number, field.get(output).to_bytes(field.size, "big"))
