"""The generic netlink controller: what a program learns of the families, byte for byte.

The expected bytes are those of Linux 6.1 (net/netlink/genetlink.c and policy.c), but for the ids.
"""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from tests.contract.doors import ask, failure, get_pid, put, receive, receive_dump, take_dump
from tests.contract.messages import (
    ACK,
    ACK_TLVS,
    CONTROL,
    DATAPATH,
    DONE,
    DUMP,
    ERROR,
    MULTI,
    NLCTRL,
    REQUEST,
    Reply,
    attribute,
    build,
    parse_all,
    text,
    u16,
    u32,
)
from tests.nodes.interface import Handle

NEWFAMILY, GETFAMILY, GETPOLICY = 1, 3, 10
FAMILY_ID, FAMILY_NAME, VERSION, HDRSIZE, MAXATTR, OPS, MCAST_GROUPS, POLICY, OP_POLICY, OP = range(
    1, 11
)
OP_ID, OP_FLAGS = 1, 2
GRP_NAME, GRP_ID = 1, 2
CAP_DO, CAP_DUMP, HAS_POLICY, ADMIN = 2, 4, 8, 0x10


def family(
    name: str,
    id_: int,
    version: int,
    header_size: int,
    maximum: int,
    operations: list[tuple[int, int]],
    groups: list[tuple[int, str]],
) -> bytes:
    """The attributes of NEWFAMILY, in the order of ctrl_fill_info()."""
    ops = b"".join(
        attribute(index, attribute(OP_ID, u32(number)) + attribute(OP_FLAGS, u32(flags)))
        for index, (number, flags) in enumerate(operations, 1)
    )
    grps = b"".join(
        attribute(index, attribute(GRP_ID, u32(number)) + attribute(GRP_NAME, text(group)))
        for index, (number, group) in enumerate(groups, 1)
    )
    return (
        attribute(FAMILY_NAME, text(name))
        + attribute(FAMILY_ID, u16(id_))
        + attribute(VERSION, u32(version))
        + attribute(HDRSIZE, u32(header_size))
        + attribute(MAXATTR, u32(maximum))
        + attribute(OPS, ops)
        + attribute(MCAST_GROUPS, grps)
    )


DATAPATH_FAMILY = family(
    "ovs_datapath",
    DATAPATH,
    2,
    4,
    9,
    [
        (1, CAP_DO | HAS_POLICY | ADMIN),
        (2, CAP_DO | HAS_POLICY | ADMIN),
        (3, CAP_DO | CAP_DUMP | HAS_POLICY),
        (4, CAP_DO | HAS_POLICY | ADMIN),
    ],
    [(102, "ovs_datapath")],
)
NLCTRL_FAMILY = family(
    "nlctrl",
    NLCTRL,
    2,
    0,
    0,
    [(3, CAP_DO | CAP_DUMP | HAS_POLICY), (10, CAP_DUMP | HAS_POLICY)],
    [(16, "notify")],
)
FAMILIES = [("ovs_datapath", DATAPATH, DATAPATH_FAMILY), ("nlctrl", NLCTRL, NLCTRL_FAMILY)]

DATAPATH_POLICY = [
    "0a0200000600010012000000100009800c0001800800010000000000",
    "0a0200000600010012000000100009800c0002800800010000000000",
    "0a0200000600010012000000100009800c0003800800010000000000",
    "0a0200000600010012000000100009800c0004800800010000000000",
    "0a02000006000100120000001c0008801800008014000180080007000f000000080001000c000000",
    "0a02000006000100120000002c00088028000080240002800c00040000000000000000000c000500ffffffff000000"
    "000800010004000000",
    "0a02000006000100120000002c00088028000080240005800c00040000000000000000000c000500ffffffff000000"
    "000800010004000000",
    "0a02000006000100120000002c00088028000080240007800c00040000000000000000000c00050000100000000000"
    "000800010004000000",
    "0a02000006000100120000002c00088028000080240009800c00020000000000000000000c000300ffffff7f000000"
    "000800010008000000",
]
"""GETPOLICY of ovs_datapath without the nlmsghdr of each message, as the kernel's tables give it:
which policy NEW, DEL, GET and SET use, then NAME, UPCALL_PID, USER_FEATURES, MASKS_CACHE_SIZE and
IFINDEX."""


def by_name(name: str, command: int = GETFAMILY, flags: int = REQUEST) -> bytes:
    """A request about the family with this name."""
    return build(NLCTRL, command, attribute(FAMILY_NAME, text(name)), flags=flags, sequence=5)


def by_id(id_: int, command: int = GETFAMILY, flags: int = REQUEST) -> bytes:
    """A request about the family with this id."""
    return build(NLCTRL, command, attribute(FAMILY_ID, u16(id_)), flags=flags, sequence=5)


def new_family(attributes: bytes, pid: int, flags: int = 0) -> bytes:
    """A whole NEWFAMILY."""
    header = struct.pack("=IHHII", 20 + len(attributes), NLCTRL, flags, 5, pid)
    return header + struct.pack("=BBH", NEWFAMILY, 2, 0) + attributes


@pytest.mark.parametrize(("name", "id_", "attributes"), FAMILIES)
def test_a_family_by_name_and_by_id(handle: Handle, name: str, id_: int, attributes: bytes) -> None:
    expected = new_family(attributes, get_pid(handle))
    for request in (by_name(name), by_id(id_)):
        assert ask(handle, request).raw == expected
        handle.write(request)
        assert receive(handle).raw == expected


def test_lengths_are_the_kernel_s() -> None:
    """Measured there: 192 bytes for ovs_datapath, 136 for nlctrl."""
    assert (20 + len(DATAPATH_FAMILY), 20 + len(NLCTRL_FAMILY)) == (192, 136)


def test_the_control_family(handle: Handle) -> None:
    reply = ask(handle, by_name("ovs_win_control"))
    assert reply.attributes[FAMILY_ID] == u16(CONTROL)
    assert reply.attributes[VERSION] == u32(1)
    assert MCAST_GROUPS not in reply.attributes


def test_the_group_of_ports_has_the_number_of_v371(handle: Handle) -> None:
    reply = ask(handle, by_name("ovs_vport"))
    groups = attribute(1, attribute(GRP_ID, u32(101)) + attribute(GRP_NAME, text("ovs_vport")))
    assert reply.attributes[MCAST_GROUPS] == groups


def test_where_name_and_id_differ_the_name_decides(stream: Handle) -> None:
    name, unknown = attribute(FAMILY_NAME, text("ovs_datapath")), attribute(FAMILY_ID, u16(999))
    stream.write(build(NLCTRL, GETFAMILY, unknown, name))
    assert receive(stream).attributes[FAMILY_ID] == u16(DATAPATH)
    nobody, id_ = attribute(FAMILY_NAME, text("nobody")), attribute(FAMILY_ID, u16(DATAPATH))
    stream.write(build(NLCTRL, GETFAMILY, id_, nobody))
    assert receive(stream).errno == 2


@pytest.mark.parametrize(
    ("request_", "errno"),
    [
        pytest.param(by_name("nosuchfam"), 2, id="unknown name"),
        pytest.param(by_id(999), 2, id="unknown id"),
        pytest.param(build(NLCTRL, GETFAMILY), 22, id="neither"),
        pytest.param(build(NLCTRL, GETFAMILY, attribute(1, b"\x12")), 34, id="an id of one byte"),
        pytest.param(build(NLCTRL, GETFAMILY, attribute(2, b"a" * 16)), 22, id="no NUL in a name"),
        pytest.param(by_name("nlctrl", GETPOLICY), 95, id="GETPOLICY of one"),
        pytest.param(by_name("nlctrl", 2), 95, id="DELFAMILY"),
        pytest.param(by_name("nlctrl", GETPOLICY, REQUEST | DUMP | ACK)[:20], 22, id="no policy"),
    ],
)
def test_errors(stream: Handle, request_: bytes, errno: int) -> None:
    request_ = u32(len(request_)) + request_[4:]
    stream.write(request_)
    reply = receive(stream)
    assert (reply.type, reply.errno, reply.request) == (ERROR, errno, request_)


def test_an_id_may_be_wider(stream: Handle) -> None:
    stream.write(build(NLCTRL, GETFAMILY, attribute(FAMILY_ID, u32(DATAPATH))))
    assert receive(stream).attributes[FAMILY_NAME] == text("ovs_datapath")


def test_the_dump_has_all_families_by_ascending_id(handle: Handle) -> None:
    handle.write(build(NLCTRL, GETFAMILY, flags=REQUEST | DUMP, sequence=5))
    parts = receive_dump(handle)
    families = [message for part in parts[:-1] for message in part]
    pid = get_pid(handle)
    assert families[0].raw == new_family(NLCTRL_FAMILY, pid, MULTI)
    assert families[2].raw == new_family(DATAPATH_FAMILY, pid, MULTI)
    ids = [message.number(FAMILY_ID) for message in families]
    assert all(first < second for first, second in pairwise(ids))
    assert (parts[-1][0].type, parts[-1][0].errno) == (DONE, 0)


# Policies ----------------------------------------------------------------------------------------


def policies(handle: Handle, request: bytes) -> list[str]:
    """A dump of policies, each without its nlmsghdr, in hexadecimal."""
    handle.write(request)
    messages = [message for part in receive_dump(handle) for message in part]
    assert all((message.type, message.flags) == (NLCTRL, MULTI) for message in messages[:-1])
    assert (messages[-1].type, messages[-1].errno) == (DONE, 0)
    return [message.raw[16:].hex() for message in messages[:-1]]


def test_the_policy_of_a_family(handle: Handle) -> None:
    for request in (
        by_name("ovs_datapath", GETPOLICY, REQUEST | DUMP),
        by_id(DATAPATH, GETPOLICY, REQUEST | DUMP),
    ):
        assert policies(handle, request) == DATAPATH_POLICY
        put(handle, request)
        parts = take_dump(handle)
        assert [m.raw[16:].hex() for part in parts[:-1] for m in part] == DATAPATH_POLICY


@pytest.mark.parametrize("command", [1, 2, 3, 4])
def test_the_policy_of_a_command(handle: Handle, command: int) -> None:
    id_, op = attribute(FAMILY_ID, u16(DATAPATH)), attribute(OP, u32(command))
    request = build(NLCTRL, GETPOLICY, id_, op, flags=REQUEST | DUMP)
    assert policies(handle, request) == [DATAPATH_POLICY[command - 1], *DATAPATH_POLICY[4:]]


def test_the_policy_of_nlctrl(handle: Handle) -> None:
    """GETFAMILY is checked when it asks for one, GETPOLICY is for dumps only; two tables."""
    found = policies(handle, by_name("nlctrl", GETPOLICY, REQUEST | DUMP))
    head = "0a020000" + attribute(FAMILY_ID, u16(NLCTRL)).hex()
    do, dump = attribute(1, u32(0)), attribute(2, u32(1))
    assert found[:2] == [
        head + attribute(OP_POLICY | 0x8000, attribute(GETFAMILY | 0x8000, do)).hex(),
        head + attribute(OP_POLICY | 0x8000, attribute(GETPOLICY | 0x8000, dump)).hex(),
    ]
    u16_limits = bytes.fromhex("0c00040000000000000000000c000500ffff0000000000000800010003000000")
    name_limits = bytes.fromhex("080007000f000000080001000c000000")
    for index, line in enumerate(found[2:6]):
        policy, number = divmod(index, 2)
        limits = name_limits if number else u16_limits
        inner = attribute(number + 1 | 0x8000, limits)
        nest = attribute(POLICY | 0x8000, attribute(policy | 0x8000, inner))
        assert line == head + nest.hex()
    assert len(found) == 7, "and GETPOLICY has a third attribute, OP"


def refused(handle: Handle, *attributes: bytes) -> Reply:
    """The NLMSG_ERROR that a dump of policies is refused with."""
    handle.write(build(NLCTRL, GETPOLICY, *attributes, flags=REQUEST | DUMP))
    (reply,) = parse_all(handle.read(4096))
    assert reply.type == ERROR
    return reply


DP_ID = attribute(FAMILY_ID, u16(DATAPATH))


@pytest.mark.parametrize(
    ("attributes", "errno", "offset"),
    [
        pytest.param((), 22, None, id="neither id nor name"),
        pytest.param((attribute(FAMILY_ID, u16(999)),), 2, None, id="unknown id"),
        pytest.param((attribute(FAMILY_NAME, text("nobody")),), 2, None, id="unknown name"),
        pytest.param((DP_ID, attribute(OP, u32(77))), 2, None, id="unknown command"),
        pytest.param((DP_ID, attribute(11, u32(1))), 22, 28, id="beyond the last attribute"),
        pytest.param((DP_ID, attribute(0, u32(1))), 22, 28, id="attribute 0"),
        pytest.param((DP_ID, attribute(VERSION, u32(1))), 22, 28, id="one that has no policy"),
        pytest.param((DP_ID, attribute(POLICY, b"")), 22, 28, id="what an answer holds"),
        pytest.param((DP_ID, attribute(OP_POLICY, b"")), 22, 28, id="what an answer holds, too"),
        pytest.param((attribute(FAMILY_ID, u32(DATAPATH)),), 22, 20, id="an id too long"),
        pytest.param((attribute(FAMILY_ID, b"\x12"),), 22, 20, id="an id too short"),
        pytest.param((DP_ID, b"\4\0"), 22, None, id="bytes left over"),
    ],
)
def test_a_dump_of_policies_is_checked_strictly(
    stream: Handle, attributes: tuple[bytes, ...], errno: int, offset: int | None
) -> None:
    reply = refused(stream, *attributes)
    assert reply.errno == errno
    if offset is not None:
        assert reply.offset == offset
    assert reply.flags == ACK_TLVS
    assert failure(stream.read, 4096) == "EAGAIN"


def test_where_id_and_name_differ_the_id_decides_for_policies(handle: Handle) -> None:
    both = DP_ID + attribute(FAMILY_NAME, text("nlctrl"))
    request = build(NLCTRL, GETPOLICY, both, flags=REQUEST | DUMP)
    assert policies(handle, request) == DATAPATH_POLICY
