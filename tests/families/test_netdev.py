"""ovs_win_netdev: what is told of interfaces that are ports, and of those that are not."""

from __future__ import annotations

from errno import EINVAL, ENODEV
from typing import Any

import pytest

from ovsdp_cuse.families.session import Access
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PORT_TYPE_NETDEV, PortSpec
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netdev import NETDEV, NetdevAttr, NetdevCmd
from ovsdp_cuse.wire.netlink import NetlinkError
from tests.families.doors import Daemon, Handle, build, errno_of, make

NAME = NetdevAttr.NAME


async def get(handle: Handle, name: str, **more: Any) -> Message:
    reply = await handle.transact(build(NETDEV, NetdevCmd.GET, {NAME: name}, **more))
    assert isinstance(reply, Message), reply
    return reply


async def test_an_interface_that_is_no_port(daemon: Daemon, handle: Handle) -> None:
    interface = daemon.ports.add_interface("eth0", mtu=9000, is_up=False)
    reply = await get(handle, "eth0", dp_ifindex=4711)
    assert list(reply.attributes.items()) == [
        (NetdevAttr.PORT_NO, 65535),
        (NetdevAttr.TYPE, PORT_TYPE_NETDEV),
        (NAME, "eth0"),
        (NetdevAttr.MAC_ADDR, interface.mac),
        (NetdevAttr.MTU, 9000),
        (NetdevAttr.IF_FLAGS, 0),
    ]
    assert reply.dp_ifindex == 0


async def test_ports_of_any_datapath(daemon: Daemon, handle: Handle) -> None:
    await make(handle, "br0", "br1")
    daemon.ports.add_interface("eth0")
    switch = daemon.context.switch
    datapath = switch.lookup_name("br1")
    assert datapath is not None
    switch.add_port(datapath, PortSpec(PORT_TYPE_NETDEV, "eth0"), 5, (0,))
    reply = await get(handle, "eth0")
    assert reply.dp_ifindex == datapath.index
    assert reply.attributes[NetdevAttr.PORT_NO] == 5
    assert reply.attributes[NetdevAttr.TYPE] == PORT_TYPE_NETDEV
    assert reply.attributes[NetdevAttr.IF_FLAGS] == 3, "it is up, and promiscuous as a port is"
    local = await get(handle, "br0")
    assert local.attributes[NetdevAttr.PORT_NO] == 0
    assert local.attributes[NetdevAttr.TYPE] == PORT_TYPE_INTERNAL


async def test_who_asks_wrongly(handle: Handle) -> None:
    for attributes, errno, offset in (
        ({}, EINVAL, None),
        ({NAME: ""}, EINVAL, None),
        ({NAME: "nobody"}, ENODEV, 24),
        ({NetdevAttr.MTU: 1, NAME: "nobody"}, ENODEV, 32),
        ({NAME: "a" * 16}, EINVAL, 24),
    ):
        (reply,) = await handle.ask(build(NETDEV, NetdevCmd.GET, attributes))
        assert isinstance(reply, NetlinkError)
        assert (reply.errno, reply.offset) == (errno, offset), attributes


async def test_reading_is_enough_and_writing_carries_no_question(
    daemon: Daemon, handle: Handle
) -> None:
    daemon.ports.add_interface("eth0")
    assert await get(daemon.open(Access.READ), "eth0")
    request = build(NETDEV, NetdevCmd.GET, {NAME: "eth0"})
    assert await errno_of(handle.write_ioctl(request)) == EINVAL


@pytest.mark.parametrize("mtu", [68, 65535])
async def test_a_change_is_seen(daemon: Daemon, handle: Handle, mtu: int) -> None:
    daemon.ports.add_interface("eth0")
    daemon.ports.change_interface("eth0", mtu=mtu)
    assert (await get(handle, "eth0")).attributes[NetdevAttr.MTU] == mtu
