"""The service's state as files, with systemd as PID 1: seen outside of the unit, and its ends."""

import grp
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import guest
from .guest import PROGRAM, UNIT, run

CONFIGURATION = Path("/etc/ovsdp-cuse.toml")
STATE = Path("/run/ovsdp")
SOURCE = "ovsdp-cuse.service"
NOBODY = 65534


def mounts() -> list[str]:
    """Where the service has mounted its state, as this process sees it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[-2] == SOURCE]


def read_by(user: int, group: int) -> subprocess.CompletedProcess[str]:
    """What a user without privileges reads."""
    return subprocess.run(
        ("cat", STATE / "version"),
        user=user,
        group=group,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=guest.LIMIT_S,
    )


@pytest.fixture(scope="module")
def installed() -> Iterator[None]:
    """The service is installed, and does not run."""
    run(PROGRAM, "install-service", "--no-enable")
    yield
    run(PROGRAM, "uninstall-service")
    assert mounts() == []
    assert not STATE.exists()


@pytest.fixture
def service(installed: None) -> Iterator[None]:
    """Its settings may be changed until the end of the test; then it has left nothing."""
    configuration = CONFIGURATION.read_text()
    yield
    log = guest.journal()
    guest.stop()
    guest.forget_drop_ins()
    CONFIGURATION.write_text(configuration)
    assert mounts() == [], log
    assert not STATE.exists(), log


def start() -> None:
    """Start it; AssertionError has its log where it fails."""
    started = guest.attempt("systemctl", "start", UNIT)
    assert started.returncode == 0, guest.journal()


def test_who_may_use_the_device_reads_its_state(service: None) -> None:
    start()
    assert mounts() == [str(STATE)], guest.journal()
    assert run("cat", STATE / "version").startswith("version ")
    member = read_by(NOBODY, grp.getgrnam("openvswitch").gr_gid)
    assert member.stdout.strip() == run("cat", STATE / "version"), member.stderr
    other = read_by(NOBODY, NOBODY)
    assert (other.returncode, other.stdout) == (1, "")
    assert "Permission denied" in other.stderr


def test_it_is_there_again_after_a_restart_and_after_a_kill(service: None) -> None:
    start()
    held = os.open(STATE / "version", os.O_RDONLY)
    try:
        run("systemctl", "restart", UNIT)
        assert run("cat", STATE / "version")
        with pytest.raises(OSError):
            os.read(held, 1)
    finally:
        os.close(held)
    pid = guest.main_pid()
    os.kill(pid, signal.SIGKILL)
    guest.wait_until(
        lambda: guest.show("ActiveState") == "active" and guest.main_pid() not in (0, pid),
        f"{UNIT} is active again",
    )
    assert run("cat", STATE / "version")
    assert mounts() == [str(STATE)]
    run("systemctl", "stop", UNIT)
    assert mounts() == []
    assert guest.show("Result") == "success"


def test_a_start_that_fails_leaves_nothing(service: None) -> None:
    guest.drop_in("fails", "Restart=no")
    CONFIGURATION.write_text('group = "nobodies"\n')
    assert guest.attempt("systemctl", "start", UNIT).returncode != 0
    assert mounts() == [], guest.journal()
    assert not STATE.exists()


def test_another_place_or_none(service: None, tmp_path: Path) -> None:
    place = Path("/run/elsewhere for ovsdp")
    CONFIGURATION.write_text(f'state = "{place}"\n')
    start()
    assert run("cat", place / "version")
    assert not STATE.exists()
    CONFIGURATION.write_text('state = "off"\n')  # what is mounted is found all the same
    run("systemctl", "restart", UNIT)
    assert guest.show("ActiveState") == "active"
    assert mounts() == []
    assert not place.exists()


def test_without_fuse_the_device_is_served(service: None) -> None:
    guest.drop_in("no-fuse", "DeviceAllow=", "DeviceAllow=/dev/cuse rw")
    start()
    assert mounts() == []
    assert "no file system of live state: /run/ovsdp cannot show the state" in guest.journal()
    assert guest.NODE.exists()
