"""Meters: token buckets that drop what exceeds a rate, as net/openvswitch/meter.c of Linux 6.1.

A band's bucket holds bits where the meter counts kilobits, and thousandths of a packet where it
counts packets: so a millisecond at rate 1 adds 1. It starts full, with `burst` seconds' worth of
rate 1, and never holds more.

Where the kernel keeps a meter is kept here too, because clients see it: a meter has the slot that
its id leaves modulo the number of slots, two ids of one slot exclude one another (EBUSY), and when
the slots double, a meter whose id is greater than the old number of slots is not found any more.
Open vSwitch hands out small ids, and never meets this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from errno import EBUSY, EFBIG

from ovsdp_cuse.errors import DatapathError

METERS_MAXIMUM = 200_000
"""DP_METER_NUM_MAX: the limit of a datapath, which holds one less."""
BANDS_MAXIMUM = 1
"""DP_MAX_BANDS: of one meter."""
SLOTS_MINIMUM = 1024
"""DP_METER_ARRAY_SIZE_MIN."""

BAND_TYPE_DROP = 1
"""OVS_METER_BAND_TYPE_DROP. A band of another type counts packets and drops none."""

_U32 = 0xFFFF_FFFF


@dataclass(slots=True, eq=False)
class Band:
    """One limit of a meter.

    rate: kilobits or packets a second, above 0. burst: as many as may come at once. packets, bytes:
    that exceeded it.
    """

    type: int
    rate: int
    burst: int
    packets: int = 0
    bytes: int = 0
    bucket: int = field(init=False)
    """Bits, or thousandths of a packet; full at first."""

    def __post_init__(self) -> None:
        self.bucket = self.burst * 1000


@dataclass(slots=True, eq=False)
class Meter:
    """One meter.

    is_kbps: whether it counts kilobits, or else packets. keep_stats: whether who replaces it is
    told its statistics. packets, bytes: that passed through it, dropped ones included. used_ms:
    when the last one did, or when it was made, in milliseconds of CLOCK_MONOTONIC.
    """

    id: int
    bands: Sequence[Band]
    used_ms: int
    is_kbps: bool = False
    keep_stats: bool = True
    packets: int = 0
    bytes: int = 0
    full_after_ms: int = field(init=False)
    """No bucket takes longer to fill, so more time than this does not count."""

    def __post_init__(self) -> None:
        self.full_after_ms = max(
            (band.burst * 1000 // band.rate & _U32 for band in self.bands), default=0
        )

    def apply(self, length: int, now_ms: int) -> bool:
        """Count a packet of `length` bytes; True where it is to be dropped."""
        passed_ms = min(max(now_ms - self.used_ms, 0), self.full_after_ms)
        self.used_ms = now_ms
        self.packets += 1
        self.bytes += length
        cost = length * 8 if self.is_kbps else 1000
        exceeded: Band | None = None
        for band in self.bands:
            # The kernel's product has 32 bits: great bursts fill more slowly than one would think.
            filled = band.bucket + (passed_ms * band.rate & _U32)
            band.bucket = min(filled, band.burst * 1000)
            if band.bucket >= cost:
                band.bucket -= cost
            elif exceeded is None or band.rate > exceeded.rate:
                exceeded = band
        if exceeded is None:
            return False
        exceeded.packets += 1
        exceeded.bytes += length
        return exceeded.type == BAND_TYPE_DROP


class MeterTable:
    """The meters of a datapath, by id. limit: see METERS_MAXIMUM."""

    def __init__(self, limit: int = METERS_MAXIMUM) -> None:
        self.limit = limit
        self._slots: dict[int, Meter] = {}
        self._size = SLOTS_MINIMUM

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Meter]:
        """The meters that are there now, by ascending id."""
        return iter(sorted(self._slots.values(), key=lambda meter: meter.id))

    def lookup(self, meter_id: int) -> Meter | None:
        """The meter with this id."""
        meter = self._slots.get(meter_id % self._size)
        return meter if meter is not None and meter.id == meter_id else None

    def replace(self, meter: Meter) -> Meter | None:
        """Put a meter, and return the one with the same id that it replaces.

        Raises EFBIG where there are too many, EBUSY where one with another id is in its slot; the
        one that was to be replaced is gone then.
        """
        old = self.remove(meter.id)
        count = len(self._slots) + 1
        if count >= self.limit:
            raise DatapathError(EFBIG, f"a datapath has fewer than {self.limit} meters")
        if count >= self._size:
            self._size *= 2
        slot = meter.id % self._size
        other = self._slots.get(slot)
        if other is not None:
            raise DatapathError(
                EBUSY,
                f"meter {meter.id} cannot be there beside meter {other.id}: their difference is a "
                f"multiple of {self._size}",
            )
        self._slots[slot] = meter
        return old

    def remove(self, meter_id: int) -> Meter | None:
        """Take a meter out, and return it; None where there was none."""
        meter = self.lookup(meter_id)
        if meter is None:
            return None
        del self._slots[meter_id % self._size]
        half = self._size // 2
        if (
            self._size > SLOTS_MINIMUM
            and len(self._slots) <= self._size // 4
            and all(slot < half for slot in self._slots)
        ):
            self._size = half
        return meter

    def apply(self, meter_id: int, length: int, now_ms: int) -> bool:
        """Let a meter count a packet of `length` bytes; True where it is to be dropped.

        Where there is no such meter, nothing is.
        """
        meter = self._slots.get(meter_id % self._size)
        return meter is not None and meter.id == meter_id and meter.apply(length, now_ms)
