"""ovs_ct_limit on the wire: attributes that Linux 6.1 and ovs-dpctl exchanged, and odd lengths."""

from __future__ import annotations

from errno import ERANGE

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.ct_limit import CT_LIMIT, CtLimitAttr, ZoneLimit


@pytest.mark.parametrize(
    ("wire", "limits"),
    [
        ("10000100ffffffff0000000000000000", (ZoneLimit(-1),)),
        ("04000100", ()),
        ("1c000100ffffffff0900000000000000030000000400000000000000",
         (ZoneLimit(-1, 9), ZoneLimit(3, 4))),
        ("10000100701101000400000000000000", (ZoneLimit(70000, 4),)),
    ],
)  # fmt: skip
def test_golden(wire: str, limits: tuple[ZoneLimit, ...]) -> None:
    attributes = {int(CtLimitAttr.ZONE_LIMIT): limits}
    assert CT_LIMIT.attributes.parse(bytes.fromhex(wire), strict_layout=True) == attributes
    assert CT_LIMIT.attributes.build(attributes).hex() == wire


@pytest.mark.parametrize(
    ("size", "count"), [(4, 0), (8, 0), (9, 1), (12, 1), (13, 1), (20, 1), (21, 2), (24, 2)]
)
def test_lengths_are_rounded_up_and_the_rest_is_ignored(size: int, count: int) -> None:
    value = CT_LIMIT.attributes.table[CtLimitAttr.ZONE_LIMIT]
    payload = bytes.fromhex("070000000900000001000000") * 2
    assert value.decode(payload[:size], False)[:1] == (ZoneLimit(7, 9, int(size > 8)),)[:count]
    assert len(value.decode(payload[:size], False)) == count


@pytest.mark.parametrize("size", [1, 2, 3])
def test_what_is_too_short_for_an_attribute(size: int) -> None:
    with pytest.raises(DatapathError) as caught:
        CT_LIMIT.attributes.table[CtLimitAttr.ZONE_LIMIT].decode(bytes(size), False)
    assert caught.value.errno == ERANGE


def test_limits_are_shown() -> None:
    value = CT_LIMIT.attributes.table[CtLimitAttr.ZONE_LIMIT]
    shown = value.format((ZoneLimit(-1, 9), ZoneLimit(3, 4, 2)))
    assert shown == "[zone-1:limit=9,count=0, zone3:limit=4,count=2]"
