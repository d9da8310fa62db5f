"""A whole start of ovs-vswitchd, recorded, and replayed to a daemon that has seen nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.nodes.calls import wait_until
from tests.nodes.interface import DEADLINE_S
from tests.openvswitch.conftest import StartStack
from tests.openvswitch.stack import Stack

pytestmark = pytest.mark.emulated

PROGRAM = (sys.executable, "-m", "ovsdp_cuse")


@contextmanager
def recording(stack: Stack, file: Path) -> Iterator[None]:
    """Record what crosses the device of a stack."""
    assert stack.daemon is not None
    log = file.with_suffix(".log")
    with log.open("wb") as told:
        process = subprocess.Popen(
            [*PROGRAM, "record", str(file), "--device", str(stack.daemon.path)], stderr=told
        )
    try:
        wait_until(lambda: b"recording" in log.read_bytes(), "it records")
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0, log.read_text()
        assert "lost" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_a_start_replayed_to_a_fresh_device_differs_in_nothing(
    start_stack: StartStack, tmp_path: Path
) -> None:
    stack, file = start_stack(), tmp_path / "start.pcapng"
    stack.openvswitch.stop_vswitchd()
    assert stack.daemon is not None
    stack.daemon.stop()
    stack.start_daemon()
    with recording(stack, file):
        stack.openvswitch.start_vswitchd()
        stack.add_bridge("br0")
        stack.vsctl("add-port", "br0", "i0", "--", "set", "interface", "i0", "type=internal")
    stack.openvswitch.stop_vswitchd()
    stack.daemon.stop()
    stack.start_daemon()
    command = [*PROGRAM, "replay", str(file), "--to", str(stack.daemon.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    summary = done.stdout.splitlines()[-1]
    assert " 0 differently" in summary
    assert int(summary.split()[0]) > 100, "it is a whole start"
    print(summary)
    subprocess.run(
        [*PROGRAM, "dp-del", "ovs-system", "--device", str(stack.daemon.path)], check=True
    )
    stack.openvswitch.start_vswitchd()
