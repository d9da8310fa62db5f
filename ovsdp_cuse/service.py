"""Talking to systemd: readiness, status and the watchdog (sd_notify(3)).

The protocol is datagrams of NAME=VALUE lines to the socket named in NOTIFY_SOCKET; where the
variable is not set nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import trio


class Notifier:
    """Sends notifications to the service manager, if there is one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        own = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        limit_us = environment.get("WATCHDOG_USEC", "") if own else ""
        limit_s = int(limit_us) / 1e6 if limit_us.isdecimal() else 0.0
        self.watchdog_interval_s = limit_s / 2 or None
        """Half the time after which the service manager would take us for hung."""

    def notify(self, **variables: str | int) -> None:
        """Send variables such as READY=1; an absent manager is no error."""
        if not self._address:
            return
        datagram = "\n".join(f"{name}={value}" for name, value in variables.items()).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                # Not to wait: a busy manager must not hold up the clients of the device.
                sender.sendto(datagram, socket.MSG_DONTWAIT, self._address)
            except OSError:
                # The manager went away or its queue is full; the watchdog decides what follows.
                return

    async def feed_watchdog(self) -> None:
        """Say that the loop still turns, for as long as the manager wants to know."""
        if self.watchdog_interval_s is None:
            return
        while True:
            self.notify(WATCHDOG=1)
            await trio.sleep(self.watchdog_interval_s)
