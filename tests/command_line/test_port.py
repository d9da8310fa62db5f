"""port-add, port-del, and the ports that dp-show shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.command_line import port
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.memory import MemoryPort
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.switch import Switch
from ovsdp_cuse.wire.family import Message
from tests.command_line.conftest import Run
from tests.families.doors import Daemon

NO_STATS = dict.fromkeys(
    (
        *("rx_packets", "tx_packets", "rx_bytes", "tx_bytes"),
        *("rx_errors", "tx_errors", "rx_dropped", "tx_dropped"),
    ),
    0,
)
ETH0: dict[str, Any] = {
    "name": "eth0",
    "datapath": "dp0",
    "number": 1,
    "type": "netdev",
    "index": 1,
    "upcall_pids": [0],
    "upcalls": {"success": 0, "fail": 0},
    "stats": NO_STATS,
}


@pytest.fixture
def switched(daemon: Daemon, run: Run) -> Daemon:
    """A daemon with the datapath dp0 (index 2) and an interface eth0 (index 1)."""
    daemon.ports.add_interface("eth0")
    run("dp-add", "dp0")
    return daemon


def ports_shown(run: Run) -> list[dict[str, Any]]:
    """What dp-show says of the ports of the only datapath."""
    (datapath,) = json.loads(run("dp-show", "--json").stdout)["datapaths"]
    shown: list[dict[str, Any]] = datapath["ports"]
    return shown


def test_a_port_comes_and_goes(switched: Daemon, run: Run) -> None:
    assert run("port-add", "dp0", "eth0").stdout == "eth0 added to dp0 (port 1)\n"
    assert [port["name"] for port in ports_shown(run)] == ["dp0", "eth0"]
    assert run("port-del", "dp0", "eth0").stdout == "eth0 removed from dp0 (port 1)\n"
    assert [port["name"] for port in ports_shown(run)] == ["dp0"]


def test_the_same_as_json(switched: Daemon, run: Run) -> None:
    assert json.loads(run("port-add", "--json", "dp0", "eth0").stdout) == ETH0
    assert ports_shown(run)[1] == ETH0
    assert json.loads(run("port-del", "--json", "dp0", "eth0").stdout) == ETH0


def test_all_settings(switched: Daemon, run: Run) -> None:
    made = run(
        *("port-add", "dp0", "int0", "--type", "internal", "--number", "77", "--json"),
        *("--upcall-pid", "5", "--upcall-pid", "6"),
    )
    assert json.loads(made.stdout) == {
        **ETH0,
        "name": "int0",
        "number": 77,
        "type": "internal",
        "index": 3,
        "upcall_pids": [5],  # the others are told with OVS_DP_F_VPORT_PIDS
    }
    made_port = switched.context.switch.lookup_port("int0")
    assert made_port is not None
    assert made_port.upcall_pids == (5, 6)


def test_the_table_of_ports(switched: Daemon, run: Run) -> None:
    run("port-add", "dp0", "eth0", "--upcall-pid", "4711")
    eth0 = switched.context.switch.lookup_port("eth0")
    assert isinstance(eth0, MemoryPort)
    eth0.inject(bytes(60))  # nobody has the PID
    lines = [line.split() for line in run("dp-show").stdout.splitlines()]
    start = lines.index([]) + 1
    assert lines[start][:7] == ["datapath", "port", "name", "type", "index", "PID", "upcalls"]
    assert lines[start + 2] == ["dp0", "0", "dp0", "internal", "2", *["0"] * 11]
    assert lines[start + 3] == [
        *("dp0", "1", "eth0", "netdev", "1", "4711", "0", "1", "1", "0", "60"),
        *["0"] * 5,
    ]


def test_a_datapath_that_goes_while_it_is_shown(
    switched: Daemon, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("dp-add", "dp1")
    switch = switched.context.switch
    ports_of = port.ports_of

    def going(device: Device, index: int) -> list[Message]:
        datapath = switch.lookup_name("dp0")
        if datapath is not None:
            switch.remove(datapath)
        return ports_of(device, index)

    monkeypatch.setattr(port, "ports_of", going)
    names = [found["name"] for found in json.loads(run("dp-show", "--json").stdout)["datapaths"]]
    assert names == ["dp1"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("port-add", "nix", "eth0"), "ENODEV: no datapath is named 'nix'\n"),
        (("port-del", "nix", "eth0"), "ENODEV: no datapath is named 'nix'\n"),
        (("port-add", "dp0", "eth1"), "ENODEV: there is no interface 'eth1'"),
        (("port-add", "dp0", "x", "--type", "geneve"), "(OVS_VPORT_ATTR_TYPE)"),
        (("port-add", "dp0", "x", "--type", "99"), "there are no ports of type 99"),
        (
            ("port-del", "dp0", "eth0"),
            "no port is named 'eth0' in datapath 2 (OVS_VPORT_ATTR_NAME)",
        ),
        (("port-del", "dp0", "dp0"), "EINVAL: the local port goes with its datapath"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], text: str, switched: Daemon, run: Run) -> None:
    result = run(*arguments, status=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: E")
    assert text in result.stderr
    assert set(json.loads(run(*arguments, "--json", status=1).stderr)) == {"error"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("port-add", "dp0"),
        ("port-add", "dp0", "x", "--type", "bridge"),
        ("port-add", "dp0", "x", "--number", "0"),
        ("port-add", "dp0", "x", "--number", "65535"),
        ("port-add", "dp0", "x", "--upcall-pid", "-1"),
        ("port-del", "dp0"),
    ],
)
def test_a_wrong_command_line(arguments: tuple[str, ...], switched: Daemon, run: Run) -> None:
    assert run(*arguments, status=2).stderr.startswith("Usage: ovsdp-cuse port-")


def test_a_number_of_a_kind_that_has_no_name(switched: Daemon, run: Run) -> None:
    run("port-add", "dp0", "eth0")
    eth0 = switched.context.switch.lookup_port("eth0")
    assert eth0 is not None
    eth0.type = 200
    assert ports_shown(run)[1]["type"] == 200


def test_an_error_that_is_not_the_loss_of_a_datapath_is_told(
    switched: Daemon, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lookup(switch: Switch, index: int) -> Datapath | None:
        raise DatapathError(5, "broken")

    monkeypatch.setattr(Switch, "lookup", lookup)
    assert run("dp-show", status=1).stderr == "Error: EIO: broken\n"
