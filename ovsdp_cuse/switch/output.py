"""Output: give a packet to a port, as do_output() and ovs_vport_send() do."""

from __future__ import annotations

from collections.abc import Callable

from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.edits.link import is_ethernet, is_tagged, length, link
from ovsdp_cuse.switch.offload import is_gso
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import Port
from ovsdp_cuse.switch.protocols import ETHERNET_SIZE, VLAN_SIZE, VLAN_TYPES
from ovsdp_cuse.switch.switchboard import Sender


def make_output(number: int, sender: Sender) -> Callable[[Packet], None]:
    """What sends a packet through a port, and leaves it as it was but for `owned`, `cut`.

    The packet may be used on: who writes to it copies what a port has queued. The rare cases are
    told apart by one condition: a packet that is cut, or was fragments, or has been changed so that
    its key does not tell what it begins with, has no Ethernet header, or is long.
    """
    lookup = sender.ports.get
    transmit = sender.transmit
    drops = sender.drops

    def output(packet: Packet) -> None:
        port = lookup(number)
        if port is None:
            packet.cut = 0
            drops[DropReason.NO_PORT] += 1
        elif (
            packet.end - packet.start > port.mtu + ETHERNET_SIZE
            or packet.cut
            or packet.mru
            or packet.link is not None
            or not packet.network
        ):
            reason = _send(sender, port, packet)
            if reason is not None:
                drops[reason] += 1
        else:
            transmit(port, packet)

    return output


def _send(sender: Sender, port: Port, packet: Packet) -> DropReason | None:
    """Send any packet; the reason where it is dropped. All ports have Ethernet (ARPHRD_ETHER)."""
    end, cut = packet.end, packet.cut
    packet.cut = 0
    if cut and cut < length(packet):
        tag = VLAN_SIZE if is_tagged(packet) else 0
        packet.end = packet.start + max(cut, ETHERNET_SIZE if is_ethernet(packet) else 0) + tag
    reason = _obstacle(port, packet)
    if reason is None:
        sender.transmit(port, packet)
    packet.end = end
    return reason


def _obstacle(port: Port, packet: Packet) -> DropReason | None:
    """Why a packet cannot leave through a port."""
    size = length(packet)
    if packet.mru and size > packet.mru + ETHERNET_SIZE:
        return DropReason.TOO_LONG
    if not is_ethernet(packet):
        return DropReason.ACTION_FAILED
    eth_type, tagged = link(packet)
    if not tagged and eth_type in VLAN_TYPES:
        size -= VLAN_SIZE
    if size - ETHERNET_SIZE > port.mtu and not is_gso(packet):
        return DropReason.TOO_LONG
    return None
