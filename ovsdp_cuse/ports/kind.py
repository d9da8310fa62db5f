"""What a kind of port on the host is, for those of this package and of others.

For implementers: a kind is a PortKind whose `open` makes a HostPort, a Port with a descriptor to
read from. Another package registers its kinds in the entry point group `ovsdp_cuse.ports`, each
entry a PortKind; its `type` is the OVS_VPORT_TYPE_* that clients ask for.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EACCES, EPERM
from typing import Protocol

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.batch import Receiver, Sender
from ovsdp_cuse.ports.rtnetlink import RouteSocket
from ovsdp_cuse.switch.port import Port, PortSpec


@dataclass(frozen=True, slots=True)
class Host:
    """What the ports of a host share. port_at: the port that has the interface of an index."""

    route: RouteSocket
    receiver: Receiver
    sender: Sender
    port_at: Callable[[int], Port | None]


class HostPort(Port):
    """A port that receives from a descriptor, which is waited for with all others' together."""

    keeps_interface = False
    """Whether the port has its interface still when that is in another network namespace."""

    def __init__(self, name: str, ifindex: int) -> None:
        super().__init__(name, ifindex)
        self.flags = 0
        """IFF_* of the interface."""
        self.on_close: Callable[[], None] = _nothing
        """Called once, before the descriptor is closed."""
        self._is_open = True

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor that is readable where there is something to receive."""

    @abstractmethod
    def receive_batch(self) -> None:
        """Give `receive` what waits, up to a batch of it, and call `received`. Never blocks.

        Raises OSError where the descriptor is of no more use: the port is told to have vanished.
        """

    @abstractmethod
    def release(self) -> None:
        """Close the descriptor, and undo what was done to the interface."""

    def qdisc_gone(self) -> None:
        """Somebody has removed the qdisc with the filters of what the interface receives."""
        return

    def filters_changed(self, *, make_qdisc: bool) -> bool:
        """Somebody has changed these filters.

        False where a qdisc must be made and, without `make_qdisc`, was not.
        """
        return True

    def close(self) -> None:
        """Give the interface back; the second time there is nothing to do."""
        if self._is_open:
            self._is_open = False
            self.on_close()
            self.release()


def _nothing() -> None:
    """Whom nobody told what to do at the end."""


class PortKindError(Exception):
    """A kind of port that cannot be had; the text says which and why."""


class PortKind(Protocol):
    """Opens ports of one OVS_VPORT_TYPE_*."""

    @property
    def type(self) -> int:
        """OVS_VPORT_TYPE_*."""

    def open(self, spec: PortSpec, host: Host) -> HostPort:
        """As PortProvider.open, for this type."""


@contextmanager
def refusals(what: str, needs: str) -> Iterator[None]:
    """Turn an OSError into the DatapathError that a client gets; `needs` are capabilities."""
    try:
        yield
    except OSError as error:
        errno = error.errno or 0
        text = f"{what}: {os.strerror(errno)}"
        if errno in (EPERM, EACCES):
            errno, text = EPERM, f"{text}; the daemon needs {needs}"
        raise DatapathError(errno, text) from error
