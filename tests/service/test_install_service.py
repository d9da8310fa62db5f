"""install-service and uninstall-service on the files of another system (--root).

What they do to a running system is tested in the virtual machine: tests/systemd.
"""

import os
import stat
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ovsdp_cuse.command_line import install_service as commands
from ovsdp_cuse.command_line import service_files
from ovsdp_cuse.command_line.service_files import TARGETS, UNIT, InstallationError
from ovsdp_cuse.configuration import DEFAULT_FILE, Configuration, load

from .system import below, files, install, setting, uninstall

UNIT_FILE = TARGETS[UNIT]


def test_every_file_is_put_in_place_and_said(root: Path, calls: Path) -> None:
    result = install(root)
    assert result.exit_code == 0, result.output
    assert files(root) == set(TARGETS.values())
    for target in TARGETS.values():
        assert f"{target}: written\n" in result.output
        assert stat.S_IMODE(below(root, target).stat().st_mode) == 0o644
    assert calls.read_text() == f"--root={root} enable {UNIT}\n"


def test_it_need_not_be_enabled(root: Path, calls: Path) -> None:
    assert install(root, "--no-enable").exit_code == 0
    assert calls.read_text() == ""


def test_again_changes_nothing(root: Path) -> None:
    install(root)
    before = {target: below(root, target).stat().st_mtime_ns for target in TARGETS.values()}
    result = install(root)
    assert result.exit_code == 0
    assert "written" not in result.output
    assert "updated" not in result.output
    after = {target: below(root, target).stat().st_mtime_ns for target in TARGETS.values()}
    assert after == before


def test_an_older_unit_is_updated_and_a_configuration_kept(root: Path) -> None:
    install(root)
    below(root, UNIT_FILE).write_text("[Service]\n")
    below(root, DEFAULT_FILE).write_text('mode = "0600"\n')
    result = install(root)
    assert f"{UNIT_FILE}: updated\n" in result.output
    assert f"{DEFAULT_FILE}: kept\n" in result.output
    assert "ExecStart" in below(root, UNIT_FILE).read_text()
    assert below(root, DEFAULT_FILE).read_text() == 'mode = "0600"\n'


def test_uninstalling_leaves_no_file(root: Path, calls: Path) -> None:
    install(root)
    calls.write_text("")
    result = uninstall(root)
    assert result.exit_code == 0, result.output
    assert files(root) == set()
    assert calls.read_text() == f"--root={root} disable {UNIT}\n"


def test_uninstalling_keeps_what_somebody_wrote(root: Path) -> None:
    install(root)
    below(root, DEFAULT_FILE).write_text('mode = "0600"\n')
    override = below(root, UNIT_FILE.with_name(f"{UNIT}.d") / "override.conf")
    override.parent.mkdir()
    override.write_text("[Service]\n")
    result = uninstall(root)
    assert f"{DEFAULT_FILE}: kept: it has been changed\n" in result.output
    assert below(root, DEFAULT_FILE).read_text() == 'mode = "0600"\n'
    assert override.exists()


def test_uninstalling_what_is_not_there_is_no_error(root: Path, calls: Path) -> None:
    result = uninstall(root)
    assert result.exit_code == 0
    assert result.output.count("was not there") == len(TARGETS)
    assert calls.read_text() == ""


def test_a_step_that_fails_is_said_and_the_exit_status_tells(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(commands, "SYSTEM_PROGRAMS", "")
    result = install(root)
    assert result.exit_code == 1
    assert f"systemctl --root={root} enable {UNIT}: FAILED: there is no such program" in (
        result.output
    )
    assert "it does not start at boot" in result.output
    assert files(root) == set(TARGETS.values())


def test_a_file_that_cannot_be_written_is_named(root: Path) -> None:
    (root / "etc").touch()
    result = install(root)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {root}/etc")


def test_now_is_for_the_running_system(root: Path) -> None:
    assert install(root, "--now").exit_code == 2
    assert files(root) == set()


@pytest.mark.parametrize("command", [commands.install_service, commands.uninstall_service])
def test_without_systemd_or_root_it_says_what_to_do(
    command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "SYSTEMD_RUNS", tmp_path / "nothing")
    result = CliRunner().invoke(command)
    assert result.exit_code == 1
    assert "systemd does not run here" in result.output
    assert "--root DIR" in result.output
    by_hand = "ovsdp-cuse exec -- ovs-vswitchd" in result.output
    assert by_hand == (command is commands.install_service)
    monkeypatch.setattr(commands, "SYSTEMD_RUNS", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = CliRunner().invoke(command)
    assert result.exit_code == 1
    assert f"sudo ovsdp-cuse {command.name}" in result.output


def test_a_packaged_program_gets_the_unit_as_shipped() -> None:
    shipped = service_files.shipped(UNIT)
    assert service_files.unit_for(Path("/usr/bin/ovsdp-cuse"), [Path("/usr")]) == shipped


def test_the_unit_names_the_program_and_opens_what_is_hidden() -> None:
    program = Path("/home/x/bin/ovsdp-cuse")
    needed = [Path("/opt/python"), Path("/home/x"), Path("/tmp/y")]
    unit = service_files.unit_for(program, needed)
    assert setting(unit, "Service", "ExecStart") == [f"{program} serve --node cuse"]
    enter = "/usr/bin/nsenter --target 1 --mount --"
    assert setting(unit, "Service", "ExecStartPre") == [f"+{enter} {program} mount-state"]
    undo = f"{program} mount-state --undo"
    assert setting(unit, "Service", "ExecStopPost") == [f"-+{enter} {undo}"]
    assert service_files.SHIPPED_EXECUTABLE not in unit
    assert setting(unit, "Service", "ProtectHome") == ["tmpfs"]
    assert setting(unit, "Service", "BindReadOnlyPaths") == ["/home/x", "/tmp/y"]


def test_a_path_that_a_unit_cannot_have_plainly_is_refused() -> None:
    for path in ("/opt/my programs/bin/ovsdp-cuse", "/opt/50%/bin/ovsdp-cuse"):
        with pytest.raises(InstallationError, match="plain name"):
            service_files.unit_for(Path(path), [])


def test_the_program_and_all_it_is_read_from_are_found() -> None:
    program = service_files.executable()
    assert program.name == "ovsdp-cuse"
    needed = [*service_files.locations(), program]
    for module in (os, pytest, commands):
        assert module.__file__
        assert any(Path(module.__file__).is_relative_to(place) for place in needed)


def test_only_the_outermost_of_paths_are_named() -> None:
    paths = map(Path, ("/a/b", "/a/b/c", "/a/bc", "/d", "/d"))
    assert service_files.outermost(paths) == [Path("/a/b"), Path("/a/bc"), Path("/d")]


def test_who_else_may_change_the_program_is_noticed(tmp_path: Path) -> None:
    private, shared = tmp_path / "private", tmp_path / "shared"
    for path, mode in ((private, 0o755), (shared, 0o775)):
        path.mkdir()
        path.chmod(mode)
    expected = [shared] if os.geteuid() == 0 else [private, shared]
    assert service_files.writable_by_others([private, shared]) == expected


def test_the_shipped_configuration_shows_each_default(tmp_path: Path) -> None:
    text = service_files.shipped("ovsdp-cuse.toml")
    assert tomllib.loads(text) == {}
    file = tmp_path / "ovsdp-cuse.toml"
    # A comment is "# Text", a default "#name = value".
    file.write_text("\n".join(line.removeprefix("#") for line in text.splitlines() if "= " in line))
    settings = tomllib.loads(file.read_text())
    assert set(settings) == {field.name for field in fields(Configuration)}
    assert load(file, {}) == Configuration(path="/dev/ovs-datapath", group="openvswitch")
