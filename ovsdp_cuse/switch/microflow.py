"""A cache in front of extraction and look-up, for the packets that most traffic is made of.

Packets of a connection differ in lengths, sequence numbers and checksums, and in nothing that a key
has. So the bytes that a key has are looked up as they are; what is found is the key and the flow of
the packet before. Only IPv4 with TCP or UDP comes here, without tags, options and fragments: those
frames whose bytes lie at fixed places. All else goes the long way, and so does every packet whose
bytes are new.

An entry holds as long as its flow is in the table. A flow that is put later and overlaps changes
nothing: of flows that overlap, any may be found.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ovsdp_cuse.switch.flow_table import Flow
from ovsdp_cuse.switch.packet import VNET_HEADER_SIZE, Packet
from ovsdp_cuse.switch.protocols import ETHERNET_SIZE, IPPROTO_TCP, IPPROTO_UDP, IPV4_SIZE

LIMIT: Final = 65536
"""Entries of all ports of a datapath, about 400 bytes each. Where more come, all start afresh: to
find those that are used least costs more than to learn the others again."""

_UDP: Final = struct.Struct(">16s4x4s2x12s").unpack_from
"""Ethernet, version and header length, TOS; not length and identification; fragment, TTL, protocol;
not the checksum; addresses and ports."""
_TCP: Final = struct.Struct(">16s4x4s2x12s8x2s").unpack_from
"""The same; not the sequence numbers; data offset and flags."""

_TRANSPORT: Final = ETHERNET_SIZE + IPV4_SIZE
_SHORTEST: Final = _TRANSPORT + 20
_PROTOCOL: Final = ETHERNET_SIZE + 9
_DATA_OFFSET: Final = _TRANSPORT + 12
_GSO_TYPE_BEFORE: Final = VNET_HEADER_SIZE - 1
_IPV4_WITHOUT_OPTIONS: Final = b"\x08\x00\x45"
_FRAGMENT: Final = 0x3FFF
"""More fragments, and the offset."""


@dataclass(slots=True, eq=False)
class Microflow:
    """What is known of packets with the same bytes; `size`: how long they are at least.

    packets, bytes: what took the shortcut and is not counted in `flow` yet.
    """

    flow: Flow
    key: int
    size: int
    packets: int = 0
    bytes: int = 0


class Microflows:
    """The caches of a datapath's ports, which share one limit."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._caches: dict[int, MicroflowCache] = {}
        self._count = 0

    def add(self, port: int) -> MicroflowCache:
        """A cache for a port, by number."""
        cache = self._caches[port] = MicroflowCache(self.make_room)
        return cache

    def remove(self, port: int) -> None:
        """Forget the cache of a port."""
        del self._caches[port]

    def peek(self, port: int, packet: Packet) -> Flow | None:
        """What the cache of a port knows of a packet, which stays as it is."""
        entry = self._caches[port].lookup(packet.buffer, packet.start, packet.end - packet.start)
        return None if entry is None else entry.flow

    def clear(self) -> None:
        """Forget all entries, which may keep flows that are gone alive."""
        for cache in self._caches.values():
            cache.clear()
        self._count = 0

    def make_room(self) -> None:
        """Called before an entry is made."""
        if self._count >= self._limit:
            self.clear()
        self._count += 1


class MicroflowCache:
    """The cache of one port: all its packets have the same metadata."""

    __slots__ = ("_entries", "_get", "_make_room", "clear")

    def __init__(self, make_room: Callable[[], None]) -> None:
        self._entries: dict[tuple[bytes, ...], Microflow] = {}
        self._get = self._entries.get
        self._make_room = make_room
        self.clear = self._entries.clear

    def find(self, packet: Packet) -> Flow | None:
        """The flow of a packet like this one, whose key and offsets are set then."""
        start = packet.start
        entry = self.lookup(packet.buffer, start, packet.end - start)
        if entry is None:
            return None
        packet.key = entry.key
        packet.network = ETHERNET_SIZE
        packet.transport = _TRANSPORT
        return entry.flow

    def lookup(self, buffer: bytearray | memoryview, start: int, size: int) -> Microflow | None:
        """What is known of frames like this one."""
        if size < _SHORTEST:
            return None
        protocol = buffer[start + _PROTOCOL]
        if protocol == IPPROTO_TCP:
            entry = self._get(_TCP(buffer, start))
        elif protocol == IPPROTO_UDP and not buffer[start - _GSO_TYPE_BEFORE]:
            entry = self._get(_UDP(buffer, start))
        else:
            return None
        if entry is None or size < entry.size or entry.flow.place < 0:
            return None
        return entry

    def remember(self, packet: Packet, flow: Flow) -> None:
        """Keep what was found for a packet, if it is one of those that `find` looks for."""
        buffer, start = packet.buffer, packet.start
        size = packet.end - start
        if size < _SHORTEST or bytes(buffer[start + 12 : start + 15]) != _IPV4_WITHOUT_OPTIONS:
            return
        if int.from_bytes(buffer[start + 20 : start + 22], "big") & _FRAGMENT:
            return
        protocol = buffer[start + _PROTOCOL]
        shortest = _SHORTEST
        if protocol == IPPROTO_TCP:
            words = buffer[start + _DATA_OFFSET] >> 4
            shortest = _TRANSPORT + 4 * words
            if words < 5 or size < shortest:
                return
            seen: tuple[bytes, ...] = _TCP(buffer, start)
        elif protocol == IPPROTO_UDP and not buffer[start - _GSO_TYPE_BEFORE]:
            seen = _UDP(buffer, start)
        else:
            return
        self._make_room()
        self._entries[seen] = Microflow(flow, packet.key, shortest)
