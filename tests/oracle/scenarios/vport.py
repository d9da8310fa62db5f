"""`ovs_vport`: every command, attribute and error."""

from __future__ import annotations

from tests.oracle.messages import (
    ACK,
    DATAPATH,
    DEL,
    DUMP,
    ECHO,
    GET,
    NEW,
    SET,
    VPORT,
    Dp,
    Vport,
    attr,
    nest,
    text,
    u32,
    u64,
)
from tests.oracle.steps import INTERNAL, NETDEV, Scenario, Script

P1 = text(Vport.NAME, "p1")
ONE = attr(Vport.PORT_NO, u32(1))


def kind(number: int) -> bytes:
    return attr(Vport.TYPE, u32(number))


def number_of(port: int) -> bytes:
    return attr(Vport.PORT_NO, u32(port))


def reading(script: Script) -> None:
    ask = script.ask
    ask("GET without a datapath", VPORT, GET, number_of(0))
    ask("dump without a datapath", VPORT, GET, flags=DUMP)
    script.make_datapath()
    script.make_ports()
    for port in (0, 1, 2, 9, 65534, 65535, 65536, 70000, 0xFFFFFFFF):
        ask(f"GET port {port}", VPORT, GET, number_of(port))
        ask(f"GET port {port} of dp 4242", VPORT, GET, number_of(port), dp=4242)
    for name in ("dp0", "p1", "q1", "lo", "none", "", "a" * 15, "a" * 16):
        ask(f"GET {name!r}", VPORT, GET, text(Vport.NAME, name))
        ask(f"GET {name!r} of dp 0", VPORT, GET, text(Vport.NAME, name), dp=0)
        ask(f"GET {name!r} of dp 4242", VPORT, GET, text(Vport.NAME, name), dp=4242)
    ask("GET by nothing", VPORT, GET)
    ask("GET by nothing of no datapath", VPORT, GET, dp=4242)
    ask("GET by name and number", VPORT, GET, P1, number_of(2))
    ask("GET by IFINDEX", VPORT, GET, attr(Vport.IFINDEX, u32(3)))
    ask("GET by IFINDEX and name", VPORT, GET, P1, attr(Vport.IFINDEX, u32(3)))
    ask("GET, ACK and ECHO", VPORT, GET, P1, flags=ACK | ECHO)
    ask("GET, unknown attribute", VPORT, GET, P1, attr(40, b"abc"))
    ask("GET, name without NUL", VPORT, GET, attr(Vport.NAME, b"p1"))
    ask("dump", VPORT, GET, flags=DUMP)
    ask("dump, ACK", VPORT, GET, flags=DUMP | ACK)
    ask("dump by number", VPORT, GET, ONE, flags=DUMP)
    ask("dump of dp 4242", VPORT, GET, flags=DUMP, dp=4242)
    ask("dump of dp 0", VPORT, GET, flags=DUMP, dp=0)
    for command in (0, 5, 255):
        ask(f"command {command}", VPORT, command, ONE)


def making(script: Script) -> None:
    ask = script.ask
    pid = attr(Vport.UPCALL_PID, u32(script.listener))
    script.make_datapath()

    def new(label: str, *more: bytes, flags: int = ECHO, dp: int = 777) -> None:
        ask(f"NEW {label}", VPORT, NEW, *more, flags=flags, dp=dp)

    new("without NAME", kind(NETDEV), pid)
    new("without TYPE", P1, pid)
    new("without UPCALL_PID", P1, kind(NETDEV))
    new("with nothing")
    new("of dp 4242", P1, kind(NETDEV), pid, dp=4242)
    for number in (0, 6, 99, 0x7FFFFFFF, 0xFFFFFFFF):
        new(f"type {number}", P1, kind(number), pid)
    new("an interface that is none", text(Vport.NAME, "none"), kind(NETDEV), pid)
    new("lo", text(Vport.NAME, "lo"), kind(NETDEV), pid)
    new("the datapath's own", text(Vport.NAME, "dp0"), kind(NETDEV), pid)
    new("an internal port in the way", P1, kind(INTERNAL), pid)
    new("an internal port like the datapath", text(Vport.NAME, "dp0"), kind(INTERNAL), pid)
    for port in (65535, 65536, 70000, 0xFFFFFFFF):
        new(f"number {port}", P1, kind(NETDEV), pid, number_of(port))
    new("number 0", P1, kind(NETDEV), pid, number_of(0), flags=ACK)
    new("p1 again", P1, kind(NETDEV), pid)
    new("p1 again with its number", P1, kind(NETDEV), pid, number_of(1))
    new("p1 again with another number", P1, kind(NETDEV), pid, number_of(5))
    new("p1 again, internal", P1, kind(INTERNAL), pid)
    new("number 1, in use", text(Vport.NAME, "p2"), kind(NETDEV), pid, number_of(1))
    new("p2 and a number", text(Vport.NAME, "p2"), kind(NETDEV), pid, number_of(65534))
    new("p3, silent", text(Vport.NAME, "p3"), kind(NETDEV), pid, flags=0)
    new("internal", text(Vport.NAME, "in0"), kind(INTERNAL), pid)
    new("internal with a number", text(Vport.NAME, "in9"), kind(INTERNAL), pid, number_of(9))
    new("internal again", text(Vport.NAME, "in0"), kind(INTERNAL), pid)
    new("internal, bad name", text(Vport.NAME, "a/b"), kind(INTERNAL), pid)
    new("internal, empty name", text(Vport.NAME, ""), kind(INTERNAL), pid)
    new("internal with IFINDEX", text(Vport.NAME, "in1"), kind(INTERNAL), pid, attr(8, u32(90)))
    ask("dump", VPORT, GET, flags=DUMP)
    for label, name in {"p1": "p1", "p2": "p2", "p3": "p3", "in0": "in0", "in9": "in9"}.items():
        ask(f"DEL {label}", VPORT, DEL, text(Vport.NAME, name), flags=ECHO)
    ask("dump", VPORT, GET, flags=DUMP)
    for port in (1, 2, 3):
        new(f"chosen number, {port}", text(Vport.NAME, f"p{port}"), kind(NETDEV), pid)
    ask("DEL 2", VPORT, DEL, number_of(2), flags=ACK)
    new("the free number", text(Vport.NAME, "in2"), kind(INTERNAL), pid)
    ask("dump", VPORT, GET, flags=DUMP)
    ask(
        "NEW dp over an internal port",
        DATAPATH,
        NEW,
        text(Dp.NAME, "in2"),
        pid[:0] + attr(2, u32(0)),
    )


def pids(script: Script) -> None:
    script.make_datapath()
    script.make_ports()
    values = {
        "none": b"",
        "three bytes": b"abc",
        "six bytes": b"abcdef",
        "zero": u32(0),
        "one": u32(script.listener),
        "two": u32(script.pid, script.listener),
        "two zeros": u32(0, 0),
        "many": u32(*range(1, 40)),
    }
    for label, value in values.items():
        pid = attr(Vport.UPCALL_PID, value)
        name = text(Vport.NAME, "in5")
        script.ask(f"SET {label}", VPORT, SET, P1, pid, flags=ECHO)
        script.ask("read", VPORT, GET, P1)
        script.ask(f"NEW {label}", VPORT, NEW, name, kind(INTERNAL), pid, flags=ECHO)
        script.ask("delete", VPORT, DEL, name)
    for features in (0, 1, 2, 8, 10):
        feature = attr(Dp.USER_FEATURES, u32(features))
        script.ask(f"features {features}", DATAPATH, SET, feature, flags=ECHO)
        for label, value in values.items():
            pid = attr(Vport.UPCALL_PID, value)
            script.ask(f"SET {label}", VPORT, SET, P1, pid, flags=ECHO)
        script.ask("read", VPORT, GET, P1)
        script.ask("the local port", VPORT, GET, number_of(0))


def changing(script: Script) -> None:
    ask = script.ask
    script.make_datapath()
    script.make_ports()
    script.make_port(4, "in0", INTERNAL)
    ask("SET nothing", VPORT, SET, P1, flags=ECHO)
    ask("SET nothing, silent", VPORT, SET, P1)
    ask("SET by nothing", VPORT, SET, flags=ECHO)
    ask("SET unknown", VPORT, SET, number_of(9), flags=ECHO)
    for number in (0, 1, 2, 3, 99):
        ask(f"SET p1 type {number}", VPORT, SET, P1, kind(number), flags=ECHO)
        ask(f"SET in0 type {number}", VPORT, SET, number_of(4), kind(number), flags=ECHO)
    for label, options in {
        "nothing": b"",
        "a port": attr(1, b"\1\2"),
        "unknown": attr(9, b"\1\2"),
        "a byte": b"\1",
    }.items():
        ask(f"SET OPTIONS: {label}", VPORT, SET, P1, attr(Vport.OPTIONS, options), flags=ECHO)
        in0 = number_of(4)
        ask(f"SET in0 OPTIONS: {label}", VPORT, SET, in0, attr(Vport.OPTIONS, options), flags=ECHO)
        fresh = text(Vport.NAME, "in5")
        pid = attr(Vport.UPCALL_PID, u32(0))
        more = attr(Vport.OPTIONS, options)
        ask(f"NEW OPTIONS: {label}", VPORT, NEW, fresh, kind(INTERNAL), pid, more, flags=ECHO)
        ask("delete", VPORT, DEL, fresh)
    stats = b"".join(u64(number) for number in range(1, 9))
    ask("SET STATS", VPORT, SET, P1, attr(Vport.STATS, stats), flags=ECHO)
    ask("SET STATS of 8 bytes", VPORT, SET, P1, attr(Vport.STATS, stats[:8]), flags=ECHO)
    for number in (Vport.PORT_NO, Vport.TYPE, Vport.IFINDEX, Vport.NETNSID):
        for size in (0, 2, 3, 5, 8):
            bad = attr(number, bytes(size))
            ask(f"SET {number.name} of {size} bytes", VPORT, SET, P1, bad, flags=ECHO)
    ask("SET attribute 10", VPORT, SET, P1, attr(10, b""), flags=ECHO)
    ask("SET nested flag", VPORT, SET, P1, nest(Vport.OPTIONS | 0x8000), flags=ECHO)
    ask("DEL by nothing", VPORT, DEL, flags=ECHO)
    ask("DEL the local port", VPORT, DEL, number_of(0), flags=ECHO)
    ask("DEL the local port by name", VPORT, DEL, text(Vport.NAME, "dp0"), flags=ECHO)
    ask("DEL unknown", VPORT, DEL, number_of(77), flags=ECHO)
    ask("DEL by number, ECHO", VPORT, DEL, ONE, flags=ECHO)
    ask("DEL again", VPORT, DEL, ONE, flags=ECHO)
    ask("DEL by name of dp 0", VPORT, DEL, text(Vport.NAME, "p2"), flags=ECHO, dp=0)
    ask("DEL, ACK", VPORT, DEL, text(Vport.NAME, "in0"), flags=ACK)
    ask("dump", VPORT, GET, flags=DUMP)
    ask("delete the datapath with ports", DATAPATH, DEL, flags=ECHO)
    ask("the ports are gone", VPORT, GET, number_of(3))


def two_datapaths(script: Script) -> None:
    ask = script.ask
    pid = attr(Vport.UPCALL_PID, u32(0))
    script.make_datapath()
    other = (text(Dp.NAME, "dp1"), attr(Dp.UPCALL_PID, u32(0)), attr(Dp.IFINDEX, u32(778)))
    ask("another datapath", DATAPATH, NEW, *other, flags=ECHO, dp=0)
    script.make_port(1, "p1")
    ask("p1 in the other, too", VPORT, NEW, P1, kind(NETDEV), pid, flags=ECHO, dp=778)
    ask("its local port, too", VPORT, NEW, text(3, "dp1"), kind(NETDEV), pid, flags=ECHO)
    ask("p2 in the other", VPORT, NEW, text(3, "p2"), kind(NETDEV), pid, flags=ECHO, dp=778)
    ask("p2 by name, wrong datapath", VPORT, GET, text(3, "p2"))
    ask("p2 by name, no datapath", VPORT, GET, text(3, "p2"), dp=0)
    ask("p2 by number", VPORT, GET, ONE, dp=778)
    ask("SET by name, wrong datapath", VPORT, SET, text(3, "p2"), flags=ECHO)
    ask("dump of the other", VPORT, GET, flags=DUMP, dp=778)
    ask("delete the other", DATAPATH, DEL, flags=ECHO, dp=778)
    ask("p2 is free", VPORT, NEW, text(3, "p2"), kind(NETDEV), pid, flags=ECHO)


SCENARIOS = tuple(
    Scenario(f"vport {run.__name__}", run)
    for run in (reading, making, pids, changing, two_datapaths)
)
