"""Tunnel keys and masks: the kernel's rules, and what is told of them again."""

from __future__ import annotations

import struct
from errno import EINVAL
from typing import Any

import pytest
from hypothesis import given

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.key import build_key, build_mask, parse_match
from ovsdp_cuse.families.translate.tunnel import (
    build_tunnel,
    parse_tunnel,
    parse_tunnel_mask,
)
from ovsdp_cuse.switch import key as k
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.flow import FlowAttr
from ovsdp_cuse.wire.key import KEY, KeyAttr
from ovsdp_cuse.wire.tunnel import TUNNEL, TunnelKeyAttr, VxlanExt
from tests.families.key_cases import IP6_A, IP6_B, IP_A, IP_B, UDP, fields, tunnels, wire

V4: dict[int, Any] = {TunnelKeyAttr.IPV4_DST: IP_B, TunnelKeyAttr.TTL: 64}
V6: dict[int, Any] = {TunnelKeyAttr.IPV6_DST: IP6_B, TunnelKeyAttr.TTL: 64}
BRIDGE: dict[int, Any] = {TunnelKeyAttr.IPV4_INFO_BRIDGE: True}
GENEVE = bytes.fromhex("ffff80010000000a")


def tunnel(attributes: dict[int, Any], **changes: Any) -> bytes:
    """A tunnel key in netlink form; `changes` by name of attribute, None to leave one out."""
    changed = dict(attributes)
    changed.update({TunnelKeyAttr[name]: value for name, value in changes.items()})
    return TUNNEL.build({n: value for n, value in changed.items() if value is not None})


def told(data: bytes) -> dict[int, Any]:
    """The attributes of a tunnel key."""
    return TUNNEL.parse(data)


FAULTS: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "nothing": (b"", ()),
    "no address": (tunnel(V4, IPV4_DST=None), ()),
    "no destination": (tunnel(V4, IPV4_DST=None, IPV4_SRC=IP_A), (TunnelKeyAttr.IPV4_DST,)),
    "destination of zeros": (tunnel(V4, IPV4_DST=bytes(4)), (TunnelKeyAttr.IPV4_DST,)),
    "no IPv6 destination": (
        tunnel(V6, IPV6_DST=None, IPV6_SRC=IP6_A),
        (TunnelKeyAttr.IPV6_DST,),
    ),
    "IPv6 destination of zeros": (tunnel(V6, IPV6_DST=bytes(16)), (TunnelKeyAttr.IPV6_DST,)),
    "no TTL": (tunnel(V4, TTL=None), ()),
    "no IPv6 TTL": (tunnel(V6, TTL=None), ()),
    "IPv4 and IPv6": (tunnel({**V4, **V6}), ()),
    "IPv6 and a bridge": (tunnel({**V6, **BRIDGE}), ()),
    "unknown attribute": (tunnel(V4) + pack_attribute(17, b""), (17,)),
    "attribute of another size": (
        tunnel(V4) + pack_attribute(TunnelKeyAttr.TOS, b"12"),
        (TunnelKeyAttr.TOS,),
    ),
    "flag with a value": (
        tunnel(V4) + pack_attribute(TunnelKeyAttr.CSUM, b"1"),
        (TunnelKeyAttr.CSUM,),
    ),
    "padding with a value": (
        tunnel(V4) + pack_attribute(TunnelKeyAttr.PAD, b"1"),
        (TunnelKeyAttr.PAD,),
    ),
    "bytes left over": (tunnel(V4) + b"\1", ()),
    "Geneve options of 6 bytes": (
        tunnel(V4, GENEVE_OPTS=bytes(6)),
        (TunnelKeyAttr.GENEVE_OPTS,),
    ),
    "Geneve options of 256 bytes": (
        tunnel(V4, GENEVE_OPTS=bytes(256)),
        (TunnelKeyAttr.GENEVE_OPTS,),
    ),
    "ERSPAN options of 256 bytes": (
        tunnel(V4, ERSPAN_OPTS=bytes(256)),
        (TunnelKeyAttr.ERSPAN_OPTS,),
    ),
    "options of two kinds": (
        tunnel(V4, GENEVE_OPTS=GENEVE, VXLAN_OPTS={}),
        (TunnelKeyAttr.VXLAN_OPTS,),
    ),
    "options twice": (
        tunnel(V4, GENEVE_OPTS=GENEVE) + tunnel({}, GENEVE_OPTS=GENEVE),
        (TunnelKeyAttr.GENEVE_OPTS,),
    ),
    "unknown VXLAN extension": (
        tunnel(V4) + pack_attribute(TunnelKeyAttr.VXLAN_OPTS, pack_attribute(2, bytes(4))),
        (TunnelKeyAttr.VXLAN_OPTS, 2),
    ),
    "VXLAN extension of another size": (
        tunnel(V4) + pack_attribute(TunnelKeyAttr.VXLAN_OPTS, pack_attribute(1, bytes(2))),
        (TunnelKeyAttr.VXLAN_OPTS, VxlanExt.GBP),
    ),
    "bytes left over in VXLAN options": (
        tunnel(V4) + pack_attribute(TunnelKeyAttr.VXLAN_OPTS, b"\0"),
        (TunnelKeyAttr.VXLAN_OPTS,),
    ),
    "a bridge with an address": (tunnel({**V4, **BRIDGE}), (TunnelKeyAttr.IPV4_INFO_BRIDGE,)),
    "a bridge with a TTL": (tunnel(BRIDGE, TTL=1), (TunnelKeyAttr.IPV4_INFO_BRIDGE,)),
    "a bridge with a TOS": (tunnel(BRIDGE, TOS=1), (TunnelKeyAttr.IPV4_INFO_BRIDGE,)),
    "a bridge with a port": (tunnel(BRIDGE, TP_DST=1), (TunnelKeyAttr.IPV4_INFO_BRIDGE,)),
    "a bridge with a flag": (tunnel(BRIDGE, CSUM=True), (TunnelKeyAttr.IPV4_INFO_BRIDGE,)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_tunnel_is_refused(fault: str) -> None:
    data, path = FAULTS[fault]
    with pytest.raises(DatapathError) as refusal:
        parse_tunnel(data)
    assert (refusal.value.errno, refusal.value.path) == (EINVAL, path)
    key = wire(UDP) + pack_attribute(KeyAttr.TUNNEL, data)
    with pytest.raises(DatapathError) as refusal:
        parse_match(key, b"")
    assert refusal.value.path == (FlowAttr.KEY, KeyAttr.TUNNEL, *path)


TAKEN: dict[str, tuple[bytes, dict[str, int | bytes]]] = {
    "IPv4": (
        tunnel(V4, ID=0x7B, IPV4_SRC=IP_A, TOS=3, TP_SRC=1, TP_DST=4789),
        {
            "tun_proto": 2,
            "tun_id": (0x7B).to_bytes(8, "big"),
            "tun_flags": 0x0004,
            "tun_tos": 3,
            "tun_ttl": 64,
            "tun_tp_src": 1,
            "tun_tp_dst": 4789,
            "tun_ipv4_src": IP_A,
            "tun_ipv4_dst": IP_B,
        },
    ),
    "IPv6 with all flags": (
        tunnel(V6, DONT_FRAGMENT=True, CSUM=True, OAM=True, TTL=0),
        {"tun_proto": 10, "tun_flags": 0x0301, "tun_ipv6_dst": IP6_B},
    ),
    "the last of duplicates": (
        tunnel(V4, TTL=1) + tunnel({}, TTL=2),
        {"tun_proto": 2, "tun_ttl": 2, "tun_ipv4_dst": IP_B},
    ),
    "padding": (
        tunnel(V4, PAD=True),
        {"tun_proto": 2, "tun_ttl": 64, "tun_ipv4_dst": IP_B},
    ),
    "Geneve options": (
        tunnel(V4, GENEVE_OPTS=GENEVE),
        {
            "tun_proto": 2,
            "tun_ttl": 64,
            "tun_ipv4_dst": IP_B,
            "tun_flags": 0x0800,
            "tun_opts_len": 8,
            "tun_opts": GENEVE.ljust(255, b"\0"),
        },
    ),
    "VXLAN options": (
        tunnel(V4, VXLAN_OPTS={VxlanExt.GBP: 5}),
        {
            "tun_proto": 2,
            "tun_ttl": 64,
            "tun_ipv4_dst": IP_B,
            "tun_flags": 0x1000,
            "tun_opts_len": 4,
            "tun_opts": struct.pack("=I", 5).ljust(255, b"\0"),
        },
    ),
    "VXLAN options without one": (
        tunnel(V4, VXLAN_OPTS={}),
        {
            "tun_proto": 2,
            "tun_ttl": 64,
            "tun_ipv4_dst": IP_B,
            "tun_flags": 0x1000,
            "tun_opts_len": 4,
        },
    ),
    "too few ERSPAN options": (
        tunnel(V4, ERSPAN_OPTS=b"\1\2"),
        {
            "tun_proto": 2,
            "tun_ttl": 64,
            "tun_ipv4_dst": IP_B,
            "tun_flags": 0x4000,
            "tun_opts_len": 12,
            "tun_opts": (bytes(10) + b"\1\2").ljust(255, b"\0"),
        },
    ),
    "too many ERSPAN options": (
        tunnel(V4, ERSPAN_OPTS=bytes(range(20))),
        {
            "tun_proto": 2,
            "tun_ttl": 64,
            "tun_ipv4_dst": IP_B,
            "tun_flags": 0x4000,
            "tun_opts_len": 12,
            "tun_opts": bytes(range(8, 20)).ljust(255, b"\0"),
        },
    ),
    "a bridge": (
        tunnel(BRIDGE, ID=1),
        {"tun_proto": 2, "tun_flags": 0x0004, "tun_id": b"\0\0\0\0\0\0\0\1"},
    ),
}


@pytest.mark.parametrize("case", TAKEN)
def test_a_tunnel_is_taken(case: str) -> None:
    data, expected = TAKEN[case]
    assert fields(parse_tunnel(data)) == expected


def test_what_is_told_of_a_tunnel_is_in_the_kernels_order() -> None:
    data = tunnel(
        {
            TunnelKeyAttr.ID: 1,
            TunnelKeyAttr.IPV4_SRC: IP_A,
            TunnelKeyAttr.IPV4_DST: IP_B,
            TunnelKeyAttr.TOS: 2,
            TunnelKeyAttr.TTL: 3,
            TunnelKeyAttr.DONT_FRAGMENT: True,
            TunnelKeyAttr.CSUM: True,
            TunnelKeyAttr.TP_SRC: 4,
            TunnelKeyAttr.TP_DST: 5,
            TunnelKeyAttr.OAM: True,
            TunnelKeyAttr.GENEVE_OPTS: GENEVE,
        }
    )
    assert build_tunnel(parse_tunnel(data)) == data


def test_of_a_tunnel_zeros_are_not_told_but_the_ttl_is() -> None:
    data = tunnel(V4, TOS=0, IPV4_SRC=bytes(4), TP_SRC=0, TP_DST=0, TTL=0)
    assert told(build_tunnel(parse_tunnel(data))) == {
        TunnelKeyAttr.IPV4_DST: IP_B,
        TunnelKeyAttr.TTL: 0,
    }


def test_of_a_bridge_only_the_id_is_told() -> None:
    data = tunnel({TunnelKeyAttr.ID: 7, **BRIDGE})
    assert build_tunnel(parse_tunnel(data), info_bridge=True) == data
    assert told(build_tunnel(parse_tunnel(data))) == {TunnelKeyAttr.ID: 7, TunnelKeyAttr.TTL: 0}


@given(tunnels())
def test_what_is_built_is_parsed_again(key: int) -> None:
    assert fields(parse_tunnel(build_tunnel(key))) == fields(key)


def test_a_mask_without_a_tunnel_is_told_to_match_none() -> None:
    key, mask = parse_match(wire(UDP), b"")
    assert KEY.decode(build_mask(key, mask), False)[KeyAttr.TUNNEL] == {TunnelKeyAttr.TTL: 0}
    assert KeyAttr.TUNNEL not in KEY.decode(build_key(key), False)


def masked(key: bytes, mask: bytes) -> dict[int, Any]:
    """What is told of the mask of a tunnel."""
    match = parse_match(
        wire(UDP) + pack_attribute(KeyAttr.TUNNEL, key), pack_attribute(KeyAttr.TUNNEL, mask)
    )
    shown: dict[int, Any] = KEY.decode(build_mask(*match), False)[KeyAttr.TUNNEL]
    return shown


def test_a_mask_is_told_as_it_came() -> None:
    mask: dict[int, Any] = {
        TunnelKeyAttr.ID: 0xFF,
        TunnelKeyAttr.IPV4_SRC: b"\xff\xff\0\0",
        TunnelKeyAttr.TTL: 0xFF,
        TunnelKeyAttr.CSUM: True,
        TunnelKeyAttr.GENEVE_OPTS: b"\xff\xff\xff\xff\0\0\0\xff",
    }
    assert masked(tunnel(V4, GENEVE_OPTS=GENEVE), tunnel(mask)) == mask


def test_a_mask_needs_no_address_and_no_ttl() -> None:
    assert masked(tunnel(V4), tunnel({}, TOS=1)) == {TunnelKeyAttr.TOS: 1, TunnelKeyAttr.TTL: 0}


def test_a_mask_of_the_other_family_covers_the_same_bytes() -> None:
    covered = masked(tunnel(V4), tunnel({}, IPV6_SRC=bytes(range(1, 17))))
    assert covered[TunnelKeyAttr.IPV4_SRC] == bytes([1, 2, 3, 4])
    assert covered[TunnelKeyAttr.IPV4_DST] == bytes([5, 6, 7, 8])
    covered = masked(tunnel(V6), tunnel({}, IPV4_SRC=b"\1\2\3\4", IPV4_DST=b"\5\6\7\x08"))
    assert covered[TunnelKeyAttr.IPV6_SRC] == bytes(range(1, 9)) + bytes(8)
    assert TunnelKeyAttr.IPV6_DST not in covered


@pytest.mark.parametrize("options", [b"", GENEVE[:4], GENEVE + GENEVE])
def test_a_mask_of_geneve_options_is_as_long_as_they_are(options: bytes) -> None:
    key = parse_tunnel(tunnel(V4, GENEVE_OPTS=GENEVE))
    with pytest.raises(DatapathError) as refusal:
        parse_tunnel_mask(tunnel({}, GENEVE_OPTS=options), key)
    assert (refusal.value.errno, refusal.value.path) == (EINVAL, (TunnelKeyAttr.GENEVE_OPTS,))


def test_a_mask_of_other_options_is_aligned_at_the_end() -> None:
    """The kernel keeps options at the end of their space, and tells the kind that the mask has."""
    mask = parse_tunnel_mask(
        tunnel({}, VXLAN_OPTS={VxlanExt.GBP: 0xFFFFFFFF}),
        parse_tunnel(tunnel(V4, GENEVE_OPTS=GENEVE)),
    )
    assert k.TUN_OPTS.get(mask) == (bytes(4) + b"\xff\xff\xff\xff").ljust(255, b"\0")
    assert k.TUN_OPTS_LEN.get(mask) == 0xFF
    covered = masked(tunnel(V4, GENEVE_OPTS=GENEVE), tunnel({}, VXLAN_OPTS={VxlanExt.GBP: 7}))
    assert covered[TunnelKeyAttr.VXLAN_OPTS] == {VxlanExt.GBP: 0}


def test_without_a_mask_a_tunnel_is_matched_also_where_it_says_nothing() -> None:
    key, mask = parse_match(wire(UDP) + pack_attribute(KeyAttr.TUNNEL, tunnel(V4)), None)
    for field in (k.TUN_ID, k.TUN_TOS, k.TUN_TP_SRC, k.TUN_LABEL, k.TUN_IPV4_SRC, k.TUN_PROTO):
        assert mask & field.ones == field.ones
    # But not in what the kernel sets when it parses the mask, which are the flags, and options.
    assert not mask & (k.TUN_FLAGS.ones | k.TUN_OPTS_LEN.ones | k.TUN_OPTS.ones)
    assert key & mask == key


def test_without_a_mask_and_without_a_tunnel_none_is_matched() -> None:
    """The kernel puts nothing about tunnels into such a mask."""
    _key, mask = parse_match(wire(UDP), None)
    assert not mask >> k.TUN_PROTO.shift
