"""What programs need of a datapath, and of whoever stands for one in a test."""

from __future__ import annotations

from random import Random
from typing import Protocol

from ovsdp_cuse.switch.drops import Drops
from ovsdp_cuse.switch.execution import Execution
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import Port
from ovsdp_cuse.switch.upcall import Upcall


class Sender(Protocol):
    """What output needs of a switchboard."""

    @property
    def ports(self) -> dict[int, Port]:
        """The ports by number; the same dict for ever."""

    @property
    def drops(self) -> Drops:
        """Where drops are counted; the same Counter for ever."""

    def transmit(self, port: Port, packet: Packet) -> None:
        """Give a packet to a port, and flush the port at the end of the batch."""


class Meters(Protocol):
    """What programs need of a meter table."""

    def apply(self, meter_id: int, length: int, now_ms: int, /) -> bool:
        """Whether to drop a packet of `length` bytes; a meter that there is not drops nothing."""


class Switchboard(Sender, Protocol):
    """What programs need of a datapath, beside ports, drops and `transmit`."""

    @property
    def meters(self) -> Meters:
        """The meters; the same object for ever."""

    @property
    def execution(self) -> Execution:
        """Made with the datapath's drops, kept as long as it."""

    @property
    def random(self) -> Random:
        """What decides about samples."""

    @property
    def now_ms(self) -> int:
        """The time, in milliseconds of CLOCK_MONOTONIC; read when a packet meets a meter."""

    def send_upcall(self, upcall: Upcall) -> bool:
        """Send an upcall; False where nobody gets it, which is counted here as UPCALL_LOST.

        It has done with the packet when it returns. `packet.cut`, if not 0, says how many bytes of
        the frame the upcall has at most. `packet.key` goes out as it is, even if it is not valid.
        """

    def process(self, packet: Packet) -> None:
        """Look a packet up by its key, and run the flow's program or send a MISS upcall.

        The packet belongs to it. Its recirc_id says that it comes from a program.
        """
