"""`ovs_meter`: every command, attribute and error."""

from __future__ import annotations

from tests.oracle.keys import meter, udp_key
from tests.oracle.messages import (
    ACK,
    DUMP,
    ECHO,
    FLOW,
    METER,
    METER_DEL,
    METER_FEATURES,
    METER_GET,
    METER_SET,
    NEW,
    Band,
    Flow,
    Meter,
    attr,
    nest,
    u32,
    u64,
)
from tests.oracle.steps import Scenario, Script


def ident(number: int) -> bytes:
    return attr(Meter.ID, u32(number))


def band(
    rate: int | None = 1000, burst: int | None = 2000, kind: int | None = 1, *more: bytes
) -> bytes:
    values = {Band.TYPE: kind, Band.RATE: rate, Band.BURST: burst}
    told = [attr(number, u32(value)) for number, value in values.items() if value is not None]
    return nest(1, *told, *more)


def bands(*each: bytes) -> bytes:
    return nest(Meter.BANDS, *each)


KBPS = attr(Meter.KBPS)


def commands(script: Script) -> None:
    ask = script.ask
    ask("FEATURES without a datapath", METER, METER_FEATURES)
    script.make_datapath()
    for flags in (0, ECHO, ACK, DUMP):
        ask(f"FEATURES, flags {flags:#x}", METER, METER_FEATURES, flags=flags)
        ask(f"GET, flags {flags:#x}", METER, METER_GET, ident(1), flags=flags)
        ask(f"SET, flags {flags:#x}", METER, METER_SET, ident(1), bands(band()), flags=flags)
        ask(f"GET again, flags {flags:#x}", METER, METER_GET, ident(1), flags=flags)
        ask(f"DEL, flags {flags:#x}", METER, METER_DEL, ident(1), flags=flags)
        ask(f"DEL again, flags {flags:#x}", METER, METER_DEL, ident(1), flags=flags)
    for command in (0, 5, 255):
        ask(f"command {command}", METER, command, ident(1))
    for dp in (0, 4242):
        ask(f"FEATURES of dp {dp}", METER, METER_FEATURES, dp=dp)
        ask(f"SET of dp {dp}", METER, METER_SET, ident(1), bands(band()), dp=dp)
        ask(f"GET of dp {dp}", METER, METER_GET, ident(1), dp=dp)
        ask(f"DEL of dp {dp}", METER, METER_DEL, ident(1), dp=dp)
    ask("GET without ID", METER, METER_GET)
    ask("DEL without ID", METER, METER_DEL)
    ask("SET without ID", METER, METER_SET, bands(band()))
    ask("SET without BANDS", METER, METER_SET, ident(1))
    ask("SET with nothing", METER, METER_SET)
    ask("unknown attribute", METER, METER_SET, ident(1), bands(band()), attr(40, b"abc"))
    for size in (0, 3, 5, 8):
        ask(f"ID of {size} bytes", METER, METER_GET, attr(Meter.ID, bytes(size)))


def bands_(script: Script) -> None:
    script.make_datapath()
    for label, attributes in {
        "kbps": (bands(band()), KBPS),
        "packets": (bands(band()),),
        "KBPS of 4 bytes": (bands(band()), attr(Meter.KBPS, bytes(4))),
        "no burst": (bands(band(burst=None)),),
        "no rate": (bands(band(rate=None)),),
        "no type": (bands(band(kind=None)),),
        "type 0": (bands(band(kind=0)),),
        "type 2": (bands(band(kind=2)),),
        "rate 0": (bands(band(rate=0)),),
        "burst 0": (bands(band(burst=0)),),
        "rate 1": (bands(band(rate=1, burst=1)), KBPS),
        "largest rate": (bands(band(rate=0xFFFFFFFF, burst=0xFFFFFFFF)), KBPS),
        "no band": (bands(),),
        "an empty band": (bands(nest(1)),),
        "two bands": (bands(band(), band(10, 20)),),
        "one hundred bands": (bands(*[band()] * 100),),
        "a band of another number": (bands(attr(9, band()[4:])),),
        "a band with its nested flag": (bands(attr(0x8001, band()[4:])),),
        "a band with stats": (bands(band(1, 2, 1, attr(Band.STATS, bytes(16)))),),
        "a band with short stats": (bands(band(1, 2, 1, attr(Band.STATS, bytes(4)))),),
        "a band with an unknown attribute": (bands(band(1, 2, 1, attr(9, bytes(4)))),),
        "a rate of 8 bytes": (bands(nest(1, attr(1, u32(1)), attr(2, u64(5)), attr(3, u32(1)))),),
        "a rate of 2 bytes": (bands(nest(1, attr(1, u32(1)), attr(2, b"ab"), attr(3, u32(1)))),),
        "bands of 3 bytes": (attr(Meter.BANDS, b"abc"),),
        "trailing bytes": (bands(band(), b"\1\2\3"),),
        "CLEAR": (bands(band()), attr(Meter.CLEAR)),
        "STATS": (bands(band()), attr(Meter.STATS, bytes(16))),
        "short STATS": (bands(band()), attr(Meter.STATS, bytes(8))),
        "USED": (bands(band()), attr(Meter.USED, bytes(8))),
    }.items():
        script.ask(f"SET {label}", METER, METER_SET, ident(1), *attributes)
        script.ask(f"GET after {label}", METER, METER_GET, ident(1))
    for number in (0, 1, 5, 1023, 1024, 200_000, 200_001, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
        script.ask(f"SET id {number}", METER, METER_SET, ident(number), bands(band()), KBPS)
        script.ask(f"SET id {number} again", METER, METER_SET, ident(number), bands(band(5)))
        script.ask(f"GET id {number}", METER, METER_GET, ident(number))
    for number in (0, 5, 1024, 200_001, 0xFFFFFFFF):
        script.ask(f"DEL id {number}", METER, METER_DEL, ident(number), flags=ECHO)
    flow = nest(Flow.KEY, udp_key())
    for number in (1, 77):
        actions = nest(Flow.ACTIONS, meter(number))
        script.ask(f"a flow with meter {number}", FLOW, NEW, flow, actions, flags=ECHO)


SCENARIOS = (Scenario("meter commands", commands), Scenario("meter bands", bands_))
