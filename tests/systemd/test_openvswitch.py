"""Debian's openvswitch-switch on the device, with systemd as PID 1.

The guest's kernel has its own module openvswitch, which is loaded by whoever asks for it: that it
is not shows that nobody did.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovsdp_cuse.shim import library

from . import guest
from .guest import PROGRAM, UNIT, run

SWITCH, FORWARDING, DATABASE = (
    f"{name}.service" for name in ("openvswitch-switch", "ovs-vswitchd", "ovsdb-server")
)
DROP_INS = tuple(
    Path("/etc/systemd/system") / name
    for name in ("ovs-vswitchd.service.d/ovsdp-cuse.conf", "ovsdp-cuse.service.d/openvswitch.conf")
)
MODULE = Path("/sys/module/openvswitch")
CONFIGURATION = Path("/etc/openvswitch")
"""Where ovsdb-server has its database; here, of the machine that the guest's files are of."""

LIMIT_S = 3 * guest.LIMIT_S
"""What starting a daemon and Open vSwitch, with its shell scripts, may take."""

BRIDGE, ADDRESS = "br0", "10.0.0.254"
HOST, HOST_ADDRESS, HOST_PORT = "host", "10.0.0.1", "to-host"


def vsctl(*arguments: str) -> str:
    """What ovs-vsctl prints once ovs-vswitchd has done what it asks."""
    return run("ovs-vsctl", f"--timeout={guest.LIMIT_S:.0f}", *arguments)


def main_pid(unit: str) -> int:
    """The process of a unit; 0 where it does not run."""
    return int(run("systemctl", "show", "--property=MainPID", "--value", unit))


def is_active(unit: str) -> bool:
    """Whether a unit runs."""
    return guest.attempt("systemctl", "is-active", "--quiet", unit).returncode == 0


def has_shim(unit: str) -> bool:
    """Whether the library is loaded into a unit's process."""
    return str(library()) in Path(f"/proc/{main_pid(unit)}/maps").read_text()


def datapaths() -> dict[str, list[str]]:
    """Our daemon's datapaths, and the names of their ports."""
    shown = json.loads(run(PROGRAM, "dp-show", "--json"))["datapaths"]
    return {found["name"]: [port["name"] for port in found["ports"]] for found in shown}


def check_bridge() -> None:
    """See that the bridge's datapath is our daemon's, and that a ping comes through it."""
    vsctl("init")
    assert vsctl("get", "Interface", BRIDGE, "error") == "[]"
    assert {BRIDGE, HOST_PORT} <= set(datapaths()["ovs-system"])
    run("ip", "address", "replace", f"{ADDRESS}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    limit = f"{guest.LIMIT_S / 2:.0f}"
    run("ip", "netns", "exec", HOST, "busybox", "ping", "-c", "1", "-W", limit, ADDRESS)
    assert not MODULE.exists()


def is_back(before: int) -> None:
    """Wait until ovs-vswitchd runs again, as another process; systemctl waits for one unit only."""

    def is_another() -> bool:
        return main_pid(FORWARDING) not in (0, before) and is_active(FORWARDING)

    guest.wait_until(is_another, f"{FORWARDING} is active again", LIMIT_S)


@pytest.fixture(scope="module")
def installed() -> Iterator[str]:
    """What install-service says; it is installed, and all runs."""
    for file in CONFIGURATION.glob("*"):
        if file.is_file():
            file.unlink()
    assert not MODULE.exists()
    yield run(PROGRAM, "install-service", "--openvswitch", "--now", limit_s=LIMIT_S)


@pytest.fixture
def bridge(installed: str) -> None:
    """All runs, and there is a bridge, with a host at one port."""
    run("systemctl", "start", SWITCH, limit_s=LIMIT_S)
    if BRIDGE in vsctl("list-br").split():
        return
    vsctl("add-br", BRIDGE, "--", "add-port", BRIDGE, HOST_PORT)
    run("ip", "netns", "add", HOST)
    run("ip", "link", "add", HOST_PORT, "type", "veth", "peer", "name", "eth0", "netns", HOST)
    run("ip", "link", "set", HOST_PORT, "up")
    run("ip", "-n", HOST, "address", "add", f"{HOST_ADDRESS}/24", "dev", "eth0")
    run("ip", "-n", HOST, "link", "set", "eth0", "up")


def test_installing_says_each_step_and_starts_it(installed: str) -> None:
    steps = dict(line.split(": ", 1) for line in installed.splitlines())
    assert [steps[str(path)] for path in DROP_INS] == ["written", "written"]
    assert steps[f"systemctl start {SWITCH}"] == "done"
    assert all(map(is_active, (UNIT, SWITCH, FORWARDING, DATABASE)))


def test_only_ovs_vswitchd_has_the_shim(bridge: None) -> None:
    assert has_shim(FORWARDING)
    assert not has_shim(DATABASE)


def test_a_bridge_is_the_device_s_and_not_the_kernel_s(bridge: None) -> None:
    check_bridge()


def test_the_units_wait_for_each_other_in_no_circle(installed: str) -> None:
    verified = guest.attempt("systemd-analyze", "verify", SWITCH, UNIT)
    assert "cycle" not in verified.stdout + verified.stderr
    assert verified.returncode == 0, verified.stderr


def test_ovs_vswitchd_restarts_with_the_daemon_and_the_bridge_works_again(bridge: None) -> None:
    before = main_pid(FORWARDING)
    run("systemctl", "restart", UNIT, limit_s=LIMIT_S)
    is_back(before)
    check_bridge()


def test_so_it_does_where_the_daemon_is_killed(bridge: None) -> None:
    before = main_pid(FORWARDING)
    os.kill(guest.main_pid(), signal.SIGKILL)
    is_back(before)
    check_bridge()


def test_it_stops_and_starts_with_the_daemon(bridge: None) -> None:
    run("systemctl", "stop", UNIT, limit_s=LIMIT_S)
    assert not any(map(is_active, (FORWARDING, SWITCH)))
    run("systemctl", "start", SWITCH, limit_s=LIMIT_S)
    assert is_active(UNIT)
    check_bridge()


def test_it_says_in_the_journal_why_it_cannot_start(bridge: None) -> None:
    drop_in = Path("/run/systemd/system") / f"{FORWARDING}.d/zz-other.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nEnvironment=OVSDP_DEVICE=/dev/other\nRestart=no\n")
    run("systemctl", "daemon-reload")
    try:
        assert guest.attempt("systemctl", "restart", FORWARDING, limit_s=LIMIT_S).returncode != 0
        run("journalctl", "--sync")
        said = run("journalctl", "--unit", FORWARDING, "--boot", "--output=cat", "--no-pager")
        assert "there is no /dev/other, for no daemon serves it" in said
        assert not MODULE.exists()
    finally:
        drop_in.unlink()
        run("systemctl", "daemon-reload")


def test_the_reverse_gives_open_vswitch_the_kernel_s_module_again(bridge: None) -> None:
    output = run(PROGRAM, "uninstall-service", "--openvswitch", limit_s=LIMIT_S)
    assert "datapath ovs-system: removed\n" in output
    assert output.endswith(f": systemctl start {SWITCH}")
    assert not any(path.parent.exists() for path in DROP_INS)
    assert is_active(UNIT)
    run("systemctl", "start", SWITCH, limit_s=LIMIT_S)
    vsctl("init")
    assert not has_shim(FORWARDING)
    assert datapaths() == {}
    assert MODULE.exists()
    for name in (BRIDGE, HOST_PORT):
        assert vsctl("get", "Interface", name, "error") == "[]"
    assert "openvswitch" in run("ip", "-details", "link", "show", BRIDGE)


def test_uninstalling_the_service_leaves_open_vswitch_alone(installed: str) -> None:
    pid = main_pid(FORWARDING)
    run(PROGRAM, "uninstall-service")
    assert guest.show("LoadState") == "not-found"
    assert main_pid(FORWARDING) == pid
    run("systemctl", "stop", SWITCH, limit_s=LIMIT_S)
