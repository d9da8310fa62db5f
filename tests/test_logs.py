"""The log: levels, formats, colours."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
import structlog

from ovsdp_cuse import logs


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def defaults_afterwards() -> Iterator[None]:
    """Other tests find the log as it was."""
    yield
    structlog.reset_defaults()


def logged(level: str, log_format: str, stream: io.StringIO | None = None) -> str:
    """What is written of three entries."""
    stream = stream or io.StringIO()
    logs.configure(level, log_format, stream)
    log = structlog.get_logger("x")
    log.debug("first")
    log.info("second", node="fuse")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("third")
    return stream.getvalue()


def test_levels() -> None:
    assert "first" in logged("debug", "text")
    text = logged("info", "text")
    assert "first" not in text
    assert "second node=fuse" in text
    assert "second" not in logged("error", "text")


def test_an_exception_has_its_traceback() -> None:
    assert 'raise ValueError("why")' in logged("error", "text")


def test_json_is_one_object_a_line() -> None:
    second, third = map(json.loads, logged("info", "json").splitlines())
    assert second.pop("timestamp").endswith("Z")
    assert second == {"level": "info", "event": "second", "node": "fuse"}
    assert third["exception"][0]["exc_type"] == "ValueError"


def test_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in logged("info", "text")
    assert "\x1b[" in logged("info", "text", Terminal())
    assert "\x1b[" not in logged("info", "json", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in logged("info", "text", Terminal())
