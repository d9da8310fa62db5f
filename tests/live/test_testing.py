"""The pytest plugin on a real node: its example, and daemons beside the test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TESTS = 5

BESIDE = """
from ovsdp_cuse.client import Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd

PATHS = []

def make(device):
    asked = {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)}
    return device.transact(DATAPATH, DpCmd.NEW, asked)

def test_beside(ovsdp_serve):
    daemons = [ovsdp_serve(), ovsdp_serve("--handle-limit", "3")]
    for daemon in daemons:
        PATHS.append(daemon.path)
        make(daemon.open())
        with Device(daemon.path) as device:
            assert len(list(device.dump(DATAPATH, DpCmd.GET))) == 1

def test_gone():
    assert not [path for path in PATHS if path.exists()]

def test_within(ovsdp, ovsdp_client, ovsdp_faults):
    from ovsdp_cuse.wire.fault import FaultEffect
    PATHS.append(ovsdp.path)
    with Device(ovsdp.path, read_only=True) as device:
        assert list(device.dump(DATAPATH, DpCmd.GET)) == []
    ovsdp_faults.add(FaultEffect.HOLD, command="OVS_DP_CMD_NEW")
    call = ovsdp.start(make, ovsdp_client)
    assert not call.done
    ovsdp_faults.release()
    assert call.result()

def test_gone_too():
    assert not [path for path in PATHS if path.exists()]

def test_failing(ovsdp_serve):
    make(ovsdp_serve().open())
    assert not "here"
"""


def options(kind: str) -> tuple[str, ...]:
    """For a run of pytest on a node."""
    return ("-p", "ovsdp_cuse.testing.plugin", "-W", "error", "--ovsdp-node", kind)


def test_the_example(kind: str, pytester: pytest.Pytester) -> None:
    for name in ("small_dpif.py", "test_small_dpif.py"):
        shutil.copy(EXAMPLES / name, pytester.path)
    pytester.runpytest_inprocess(*options(kind)).assert_outcomes(passed=TESTS)


def test_daemons_on_it(kind: str, pytester: pytest.Pytester) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    pytester.makepyfile(BESIDE)
    result = pytester.runpytest_inprocess(*options(kind))
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*- ovsdp: * has printed -*", "*OVS_DP_CMD_NEW*"])
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_a_daemon_that_does_not_start(kind: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile('def test_it(ovsdp_serve): ovsdp_serve("--queue-limit", "1")\n')
    result = pytester.runpytest_inprocess(*options(kind))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the daemon of this test does not start: *queue*limit*"])
