"""Ports of memory: a provider with no interface of the host, for tests and for trying things.

Internal ports can always be opened. A NETDEV port opens an interface that was declared with
`add_interface`. What is sent to a port is kept in `sent`; `inject` is a frame that comes in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from errno import EAFNOSUPPORT, EBUSY, EINVAL, ENODEV
from typing import Final, NamedTuple

import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.names import choose_name
from ovsdp_cuse.switch.packet import VNET_HEADER, VNET_HEADER_SIZE, Offload, Packet
from ovsdp_cuse.switch.port import (
    PORT_TYPE_INTERNAL,
    PORT_TYPE_NETDEV,
    Interface,
    NoEvents,
    Port,
    PortEvents,
    PortSpec,
    PortStats,
)

FIRST_IFINDEX: Final = 2
"""Linux gives 1 to the loopback interface."""
ETHERNET_MTU: Final = 1500


class Sent(NamedTuple):
    """A frame that a port has sent, with what it left to the interface and what it was given."""

    frame: bytes
    offload: Offload
    priority: int
    mark: int


class MemoryPort(Port):
    """A port whose other end is the test.

    It keeps the rules of `transmit` as the ports of the host do: frames stay in the packet's memory
    until `flush`, so a switch that writes there meanwhile is found out.
    """

    def __init__(self, kind: int, name: str, ifindex: int, close: Callable[[], None]) -> None:
        super().__init__(name, ifindex)
        self.type = kind
        self.sent: list[Sent] = []
        self.is_open = True
        self._queued: list[tuple[bytearray | memoryview, int, int, int, int]] = []
        self._on_close = close
        self._flushed = trio.Event()

    def inject(
        self, frame: bytes, offload: Offload | None = None, priority: int = 0, mark: int = 0
    ) -> None:
        """Receive a frame as a batch of one, until the switch has done with it."""
        packet = Packet.of(frame, offload)
        packet.priority, packet.mark = priority, mark
        self.counts.rx_packets += 1
        self.counts.rx_bytes += len(frame)
        self.receive(packet)
        self.received()

    def transmit(self, packet: Packet) -> bool:
        """Queue a frame, in the packet's memory."""
        packet.owned = False
        self._queued.append((packet.buffer, packet.start, packet.end, packet.priority, packet.mark))
        return True

    def flush(self) -> None:
        """Copy what is queued to `sent`."""
        for buffer, start, end, priority, mark in self._queued:
            offload = Offload._make(VNET_HEADER.unpack_from(buffer, start - VNET_HEADER_SIZE))
            self.sent.append(Sent(bytes(buffer[start:end]), offload, priority, mark))
            self.counts.tx_packets += 1
            self.counts.tx_bytes += end - start
        self._queued.clear()
        self._flushed.set()

    async def take_sent(self) -> Sent:
        """The oldest frame in `sent`, which leaves it; wait where there is none."""
        while not self.sent:
            self._flushed = trio.Event()
            await self._flushed.wait()
        return self.sent.pop(0)

    def close(self) -> None:
        """Give the interface back; twice is once."""
        if self.is_open:
            self.is_open = False
            self._on_close()


@dataclass(slots=True)
class _Entry:
    """An interface with the port that has it, and what it counts, whoever has it."""

    interface: Interface
    counts: PortStats = field(default_factory=PortStats)
    port: MemoryPort | None = None
    is_internal: bool = False


class MemoryPorts:
    """A PortProvider of its own little world of interfaces, numbered from `first_ifindex`."""

    def __init__(self, first_ifindex: int = FIRST_IFINDEX) -> None:
        self.events: PortEvents = NoEvents()
        self._entries: dict[str, _Entry] = {}
        self._indexes: set[int] = set()
        self._next_ifindex = first_ifindex

    def has_type(self, type: int) -> bool:
        """As PortProvider.has_type."""
        return type in (PORT_TYPE_NETDEV, PORT_TYPE_INTERNAL)

    async def run(self) -> None:
        """Nothing comes in but by `inject`."""
        await trio.sleep_forever()

    def add_interface(
        self, name: str, mtu: int = ETHERNET_MTU, is_up: bool = True, ifindex: int = 0
    ) -> Interface:
        """Declare an interface that a NETDEV port can open; `ifindex` 0 for the next one.

        Raises, as register_netdevice() does, EEXIST for a name in use, EBUSY for an index in use,
        EINVAL for a name that no interface may have.
        """
        name = choose_name(name, self._entries.__contains__)
        if ifindex in self._indexes:
            raise DatapathError(EBUSY, f"interface index {ifindex} is in use")
        while not ifindex:
            if self._next_ifindex not in self._indexes:
                ifindex = self._next_ifindex
            self._next_ifindex += 1
        mac = b"\x02" + os.urandom(5)  # locally administered, for one station
        interface = Interface(ifindex, name, mac, mtu, is_up, is_promiscuous=False)
        self._entries[name] = _Entry(interface)
        self._indexes.add(ifindex)
        return interface

    def remove_interface(self, name: str) -> None:
        """Take an interface away, from its port too; ENODEV where there is none."""
        entry = self._entry(name)
        self._remove(entry)
        if entry.port is not None:
            self.events.port_vanished(entry.port)

    def change_interface(
        self, name: str, *, new_name: str | None = None, mtu: int | None = None
    ) -> None:
        """Rename an interface or set its MTU, and tell it; ENODEV, EEXIST, EINVAL for names."""
        entry = self._entry(name)
        if mtu is not None:
            entry.interface = replace(entry.interface, mtu=mtu)
            if entry.port is not None:
                entry.port.mtu = mtu
                self.events.port_changed(entry.port)
        if new_name is not None:
            new_name = choose_name(new_name, self._entries.__contains__)
            entry.interface = replace(entry.interface, name=new_name)
            self._entries[new_name] = self._entries.pop(name)
            if entry.port is not None:
                self.events.port_renamed(entry.port, new_name)

    def open(self, spec: PortSpec) -> MemoryPort:
        """As PortProvider.open; the types are NETDEV and INTERNAL."""
        if spec.type == PORT_TYPE_INTERNAL:
            interface = self.add_interface(spec.name, is_up=False, ifindex=spec.ifindex)
            entry = self._entries[interface.name]
            entry.is_internal = True
        elif spec.type == PORT_TYPE_NETDEV:
            entry = self._entry(spec.name)
            if entry.is_internal:
                raise DatapathError(EINVAL, f"{spec.name!r} is an internal port")
            if entry.port is not None:
                raise DatapathError(EBUSY, f"{spec.name!r} is a port already")
        else:
            raise DatapathError(EAFNOSUPPORT, f"there are no ports of type {spec.type}")
        interface = entry.interface
        port = MemoryPort(spec.type, interface.name, interface.ifindex, lambda: self._closed(entry))
        port.mtu = interface.mtu
        port.counts = entry.counts
        entry.port = port
        entry.interface = replace(interface, is_promiscuous=True)
        return port

    def close_ports(self, ports: Iterable[Port]) -> None:
        """Close several ports."""
        for port in ports:
            port.close()

    def close(self) -> None:
        """As PortProvider.close."""
        self.close_ports([entry.port for entry in self._entries.values() if entry.port is not None])

    def interface(self, name: str) -> Interface:
        """Any interface; ENODEV where there is none."""
        return self._entry(name).interface

    def port(self, name: str) -> MemoryPort:
        """The port that has an interface; ENODEV where there is none."""
        port = self._entry(name).port
        if port is None:
            raise DatapathError(ENODEV, f"the interface {name!r} is no port of a datapath")
        return port

    def follow(self) -> None:
        """Nothing happens to these interfaces that is not told at once."""

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise DatapathError(ENODEV, f"there is no interface {name!r}")
        return entry

    def _closed(self, entry: _Entry) -> None:
        entry.port = None
        entry.interface = replace(entry.interface, is_promiscuous=False)
        if entry.is_internal and self._entries.get(entry.interface.name) is entry:
            self._remove(entry)

    def _remove(self, entry: _Entry) -> None:
        del self._entries[entry.interface.name]
        self._indexes.remove(entry.interface.ifindex)
