"""The generic netlink controller, and what netlink itself does with messages."""

from __future__ import annotations

from tests.oracle import messages
from tests.oracle.messages import (
    ACK,
    DUMP,
    ECHO,
    FAMILY_NAMES,
    GETFAMILY,
    NLCTRL,
    NLMSG_HEADER,
    Ctrl,
    attr,
    message,
    text,
    u16,
)
from tests.oracle.steps import Scenario, Script


def families(script: Script) -> None:
    for number, name in FAMILY_NAMES.items():
        script.ask(f"{name} by name", NLCTRL, GETFAMILY, text(Ctrl.FAMILY_NAME, name))
        script.ask(f"{name} by id", NLCTRL, GETFAMILY, attr(Ctrl.FAMILY_ID, u16(number)))
    script.ask("no such name", NLCTRL, GETFAMILY, text(Ctrl.FAMILY_NAME, "nosuchfam"))
    script.ask("no such id", NLCTRL, GETFAMILY, attr(Ctrl.FAMILY_ID, u16(999)))
    script.ask("no attribute", NLCTRL, GETFAMILY)
    script.ask("a name of 15", NLCTRL, GETFAMILY, text(Ctrl.FAMILY_NAME, "a" * 15))
    script.ask("a name of 16", NLCTRL, GETFAMILY, text(Ctrl.FAMILY_NAME, "a" * 16))
    script.ask("a name without its NUL", NLCTRL, GETFAMILY, attr(Ctrl.FAMILY_NAME, b"ovs_flow"))
    script.ask("an id of one byte", NLCTRL, GETFAMILY, attr(Ctrl.FAMILY_ID, b"\x10"))
    script.ask("an id of four bytes", NLCTRL, GETFAMILY, attr(Ctrl.FAMILY_ID, b"\x10\0\0\0"))
    script.ask(
        "id and name that are not of one family",
        NLCTRL,
        GETFAMILY,
        attr(Ctrl.FAMILY_ID, u16(NLCTRL)),
        text(Ctrl.FAMILY_NAME, "ovs_flow"),
    )
    flow = text(Ctrl.FAMILY_NAME, "ovs_flow")
    script.ask("with ACK", NLCTRL, GETFAMILY, flow, flags=ACK)
    script.ask("with ECHO", NLCTRL, GETFAMILY, flow, flags=ECHO)
    script.ask("version 0", NLCTRL, GETFAMILY, flow, version=0)
    script.ask("version 9", NLCTRL, GETFAMILY, flow, version=9)
    script.ask("unknown attribute", NLCTRL, GETFAMILY, flow, attr(60, b"abc"))
    script.ask("an attribute of the reply", NLCTRL, GETFAMILY, flow, attr(Ctrl.MAXATTR, b"abcd"))
    for command in (0, 1, 2, 4, 7, 9, 11, 255):
        script.ask(f"command {command}", NLCTRL, command, flow)


def netlink(script: Script) -> None:
    get = message(NLCTRL, GETFAMILY, text(Ctrl.FAMILY_NAME, "ovs_flow"), flags=ACK)
    script.write("unknown family", message(999, 1))
    script.write("unknown family, ACK", message(999, 1, flags=ACK))
    script.write("unknown family, header only", NLMSG_HEADER.pack(16, 999, 1, 0, 0))
    script.write("no NLM_F_REQUEST", get[:6] + b"\x04\0" + get[8:])
    script.write("no NLM_F_REQUEST nor ACK", get[:6] + b"\0\0" + get[8:])
    for number in range(16):
        script.write(f"type {number}", NLMSG_HEADER.pack(16, number, 1, 0, 0))
        script.write(f"type {number}, ACK", NLMSG_HEADER.pack(16, number, 5, 0, 0))
    for family in FAMILY_NAMES:
        for size in (16, 17, 19, 20, 23):
            cut = message(family, 3, flags=ACK)[:size]
            script.write(
                f"{FAMILY_NAMES[family]} cut at {size}", size.to_bytes(4, "little") + cut[4:]
            )
    script.write("three at once", get, get, get)
    script.write("one, then a length of 0", get, bytes(16))
    script.write("one, then a length of 8", get, b"\x08" + bytes(15), get)
    script.write("one, then a length beyond the write", get, b"\x80" + bytes(15))
    script.write("dump of nothing that dumps", message(messages.METER, 1, flags=DUMP))
    script.write("GETPOLICY without DUMP", message(NLCTRL, 10, text(2, "ovs_flow")))


SCENARIOS = (Scenario("nlctrl", families), Scenario("netlink", netlink))
