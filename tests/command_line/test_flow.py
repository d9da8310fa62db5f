"""flow-show, flow-del, and flows as people read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.command_line.flow_text import match_text
from ovsdp_cuse.ports.memory import MemoryPort
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import (
    KEY,
    KeyArp,
    KeyAttr,
    KeyEthernet,
    KeyIpv4,
    KeyIpv6,
    KeyMpls,
    KeyPorts,
)
from ovsdp_cuse.wire.nsh import NshKeyAttr, NshKeyBase
from ovsdp_cuse.wire.tunnel import TunnelKeyAttr, VxlanExt
from tests.command_line.conftest import Run
from tests.families.doors import Daemon

Attributes = dict[int, Any]

MAC_A, MAC_B, BROADCAST = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\xff" * 6
ONES = 0xFFFFFFFF
UFID = bytes(range(16))
ARP: Attributes = {
    KeyAttr.IN_PORT: 1,
    KeyAttr.ETHERNET: KeyEthernet(MAC_A, BROADCAST),
    KeyAttr.ETHERTYPE: 0x0806,
    KeyAttr.ARP: KeyArp(op=1),
}
ARP_MASK: Attributes = {KeyAttr.IN_PORT: ONES, KeyAttr.ETHERTYPE: 0xFFFF}
FRAME = BROADCAST + MAC_A + bytes.fromhex("0806 0001 0800 0604 0001") + bytes(20)


def put(daemon: Daemon, ufid: bytes | None = None) -> None:
    """Let dp0, whose port 1 is eth0, send ARP to its ports 0 and 2, of which there is no 2."""
    attributes: dict[FlowAttr, Any] = {
        FlowAttr.KEY: KEY.encode(ARP),
        FlowAttr.MASK: KEY.encode(ARP_MASK),
        FlowAttr.ACTIONS: ACTIONS.encode([(ActionAttr.OUTPUT, 0), (ActionAttr.OUTPUT, 2)]),
    }
    if ufid is not None:
        attributes[FlowAttr.UFID] = ufid
    with Device() as device:
        (datapath,) = daemon.context.switch
        device.transact(FLOW, FlowCmd.NEW, attributes, dp_ifindex=datapath.index)


@pytest.fixture
def switched(daemon: Daemon, run: Run) -> Daemon:
    """A daemon with the datapath dp0, whose port 1 is eth0."""
    daemon.ports.add_interface("eth0")
    run("dp-add", "dp0")
    run("port-add", "dp0", "eth0")
    return daemon


def inject(daemon: Daemon) -> None:
    """Let eth0 receive a frame that the flow matches."""
    port = daemon.context.switch.lookup_port("eth0")
    assert isinstance(port, MemoryPort)
    port.inject(FRAME)


def test_a_table_of_flows(switched: Daemon, run: Run) -> None:
    assert run("flow-show", "dp0").stdout == "dp0 has no flows\n"
    put(switched)
    head, _line, row = run("flow-show", "dp0").stdout.splitlines()
    assert head.split() == ["match", "actions", "packets", "bytes", "used"]
    assert row.split() == ["in_port(1),eth_type(0x0806)", "0,2", "0", "0", "never"]
    inject(switched)
    *row_start, seconds, unit, ago = run("flow-show", "dp0").stdout.splitlines()[2].split()
    assert row_start == ["in_port(1),eth_type(0x0806)", "0,2", "1", "42"]
    assert 0 <= float(seconds) < 60
    assert (unit, ago) == ("s", "ago")


def test_the_same_as_json(switched: Daemon, run: Run) -> None:
    assert json.loads(run("flow-show", "--json", "dp0").stdout) == {"flows": []}
    put(switched, UFID)
    (flow,) = json.loads(run("flow-show", "--json", "dp0").stdout)["flows"]
    key, mask = flow.pop("key"), flow.pop("mask")
    assert flow == {
        "ufid": UFID.hex(),
        "match": "in_port(1),eth_type(0x0806)",
        "actions": "0,2",
        "packets": 0,
        "bytes": 0,
        "used_ms": None,
        "tcp_flags": 0,
    }
    assert (key["IN_PORT"], key["ETHERTYPE"]) == (1, 0x0806)
    assert (mask["IN_PORT"], mask["ETHERTYPE"]) == (ONES, 0xFFFF)
    assert key["ETHERNET"] == {"src": "00" * 6, "dst": "00" * 6}
    inject(switched)
    (flow,) = json.loads(run("flow-show", "--json", "dp0").stdout)["flows"]
    assert (flow["packets"], flow["bytes"]) == (1, 42)
    assert flow["used_ms"] > 0


def test_all_flows_are_removed(switched: Daemon, run: Run) -> None:
    put(switched)
    assert run("flow-del", "dp0", "--all").stdout == "all flows of dp0 removed\n"
    assert run("flow-show", "dp0").stdout == "dp0 has no flows\n"
    put(switched)
    removed = json.loads(run("flow-del", "dp0", "--all", "--json").stdout)
    assert removed == {"datapath": "dp0", "removed": "all"}
    (datapath,) = switched.context.switch
    assert len(datapath.flows) == 0


def test_what_is_refused(switched: Daemon, run: Run) -> None:
    put(switched)
    assert "--all" in run("flow-del", "dp0", status=2).stderr
    for arguments in (("flow-show", "nix"), ("flow-del", "nix", "--all")):
        assert run(*arguments, status=1).stderr == "Error: ENODEV: no datapath is named 'nix'\n"
    (datapath,) = switched.context.switch
    assert len(datapath.flows) == 1


@pytest.mark.parametrize(
    ("key", "mask", "text"),
    [
        ({}, {}, ""),
        (ARP, {}, ""),
        (ARP, {KeyAttr.IN_PORT: 0, KeyAttr.ARP: KeyArp()}, ""),
        (ARP, {KeyAttr.ARP: KeyArp(op=0xFFFF)}, "arp(op=1)"),
        (ARP, {KeyAttr.ETHERTYPE: 0xFF00}, "eth_type(0x0806/0xff00)"),
        (
            ARP,
            {KeyAttr.ETHERNET: KeyEthernet(BROADCAST, b"\1" + bytes(5))},
            "eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff/01:00:00:00:00:00)",
        ),
        ({}, {KeyAttr.ETHERTYPE: 0xFFFF}, "eth_type(none)"),
        (
            {KeyAttr.IPV4: KeyIpv4(b"\x0a\0\0\0", bytes(4), 6, 3, 64)},
            {KeyAttr.IPV4: KeyIpv4(b"\xff\0\0\0", bytes(4), 255, 3, 0, 255)},
            "ipv4(src=10.0.0.0/255.0.0.0,proto=6,tos=0x3/0x3,frag=0)",
        ),
        (
            {KeyAttr.IPV6: KeyIpv6(label=5, proto=17)},
            {KeyAttr.IPV6: KeyIpv6(label=0xFFFFF, proto=1)},
            "ipv6(label=0x5,proto=17/1)",
        ),
        (
            {KeyAttr.MPLS: (KeyMpls(0x100), KeyMpls(0x200))},
            {KeyAttr.MPLS: (KeyMpls(ONES), KeyMpls(0xFFF))},
            "mpls(lse=0x100,lse=0x200/0xfff)",
        ),
        (
            {
                KeyAttr.ETHERTYPE: 0x8100,
                KeyAttr.VLAN: 0x1005,
                KeyAttr.ENCAP: {KeyAttr.ETHERTYPE: 0x0800, KeyAttr.TCP: KeyPorts(1, 80)},
            },
            {
                KeyAttr.ETHERTYPE: 0xFFFF,
                KeyAttr.VLAN: 0xFFFF,
                KeyAttr.ENCAP: {KeyAttr.TCP: KeyPorts(0, 0xFFFF)},
            },
            "eth_type(0x8100),vlan(0x1005),encap(tcp(dst=80))",
        ),
        ({KeyAttr.ENCAP: {}}, {KeyAttr.ENCAP: {}}, ""),
        (
            {
                KeyAttr.TUNNEL: {
                    TunnelKeyAttr.ID: 7,
                    TunnelKeyAttr.CSUM: True,
                    TunnelKeyAttr.VXLAN_OPTS: {VxlanExt.GBP: 9},
                    TunnelKeyAttr.GENEVE_OPTS: b"\1\2\3\4",
                }
            },
            {
                KeyAttr.TUNNEL: {
                    TunnelKeyAttr.ID: 2**64 - 1,
                    TunnelKeyAttr.CSUM: True,
                    TunnelKeyAttr.OAM: True,
                    TunnelKeyAttr.VXLAN_OPTS: {VxlanExt.GBP: ONES},
                    TunnelKeyAttr.GENEVE_OPTS: b"\xff\xff\xff\0",
                }
            },
            "tunnel(id(0x7),csum,oam(none),vxlan_opts(gbp(0x9)),geneve_opts(01020304/ffffff00))",
        ),
        (
            {KeyAttr.NSH: {NshKeyAttr.BASE: NshKeyBase(path_hdr=3)}},
            {KeyAttr.NSH: {NshKeyAttr.BASE: NshKeyBase(path_hdr=ONES)}},
            "nsh(base(path_hdr=0x3))",
        ),
    ],
)
def test_a_match_as_people_read_it(key: Attributes, mask: Attributes, text: str) -> None:
    assert match_text(key, mask) == text
