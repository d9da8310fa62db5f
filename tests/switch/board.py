"""A switchboard that does nothing but write down what programs ask of it."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from ovsdp_cuse.switch.actions import Action
from ovsdp_cuse.switch.drops import DropReason, Drops
from ovsdp_cuse.switch.edits import make_edit
from ovsdp_cuse.switch.execution import Execution
from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import IN_PORT, MAC_PROTO, RECIRC_ID
from ovsdp_cuse.switch.packet import Offload, Packet
from ovsdp_cuse.switch.port import Port
from ovsdp_cuse.switch.program import Program, compile_actions
from ovsdp_cuse.switch.upcall import Upcall


class Event(NamedTuple):
    """What happened: a frame was sent, went up, or came back to be looked up.

    where: the port, the PID, or the recirculation id. cut: what an upcall was cut to.
    """

    what: str
    where: int
    frame: bytes
    key: int = 0
    cut: int = 0


class RecordingPort(Port):
    """Keeps what it is given in the packet's memory, as ports do, until it is asked."""

    type = 1

    def __init__(
        self, number: int, events: list[tuple[Event, Packet | None]], mtu: int = 1500
    ) -> None:
        super().__init__(f"p{number}", number)
        self.mtu = mtu
        self._where = number
        self._events = events

    def transmit(self, packet: Packet) -> bool:
        """Hold the buffer."""
        packet.owned = False
        held = Packet(packet.buffer, packet.start, packet.end)
        self._events.append((Event("sent", self._where, packet.frame, packet.key), held))
        return True

    def close(self) -> None:
        """There is nothing to close."""


class Meters:
    """Drops what the test says, and writes down what it was asked."""

    def __init__(self) -> None:
        self.dropping: set[int] = set()
        self.asked: list[tuple[int, int, int]] = []

    def apply(self, meter_id: int, length: int, now_ms: int, /) -> bool:
        """As MeterTable.apply."""
        self.asked.append((meter_id, length, now_ms))
        return meter_id in self.dropping


class Board:
    """A Switchboard with ports 1 to 4. `flows` are programs by recirculation id."""

    def __init__(self) -> None:
        self.drops = Drops()
        self.execution = Execution(self.drops)
        self.random = Random(1)
        self.now_ms = 5000
        self.meters = Meters()
        self.flows: dict[int, Program] = {}
        self.upcalls: list[Upcall] = []
        self.loses_upcalls = False
        self._events: list[tuple[Event, Packet | None]] = []
        self.ports: dict[int, Port] = {n: RecordingPort(n, self._events) for n in range(1, 5)}

    def transmit(self, port: Port, packet: Packet) -> None:
        """As Datapath.transmit."""
        assert port.transmit(packet)

    def send_upcall(self, upcall: Upcall) -> bool:
        """Write the upcall down as it is now."""
        packet = upcall.packet
        self.upcalls.append(upcall)
        self._events.append(
            (Event("upcall", upcall.pid, packet.frame, packet.key, packet.cut), None)
        )
        return not self.loses_upcalls

    def process(self, packet: Packet) -> None:
        """Write the look-up down, and run the program of its recirc_id."""
        assert packet.key_valid
        where = RECIRC_ID.get(packet.key)
        self._events.append((Event("lookup", where, packet.frame, packet.key), None))
        program = self.flows.get(where)
        if program is not None:
            program(packet)

    @property
    def events(self) -> list[Event]:
        """What has happened; nobody may have written into the memory that ports hold."""
        for event, held in self._events:
            assert held is None or held.frame == event.frame
        return [event for event, _ in self._events]

    @property
    def order(self) -> list[tuple[str, int]]:
        """What has happened, without frames."""
        return [(event.what, event.where) for event, _ in self._events]

    @property
    def sent(self) -> list[tuple[int, bytes]]:
        """Ports and frames that were sent."""
        return [(event.where, event.frame) for event in self.events if event.what == "sent"]

    def run(self, packet: Packet, *actions: Action) -> Board:
        """Compile actions and run them."""
        compile_actions(actions, self)(packet)
        assert self.execution.level == 0
        return self

    def counts(self) -> dict[DropReason, int]:
        """Drops that are not zero."""
        return {reason: count for reason, count in self.drops.items() if count}


METADATA = MAC_PROTO.place(1) | IN_PORT.place(3)


def packet_if_any(
    frame: bytes, offload: Offload | None = None, metadata: int = METADATA
) -> Packet | None:
    """A packet with its key, in memory that is not its own: other bytes lie behind the frame.

    None where extraction refuses the frame.
    """
    packet = Packet.of(frame, offload)
    assert isinstance(packet.buffer, bytearray)
    packet.buffer += b"\xa5" * 64
    packet.owned = False
    return packet if extract(packet, metadata) else None


def packet_of(frame: bytes, offload: Offload | None = None, metadata: int = METADATA) -> Packet:
    """The same for a frame that extraction takes."""
    packet = packet_if_any(frame, offload, metadata)
    assert packet is not None
    return packet


def edited(packet: Packet, *actions: Action) -> Packet:
    """The packet after actions that all succeed, which are edits."""
    for action in actions:
        edit = make_edit(action)
        assert edit is not None
        edit(packet)
    return packet
