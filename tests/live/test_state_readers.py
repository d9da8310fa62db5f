"""Who reads the file system of live state, and who else uses the daemon meanwhile."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from tests.families.test_flow import key, output
from tests.live.conftest import Serve
from tests.nodes.daemon import Daemon

FLOWS = 1000 if os.environ.get("OVSDP_TEST_NODE") == "cuse" else 5000
"""Fewer in the virtual machine, which is emulated and takes minutes for so many."""
READINGS = 5
READERS = 30


@pytest.fixture
def daemon(state: Path, serve: Serve) -> Daemon:
    """It has a datapath with many flows."""
    daemon = serve("--state", str(state))
    with Device(daemon.path) as device:
        device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
        put_flows(device)
    return daemon


def put_flows(device: Device, port: int = 0) -> None:
    """Put all flows, or give them an action that is another one."""
    (found,) = device.dump(DATAPATH, DpCmd.GET)
    for number in range(FLOWS):
        put = {
            FlowAttr.KEY: key(destination=b"\2\0" + number.to_bytes(4)),
            FlowAttr.ACTIONS: output(port),
        }
        device.transact(FLOW, FlowCmd.NEW, put, dp_ifindex=found.dp_ifindex)


def wait_times(device: Device, process: subprocess.Popen[bytes]) -> Iterator[float]:
    """Seconds that each request waits for its reply while a process runs."""
    while process.poll() is None:
        before = monotonic()
        device.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"})
        yield monotonic() - before


def test_who_reads_flows_holds_up_nobody(daemon: Daemon, state: Path) -> None:
    """In the best of some readings, as others may want the processor: they wait a small part of
    the time that the file takes, all of which they would wait if it were made at once."""
    shares = []
    with Device(daemon.path) as device:
        for _ in range(READINGS):
            begun = monotonic()
            with subprocess.Popen(
                ["cat", state / "datapaths/dp0/flows"], stdout=subprocess.DEVNULL
            ) as cat:
                longest = max(wait_times(device, cat))
            assert cat.returncode == 0
            shares.append(longest / (monotonic() - begun))
    assert min(shares) < 0.3, shares


def test_readers_that_never_read_on(daemon: Daemon, state: Path) -> None:
    """What each has begun is neither kept in memory nor in the way of what changes the flows."""
    path = state / "datapaths/dp0/flows"
    with Device(daemon.path) as device, ExitStack() as opened:
        before = path.read_bytes()
        whole = len(before)
        put_flows(device, 1)
        before_kib = daemon.resident_kib()
        readers = []
        for _ in range(READERS):
            readers.append(os.open(path, os.O_RDONLY))
            opened.callback(os.close, readers[-1])
            assert os.read(readers[-1], 1)
        for port in (2, 3):
            put_flows(device, port)
        grown = 1024 * (daemon.resident_kib() - before_kib)
        assert grown < READERS * whole / 4, "as if each had all of it"
        assert path.read_bytes().count(b"actions:3\n") == FLOWS
        assert os.read(readers[0], 5) == before[1:6], "it goes on where it was"
