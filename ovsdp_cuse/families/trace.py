"""What `serve --trace` prints: each message that crosses the device, decoded, on one line.

    7 ovs-vsctl[4321] > TRANSACT ovs_datapath OVS_DP_CMD_GET REQUEST seq=1 dp_ifindex=0 {NAME="dp0"}

That is the handle's PID, the command and process id of who opened it, the direction (`>` from the
client, `<` to it, `!` an ioctl that was refused), the door of a request (a device operation, or
`stream`), and the message.
"""

from __future__ import annotations

import os
from typing import TextIO

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.describe import attributes_of, describe, describe_error, printable
from ovsdp_cuse.families.registry import DeviceOperation, Registry
from ovsdp_cuse.families.session import Session
from ovsdp_cuse.families.tap import Direction

_RED, _GREEN, _CYAN, _DIM = 31, 32, 36, 2
_COLOURS = {Direction.FROM_CLIENT: _CYAN, Direction.TO_CLIENT: _GREEN}


def has_colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal whose user wants colours (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


class Trace:
    """A Tap that writes to a stream; colours None lets the stream decide.

    When the stream fails (its reader went away, the disk is full), nothing is written any more.
    """

    def __init__(self, registry: Registry, stream: TextIO, colours: bool | None = None) -> None:
        self._registry = registry
        self._stream: TextIO | None = stream
        self._colours = has_colours(stream) if colours is None else colours
        self._clients: dict[Session, str] = {}
        self._requests: dict[Session, bytes] = {}

    def opened(self, session: Session) -> None:
        """A handle was opened."""
        self._clients[session] = _client_name(session)
        how = ("opened" if session.writable else "opened read-only") + (
            ", O_NONBLOCK" if session.nonblocking else ""
        )
        self._write(session, how, _DIM)

    def closed(self, session: Session) -> None:
        """A handle was closed."""
        self._write(session, "closed", _DIM)
        self._clients.pop(session, None)
        self._requests.pop(session, None)

    def message(
        self,
        session: Session,
        direction: Direction,
        data: bytes,
        operation: DeviceOperation | None = None,
    ) -> None:
        """A message, or several of a dump's part, crossed."""
        prefix = direction.value
        if direction is Direction.FROM_CLIENT:
            self._requests[session] = data
            prefix += f" {operation.name}" if operation is not None else " stream"
        request = self._requests.get(session, b"")
        for line in describe(self._registry, data, operation, request):
            colour = _RED if line.is_error else _COLOURS[direction]
            self._write(session, f"{prefix} {line.text}", colour)

    def pid_told(self, session: Session) -> None:
        """GET_PID told a handle its PID."""
        self._write(session, f"< GET_PID {session.pid}", _COLOURS[Direction.TO_CLIENT])

    def refused(self, session: Session, ioctl: str, error: DatapathError) -> None:
        """An ioctl failed."""
        found = attributes_of(self._registry, self._requests.get(session, b""))
        why = describe_error(error, found[0] if found else None)
        self._write(session, f"! {ioctl} {why}", _RED)

    def _write(self, session: Session, text: str, colour: int) -> None:
        if self._stream is None:
            return
        line = f"{session.pid} {self._clients.get(session, '?')} {text}"
        if self._colours:
            line = f"\x1b[{colour}m{line}\x1b[0m"
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


def _client_name(session: Session) -> str:
    """The command and process id of a client, such as "ovs-vsctl[4321]"."""
    return f"{printable(session.command)}[{session.owner.pid}]"
