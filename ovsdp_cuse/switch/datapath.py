"""One datapath: ports, flows and meters, and the way of a packet through them.

    port.receive -> extract the key -> look the flow up -> run its program, or send a MISS upcall

A program sends packets through ports, to userspace, or back here with another recirculation id.
Packets like one that came before go past extraction and look-up (microflow.py), and where they are
only sent on, past all of it (shortcut.py).
Every packet that goes nowhere is counted in `drops`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import EBUSY, EFBIG, EINVAL
from random import Random
from typing import TYPE_CHECKING, NewType
from weakref import WeakValueDictionary

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.actions import Action, Output
from ovsdp_cuse.switch.drops import DropReason, Drops
from ovsdp_cuse.switch.execution import Execution, Failed
from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.flow_hash import flow_hash
from ovsdp_cuse.switch.flow_table import (
    CACHE_SIZE_DEFAULT,
    NO_OUTPUT,
    Flow,
    FlowActions,
    FlowTable,
)
from ovsdp_cuse.switch.key import IN_PORT, MAC_PROTO, PRIORITY, SKB_MARK, TCP_FLAGS
from ovsdp_cuse.switch.meter import MeterTable
from ovsdp_cuse.switch.microflow import Microflow, MicroflowCache, Microflows
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import PORT_NO_MAXIMUM, Port, PortNo
from ovsdp_cuse.switch.program import compile_actions, execute_actions
from ovsdp_cuse.switch.shortcut import count, make_shortcut
from ovsdp_cuse.switch.upcall import Upcall
from ovsdp_cuse.switch.upcall_dispatch import UpcallDispatch

if TYPE_CHECKING:
    from ovsdp_cuse.switch.switch import Switch

DpIfindex = NewType("DpIfindex", int)
Pid = NewType("Pid", int)

_TCP_FLAGS = TCP_FLAGS.ones
_TCP_FLAGS_SHIFT = TCP_FLAGS.shift


@dataclass(slots=True)
class Counters:
    """What has happened to packets since the datapath was made: numbers of packets."""

    hit: int = 0
    missed: int = 0
    lost: int = 0


@dataclass(slots=True)
class Settings:
    """What a client may choose of a datapath.

    user_features: OVS_DP_F_* bits. masks_cache_size: entries, a power of two, or 0 for no cache.
    per_cpu_pids: one PID for each CPU, () where none were given.
    """

    user_features: int = 0
    masks_cache_size: int = CACHE_SIZE_DEFAULT
    per_cpu_pids: tuple[Pid, ...] = ()


def validate_masks_cache_size(size: int) -> None:
    """Raise EINVAL unless `size` is 0 or a power of two."""
    if size & (size - 1):
        raise DatapathError(EINVAL, f"a mask cache has a power of two entries, or 0, not {size}")


class Datapath:
    """One datapath; `local` is its port 0, whose name and interface index are the datapath's."""

    def __init__(self, local: Port, switch: Switch, settings: Settings | None = None) -> None:
        self.index = DpIfindex(local.ifindex)
        self.local = local
        self.settings = settings or Settings()
        self.counters = Counters()
        self.drops = Drops()
        self.execution = Execution(self.drops)
        self.random = Random()
        self.ports: dict[int, Port] = {}
        self.flows = FlowTable(self.settings.masks_cache_size)
        self.meters = MeterTable()
        self.now_ms = switch.clock()
        self.upcalls = UpcallDispatch(self, switch)
        self.send_upcall = self.upcalls.send
        self._switch = switch
        self._queued: dict[Port, None] = {}
        self._microflows = Microflows()
        self._uncounted: list[Microflow] = []
        self._compiled: WeakValueDictionary[tuple[Action, ...], FlowActions] = WeakValueDictionary()
        self._first_free = 1

    @property
    def name(self) -> str:
        """The name of the local port."""
        return self.local.name

    def free_number(self, wanted: int) -> int:
        """`wanted`, or the lowest free port number where that is 0; EBUSY or EFBIG."""
        if wanted:
            if wanted in self.ports:
                raise DatapathError(EBUSY, f"port {wanted} is there already")
            return wanted
        number = self._first_free
        while number in self.ports:
            number += 1
        if number >= PORT_NO_MAXIMUM:
            raise DatapathError(EFBIG, f"all {PORT_NO_MAXIMUM} port numbers are in use")
        self._first_free = number
        return number

    def attach(self, port: Port, number: int) -> None:
        """Take a port, which may receive from now on."""
        port.number = PortNo(number)
        port.dp_ifindex = self.index
        self.ports[number] = port
        cache = self._microflows.add(number)
        port.forward = make_shortcut(cache, self.ports, self._queued, self._uncounted)
        port.receive = self._receiver(port, cache)
        port.received = self.flush

    def detach(self, port: Port) -> None:
        """Let go of a port: what is queued is sent, what the port receives is ignored.

        It may be the one whose batch it is, and would not come to the batch's end.
        """
        self.flush()
        del self.ports[port.number]
        self._microflows.remove(port.number)
        self._first_free = min(self._first_free, max(port.number, 1))
        port.detached()

    def process(self, packet: Packet) -> None:
        """Look a packet up by its key and do what the flow says; a miss is told to userspace.

        Programs call this again for recirculation.
        """
        flow = self._lookup(packet)
        if flow is not None:
            self._hit(flow, packet)

    def remembered(self, port: int, packet: Packet) -> Flow | None:
        """The flow that packets like this one, received by a port, go to without a look-up.

        Nothing is counted or changed. The packet lies in memory as a port's does.
        """
        return self._microflows.peek(port, packet)

    def transmit(self, port: Port, packet: Packet) -> None:
        """Give a packet to a port, which may queue it until the batch ends."""
        if port.transmit(packet):
            self._queued[port] = None

    def flush(self) -> None:
        """End a batch: count what took the shortcut, and send what the ports have queued."""
        if self._uncounted:
            self.counters.hit += count(self._uncounted, self.flows, self._switch.clock())
        if self._queued:
            queued = list(self._queued)
            self._queued.clear()
            for port in queued:
                try:
                    port.flush()
                except Exception:  # the others' packets lie in memory that is used again
                    self._switch.on_failure(self)

    def compile(self, actions: Sequence[Action], wire: bytes) -> FlowActions:
        """What a flow of this datapath does; `wire` is the list as a dump shows it.

        Many flows do the same, and share it.
        """
        key = tuple(actions)
        compiled = self._compiled.get(key)
        if compiled is None or compiled.wire != wire:
            output = key[0].port if len(key) == 1 and isinstance(key[0], Output) else NO_OUTPUT
            compiled = FlowActions(key, wire, compile_actions(key, self), output)
            self._compiled[key] = compiled
        return compiled

    def flush_flows(self) -> None:
        """Remove all flows, and forget what is remembered of them."""
        self.flows.flush()
        self._microflows.clear()

    def execute(self, packet: Packet, actions: Sequence[Action]) -> None:
        """Run actions on a packet that userspace sent, whose key has been extracted.

        Raises DatapathError with Linux's errno where an action fails; the others have been run.
        """
        self.now_ms = self._switch.clock()
        try:
            execute_actions(actions, self, packet)
        except Failed as failure:
            raise DatapathError(
                failure.errno, "an action cannot be applied to the packet"
            ) from None
        finally:
            self.flush()

    def _lookup(self, packet: Packet) -> Flow | None:
        """The flow of a packet; a miss is told to userspace."""
        if packet.hash is not None:
            flow_hash(packet)  # a look-up makes one, where userspace gave none
        key = packet.key
        flow = self.flows.lookup(key, hash(key))
        if flow is None:
            self._miss(packet)
        return flow

    def _hit(self, flow: Flow, packet: Packet) -> None:
        self.counters.hit += 1
        flow.packets += 1
        flow.bytes += packet.end - packet.start
        flow.used_ms = self.now_ms
        flow.tcp_flags |= (packet.key & _TCP_FLAGS) >> _TCP_FLAGS_SHIFT
        flow.actions.program(packet)

    def _receiver(self, port: Port, cache: MicroflowCache) -> Callable[[Packet], None]:
        """What a port calls with a packet. It is on the way of each: everything is looked up."""
        ethernet = IN_PORT.place(port.number) | MAC_PROTO.place(1)
        clock = self._switch.clock
        flows, drops = self.flows, self.drops
        lookup, hit = self._lookup, self._hit
        find, remember = cache.find, cache.remember
        priority, mark = PRIORITY.shift, SKB_MARK.shift

        def receive(packet: Packet) -> None:
            # Others' packets are in the same batch, in the same memory: it must come to its end.
            try:
                self.now_ms = clock()
                if not (packet.priority or packet.mark):
                    flow = find(packet)
                    if flow is not None:
                        # As much as a hit of the mask cache is, and counted as one if there is one.
                        flows.mask_hit += 1
                        if flows.cache_size:
                            flows.cache_hits += 1
                        flow.mask.hits += 1
                        hit(flow, packet)
                        return
                metadata = ethernet | packet.priority << priority | packet.mark << mark
                if not extract(packet, metadata):
                    drops[DropReason.MALFORMED] += 1
                    return
                flow = lookup(packet)
                if flow is not None:
                    if metadata == ethernet:
                        remember(packet, flow)
                    hit(flow, packet)
            except Exception:
                drops[DropReason.FAILURE] += 1
                self._switch.on_failure(self)

        return receive

    def _miss(self, packet: Packet) -> None:
        self.counters.missed += 1
        packet.cut = 0  # trunc is for outputs and userspace actions
        if not self.send_upcall(Upcall(True, packet, 0)):
            self.drops[DropReason.UPCALL_LOST] += 1
