"""The file system of live state on a real mount."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.testing.process import DaemonError, mounted
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from tests.families.test_flow import key, output
from tests.live.conftest import Serve
from tests.nodes.calls import wait_until
from tests.nodes.daemon import Daemon

FLOWS = 200
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def run(*command: str | Path, status: int = 0) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert done.returncode == status, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def daemon(state: Path, serve: Serve) -> Daemon:
    daemon = serve("--state", str(state))
    with Device(daemon.path) as device:
        device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
    return daemon


def put_flow(device: Device, number: int) -> None:
    (found,) = device.dump(DATAPATH, DpCmd.GET)
    put = {
        FlowAttr.KEY: key(destination=b"\2\0" + number.to_bytes(4)),
        FlowAttr.ACTIONS: output(0),
    }
    device.transact(FLOW, FlowCmd.NEW, put, dp_ifindex=found.dp_ifindex)


def test_programs_read_it_while_flows_change(daemon: Daemon, state: Path, tmp_path: Path) -> None:
    tail = subprocess.Popen(
        ["tail", "-f", "-s", "0.1", state / "trace"], stdout=subprocess.PIPE, text=True
    )
    try:
        with Device(daemon.path) as device:
            commands = [
                ["ls", "-lR", state],
                ["find", state, "-type", "f", "-newermt", "2000-01-01"],
                ["cp", "-r", state, tmp_path / "copy"],
                ["grep", "-r", "dp0", state / "datapaths"],
            ]
            number = 0
            for command in commands:
                process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
                while process.poll() is None:
                    put_flow(device, number % FLOWS)
                    number += 1
                assert process.returncode == 0, command
        assert tail.stdout is not None
        line = tail.stdout.readline()
        while "OVS_FLOW_CMD_NEW" not in line:
            line = tail.stdout.readline()
    finally:
        tail.kill()
        tail.communicate()
    copied = [path for path in (tmp_path / "copy").rglob("*.json") if path.name != "trace.json"]
    assert len(copied) > 20
    for path in copied:
        json.loads(path.read_text())
    assert run("cat", state / "datapaths/dp0/flows").count("\n") == min(number, FLOWS)


def test_flows_are_what_ovs_dpctl_writes(daemon: Daemon, state: Path) -> None:
    """Through the shim, of the same daemon; with ports by their names."""
    with Device(daemon.path) as device:
        for number in range(FLOWS):
            put_flow(device, number)
    dpctl = (sys.executable, "-m", "ovsdp_cuse", "exec", "--device", daemon.path, "--", "ovs-dpctl")
    flow = "recirc_id(7),in_port(0),eth(),eth_type(0x0800),ipv4(frag=no)"
    run(*dpctl, "add-flow", "dp0", flow, "push_vlan(vid=5,pcp=1),0")
    written = run(*dpctl, "dump-flows", "-m", "dp0")
    assert written.count("\n") == FLOWS + 1 and "in_port(dp0)" in written
    assert (state / "datapaths/dp0/flows").read_text() == written


def test_poll_on_the_trace(daemon: Daemon, state: Path) -> None:
    with (state / "trace").open("rb", buffering=0) as trace:
        poller = select.poll()
        poller.register(trace, select.POLLIN)
        while trace.read(65536):
            pass
        assert poller.poll(0) == []
        Device(daemon.path).close()
        assert poller.poll(10_000)
        assert b"opened" in trace.read(65536)


def test_others_may_not_read(daemon: Daemon, state: Path) -> None:
    run(*NOBODY, "ls", state, status=2)
    run(*NOBODY, "cat", state / "version", status=1)
    assert (state / "node").stat().st_mode & 0o777 == 0o440


def test_it_ends_while_files_are_open(daemon: Daemon, state: Path) -> None:
    flows = os.open(state / "datapaths/dp0/flows", os.O_RDONLY)
    assert daemon.stop() == 0, daemon.log
    with pytest.raises(OSError, match=r"not connected|aborted"):
        os.read(flows, 1)
    with suppress(OSError):  # close(2) tells it, too, and closes
        os.close(flows)


def test_somebody_unmounts_it(daemon: Daemon, state: Path) -> None:
    run("umount", state)
    wait_until(lambda: "was unmounted" in daemon.log, "the daemon says so")
    with Device(daemon.path) as device:
        assert len(list(device.dump(DATAPATH, DpCmd.GET))) == 1


def test_what_a_killed_daemon_leaves_is_cleared(kind: str, directory: Path, state: Path) -> None:
    options = ("--state", str(state))
    with Daemon("fuse", directory / "first", *options) as first:
        first.stop(signal.SIGKILL)
        assert mounted(state)
        with Daemon("fuse", directory / "second", *options) as second:
            assert (state / "version").read_text()
            assert second.stop() == 0, second.log


def test_a_place_that_is_taken(daemon: Daemon, directory: Path, state: Path) -> None:
    with (
        pytest.raises(DaemonError, match="another daemon serves") as refused,
        Daemon("fuse", directory / "second", "--state", str(state)),
    ):
        pass
    assert refused.value.status == 1
    assert os.listdir(state)  # noqa: PTH208 - one request, the first's


def test_off(state: Path, serve: Serve) -> None:
    daemon = serve("--state", "off")
    assert not state.exists() and "live state" not in daemon.log
