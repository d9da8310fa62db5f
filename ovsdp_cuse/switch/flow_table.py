"""The flow table: tuple space search.

Flows that have the same mask lie in one dict, by their masked key. So a look-up costs one masking
and one hash for each mask, however many flows there are. Two things make it look at few masks, as
flow_table.c of net/openvswitch does: masks that hit often come first (`rebalance`), and a cache
remembers by a hash of the packet which one hit last. Ours remembers the flow.

Who sends packets has a say in what the keys of flows are. The hash of an integer is no secret, so
flows could be made that all collide; the hash of bytes is seeded anew in each process. Hence the
masked keys are bytes in these dicts.

A dump reads the table over a long time. So flows also have a place in a list, which they keep until
they are removed: who walks over the places needs no copy, meets every flow that is there all the
time exactly once, and keeps none alive that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ovsdp_cuse.switch.actions import Action
from ovsdp_cuse.switch.packet import Packet

CACHE_SIZE_DEFAULT = 256
"""MC_DEFAULT_HASH_ENTRIES of net/openvswitch/flow_table.c."""


NO_OUTPUT = -1
"""A number that no port has."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class FlowActions:
    """What is done to a packet; flows with equal actions may share one.

    wire: the list as a dump shows it (the payload of OVS_FLOW_ATTR_ACTIONS). program: runs it.
    output: the port's number where the list is one output and nothing else, else NO_OUTPUT.
    """

    actions: tuple[Action, ...]
    wire: bytes
    program: Callable[[Packet], None]
    output: int = NO_OUTPUT


@dataclass(slots=True, eq=False)
class Mask:
    """A mask and the flows that have it.

    bits: in the layout of the key. size: bytes of a masked key. flows: by masked key. hits:
    look-ups that ended here since the masks were put in order. wire: OVS_FLOW_ATTR_MASK of the flow
    that came last, because most flows of a mask have the same and may share it.
    """

    bits: int
    size: int
    flows: dict[bytes, Flow] = field(default_factory=dict)
    hits: int = 0
    wire: bytes = b""

    def lookup(self, key: int) -> Flow | None:
        """The flow of this mask that matches a key."""
        return self.flows.get((key & self.bits).to_bytes(self.size, "little"))


@dataclass(slots=True, eq=False, weakref_slot=True)
class Flow:
    """One flow.

    key: masked. unmasked_key: as the client gave it, for a flow without UFID, which it identifies;
    else None. packets, bytes: that matched. used_ms: when the last one did, in milliseconds of
    CLOCK_MONOTONIC, 0 for never. tcp_flags: all that were seen. wire_key, wire_mask: the payloads
    of OVS_FLOW_ATTR_KEY and _MASK, kept for dumps; the switch does not read them. place: where it
    is in its table, -1 outside.
    """

    key: int
    mask: Mask
    actions: FlowActions
    ufid: bytes | None = None
    unmasked_key: int | None = None
    wire_key: bytes = b""
    wire_mask: bytes = b""
    packets: int = 0
    bytes: int = 0
    used_ms: int = 0
    tcp_flags: int = 0
    place: int = -1


class FlowTable:
    """The flows of a datapath, by masked key, by UFID, and in an order for dumps.

    mask_hit: masks that `lookup` looked at. cache_hits: look-ups that the cache answered. Both as
    struct ovs_dp_megaflow_stats counts them.
    """

    def __init__(self, cache_size: int = CACHE_SIZE_DEFAULT) -> None:
        self.mask_hit = 0
        self.cache_hits = 0
        self._cache_size = cache_size
        self._clear()

    def _clear(self) -> None:
        self._masks: list[Mask] = []
        """In the order in which they are looked at."""
        self._masks_by_bits: dict[int, Mask] = {}
        self._by_ufid: dict[bytes, Flow] = {}
        self._places: list[Flow | None] = []
        self._free: list[int] = []
        self._clear_cache()

    def __len__(self) -> int:
        return len(self._places) - len(self._free)

    @property
    def mask_count(self) -> int:
        """How many masks there are; a mask without flows is none."""
        return len(self._masks)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """The masks, in the order in which they are looked at."""
        return tuple(self._masks)

    def __iter__(self) -> Iterator[Flow]:
        """The flows; they may come and go meanwhile, see the top of this module.

        A flow that is put meanwhile may be met or not, and after `flush` nothing more comes.
        """
        places = self._places
        place = 0
        while place < len(places):
            flow = places[place]
            place += 1
            if flow is not None:
                yield flow

    # Look-ups ----------------------------------------------------------------------------------

    def lookup(self, key: int, packet_hash: int) -> Flow | None:
        """A flow that matches a packet's key; of several that overlap, any.

        packet_hash: a number that packets which are alike share, such as the hash of the key;
        the cache is looked at under it.
        """
        cache = self._cache
        slot = packet_hash % len(cache)
        flow = cache[slot]
        if flow is not None and key & flow.mask.bits == flow.key and flow.place >= 0:
            self.mask_hit += 1
            self.cache_hits += 1
            flow.mask.hits += 1
            return flow
        visited = 0
        for mask in self._masks:
            visited += 1
            # Written out, for this is on the way of every packet.
            flow = mask.flows.get((key & mask.bits).to_bytes(mask.size, "little"))
            if flow is not None:
                self.mask_hit += visited
                mask.hits += 1
                if self._cache_size:
                    cache[slot] = flow
                return flow
        self.mask_hit += visited
        return None

    def remembered(self, key: int, packet_hash: int) -> Flow | None:
        """What the cache alone would answer to `lookup`; nothing is counted."""
        flow = self._cache[packet_hash % len(self._cache)]
        if flow is not None and key & flow.mask.bits == flow.key and flow.place >= 0:
            return flow
        return None

    def lookup_any(self, key: int) -> Flow | None:
        """A flow that matches a key, for requests: no statistics, no cache."""
        for mask in self._masks:
            flow = mask.lookup(key)
            if flow is not None:
                return flow
        return None

    def lookup_unmasked(self, key: int) -> Flow | None:
        """The flow without UFID that was put with exactly this key, whatever its mask."""
        for mask in self._masks:
            flow = mask.lookup(key)
            if flow is not None and flow.unmasked_key == key:
                return flow
        return None

    def lookup_exact(self, key: int, bits: int) -> Flow | None:
        """The flow that has this mask, and this key under it."""
        mask = self._masks_by_bits.get(bits)
        return None if mask is None else mask.lookup(key)

    def lookup_ufid(self, ufid: bytes) -> Flow | None:
        """The flow with this UFID."""
        return self._by_ufid.get(ufid)

    # Changes -----------------------------------------------------------------------------------

    def insert(
        self,
        key: int,
        bits: int,
        actions: FlowActions,
        ufid: bytes | None = None,
        wire_key: bytes = b"",
        wire_mask: bytes = b"",
    ) -> Flow:
        """Put a flow; `key` is the unmasked one, which a flow without UFID keeps.

        ValueError where one with this mask and masked key, or with this UFID, is there: who puts
        flows looks for them before.
        """
        if self.lookup_exact(key, bits) is not None:
            raise ValueError("a flow with this mask and key is there already")
        if ufid is not None and ufid in self._by_ufid:
            raise ValueError(f"a flow with the UFID {ufid.hex()} is there already")
        mask = self._masks_by_bits.get(bits)
        if mask is None:
            mask = Mask(bits, (bits.bit_length() + 7) // 8)
            self._masks.append(mask)
            self._masks_by_bits[bits] = mask
            self._forget_hits()
        if wire_mask == mask.wire:
            wire_mask = mask.wire
        else:
            mask.wire = wire_mask
        masked = key & bits
        flow = Flow(masked, mask, actions, ufid, None, wire_key, wire_mask)
        mask.flows[masked.to_bytes(mask.size, "little")] = flow
        if ufid is not None:
            self._by_ufid[ufid] = flow
        else:
            flow.unmasked_key = masked if key == masked else key
        if self._free:
            flow.place = self._free.pop()
            self._places[flow.place] = flow
        else:
            flow.place = len(self._places)
            self._places.append(flow)
        return flow

    def remove(self, flow: Flow) -> None:
        """Take a flow out; ValueError where it is not in this table."""
        place = flow.place
        if not 0 <= place < len(self._places) or self._places[place] is not flow:
            raise ValueError("the flow is not in this table")
        mask = flow.mask
        del mask.flows[flow.key.to_bytes(mask.size, "little")]
        if flow.ufid is not None:
            del self._by_ufid[flow.ufid]
        self._places[place] = None
        self._free.append(place)
        flow.place = -1
        if not mask.flows:
            self._remove_mask(mask)

    def flush(self) -> None:
        """Take all flows out."""
        for flow in self:
            flow.place = -1
        for mask in self._masks:
            mask.flows.clear()  # they name the mask: nobody would find that they are free
        self._places.clear()  # a dump that goes on finds the end
        self._clear()

    def rebalance(self) -> None:
        """Put the masks that hit most since the last time first; to be called every few seconds."""
        self._masks.sort(key=lambda mask: mask.hits, reverse=True)
        self._forget_hits()

    @property
    def cache_size(self) -> int:
        """How many flows the cache remembers, 0 for no cache."""
        return self._cache_size

    def resize_cache(self, size: int) -> None:
        """Give the cache room for `size` flows; it starts afresh where that is a change."""
        if size != self._cache_size:
            self._cache_size = size
            self._clear_cache()

    def _clear_cache(self) -> None:
        # An odd number, so that all bits of the hash have a say in the slot.
        self._cache: list[Flow | None] = [None] * (self._cache_size | 1)

    def _remove_mask(self, mask: Mask) -> None:
        del self._masks_by_bits[mask.bits]
        self._masks.remove(mask)
        self._forget_hits()

    def _forget_hits(self) -> None:
        """Every mask gets a fair chance to come first next time."""
        for mask in self._masks:
            mask.hits = 0
