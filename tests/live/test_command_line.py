"""The program on a real node: in this process where that will do, for it starts slowly in the
virtual machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ovsdp_cuse.command_line.group import program
from ovsdp_cuse.ports.memory import FIRST_IFINDEX
from tests.live.programs import next_line, started
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S

pytest_plugins = ("tests.live.devices",)


def run(path: Path, *arguments: str, status: int = 0) -> str:
    """What a command prints."""
    result = CliRunner().invoke(program, [*arguments, "--device", str(path)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def monitor(device_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A monitor that follows datapaths."""
    with started(device_path, "following ovs_datapath", "monitor", "ovs_datapath") as process:
        yield process


def test_a_datapath_comes_and_goes(device_path: Path, node_kind: str) -> None:
    document = json.loads(run(device_path, "info", "--json"))
    assert (document["device"], document["node"]) == (str(device_path), node_kind)
    assert (document["mode"], document["owner"]) == ("0660", "root")
    assert run(device_path, "dp-add", "line0").startswith("line0 made")
    assert "line0" in run(device_path, "dp-show")
    assert "EEXIST" in run(device_path, "dp-add", "line0", status=1)
    get_all = "18000000 1200 0103 01000000 00000000 03 02 0000 00000000"
    for door in ("device", "stream"):
        sent = run(device_path, "send", "--door", door, *get_all.split()).splitlines()
        assert 'NAME="line0"' in sent[1]
        assert sent[-1].startswith("< NLMSG_DONE")
    assert run(device_path, "dp-del", "line0").startswith("line0 removed")


def test_monitor_ends_with_ctrl_c(device_path: Path, monitor: subprocess.Popen[str]) -> None:
    assert monitor.stdout is not None
    run(device_path, "dp-add", "line1")
    assert "OVS_DP_CMD_NEW" in next_line(monitor.stdout)
    run(device_path, "dp-del", "line1")
    assert "OVS_DP_CMD_DEL" in next_line(monitor.stdout)
    monitor.send_signal(signal.SIGINT)
    output, errors = monitor.communicate(timeout=DEADLINE_S)
    assert (output, errors, monitor.returncode) == ("", "", 0)


def test_monitor_ends_when_nobody_reads(device_path: Path, monitor: subprocess.Popen[str]) -> None:
    assert monitor.stdout is not None
    assert monitor.stderr is not None
    monitor.stdout.close()
    run(device_path, "dp-add", "line2")
    run(device_path, "dp-del", "line2")
    assert monitor.wait(DEADLINE_S) == 0
    assert monitor.stderr.read() == ""


def test_the_trace_of_a_daemon(new_daemon: Daemon) -> None:
    with new_daemon as daemon:
        run(daemon.path, "dp-add", "line3")
        run(daemon.path, "dp-add", "line3", status=1)
        assert daemon.stop() == 0
        lines = daemon.log.splitlines()
    assert any(line.startswith(f"serving {daemon.path} (") for line in lines)
    command = Path("/proc/self/comm").read_text().strip()
    first = f"1 {command}[{os.getpid()}]"
    traced = [line for line in lines if line.startswith(first)]
    assert traced[0] == f"{first} opened, O_NONBLOCK"
    assert traced[1] == f"{first} < GET_PID 1"
    assert traced[2].startswith(f"{first} > TRANSACT ovs_datapath OVS_DP_CMD_NEW REQUEST seq=1")
    answer = f"ovs_datapath OVS_DP_CMD_NEW seq=1 pid=1 dp_ifindex={FIRST_IFINDEX} "
    assert re.match(rf"{re.escape(first)} < [\d.]+[um]s {re.escape(answer)}", traced[3])
    assert traced[4] == f"{first} closed"
    assert any("NLMSG_ERROR EEXIST" in line and "OVS_DP_ATTR_NAME" in line for line in lines)


def test_what_the_daemon_tells_of_itself(device_path: Path, node_kind: str) -> None:
    """Each command opens a handle of its own, so one is open, and it is of this process."""
    document = json.loads(run(device_path, "info", "--json"))
    assert document["process"] != os.getpid()
    (handle,) = json.loads(run(device_path, "handles", "--json"))["handles"]
    assert (handle["process"], handle["uid"]) == (os.getpid(), os.geteuid())
    assert (handle["readable"], handle["writable"]) == (True, False)
    assert f"[{os.getpid()}]" in run(device_path, "handles")
    run(device_path, "dp-add", "line4")
    assert run(device_path, "drops", "line4") == "no packet was dropped in line4\n"
    metrics = run(device_path, "metrics")
    assert f'node="{node_kind}",path="{device_path}"' in metrics
    assert 'ovsdp_datapath_flows{datapath="line4"} 0.0' in metrics.splitlines()
    run(device_path, "dp-del", "line4")


def test_a_packet_is_explained(device_path: Path) -> None:
    """Through a real node, whose reads are as long as the client makes them."""
    frame = "020000000002 020000000001 9999" + " 00" * 500
    run(device_path, "dp-add", "line5")
    try:
        run(device_path, "port-add", "line5", "line5p", "--type", "internal")
        printed = run(device_path, "explain", "--dp", "line5", "--in-port", "line5p", frame)
        first, key, *rest = printed.splitlines()
        assert first == "514 bytes come in by port 1 (line5p) of line5"
        assert key.startswith("key: ") and "eth_type(0x9999)" in key
        assert rest == [
            "miss: no flow matches",
            "--> dropped: upcall lost (no PID is set for it)",
        ]
        stats = json.loads(run(device_path, "dp-show", "--json"))
        assert '"missed": 0' in json.dumps(stats)
    finally:
        run(device_path, "dp-del", "line5")
