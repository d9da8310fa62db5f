"""Whom requests can be sent to."""

from __future__ import annotations

from typing import Protocol

from ovsdp_cuse.replay.numbers import Side


class ChannelError(Exception):
    """A request could not be handed over, or an answer not be read: the call fails with `errno`."""

    def __init__(self, errno: int, text: str) -> None:
        super().__init__(errno, text)
        self.errno = errno
        self.text = text

    def __str__(self) -> str:
        return self.text


class NotSendable(Exception):
    """This request cannot be sent this way at all; the text says why."""


class TargetError(Exception):
    """There is nobody to send anything to; the text says why, and what to do."""


class Channel(Protocol):
    """One handle of the device, or one socket; pid: its netlink PID."""

    pid: int

    def send(self, request: bytes, operation: str | None) -> list[bytes]:
        """Send a message; the messages that the call itself returns.

        operation: how it came to the device, where that is known: TRANSACT, WRITE or STREAM.
        Raises ChannelError, and NotSendable.
        """

    def receive(self) -> list[bytes]:
        """The messages that wait; raises ChannelError (ENOBUFS where some were lost)."""

    def close(self) -> None:
        """Close it."""


class Target(Protocol):
    """Where channels are opened. name: for people. side: its families and groups."""

    name: str
    side: Side

    def open(self, may_write: bool) -> Channel:
        """A new channel; raises TargetError, and NotSendable where nobody can have so few
        rights."""
