"""The service with systemd as PID 1, on a real /dev/cuse: installed, used, broken, uninstalled."""

import fcntl
import grp
import os
import re
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import guest
from .guest import NODE, PROGRAM, UNIT, run

CONFIGURATION = Path("/etc/ovsdp-cuse.toml")
ACCOUNTS = re.compile(r"/etc/(group|gshadow|passwd|shadow)-?|/etc/\.pwd\.lock")
"""What systemd-sysusers changes; a group, once there, stays."""

EXPOSURE_LIMIT = 3.0
NOBODY = 65534

GET_PID = 0x8004C800  # _IOR(0xC8, 0x00, __u32)
TRANSACT = 0xC018C805  # _IOC(_IOC_READ | _IOC_WRITE, 0xC8, 0x05, 24)
CONTROL_FAMILY, WIN_GET_PID = 0x11, 0
HEADERS = struct.Struct("=IHHII BBH i")  # nlmsghdr, genlmsghdr, ovs_header

OPEN_PORTS = Path(__file__).with_name("open_ports.py")
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


def settings() -> dict[str, bytes]:
    """Every file below /etc with its content, but the accounts."""
    return {
        str(path): path.read_bytes()
        for path in Path("/etc").rglob("*")
        if path.is_file() and not ACCOUNTS.fullmatch(str(path))
    }


def transact(client: int) -> None:
    """One transaction: what the device says of our PID is the same both ways."""
    (pid,) = struct.unpack("=I", fcntl.ioctl(client, GET_PID, bytes(4)))
    message = HEADERS.pack(HEADERS.size, CONTROL_FAMILY, 1, 1, 0, WIN_GET_PID, 1, 0, 0)
    reply = fcntl.ioctl(client, TRANSACT, message)
    assert pid != 0
    assert HEADERS.unpack(reply)[4] == pid


def use_node() -> None:
    """Be a client, once."""
    client = os.open(NODE, os.O_RDWR)
    try:
        transact(client)
    finally:
        os.close(client)


def may_open(group: int) -> bool:
    """Whether a user without privileges may open the node when in that group."""
    opening = ["/bin/sh", "-c", 'exec 3<>"$0"', str(NODE)]
    return subprocess.run(opening, user=NOBODY, group=group, extra_groups=[]).returncode == 0


@pytest.fixture(scope="module")
def before() -> dict[str, bytes]:
    """The settings of the system before the service came."""
    return settings()


@pytest.fixture(scope="module")
def installed(before: dict[str, bytes]) -> str:
    """What install-service says; from here on it is installed."""
    return run(PROGRAM, "install-service")


@pytest.fixture
def running(installed: str) -> None:
    """The service runs, and may have run in the test before."""
    run("systemctl", "start", UNIT)


@pytest.fixture
def changeable(installed: str) -> Iterator[None]:
    """The service does not run, and its settings may be changed until the end of the test."""
    guest.stop()
    configuration = CONFIGURATION.read_text()
    yield
    guest.stop()
    guest.forget_drop_ins()
    CONFIGURATION.write_text(configuration)


def test_installing_says_each_step_and_does_it(installed: str) -> None:
    steps = dict(line.split(": ", 1) for line in installed.splitlines())
    assert set(steps.values()) <= {"written", "done", f"systemctl start {UNIT}"}
    assert Path("/dev/cuse").is_char_device()
    assert grp.getgrnam("openvswitch").gr_gid > 0
    assert run("systemctl", "is-enabled", UNIT) == "enabled"
    assert guest.show("ActiveState") == "inactive"
    assert not NODE.exists()


def test_it_is_ready_when_the_node_is_there_with_its_group_and_mode(changeable: None) -> None:
    # systemd runs these between READY=1 and "active". The second is what the daemon runs itself,
    # but where it failed in this sandbox the daemon would go on without.
    wanted = "character special file root openvswitch 660"
    look = f'test "$$(stat --format="%%F %%U %%G %%a" {NODE})" = "{wanted}"'
    settle = "udevadm settle --timeout=10"
    guest.drop_in("ready", f"ExecStartPost=/bin/sh -c '{look}'", f"ExecStartPost={settle}")
    run("systemctl", "start", UNIT)
    assert guest.show("ActiveState") == "active"
    assert guest.show("StatusText") == f"serving {NODE}"
    use_node()


def test_it_may_open_ports(changeable: None) -> None:
    """What the daemon does for a client, in its sandbox: an internal port, and one of a TAP."""
    # It starts when that has ended, which takes two interpreters' starts in an emulated machine.
    opening = f"ExecStartPost={sys.executable} -I {OPEN_PORTS}"
    # The sandbox shows of a temporary directory what the daemon needs, not where its tests may be.
    seen = f"BindReadOnlyPaths={OPEN_PORTS}"
    guest.drop_in("ports", opening, seen, "TimeoutStartSec=300")
    with Path("/dev/net/tun").open("rb+", buffering=0) as tap:
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("=16sH22x", b"sandbox0", IFF_TAP | IFF_NO_PI))
        started = guest.attempt("systemctl", "start", UNIT)
    journal = guest.journal()
    assert started.returncode == 0, journal
    assert "sandbox0 and sandbox1 are ports" in journal


def test_installing_again_starts_what_is_there(running: None) -> None:
    before, pid = settings(), guest.main_pid()
    output = run(PROGRAM, "install-service", "--now")
    assert "written" not in output
    assert "updated" not in output
    assert settings() == before
    assert guest.main_pid() == pid


def test_members_of_the_group_may_open_it_and_others_may_not(running: None) -> None:
    group = grp.getgrnam("openvswitch").gr_gid
    assert may_open(group)
    assert not may_open(NOBODY)


def test_little_of_the_system_is_exposed(running: None) -> None:
    report = run("systemd-analyze", "security", "--no-pager", UNIT)
    overall = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert overall, report
    assert float(overall[1]) <= EXPOSURE_LIMIT, report


def test_stopping_takes_the_node_away(running: None) -> None:
    client = os.open(NODE, os.O_RDWR)
    try:
        transact(client)
        run("systemctl", "stop", UNIT)
        assert not NODE.exists()
        assert guest.show("Result") == "success"
        with pytest.raises(OSError):
            transact(client)
    finally:
        os.close(client)


def comes_back(pid: int) -> None:
    """Wait until another process than `pid` serves, and use it."""

    def is_back() -> bool:
        return guest.show("ActiveState") == "active" and guest.main_pid() not in (0, pid)

    guest.wait_until(is_back, f"{UNIT} is active again")
    assert int(guest.show("NRestarts")) == 1
    use_node()


def test_killed_it_is_started_again(running: None) -> None:
    client = os.open(NODE, os.O_RDWR)
    try:
        pid = guest.main_pid()
        os.kill(pid, signal.SIGKILL)
        comes_back(pid)
        with pytest.raises(OSError):
            transact(client)
    finally:
        os.close(client)


def test_hanging_it_is_killed_by_the_watchdog_and_started_again(changeable: None) -> None:
    guest.drop_in("watchdog", "WatchdogSec=5")
    run("systemctl", "start", UNIT)
    pid = guest.main_pid()
    os.kill(pid, signal.SIGSTOP)
    comes_back(pid)
    assert "Watchdog timeout" in guest.journal()


def test_udev_sets_group_and_mode_only_when_the_node_comes(changeable: None) -> None:
    CONFIGURATION.write_text('mode = "0600"\n')
    run("systemctl", "start", UNIT)
    trigger = ("udevadm", "trigger", "--settle", f"--name-match={NODE}")
    run(*trigger, "--action=change")
    assert stat.S_IMODE(NODE.stat().st_mode) == 0o600
    os.chown(NODE, 0, 0)
    run(*trigger, "--action=add")
    assert stat.S_IMODE(NODE.stat().st_mode) == 0o660
    assert grp.getgrgid(NODE.stat().st_gid).gr_name == "openvswitch"


def test_a_node_may_have_another_name_and_owner(changeable: None) -> None:
    other = Path("/dev/another-datapath")
    CONFIGURATION.write_text(f'name = "{other.name}"\nowner = "nobody"\nmode = "0400"\n')
    run("systemctl", "start", UNIT)
    status = other.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (NOBODY, 0o400)
    run("systemctl", "stop", UNIT)
    assert not other.exists()


def test_what_cannot_work_fails_with_its_reason(changeable: None) -> None:
    guest.drop_in("once", "Restart=no")
    CONFIGURATION.write_text('group = "nobodies"\n')
    assert guest.attempt("systemctl", "start", UNIT).returncode != 0
    assert guest.show("ActiveState") == "failed"
    assert "there is no 'nobodies' on this machine" in guest.journal()


def test_the_log_has_no_traceback(installed: str) -> None:
    log = guest.journal()
    assert "serving" in log
    assert "Traceback" not in log


def test_uninstalling_leaves_nothing_but_a_changed_configuration(
    running: None, before: dict[str, bytes]
) -> None:
    shipped = CONFIGURATION.read_text()
    CONFIGURATION.write_text('log_level = "debug"\n')
    assert f"{CONFIGURATION}: kept: it has been changed" in run(PROGRAM, "uninstall-service")
    assert not NODE.exists()
    assert guest.show("LoadState") == "not-found"
    assert run("systemctl", "list-units", "--all", "--plain", "--no-legend", "ovsdp-cuse*") == ""
    assert settings() == {**before, str(CONFIGURATION): b'log_level = "debug"\n'}

    CONFIGURATION.write_text(shipped)
    assert run(PROGRAM, "uninstall-service").count("was not there") == 4
    assert settings() == before
