"""As much of an FTP server (RFC 959) as a client needs to fetch a file in active mode, where the
server opens the data connection."""

from __future__ import annotations

import socket
import threading
from typing import Final

from tests.nodes.interface import DEADLINE_S
from tests.openvswitch.traffic.hosts import Host

CONTROL_PORT: Final = 21
REPLIES: Final = {
    "USER": "331 a password, please",
    "PASS": "230 welcome",
    "TYPE": "200 so be it",
    "PORT": "200 so be it",
    "QUIT": "221 goodbye",
}


class FtpServer:
    """Serves one client, in a thread, until it quits; a context manager. content: of any file."""

    def __init__(self, host: Host, content: bytes) -> None:
        self._host = host
        self._content = content
        self._listener = host.socket(socket.SOCK_STREAM)
        self._listener.bind(("", CONTROL_PORT))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> FtpServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        control, _ = self._listener.accept()
        control.settimeout(DEADLINE_S)
        client = ("", 0)
        with control, control.makefile("rb") as lines:
            _say(control, "220 ready")
            for line in lines:
                command, _, argument = line.decode().strip().partition(" ")
                if command == "PORT":
                    client = _decode(argument)
                if command == "RETR":
                    _say(control, "150 here it comes")
                    self._send(client)
                    _say(control, "226 that was it")
                else:
                    _say(control, REPLIES.get(command, "502 not here"))
                if command == "QUIT":
                    break

    def _send(self, client: tuple[str, int]) -> None:
        with self._host.socket(socket.SOCK_STREAM) as data:
            data.connect(client)
            data.sendall(self._content)


def _say(control: socket.socket, reply: str) -> None:
    control.sendall(reply.encode() + b"\r\n")


def _decode(argument: str) -> tuple[str, int]:
    """The address and port that PORT tells."""
    *address, high, low = argument.split(",")
    return ".".join(address), int(high) << 8 | int(low)
