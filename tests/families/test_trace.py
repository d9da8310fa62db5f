"""What `serve --trace` prints of a conversation."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.families.trace import Trace
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from tests.families.doors import DUMP, READ_WRITE, Daemon, build, new

REGISTRY = Registry(BUILT_IN)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def traced(stream: io.StringIO, colours: bool | None = None) -> Daemon:
    """A daemon whose messages are printed."""
    return Daemon(tap=Trace(REGISTRY, stream, colours))


def told(stream: io.StringIO) -> list[str]:
    """What is told after the handle and its process, with each latency as TIME."""
    lines = [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()]
    return [
        re.sub(r"^([<!](?: [A-Z]+)?) \d[\d.]*(?:us|ms|s)\b", r"\1 TIME", line) for line in lines
    ]


async def test_a_conversation() -> None:
    stream = io.StringIO()
    handle = traced(stream).open()
    name = {DpAttr.NAME: "dp0"}
    await handle.transact_bytes(build(DATAPATH, DpCmd.NEW, {**name, DpAttr.UPCALL_PID: (0,)}))
    await handle.transact_bytes(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "x"}))
    await handle.send(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "y"}))
    await handle.receive()
    with pytest.raises(DatapathError):
        await handle.write_ioctl(build(DATAPATH, DpCmd.DEL, name)[:30])
    with pytest.raises(DatapathError):
        await handle.ioctl(Ioctl.TRANSACT, build(DATAPATH, DpCmd.GET, tail=b"\1\0\1\0"), 4096)
    await handle.write_ioctl(build(DATAPATH, DpCmd.DEL, name))
    await handle.ioctl(Ioctl.GET_PID, out_size=4)
    handle.close()
    who = {line.split(" ", 2)[1] for line in stream.getvalue().splitlines()}
    assert len(who) == 1
    assert who.pop().endswith("[1]")
    assert told(stream) == [
        "opened, O_NONBLOCK",
        '> TRANSACT ovs_datapath OVS_DP_CMD_NEW REQUEST seq=7 dp_ifindex=0 {NAME="dp0", '
        "UPCALL_PID=[0]}",
        '< TIME ovs_datapath OVS_DP_CMD_NEW seq=7 pid=1 dp_ifindex=1 {NAME="dp0", '
        "STATS={hit=0, missed=0, lost=0, flows=0}, "
        "MEGAFLOW_STATS={mask_hit=0, masks=0, pad0=0, cache_hits=0, pad1=0}, "
        "USER_FEATURES=0x0, MASKS_CACHE_SIZE=256}",
        '> TRANSACT ovs_datapath OVS_DP_CMD_GET REQUEST seq=7 dp_ifindex=0 {NAME="x"}',
        "< TIME NLMSG_ERROR ENODEV CAPPED|ACK_TLVS seq=7 pid=1 \"no datapath is named 'x'\" "
        "OVS_DP_ATTR_NAME",
        '> STREAM ovs_datapath OVS_DP_CMD_GET REQUEST seq=7 dp_ifindex=0 {NAME="y"}',
        "< TIME NLMSG_ERROR ENODEV ACK_TLVS seq=7 pid=1 \"no datapath is named 'y'\" "
        "OVS_DP_ATTR_NAME",
        "! WRITE EINVAL: nlmsg_len 32 is not in 24..30",
        "> TRANSACT ovs_datapath OVS_DP_CMD_GET REQUEST seq=7 dp_ifindex=0 "
        "(EINVAL: attribute 1 claims 1 bytes, 4 are there (OVS_DP_ATTR_NAME)) 01000100",
        "! TRANSACT TIME EINVAL: attribute 1 claims 1 bytes, 4 are there (OVS_DP_ATTR_NAME)",
        '> WRITE ovs_datapath OVS_DP_CMD_DEL REQUEST seq=7 dp_ifindex=0 {NAME="dp0"}',
        "< TIME done",
        "< GET_PID 1",
        "closed",
    ]


async def test_the_parts_of_a_dump() -> None:
    stream = io.StringIO()
    handle = traced(stream).open()
    for name in ("a", "b"):
        await handle.transact_bytes(new(name))
    stream.truncate(0)
    stream.seek(0)
    dump = build(DATAPATH, DpCmd.GET, flags=DUMP)
    await handle.write_ioctl(dump)
    while await handle.read_ioctl():
        pass
    await handle.ask(dump)
    heads = [re.sub(r" seq=.*", "", line) for line in told(stream)]
    part = [
        "< TIME ovs_datapath OVS_DP_CMD_GET MULTI",
        "< ovs_datapath OVS_DP_CMD_GET MULTI",
        "< TIME NLMSG_DONE MULTI",
    ]
    assert heads == [
        "> WRITE ovs_datapath OVS_DP_CMD_GET REQUEST|DUMP",
        *part,
        "> STREAM ovs_datapath OVS_DP_CMD_GET REQUEST|DUMP",
        *part,
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
    traced(stream).open(access, nonblocking=False)
    assert stream.getvalue().endswith(f"] {text}\n")


def test_how_a_handle_was_opened_that_does_not_block() -> None:
    stream = io.StringIO()
    traced(stream).open(Access.READ, nonblocking=True)
    assert stream.getvalue().endswith("] opened read-only, O_NONBLOCK\n")


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
    traced(stream, wanted).open()
    assert ("\x1b[" in stream.getvalue()) == coloured


async def test_a_stream_that_fails_ends_the_trace_and_nothing_else() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    for stream in (Full(), io.StringIO()):
        daemon = traced(stream)
        stream.close()
        handle = daemon.open()
        assert await handle.transact_bytes(new()) != b""
        handle.close()


def test_who_has_opened_it() -> None:
    """The process id of the tests' owner is 1, whose command the kernel tells where it may."""
    stream = io.StringIO()
    daemon = traced(stream)
    session = daemon.open().session
    assert stream.getvalue() == f"1 {session.command}[1] opened, O_NONBLOCK\n"
    assert Path("/proc/1/comm").exists() == (session.command != "?")
