"""Ports that are interfaces of the host: opening them, and receiving on all of them.

The rule of this module: all descriptors of ports are in one epoll instance, and one task waits for
that. So a port comes and goes with a plain call. A port that is ready has one batch, then the next
port has its turn; after a few of them so have the other tasks. Nothing that happens to a port, or
in it, ends the daemon.
"""

from __future__ import annotations

import resource
import select
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from errno import EAFNOSUPPORT, EIO, ENODEV
from functools import partial
from importlib.metadata import entry_points
from typing import Final

import structlog
import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.batch import Receiver, Sender, Slots
from ovsdp_cuse.ports.interfaces import (
    Change,
    FiltersChanged,
    InterfaceWatch,
    LinkChanged,
    Overrun,
    QdiscGone,
)
from ovsdp_cuse.ports.kind import Host, HostPort, PortKind, PortKindError
from ovsdp_cuse.ports.netdev import NetdevKind
from ovsdp_cuse.ports.rtnetlink import IFF_UP, Link, RouteSocket
from ovsdp_cuse.ports.tap import TapKind, TapPort
from ovsdp_cuse.switch.port import (
    Interface,
    NoEvents,
    Port,
    PortEvents,
    PortSpec,
)

log = structlog.get_logger(__name__)

ENTRY_POINT_GROUP: Final = "ovsdp_cuse.ports"
BUILT_IN: Final[tuple[PortKind, ...]] = (NetdevKind(), TapKind())

BATCHES_AT_ONCE: Final = 4
"""Batches, of one port or of many, before other tasks have their turn: about a millisecond."""


QDISC_PATIENCE_S: Final = 0.1
"""After somebody has removed the qdisc of a port's filter: Open vSwitch does so just before it adds
one, which would fail if there were ours again."""


def installed_kinds() -> list[PortKind]:
    """The kinds of other packages; PortKindError where one cannot be loaded."""
    kinds: list[PortKind] = []
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        try:
            kind = entry.load()
            number = kind.type
        except Exception as error:
            raise PortKindError(
                f"the kind of port {entry.name!r} of entry point {entry.value!r} cannot be loaded: "
                f"{error!r}; repair or uninstall its package"
            ) from error
        if not isinstance(number, int) or not callable(getattr(kind, "open", None)):
            raise PortKindError(f"the entry point {entry.name!r} ({entry.value}) is no PortKind")
        kinds.append(kind)
    return kinds


def raise_descriptor_limit() -> None:
    """Let the process have as many descriptors as it may: a port takes one or two."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class HostPorts:
    """The PortProvider of the host's interfaces, of the network namespace it is made in.

    Raises PortKindError where two kinds have the same type.
    """

    def __init__(self, kinds: Iterable[PortKind] = BUILT_IN) -> None:
        self.events: PortEvents = NoEvents()
        self._kinds: dict[int, PortKind] = {}
        for kind in kinds:
            if self._kinds.setdefault(kind.type, kind) is not kind:
                raise PortKindError(f"two kinds of port have the type {kind.type}")
        self._by_ifindex: dict[int, HostPort] = {}
        self._ports: set[HostPort] = set()
        self._sources: dict[int, Callable[[], object]] = {}
        self._without_qdisc: dict[HostPort, float] = {}
        self._qdisc_is_gone = trio.Event()
        raise_descriptor_limit()
        slots = Slots()
        route = RouteSocket()
        self._host = Host(route, Receiver(slots), Sender(slots), self._by_ifindex.get)
        self._watch = InterfaceWatch(self._by_ifindex.__contains__)
        self._epoll = select.epoll()
        self._add_source(self._watch.fileno(), self._follow)

    def close(self) -> None:
        """Close all ports that are still open, and everything else."""
        self.close_ports(list(self._ports))
        self._epoll.close()
        self._watch.close()
        self._host.route.close()

    def has_type(self, type: int) -> bool:
        """Whether there are ports of this OVS_VPORT_TYPE_*."""
        return type in self._kinds

    def open(self, spec: PortSpec) -> HostPort:
        """As PortProvider.open."""
        kind = self._kinds.get(spec.type)
        if kind is None:
            raise DatapathError(EAFNOSUPPORT, f"there are no ports of type {spec.type}")
        # What is still to be told is of older interfaces, even if it has the new one's index.
        self.follow()
        port = kind.open(spec, self._host)
        try:
            self._add_source(port.fileno(), partial(self._receive, port))
        except OSError as error:
            port.close()
            text = f"{spec.name!r} cannot be waited for: {error.strerror}"
            raise DatapathError(error.errno or EIO, text) from error
        self._ports.add(port)
        if port.ifindex:
            self._by_ifindex[port.ifindex] = port
        port.on_close = partial(self._forget, port)
        return port

    def close_ports(self, ports: Iterable[Port]) -> None:
        """Close several ports; many TAPs are deleted together, which is much faster."""
        ports = list(ports)
        taps = [port for port in ports if isinstance(port, TapPort) and port.netns_id is None]
        if len(taps) > 1:
            for tap in taps:
                self._forget(tap)
            with suppress(OSError):  # one of them is gone: then so it is for each by itself
                self._host.route.delete_links(tap.ifindex for tap in taps)
        for port in ports:
            port.close()

    def interface(self, name: str) -> Interface:
        """Any interface; ENODEV where there is none."""
        link = self._host.route.link(name)
        if link is None:
            raise DatapathError(ENODEV, f"there is no interface {name!r}")
        return Interface(
            link.ifindex,
            link.name,
            link.mac,
            link.mtu,
            is_up=bool(link.flags & IFF_UP),
            # A TAP receives what is not for the host in any case, and has no count of its own.
            is_promiscuous=link.promiscuity > 0 or link.ifindex in self._by_ifindex,
        )

    def follow(self) -> None:
        """Tell the events all that has become of the interfaces until now."""
        while self._follow():
            continue

    async def run(self) -> None:
        """Receive on all ports that there are, and tell the events, until cancelled."""
        descriptor = self._epoll.fileno()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._make_qdiscs)
            while True:
                await trio.lowlevel.wait_readable(descriptor)
                self.receive_waiting()

    def receive_waiting(self) -> None:
        """Let the ports that have something receive, a batch each by turns; never blocks."""
        left = BATCHES_AT_ONCE
        while left > 0 and (ready := self._epoll.poll(0, left)):
            left -= len(ready)
            for descriptor, _events in ready:
                source = self._sources.get(descriptor)
                if source is not None:  # it may have gone in this very turn
                    source()

    def _add_source(self, descriptor: int, source: Callable[[], object]) -> None:
        self._epoll.register(descriptor, select.EPOLLIN)
        self._sources[descriptor] = source

    def _receive(self, port: HostPort) -> None:
        try:
            port.receive_batch()
        except OSError as error:
            log.info("the interface of a port is gone", port=port.name, error=str(error))
            self._vanish(port)
        except Exception:
            log.exception("a port could not receive", port=port.name)

    def _follow(self) -> bool:
        """Tell the ports and the switch what has become of the interfaces; whether anything has."""
        change = None
        for change in self._watch.changes():
            try:
                self._apply(change)
            except Exception:
                log.exception("a change of an interface was not followed", change=change)
        return change is not None

    def _apply(self, change: Change) -> None:
        if isinstance(change, Overrun):
            self._look_again()
            return
        port = self._by_ifindex.get(change.ifindex)
        if port is None:  # gone meanwhile
            return
        if isinstance(change, LinkChanged):
            self._link_changed(port, change.link)
        elif isinstance(change, QdiscGone):
            port.qdisc_gone()
            self._filters_changed(port)
        elif isinstance(change, FiltersChanged):
            self._filters_changed(port)
        elif change.netns_id is None or not port.keeps_interface:
            self._vanish(port)
        else:
            # Its index may be another one there, and may be another interface's here.
            del self._by_ifindex[port.ifindex]
            port.ifindex, port.netns_id = change.new_ifindex, change.netns_id
            self.events.port_changed(port)

    def _link_changed(self, port: HostPort, link: Link) -> None:
        if link.name != port.name:
            self.events.port_renamed(port, link.name)
        if (link.mtu, link.flags) != (port.mtu, port.flags):
            port.mtu, port.flags = link.mtu, link.flags
            self.events.port_changed(port)

    def _filters_changed(self, port: HostPort) -> None:
        if port.filters_changed(make_qdisc=False):
            self._without_qdisc.pop(port, None)
        else:
            self._without_qdisc.setdefault(port, time.monotonic() + QDISC_PATIENCE_S)
            self._qdisc_is_gone.set()

    async def _make_qdiscs(self) -> None:
        """Make those that were removed, where nobody else has soon after."""
        while True:
            await self._qdisc_is_gone.wait()
            self._qdisc_is_gone = trio.Event()
            while self._without_qdisc:
                port, when = next(iter(self._without_qdisc.items()))
                await trio.sleep(max(0.0, when - time.monotonic()))
                if self._without_qdisc.pop(port, None) is not None:
                    port.filters_changed(make_qdisc=True)

    def _look_again(self) -> None:
        """Find out what has changed while notifications were lost."""
        log.warning("notifications of interfaces were lost: looking at all of them")
        links = {link.ifindex: link for link in self._host.route.links()}
        for ifindex, port in list(self._by_ifindex.items()):
            if ifindex in links:
                self._link_changed(port, links[ifindex])
                self._filters_changed(port)
            elif not port.keeps_interface:  # else its descriptor tells, or it is elsewhere
                self._vanish(port)

    def _vanish(self, port: HostPort) -> None:
        self._forget(port)
        self.events.port_vanished(port)

    def _forget(self, port: HostPort) -> None:
        """Receive nothing more from a port; it may be forgotten already."""
        if port in self._ports:
            self._ports.remove(port)
            self._without_qdisc.pop(port, None)
            del self._sources[port.fileno()]
            with suppress(OSError):
                self._epoll.unregister(port.fileno())
            if self._by_ifindex.get(port.ifindex) is port:
                del self._by_ifindex[port.ifindex]
