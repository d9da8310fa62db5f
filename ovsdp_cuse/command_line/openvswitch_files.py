"""The drop-ins with which the units of Open vSwitch's own package use the device.

They change what two units do, not the package's files: see the comments in them. The units are
those of Debian's openvswitch-switch (3.1): ovs-vswitchd.service runs ovs-ctl, and that first
ovs-kmod-ctl, which loads the kernel's module.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ECONNABORTED, ENODEV, ENOENT, ENOTCONN, ENXIO
from pathlib import Path

from ovsdp_cuse.client import DatapathError, Device
from ovsdp_cuse.command_line.requests import ask
from ovsdp_cuse.command_line.service_files import (
    SHIPPED_EXECUTABLE,
    UNIT,
    InstallationError,
    executable,
    in_unit,
    shipped,
)
from ovsdp_cuse.configuration import Configuration, ConfigurationError, load
from ovsdp_cuse.shim import LibraryError, library
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd

SWITCH_UNIT = "openvswitch-switch.service"
"""Starting it starts ovsdb-server and ovs-vswitchd, stopping it stops both."""
FORWARDING_UNIT = "ovs-vswitchd.service"
"""Stopping it stops the others, which require it, or are part of one that does."""
DATAPATH_NAME = "ovs-system"
"""Of all bridges whose datapath_type is system; it stays when ovs-vswitchd ends."""
KERNEL_MODULE = Path("/sys/module/openvswitch")

_FORWARDING = f"{FORWARDING_UNIT}.d/ovsdp-cuse.conf"
_EARLY = f"{UNIT}.d/openvswitch.conf"
TARGETS: dict[str, Path] = {
    name: Path("/etc/systemd/system") / name for name in (_FORWARDING, _EARLY)
}
"""File in the package's directory `systemd` -> where systemd looks for it."""

SHIPPED_LIBRARY = "/usr/lib/ovsdp-cuse/shim.so"
SHIPPED_DEVICE = "/dev/ovs-datapath"

_UNIT_DIRECTORIES = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_NOT_THERE = (ENODEV, ENOENT, ENXIO, ENOTCONN, ECONNABORTED)
"""What the device, or no device, answers for a datapath that is not there."""
_MODULE_STEP = Path("/usr/share/openvswitch/scripts/ovs-kmod-ctl")


def check_installed(place: Callable[[Path], Path]) -> None:
    """Raises InstallationError where Open vSwitch is not there; place: as `Steps.place`."""
    units = [Path(directory) / FORWARDING_UNIT for directory in _UNIT_DIRECTORIES]
    missing = next(
        (
            wanted[-1]
            for wanted in (units, [_MODULE_STEP])
            if not any(place(path).exists() for path in wanted)
        ),
        None,
    )
    if missing is not None:
        raise InstallationError(
            f"Open vSwitch is not installed (there is no {missing}): "
            "apt-get install openvswitch-switch, then try again. Where its service cannot start "
            "for want of the kernel's module, that is no matter"
        )


def contents(configuration: Path) -> dict[Path, str]:
    """What is to be in each file; configuration: of the daemon, which tells the device's name.

    Raises InstallationError where a path cannot be in a unit, the configuration is wrong, or the
    library is missing.
    """
    try:
        shim = library()
    except LibraryError as error:
        raise InstallationError(str(error)) from None
    texts = {target: shipped(name) for name, target in TARGETS.items()}
    texts[TARGETS[_FORWARDING]] = forwarding_for(executable(), shim, device(configuration))
    return texts


def forwarding_for(program: Path, shim: Path, node: Path) -> str:
    """The drop-in of ovs-vswitchd, with the paths of ovsdp-cuse, its library and its device."""
    text = shipped(_FORWARDING)
    for setting, before, after in (
        ("ExecStartPre", SHIPPED_EXECUTABLE, program),
        ("LD_PRELOAD", SHIPPED_LIBRARY, shim),
        ("OVSDP_DEVICE", SHIPPED_DEVICE, node),
    ):
        text = text.replace(f"{setting}={before}", f"{setting}={in_unit(after)}")
    return text


def device(configuration: Path) -> Path:
    """The device that the service makes."""
    try:
        settings = load(configuration, {}) if configuration.exists() else Configuration()
    except ConfigurationError as error:
        raise InstallationError(str(error)) from None
    return Path("/dev") / settings.name


def remove_datapath(node: Path) -> bool:
    """Remove what ovs-vswitchd leaves, its bridges' interfaces with it; whether it was there.

    Otherwise they are in the way when the kernel's module is to have interfaces of these names.
    Raises DatapathError.
    """
    try:
        with Device(node) as opened:
            ask(opened, DATAPATH, DpCmd.DEL, {DpAttr.NAME: DATAPATH_NAME})
    except DatapathError as error:
        if error.errno in _NOT_THERE:
            return False
        raise
    return True
