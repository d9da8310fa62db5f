"""Ports: what a datapath sees of an interface.

For users: a port has a number in its datapath, a name, an interface index, statistics and PIDs for
its upcalls; `transmit` gives it a packet.

For implementers: a kind of port is a subclass of Port in `ports/`, or in another package, and a
PortKind that opens it. A port receives by making Packets (see packet.py for the memory that they
lie in) and calling `self.receive(packet)`, which never raises and has done with the packet when it
returns, but for what other ports have queued of it: they copy, or hold the buffer until `flush`.
So after a batch a port calls `self.received()`, which flushes all ports that have something queued.
A port that shares memory with others of its kind may ask `self.forward` before it makes a packet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from errno import EOPNOTSUPP
from typing import NewType, Protocol

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.packet import Packet

PortNo = NewType("PortNo", int)

OVSP_LOCAL = PortNo(0)
"""The number of a datapath's local port, which has the datapath's name."""
PORT_NO_MAXIMUM = 0xFFFF
"""How many ports a datapath may have, numbered from 0: DP_MAX_PORTS (USHRT_MAX) of datapath.h."""

PORT_TYPE_NETDEV = 1
"""OVS_VPORT_TYPE_NETDEV: an interface that exists already."""
PORT_TYPE_INTERNAL = 2
"""OVS_VPORT_TYPE_INTERNAL: an interface that is made for the port."""


@dataclass(slots=True)
class PortStats:
    """struct ovs_vport_stats: packets and bytes since the port was made."""

    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_errors: int = 0
    tx_errors: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0


Forward = Callable[[bytearray, int, int], list[int] | None]
"""(buffer, start of the frame, size) to the lane of a port; see `Port.forward`."""


class Port(ABC):
    """One port. The datapath sets `number`, `receive` and `received` when it takes the port."""

    type: int
    """OVS_VPORT_TYPE_*."""

    def __init__(self, name: str, ifindex: int) -> None:
        self.name = name
        self.ifindex = ifindex
        self.number = PortNo(PORT_NO_MAXIMUM)
        self.dp_ifindex = 0
        self.netns_id: int | None = None
        """The id of the namespace that the interface is in, None where it is the daemon's own."""
        self.options: bytes | None = None
        """What OVS_VPORT_ATTR_OPTIONS tells; None for a kind that has none."""
        self.mtu = 1500
        self.upcall_pids: tuple[int, ...] = ()
        self.upcall_successes = 0
        self.upcall_failures = 0
        self.counts = PortStats()
        """What the port counts itself."""
        self.lane: list[int] | None = None
        """Where frames are queued that need not become packets, see shortcut.py: the `frames` of a
        SendQueue of ports/batch.py and nothing else, for addresses are put there. None for a port
        that has no such queue, and while what it sends is marked."""
        self.forward: Forward = _no_shortcut
        """Ask the switch for the lane that a frame goes to as it is; None for what is received."""
        self.receive: Callable[[Packet], None] = _drop
        """Give the switch a packet, with `priority` and `mark` set; its key is extracted there."""
        self.received: Callable[[], None] = _nothing
        """Tell the switch that a batch has ended."""

    @property
    def stats(self) -> PortStats:
        """What OVS_VPORT_ATTR_STATS tells: counts of the interface, as it knows them itself.

        As in the kernel they are seen from the interface: what the switch sends to an internal
        port is received there.
        """
        return self.counts

    @abstractmethod
    def transmit(self, packet: Packet) -> bool:
        """Send a packet, or queue it until `flush`; True where something is queued.

        It counts tx and errors. It may not write into the packet; where it holds the buffer after
        it returns, it sets `packet.owned` to False. `packet.cut` has been applied by the caller.
        """

    def flush(self) -> None:
        """Send what is queued."""
        return

    def set_options(self, options: bytes) -> None:
        """Change what OVS_VPORT_ATTR_OPTIONS says; EOPNOTSUPP for a kind that has no options."""
        raise DatapathError(EOPNOTSUPP, f"a port of type {self.type} has no options to change")

    def detached(self) -> None:
        """Forget the datapath: what is received from now on goes nowhere."""
        self.forward = _no_shortcut
        self.receive = _drop
        self.received = _nothing

    @abstractmethod
    def close(self) -> None:
        """Give the interface back; what the port made disappears."""


def _drop(packet: Packet) -> None:
    """Where packets go that come before the port is in a datapath."""


def _no_shortcut(buffer: bytearray, start: int, size: int) -> None:
    """The answer for a port that is in no datapath."""


def _nothing() -> None:
    """What a port without a datapath does at the end of a batch."""


@dataclass(frozen=True, slots=True)
class PortSpec:
    """What a client wants: OVS_VPORT_ATTR_TYPE, _NAME, _OPTIONS, and the interface index of a
    datapath's local port, 0 for any."""

    type: int
    name: str
    options: bytes | None = None
    ifindex: int = 0


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface, for the family ovs_win_netdev."""

    ifindex: int
    name: str
    mac: bytes
    mtu: int
    is_up: bool
    is_promiscuous: bool


class PortEvents(Protocol):
    """What a provider tells of the interfaces of its ports; families/vport.py implements it."""

    def port_vanished(self, port: Port) -> None:
        """The interface is gone, or in another namespace: the port is to be removed."""

    def port_renamed(self, port: Port, name: str) -> None:
        """The interface has another name; `port.name` is changed by who is told."""

    def port_changed(self, port: Port) -> None:
        """Another thing has changed: `port.mtu`, or that it has a carrier or is up."""


class NoEvents:
    """PortEvents that go nowhere."""

    def port_vanished(self, port: Port) -> None:
        """Nobody removes the port."""

    def port_renamed(self, port: Port, name: str) -> None:
        """Nobody gives the port its new name."""

    def port_changed(self, port: Port) -> None:
        """Nobody is told."""


class PortProvider(Protocol):
    """Opens ports: interfaces of the host, or of memory."""

    def has_type(self, type: int) -> bool:
        """Whether there are ports of this OVS_VPORT_TYPE_*; `open` refuses others."""

    events: PortEvents
    """Who is told of the interfaces; NoEvents until somebody sets it."""

    async def run(self) -> None:
        """Receive on all ports that there are, and tell the events, until cancelled."""

    def open(self, spec: PortSpec) -> Port:
        """A new port, named `port.name`; what it receives is dropped until it has a datapath.

        Raises DatapathError: EAFNOSUPPORT for a type that there is none of, ENODEV for an
        interface that does not exist, EEXIST for a name in use, EINVAL for an interface that
        cannot be a port, EBUSY for one that is a port already or has another master, or for an
        index in use, EPERM without privileges.
        """

    def close_ports(self, ports: Iterable[Port]) -> None:
        """Close several ports: many are closed together much faster than one by one."""

    def interface(self, name: str) -> Interface:
        """Any interface; ENODEV where there is none."""

    def follow(self) -> None:
        """Tell the events all that has become of the interfaces until now."""

    def close(self) -> None:
        """Close all ports that are still open, and everything else."""
