"""Handlers that fail, and who watches."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from errno import EIO

import pytest
from structlog.testing import capture_logs

from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.registry import Family
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, SocketAttr
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import (
    ControlType,
    NetlinkError,
)
from tests.families.doors import (
    DUMP,
    Cmd,
    Daemon,
    Handle,
    build,
    errno_of,
    one_command,
)

GET = build(DATAPATH, DpCmd.GET)
NEW: Attributes = {DpAttr.NAME: "br0", DpAttr.UPCALL_PID: (0,)}


async def raises(request: Request) -> Answer:
    raise RuntimeError("a bug")


async def replies_nonsense(request: Request) -> Answer:
    return Answer(Body(Cmd.ONLY, {4711: "no such attribute"}))


async def replies_too_much(request: Request) -> Answer:
    return Answer(Body(Cmd.ONLY, {Cmd.ONLY: 2**32}))


async def forgets_to_answer(request: Request) -> None:
    return None


def dump_raises(request: Request) -> Iterator[Body]:
    raise RuntimeError("a bug before the first object")


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(one_command(raises), id="raises"),
        pytest.param(one_command(replies_nonsense), id="replies nonsense"),
        pytest.param(one_command(replies_too_much), id="replies too much"),
        pytest.param(one_command(forgets_to_answer), id="forgets to answer"),
        pytest.param(one_command(None, dump_raises), id="dump raises"),
    ],
)
async def test_a_bug_in_a_handler_is_eio_and_a_traceback(family: Family) -> None:
    handle = Daemon([family]).open()
    flags = DUMP if family.commands[0].dump else 0
    request = build(family.schema, Cmd.ONLY, flags=flags)
    with capture_logs() as logs:
        reply = await handle.transact(request)
        assert isinstance(reply, NetlinkError)
        assert (reply.errno, reply.header.type) == (EIO, ControlType.ERROR)
        assert await errno_of(handle.write_ioctl(request)) == EIO
        (by_stream,) = await handle.ask(request)
        assert isinstance(by_stream, NetlinkError)
        assert by_stream.errno == EIO
    assert [(entry["log_level"], entry["exc_info"]) for entry in logs] == [("error", True)] * 3
    assert await handle.ioctl(Ioctl.GET_PID, b"", 4)


async def test_sock_prop_as_ovs_sends_it(handle: Handle) -> None:
    """Flags 0 and its own PID, as lib/netlink-socket.c of v3.7.1."""
    request = bytearray(
        build(
            CONTROL,
            ControlCmd.SOCK_PROP,
            {SocketAttr.SOCK_PROTO: 16, SocketAttr.SOCK_PID: handle.pid},
            pid=handle.pid,
        )
    )
    struct.pack_into("=H", request, 6, 0)
    reply = await handle.transact(bytes(request))
    assert isinstance(reply, Message)
    assert reply.attributes[SocketAttr.SOCK_PROTO] == 16
    assert reply.attributes[SocketAttr.SOCK_PID] == handle.pid
