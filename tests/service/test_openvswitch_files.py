"""--openvswitch: the drop-ins for Open vSwitch's units, on the files of another system (--root).

What they do to running services is tested in the virtual machine: tests/systemd.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ovsdp_cuse.command_line import install_service as commands
from ovsdp_cuse.command_line import openvswitch_files, service_files
from ovsdp_cuse.command_line.openvswitch_files import SHIPPED_DEVICE, SHIPPED_LIBRARY
from ovsdp_cuse.command_line.service_files import SHIPPED_EXECUTABLE, InstallationError
from ovsdp_cuse.configuration import DEFAULT_FILE
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.shim import LibraryError, library
from tests.client.handles import connect
from tests.families.doors import Daemon

from .system import below, files, install, setting, uninstall

UNITS = Path("/etc/systemd/system")
FORWARDING = UNITS / "ovs-vswitchd.service.d/ovsdp-cuse.conf"
EARLY = UNITS / "ovsdp-cuse.service.d/openvswitch.conf"
OURS = {*service_files.TARGETS.values(), FORWARDING, EARLY}

PACKAGE = (
    Path("/lib/systemd/system/ovs-vswitchd.service"),
    Path("/usr/share/openvswitch/scripts/ovs-kmod-ctl"),
)
"""What there must be of openvswitch-switch."""


@pytest.fixture
def switch_root(root: Path) -> Path:
    """The root directory of a system that has Open vSwitch."""
    for path in PACKAGE:
        below(root, path).parent.mkdir(parents=True)
        below(root, path).write_text("")
    return root


def test_the_drop_ins_are_put_in_place_and_what_follows_is_said(switch_root: Path) -> None:
    result = install(switch_root, "--openvswitch")
    assert result.exit_code == 0, result.output
    assert files(switch_root) == {*OURS, *PACKAGE}
    for target in (FORWARDING, EARLY):
        assert f"{target}: written\n" in result.output
        assert below(switch_root, target).stat().st_mode & 0o777 == 0o644
    assert "ovsdp-cuse exec -- ovs-dpctl show\n" in result.output


def test_they_name_this_program_its_library_and_the_device(switch_root: Path) -> None:
    install(switch_root, "--openvswitch")
    unit = below(switch_root, FORWARDING).read_text()
    program = service_files.executable()
    assert setting(unit, "Service", "ExecStartPre") == [f"{program} exec -- /bin/true"]
    assert setting(unit, "Service", "Environment") == [
        f"LD_PRELOAD={library()}",
        "OVSDP_DEVICE=/dev/ovs-datapath",
    ]
    assert setting(unit, "Unit", "Requires") == setting(unit, "Unit", "After")


def test_a_device_of_another_name_is_found(switch_root: Path) -> None:
    configuration = below(switch_root, DEFAULT_FILE)
    configuration.parent.mkdir(parents=True)
    configuration.write_text('name = "other"\n')
    install(switch_root, "--openvswitch")
    unit = below(switch_root, FORWARDING).read_text()
    assert setting(unit, "Service", "Environment")[1] == "OVSDP_DEVICE=/dev/other"

    configuration.write_text("name = 7\n")
    result = install(switch_root, "--openvswitch")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {configuration}: name")


def test_a_packaged_program_gets_the_drop_in_as_shipped() -> None:
    paths = map(Path, (SHIPPED_EXECUTABLE, SHIPPED_LIBRARY, SHIPPED_DEVICE))
    shipped = service_files.shipped("ovs-vswitchd.service.d/ovsdp-cuse.conf")
    assert openvswitch_files.forwarding_for(*paths) == shipped
    with pytest.raises(InstallationError, match="plain name"):
        openvswitch_files.forwarding_for(Path("/opt/a b"), Path("/x"), Path("/dev/y"))


def test_what_they_replace_is_there(switch_root: Path) -> None:
    """A program that does nothing takes the place of the one that loads the kernel's module."""
    install(switch_root, "--openvswitch")
    unit = below(switch_root, FORWARDING).read_text()
    (bind,) = setting(unit, "Service", "BindReadOnlyPaths")
    nothing, replaced = map(Path, bind.split(":"))
    assert os.access(nothing, os.X_OK)
    assert replaced in PACKAGE


@pytest.mark.parametrize("missing", PACKAGE, ids=lambda path: path.name)
def test_without_open_vswitch_nothing_is_changed(missing: Path, switch_root: Path) -> None:
    below(switch_root, missing).unlink()
    before = files(switch_root)
    result = install(switch_root, "--openvswitch")
    assert result.exit_code == 1
    assert "Open vSwitch is not installed (there is no /" in result.output
    assert "apt-get install openvswitch-switch" in result.output
    assert files(switch_root) == before


def test_without_the_library_nothing_is_changed(
    switch_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise LibraryError("run make setup")

    monkeypatch.setattr(openvswitch_files, "library", missing)
    result = install(switch_root, "--openvswitch")
    assert (result.exit_code, result.output) == (1, "Error: run make setup\n")
    assert files(switch_root) == set(PACKAGE)


def test_again_changes_nothing(switch_root: Path) -> None:
    install(switch_root, "--openvswitch")
    for options in (("--openvswitch",), ()):
        result = install(switch_root, *options)
        assert result.exit_code == 0
        assert "written" not in result.output
        assert "updated" not in result.output
        assert files(switch_root) == {*OURS, *PACKAGE}


def test_the_reverse_leaves_the_service(switch_root: Path, calls: Path) -> None:
    install(switch_root, "--openvswitch")
    calls.write_text("")
    result = uninstall(switch_root, "--openvswitch")
    assert result.exit_code == 0, result.output
    assert f"{FORWARDING}: removed\n" in result.output
    assert "systemctl start openvswitch-switch.service\n" in result.output
    assert files(switch_root) == {*service_files.TARGETS.values(), *PACKAGE}
    assert not below(switch_root, FORWARDING).parent.exists()
    assert calls.read_text() == ""

    result = uninstall(switch_root, "--openvswitch")
    assert result.output.count("was not there") == 2
    assert "systemctl" not in result.output


def test_uninstalling_the_service_takes_them_with_it(switch_root: Path) -> None:
    install(switch_root, "--openvswitch")
    result = uninstall(switch_root)
    assert result.exit_code == 0, result.output
    assert "systemctl start openvswitch-switch.service\n" in result.output
    assert files(switch_root) == set(PACKAGE)


def test_drop_ins_of_others_stay(switch_root: Path) -> None:
    install(switch_root, "--openvswitch")
    override = below(switch_root, FORWARDING).with_name("override.conf")
    override.write_text("[Service]\n")
    uninstall(switch_root)
    assert files(switch_root) == {*PACKAGE, FORWARDING.with_name("override.conf")}


def test_the_datapath_that_ovs_vswitchd_leaves_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon()
    connect(monkeypatch, daemon)
    node = Path(SHIPPED_DEVICE)
    assert not openvswitch_files.remove_datapath(node)
    for name in ("ovs-system", "other"):
        daemon.context.switch.add(name)
    assert openvswitch_files.remove_datapath(node)
    assert [datapath.name for datapath in daemon.context.switch] == ["other"]


def test_without_a_daemon_there_is_no_such_datapath(tmp_path: Path) -> None:
    assert not openvswitch_files.remove_datapath(tmp_path / "nothing")
    with pytest.raises(DatapathError, match="ENOTTY"):
        openvswitch_files.remove_datapath(Path("/dev/null"))


def test_how_to_leave_the_kernel_s_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a running Open vSwitch has in the kernel holds its interfaces."""
    monkeypatch.setattr(commands, "KERNEL_MODULE", tmp_path / "nothing")
    assert commands._switch_over() == "systemctl restart openvswitch-switch.service"
    monkeypatch.setattr(commands, "KERNEL_MODULE", tmp_path)
    assert "; ovs-dpctl del-dp ovs-system; " in commands._switch_over()
