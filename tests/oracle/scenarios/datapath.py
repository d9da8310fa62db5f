"""`ovs_datapath`: every command, attribute and error."""

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
    text,
    u16,
    u32,
)
from tests.oracle.steps import Scenario, Script

NAME = text(Dp.NAME, "dp0")


def commands(script: Script) -> None:
    pid = attr(Dp.UPCALL_PID, u32(script.listener))
    ask = script.ask
    ask("GET, there is none", DATAPATH, GET, dp=0)
    ask("dump, there is none", DATAPATH, GET, flags=DUMP, dp=0)
    ask("unknown name", DATAPATH, GET, text(Dp.NAME, "none"), dp=0)
    ask("unknown index", DATAPATH, GET, dp=4242)
    ask("negative index", DATAPATH, GET, dp=-1)
    ask("NEW without NAME", DATAPATH, NEW, pid, dp=0)
    ask("NEW without UPCALL_PID", DATAPATH, NEW, NAME, dp=0)
    script.make_datapath()
    ask("NEW again", DATAPATH, NEW, NAME, pid, flags=ACK, dp=0)
    ask("NEW again by an old client", DATAPATH, NEW, NAME, pid, dp=0, version=1)
    ask("features after that", DATAPATH, GET)
    ask("GET by name and a wrong index", DATAPATH, GET, NAME, dp=4242)
    ask("GET by index", DATAPATH, GET)
    ask("GET, ACK", DATAPATH, GET, flags=ACK)
    ask("GET, ACK and ECHO", DATAPATH, GET, flags=ACK | ECHO)
    ask("GET, ROOT alone", DATAPATH, GET, flags=0x100)
    ask("GET, MATCH alone", DATAPATH, GET, flags=0x200)
    ask("dump", DATAPATH, GET, flags=DUMP, dp=0)
    ask("dump, ACK", DATAPATH, GET, flags=DUMP | ACK, dp=0)
    ask("dump by index", DATAPATH, GET, flags=DUMP)
    ask("dump with a bad attribute", DATAPATH, GET, attr(Dp.NAME, b""), flags=DUMP)
    ask("NEW with DUMP", DATAPATH, NEW, NAME, pid, flags=DUMP)
    ask("SET, nothing", DATAPATH, SET)
    ask("SET, nothing, ECHO", DATAPATH, SET, flags=ECHO)
    ask("SET, ACK", DATAPATH, SET, flags=ACK)
    ask("SET unknown index", DATAPATH, SET, dp=4242)
    for command in (0, 5, 6, 9, 255):
        ask(f"command {command}", DATAPATH, command)
    for version in (0, 1, 3, 77):
        ask(f"GET, version {version}", DATAPATH, GET, version=version)
    ask("DEL unknown", DATAPATH, DEL, dp=4242)
    ask("DEL by name, ECHO", DATAPATH, DEL, NAME, flags=ECHO, dp=0)
    ask("DEL again", DATAPATH, DEL, NAME, dp=0)
    script.make_datapath()
    ask("DEL by index, ACK", DATAPATH, DEL, flags=ACK)
    script.make_datapath()
    ask("DEL, silent", DATAPATH, DEL)
    ask("GET after that", DATAPATH, GET)


def names(script: Script) -> None:
    """NEW by name; each is deleted by the same name."""
    pid = attr(Dp.UPCALL_PID, u32(0))
    for label, name in {
        "slash": b"a/b\0",
        "colon": b"a:b\0",
        "dot": b".\0",
        "two dots": b"..\0",
        "space": b"a b\0",
        "empty": b"\0",
        "no byte": b"",
        "fifteen": b"a" * 15 + b"\0",
        "sixteen": b"a" * 16 + b"\0",
        "fifteen without NUL": b"a" * 15,
        "sixteen without NUL": b"a" * 16,
        "without NUL": b"abc",
        "NUL within": b"ab\0cd\0",
        "tab": b"a\tb\0",
        "not ASCII": "bé".encode() + b"\0",
        "not UTF-8": b"b\xff\xfe\0",
        "DEL character": b"a\x7f\0",
        "of an interface": b"p1\0",
        "lo": b"lo\0",
        "percent": b"a%b\0",
        "percent d": b"dp%d\0",
        "two percent d": b"dp%d%d\0",
    }.items():
        attributes = (attr(Dp.NAME, name), pid, attr(Dp.IFINDEX, u32(50)))
        script.ask(f"NEW, name: {label}", DATAPATH, NEW, *attributes, flags=ECHO, dp=0)
        script.ask(f"GET, name: {label}", DATAPATH, GET, attr(Dp.NAME, name), dp=0)
        script.ask(f"DEL, name: {label}", DATAPATH, DEL, dp=50)


def attributes(script: Script) -> None:
    ask = script.ask
    index = attr(Dp.IFINDEX, u32(50))
    pid = attr(Dp.UPCALL_PID, u32(script.pid))

    def new(label: str, *more: bytes, delete: int = 50) -> None:
        ask(f"NEW, {label}", DATAPATH, NEW, *more, flags=ECHO, dp=0)
        ask(f"DEL after {label}", DATAPATH, DEL, dp=delete)

    new("no feature", NAME, pid, index)
    for features in (0, 1, 2, 3, 4, 8, 9, 11, 12, 0x10, 0x80000003, 0xFFFFFFFF):
        new(f"features {features:#x}", NAME, pid, index, attr(Dp.USER_FEATURES, u32(features)))
    for label, value in {
        "no PID": b"",
        "three bytes": b"abc",
        "five bytes": b"abcde",
        "two": u32(1, 2),
        "three": u32(1, 2, 3),
    }.items():
        new(f"UPCALL_PID: {label}", NAME, attr(Dp.UPCALL_PID, value), index)
        new(
            f"UPCALL_PID with VPORT_PIDS: {label}",
            NAME,
            attr(Dp.UPCALL_PID, value),
            index,
            attr(Dp.USER_FEATURES, u32(2)),
        )
    for size in (0, 1, 2, 3, 100, 256, 4096, 4097, 8192, 1 << 20, 0xFFFFFFFF):
        new(f"MASKS_CACHE_SIZE {size}", NAME, pid, index, attr(Dp.MASKS_CACHE_SIZE, u32(size)))
    for number in (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        new(f"IFINDEX {number:#x}", NAME, pid, attr(Dp.IFINDEX, u32(number)), delete=number & 0x7F)
        ask("DEL by name", DATAPATH, DEL, NAME, dp=0)
    for number in (3, 4, 6, 10, 40):
        for size in (0, 3, 4, 32):
            new(f"attribute {number} of {size} bytes", NAME, pid, index, attr(number, bytes(size)))
    for number in (Dp.USER_FEATURES, Dp.MASKS_CACHE_SIZE, Dp.IFINDEX):
        for size in (0, 2, 3, 5, 8):
            new(f"{number.name} of {size} bytes", NAME, pid, index, attr(number, bytes(size)))
    new("NAME twice", NAME, text(Dp.NAME, "dp1"), pid, index)
    new("NLA_F_NESTED on NAME", attr(Dp.NAME | 0x8000, b"dp0\0"), pid, index)
    new("NET_BYTEORDER on NAME", attr(Dp.NAME | 0x4000, b"dp0\0"), pid, index)
    new("length beyond the message", NAME, pid, index, attr(Dp.USER_FEATURES, u32(1), length=40))
    new("length 3", NAME, pid, index, attr(Dp.USER_FEATURES, u32(1), length=3))
    new("length 0", NAME, pid, index, attr(Dp.USER_FEATURES, u32(1), length=0))
    new("trailing bytes", NAME, pid, index, b"\1\2\3")
    new("attribute 0", attr(0, b"abcd"), NAME, pid, index)


def settings(script: Script) -> None:
    """SET of what may be set, and what is remembered."""
    ask = script.ask
    script.make_datapath()
    for features in (0x10, 4, 0x80000009, 0, 3, 8, 9, 1):
        feature = attr(Dp.USER_FEATURES, u32(features))
        ask(f"features {features:#x}", DATAPATH, SET, feature, flags=ECHO)
        ask("read", DATAPATH, GET)
        for label, value in {
            "none": b"",
            "three bytes": b"abc",
            "six bytes": b"abcdef",
            "one": u32(script.listener),
            "two": u32(script.pid, script.listener),
            "five": u32(1, 2, 3, 4, 5),
        }.items():
            pids = attr(Dp.PER_CPU_PIDS, value)
            ask(f"features {features:#x}, PIDs: {label}", DATAPATH, SET, feature, pids, flags=ECHO)
            ask(f"PIDs alone: {label}", DATAPATH, SET, pids, flags=ECHO)
            ask("read", DATAPATH, GET)
    for size in (0, 16, 100, 4096, 5000):
        ask(f"cache {size}", DATAPATH, SET, attr(Dp.MASKS_CACHE_SIZE, u32(size)), flags=ECHO)
    ask("cache and unknown feature", DATAPATH, SET, attr(7, u32(64)), attr(5, u32(0x100)))
    ask("bad cache and a feature", DATAPATH, SET, attr(7, u32(3)), attr(5, u32(1)))
    ask("read", DATAPATH, GET)
    ask("UPCALL_PID", DATAPATH, SET, attr(Dp.UPCALL_PID, u32(9)), flags=ECHO)
    ask("UPCALL_PID of 2 bytes", DATAPATH, SET, attr(Dp.UPCALL_PID, u16(9)), flags=ECHO)
    ask("the local port", VPORT, GET, attr(Vport.PORT_NO, u32(0)))


def several(script: Script) -> None:
    """Many datapaths; the dump tells them in the order in which they were made."""
    pid = attr(Dp.UPCALL_PID, u32(0))
    for number in (60, 40, 80, 50):
        attributes = (text(Dp.NAME, f"x{number}"), pid, attr(Dp.IFINDEX, u32(number)))
        script.ask(f"make {number}", DATAPATH, NEW, *attributes, flags=ECHO, dp=0)
    script.ask("dump", DATAPATH, GET, flags=DUMP, dp=0)
    script.ask("delete one", DATAPATH, DEL, dp=40)
    script.ask("dump", DATAPATH, GET, flags=DUMP, dp=0)
    script.ask("the local port of the second", VPORT, GET, text(Vport.NAME, "x80"), dp=0)
    for number in (60, 80, 50):
        script.ask(f"delete {number}", DATAPATH, DEL, dp=number)


SCENARIOS = tuple(
    Scenario(f"datapath {run.__name__}", run)
    for run in (commands, names, attributes, settings, several)
)
