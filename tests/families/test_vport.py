"""The family ovs_vport: what each command answers, and the errors in the kernel's order."""

from __future__ import annotations

from errno import EAFNOSUPPORT, EBUSY, EEXIST, EFBIG, EINVAL, ENODEV, EOPNOTSUPP, EPERM
from typing import Any

import pytest

from ovsdp_cuse.families.session import Access
from ovsdp_cuse.families.vport import PortFollower
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import ControlType, NetlinkError
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportStats, VportType
from tests.families.doors import DUMP, ECHO, Handle, Reply, build, errno_of, errnos, make

NUMBER, TYPE, NAME = VportAttr.PORT_NO, VportAttr.TYPE, VportAttr.NAME
PID, IFINDEX, OPTIONS = VportAttr.UPCALL_PID, VportAttr.IFINDEX, VportAttr.OPTIONS
NETDEV, INTERNAL = VportType.NETDEV, VportType.INTERNAL

A = {TYPE: NETDEV, NAME: "a", PID: (5,)}
"""A port for the interface that `daemon` has."""


@pytest.fixture
async def ports(handle: Handle) -> Handle:
    """A handle of a daemon with datapath x (index 1), datapath y (2), interfaces a and b."""
    for index, name in enumerate("ab", 100):
        handle.daemon.ports.add_interface(name, ifindex=index)
    await make(handle, "x", "y")
    return handle


async def ask(
    handle: Handle, command: VportCmd, attributes: Any, dp: int = 1, flags: int = ECHO
) -> list[Reply]:
    return await handle.ask(build(VPORT, command, attributes, flags=flags, dp_ifindex=dp))


async def answer(handle: Handle, command: VportCmd, attributes: Any, dp: int = 1) -> Message:
    (reply,) = await ask(handle, command, attributes, dp)
    assert isinstance(reply, Message), reply
    assert reply.command == command
    return reply


async def error(handle: Handle, command: VportCmd, attributes: Any, dp: int = 1) -> int:
    (reply,) = await ask(handle, command, attributes, dp)
    assert isinstance(reply, NetlinkError), reply
    assert reply.errno is not None
    return reply.errno


async def test_a_new_port(ports: Handle) -> None:
    reply = await answer(ports, VportCmd.NEW, A)
    assert (reply.type, reply.version, reply.flags, reply.dp_ifindex) == (0x14, 1, 0, 1)
    assert reply.attributes == {
        NUMBER: 1,
        TYPE: NETDEV,
        NAME: "a",
        IFINDEX: 100,
        VportAttr.STATS: VportStats(),
        VportAttr.UPCALL_STATS: {0: 0, 1: 0},
        PID: (5,),
    }
    assert list(reply.attributes) == [1, 2, 3, 8, 6, 10, 5], "the kernel's order"


async def test_a_datapath_s_local_port(ports: Handle) -> None:
    reply = await answer(ports, VportCmd.GET, {NUMBER: 0})
    assert [reply.attributes[key] for key in (NUMBER, TYPE, NAME, IFINDEX)] == [0, INTERNAL, "x", 1]


async def test_an_internal_port_may_choose_its_index(ports: Handle) -> None:
    wanted = {TYPE: INTERNAL, NAME: "i", PID: (0,), IFINDEX: 777, NUMBER: 9}
    reply = await answer(ports, VportCmd.NEW, wanted)
    assert (reply.attributes[IFINDEX], reply.attributes[NUMBER]) == (777, 9)


@pytest.mark.parametrize(
    ("attributes", "dp", "errno"),
    [
        pytest.param({TYPE: NETDEV, PID: (0,)}, 1, EINVAL, id="no name"),
        pytest.param({NAME: "a", PID: (0,)}, 1, EINVAL, id="no type"),
        pytest.param({NAME: "a", TYPE: NETDEV}, 1, EINVAL, id="no PID"),
        pytest.param(A | {IFINDEX: 3, NUMBER: 70000}, 1, EOPNOTSUPP, id="an index, not internal"),
        pytest.param(A | {NUMBER: 65535}, 9, EFBIG, id="number 65535"),
        pytest.param(A | {NUMBER: 65536}, 1, EFBIG, id="number 65536"),
        pytest.param(A, 9, ENODEV, id="no such datapath"),
        pytest.param(A | {NUMBER: 7, TYPE: 99}, 1, EBUSY, id="a number in use"),
        pytest.param(A | {TYPE: 99, PID: ()}, 1, EAFNOSUPPORT, id="no such type"),
        pytest.param(A | {TYPE: VportType.VXLAN}, 1, EAFNOSUPPORT, id="a tunnel"),
        pytest.param(A | {PID: (), NAME: "nobody"}, 1, EINVAL, id="an empty array of PIDs"),
        pytest.param(A | {PID: (1, 2, 3)}, 1, EINVAL, id="more PIDs than CPUs"),
        pytest.param(A | {NAME: "nobody"}, 1, ENODEV, id="no such interface"),
        pytest.param(A | {NAME: "x"}, 1, EINVAL, id="an internal one as another"),
        pytest.param(A | {NAME: "b"}, 1, EEXIST, id="a port of this datapath"),
        pytest.param(A | {NAME: "b"}, 2, EBUSY, id="a port of another datapath"),
        pytest.param({TYPE: INTERNAL, NAME: "b", PID: (0,)}, 2, EEXIST, id="a name in use"),
        pytest.param({TYPE: INTERNAL, NAME: "b/", PID: (0,)}, 2, EINVAL, id="no name for any"),
    ],
)
async def test_what_new_refuses(ports: Handle, attributes: Any, dp: int, errno: int) -> None:
    await answer(ports, VportCmd.NEW, A | {NAME: "b", NUMBER: 7})
    assert await error(ports, VportCmd.NEW, attributes, dp) == errno
    assert len(list(ports.daemon.context.switch)) == 2
    assert ports.daemon.context.switch.lookup_port("a") is None


async def test_number_0_is_none(ports: Handle) -> None:
    assert (await answer(ports, VportCmd.NEW, A | {NUMBER: 0})).attributes[NUMBER] == 1


@pytest.mark.parametrize("command", [VportCmd.GET, VportCmd.SET, VportCmd.DEL])
@pytest.mark.parametrize(
    ("attributes", "dp", "errno"),
    [
        ({}, 1, EINVAL),
        ({NUMBER: 9}, 1, ENODEV),
        ({NUMBER: 70000}, 9, EFBIG),
        ({NUMBER: 1}, 9, ENODEV),
        ({NUMBER: 1}, 0, ENODEV),
        ({NAME: "nobody"}, 0, ENODEV),
        ({NAME: "a"}, 2, ENODEV),
        ({NAME: "a", IFINDEX: 100}, 1, EOPNOTSUPP),
        ({NAME: "a"}, 0, None),
        ({NAME: "a"}, 1, None),
        ({NAME: "a", NUMBER: 70000}, 1, None),
        ({NUMBER: 1}, 1, None),
    ],
)
async def test_how_a_port_is_found(
    ports: Handle, command: VportCmd, attributes: Any, dp: int, errno: int | None
) -> None:
    await answer(ports, VportCmd.NEW, A)
    if errno is None:
        assert (await answer(ports, command, attributes, dp)).attributes[NAME] == "a"
    else:
        assert await error(ports, command, attributes, dp) == errno


async def test_at_the_device_door_0_is_the_oldest_datapath(ports: Handle) -> None:
    reply = await ports.transact(build(VPORT, VportCmd.GET, {NUMBER: 0}))
    assert isinstance(reply, Message)
    assert reply.attributes[NAME] == "x"
    reply = await ports.transact(build(VPORT, VportCmd.GET, {NAME: "y"}))
    assert isinstance(reply, Message), "a name alone is looked for everywhere"
    assert reply.dp_ifindex == 2


async def test_a_deleted_port_is_shown_for_the_last_time(ports: Handle) -> None:
    await answer(ports, VportCmd.NEW, A)
    assert (await answer(ports, VportCmd.DEL, {NUMBER: 1})).attributes[NAME] == "a"
    assert await error(ports, VportCmd.DEL, {NUMBER: 1}) == ENODEV
    assert await error(ports, VportCmd.DEL, {NUMBER: 0}) == EINVAL, "the local one stays"


async def test_set(ports: Handle) -> None:
    await answer(ports, VportCmd.NEW, A)
    assert (await answer(ports, VportCmd.SET, {NAME: "a", PID: (9, 8)})).attributes[PID] == (9,)
    features = {DpAttr.NAME: "x", DpAttr.USER_FEATURES: 2}
    await ports.ask(build(DATAPATH, DpCmd.SET, features))
    assert (await answer(ports, VportCmd.GET, {NAME: "a"})).attributes[PID] == (9, 8)
    for attributes, errno in (
        ({TYPE: INTERNAL}, EINVAL),
        ({OPTIONS: b""}, EOPNOTSUPP),
        ({PID: ()}, EINVAL),
        ({PID: (1, 2, 3)}, EINVAL),
    ):
        assert await error(ports, VportCmd.SET, {NAME: "a"} | attributes) == errno
    assert (await answer(ports, VportCmd.GET, {NAME: "a"})).attributes[PID] == (9, 8)


async def test_a_dump_goes_by_number_modulo_1024_and_then_the_newest_first(ports: Handle) -> None:
    for number in (1024, 5, 1029, 3):
        await answer(
            ports,
            VportCmd.NEW,
            {TYPE: INTERNAL, NAME: f"i{number}", PID: (0,), NUMBER: number},
        )
    *dumped, done = await ask(ports, VportCmd.GET, {}, flags=DUMP)
    numbers = [reply.attributes[NUMBER] for reply in dumped if isinstance(reply, Message)]
    assert numbers == [1024, 0, 3, 1029, 5]
    assert errnos([done]) == [0]


async def test_a_dump_of_no_datapath_ends_with_an_error(ports: Handle) -> None:
    (done,) = await ask(ports, VportCmd.GET, {}, dp=9, flags=DUMP)
    assert isinstance(done, NetlinkError)
    assert (done.errno, done.header.type) == (ENODEV, ControlType.DONE)


async def test_who_may_only_read(ports: Handle) -> None:
    reader = ports.daemon.open(Access.READ)
    assert isinstance(await reader.transact(build(VPORT, VportCmd.GET, {NUMBER: 0})), Message)
    for command in (VportCmd.NEW, VportCmd.DEL, VportCmd.SET):
        refused = reader.transact(build(VPORT, command, A, dp_ifindex=1))
        assert await errno_of(refused) == EPERM


async def test_notifications(ports: Handle) -> None:
    context = ports.daemon.context
    listener = ports.daemon.open()
    group = context.registry.lookup_group(101)
    assert group is not None
    context.sessions.join(listener.session, group)
    request = build(VPORT, VportCmd.NEW, A, dp_ifindex=1, sequence=77)
    assert await ports.ask(request) == [], "without ECHO the requester hears nothing"
    (told,) = await listener.drain()
    assert isinstance(told, Message)
    assert (told.command, told.pid, told.sequence) == (VportCmd.NEW, ports.pid, 77)
    follower = PortFollower(context)
    ports.daemon.ports.events = follower
    ports.daemon.ports.change_interface("a", new_name="c")
    ports.daemon.ports.remove_interface("c")
    assert [summary(message) for message in await listener.drain()] == [
        (VportCmd.SET, "c", 0, 0),
        (VportCmd.DEL, "c", 0, 0),
    ]
    assert await error(ports, VportCmd.GET, {NUMBER: 1}) == ENODEV


def summary(message: Reply) -> tuple[int, str, int, int]:
    assert isinstance(message, Message)
    attributes: Attributes = message.attributes
    return message.command, attributes[NAME], message.pid, message.sequence


async def test_a_local_port_whose_interface_vanishes_takes_its_datapath_along(
    ports: Handle,
) -> None:
    """An administrator can delete a TAP."""
    context = ports.daemon.context
    listener = ports.daemon.open()
    for number in (101, 102):
        group = context.registry.lookup_group(number)
        assert group is not None
        context.sessions.join(listener.session, group)
    await answer(ports, VportCmd.NEW, A)
    await listener.drain()
    ports.daemon.ports.remove_interface("x")
    (told,) = await listener.drain()
    assert isinstance(told, Message)
    assert (told.type, told.command, told.dp_ifindex, told.pid) == (DATAPATH.id, DpCmd.DEL, 1, 0)
    assert [datapath.name for datapath in context.switch] == ["y"]
    assert await error(ports, VportCmd.GET, {NAME: "a"}, 0) == ENODEV
    await make(ports, "x")
    context.switch.close()
