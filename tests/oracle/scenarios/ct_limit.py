"""`ovs_ct_limit`: every command, attribute and error."""

from __future__ import annotations

from tests.oracle.messages import (
    ACK,
    CT_LIMIT,
    CT_LIMIT_DEL,
    CT_LIMIT_GET,
    CT_LIMIT_SET,
    DUMP,
    ECHO,
    CtLimit,
    attr,
    u32,
)
from tests.oracle.steps import Scenario, Script


def limit(zone: int, number: int = 0, count: int = 0) -> bytes:
    return u32(zone, number, count)


def zones(*limits: bytes) -> bytes:
    return attr(CtLimit.ZONE_LIMIT, b"".join(limits))


def commands(script: Script) -> None:
    ask = script.ask
    script.make_datapath()
    ask("GET, there is none", CT_LIMIT, CT_LIMIT_GET)
    for label, value in {
        "nothing": zones(),
        "a default": zones(limit(-1, 9)),
        "zone 3": zones(limit(3, 4)),
        "several": zones(limit(1, 10), limit(65535, 20, 7), limit(0, 30)),
        "zone 65536": zones(limit(65536, 1)),
        "zone 70000": zones(limit(70000, 1)),
        "zone -5": zones(limit(-5, 1)),
        "the same twice": zones(limit(8, 1), limit(8, 2)),
        "ten bytes": attr(CtLimit.ZONE_LIMIT, bytes(10)),
        "thirteen bytes": attr(CtLimit.ZONE_LIMIT, limit(9, 5) + b"a"),
        "twenty bytes": attr(CtLimit.ZONE_LIMIT, limit(10, 5) + bytes(8)),
        "a large limit": zones(limit(11, 0xFFFFFFFF)),
        "limit 0": zones(limit(3, 0)),
    }.items():
        for flags in (0, ECHO, ACK):
            ask(f"SET {label}, flags {flags}", CT_LIMIT, CT_LIMIT_SET, value, flags=flags)
        ask(f"GET {label}", CT_LIMIT, CT_LIMIT_GET, value)
        ask("GET all", CT_LIMIT, CT_LIMIT_GET)
    for label, value in {
        "nothing": zones(),
        "the default": zones(limit(-1)),
        "zone 3": zones(limit(3)),
        "several": zones(limit(3), limit(9), limit(-1), limit(1)),
        "zone 70000": zones(limit(70000)),
        "zone 3 twice": zones(limit(3), limit(3)),
        "ten bytes": attr(CtLimit.ZONE_LIMIT, bytes(10)),
        "thirteen bytes": attr(CtLimit.ZONE_LIMIT, limit(1) + b"a"),
        "zone -5": zones(limit(-5)),
    }.items():
        for flags in (0, ECHO, ACK, DUMP):
            ask(f"GET {label}, flags {flags}", CT_LIMIT, CT_LIMIT_GET, value, flags=flags)
        ask(f"DEL {label}", CT_LIMIT, CT_LIMIT_DEL, value)
        ask("GET all", CT_LIMIT, CT_LIMIT_GET)
    ask("SET without an attribute", CT_LIMIT, CT_LIMIT_SET)
    ask("DEL without an attribute", CT_LIMIT, CT_LIMIT_DEL)
    ask("unknown attribute", CT_LIMIT, CT_LIMIT_GET, attr(2, bytes(4)))
    ask("NLA_F_NESTED", CT_LIMIT, CT_LIMIT_GET, attr(CtLimit.ZONE_LIMIT | 0x8000, limit(3)))
    for dp in (0, 4242):
        ask(f"GET of dp {dp}", CT_LIMIT, CT_LIMIT_GET, dp=dp)
        ask(f"SET of dp {dp}", CT_LIMIT, CT_LIMIT_SET, zones(limit(3, 3)), dp=dp)
        ask(f"DEL of dp {dp}", CT_LIMIT, CT_LIMIT_DEL, zones(limit(3)), dp=dp)
    for command in (0, 4, 255):
        ask(f"command {command}", CT_LIMIT, command)
    for zone in (3, 1, 65535, 0, 8, 9, 10, 11, -1):
        ask(f"leave no limit: {zone}", CT_LIMIT, CT_LIMIT_DEL, zones(limit(zone)))


SCENARIOS = (Scenario("ct_limit", commands),)
