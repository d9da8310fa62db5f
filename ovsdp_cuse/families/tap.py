"""Where somebody may watch all that crosses the device; nothing is spent while nobody does."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from ovsdp_cuse.errors import DatapathError

if TYPE_CHECKING:
    from ovsdp_cuse.families.registry import DeviceOperation
    from ovsdp_cuse.families.session import Session


class Direction(Enum):
    """Which way a message goes."""

    FROM_CLIENT = ">"
    TO_CLIENT = "<"


class Tap(Protocol):
    """What a watcher is told. Its methods must not raise, and must not wait."""

    def opened(self, session: Session) -> None:
        """A handle was opened."""

    def closed(self, session: Session) -> None:
        """A handle was closed."""

    def message(
        self,
        session: Session,
        direction: Direction,
        data: bytes,
        operation: DeviceOperation | None = None,
    ) -> None:
        """A message, or several of a dump's part, crossed; `operation` is None for the stream."""

    def pid_told(self, session: Session) -> None:
        """GET_PID told a handle its PID; of the ioctls it alone carries no message."""

    def refused(self, session: Session, ioctl: str, error: DatapathError) -> None:
        """An ioctl failed, with the errno that its client sees."""
