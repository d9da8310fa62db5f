"""Meters: what they let pass, what they count, and where a table keeps them."""

from __future__ import annotations

from errno import EBUSY, EFBIG

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.meter import BAND_TYPE_DROP, Band, Meter, MeterTable

START_MS = 1_000_000


def pktps(rate: int, burst: int) -> Meter:
    """A meter that counts packets."""
    return Meter(1, [Band(BAND_TYPE_DROP, rate, burst)], START_MS)


def kbps(rate: int, burst: int) -> Meter:
    """A meter that counts kilobits."""
    return Meter(1, [Band(BAND_TYPE_DROP, rate, burst)], START_MS, is_kbps=True)


def passed(meter: Meter, count: int, at_ms: int, length: int = 100) -> int:
    """How many of `count` packets pass that come at once."""
    return sum(not meter.apply(length, START_MS + at_ms) for _ in range(count))


# Buckets ---------------------------------------------------------------------------------------


def test_packets() -> None:
    """A burst passes at once, then as many as the rate allows; a bucket is never fuller."""
    meter = pktps(rate=10, burst=3)
    assert passed(meter, 5, at_ms=0) == 3
    assert passed(meter, 5, at_ms=99) == 0
    assert passed(meter, 5, at_ms=100) == 1
    assert passed(meter, 5, at_ms=300) == 2
    assert passed(meter, 99, at_ms=3_600_000) == 3


def test_kilobits() -> None:
    """1 kbit/s is a bit each millisecond; a packet costs its bits, and passes whole or not."""
    meter = kbps(rate=8, burst=1)
    assert passed(meter, 1, at_ms=0, length=126) == 0, "1,008 bits never fit in a bucket of 1,000"
    assert passed(meter, 2, at_ms=0, length=125) == 1
    assert passed(meter, 1, at_ms=99, length=100) == 0
    assert passed(meter, 1, at_ms=100, length=100) == 1


def test_a_band_without_burst_lets_nothing_pass() -> None:
    assert passed(pktps(rate=1000, burst=0), 5, at_ms=10_000) == 0


def test_a_clock_that_goes_back_fills_nothing() -> None:
    meter = pktps(rate=1000, burst=1)
    assert passed(meter, 1, at_ms=0) == 1
    assert passed(meter, 1, at_ms=-500) == 0
    assert meter.used_ms == START_MS - 500
    assert passed(meter, 1, at_ms=-499) == 1


def test_great_bursts_fill_as_in_32_bits() -> None:
    """5,000,000 packets of burst at 1,000 a second: the product of 5,000 s and the rate wraps."""
    meter = pktps(rate=1000, burst=5_000_000)
    (band,) = meter.bands
    band.bucket = 0
    assert meter.full_after_ms == 5_000_000
    assert not meter.apply(100, START_MS + 5_000_000)
    assert band.bucket == 5_000_000_000 % 2**32 - 1000
    slow = pktps(rate=1, burst=2**32 - 1)
    assert slow.full_after_ms == (2**32 - 1) * 1000 % 2**32


@given(
    st.integers(1, 1000),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 20)), max_size=30),
)
def test_no_more_passes_than_burst_and_rate_allow(
    rate: int, burst: int, arrivals: list[tuple[int, int]]
) -> None:
    meter = pktps(rate, burst)
    at_ms = total = offered = 0
    for later_ms, count in arrivals:
        at_ms += later_ms
        offered += count
        total += passed(meter, count, at_ms)
        assert total <= burst + rate * at_ms // 1000
    (band,) = meter.bands
    assert (meter.packets, meter.bytes) == (offered, 100 * offered)
    assert (band.packets, band.bytes) == (offered - total, 100 * (offered - total))


# Bands -----------------------------------------------------------------------------------------


def test_of_several_bands_the_one_with_the_highest_rate_drops() -> None:
    """The kernel's loop is for many bands, though a client may give one."""
    bands = [Band(BAND_TYPE_DROP, rate, 1) for rate in (5, 20, 10)]
    meter = Meter(1, bands, START_MS)
    assert passed(meter, 3, at_ms=0) == 1
    assert [band.packets for band in bands] == [0, 2, 0]
    assert passed(meter, 1, at_ms=50) == 0
    assert [band.packets for band in bands] == [0, 2, 1], "the fastest has room again"


def test_a_band_of_another_type_counts_only() -> None:
    band = Band(2, 1, 1)
    meter = Meter(1, [band], START_MS)
    assert passed(meter, 3, at_ms=0) == 3
    assert (band.packets, band.bytes) == (2, 200)


def test_a_meter_without_bands_counts_only() -> None:
    meter = Meter(1, [], START_MS)
    assert passed(meter, 3, at_ms=7) == 3
    assert (meter.packets, meter.bytes, meter.used_ms) == (3, 300, START_MS + 7)


# The table -------------------------------------------------------------------------------------


def put(table: MeterTable, *ids: int) -> None:
    for meter_id in ids:
        assert table.replace(Meter(meter_id, [Band(BAND_TYPE_DROP, 1, 1)], 0)) is None


def errno_of(table: MeterTable, meter_id: int) -> int:
    with pytest.raises(DatapathError) as caught:
        table.replace(Meter(meter_id, [], 0))
    return caught.value.errno


def ids_found(table: MeterTable, *ids: int) -> list[int]:
    return [meter_id for meter_id in ids if table.lookup(meter_id) is not None]


def test_a_table() -> None:
    table = MeterTable()
    put(table, 0, 1, 2**32 - 1)
    first = table.lookup(1)
    assert first is not None
    second = Meter(1, [], 0)
    assert table.replace(second) is first
    assert table.lookup(1) is second
    assert table.remove(1) is second
    assert table.remove(1) is None
    assert ids_found(table, 0, 1, 2, 2**32 - 1) == [0, 2**32 - 1]
    assert len(table) == 2


def test_a_packet_of_a_meter_that_is_not_there_passes() -> None:
    table = MeterTable()
    put(table, 5)
    assert [table.apply(5, 60, 0) for _ in range(2)] == [False, True]
    assert not table.apply(6, 60, 0)
    assert not table.apply(5 + 1024, 60, 0), "another id with the same slot"


def test_ids_of_one_slot_exclude_one_another() -> None:
    table = MeterTable()
    put(table, 7)
    assert errno_of(table, 7 + 1024) == EBUSY
    assert ids_found(table, 7, 7 + 1024) == [7]
    put(table, 8 + 1024)
    assert errno_of(table, 8) == EBUSY


def test_the_number_of_meters_has_a_limit() -> None:
    """The limit itself is not reached, and one that is to be replaced is lost."""
    table = MeterTable(limit=3)
    put(table, 1, 2)
    assert errno_of(table, 3) == EFBIG
    table.limit = 2
    assert errno_of(table, 1) == EFBIG
    assert ids_found(table, 1, 2, 3) == [2]


def test_slots_double_and_halve() -> None:
    """1,024 slots are for 1,023 meters; they halve when a quarter is left, and all of it is low."""
    table = MeterTable()
    put(table, *range(1, 1023))
    assert errno_of(table, 5 + 1024) == EBUSY
    put(table, 1023, 1024, 5 + 1024)
    assert errno_of(table, 5 + 2048) == EBUSY
    for meter_id in (1024, *range(500, 1024)):
        table.remove(meter_id)
    put(table, 6 + 1024)
    table.remove(6 + 1024)
    assert len(table) == 500
    table.remove(5 + 1024)
    assert errno_of(table, 6 + 1024) == EBUSY
    assert ids_found(table, *range(1, 1100)) == list(range(1, 500))


def test_a_great_id_is_lost_when_the_slots_double() -> None:
    table = MeterTable()
    put(table, 1500, *(number for number in range(1, 1024) if number != 1500 - 1024))
    assert ids_found(table, 1500) == [1500]
    put(table, 0)
    assert ids_found(table, 1500) == []
    assert table.remove(1500) is None
    assert errno_of(table, 1500 - 1024) == EBUSY, "and its slot is taken for good"
