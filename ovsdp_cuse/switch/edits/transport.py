"""TCP, UDP, SCTP: set the ports. The packet is another flow's then, so it gets another hash.

As in Linux, nobody asks whether the packet is a later fragment, which has no ports: who installs
flows sees to that.
"""

from __future__ import annotations

from collections.abc import Callable

from ovsdp_cuse.switch.checksum import SCTP_CHECKSUM, crc32c_change, update
from ovsdp_cuse.switch.edits.link import writable
from ovsdp_cuse.switch.edits.sums import TCP_CHECKSUM, UDP_CHECKSUM, needs_checksum, transport
from ovsdp_cuse.switch.key import TP_DST, TP_SRC
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import SCTP_SIZE, TCP_SIZE, UDP_SIZE

_PORTS_SIZE = 4
_SOURCE, _DESTINATION = 0xFFFF0000, 0xFFFF
_KEEP_SRC, _KEEP_DST = ~TP_SRC.ones, ~TP_DST.ones


def _in_header(key: int) -> int:
    """The ports of a key (or mask) where they are in a header."""
    return TP_SRC.get(key) << 16 | TP_DST.get(key)


def _set_key(packet: Packet, ports: int, changed: int) -> None:
    """Write into the key those ports that have bits in `changed`."""
    key = packet.key
    if changed & _SOURCE:
        key = key & _KEEP_SRC | ports >> 16 << TP_SRC.shift
    if changed & _DESTINATION:
        key = key & _KEEP_DST | (ports & 0xFFFF) << TP_DST.shift
    packet.key = key


def set_tcp(value: int, mask: int) -> Callable[[Packet], None]:
    """Set TCP's ports."""
    new_ports, keep = _in_header(value & mask), ~_in_header(mask)

    def edit(packet: Packet) -> None:
        header = transport(packet)
        at = writable(packet, header + TCP_SIZE) + header
        buffer = packet.buffer
        old = int.from_bytes(buffer[at : at + _PORTS_SIZE], "big")
        new = old & keep | new_ports
        packet.hash = 0
        if new == old:
            return
        buffer[at : at + _PORTS_SIZE] = new.to_bytes(_PORTS_SIZE, "big")
        if not needs_checksum(packet):
            at += TCP_CHECKSUM
            check = update(buffer[at] << 8 | buffer[at + 1], old, new)
            buffer[at : at + 2] = check.to_bytes(2, "big")
        _set_key(packet, new, old ^ new)

    return edit


def set_udp(value: int, mask: int) -> Callable[[Packet], None]:
    """Set UDP's ports; a checksum of 0 means that there is none, so that 0 becomes 0xFFFF."""
    new_ports, keep = _in_header(value & mask), ~_in_header(mask)

    def edit(packet: Packet) -> None:
        header = transport(packet)
        at = writable(packet, header + UDP_SIZE) + header
        buffer = packet.buffer
        old = int.from_bytes(buffer[at : at + _PORTS_SIZE], "big")
        new = old & keep | new_ports
        packet.hash = 0
        buffer[at : at + _PORTS_SIZE] = new.to_bytes(_PORTS_SIZE, "big")
        at += UDP_CHECKSUM
        check = buffer[at] << 8 | buffer[at + 1]
        if not check or needs_checksum(packet):
            _set_key(packet, new, _SOURCE | _DESTINATION)
            return
        if new != old:
            check = update(check, old, new) or 0xFFFF
            buffer[at : at + 2] = check.to_bytes(2, "big")
            _set_key(packet, new, old ^ new)

    return edit


def set_sctp(value: int, mask: int) -> Callable[[Packet], None]:
    """Set SCTP's ports; the CRC32c keeps what was wrong with it. It covers all up to the end."""
    new_ports, keep = _in_header(value & mask), ~_in_header(mask)

    def edit(packet: Packet) -> None:
        header = transport(packet)
        at = writable(packet, header + SCTP_SIZE) + header
        buffer = packet.buffer
        old_bytes = bytes(buffer[at : at + _PORTS_SIZE])
        new = int.from_bytes(old_bytes, "big") & keep | new_ports
        new_bytes = new.to_bytes(_PORTS_SIZE, "big")
        if new_bytes != old_bytes:
            buffer[at : at + _PORTS_SIZE] = new_bytes
            check = at + SCTP_CHECKSUM
            change = crc32c_change(old_bytes, new_bytes, packet.end - at - _PORTS_SIZE)
            changed = int.from_bytes(buffer[check : check + 4], "little") ^ change
            buffer[check : check + 4] = changed.to_bytes(4, "little")
        packet.hash = 0
        _set_key(packet, new, _SOURCE | _DESTINATION)

    return edit
