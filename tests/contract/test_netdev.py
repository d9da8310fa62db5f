"""The family ovs_win_netdev: what Open vSwitch v3.7.1 asks, and what its client needs told."""

from __future__ import annotations

import os

from tests.contract.conftest import Open
from tests.contract.doors import ask, failure, put, receive
from tests.contract.messages import ECHO, ERROR, REQUEST, attribute, build, text
from tests.nodes.interface import Handle

NETDEV = 0x16
GET = 1
PORT_NO, TYPE, NAME, MAC_ADDR, MTU, IF_FLAGS = range(1, 7)
INTERNAL = 2

EINVAL, ENODEV = 22, 19


def named(name: str, dp_ifindex: int = 0) -> bytes:
    """The question of netdev-windows.c."""
    flags = REQUEST | ECHO
    return build(NETDEV, GET, attribute(NAME, text(name)), flags=flags, dp_ifindex=dp_ifindex)


def test_the_local_port_of_a_datapath(handle: Handle, name: str, datapath: int) -> None:
    for index in (0, datapath, 4242):
        reply = ask(handle, named(name, index))
        assert list(reply.attributes) == [PORT_NO, TYPE, NAME, MAC_ADDR, MTU, IF_FLAGS]
        assert (reply.command, reply.version, reply.flags) == (GET, 1, 0)
        assert (reply.dp_ifindex, reply.string(NAME)) == (datapath, name)
        assert (reply.number(PORT_NO), reply.number(TYPE)) == (0, INTERNAL)
        assert len(reply.attributes[MAC_ADDR]) == 6
        assert reply.attributes[MAC_ADDR] != bytes(6)
        assert reply.number(MTU) == 1500


def test_both_doors_answer_the_same(stream: Handle, name: str, datapath: int) -> None:
    stream.write(named(name))
    assert receive(stream).raw == ask(stream, named(name)).raw


def test_who_asks_wrongly(stream: Handle) -> None:
    for request, errno in (
        (build(NETDEV, GET), EINVAL),
        (named(""), EINVAL),
        (named("nobody"), ENODEV),
        (named("a" * 16), EINVAL),
    ):
        reply = ask(stream, request)
        assert (reply.type, reply.errno) == (ERROR, errno)
        assert reply.message


def test_reading_is_enough(open_handle: Open, handle: Handle, name: str, datapath: int) -> None:
    reader = open_handle(os.O_RDONLY)
    assert ask(reader, named(name)).dp_ifindex == datapath
    assert failure(put, handle, named(name)) == "EINVAL", "a question has an answer"
