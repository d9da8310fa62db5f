"""Ports of each kind for the tests that all kinds must pass, and the other ends of their wires."""

from __future__ import annotations

import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from ovsdp_cuse.ports.host import HostPorts
from ovsdp_cuse.ports.memory import MemoryPort, MemoryPorts
from ovsdp_cuse.ports.netdev import (
    ETH_P_ALL,
    PACKET_AUXDATA,
    PACKET_IGNORE_OUTGOING,
    PACKET_VNET_HDR,
    SO_RCVBUFFORCE,
    SOCKET_MEMORY,
    SOL_PACKET,
)
from ovsdp_cuse.switch.packet import VNET_HEADER, VNET_HEADER_SIZE, Offload, Packet
from ovsdp_cuse.switch.port import (
    PORT_TYPE_INTERNAL,
    PORT_TYPE_NETDEV,
    Port,
    PortNo,
    PortProvider,
    PortSpec,
)
from tests.namespaces import Namespace

LIMIT_S = 20
"""Seconds that anything may take, in an emulated machine too."""
NO_OFFLOAD = Offload(0, 0, 0, 0, 0, 0)
AUXDATA = struct.Struct("=IIIHHHH")
TP_STATUS_VLAN_VALID = 0x10


class Frame(NamedTuple):
    """A frame with what is still to be done to it."""

    frame: bytes
    offload: Offload = NO_OFFLOAD


class Receptions:
    """What a port gives the switch: frames, in batches."""

    def __init__(self, port: Port) -> None:
        self.frames: list[Frame] = []
        self.batches: list[int] = []
        self._more = trio.Event()
        self.each: Callable[[Packet], None] = lambda packet: None
        port.number = PortNo(7)
        port.receive, port.received = self._receive, self._received

    def _receive(self, packet: Packet) -> None:
        self.frames.append(Frame(packet.frame, packet.offload))
        self.each(packet)

    def _received(self) -> None:
        self.batches.append(len(self.frames))
        self._more.set()

    async def wait(self, count: int) -> list[Frame]:
        """The frames, once there are as many, in batches that have ended."""
        with trio.fail_after(LIMIT_S):
            while not self.batches or self.batches[-1] < count:
                self._more = trio.Event()
                await self._more.wait()
        return self.frames


class Events:
    """Keeps what a provider tells, and does what a switch does then."""

    def __init__(self, ports: PortProvider) -> None:
        ports.events = self
        self.seen: list[tuple[str, str]] = []
        self._more = trio.Event()

    def port_vanished(self, port: Port) -> None:
        """The port is removed."""
        port.close()
        self._add("vanished", port.name)

    def port_renamed(self, port: Port, name: str) -> None:
        """The port has the new name."""
        self._add("renamed", f"{port.name} {name}")
        port.name = name

    def port_changed(self, port: Port) -> None:
        """Kept with the MTU."""
        self._add("changed", f"{port.name} {port.mtu}")

    def _add(self, what: str, text: str) -> None:
        self.seen.append((what, text))
        self._more.set()

    async def wait(self, what: str, text: str) -> None:
        """Return once this has been told."""
        with trio.fail_after(LIMIT_S):
            while (what, text) not in self.seen:
                self._more = trio.Event()
                await self._more.wait()


class End(ABC):
    """The other end of a port's wire."""

    @abstractmethod
    def send(self, frame: bytes, offload: Offload = NO_OFFLOAD) -> None:
        """Send a frame to the port."""

    @abstractmethod
    async def receive(self) -> Frame:
        """The next frame that the port has sent."""


class MemoryEnd(End):
    """The other end of a port of memory."""

    def __init__(self, port: MemoryPort) -> None:
        self._port = port

    def send(self, frame: bytes, offload: Offload = NO_OFFLOAD) -> None:
        self._port.inject(frame, offload)

    async def receive(self) -> Frame:
        with trio.fail_after(LIMIT_S):
            sent = await self._port.take_sent()
        return Frame(sent.frame, sent.offload)


class SocketEnd(End):
    """A packet socket on the interface where a port's frames come out."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        for option in (PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
            self.socket.setsockopt(SOL_PACKET, option, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_MEMORY)
        self.socket.bind((interface, ETH_P_ALL))

    def send(self, frame: bytes, offload: Offload = NO_OFFLOAD) -> None:
        self.socket.send(VNET_HEADER.pack(*offload) + frame)

    async def receive(self) -> Frame:
        with trio.fail_after(LIMIT_S):
            await trio.lowlevel.wait_readable(self.socket)
        data, ((_level, _kind, auxdata),), _flags, _address = self.socket.recvmsg(1 << 17, 64)
        offload = Offload._make(VNET_HEADER.unpack_from(data))
        frame = data[VNET_HEADER_SIZE:]
        status, *_lengths, tci, tpid = AUXDATA.unpack_from(auxdata)
        if status & TP_STATUS_VLAN_VALID:
            frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
            if offload.flags:
                offload = offload._replace(csum_start=offload.csum_start + 4)
        return Frame(frame, offload)


class Rig(ABC):
    """A provider with all that the tests do to its ports of one kind."""

    kind: int
    ports: PortProvider
    counts_as_the_host = False
    """Whether statistics are those of an interface of the host."""

    @abstractmethod
    def prepare(self, name: str) -> None:
        """Let `name` be what a port can be opened for."""

    @abstractmethod
    def end(self, port: Port) -> End:
        """The other end of an open port's wire; the interface is up."""

    @abstractmethod
    def change(self, port: Port, *, mtu: int | None = None, name: str | None = None) -> None:
        """Change the port's interface."""

    @abstractmethod
    def remove(self, port: Port) -> None:
        """Delete the port's interface."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing."""

    def open(self, name: str) -> Port:
        """A port with this name."""
        self.prepare(name)
        return self.ports.open(PortSpec(self.kind, name))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Events]:
        """The provider runs."""
        events = Events(self.ports)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ports.run)
            yield events
            nursery.cancel_scope.cancel()


class MemoryRig(Rig):
    """Ports of memory."""

    kind = PORT_TYPE_NETDEV
    ports: MemoryPorts

    def __init__(self) -> None:
        self.ports = MemoryPorts()

    def prepare(self, name: str) -> None:
        self.ports.add_interface(name)

    def end(self, port: Port) -> End:
        assert isinstance(port, MemoryPort)
        return MemoryEnd(port)

    def change(self, port: Port, *, mtu: int | None = None, name: str | None = None) -> None:
        self.ports.change_interface(port.name, mtu=mtu, new_name=name)

    def remove(self, port: Port) -> None:
        self.ports.remove_interface(port.name)

    def close(self) -> None:
        """There is nothing."""


class MemoryInternalRig(MemoryRig):
    """Internal ports of memory."""

    kind = PORT_TYPE_INTERNAL

    def prepare(self, name: str) -> None:
        """The port makes its interface."""


class HostRig(Rig):
    """Ports of the host, in a namespace that the test is in."""

    ports: HostPorts
    counts_as_the_host = True

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.ports = HostPorts()
        self._ends: list[SocketEnd] = []

    def change(self, port: Port, *, mtu: int | None = None, name: str | None = None) -> None:
        if mtu is not None:
            self.namespace.set_link(port.name, ("IFLA_MTU", mtu))
        if name is not None:
            self.namespace.rename_link(port.name, name)

    def remove(self, port: Port) -> None:
        self.namespace.delete_link(port.name)

    def close(self) -> None:
        self.ports.close()
        for end in self._ends:
            end.socket.close()

    def _open_end(self, interface: str) -> End:
        self._ends.append(SocketEnd(interface))
        return self._ends[-1]


class NetdevRig(HostRig):
    """One interface of a pair; the other one is the end."""

    kind = PORT_TYPE_NETDEV

    def prepare(self, name: str) -> None:
        self.namespace.add_veth(name, f"{name}-end")

    def end(self, port: Port) -> End:
        return self._open_end(f"{port.name}-end")


class TapRig(HostRig):
    """A TAP; the end is its interface, as the host sees it."""

    kind = PORT_TYPE_INTERNAL

    def prepare(self, name: str) -> None:
        """The port makes its interface."""

    def end(self, port: Port) -> End:
        self.namespace.set_up(port.name)
        return self._open_end(port.name)


RIGS: dict[str, type[Rig]] = {
    "memory": MemoryRig,
    "memory-internal": MemoryInternalRig,
    "netdev": NetdevRig,
    "tap": TapRig,
}
