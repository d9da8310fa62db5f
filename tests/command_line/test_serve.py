"""serve: settings, banner, trace, and how what cannot be is told. No node is made here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from ovsdp_cuse import configuration, daemon
from ovsdp_cuse.configuration import Configuration, ConfigurationError
from ovsdp_cuse.device.fuse import FuseNode
from ovsdp_cuse.device.node import Node, NodeError, Permissions
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.registry import Registry, RegistryError
from ovsdp_cuse.families.tap import Watcher
from ovsdp_cuse.families.trace import Trace
from tests.command_line.conftest import Run


class Served:
    """What the daemon was asked to serve; it is ready at once, and ends at once, or fails."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.tap: Watcher | None = None
        self.error: Exception | None = None
        self.state = "/run/ovsdp"

    def main(
        self,
        settings: Configuration,
        registry: Registry,
        tap: Watcher | None,
        on_ready: Callable[[Node, str], None],
    ) -> None:
        self.configuration, self.tap = settings, tap
        if self.error is not None:
            raise self.error
        on_ready(FuseNode(Path("/run/x"), Permissions()), self.state)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    """Stands for the daemon; this machine's configuration does not count."""
    served = Served()
    monkeypatch.setattr(daemon, "main", served.main)
    monkeypatch.setattr(configuration, "DEFAULT_FILE", tmp_path / "none.toml")
    yield served
    structlog.reset_defaults()


def test_the_banner_says_what_where_for_whom_and_how_to_stop(served: Served, run: Run) -> None:
    lines = run("serve", "--group", "0", "--mode", "0640").stdout.splitlines()
    assert lines == [
        "serving /run/x (FUSE node, mode 0640, group root)",
        "families: " + ", ".join(family.schema.name for family in Registry(BUILT_IN)),
        "state: /run/ovsdp",
        "stop it with Ctrl-C, or SIGTERM",
    ]
    served.state = ""
    assert "state: not shown as files" in run("serve").stdout
    assert "group 4000000" in run("serve", "--group", "4000000").stdout


def test_defaults(served: Served, run: Run) -> None:
    run("serve")
    assert served.configuration == Configuration()
    assert served.tap is None


def test_every_setting_has_an_option(served: Served, run: Run) -> None:
    run(
        *("serve", "--node", "fuse", "--name", "n", "--path", "/p", "--mode", "600"),
        *("--owner", "root", "--group", "root", "--handle-limit", "3", "--queue-limit", "5000"),
        *("--queue-maximum", "6000"),
        *("--log-level", "error", "--log-format", "json", "--trace"),
    )
    assert served.configuration == Configuration(
        node="fuse",
        name="n",
        path="/p",
        mode=0o600,
        owner="root",
        group="root",
        handle_limit=3,
        queue_limit=5000,
        queue_maximum=6000,
        log_level="error",
        log_format="json",
        trace=True,
    )
    assert isinstance(served.tap, Trace)


def test_options_win_over_the_file(served: Served, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('mode = "0600"\nhandle_limit = 9\ntrace = true\n')
    run("serve", "--config", str(file), "--handle-limit", "10", "--no-trace")
    assert served.configuration == Configuration(mode=0o600, handle_limit=10, trace=False)


@pytest.mark.parametrize("error", [NodeError, RegistryError, ConfigurationError])
def test_what_cannot_be_is_one_line(error: type[Exception], served: Served, run: Run) -> None:
    served.error = error("there is no such thing: do this")
    result = run("serve", status=1)
    assert result.stderr == "Error: there is no such thing: do this\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("--mode", "9"), 2, "Invalid value for '--mode': mode: '9' is no octal number"),
        (("--mode", "7777"), 1, "mode: 0o7777 is not in 0..0o777"),
        (("--queue-limit", "1"), 1, "queue_limit: 1 is below 4096 bytes"),
        (("--config", "/nonexistent"), 1, "/nonexistent: No such file or directory"),
        (("--node", "usb"), 2, "'usb' is not one of"),
        (("--group", "no-such-group"), 1, "group: there is no 'no-such-group'"),
    ],
)
def test_settings_that_cannot_be(
    arguments: tuple[str, ...], status: int, text: str, served: Served, run: Run
) -> None:
    assert text in run("serve", *arguments, status=status).stderr


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_log_is_not_in_the_way_of_the_banner(
    log_format: str, served: Served, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(settings: Configuration, *rest: object) -> None:
        structlog.get_logger("x").info("something", pid=os.getpid())

    monkeypatch.setattr(daemon, "main", main)
    result = run("serve", "--log-format", log_format)
    assert "something" in result.stderr
    assert result.stdout == ""
