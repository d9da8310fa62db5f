"""The schemas of all families: messages out and in, and names as the headers spell them."""

from __future__ import annotations

import struct
from errno import EINVAL, ERANGE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError, LayoutError
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, SocketAttr
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd, DpStats, MegaflowStats
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from tests.wire import strategies

SCHEMAS = [NLCTRL, CONTROL, DATAPATH]

every_schema = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)


@every_schema
@given(data=st.data())
def test_round_trip(schema: FamilySchema, data: st.DataObject) -> None:
    message = data.draw(strategies.messages(schema))
    built = schema.build(message)
    assert schema.parse(built) == message
    # A buffer may be longer than the message in it.
    assert schema.parse(built + b"\xff" * 5) == message
    text = schema.format(message)
    assert text.startswith(schema.command_prefix)
    assert "\n" not in text


@every_schema
@given(content=st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(schema: FamilySchema, content: bytes) -> None:
    lengths = (len(content), schema.attributes_start, 0)
    for claimed in lengths:
        data = struct.pack("=I", claimed) + content[4:] if len(content) >= 4 else content
        try:
            message = schema.parse(data)
        except DatapathError as error:
            assert error.errno in (EINVAL, ERANGE)
        else:
            assert schema.format(message)


@every_schema
def test_lengths_are_claims(schema: FamilySchema) -> None:
    built = schema.build(Message(schema.id, 3))
    with pytest.raises(DatapathError, match="bytes of headers"):
        schema.parse(built[:-1])
    for claimed in (0, schema.attributes_start - 1, len(built) + 1, 2**32 - 1):
        with pytest.raises(DatapathError, match="nlmsg_len"):
            schema.parse(struct.pack("=I", claimed) + built[4:])


def test_attributes_must_fit() -> None:
    built = bytearray(DATAPATH.build(Message(0x12, DpCmd.GET, {DpAttr.NAME: "br0"})))
    struct.pack_into("=H", built, 24, 9)
    with pytest.raises(LayoutError):
        DATAPATH.parse(bytes(built))


def test_unknown_attributes_cannot_be_sent() -> None:
    with pytest.raises(KeyError):
        DATAPATH.build(Message(0x12, DpCmd.GET, {int(DpAttr.PAD): b""}))


def test_datapath_reply_has_the_bytes_of_the_kernel() -> None:
    """A reply for "rd0" has 120 bytes, with one PID for a CPU 128 (capture 7-raw)."""
    message = Message(
        type=0x12,
        command=DpCmd.GET,
        dp_ifindex=9,
        sequence=4,
        pid=147,
        version=2,
        attributes={
            DpAttr.NAME: "rd0",
            DpAttr.STATS: DpStats(1, 2, 3, 4),
            DpAttr.MEGAFLOW_STATS: MegaflowStats(5, 6, 0, 7, 0),
            DpAttr.USER_FEATURES: 9,
            DpAttr.MASKS_CACHE_SIZE: 256,
        },
    )
    built = DATAPATH.build(message)
    assert built == (
        struct.pack("=IHHIIBBHi", 120, 0x12, 0, 4, 147, 3, 2, 0, 9)
        + struct.pack("=HH4s", 8, 1, b"rd0\0")
        + struct.pack("=HHQQQQ", 36, 3, 1, 2, 3, 4)
        + struct.pack("=HHQIIQQ", 36, 4, 5, 6, 0, 7, 0)
        + struct.pack("=HHI", 8, 5, 9)
        + struct.pack("=HHI", 8, 7, 256)
    )
    message.attributes[int(DpAttr.PER_CPU_PIDS)] = (1,)
    assert len(DATAPATH.build(message)) == 128


def test_sock_prop_has_the_bytes_of_ovs() -> None:
    """What lib/netlink-socket.c of v3.7.1 sends first: 40 bytes."""
    built = CONTROL.build(
        Message(
            0x11,
            ControlCmd.SOCK_PROP,
            {SocketAttr.SOCK_PROTO: 16, SocketAttr.SOCK_PID: 5},
            sequence=1,
            pid=5,
            version=1,
        )
    )
    assert built == struct.pack(
        "=IHHIIBBHi HHI HHI", 40, 0x11, 0, 1, 5, 6, 1, 0, 0, 8, 0, 16, 8, 1, 5
    )


def test_nlctrl_has_no_ovs_header() -> None:
    built = NLCTRL.build(Message(0x10, CtrlCmd.GETFAMILY, {CtrlAttr.FAMILY_ID: 0x12}))
    assert built == struct.pack("=IHHIIBBH HHHxx", 28, 0x10, 0, 0, 0, 3, 0, 0, 6, 1, 0x12)


@pytest.mark.parametrize(
    ("schema", "message", "text"),
    [
        (DATAPATH, Message(0x12, 3), "OVS_DP_CMD_GET"),
        (DATAPATH, Message(0x12, 77), "OVS_DP_CMD(77)"),
        (
            DATAPATH,
            Message(0x12, 1, {DpAttr.NAME: "br0", DpAttr.USER_FEATURES: 3}, 4),
            'OVS_DP_CMD_NEW dp_ifindex=4 {NAME="br0", USER_FEATURES=0x3(UNALIGNED|VPORT_PIDS)}',
        ),
        (
            CONTROL,
            Message(0x11, 6, {SocketAttr.SOCK_PROTO: 16, SocketAttr.SOCK_PID: 5}),
            "OVS_CTRL_CMD_SOCK_PROP {SOCK_PROTO=16, SOCK_PID=5}",
        ),
    ],
)
def test_format(schema: FamilySchema, message: Message, text: str) -> None:
    assert schema.format(message) == text


@pytest.mark.parametrize(
    ("schema", "number", "name", "version", "start"),
    [
        (NLCTRL, 0x10, "nlctrl", 2, 20),
        (CONTROL, 0x11, "ovs_win_control", 1, 24),
        (DATAPATH, 0x12, "ovs_datapath", 2, 24),
    ],
)
def test_numbers(schema: FamilySchema, number: int, name: str, version: int, start: int) -> None:
    assert (schema.id, schema.name, schema.version) == (number, name, version)
    assert schema.attributes_start == start
