"""The interfaces of a daemon in the test's process: what comes in, and what has gone out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ovsdp_cuse.ports.memory import ETHERNET_MTU, MemoryPort, MemoryPorts, Sent
from ovsdp_cuse.switch.packet import Offload
from ovsdp_cuse.switch.port import Interface

T = TypeVar("T")

Run = Callable[[Callable[[], Any]], Any]
"""Calls a function in the daemon's thread, waits until the daemon has settled, and returns what
the function returns."""


class Ports:
    """Interfaces of memory, by their names; no frame leaves the daemon.

    What is wrong with a name raises DatapathError: ENODEV where there is no such interface, or
    where it is no port of a datapath and the call needs one.
    """

    def __init__(self, ports: MemoryPorts, run: Run) -> None:
        self._ports = ports
        self._run = run

    def add_interface(
        self, name: str, mtu: int = ETHERNET_MTU, is_up: bool = True, ifindex: int = 0
    ) -> Interface:
        """Make an interface, which a NETDEV port can open; see MemoryPorts.add_interface."""
        found: Interface = self._run(lambda: self._ports.add_interface(name, mtu, is_up, ifindex))
        return found

    def remove_interface(self, name: str) -> None:
        """Take an interface away, as 'ip link delete' does; its port goes with it."""
        self._run(lambda: self._ports.remove_interface(name))

    def change_interface(
        self, name: str, *, new_name: str | None = None, mtu: int | None = None
    ) -> None:
        """Rename an interface, or set its MTU."""
        self._run(lambda: self._ports.change_interface(name, new_name=new_name, mtu=mtu))

    def inject(
        self,
        name: str,
        *frames: bytes,
        offload: Offload | None = None,
        priority: int = 0,
        mark: int = 0,
    ) -> None:
        """Let frames come in by a port; when this returns, the switch is done with them.

        offload: what a virtio_net_hdr would say of each. priority, mark: of the packet.
        """

        def inject() -> None:
            port = self._port(name)
            for frame in frames:
                port.inject(frame, offload, priority, mark)

        self._run(inject)

    def take_sent(self, name: str) -> list[bytes]:
        """The frames that a port has sent since the last call."""
        return [sent.frame for sent in self.take_sent_whole(name)]

    def take_sent_whole(self, name: str) -> list[Sent]:
        """As `take_sent`, each frame with its offload, priority and mark."""

        def take() -> list[Sent]:
            port = self._port(name)
            sent, port.sent = port.sent, []
            return sent

        found: list[Sent] = self._run(take)
        return found

    def _port(self, name: str) -> MemoryPort:
        return self._ports.port(name)
