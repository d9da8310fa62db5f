"""`install-service` and `uninstall-service`: the daemon as a service of systemd, and back.

Each step prints one line. A step that fails says what that means, the others are done all the
same, and the exit status is 1. Running a command twice is harmless.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from ovsdp_cuse.command_line import openvswitch_files, service_files
from ovsdp_cuse.command_line.openvswitch_files import (
    DATAPATH_NAME,
    FORWARDING_UNIT,
    KERNEL_MODULE,
    SWITCH_UNIT,
)
from ovsdp_cuse.command_line.service_files import TARGETS, UNIT, InstallationError
from ovsdp_cuse.configuration import DEFAULT_FILE
from ovsdp_cuse.errors import DatapathError

SYSTEMD_RUNS = Path("/run/systemd/system")  # sd_booted(3)
UDEV_RUNS = Path("/run/udev/control")
SYSTEM = Path("/")
SYSTEM_PROGRAMS = ":/usr/sbin:/sbin"
"""Added to PATH: there are modprobe and systemd-sysusers, also where `su` left a user's PATH."""

DROP_INS = ".service.d"
"""Ends the name of a directory that is there for the drop-ins of one unit."""

NO_CUSE = (
    "the service cannot start before a kernel runs that has the module cuse (CONFIG_CUSE; "
    "Debian: linux-image-amd64, but not its cloud kernels). On this one 'ovsdp-cuse serve', "
    "started by hand, serves a mounted file; to take this back: ovsdp-cuse uninstall-service"
)
BY_HAND = (
    "\nBy hand, start 'ovsdp-cuse serve', and on that Open vSwitch:\n"
    "  /usr/share/openvswitch/scripts/ovs-ctl --no-ovs-vswitchd --system-id=random start\n"
    "  ovsdp-cuse exec -- ovs-vswitchd --pidfile --detach --log-file"
)


@dataclass
class Steps:
    """Does steps on the system below `root`, prints each, and remembers whether one failed."""

    root: Path
    failed: bool = field(default=False, init=False)

    @property
    def live(self) -> bool:
        """Whether it is the running system."""
        return self.root == SYSTEM

    def place(self, target: Path) -> Path:
        """Where a file of the system is below the root."""
        return self.root / target.relative_to("/")

    def write(self, target: Path, text: str) -> None:
        """Make a file what it should be; a configuration that is there stays."""
        file = self.place(target)
        before = file.read_text() if file.exists() else None
        if before is not None and target == DEFAULT_FILE:
            print_step(target, "kept")
            return
        if before == text:
            print_step(target, "is there")
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
        print_step(target, "written" if before is None else "updated")

    def remove(self, target: Path) -> None:
        """Remove a file, but not a configuration that somebody changed."""
        file = self.place(target)
        if not file.exists():
            print_step(target, "was not there")
        elif target == DEFAULT_FILE and file.read_text() != service_files.shipped(target.name):
            print_step(target, "kept: it has been changed")
        else:
            file.unlink()
            print_step(target, "removed")
            if file.parent.name.endswith(DROP_INS) and not any(file.parent.iterdir()):
                file.parent.rmdir()

    def run(self, *command: str, otherwise: str) -> None:
        """Run a program; where it fails, say that and what it means."""
        try:
            _run(command).check_returncode()
        except FileNotFoundError:
            self.fail(" ".join(command), "there is no such program", otherwise)
        except subprocess.CalledProcessError as error:
            reason = str(error.stderr).strip() or f"status {error.returncode}"
            self.fail(" ".join(command), reason.partition("\n")[0], otherwise)
        else:
            print_step(" ".join(command), "done")

    def systemctl(self, *arguments: str, otherwise: str, unit: str = UNIT) -> None:
        """Run systemctl on the system below the root."""
        place = () if self.live else (f"--root={self.root}",)
        self.run("systemctl", *place, *arguments, unit, otherwise=otherwise)

    def reload(self) -> None:
        """Tell systemd and udev that their files changed."""
        self.run("systemctl", "daemon-reload", otherwise="the change is seen after the next boot")
        if UDEV_RUNS.exists():
            self.run("udevadm", "control", "--reload", otherwise="udev keeps its old rules")
        else:
            print_step("udev", "does not run here; the daemon sets owner and mode itself")

    def fail(self, what: str, why: str, otherwise: str) -> None:
        """Say that a step failed, and what that means."""
        self.failed = True
        print_step(what, f"FAILED: {why}")
        click.echo(f"  {otherwise}")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": os.environ.get("PATH", os.defpath) + SYSTEM_PROGRAMS}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def print_step(what: object, outcome: str) -> None:
    """One line of what was done."""
    click.echo(f"{what}: {outcome}")


root_option = click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    default=SYSTEM,
    show_default=True,
    help="Only change the files of the system in this directory.",
)


@click.command("install-service")
@root_option
@click.option("--enable/--no-enable", default=True, help="Start it at boot.  [default: enable]")
@click.option("--now", is_flag=True, help="Start it now; one that runs is left alone.")
@click.option(
    "--openvswitch",
    is_flag=True,
    help="Have the services of openvswitch-switch use the device, not the kernel's module.",
)
def install_service(root: Path, enable: bool, now: bool, openvswitch: bool) -> None:
    """Make `serve` a service of systemd, ovsdp-cuse.service.

    Puts in place, below /etc: the unit, which starts this very program; the udev rule and the group
    openvswitch, whose members may use the device; the loading of the kernel's module cuse; and a
    configuration, ovsdp-cuse.toml, unless there is one. Then has systemd and udev read them.

    With --openvswitch also drop-ins for ovs-vswitchd.service, which then starts with the shim of
    `ovsdp-cuse exec`, needs no kernel module and loads none, and stops and restarts with
    ovsdp-cuse.service; --now starts openvswitch-switch.service, too.

    The service takes a kernel with CUSE: it may not mount, so it makes no file in the device's
    place as `serve` does by itself.
    """
    steps = _steps(root, "install-service", BY_HAND)
    if now and not steps.live:
        raise click.UsageError("--now is for the running system, --root for another")
    _guarded(lambda: _install(steps, openvswitch))
    if enable:
        steps.systemctl("enable", otherwise="it does not start at boot")
    if now:
        steps.systemctl("start", otherwise=f"see: journalctl -u {UNIT}")
    if now and openvswitch:
        steps.systemctl("start", unit=SWITCH_UNIT, otherwise="see: journalctl -u ovs-vswitchd")
    _finish(steps)
    if steps.live and not now:
        click.echo(f"To start it: systemctl start {UNIT}")
    if openvswitch:
        click.echo("For ovs-dpctl, which you start yourself: ovsdp-cuse exec -- ovs-dpctl show")
    if openvswitch and steps.live:
        click.echo(f"If Open vSwitch has run already: {_switch_over()}")


@click.command("uninstall-service")
@root_option
@click.option(
    "--openvswitch",
    is_flag=True,
    help="Only have the services of openvswitch-switch use the kernel's module again.",
)
def uninstall_service(root: Path, openvswitch: bool) -> None:
    """Stop the service and remove what install-service put in place.

    What others may rely on by now is kept: a configuration that has been changed, the group
    openvswitch, the loaded module. Services of openvswitch-switch that use the device are stopped,
    too, and use the kernel's module again when they are started.
    """
    steps = _steps(root, "uninstall-service")
    drop_ins = [path for path in openvswitch_files.TARGETS.values() if steps.place(path).exists()]
    if openvswitch:
        _guarded(lambda: _uninstall_drop_ins(steps, drop_ins))
    else:
        _guarded(lambda: _uninstall(steps, drop_ins))
    _finish(steps)
    if drop_ins:
        click.echo(f"To have Open vSwitch use the kernel's module: systemctl start {SWITCH_UNIT}")


def _install(steps: Steps, openvswitch: bool) -> None:
    files = service_files.contents()
    if openvswitch:
        openvswitch_files.check_installed(steps.place)
        files |= openvswitch_files.contents(steps.place(DEFAULT_FILE))
    for target, text in files.items():
        steps.write(target, text)
    for path in service_files.writable_by_others(service_files.locations()):
        print_step("warning", f"not only root may change {path}, and the service runs it as root")
    if not steps.live:
        return
    sysusers = str(TARGETS["sysusers.d/ovsdp-cuse.conf"])
    steps.run("systemd-sysusers", sysusers, otherwise="the group openvswitch may be missing")
    steps.reload()
    steps.run("modprobe", "cuse", otherwise=NO_CUSE)


def _uninstall(steps: Steps, drop_ins: Sequence[Path]) -> None:
    if steps.place(TARGETS[UNIT]).exists():
        now = ("--now",) if steps.live else ()
        steps.systemctl("disable", *now, otherwise="it may still run, or start at boot")
        if steps.live and _run(("systemctl", "is-failed", "--quiet", UNIT)).returncode == 0:
            steps.systemctl("reset-failed", otherwise="systemd still lists it as failed")
    _remove(steps, (*drop_ins, *TARGETS.values()))


def _uninstall_drop_ins(steps: Steps, drop_ins: Sequence[Path]) -> None:
    if steps.live and drop_ins:
        if _run(("systemctl", "is-active", "--quiet", FORWARDING_UNIT)).returncode == 0:
            steps.systemctl("stop", unit=FORWARDING_UNIT, otherwise="it goes on with the device")
        _remove_datapath(steps)
    _remove(steps, openvswitch_files.TARGETS.values())


def _remove_datapath(steps: Steps) -> None:
    what = f"datapath {DATAPATH_NAME}"
    try:
        found = openvswitch_files.remove_datapath(openvswitch_files.device(DEFAULT_FILE))
    except DatapathError as error:
        steps.fail(what, error.message, "its interfaces are in the way of the kernel's module")
    else:
        print_step(what, "removed" if found else "was not there")


def _switch_over() -> str:
    """What has a running Open vSwitch use the device."""
    if not KERNEL_MODULE.exists():
        return f"systemctl restart {SWITCH_UNIT}"
    # What it leaves in the kernel holds the interfaces.
    commands = ("systemctl stop", "ovs-dpctl del-dp", "systemctl start")
    objects = (SWITCH_UNIT, DATAPATH_NAME, SWITCH_UNIT)
    return "; ".join(map(" ".join, zip(commands, objects, strict=True)))


def _remove(steps: Steps, targets: Iterable[Path]) -> None:
    for target in targets:
        steps.remove(target)
    if steps.live:
        steps.reload()


def _steps(root: Path, command: str, otherwise: str = "") -> Steps:
    if root == SYSTEM and not SYSTEMD_RUNS.is_dir():
        raise click.ClickException(
            f"systemd does not run here (there is no {SYSTEMD_RUNS}). Name the root directory of a "
            f"system that has it: --root DIR{otherwise}"
        )
    if root == SYSTEM and os.geteuid() != 0:
        raise click.ClickException(f"this takes root: sudo ovsdp-cuse {command}")
    return Steps(root)


def _guarded(work: Callable[[], Any]) -> None:
    try:
        work()
    except InstallationError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


def _finish(steps: Steps) -> None:
    if steps.failed:
        raise click.ClickException("not every step was done; see FAILED above")
