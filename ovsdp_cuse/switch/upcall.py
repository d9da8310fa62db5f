"""What the switch tells userspace of a packet: a miss, or a userspace action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ovsdp_cuse.switch.packet import Packet


@dataclass(slots=True)
class Upcall:
    """One upcall, before it is a message.

    is_miss: a packet that matched no flow; else a userspace action. packet: the whole packet, with
    its key; where it is segmented or lacks a checksum, that is put right before it is sent.
    pid: who gets it, 0 for nobody. userdata: OVS_USERSPACE_ATTR_USERDATA, None for none.
    actions: the flow's actions in their netlink form, where the action asked for them.
    egress_tunnel_port: the port whose tunnel key is wanted, None for none.
    """

    is_miss: bool
    packet: Packet
    pid: int
    userdata: bytes | None = None
    actions: bytes | None = None
    egress_tunnel_port: int | None = None


class UpcallSink(Protocol):
    """Where the switch's upcalls go."""

    def __call__(self, dp_ifindex: int, upcall: Upcall) -> bool:
        """Send an upcall; False where it is lost."""
