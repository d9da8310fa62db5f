"""flow-show and flow-del."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.ports.memory import MemoryPort
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyArp, KeyAttr, KeyEthernet
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
    assert row.split() == [
        "in_port(1),eth(),eth_type(0x0806)",
        "0,2",
        "0",
        "0",
        "never",
    ]
    inject(switched)
    *row_start, seconds, unit, ago = run("flow-show", "dp0").stdout.splitlines()[2].split()
    assert row_start == ["in_port(1),eth(),eth_type(0x0806)", "0,2", "1", "42"]
    assert 0 <= float(seconds) < 60
    assert (unit, ago) == ("s", "ago")


def test_the_same_as_json(switched: Daemon, run: Run) -> None:
    assert json.loads(run("flow-show", "--json", "dp0").stdout) == {"flows": []}
    put(switched, UFID)
    (flow,) = json.loads(run("flow-show", "--json", "dp0").stdout)["flows"]
    key, mask = flow.pop("key"), flow.pop("mask")
    assert flow == {
        "ufid": UFID.hex(),
        "match": "in_port(1),eth(),eth_type(0x0806)",
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
