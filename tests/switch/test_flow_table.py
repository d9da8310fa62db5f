"""The flow table against one that is a list, and what it costs."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from ovsdp_cuse.switch.flow_table import Flow, FlowActions, FlowTable
from ovsdp_cuse.switch.key import ETH_TYPE, FIRST_PART, IN_PORT, IPV4_SRC, TP_DST, TP_SRC

ACTIONS = FlowActions((), b"\4\0\1\0", lambda packet: None)
OTHER_ACTIONS = FlowActions((), b"", lambda packet: None)
EXACT = (1 << 8 * FIRST_PART.size) - 1


def key_of(number: int, port: int = 1) -> int:
    """The key of a TCP packet, another one for each number below 2 ** 32."""
    macs = (b"\2\0\0\0\0\1", b"\2\0\0\0\0\2")
    addresses = (number.to_bytes(4, "big"), b"\x0a\1\2\3")
    tcp = (number & 0xFFFF, 80, 0x10)
    packed = FIRST_PART.pack(port, 0, 1, *macs, 0, 0, 0, 0, 0x800, 6, 0, 64, 0, *addresses, *tcp)
    return int.from_bytes(packed, "little")


def lookup(table: FlowTable, key: int) -> Flow | None:
    """The look-up of a packet."""
    return table.lookup(key, hash(key))


def ufid_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


# Against a list --------------------------------------------------------------------------------

PLACES = (
    IN_PORT.place(1),
    ETH_TYPE.place(0x800),
    IPV4_SRC.place(b"\x0a\0\0\0"),
    IPV4_SRC.place(b"\0\0\0\1"),
    TP_SRC.place(0x1234),
    TP_DST.place(1),
)
KEYS = st.sets(st.sampled_from(PLACES)).map(sum)
MASKS = st.sampled_from(
    (
        EXACT,
        IN_PORT.ones,
        IN_PORT.ones | ETH_TYPE.ones,
        ETH_TYPE.ones | IPV4_SRC.place(b"\xff\0\0\0"),
        TP_SRC.ones | TP_DST.ones,
        0,
    )
)


class AgainstAList(RuleBasedStateMachine):
    """Whatever is done to it, the table knows what a list of its flows knows."""

    flows = Bundle("flows")

    def __init__(self) -> None:
        super().__init__()
        self.table = FlowTable(4)
        self.there: list[Flow] = []
        self.dumps: list[tuple[Iterator[Flow], list[Flow], list[Flow]]] = []
        """A dump, what it must still show, and what it has shown."""

    @rule(target=flows, key=KEYS, bits=MASKS, ufid=st.none() | st.integers(0, 9).map(ufid_of))
    def insert(self, key: int, bits: int, ufid: bytes | None) -> Flow | None:
        same_key = any(f.mask.bits == bits and f.key == key & bits for f in self.there)
        same_ufid = ufid is not None and any(f.ufid == ufid for f in self.there)
        if same_key or same_ufid:
            with pytest.raises(ValueError, match="is there already"):
                self.table.insert(key, bits, ACTIONS, ufid)
            return None
        flow = self.table.insert(key, bits, ACTIONS, ufid)
        assert (flow.key, flow.mask.bits, flow.ufid) == (key & bits, bits, ufid)
        assert flow.unmasked_key == (key if ufid is None else None)
        self.there.append(flow)
        return flow

    @rule(flow=consumes(flows))
    def remove(self, flow: Flow | None) -> None:
        if flow in self.there:
            self.table.remove(flow)
            self._gone(flow)
        elif flow is not None:
            with pytest.raises(ValueError, match="not in this table"):
                self.table.remove(flow)

    @rule()
    def flush(self) -> None:
        self.table.flush()
        for flow in list(self.there):
            self._gone(flow)

    @rule()
    def rebalance(self) -> None:
        hits = {mask.bits: mask.hits for mask in self.table.masks}
        self.table.rebalance()
        ordered = [hits[mask.bits] for mask in self.table.masks]
        assert ordered == sorted(ordered, reverse=True)
        assert not any(mask.hits for mask in self.table.masks)

    @rule(size=st.sampled_from((0, 1, 4, 256)))
    def resize_cache(self, size: int) -> None:
        self.table.resize_cache(size)
        assert self.table.cache_size == size

    @rule(key=KEYS)
    def lookup(self, key: int) -> None:
        matching = [flow for flow in self.there if key & flow.mask.bits == flow.key]
        for found in (lookup(self.table, key), self.table.lookup_any(key), lookup(self.table, key)):
            assert found in matching if matching else found is None
        without_ufid = [flow for flow in self.there if flow.unmasked_key == key]
        unmasked = self.table.lookup_unmasked(key)
        assert unmasked in without_ufid if without_ufid else unmasked is None

    @rule(key=KEYS, bits=MASKS)
    def lookup_exact(self, key: int, bits: int) -> None:
        expected = [f for f in self.there if f.mask.bits == bits and f.key == key & bits]
        assert self.table.lookup_exact(key, bits) is (expected[0] if expected else None)

    @rule(number=st.integers(0, 9))
    def lookup_ufid(self, number: int) -> None:
        expected = [flow for flow in self.there if flow.ufid == ufid_of(number)]
        assert self.table.lookup_ufid(ufid_of(number)) is (expected[0] if expected else None)

    @rule()
    def start_dump(self) -> None:
        self.dumps.append((iter(self.table), list(self.there), []))

    @rule(steps=st.integers(1, 5))
    def go_on_dumping(self, steps: int) -> None:
        for dump, _expected, shown in self.dumps:
            for _step, flow in zip(range(steps), dump, strict=False):
                assert flow in self.there, "a dump shows what is there"
                assert flow not in shown, "and shows it once"
                shown.append(flow)

    @invariant()
    def counts(self) -> None:
        assert len(self.table) == len(self.there) == sum(1 for _flow in self.table)
        assert self.table.mask_count == len({flow.mask.bits for flow in self.there})
        assert {mask.bits for mask in self.table.masks} == {f.mask.bits for f in self.there}

    def teardown(self) -> None:
        for dump, expected, shown in self.dumps:
            shown += dump
            assert all(flow in shown for flow in expected), "nothing that stayed is left out"

    def _gone(self, flow: Flow) -> None:
        self.there.remove(flow)
        for _dump, expected, _shown in self.dumps:
            if flow in expected:
                expected.remove(flow)


AgainstAList.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAgainstAList = AgainstAList.TestCase


# Dumps -----------------------------------------------------------------------------------------


def table_of(count: int, cache_size: int = 256) -> FlowTable:
    """A table of flows with one mask."""
    table = FlowTable(cache_size)
    for number in range(count):
        table.insert(key_of(number), EXACT, ACTIONS, ufid_of(number))
    return table


def test_a_dump_is_in_the_order_in_which_flows_were_put() -> None:
    assert [flow.ufid for flow in table_of(5)] == [ufid_of(number) for number in range(5)]


def test_a_dump_keeps_no_flow_alive_and_ends_with_a_flush() -> None:
    table = table_of(5)
    dump = iter(table)
    first = next(dump)
    table.flush()
    table.insert(key_of(9), EXACT, ACTIONS)
    assert list(dump) == []
    assert first.place == -1
    assert len(table) == 1


def test_places_are_used_again() -> None:
    """So a table in which flows come and go does not grow, nor does the time of a dump."""
    table = table_of(3)
    for number in range(3, 1000):
        found = table.lookup_ufid(ufid_of(number - 1))
        assert found is not None
        table.remove(found)
        table.insert(key_of(number), EXACT, ACTIONS, ufid_of(number))
    assert sorted(flow.place for flow in table) == [0, 1, 2]


# What a look-up looks at -----------------------------------------------------------------------


def mask_bits(number: int) -> int:
    """Another mask for each number below 16, in which the IPv4 source counts."""
    return EXACT & ~TP_DST.place(1 << number)


def with_masks(count: int, cache_size: int) -> FlowTable:
    """A table with one flow for each of `count` masks; flow `i` comes from 10.0.0.i."""
    table = FlowTable(cache_size)
    for number in range(count):
        table.insert(key_of(number), mask_bits(number), ACTIONS)
    return table


def visits(table: FlowTable, number: int) -> int:
    """How many masks one look-up looks at."""
    before = table.mask_hit
    found = lookup(table, key_of(number))
    assert found is not None
    assert found.key == key_of(number) & found.mask.bits
    return table.mask_hit - before


@pytest.mark.parametrize("cache_size", [0, 1, 256])
@pytest.mark.parametrize("count", [1, 100, 10_000])
def test_a_look_up_costs_by_masks_and_not_by_flows(count: int, cache_size: int) -> None:
    table = table_of(count, cache_size)
    assert {visits(table, number) for number in range(0, count, 37)} == {1}
    assert lookup(table, key_of(count)) is None


@pytest.mark.parametrize("count", [1, 4, 16])
def test_without_cache_every_mask_is_looked_at_until_one_hits(count: int) -> None:
    table = with_masks(count, cache_size=0)
    assert [visits(table, number) for number in range(count)] == list(range(1, count + 1))
    assert lookup(table, key_of(99)) is None
    assert table.mask_hit == sum(range(1, count + 1)) + count
    assert table.cache_hits == 0


def test_the_cache_remembers() -> None:
    table = with_masks(16, cache_size=256)
    assert [visits(table, 15) for _ in range(5)] == [16, 1, 1, 1, 1]
    assert table.cache_hits == 4
    assert table.masks[15].hits == 5, "what the cache answers counts for the order, too"
    table.resize_cache(0)
    assert [visits(table, 15) for _ in range(2)] == [16, 16]


def test_connections_share_the_cache() -> None:
    """Keys that differ in a few bits only do not all want the same slot."""
    table = table_of(100, cache_size=256)
    for _round in range(2):
        for number in range(100):
            lookup(table, key_of(number))
    assert table.cache_hits > 50


def test_connections_with_one_hash_push_one_another_out() -> None:
    table = with_masks(2, cache_size=256)
    for _round in range(3):
        for number in (0, 1):
            found = table.lookup(key_of(number), packet_hash=7)
            assert found is not None
            assert found.key == key_of(number) & mask_bits(number)
    assert (table.cache_hits, table.mask_hit) == (0, 9)
    assert table.lookup(key_of(1), packet_hash=7) is found
    assert table.cache_hits == 1


def test_the_cache_forgets_what_is_removed() -> None:
    table = FlowTable()
    flow = table.insert(key_of(1), EXACT, ACTIONS)
    assert lookup(table, key_of(1)) is flow
    table.remove(flow)
    assert lookup(table, key_of(1)) is None
    again = table.insert(key_of(1), EXACT, ACTIONS)
    assert lookup(table, key_of(1)) is again
    assert lookup(table, key_of(1)) is again


def test_masks_that_hit_most_come_first() -> None:
    table = with_masks(4, cache_size=0)
    for number, times in enumerate((2, 0, 5, 2)):
        for _ in range(times):
            lookup(table, key_of(number))
    table.rebalance()
    assert [mask.bits for mask in table.masks] == [mask_bits(number) for number in (2, 0, 3, 1)]
    assert visits(table, 2) == 1
    table.insert(key_of(5), mask_bits(5), ACTIONS)
    assert not any(mask.hits for mask in table.masks), "a new mask gets a fair chance"


def test_a_hash_that_a_sender_can_foresee_is_not_relied_on() -> None:
    """Integers whose difference is a multiple of the modulus have one hash in all processes."""
    step = sys.hash_info.modulus
    keys = [step * number for number in range(1, 200)]
    assert len({hash(key) for key in keys}) == 1
    table = FlowTable()
    for key in keys:
        table.insert(key, EXACT, ACTIONS)
    (mask,) = table.masks
    assert len({hash(key) for key in mask.flows}) > 190


# What a flow needs -----------------------------------------------------------------------------


def test_equal_masks_are_kept_once() -> None:
    table = FlowTable()
    flows = [
        table.insert(key_of(number), EXACT, ACTIONS, None, b"", bytes(bytearray(b"mask")))
        for number in range(3)
    ]
    assert len({id(flow.wire_mask) for flow in flows}) == 1
    assert len({id(flow.mask) for flow in flows}) == 1
    other = table.insert(key_of(9), EXACT, OTHER_ACTIONS, None, b"", b"another")
    assert other.wire_mask == b"another"
    assert flows[0].wire_mask == b"mask"


def test_a_flow_needs_at_most_2_kb() -> None:
    """With a key of TCP over IPv4, a UFID, counters, and the netlink forms for dumps."""
    count = 20_000
    gc.collect()
    tracemalloc.start()
    try:
        table = FlowTable()
        for number in range(count):
            table.insert(
                key_of(number),
                EXACT,
                ACTIONS,
                ufid_of(number),
                number.to_bytes(120, "big"),
                bytes(bytearray(120)),
            )
        for flow in table:
            flow.packets, flow.bytes, flow.used_ms = (10**9 + flow.place for _ in range(3))
        used, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / count < 2048
