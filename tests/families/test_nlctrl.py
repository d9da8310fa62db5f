"""nlctrl: families by name, by id and all; operations, groups and policies, as the kernel's."""

from __future__ import annotations

import struct
from errno import EINVAL, ENODATA, ENOENT, EOPNOTSUPP, ERANGE

import pytest

from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.netlink import NLM_F_MULTI, ControlType, NetlinkError
from tests.families.doors import DUMP, Daemon, Handle, build, split

ID, NAME = CtrlAttr.FAMILY_ID, CtrlAttr.FAMILY_NAME


async def get_family(handle: Handle, attributes: Attributes, tail: bytes = b"") -> Attributes | int:
    """The attributes of the reply, or the errno, through both doors."""
    request = build(NLCTRL, CtrlCmd.GETFAMILY, attributes, tail=tail)
    (reply,) = await handle.ask(request)
    if len(request) >= 24:
        by_ioctl = await handle.transact(request)
        if isinstance(reply, Message):
            assert by_ioctl == reply
        else:
            assert isinstance(by_ioctl, NetlinkError)
            assert by_ioctl.errno == reply.errno
    if isinstance(reply, NetlinkError):
        return reply.errno
    assert (reply.type, reply.command, reply.version, reply.flags) == (
        0x10,
        CtrlCmd.NEWFAMILY,
        2,
        0,
    )
    return reply.attributes


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({NAME: "ovs_datapath"}, 0x12),
        ({ID: 0x12}, 0x12),
        ({ID: 0x10}, 0x10),
        ({NAME: "nlctrl"}, 0x10),
        ({NAME: "ovs_win_control"}, 0x11),
        # Where both are given the name decides.
        ({ID: 0x10, NAME: "ovs_datapath"}, 0x12),
        ({ID: 999, NAME: "ovs_datapath"}, 0x12),
    ],
)
async def test_found(handle: Handle, asked: Attributes, answer: int) -> None:
    found = await get_family(handle, asked)
    assert isinstance(found, dict)
    assert found[ID] == answer


@pytest.mark.parametrize(
    ("asked", "tail", "errno"),
    [
        ({}, b"", EINVAL),
        ({NAME: "nosuchfam"}, b"", ENOENT),
        ({ID: 999}, b"", ENOENT),
        ({ID: 0x12, NAME: "nosuchfam"}, b"", ENOENT),
        ({NAME: ""}, b"", ENOENT),
        ({}, struct.pack("=HHB3x", 5, ID, 16), ERANGE),
        ({}, struct.pack("=HH16s", 20, NAME, b"sixteen_letters_"), EINVAL),
    ],
)
async def test_not_found(handle: Handle, asked: Attributes, tail: bytes, errno: int) -> None:
    assert await get_family(handle, asked, tail) == errno


async def test_an_id_may_be_longer(handle: Handle) -> None:
    found = await get_family(handle, {}, struct.pack("=HHI", 8, ID, 0x12))
    assert isinstance(found, dict)
    assert found[NAME] == "ovs_datapath"


async def test_the_bytes_of_the_reply(handle: Handle) -> None:
    """192 bytes for ovs_datapath, as the kernel's; only the two numbers are the device's own."""
    await handle.send(build(NLCTRL, CtrlCmd.GETFAMILY, {NAME: "ovs_datapath"}))
    reply = await handle.receive_bytes()
    operations = b"".join(
        struct.pack("=HH HHI HHI", 20, index, 8, 1, number, 8, 2, flags)
        for index, (number, flags) in enumerate([(1, 0x1A), (2, 0x1A), (3, 0xE), (4, 0x1A)], 1)
    )
    group = struct.pack("=HH HHI HH13s3x", 32, 1, 8, 2, 102, 17, 1, b"ovs_datapath")
    assert reply == (
        struct.pack("=IHHIIBBH", 192, 0x10, 0, 7, handle.pid, 1, 2, 0)
        + struct.pack("=HH13s3x", 17, 2, b"ovs_datapath")
        + struct.pack("=HHHxx", 6, 1, 0x12)
        + struct.pack("=HHI HHI HHI", 8, 3, 2, 8, 4, 4, 8, 5, 9)
        + struct.pack("=HH", 84, 6)
        + operations
        + struct.pack("=HH", 36, 7)
        + group
    )


async def test_nlctrl_describes_itself_in_136_bytes(handle: Handle) -> None:
    await handle.send(build(NLCTRL, CtrlCmd.GETFAMILY, {ID: 0x10}))
    reply = await handle.receive_bytes()
    assert len(reply) == 136
    attributes = NLCTRL.parse(reply).attributes
    assert [attributes[n] for n in (CtrlAttr.HDRSIZE, CtrlAttr.MAXATTR)] == [0, 0]
    assert attributes[CtrlAttr.OPS] == {1: {1: 3, 2: 0xE}, 2: {1: 10, 2: 0xC}}
    assert attributes[CtrlAttr.MCAST_GROUPS] == {1: {2: 16, 1: "notify"}}


async def test_numbers_of_v371(handle: Handle) -> None:
    """ovs_vport is 101 there, and its clients join it by number."""
    found = await get_family(handle, {NAME: "ovs_vport"})
    assert isinstance(found, dict)
    assert found[CtrlAttr.MCAST_GROUPS] == {1: {2: 101, 1: "ovs_vport"}}
    found = await get_family(handle, {NAME: "ovs_win_control"})
    assert isinstance(found, dict)
    assert found[CtrlAttr.MAXATTR] == 3


async def test_dump(handle: Handle) -> None:
    """Ascending ids; attributes are not looked at."""
    *families, done = await handle.ask(
        build(NLCTRL, CtrlCmd.GETFAMILY, {NAME: "nosuchfam"}, flags=DUMP)
    )
    messages = [family for family in families if isinstance(family, Message)]
    assert [message.attributes[ID] for message in messages] == sorted(
        family.schema.id for family in BUILT_IN
    )
    assert {(m.flags, m.command) for m in messages} == {(NLM_F_MULTI, CtrlCmd.NEWFAMILY)}
    assert isinstance(done, NetlinkError)
    assert done.header.type == ControlType.DONE


# Policies ---------------------------------------------------------------------------------------

# What follows the 20 bytes of headers, for ovs_datapath.
DATAPATH_POLICIES = """
0a0200000600010012000000100009800c0001800800010000000000
0a0200000600010012000000100009800c0002800800010000000000
0a0200000600010012000000100009800c0003800800010000000000
0a0200000600010012000000100009800c0004800800010000000000
0a02000006000100120000001c0008801800008014000180080007000f000000080001000c000000
0a02000006000100120000002c00088028000080240002800c00040000000000000000000c000500ffffffff00000000
    0800010004000000
0a02000006000100120000002c00088028000080240005800c00040000000000000000000c000500ffffffff00000000
    0800010004000000
0a02000006000100120000002c00088028000080240007800c00040000000000000000000c0005000010000000000000
    0800010004000000
0a02000006000100120000002c00088028000080240009800c00020000000000000000000c000300ffffff7f00000000
    0800010008000000
"""


async def dump_policy(handle: Handle, attributes: Attributes) -> list[bytes]:
    """The payloads after nlmsghdr of a GETPOLICY dump without its end."""
    await handle.send(build(NLCTRL, CtrlCmd.GETPOLICY, attributes, flags=DUMP))
    messages = []
    while handle.session.queue.bytes:
        messages += split(await handle.receive_bytes())
    end = handle.daemon.parse(messages.pop())
    assert isinstance(end, NetlinkError)
    assert (end.header.type, end.errno) == (ControlType.DONE, 0)
    return [message[16:] for message in messages]


@pytest.mark.parametrize("asked", [{ID: 0x12}, {NAME: "ovs_datapath"}, {ID: 0x12, NAME: "x"}])
async def test_the_policy_of_datapaths(handle: Handle, asked: Attributes) -> None:
    """Where both are given the id decides: the opposite of GETFAMILY."""
    expected = DATAPATH_POLICIES.replace("\n    ", "").split()
    assert [payload.hex() for payload in await dump_policy(handle, asked)] == expected


async def test_the_policy_of_one_command(handle: Handle) -> None:
    payloads = await dump_policy(handle, {ID: 0x12, CtrlAttr.OP: 3})
    expected = DATAPATH_POLICIES.replace("\n    ", "").split()
    assert [payload.hex() for payload in payloads] == [expected[2], *expected[4:]]


async def test_the_policies_of_nlctrl_are_two(handle: Handle) -> None:
    """GETFAMILY's attributes of a dump are not validated, GETPOLICY has nothing but a dump."""
    payloads = await dump_policy(handle, {ID: 0x10})
    head = struct.pack("=IHHIIBBH", 0, 0x10, 2, 7, 1, 10, 2, 0)
    messages = [
        NLCTRL.parse(struct.pack("=I", 16 + len(payload)) + head[4:16] + payload).attributes
        for payload in payloads
    ]
    uses = [m[CtrlAttr.OP_POLICY] for m in messages if CtrlAttr.OP_POLICY in m]
    assert uses == [{3: {1: 0}}, {10: {2: 1}}]
    shown = [m[CtrlAttr.POLICY] for m in messages if CtrlAttr.POLICY in m]
    assert [(index, *numbers) for policy in shown for index, numbers in policy.items()][:2] == [
        (0, 1),
        (0, 2),
    ]
    assert (1, 10) in [(i, *numbers) for policy in shown for i, numbers in policy.items()]


@pytest.mark.parametrize(
    ("asked", "tail", "errno", "text"),
    [
        ({}, b"", EINVAL, "neither CTRL_ATTR_FAMILY_ID nor CTRL_ATTR_FAMILY_NAME is there"),
        ({ID: 999}, b"", ENOENT, "no family 999"),
        ({NAME: "nosuchfam"}, b"", ENOENT, "no family 'nosuchfam'"),
        ({ID: 999, NAME: "ovs_datapath"}, b"", ENOENT, "no family 999"),
        ({ID: 0x12, CtrlAttr.OP: 9}, b"", ENOENT, "ovs_datapath has no command 9"),
        ({ID: 0x11, CtrlAttr.OP: 1}, b"", ENODATA, "ovs_win_control has no policy to show"),
        ({}, struct.pack("=HHI", 8, ID, 0x12), EINVAL, "invalid attribute length"),
        ({}, struct.pack("=HHB3x", 5, ID, 0x12), EINVAL, "invalid attribute length"),
        ({}, struct.pack("=HHI", 8, 77, 0), EINVAL, "Unknown attribute type 77"),
        ({ID: 0x12}, b"\0", EINVAL, "1 bytes leftover after parsing attributes"),
    ],
)
async def test_getpolicy_is_strict(
    handle: Handle, asked: Attributes, tail: bytes, errno: int, text: str
) -> None:
    """Errors come before the dump, so they are NLMSG_ERROR."""
    request = build(NLCTRL, CtrlCmd.GETPOLICY, asked, flags=DUMP, tail=tail)
    (reply,) = await handle.ask(request)
    assert isinstance(reply, NetlinkError)
    assert (reply.header.type, reply.errno, reply.message) == (ControlType.ERROR, errno, text)


async def test_getpolicy_is_for_dumps_only(handle: Handle) -> None:
    (reply,) = await handle.ask(build(NLCTRL, CtrlCmd.GETPOLICY, {ID: 0x12}))
    assert isinstance(reply, NetlinkError)
    assert reply.errno == EOPNOTSUPP


async def test_families_of_others_are_listed_too() -> None:
    from tests.families.doors import one_command, succeed

    handle = Daemon([one_command(succeed)]).open()
    found = await get_family(handle, {NAME: "test"})
    assert isinstance(found, dict)
    assert (found[ID], found[CtrlAttr.OPS]) == (0x20, {1: {1: 1, 2: 0xA}})
    assert CtrlAttr.MCAST_GROUPS not in found
