"""What is a difference between two answers, and what is none."""

from __future__ import annotations

from errno import EEXIST, ENODEV

import pytest

from ovsdp_cuse.replay.compare import compare, is_dump, kind_of
from ovsdp_cuse.replay.numbers import Side
from ovsdp_cuse.wire.attributes import Attributes, pack_attribute
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NLM_F_DUMP,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    build_done,
    build_error,
)

SIDE = Side({DATAPATH.name: DATAPATH}, {DATAPATH.name: 0x30}, {})


def datapath(
    attributes: Attributes, command: int = DpCmd.NEW, flags: int = 0, dp_ifindex: int = 1
) -> bytes:
    """A message of a datapath."""
    return DATAPATH.build(Message(0x30, command, attributes, dp_ifindex, flags, 5, 7, 2))


REQUEST = datapath({DpAttr.NAME: "dp0"}, DpCmd.GET, NLM_F_REQUEST)
DUMP = datapath({}, DpCmd.GET, NLM_F_REQUEST | NLM_F_DUMP)
HEADER = NETLINK_HEADER.parse(REQUEST)
REPLY = datapath({DpAttr.NAME: "dp0", DpAttr.USER_FEATURES: 1})
DONE = build_done(HEADER, 0, 7)


def error(errno: int, message: str | None = None, offset: int | None = None) -> bytes:
    """An NLMSG_ERROR."""
    return build_error(REQUEST, errno, capped=False, portid=7, message=message, offset=offset)


def told(there: list[bytes], here: list[bytes], request: bytes = REQUEST) -> list[str]:
    """The differences, as they are printed."""
    return [str(found) for found in compare(SIDE, request, there, here)]


@pytest.mark.parametrize(
    "answer", [[], [REPLY], [REPLY, REPLY], [error(EEXIST)], [error(0)], [DONE], [b"x" * 20]]
)
def test_the_same_is_no_difference(answer: list[bytes]) -> None:
    assert told(answer, answer) == []


@pytest.mark.parametrize(
    ("there", "here", "differences"),
    [
        ([REPLY], [], ["reply: recorded OVS_DP_CMD_NEW, got none"]),
        ([], [error(0)], ["reply: recorded none, got ACK"]),
        (
            [error(EEXIST)],
            [error(ENODEV)],
            ["reply: recorded NLMSG_ERROR EEXIST, got NLMSG_ERROR ENODEV"],
        ),
        ([REPLY], [REPLY, DONE], ["reply 2: recorded none, got NLMSG_DONE"]),
        (
            [REPLY],
            [datapath({DpAttr.NAME: "dp1", DpAttr.USER_FEATURES: 1})],
            ['reply: OVS_DP_ATTR_NAME: recorded "dp0", got "dp1"'],
        ),
        (
            [REPLY],
            [datapath({DpAttr.NAME: "dp0"}, dp_ifindex=2)],
            [
                "reply: dp_ifindex: recorded 1, got 2",
                "reply: OVS_DP_ATTR_USER_FEATURES: recorded 0x1(UNALIGNED), got none",
            ],
        ),
        (
            [REPLY],
            [datapath({DpAttr.USER_FEATURES: 1, DpAttr.NAME: "dp0"})],
            [
                "reply: order: recorded OVS_DP_ATTR_NAME OVS_DP_ATTR_USER_FEATURES, "
                "got OVS_DP_ATTR_USER_FEATURES OVS_DP_ATTR_NAME"
            ],
        ),
        (
            [REPLY],
            [datapath({DpAttr.NAME: "dp0", DpAttr.USER_FEATURES: 1}, flags=NLM_F_MULTI)],
            ["reply: nlmsg_flags: recorded 0, got 2"],
        ),
    ],
)
def test_differences(there: list[bytes], here: list[bytes], differences: list[str]) -> None:
    assert told(there, here) == differences


def test_statistics_are_not_compared() -> None:
    one, other = (
        datapath({DpAttr.NAME: "dp0"}) + pack_attribute(DpAttr.STATS, bytes([n]) * 32)
        for n in (1, 2)
    )
    assert told([one], [other]) == []


def test_texts_of_errors_are_not_compared_but_whom_they_blame() -> None:
    assert told([error(EEXIST, "it is there")], [error(EEXIST, "taken")]) == []
    assert told([error(EEXIST, offset=24)], [error(EEXIST, offset=24)]) == []
    assert told([error(EEXIST, offset=24)], [error(EEXIST)]) == [
        "reply: attribute to blame: recorded at byte 24, got at byte None"
    ]
    assert told([error(EEXIST)], [error(EEXIST, offset=24)]) == []


def test_the_order_of_a_dump_is_nobody_s_promise() -> None:
    parts = [datapath({DpAttr.NAME: f"dp{n}"}, flags=NLM_F_MULTI) for n in range(3)]
    assert told([*parts, DONE], [*reversed(parts), DONE], DUMP) == []
    assert told([*parts, DONE], [parts[2], parts[0], DONE], DUMP) == [
        "reply 4: recorded OVS_DP_CMD_NEW, got none"
    ]
    assert len(told([*parts, DONE], [*reversed(parts), DONE])) == 2


def test_what_is_a_dump() -> None:
    assert is_dump(DUMP)
    assert not is_dump(REQUEST)
    assert not is_dump(datapath({}, flags=NLM_F_DUMP))


def test_kinds_of_messages() -> None:
    assert kind_of(SIDE, None) == "none"
    assert kind_of(SIDE, NETLINK_HEADER.pack(20, 0x99, 0, 0, 0) + bytes(4)) == (
        "a message of type 0x99"
    )
    assert kind_of(SIDE, build_done(HEADER, ENODEV, 7)) == "NLMSG_DONE ENODEV"
