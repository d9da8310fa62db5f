"""What the daemon in a thread logs: kept for the test, not mixed with what the test prints."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from sys import exc_info
from typing import Any, Final

import structlog
from structlog.typing import EventDict

ERRORS: Final = ("error", "critical")


class DaemonLog:
    """The entries that one thread logs while this is in force.

    thread: tells the identity of the daemon's thread, None before it runs. What other threads log
    goes on as it would.
    """

    def __init__(self, thread: Callable[[], int | None]) -> None:
        self.entries: list[EventDict] = []
        """All of them, oldest first, as structlog makes them; of an exception the text."""
        self._thread = thread
        self._told = 0

    def begin(self) -> None:
        """Take what the daemon logs."""
        # The list itself is what bound loggers go through, so it is changed and not replaced.
        structlog.get_config()["processors"].insert(0, self._process)

    def end(self) -> None:
        """Take no more."""
        processors = structlog.get_config()["processors"]
        if self._process in processors:
            processors.remove(self._process)

    def take_errors(self) -> list[EventDict]:
        """The errors since the last call."""
        new = self.entries[self._told :]
        self._told = len(self.entries)
        return [entry for entry in new if entry["log_level"] in ERRORS]

    def lines(self) -> list[str]:
        """The entries as text."""
        return [describe(entry) for entry in self.entries]

    def _process(self, _logger: Any, method: str, entry: EventDict) -> EventDict:
        if threading.get_ident() != self._thread():
            return entry
        kept = {**entry, "log_level": "error" if method == "exception" else method}
        if kept.pop("exc_info", None) and exc_info()[0] is not None:
            kept["exception"] = traceback.format_exc().rstrip()
        self.entries.append(kept)
        raise structlog.DropEvent


def describe(entry: EventDict) -> str:
    """An entry as text: its level, what happened, with what, and the exception below."""
    rest = dict(entry)
    level, event, exception = rest.pop("log_level"), rest.pop("event"), rest.pop("exception", None)
    values = "".join(f" {name}={value!r}" for name, value in rest.items())
    return f"[{level}] {event}{values}" + (f"\n{exception}" if exception else "")
