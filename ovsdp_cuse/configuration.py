"""The settings of the daemon: defaults, a TOML file, then the command line, the last one wins."""

from __future__ import annotations

import grp
import os
import pwd
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ovsdp_cuse.device.node import Permissions
from ovsdp_cuse.families.session import LEAST_QUEUE_LIMIT

DEFAULT_FILE = Path("/etc/ovsdp-cuse.toml")
DEFAULT_GROUP = "openvswitch"

NODE_KINDS = ("auto", "cuse", "fuse")
INTERFACES = ("host", "memory")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")


class ConfigurationError(Exception):
    """A setting that cannot be; the text names the file and the setting."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Every setting of `serve`, by its name in the file; the command line has `-` for `_`.

    node: auto, cuse or fuse. name: of the CUSE device, in /dev. path: of the FUSE file; None for
    /dev/NAME, or for $XDG_RUNTIME_DIR/NAME where that cannot be written. mode: permission bits.
    owner, group: names or numbers; group None for openvswitch where there is one, else root.
    interfaces: whether ports are interfaces of the host, or only in the daemon's memory.
    handle_limit: how many handles may be open. queue_limit: bytes that may wait on each.
    queue_maximum: bytes that a handle opened for writing may ask for; never below queue_limit.
    log_level, log_format: see LOG_LEVELS, LOG_FORMATS. trace: whether each message is printed.
    state: where the file system of live state is; "auto" for /run/ovsdp, where that can be, and
    "off" for none.
    """

    node: str = "auto"
    name: str = "ovs-datapath"
    path: str | None = None
    mode: int = 0o660
    owner: str = "root"
    group: str | None = None
    interfaces: str = "host"
    handle_limit: int = 512
    queue_limit: int = 1 << 20
    queue_maximum: int = 8 << 20
    log_level: str = "info"
    log_format: str = "text"
    trace: bool = False
    state: str = "auto"

    def __post_init__(self) -> None:
        self._check_choice("node", NODE_KINDS)
        self._check_choice("interfaces", INTERFACES)
        self._check_choice("log_level", LOG_LEVELS)
        self._check_choice("log_format", LOG_FORMATS)
        if not self.name or "/" in self.name or "\0" in self.name or len(self.name) > 64:
            raise ConfigurationError(f"name: {self.name!r} cannot be the name of a device")
        if not self.state or "\0" in self.state:
            raise ConfigurationError(f"state: {self.state!r} is no path, nor 'auto' or 'off'")
        if not 0 <= self.mode <= 0o777:
            raise ConfigurationError(f"mode: {self.mode:#o} is not in 0..0o777")
        if self.handle_limit < 1:
            raise ConfigurationError(f"handle_limit: {self.handle_limit} is below 1")
        for setting in ("queue_limit", "queue_maximum"):
            size = getattr(self, setting)
            if size < LEAST_QUEUE_LIMIT:
                raise ConfigurationError(f"{setting}: {size} is below {LEAST_QUEUE_LIMIT} bytes")

    def _check_choice(self, setting: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, setting)
        if value not in choices:
            raise ConfigurationError(f"{setting}: {value!r} is none of {', '.join(choices)}")

    def permissions(self) -> Permissions:
        """Mode, and owner and group as numbers; ConfigurationError for unknown names."""
        return Permissions(self.mode, _user_id(self.owner), self._group_id())

    def _group_id(self) -> int:
        if self.group is not None:
            return _lookup("group", self.group, lambda name: grp.getgrnam(name).gr_gid)
        try:
            return grp.getgrnam(DEFAULT_GROUP).gr_gid
        except KeyError:
            return 0

    def fuse_path(self) -> Path:
        """Where the FUSE node goes."""
        if self.path is not None:
            return Path(self.path)
        if os.access("/dev", os.W_OK):
            return Path("/dev") / self.name
        return Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / self.name


def _user_id(owner: str) -> int:
    return _lookup("owner", owner, lambda name: pwd.getpwnam(name).pw_uid)


def _lookup(setting: str, value: str, find: Any) -> int:
    if value.isdecimal():
        return int(value)
    try:
        number: int = find(value)
    except KeyError:
        raise ConfigurationError(f"{setting}: there is no {value!r} on this machine") from None
    return number


def parse_mode(text: str) -> int:
    """Permission bits from octal digits, such as "0660"; ConfigurationError otherwise."""
    try:
        return int(text, 8)
    except ValueError:
        raise ConfigurationError(f"mode: {text!r} is no octal number") from None


def load(file: Path | None, overrides: Mapping[str, Any]) -> Configuration:
    """Defaults, then `file` (or DEFAULT_FILE where that exists), then `overrides` but None.

    Raises ConfigurationError that names the file and the setting.
    """
    configuration = Configuration()
    if file is not None or DEFAULT_FILE.exists():
        try:
            configuration = Configuration(**_read(file or DEFAULT_FILE))
        except ConfigurationError as error:
            raise ConfigurationError(f"{file or DEFAULT_FILE}: {error}") from None
    given = {name: value for name, value in overrides.items() if value is not None}
    return replace(configuration, **given)


def _read(file: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigurationError(error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(error)) from error
    known = {field.name: field for field in fields(Configuration)}
    for name, value in settings.items():
        if name not in known:
            raise ConfigurationError(f"unknown setting {name!r}; there are {', '.join(known)}")
        default = known[name].default
        wanted = str if default is None else type(default)
        if name == "mode" and isinstance(value, str):
            settings[name] = parse_mode(value)
        elif name in ("owner", "group") and isinstance(value, int):
            settings[name] = str(value)
        elif type(value) is not wanted:
            raise ConfigurationError(f"{name} is {type(value).__name__}, not {wanted.__name__}")
    return settings
