"""The settings of the daemon: defaults, a file, options; and what they cannot be."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ovsdp_cuse import configuration
from ovsdp_cuse.configuration import (
    Configuration,
    ConfigurationError,
    load,
    parse_mode,
)
from ovsdp_cuse.device.node import Permissions


@pytest.fixture(autouse=True)
def no_default_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the default file is looked for; it is not there."""
    file = tmp_path / "default.toml"
    monkeypatch.setattr(configuration, "DEFAULT_FILE", file)
    return file


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "given.toml"
    file.write_text(text)
    return file


def test_defaults() -> None:
    settings = load(None, {})
    assert settings == Configuration()
    assert (settings.node, settings.name, settings.mode) == ("auto", "ovs-datapath", 0o660)
    assert (settings.handle_limit, settings.owner, settings.group) == (512, "root", None)


def test_a_file_comes_over_the_defaults_and_options_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'node = "fuse"\nhandle_limit = 7\nmode = "0600"\ntrace = true\n')
    settings = load(file, {"handle_limit": 8, "node": None})
    assert (settings.node, settings.handle_limit, settings.mode) == ("fuse", 8, 0o600)
    assert settings.trace


def test_the_default_file_is_read_where_it_exists(no_default_file: Path) -> None:
    no_default_file.write_text('name = "other"')
    assert load(None, {}).name == "other"


def test_every_setting_can_stand_in_a_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        node = "cuse"
        name = "dp"
        path = "/run/dp"
        mode = 0o640
        owner = 0
        group = "0"
        interfaces = "memory"
        handle_limit = 1
        queue_limit = 4096
        queue_maximum = 5000
        log_level = "debug"
        log_format = "json"
        trace = false
        state = "/run/state"
        """,
    )
    assert load(file, {}) == Configuration(
        *(
            "cuse",
            "dp",
            "/run/dp",
            0o640,
            "0",
            "0",
            "memory",
            1,
            4096,
            5000,
            "debug",
            "json",
            False,
        ),
        "/run/state",
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nodes = 1", "unknown setting 'nodes'; there are node, name, "),
        ("node = 'usb'", "node: 'usb' is none of auto, cuse, fuse"),
        ("node = 1", "node is int, not str"),
        ("handle_limit = '1'", "handle_limit is str, not int"),
        ("handle_limit = true", "handle_limit is bool, not int"),
        ("handle_limit = 0", "handle_limit: 0 is below 1"),
        ("queue_limit = 4095", "queue_limit: 4095 is below 4096 bytes"),
        ("queue_maximum = 4095", "queue_maximum: 4095 is below 4096 bytes"),
        ("mode = '0888'", "mode: '0888' is no octal number"),
        ("mode = 0o1777", "mode: 0o1777 is not in 0..0o777"),
        ("mode = -1", "mode: "),
        ("name = ''", "name: '' cannot be the name of a device"),
        ("name = 'a/b'", "name: 'a/b' cannot be the name of a device"),
        ("log_level = 'loud'", "log_level: 'loud' is none of debug, info, warning, error"),
        ("log_format = 'xml'", "log_format: 'xml' is none of text, json"),
        ("path = 1", "path is int, not str"),
        ("state = ''", "state: '' is no path, nor 'auto' or 'off'"),
        ("trace = 1", "trace is int, not bool"),
        ("this is no TOML", ""),
    ],
)
def test_a_wrong_setting_is_told_with_its_file(tmp_path: Path, text: str, complaint: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    assert str(caught.value).startswith(f"{file}: {complaint}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "nothing.toml", {})
    (tmp_path / "latin.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigurationError, match="latin"):
        load(tmp_path / "latin.toml", {})


def test_a_wrong_option_is_told_without_a_file() -> None:
    with pytest.raises(ConfigurationError, match=r"^node: 'usb' is none of"):
        load(None, {"node": "usb"})


def test_modes() -> None:
    assert [parse_mode(text) for text in ("0660", "660", "0o660", "0")] == [0o660] * 3 + [0]
    for text in ("", "rw", "9"):
        with pytest.raises(ConfigurationError):
            parse_mode(text)


# Permissions ------------------------------------------------------------------------------------


def known(monkeypatch: pytest.MonkeyPatch, users: dict[str, int], groups: dict[str, int]) -> None:
    """These are the users and groups of the machine."""

    def user(name: str) -> Any:
        return pwd.struct_passwd((name, "x", users[name], 0, "", "", ""))

    def group(name: str) -> Any:
        return grp.struct_group((name, "x", groups[name], []))

    monkeypatch.setattr(pwd, "getpwnam", user)
    monkeypatch.setattr(grp, "getgrnam", group)


def test_names_and_numbers_of_users_and_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, {"root": 0, "ovs": 7}, {"wheel": 8})
    wanted = Configuration(owner="ovs", group="wheel", mode=0o640)
    assert wanted.permissions() == Permissions(0o640, 7, 8)
    assert Configuration(owner="70", group="80").permissions() == Permissions(0o660, 70, 80)
    for settings in (Configuration(owner="nobody"), Configuration(group="nothing")):
        with pytest.raises(ConfigurationError, match="on this machine"):
            settings.permissions()


def test_the_group_is_openvswitch_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, {"root": 0}, {"openvswitch": 99})
    assert Configuration().permissions() == Permissions(0o660, 0, 99)
    known(monkeypatch, {"root": 0}, {})
    assert Configuration().permissions() == Permissions(0o660, 0, 0)


def test_where_the_fuse_node_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Configuration(path="/run/x").fuse_path() == Path("/run/x")
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert Configuration(name="dp").fuse_path() == Path("/dev/dp")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert Configuration(name="dp").fuse_path() == tmp_path / "dp"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert Configuration(name="dp").fuse_path() == Path("/tmp/dp")
