"""A datapath of memory, what comes out of it, and frames to send through."""

from __future__ import annotations

from typing import Final, NamedTuple

from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from ovsdp_cuse.ports.memory import MemoryPort, MemoryPorts
from ovsdp_cuse.switch.actions import Action
from ovsdp_cuse.switch.datapath import Datapath, Settings
from ovsdp_cuse.switch.flow_table import Flow
from ovsdp_cuse.switch.key import IN_PORT, RECIRC_ID, TP_DST
from ovsdp_cuse.switch.packet import Offload, Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, Port, PortSpec
from ovsdp_cuse.switch.switch import Switch
from ovsdp_cuse.switch.upcall import Upcall

CPU_COUNT: Final = 2


class Told(NamedTuple):
    """An upcall."""

    is_miss: bool
    pid: int
    key: int
    frame: bytes
    cut: int


class Traffic:
    """A switch with the datapath "dp" and ports of memory: "p1" is number 1, and so on.

    now_ms: the time. told: upcalls. refused: PIDs whose upcalls get lost.
    """

    def __init__(self, ports: int = 3, cache_size: int = 256) -> None:
        self.now_ms = 1000
        self.switch = Switch(MemoryPorts(), CPU_COUNT, lambda: self.now_ms)
        self.switch.send_upcall = self._take
        self.told: list[Told] = []
        self.refused: set[int] = set()
        settings = Settings(masks_cache_size=cache_size)
        self.datapath: Datapath = self.switch.add("dp", 0, (100,), settings)
        for number in range(1, ports + 1):
            self.add_port(number)

    def add_port(self, number: int, *pids: int) -> MemoryPort:
        """A port with these PIDs, by default one of its own."""
        spec = PortSpec(PORT_TYPE_INTERNAL, f"p{number}")
        self.switch.add_port(self.datapath, spec, number, pids or (100 + number,))
        return self.port(number)

    def port(self, number: int) -> MemoryPort:
        """A port that is there."""
        port = self.datapath.ports[number]
        assert isinstance(port, MemoryPort)
        return port

    def put(self, key: int, mask: int, *actions: Action) -> Flow:
        """Put a flow."""
        return self.datapath.flows.insert(key, mask, self.datapath.compile(actions, b""))

    def for_port(self, number: int, *actions: Action) -> Flow:
        """Put a flow for all that comes in by a port; recirculated packets are others."""
        mask = IN_PORT.ones | RECIRC_ID.ones
        return self.put(IN_PORT.place(number), mask, *actions)

    def sent(self, number: int) -> list[bytes]:
        """The frames that a port has sent."""
        return [sent.frame for sent in self.port(number).sent]

    def drops(self) -> dict[str, int]:
        """Drops that are not zero, by the name of their reason."""
        return {reason.name: count for reason, count in self.datapath.drops.items() if count}

    def counters(self) -> tuple[int, int, int]:
        """hit, missed, lost."""
        counters = self.datapath.counters
        return counters.hit, counters.missed, counters.lost

    def survive_bugs(self) -> list[Datapath]:
        """Go on where a packet meets a bug, as a daemon does; returns where that was, each time."""
        failures: list[Datapath] = []
        self.switch.on_failure = failures.append
        return failures

    def _take(self, dp_ifindex: int, upcall: Upcall) -> bool:
        assert dp_ifindex == self.datapath.index
        if upcall.pid in self.refused:
            return False
        packet = upcall.packet
        assert not packet.has_offload, "an upcall's frame is complete"
        self.told.append(Told(upcall.is_miss, upcall.pid, packet.key, packet.frame, packet.cut))
        return True


def receive(port: Port, frame: bytes, offload: Offload | None = None) -> Packet:
    """A packet comes in, and its batch goes on."""
    packet = Packet.of(frame, offload)
    port.receive(packet)
    return packet


ETHER: Final = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4: Final = IP(src="192.0.2.1", dst="192.0.2.2")
UDP_FRAME: Final = bytes(ETHER / V4 / UDP(sport=1, dport=1) / bytes(30))
TCP_FRAME: Final = bytes(ETHER / V4 / TCP(sport=1, dport=1, flags="S") / bytes(30))


def frames(dport: int) -> list[bytes]:
    """Frames to a port, which differ in all that flows may ask for."""
    udp, tcp = UDP(sport=1, dport=dport), TCP(sport=1, dport=dport, flags="A")
    other = IP(src="192.0.2.9", dst="192.0.2.2", ttl=9)
    v6 = IPv6(src="fe80::1", dst="fe80::2")
    built = [
        V4 / udp / bytes(30),
        V4 / udp / bytes(100),
        V4 / udp,
        V4 / tcp / bytes(30),
        V4 / TCP(sport=1, dport=dport, flags="FA"),
        V4 / TCP(sport=1, dport=dport, options=[("NOP", None)] * 4),
        other / udp / bytes(30),
        other / tcp / bytes(30),
        IP(src="192.0.2.1", dst="192.0.2.2", options=[IPOption_NOP()] * 4) / udp,
        IP(src="192.0.2.1", dst="192.0.2.2", flags="MF") / udp / bytes(30),
        IP(src="192.0.2.1", dst="192.0.2.2", frag=5, proto=17) / bytes(30),
        v6 / udp / bytes(30),
        v6 / tcp / bytes(30),
        Dot1Q(vlan=5) / V4 / udp / bytes(30),
        ARP(op=dport),
    ]
    whole = [bytes(ETHER / layers) for layers in built]
    return [*whole, whole[3][:50], whole[0][:36], whole[0][:13], whole[1] + bytes(1500)]


def port_key(dport: int, recirculation: int = 0) -> tuple[int, int]:
    """Key and mask of what goes to a transport port."""
    return (
        TP_DST.place(dport) | RECIRC_ID.place(recirculation),
        TP_DST.ones | RECIRC_ID.ones,
    )
