"""What the service's tests stand on: systemd, notification and udev work in the guest."""

import grp
import shutil
import subprocess
from pathlib import Path

UNITS = Path("/run/systemd/system")
RULES = Path("/run/udev/rules.d")

NOTIFYING = f"""
[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c '{shutil.which("systemd-notify")} --ready --status=there; exec sleep infinity'
"""


def run(*command: str) -> str:
    """The output of a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_system_is_up_and_nothing_failed() -> None:
    assert run("systemctl", "is-system-running", "--wait") == "running"
    assert Path("/proc/1/comm").read_text() == "systemd\n"


def test_a_unit_is_started_when_it_says_so() -> None:
    unit = UNITS / "ovsdp-sample.service"
    unit.write_text(NOTIFYING)
    run("systemctl", "daemon-reload")
    run("systemctl", "start", unit.name)
    properties = run("systemctl", "show", unit.name, "-p", "ActiveState,StatusText")
    assert set(properties.split()) == {"ActiveState=active", "StatusText=there"}
    assert "exposure level" in run("systemd-analyze", "security", "--no-pager", unit.name)
    run("systemctl", "stop", unit.name)


def test_udev_sets_group_and_mode_of_a_node() -> None:
    RULES.mkdir(parents=True, exist_ok=True)
    (RULES / "90-sample.rules").write_text('KERNEL=="cuse", GROUP="audio", MODE="0640"\n')
    run("udevadm", "control", "--reload")
    run("modprobe", "cuse")
    run("udevadm", "trigger", "--settle", "--sysname-match=cuse")
    node = Path("/dev/cuse").stat()
    assert node.st_mode & 0o777 == 0o640
    assert grp.getgrgid(node.st_gid).gr_name == "audio"
