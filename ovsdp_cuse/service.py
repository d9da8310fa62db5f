"""Talking to systemd: readiness, status, the watchdog, and descriptors that it keeps for a service.

The protocol is datagrams of NAME=VALUE lines to the socket named in NOTIFY_SOCKET; where the
variable is not set nothing is sent (sd_notify(3)). Descriptors that systemd keeps come to the
service's next process at its start (sd_listen_fds(3)).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping

import trio

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START of <systemd/sd-daemon.h>."""


def take_descriptors(environment: MutableMapping[str, str] = os.environ) -> dict[str, int]:
    """The descriptors that the service manager gave this process, by name; once.

    No program that this one starts gets them, nor the variables. Of two of a name the last counts.
    """
    given = {
        variable: environment.pop(variable, "")
        for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    }
    if given["LISTEN_PID"] != str(os.getpid()) or not given["LISTEN_FDS"].isdecimal():
        return {}
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(given["LISTEN_FDS"]))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    # What has no name is named "unknown", so there is one for each.
    return dict(zip(given["LISTEN_FDNAMES"].split(":"), descriptors, strict=False))


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

    @property
    def is_heard(self) -> bool:
        """Whether there is a service manager."""
        return bool(self._address)

    def keep(self, name: str, descriptor: int) -> None:
        """Have the manager keep a descriptor for the service's next process.

        OSError where it cannot be sent. The unit must allow it (FileDescriptorStoreMax=), and that
        this process asks for it (NotifyAccess=); nobody tells whether it does.
        """
        text = f"FDSTORE=1\nFDNAME={name}".encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(self._address)
            socket.send_fds(sender, [text], [descriptor])

    def forget(self, name: str) -> None:
        """Have the manager close what it keeps by that name, if anything."""
        self.notify(FDSTOREREMOVE=1, FDNAME=name)

    async def feed_watchdog(self) -> None:
        """Say that the loop still turns, for as long as the manager wants to know."""
        if self.watchdog_interval_s is None:
            return
        while True:
            self.notify(WATCHDOG=1)
            await trio.sleep(self.watchdog_interval_s)
