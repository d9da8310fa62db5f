"""The commands that change a system, and looks at what they did."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from ovsdp_cuse.command_line import install_service as commands


def install(root: Path, *options: str) -> Result:
    """What install-service does to the system below a directory."""
    return CliRunner().invoke(commands.install_service, ["--root", str(root), *options])


def uninstall(root: Path, *options: str) -> Result:
    """What uninstall-service does to the system below a directory."""
    return CliRunner().invoke(commands.uninstall_service, ["--root", str(root), *options])


def files(root: Path) -> set[Path]:
    """All files of that system."""
    return {Path("/") / path.relative_to(root) for path in root.rglob("*") if path.is_file()}


def below(root: Path, target: Path) -> Path:
    """Where a file of that system is."""
    return root / target.relative_to("/")


def setting(unit: str, section: str, name: str) -> list[str]:
    """All values of a setting; a unit may give one twice."""
    lines = unit.partition(f"[{section}]")[2].partition("\n[")[0].splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]
