"""Limits of conntrack zones."""

from __future__ import annotations

from ovsdp_cuse.switch.ct_limit import DEFAULT_ZONE, UNLIMITED, ConntrackLimits


def test_zones_have_the_default_until_they_are_given_a_limit() -> None:
    limits = ConntrackLimits()
    assert limits.get(7) == limits.get(DEFAULT_ZONE) == UNLIMITED
    limits.set(DEFAULT_ZONE, 9)
    limits.set(3, 4)
    limits.set(0, 0)
    assert [limits.get(zone) for zone in (DEFAULT_ZONE, 0, 3, 7)] == [9, 0, 4, 9]
    limits.set(3, 5)
    assert limits.get(3) == 5
    limits.remove(3)
    limits.remove(3)
    assert limits.get(3) == 9
    limits.remove(DEFAULT_ZONE)
    assert limits.get(3) == UNLIMITED
    assert list(limits) == [DEFAULT_ZONE, 0]


def test_zones_that_cannot_be_are_ignored() -> None:
    limits = ConntrackLimits()
    for zone in (-2, 65536, 70000, 2**31 - 1, -(2**31)):
        limits.set(zone, 4)
        limits.remove(zone)
        assert limits.get(zone) is None
    limits.set(65535, 4)
    assert limits.get(65535) == 4
    assert list(limits) == [DEFAULT_ZONE, 65535]


def test_the_order_is_that_of_the_buckets_of_the_kernel() -> None:
    limits = ConntrackLimits()
    for zone in (5, 517, 1029, 3, 65535, 512, 0):
        limits.set(zone, 7)
    assert list(limits) == [DEFAULT_ZONE, 0, 512, 3, 1029, 517, 5, 65535]
    limits.set(517, 8)
    assert list(limits) == [DEFAULT_ZONE, 0, 512, 3, 1029, 517, 5, 65535], "it keeps its place"
    limits.remove(5)
    limits.set(5, 1)
    assert list(limits) == [DEFAULT_ZONE, 0, 512, 3, 5, 1029, 517, 65535], "the newest is first"
