"""The files of the service: where each goes, and what of it is this installation's own.

The unit is shipped as a distribution's package would install it. Here it gets the path of the
program that runs, and where that lies in a directory that the unit hides from its process (a home,
or a temporary one), a read-only view of just what Python needs there.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import ovsdp_cuse
from ovsdp_cuse.configuration import DEFAULT_FILE

UNIT = "ovsdp-cuse.service"
TARGETS: dict[str, Path] = {
    UNIT: Path("/etc/systemd/system") / UNIT,
    "91-ovsdp-cuse.rules": Path("/etc/udev/rules.d/91-ovsdp-cuse.rules"),
    "modules-load.d/ovsdp-cuse.conf": Path("/etc/modules-load.d/ovsdp-cuse.conf"),
    "sysusers.d/ovsdp-cuse.conf": Path("/etc/sysusers.d/ovsdp-cuse.conf"),
    "ovsdp-cuse.toml": DEFAULT_FILE,
}
"""File in the package's directory `systemd` -> where the system looks for it."""

SHIPPED_EXECUTABLE = "/usr/bin/ovsdp-cuse"
HIDING = "ProtectHome=yes\n"
HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))
"""What ProtectHome= and PrivateTmp= hide (systemd.exec(5))."""

_PROGRAM = re.compile(rf"^(Exec\w+=(?:.* )?){re.escape(SHIPPED_EXECUTABLE)} ", re.MULTILINE)
"""The program in a command of the unit; another may start it."""
_PLAIN_PATH = re.compile(r"[\w/.+@-]+", re.ASCII)


class InstallationError(Exception):
    """This installation cannot be made a service; the text says why and what to do."""


def shipped(name: str) -> str:
    """The text of a file as the package has it; name: below its directory `systemd`."""
    return resources.files(ovsdp_cuse).joinpath("systemd", name).read_text()


def contents() -> dict[Path, str]:
    """What is to be in each file; InstallationError where the unit cannot name this program."""
    texts = {target: shipped(name) for name, target in TARGETS.items()}
    texts[TARGETS[UNIT]] = unit_for(executable(), locations())
    return texts


def unit_for(program: Path, needed: Iterable[Path]) -> str:
    """The unit that starts `program`, which needs to see the paths `needed`."""
    unit = _PROGRAM.sub(rf"\1{in_unit(program)} ", shipped(UNIT))
    binds = "".join(f"BindReadOnlyPaths={in_unit(path)}\n" for path in hidden(needed))
    if binds:
        unit = unit.replace(
            HIDING, f"ProtectHome=tmpfs\n# Of what is hidden, this is the program:\n{binds}"
        )
    return unit


def executable() -> Path:
    """The program `ovsdp-cuse` of the Python that runs; InstallationError where there is none."""
    candidates = (
        Path(sys.argv[0]).absolute(),
        Path(sysconfig.get_path("scripts")) / "ovsdp-cuse",
        Path(shutil.which("ovsdp-cuse") or SHIPPED_EXECUTABLE),
    )
    for path in candidates:
        if path.name == "ovsdp-cuse" and os.access(path, os.X_OK):
            return path
    raise InstallationError(
        "there is no program ovsdp-cuse that a service could start: install the package with pip"
    )


def locations() -> list[Path]:
    """The directories and files that the program is read from: Python, packages, itself."""
    given = {
        executable(),
        Path(ovsdp_cuse.__file__).parent,
        *map(Path, (sys.prefix, sys.base_prefix, sys.executable)),
        *map(Path, sys.path[1:]),  # the first is the script's directory, or the current one
    }
    both = {path.absolute() for path in given} | {path.resolve() for path in given}
    return outermost(path for path in both if path.exists())


def outermost(paths: Iterable[Path]) -> list[Path]:
    """Those paths that lie in no other of them, sorted."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(directory) for directory in kept):
            kept.append(path)
    return kept


def hidden(paths: Iterable[Path]) -> list[Path]:
    """Those paths that the unit hides from its process."""
    return [path for path in paths if any(path.is_relative_to(place) for place in HIDDEN)]


def writable_by_others(paths: Iterable[Path]) -> list[Path]:
    """Those paths that not only root may change: who may, becomes root through the service."""
    return [path for path in paths if (status := path.stat()).st_uid or status.st_mode & 0o022]


def in_unit(path: Path) -> str:
    """A path as unit files can have it without quotes and escapes."""
    if not _PLAIN_PATH.fullmatch(str(path)):
        raise InstallationError(
            f"{path} has characters that mean something else in a unit file: install the package "
            "in a directory with a plain name, such as /opt/ovsdp-cuse"
        )
    return str(path)
