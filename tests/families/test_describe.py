"""Messages in words: what must stand in a line, and a line for any bytes."""

from __future__ import annotations

import json
from errno import EAGAIN, EEXIST, EINVAL, ENODEV, EOPNOTSUPP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.command_line import documents
from ovsdp_cuse.errors import DatapathError, errno_name
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.describe import (
    ANSWER_FLAGS,
    GET_FLAGS,
    HEX_LIMIT,
    NEW_FLAGS,
    attribute_name,
    describe,
    describe_error,
    describe_flags,
    printable,
)
from ovsdp_cuse.families.registry import DeviceOperation, Family, Registry
from ovsdp_cuse.wire.attributes import offset_of
from ovsdp_cuse.wire.control import CONTROL, ControlCmd
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlAttrMcastGrp
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, build_done, build_error
from ovsdp_cuse.wire.values import String
from tests.client.families import BIG, SCHEMA, BigAttr, BigCmd
from tests.families.doors import ACK, DUMP, ECHO, build
from tests.wire.strategies import messages

REGISTRY = Registry((*BUILT_IN, BIG))
SCHEMAS = tuple(family.schema for family in REGISTRY)


def line(
    data: bytes, operation: DeviceOperation | None = None, request: bytes = b""
) -> tuple[str, bool]:
    """The one line for `data`."""
    (found,) = describe(REGISTRY, data, operation, request)
    return found.text, found.is_error


def test_a_request() -> None:
    attributes = {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,), DpAttr.USER_FEATURES: 1}
    assert line(build(DATAPATH, DpCmd.NEW, attributes, flags=ECHO, dp_ifindex=3, pid=9)) == (
        "ovs_datapath OVS_DP_CMD_NEW REQUEST|ECHO seq=7 pid=9 dp_ifindex=3 "
        '{NAME="dp0", UPCALL_PID=[0], USER_FEATURES=0x1(UNALIGNED)}',
        False,
    )


def test_a_family_without_the_ovs_header() -> None:
    assert line(build(NLCTRL, 3, {CtrlAttr.FAMILY_ID: 18}, flags=DUMP)) == (
        "nlctrl CTRL_CMD_GETFAMILY REQUEST|DUMP seq=7 {FAMILY_ID=18}",
        False,
    )


def test_a_number_that_is_two_commands() -> None:
    request = build(CONTROL, ControlCmd.WIN_PEND_REQ)
    assert "OVS_CTRL_CMD_WIN_GET_PID" in line(request, DeviceOperation.TRANSACT)[0]
    assert "OVS_CTRL_CMD_WIN_PEND_REQ" in line(request, DeviceOperation.WRITE)[0]


def test_the_answer_of_2014() -> None:
    assert line(bytes(12) + (9).to_bytes(4, "little") + bytes(8)) == (
        "the answer to WIN_GET_PID, pid=9",
        False,
    )


def test_several_messages_of_a_part() -> None:
    one, other = build(DATAPATH, DpCmd.GET, tail=b"\4\0\0\0"), build(CONTROL, 6)
    done = build_done(NETLINK_HEADER.parse(one), 0, 9)
    lines = [found.text for found in describe(REGISTRY, one + other + done)]
    assert [text.split()[0] for text in lines] == ["ovs_datapath", "ovs_win_control", "NLMSG_DONE"]
    assert lines[2] == "NLMSG_DONE MULTI seq=7 pid=9"


@pytest.mark.parametrize("capped", [True, False])
def test_an_error_names_the_attribute(capped: bool) -> None:
    request = build(
        SCHEMA, BigCmd.ECHO, {BigAttr.PAYLOAD: b"abc", BigAttr.NEST: {BigAttr.COUNT: 1}}
    )
    offset = offset_of(request, SCHEMA.attributes_start, (BigAttr.NEST, BigAttr.COUNT))
    error = build_error(request, EEXIST, capped=capped, portid=9, message="taken", offset=offset)
    text, is_error = line(error, None, request if capped else b"")
    assert is_error
    flags = "CAPPED|ACK_TLVS" if capped else "ACK_TLVS"
    assert text == (f'NLMSG_ERROR EEXIST {flags} seq=7 pid=9 "taken" BIG_ATTR_NEST/BIG_NEST_COUNT')


def test_an_error_whose_request_is_not_known() -> None:
    request = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"})
    error = build_error(request, ENODEV, capped=True, portid=9, offset=24)
    another = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"}, sequence=8)
    for known in (b"", another, b"\0"):
        assert line(error, None, known)[0].endswith("pid=9 at byte 24")
    assert line(error, None, request)[0].endswith("pid=9 OVS_DP_ATTR_NAME")


def test_an_acknowledgement_and_an_unfinished_dump() -> None:
    request = build(DATAPATH, DpCmd.GET, flags=ACK)
    acknowledgement = build_error(request, 0, capped=True, portid=9)
    assert line(acknowledgement) == ("ACK CAPPED seq=7 pid=9", False)
    done = build_done(NETLINK_HEADER.parse(request), ENODEV, 9, "gone")
    assert line(done) == ('NLMSG_DONE ENODEV MULTI|ACK_TLVS seq=7 pid=9 "gone"', True)


@pytest.mark.parametrize(
    ("data", "text", "is_error"),
    [
        ("00", "no message: 00", True),
        ("ff000000 1200 0000 00000000 00000000", "no message: ff000000 12000000", True),
        ("10000000 0100 0100 07000000 00000000", "NLMSG_NOOP REQUEST seq=7", False),
        ("14000000 0500 0000 00000000 00000000 aabbccdd", "NLMSG(5) seq=0 aabbccdd", False),
        ("14000000 0200 0000 00000000 00000000 ffffffff", "NLMSG_ERROR 14000000", True),
        ("14000000 9900 0000 00000000 00000000 03020000", "family 0x99 seq=0 03020000", False),
        ("12000000 1200 0000 00000000 00000000 0302", "ovs_datapath seq=0 0302", False),
        (
            "14000000 1200 0000 00000000 00000000 03020000",
            "ovs_datapath OVS_DP_CMD_GET seq=0",
            False,
        ),
        (
            "18000000 1200 0000 00000000 00000000 63020000 00000000",
            "ovs_datapath OVS_DP_CMD(99) seq=0 dp_ifindex=0 {}",
            False,
        ),
        (
            "1c000000 1200 0000 00000000 00000000 03020000 00000000 08000100",
            "ovs_datapath OVS_DP_CMD_GET seq=0 dp_ifindex=0 "
            "(EINVAL: attribute 1 claims 8 bytes, 4 are there (OVS_DP_ATTR_NAME)) 08000100",
            False,
        ),
    ],
)
def test_what_cannot_be_decoded_is_hexadecimal(data: str, text: str, is_error: bool) -> None:
    found = line(bytes.fromhex(data))
    assert found[0].startswith(text)
    assert found[1] == is_error


def test_long_hexadecimal_is_cut() -> None:
    text, _is_error = line(bytes(1000))
    assert text.endswith("... (1000 bytes)")
    assert len(text) < 3 * HEX_LIMIT


def test_a_family_whose_values_cannot_be_shown() -> None:
    class Broken(String):
        def format(self, obj: object) -> str:
            raise RuntimeError("no words")

    schema = FamilySchema(
        0x77,
        "broken",
        1,
        "BROKEN",
        DpCmd,
        type(DATAPATH.attributes)("B", {DpAttr.NAME: Broken(15)}),
    )
    registry = Registry([Family(schema, ())])
    (found,) = describe(registry, build(schema, 1, {DpAttr.NAME: "x"}))
    assert found.is_error
    assert found.text.startswith("not decodable (no words): 20000000")


@pytest.mark.parametrize(
    ("flags", "upper", "text"),
    [
        (0, GET_FLAGS, ""),
        (0x301, GET_FLAGS, "REQUEST|DUMP"),
        (0x705, GET_FLAGS, "REQUEST|ACK|DUMP|ATOMIC"),
        (0x101, GET_FLAGS, "REQUEST|ROOT"),
        (0xE00, NEW_FLAGS, "EXCL|CREATE|APPEND"),
        (0x300, ANSWER_FLAGS, "CAPPED|ACK_TLVS"),
        (0xF032, GET_FLAGS, "MULTI|DUMP_INTR|DUMP_FILTERED|0xf000"),
    ],
)
def test_flags(flags: int, upper: dict[int, str], text: str) -> None:
    assert describe_flags(flags, upper) == text


def test_names_along_a_path() -> None:
    groups = (CtrlAttr.MCAST_GROUPS, 5, CtrlAttrMcastGrp.NAME)
    named = "CTRL_ATTR_MCAST_GROUPS/5/CTRL_ATTR_MCAST_GRP_NAME"
    assert attribute_name(NLCTRL.attributes, groups) == named
    assert attribute_name(DATAPATH.attributes, (DpAttr.NAME, 3)) == "OVS_DP_ATTR_NAME/3"
    assert attribute_name(DATAPATH.attributes, (77,)) == "OVS_DP_ATTR(77)"


def test_errors() -> None:
    error = DatapathError(EINVAL, "no", (DpAttr.NAME,))
    assert describe_error(error, DATAPATH.attributes) == "EINVAL: no (OVS_DP_ATTR_NAME)"
    assert describe_error(error, None) == "EINVAL: no"
    assert describe_error(DatapathError(EINVAL, ""), None) == "EINVAL: Invalid argument"
    names = [errno_name(number) for number in (EOPNOTSUPP, EAGAIN, 4095)]
    assert names == ["EOPNOTSUPP", "EAGAIN", "4095"]


def test_nothing_moves_the_cursor() -> None:
    assert printable("dp0") == "dp0"
    assert printable("d\x1b[2J\n\udcff\u202e") == r"d\x1b[2J\n\udcff\u202e"


def check(data: bytes, operation: DeviceOperation | None, request: bytes) -> None:
    """There are lines, each of them one line; and a document that JSON can hold."""
    lines = describe(REGISTRY, data, operation, request)
    assert bool(lines) == bool(data)
    assert all(found.text and found.text.isprintable() for found in lines)
    json.dumps(documents.messages(REGISTRY, data))


operations = st.one_of(st.none(), st.sampled_from(DeviceOperation))


@given(st.binary(max_size=200), operations, st.binary(max_size=40))
def test_any_bytes(data: bytes, operation: DeviceOperation | None, request: bytes) -> None:
    check(data, operation, request)


@given(
    st.integers(0, 80),
    st.sampled_from([1, 2, 3, 4, 0x10, 0x11, 0x12, 0x66, 0x99]),
    st.integers(0, 2**16 - 1),
    st.binary(max_size=80),
)
def test_any_payload_behind_a_header(length: int, kind: int, flags: int, tail: bytes) -> None:
    data = NETLINK_HEADER.pack(min(length, 16 + len(tail)), kind, flags, 7, 9) + tail
    check(data, None, data)


@given(st.data(), operations)
def test_any_message_and_a_change_in_it(
    data: st.DataObject, operation: DeviceOperation | None
) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    message = data.draw(messages(schema))
    message.type = schema.id
    built = schema.build(message)
    check(built, operation, built)
    changed = bytearray(built)
    changed[data.draw(st.integers(0, len(built) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(changed), operation, built)
