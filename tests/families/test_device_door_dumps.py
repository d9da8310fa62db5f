"""Dumps by the device door: begun by WRITE or TRANSACT, gone on with by READ."""

from __future__ import annotations

import struct
from errno import EINVAL, EMSGSIZE, EOPNOTSUPP

from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.netlink import (
    NLM_F_MULTI,
    ControlType,
    NetlinkError,
)
from tests.families.doors import (
    DUMP,
    Handle,
    build,
    errno_of,
    make,
)

GET = build(DATAPATH, DpCmd.GET)
DUMP_ALL = build(DATAPATH, DpCmd.GET, flags=DUMP)
NEW: Attributes = {DpAttr.NAME: "br0", DpAttr.UPCALL_PID: (0,)}


async def test_a_dump_ends_with_done_and_then_nothing(handle: Handle) -> None:
    await make(handle, "br0", "br1", "br2")
    await handle.write_ioctl(DUMP_ALL)
    first, second = await handle.read_ioctl(size=300), await handle.read_ioctl(size=300)
    entries = first + second
    assert [e.attributes[DpAttr.NAME] for e in entries if isinstance(e, Message)] == [
        "br0",
        "br1",
        "br2",
    ]
    assert all(e.flags == NLM_F_MULTI for e in entries if isinstance(e, Message))
    (done,) = await handle.read_ioctl()
    assert isinstance(done, NetlinkError)
    assert (done.header.type, done.errno, done.header.sequence) == (ControlType.DONE, 0, 7)
    assert await handle.read_ioctl() == []


async def test_a_dump_by_transact_begins_with_its_first_part(handle: Handle) -> None:
    await make(handle, "br0", "br1")
    assert isinstance(await handle.transact(DUMP_ALL, 200), Message)
    (second,) = await handle.read_ioctl()
    assert isinstance(second, Message)
    assert second.attributes[DpAttr.NAME] == "br1"


async def test_a_new_dump_replaces_the_old(handle: Handle) -> None:
    await make(handle, "br0", "br1")
    await handle.write_ioctl(DUMP_ALL)
    assert len(await handle.read_ioctl(size=150)) == 1
    await handle.write_ioctl(DUMP_ALL)
    assert len(await handle.read_ioctl()) == 2


async def test_a_part_that_does_not_fit_stays(handle: Handle) -> None:
    await make(handle, "br0")
    await handle.write_ioctl(DUMP_ALL)
    assert await errno_of(handle.read_ioctl(size=24)) == EMSGSIZE
    assert len(await handle.read_ioctl()) == 1


async def test_a_dump_is_consistent_while_objects_come_and_go(handle: Handle) -> None:
    """What is there all the while comes exactly once; what went before its turn does not."""
    await make(handle, *(f"br{number}" for number in range(6)))
    await handle.write_ioctl(DUMP_ALL)
    names = []
    for change in (
        build(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "br0"}),
        build(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "br3"}),
        build(DATAPATH, DpCmd.NEW, NEW | {DpAttr.NAME: "late"}),
        GET,
    ):
        entries = await handle.read_ioctl(size=150)
        names += [e.attributes[DpAttr.NAME] for e in entries if isinstance(e, Message)]
        await handle.transact(change)
    while entries := await handle.read_ioctl(size=150):
        names += [e.attributes[DpAttr.NAME] for e in entries if isinstance(e, Message)]
    assert names == ["br0", "br1", "br2", "br4", "br5"]


async def test_a_command_without_a_dump(handle: Handle) -> None:
    request = build(DATAPATH, DpCmd.NEW, NEW, flags=DUMP)
    assert await errno_of(handle.write_ioctl(request)) == EOPNOTSUPP
    reply = await handle.transact(request)
    assert isinstance(reply, NetlinkError)
    assert reply.errno == EOPNOTSUPP
    assert not len(handle.daemon.context.switch)


async def test_a_dump_needs_no_datapath(handle: Handle) -> None:
    await handle.write_ioctl(build(DATAPATH, DpCmd.GET, flags=DUMP, dp_ifindex=4711))
    (done,) = await handle.read_ioctl()
    assert isinstance(done, NetlinkError)
    assert done.errno == 0


async def test_a_dump_whose_attributes_are_checked(handle: Handle) -> None:
    request = build(NLCTRL, CtrlCmd.GETPOLICY, {CtrlAttr.FAMILY_ID: 0x12}, flags=DUMP)
    await handle.write_ioctl(request)
    assert len(await handle.read_ioctl()) == 9
    bad = build(NLCTRL, CtrlCmd.GETPOLICY, {}, flags=DUMP, tail=struct.pack("=HHI", 8, 1, 0x12))
    reply = await handle.transact(bad)
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message) == (EINVAL, "invalid attribute length")
