"""What scapy reads in a frame, told in the fields of a flow key: another opinion of extraction.

For well-formed frames only: what the kernel makes of others is in tests/switch/test_extract.py.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.sctp import SCTP

RARP = 0x8035
"""An EtherType that scapy does not know, of packets as ARP's."""

EXTENSIONS = {
    IPv6ExtHdrHopByHop: 1 << 6,
    IPv6ExtHdrDestOpt: 1 << 3,
    IPv6ExtHdrRouting: 1 << 5,
    IPv6ExtHdrFragment: 1 << 4,
}
"""OFPIEH12_* of headers in their right order."""

Fields = dict[str, Any]


def dissect(frame: bytes) -> Fields:
    """The fields of the key that are not zero."""
    layer: Any = Ether(frame)
    fields: Fields = {"eth_dst": _mac(layer.dst), "eth_src": _mac(layer.src)}
    if isinstance(layer, Dot3):
        snap = layer.getlayer(SNAP)
        if snap is None or snap.OUI:
            return _clean(fields | {"eth_type": 4})
        eth_type, layer = snap.code, snap.payload
    else:
        eth_type, layer = layer.type, layer.payload
    for name in ("vlan", "cvlan"):
        if isinstance(layer, Dot1Q | Dot1AD):
            fields[f"{name}_tpid"] = eth_type
            fields[f"{name}_tci"] = layer.prio << 13 | 0x1000 | layer.vlan
            eth_type, layer = layer.type, layer.payload
    fields["eth_type"] = eth_type
    if eth_type == RARP:
        layer = ARP(bytes(layer))
    for kind, read in _NETWORK.items():
        if isinstance(layer, kind):
            fields |= read(layer)
    return _clean(fields)


def _ipv4(ip: Any) -> Fields:
    fields = {
        "ip_proto": ip.proto,
        "ip_tos": ip.tos,
        "ip_ttl": ip.ttl,
        "ipv4_src": ip_address(ip.src).packed,
        "ipv4_dst": ip_address(ip.dst).packed,
    }
    if ip.frag:
        return fields | {"ip_frag": 2}
    return fields | {"ip_frag": int(bool(ip.flags.MF))} | _transport(ip.payload)


def _ipv6(ip: Any) -> Fields:
    fields = {
        "ip_tos": ip.tc,
        "ip_ttl": ip.hlim,
        "ipv6_src": ip_address(ip.src).packed,
        "ipv6_dst": ip_address(ip.dst).packed,
        "ipv6_label": ip.fl,
    }
    exthdrs, proto, layer = 0, ip.nh, ip.payload
    while bit := EXTENSIONS.get(type(layer), 0):
        exthdrs |= bit
        if isinstance(layer, IPv6ExtHdrFragment):
            fields["ip_frag"] = 2 if layer.offset else 1
            if layer.offset:
                exthdrs |= int(layer.nh == 59)
                return fields | {"ip_proto": 44, "ipv6_exthdrs": exthdrs}
        proto, layer = layer.nh, layer.payload
    if proto == 59:
        exthdrs |= 1
    return fields | {"ip_proto": proto, "ipv6_exthdrs": exthdrs} | _transport(layer)


def _transport(layer: Any) -> Fields:
    if isinstance(layer, TCP):
        flags = layer.reserved << 9 | int(layer.flags)
        return {"tp_src": layer.sport, "tp_dst": layer.dport, "tcp_flags": flags}
    if isinstance(layer, UDP | SCTP):
        return {"tp_src": layer.sport, "tp_dst": layer.dport}
    if isinstance(layer, ICMP):
        return {"tp_src": layer.type, "tp_dst": layer.code}
    if type(layer).__name__.startswith("ICMPv6"):
        return {"tp_src": layer.type, "tp_dst": layer.code} | _neighbour(layer)
    return {}


def _neighbour(layer: Any) -> Fields:
    if not isinstance(layer, ICMPv6ND_NS | ICMPv6ND_NA) or layer.code:
        return {}
    fields = {"nd_target": ip_address(layer.tgt).packed}
    for name, option in (("nd_sll", ICMPv6NDOptSrcLLAddr), ("nd_tll", ICMPv6NDOptDstLLAddr)):
        if option in layer:
            fields[name] = _mac(layer[option].lladdr)
    return fields


def _arp(arp: Any) -> Fields:
    return {
        "ip_proto": arp.op if arp.op <= 255 else 0,
        "ipv4_src": ip_address(arp.psrc).packed,
        "ipv4_dst": ip_address(arp.pdst).packed,
        "arp_sha": _mac(arp.hwsrc),
        "arp_tha": _mac(arp.hwdst),
    }


def _mpls(layer: Any) -> Fields:
    entries = []
    while isinstance(layer, MPLS):
        entries.append(layer.label << 12 | layer.cos << 9 | layer.s << 8 | layer.ttl)
        layer = layer.payload
    entries = entries[:3]
    fields: Fields = {f"mpls_lse_{number}": entry for number, entry in enumerate(entries)}
    return fields | {"mpls_label_bits": (1 << len(entries)) - 1}


def _nsh(nsh: Any) -> Fields:
    return {
        "nsh_flags": nsh.oam << 1 | nsh.unused1,
        "nsh_ttl": nsh.ttl,
        "nsh_mdtype": nsh.mdtype,
        "nsh_np": nsh.nextproto,
        "nsh_path_hdr": nsh.spi << 8 | nsh.si,
        "nsh_context": nsh.context_header if nsh.mdtype == 1 else bytes(16),
    }


_NETWORK = {IP: _ipv4, IPv6: _ipv6, ARP: _arp, MPLS: _mpls, NSH: _nsh}


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _clean(fields: Fields) -> Fields:
    return {
        name: value
        for name, value in fields.items()
        if (any(value) if isinstance(value, bytes) else value)
    }
