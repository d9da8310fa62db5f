"""What `serve --trace` prints of a conversation."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.registry import DeviceOperation, Registry
from ovsdp_cuse.families.session import Access, Owner, Session
from ovsdp_cuse.families.tap import Direction
from ovsdp_cuse.families.trace import Trace
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from tests.families.doors import Daemon, build

REGISTRY = Registry(BUILT_IN)
READ_WRITE = Access.READ | Access.WRITE
NOBODY = Owner(2**22 + 1, 0, 0)
"""A process id that Linux never gives: PID_MAX_LIMIT is 2**22."""


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def traced(stream: io.StringIO, colours: bool | None = None) -> tuple[Daemon, Trace]:
    """A daemon whose messages are printed."""
    trace = Trace(REGISTRY, stream, colours)
    return Daemon(tap=trace), trace


async def test_a_conversation() -> None:
    stream = io.StringIO()
    daemon, _trace = traced(stream)
    handle = daemon.open()
    name = {DpAttr.NAME: "dp0"}
    await handle.transact_bytes(build(DATAPATH, DpCmd.NEW, {**name, DpAttr.UPCALL_PID: (0,)}))
    await handle.transact_bytes(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "x"}))
    await handle.send(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "y"}))
    await handle.receive()
    with pytest.raises(DatapathError):
        await handle.write_ioctl(build(DATAPATH, DpCmd.DEL, name)[:30])
    with pytest.raises(DatapathError):
        await handle.ioctl(Ioctl.TRANSACT, build(DATAPATH, DpCmd.GET, tail=b"\1\0\1\0"), 4096)
    handle.close()
    lines = stream.getvalue().splitlines()
    who = {line.split(" ", 2)[0:2][1] for line in lines}
    assert len(who) == 1
    assert who.pop().endswith("[1]")
    assert [line.split(" ", 2)[2] for line in lines] == [
        "opened, O_NONBLOCK",
        '> TRANSACT ovs_datapath OVS_DP_CMD_NEW REQUEST seq=7 dp_ifindex=0 {NAME="dp0", '
        "UPCALL_PID=[0]}",
        '< ovs_datapath OVS_DP_CMD_NEW seq=7 pid=1 dp_ifindex=1 {NAME="dp0", '
        "STATS={hit=0, missed=0, lost=0, flows=0}, "
        "MEGAFLOW_STATS={mask_hit=0, masks=0, pad0=0, cache_hits=0, pad1=0}, "
        "USER_FEATURES=0x0, MASKS_CACHE_SIZE=256}",
        '> TRANSACT ovs_datapath OVS_DP_CMD_GET REQUEST seq=7 dp_ifindex=0 {NAME="x"}',
        "< NLMSG_ERROR ENODEV CAPPED|ACK_TLVS seq=7 pid=1 \"no datapath is named 'x'\" "
        "OVS_DP_ATTR_NAME",
        '> stream ovs_datapath OVS_DP_CMD_GET REQUEST seq=7 dp_ifindex=0 {NAME="y"}',
        "< NLMSG_ERROR ENODEV ACK_TLVS seq=7 pid=1 \"no datapath is named 'y'\" OVS_DP_ATTR_NAME",
        "! WRITE EINVAL: nlmsg_len 32 is not in 24..30",
        "> TRANSACT ovs_datapath OVS_DP_CMD_GET REQUEST seq=7 dp_ifindex=0 "
        "(EINVAL: attribute 1 claims 1 bytes, 4 are there (OVS_DP_ATTR_NAME)) 01000100",
        "! TRANSACT EINVAL: attribute 1 claims 1 bytes, 4 are there (OVS_DP_ATTR_NAME)",
        "closed",
    ]


@pytest.mark.parametrize(
    ("access", "text"),
    [
        (Access.READ, "opened read-only"),
        (Access.WRITE, "opened"),
        (READ_WRITE, "opened"),
    ],
)
def test_how_a_handle_was_opened(access: Access, text: str) -> None:
    stream = io.StringIO()
    daemon, _trace = traced(stream)
    daemon.open(access, nonblocking=False)
    assert stream.getvalue().endswith(f" {text}\n")


def test_who_has_opened_it() -> None:
    stream = io.StringIO()
    trace = Trace(REGISTRY, stream)
    trace.opened(Session(3, READ_WRITE, False, 4096, Owner(os.getpid(), 0, 0)))
    trace.opened(Session(4, READ_WRITE, False, 4096, NOBODY))
    first, second = stream.getvalue().splitlines()
    assert first.startswith("3 ")
    assert f"[{os.getpid()}] opened" in first
    assert second.startswith("4 ?[4194305] opened")


def test_what_is_forgotten_with_a_handle() -> None:
    trace = Trace(REGISTRY, io.StringIO())
    session = Session(3, READ_WRITE, False, 4096, NOBODY)
    trace.opened(session)
    trace.message(session, Direction.FROM_CLIENT, build(DATAPATH, DpCmd.GET))
    trace.closed(session)
    assert not trace._clients
    assert not trace._requests


@pytest.mark.parametrize(
    ("make", "no_color", "wanted", "coloured"),
    [
        (Terminal, "", None, True),
        (Terminal, "1", None, False),
        (Terminal, "", False, False),
        (io.StringIO, "", None, False),
        (io.StringIO, "", True, True),
    ],
)
def test_colours(
    make: Callable[[], io.StringIO],
    no_color: str,
    wanted: bool | None,
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = make()
    daemon, _trace = traced(stream, wanted)
    daemon.open()
    assert ("\x1b[" in stream.getvalue()) == coloured


def test_a_stream_that_fails_ends_the_trace_and_nothing_else() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    for stream in (Full(), io.StringIO()):
        daemon, trace = traced(stream)
        stream.close()
        handle = daemon.open()
        trace.refused(handle.session, "READ", DatapathError(1, "no"))
        handle.close()


@given(
    st.binary(max_size=100), st.sampled_from(Direction), st.one_of(st.none(), st.just(4)), st.text()
)
def test_any_bytes_are_lines(
    data: bytes, direction: Direction, operation: int | None, message: str
) -> None:
    stream = io.StringIO()
    trace = Trace(REGISTRY, stream)
    session = Session(3, READ_WRITE, False, 4096, NOBODY)
    trace.message(session, direction, data, DeviceOperation(operation) if operation else None)
    trace.refused(session, "TRANSACT", DatapathError(22, message, (1, 2)))
    assert stream.getvalue().endswith("\n")
    for line in stream.getvalue()[:-1].split("\n"):
        assert line.startswith("3 ? ")
        assert line.isprintable()
