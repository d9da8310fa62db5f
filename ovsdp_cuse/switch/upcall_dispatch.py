"""Upcall dispatch: which PID an upcall goes to, in how many messages, and what is counted of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ovsdp_cuse.switch.flow_hash import flow_hash
from ovsdp_cuse.switch.key import IN_PORT
from ovsdp_cuse.switch.layers import OffloadError
from ovsdp_cuse.switch.offload import complete_checksum, is_gso, segments
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import Port
from ovsdp_cuse.switch.upcall import Upcall

if TYPE_CHECKING:
    from ovsdp_cuse.switch.datapath import Datapath
    from ovsdp_cuse.switch.switch import Switch

DISPATCH_UPCALL_PER_CPU = 1 << 3
"""OVS_DP_F_DISPATCH_UPCALL_PER_CPU of `Settings.user_features`."""


class UpcallDispatch:
    """Sends the upcalls of a datapath."""

    def __init__(self, datapath: Datapath, switch: Switch) -> None:
        self._datapath = datapath
        self._switch = switch

    def send(self, upcall: Upcall) -> bool:
        """Send an upcall to who is to have it; False, and counted as lost, where nobody has it.

        A packet that is still to be segmented becomes an upcall for each segment.
        """
        datapath = self._datapath
        port = self._port(upcall.packet)
        try:
            upcalls = self.prepare(upcall)
            sent = bool(upcalls) and all(map(self._send, upcalls))
        except OffloadError:
            sent = False
        if sent:
            port.upcall_successes += 1
        else:
            port.upcall_failures += 1
            datapath.counters.lost += 1
        return sent

    def prepare(self, upcall: Upcall) -> list[Upcall]:
        """What is to be sent of an upcall, which gets its PID; nothing where nobody is to have it.

        Nothing is sent or counted. Raises OffloadError where the frame cannot be finished.
        """
        packet = upcall.packet
        if self._datapath.settings.user_features & DISPATCH_UPCALL_PER_CPU:
            upcall.pid = self._cpu_pid(packet)
        elif upcall.is_miss:
            upcall.pid = _port_pid(self._port(packet), packet)
        return _complete(upcall) if upcall.pid else []

    def _port(self, packet: Packet) -> Port:
        datapath = self._datapath
        return datapath.ports.get(IN_PORT.get(packet.key)) or datapath.local

    def _send(self, upcall: Upcall) -> bool:
        return self._switch.send_upcall(self._datapath.index, upcall)

    def _cpu_pid(self, packet: Packet) -> int:
        """The PID of a CPU. There is one thread here, so the flow's hash stands for the CPU.

        It stays unknown to who has not asked for it: Linux does not compute one here.
        """
        pids = self._datapath.settings.per_cpu_pids
        if not pids:
            return 0
        known = packet.hash
        pid = pids[flow_hash(packet) % self._switch.cpu_count % len(pids)]
        packet.hash = known
        return pid


def _port_pid(port: Port, packet: Packet) -> int:
    """The PID for a miss: of several, the flow's hash decides (OVS_DP_F_VPORT_PIDS)."""
    pids = port.upcall_pids
    return pids[0] if len(pids) == 1 else pids[flow_hash(packet) % len(pids)]


def _complete(upcall: Upcall) -> list[Upcall]:
    """An upcall for each packet that it becomes, with every checksum in place."""
    packet = upcall.packet
    if not packet.has_offload:
        return [upcall]
    if is_gso(packet):
        return [replace(upcall, packet=segment) for segment in segments(packet)]
    packet = packet.clone()
    complete_checksum(packet)
    return [replace(upcall, packet=packet)]
