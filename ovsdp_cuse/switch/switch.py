"""The switch: all datapaths of a daemon. Pure and synchronous.

A datapath has an index and a name, both unique: those of its local port, which is port 0 and an
interface. Ports have names that are unique over all datapaths, as interfaces have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import EBUSY, EEXIST, EINVAL, ENODEV
from time import monotonic_ns

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.ct_limit import ConntrackLimits
from ovsdp_cuse.switch.datapath import Datapath, Settings
from ovsdp_cuse.switch.port import OVSP_LOCAL, PORT_TYPE_INTERNAL, Port, PortProvider, PortSpec
from ovsdp_cuse.switch.upcall import Upcall, UpcallSink


def monotonic_ms() -> int:
    """Milliseconds of CLOCK_MONOTONIC, which OVS_FLOW_ATTR_USED is in."""
    return monotonic_ns() // 1_000_000


def _nobody(dp_ifindex: int, upcall: Upcall) -> bool:
    return False


def _raise(datapath: Datapath) -> None:
    raise


class Switch:
    """All datapaths, in the order in which they were made.

    ports: what opens them. cpu_count: how many PIDs an array for the CPUs may have. clock: tells
    milliseconds of CLOCK_MONOTONIC. send_upcall: where upcalls go; set it before packets come.
    on_failure: called while an exception is handled that a packet has met, which is a bug; what it
    raises ends the batch that the packet came in, so who serves ports sets one that tells it.
    """

    def __init__(
        self,
        ports: PortProvider,
        cpu_count: int = 1,
        clock: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.ports = ports
        self.cpu_count = cpu_count
        self.clock = clock
        self.send_upcall: UpcallSink = _nobody
        self.on_failure: Callable[[Datapath], None] = _raise
        self.ct_limits = ConntrackLimits()
        self._by_index: dict[int, Datapath] = {}
        self._ports_by_name: dict[str, Port] = {}

    def __iter__(self) -> Iterator[Datapath]:
        """The datapaths in order of creation; a copy, so they may come and go meanwhile."""
        return iter(list(self._by_index.values()))

    def __len__(self) -> int:
        return len(self._by_index)

    def lookup(self, index: int) -> Datapath | None:
        """The datapath with this index."""
        return self._by_index.get(index)

    def lookup_name(self, name: str) -> Datapath | None:
        """The datapath with this name; the name of another port than a local one is none."""
        port = self._ports_by_name.get(name)
        return self._by_index.get(port.dp_ifindex) if port and port.number == OVSP_LOCAL else None

    def lookup_port(self, name: str) -> Port | None:
        """The port with this name, of whatever datapath."""
        return self._ports_by_name.get(name)

    def default(self) -> Datapath | None:
        """The oldest datapath: what index 0 means where a command needs some datapath."""
        return next(iter(self._by_index.values()), None)

    def add(
        self,
        name: str,
        index: int = 0,
        upcall_pids: tuple[int, ...] = (0,),
        settings: Settings | None = None,
    ) -> Datapath:
        """Make a datapath and its local port; `index` 0 lets the interface choose one.

        Raises what PortProvider.open raises: EEXIST for a name, EBUSY for an index in use.
        """
        local = self._open(PortSpec(PORT_TYPE_INTERNAL, name, ifindex=index))
        if local.ifindex in self._by_index:  # of a datapath whose interface is in another namespace
            local.close()
            raise DatapathError(EBUSY, f"interface index {local.ifindex} is in use")
        datapath = Datapath(local, self, settings)
        self._by_index[datapath.index] = datapath
        self._attach(datapath, local, OVSP_LOCAL, upcall_pids)
        return datapath

    def remove(self, datapath: Datapath) -> None:
        """Remove a datapath and all its ports; ENODEV where it is not in this switch."""
        if self._by_index.get(datapath.index) is not datapath:
            raise DatapathError(ENODEV, f"datapath {datapath.name!r} is gone already")
        self.ports.close_ports(self._take_out(datapath))

    def add_port(
        self, datapath: Datapath, spec: PortSpec, number: int, upcall_pids: tuple[int, ...]
    ) -> Port:
        """Make a port; number 0 lets the datapath choose one.

        Raises EBUSY for a number in use, EFBIG where there is none left, EEXIST for an interface
        that is a port of this datapath already, and what PortProvider.open raises.
        """
        number = datapath.free_number(number)
        there = self._ports_by_name.get(spec.name)
        if there is not None and spec.type != PORT_TYPE_INTERNAL:
            # As the kernel: an internal device cannot be taken as another kind of port, and a
            # device has one master.
            if there.type == PORT_TYPE_INTERNAL:
                raise DatapathError(EINVAL, f"{spec.name!r} is an internal port")
            errno = EEXIST if there.dp_ifindex == datapath.index else EBUSY
            raise DatapathError(errno, f"{spec.name!r} is a port already")
        port = self._open(spec)
        if self._by_index.get(datapath.index) is not datapath:
            # Its local port's interface was gone, which the provider has only just heard.
            port.close()
            raise DatapathError(ENODEV, f"datapath {datapath.name!r} is gone")
        self._attach(datapath, port, number, upcall_pids)
        return port

    def remove_port(self, port: Port) -> None:
        """Remove a port that is not a local one."""
        self._detach(self._by_index[port.dp_ifindex], port)
        port.close()

    def rename_port(self, port: Port, name: str) -> None:
        """Follow an interface that was given another name."""
        if self._ports_by_name.get(port.name) is port:
            del self._ports_by_name[port.name]
        port.name = name
        self._ports_by_name[name] = port

    def close(self) -> None:
        """Remove all datapaths; the daemon ends."""
        self.ports.close_ports([port for datapath in self for port in self._take_out(datapath)])

    def _open(self, spec: PortSpec) -> Port:
        """A port from the provider; EEXIST where its name is that of another port of ours.

        The provider sees the interfaces of its namespace, and a port may have gone to another.
        """
        port = self.ports.open(spec)
        if port.name in self._ports_by_name:
            port.close()
            raise DatapathError(EEXIST, f"a port named {port.name!r} exists already")
        return port

    def _take_out(self, datapath: Datapath) -> list[Port]:
        """Forget a datapath; returns its ports, the local one last: they are still to be closed."""
        ports = sorted(datapath.ports.values(), key=lambda port: port.number == OVSP_LOCAL)
        for port in ports:
            self._detach(datapath, port)
        del self._by_index[datapath.index]
        datapath.flush_flows()
        return ports

    def _attach(
        self, datapath: Datapath, port: Port, number: int, upcall_pids: tuple[int, ...]
    ) -> None:
        port.upcall_pids = upcall_pids
        self._ports_by_name[port.name] = port
        datapath.attach(port, number)

    def _detach(self, datapath: Datapath, port: Port) -> None:
        datapath.detach(port)
        if self._ports_by_name.get(port.name) is port:
            del self._ports_by_name[port.name]
