"""The plugin, as who writes tests sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from tests.testing.conftest import PLUGIN, Run

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


def test_device_client_and_ports(run: Run) -> None:
    result = run(
        """
def test_it(ovsdp, ovsdp_client, ovsdp_ports):
    index = make(ovsdp_client)
    ovsdp_ports.add_interface("eth0")
    add_port(ovsdp_client, index, "eth0")
    ovsdp_ports.inject("eth0", bytes(60), bytes(64))
    families = [ovsdp_client.next_event(timeout=60)[0].name for _ in range(2)]
    assert families == ["ovs_packet"] * 2
    assert ovsdp_client.next_event(timeout=0) is None
    assert ovsdp_ports.take_sent("eth0") == []
    assert ovsdp.run(lambda: len(ovsdp.context.switch)) == 1

def test_another_has_another_device(ovsdp_client):
    assert list(ovsdp_client.dump(DATAPATH, DpCmd.GET)) == []
"""
    )
    result.assert_outcomes(passed=2)


def test_two_devices_in_one_test(run: Run) -> None:
    result = run(
        """
def test_it(ovsdp_client, ovsdp_make):
    other = ovsdp_make(handle_limit=1).open()
    make(other)
    assert list(ovsdp_client.dump(DATAPATH, DpCmd.GET)) == []
    assert len(list(other.dump(DATAPATH, DpCmd.GET))) == 1
"""
    )
    result.assert_outcomes(passed=1)


def test_the_marker_has_settings(run: Run) -> None:
    result = run(
        """
@pytest.mark.ovsdp(handle_limit=1)
class TestIt:
    def test_limit(self, ovsdp, ovsdp_client):
        with pytest.raises(DatapathError) as caught:
            ovsdp.open()
        assert caught.value.errno == ENFILE

    @pytest.mark.ovsdp(handle_limit=2)
    def test_the_nearest_wins(self, ovsdp, ovsdp_client):
        ovsdp.open()

@pytest.mark.ovsdp(handles=1)
def test_unknown(ovsdp):
    pass
""",
        "--strict-markers",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*marker 'ovsdp' does not take handles; it takes families, *"])


def test_a_failure_shows_the_messages(run: Run) -> None:
    text = """
def test_it(ovsdp_client):
    make(ovsdp_client, "shown")
    assert not "here"

def test_without():
    assert not "there"
"""
    result = run(text)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*- ovsdp: messages -*", '*OVS_DP_CMD_NEW*NAME="shown"*'])
    assert result.stdout.str().count("ovsdp: messages") == 1
    shorter = run(text, "--ovsdp-messages", "1")
    shorter.stdout.fnmatch_lines(["*- ovsdp: messages, the last 1 of *"])
    assert "ovsdp: messages" not in run(text, "--ovsdp-messages", "0").stdout.str()


FAILING_FAMILY = """
from enum import IntEnum

Cmd = IntEnum("Cmd", {"ONLY": 1})

async def fail(request):
    raise ZeroDivisionError("a bug")

SCHEMA = FamilySchema(0x30, "failing", 1, "FAILING", Cmd, AttributeSet("FAILING", {}))
COMMAND = Command(1, "FAILING_ONLY", DeviceOperation.TRANSACT, fail)
FAMILY = Family(SCHEMA, (COMMAND,))
"""


def test_a_bug_in_the_daemon_fails_the_test(run: Run) -> None:
    result = run(
        FAILING_FAMILY
        + """
@pytest.mark.ovsdp(families=[FAMILY])
def test_it(ovsdp_client):
    with pytest.raises(DatapathError) as caught:
        ovsdp_client.transact(SCHEMA, 1)
    assert caught.value.errno == EIO

@pytest.mark.ovsdp(families=[FAMILY])
def test_that_expects_it(ovsdp, ovsdp_client):
    with pytest.raises(DatapathError):
        ovsdp_client.transact(SCHEMA, 1)
    (error,) = ovsdp.take_errors()
    assert "ZeroDivisionError: a bug" in error["exception"]

def test_of_a_packet(ovsdp_client, ovsdp_ports, monkeypatch):
    from ovsdp_cuse.switch.datapath import Datapath
    index = make(ovsdp_client)
    ovsdp_ports.add_interface("eth0")
    add_port(ovsdp_client, index, "eth0")
    ovsdp_ports._ports.port("eth0").receive = lambda packet: 1 / 0
    with pytest.raises(ZeroDivisionError):
        ovsdp_ports.inject("eth0", bytes(60))
"""
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*DaemonFailure: the daemon has logged what is wrong in it:*"])
    result.stdout.fnmatch_lines(["*ZeroDivisionError: a bug*"])


def test_a_daemon_that_ends_fails_the_test(run: Run) -> None:
    result = run(
        """
import trio

def test_it(ovsdp, ovsdp_client):
    async def die():
        raise ZeroDivisionError("the end")

    def spawn():
        trio.lowlevel.spawn_system_task(die)

    ovsdp.run(spawn)
    ovsdp._loop._thread.join(60)
    with pytest.raises(DatapathError) as caught:
        make(ovsdp_client)
    assert caught.value.errno == ENOTCONN
"""
    )
    result.stdout.fnmatch_lines(["*DaemonFailure: the daemon has ended: *"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_what_the_daemon_logs_is_not_in_the_output_of_the_test(run: Run) -> None:
    result = run(
        """
import structlog

def test_it(ovsdp, capsys):
    ovsdp.run(lambda: structlog.get_logger().info("within"))
    structlog.get_logger().info("without")
    assert "without" in capsys.readouterr().out
    assert ovsdp.log.lines() == ["[info] within"]
"""
    )
    result.assert_outcomes(passed=1)


def test_families_that_clash_are_told(run: Run) -> None:
    result = run(
        FAILING_FAMILY
        + """
@pytest.mark.ovsdp(families=[FAMILY, FAMILY])
def test_it(ovsdp):
    pass
"""
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the device of this test cannot be made: family failing*clashes*"])


def test_a_node_that_cannot_be_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ovsdp_cuse.device.fuse.fuse_problem", lambda: "no /dev/fuse: load fuse")
    result = run("def test_it(ovsdp): pass\n", "--ovsdp-node", "fuse")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the device of this test cannot be made: no /dev/fuse: load fuse"])


def test_an_unknown_node(run: Run) -> None:
    assert run("def test_it(ovsdp): pass\n", "--ovsdp-node", "x").ret == pytest.ExitCode.USAGE_ERROR


def test_a_device_in_memory_has_no_path(run: Run) -> None:
    run(
        """
def test_it(ovsdp):
    with pytest.raises(RuntimeError, match="--ovsdp-node"):
        ovsdp.path
"""
    ).assert_outcomes(passed=1)


def test_a_call_that_hangs_is_told(run: Run) -> None:
    result = run(
        """
def test_it(ovsdp):
    ovsdp.end_limit_s = 0.05

    def hang():
        with ovsdp._loop.sleeping():
            time.sleep(1)

    ovsdp.start(hang)
"""
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*calls that the test has started do not end*"])


def test_nothing_is_left(run: Run) -> None:
    before = set(threading.enumerate())
    run(
        """
def test_it(ovsdp, ovsdp_make, ovsdp_faults):
    ovsdp_make().open()
    assert 0

def test_that_closes(ovsdp):
    with ovsdp.open() as device:
        make(device)
    with pytest.raises(DatapathError):
        make(device)
"""
    ).assert_outcomes(passed=1, failed=1)
    assert set(threading.enumerate()) == before


def test_a_run_that_uses_nothing_loads_nothing(pytester: pytest.Pytester) -> None:
    """The plugin is loaded for each run on the machine."""
    pytester.makepyfile(
        """
import sys

def test_it():
    loaded = {name for name in sys.modules if name.startswith("ovsdp_cuse")}
    assert loaded == {"ovsdp_cuse", "ovsdp_cuse.testing", "ovsdp_cuse.testing.plugin"}
    assert not {"trio", "construct", "structlog"} & set(sys.modules)
"""
    )
    others = ("-p", "no:trio", "-p", "no:hypothesispytest")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", PLUGIN, *others],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=pytester.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_async_tests_may_use_it(run: Run) -> None:
    run(
        """
@pytest.mark.trio
async def test_it(ovsdp_client):
    assert make(ovsdp_client)
"""
    ).assert_outcomes(passed=1)


def test_pytest_finds_it_by_itself() -> None:
    """Where the package is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}
    assert project["optional-dependencies"]["testing"] == ["pytest>=8"]
