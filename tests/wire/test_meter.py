"""ovs_meter on the wire: messages that Linux 6.1 and ovs-vswitchd exchanged, and bad values."""

from __future__ import annotations

from errno import ERANGE
from typing import Any

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.meter import BAND, BANDS, METER, BandAttr, MeterAttr, MeterStats

# Attributes as captured, and what they say. BANDS stays bytes in a message.
GOLDEN: list[tuple[str, dict[int, Any], list[dict[int, Any]]]] = [
    (  # the reply to FEATURES
        "08000700400d03000800080001000000100004000c0000000800010001000000",
        {MeterAttr.MAX_METERS: 200_000, MeterAttr.MAX_BANDS: 1},
        [{BandAttr.TYPE: 1}],
    ),
    (  # a request SET
        "080001000100000004000200200004001c000000080001000100000008000200e80300000800030064000000",
        {MeterAttr.ID: 1, MeterAttr.KBPS: True},
        [{BandAttr.TYPE: 1, BandAttr.RATE: 1000, BandAttr.BURST: 100}],
    ),
    (  # the reply to GET
        "08000100010000001400030000000000000000000000000000000000"
        "0c0005001a0e0100000000001c000400180000001400040000000000000000000000000000000000",
        {MeterAttr.ID: 1, MeterAttr.STATS: MeterStats(0, 0), MeterAttr.USED: 0x10E1A},
        [{BandAttr.STATS: MeterStats(0, 0)}],
    ),
]


@pytest.mark.parametrize(("wire", "attributes", "bands"), GOLDEN)
def test_golden(wire: str, attributes: dict[int, Any], bands: list[dict[int, Any]]) -> None:
    parsed = METER.attributes.parse(bytes.fromhex(wire), strict_layout=True)
    assert list(BANDS.decode(parsed[MeterAttr.BANDS], False).values()) == bands
    assert {number: value for number, value in parsed.items() if number != MeterAttr.BANDS} == {
        int(number): value for number, value in attributes.items()
    }
    encoded = BANDS.encode(dict(enumerate(bands)))
    assert METER.attributes.build(attributes | {MeterAttr.BANDS: encoded}).hex() == wire


def test_bands_are_shown() -> None:
    bands = BANDS.encode({0: {BandAttr.TYPE: 1, BandAttr.STATS: MeterStats(2, 3)}})
    shown = METER.attributes.table[MeterAttr.BANDS].format(bands)
    assert shown == "[{TYPE=1, STATS={n_packets=2, n_bytes=3}}]"


@pytest.mark.parametrize("size", [0, 15])
@pytest.mark.parametrize("attributes", [METER.attributes, BAND])
def test_statistics_that_are_too_short(attributes: Any, size: int) -> None:
    number = MeterAttr.STATS if attributes is METER.attributes else BandAttr.STATS
    with pytest.raises(DatapathError) as caught:
        attributes.table[number].decode(bytes(size), False)
    assert caught.value.errno == ERANGE
    assert attributes.table[number].decode(bytes(17), False) == MeterStats(0, 0)
