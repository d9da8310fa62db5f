"""The stream door: what netlink_rcv_skb() and genl_rcv_msg() of the kernel do with any bytes."""

from __future__ import annotations

import struct
from errno import (
    EAGAIN,
    EEXIST,
    EINVAL,
    EMSGSIZE,
    ENOBUFS,
    ENODEV,
    ENOENT,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
)
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.datapath import GROUP
from ovsdp_cuse.families.queue import OVERHEAD
from ovsdp_cuse.families.request import Answer, Request
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.families.stream_door import (
    ECHO_MAXIMUM,
    MESSAGE_MAXIMUM,
    MESSAGES_BEFORE_OTHERS,
    TIME_BEFORE_OTHERS_S,
    UNCUT,
)
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlCmd
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NLM_F_CAPPED,
    NetlinkError,
    build_error,
)
from tests.families.doors import (
    ACK,
    DUMP,
    ECHO,
    Cmd,
    Daemon,
    Handle,
    build,
    errnos,
    new,
    one_command,
    split,
)

GET = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"})
ODD = build(DATAPATH, DpCmd.GET, tail=b"\1") + b"\xff" * 3
"""A message whose length is odd, with padding that is a message's header if it is read as one."""
DUMP_ALL = build(DATAPATH, DpCmd.GET, flags=DUMP)


def header_only(kind: int, flags: int = 1, length: int = 16) -> bytes:
    return NETLINK_HEADER.pack(length, kind, flags, 7, 0)


# What is answered -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "errno"),
    [
        pytest.param(header_only(0x7777), ENOENT, id="unknown family"),
        pytest.param(header_only(0x12), EINVAL, id="no genlmsghdr"),
        pytest.param(build(DATAPATH, 0)[:20].replace(b"\x18", b"\x14", 1), EINVAL, id="20 bytes"),
        pytest.param(build(DATAPATH, 9), EOPNOTSUPP, id="unknown command"),
        pytest.param(build(DATAPATH, 0), EOPNOTSUPP, id="command 0"),
        pytest.param(GET, ENODEV, id="handler"),
        pytest.param(
            build(DATAPATH, DpCmd.GET, tail=struct.pack("=HHH2x", 6, 2, 0)), ERANGE, id="policy"
        ),
        pytest.param(new(flags=DUMP), EOPNOTSUPP, id="no dump"),
        pytest.param(build(NLCTRL, CtrlCmd.GETPOLICY), EOPNOTSUPP, id="dump only"),
    ],
)
async def test_errors(handle: Handle, request_: bytes, errno: int) -> None:
    """Each is one NLMSG_ERROR that echoes the whole request, padded."""
    (reply,) = await handle.ask(request_)
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.header.sequence, reply.header.pid) == (errno, 7, handle.pid)
    assert not reply.header.flags & NLM_F_CAPPED
    await handle.send(request_)
    echoed = await handle.receive_bytes()
    assert echoed[20 : 20 + len(request_)] == request_


async def test_the_order_of_checks(daemon: Daemon, handle: Handle) -> None:
    """Family, size, command, permission, then attributes."""
    reader = daemon.open(Access.READ)
    short = build(DATAPATH, DpCmd.NEW)[:20].replace(b"\x18", b"\x14", 1)
    bad = build(DATAPATH, DpCmd.NEW, tail=struct.pack("=HHH2x", 6, 2, 0))
    assert errnos(await reader.ask(short)) == [EINVAL]
    assert errnos(await reader.ask(build(DATAPATH, 9))) == [EOPNOTSUPP]
    assert errnos(await reader.ask(bad)) == [EPERM]
    assert errnos(await reader.ask(new(flags=DUMP))) == [EPERM]
    assert errnos(await handle.ask(bad)) == [ERANGE]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(header_only(0x7777, flags=0), id="no NLM_F_REQUEST, unknown family"),
        pytest.param(new().replace(b"\x01\x00", b"\x00\x00", 1), id="no NLM_F_REQUEST"),
        *(pytest.param(header_only(kind), id=f"type {kind}") for kind in (0, 1, 2, 3, 4, 15)),
    ],
)
async def test_what_is_not_handled(daemon: Daemon, handle: Handle, request_: bytes) -> None:
    """Silence, or an acknowledgement where one was asked for."""
    assert await handle.ask(request_) == []
    flags = NETLINK_HEADER.parse(request_).flags | ACK
    assert errnos(await handle.ask(request_[:6] + struct.pack("=H", flags) + request_[8:])) == [0]
    assert not len(daemon.context.switch)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(0, []), (ACK, [0]), (ECHO, [None]), (ECHO | ACK, [None, 0])],
)
async def test_what_a_change_answers(
    handle: Handle, flags: int, expected: list[int | None]
) -> None:
    """Nothing by itself; the notification with NLM_F_ECHO; then the acknowledgement."""
    replies = await handle.ask(new(flags=flags))
    assert errnos(replies) == expected
    assert len(handle.daemon.context.switch) == 1


@pytest.mark.parametrize("flags", [0, ECHO])
async def test_what_a_read_answers(handle: Handle, flags: int) -> None:
    await handle.send(new())
    (reply,) = await handle.ask(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}, flags=flags))
    assert isinstance(reply, Message)
    replies = await handle.ask(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}, flags=flags | ACK))
    assert errnos(replies) == [None, 0]


async def test_an_acknowledgement_has_36_bytes(handle: Handle) -> None:
    request = new(flags=ACK)
    await handle.send(request)
    assert await handle.receive_bytes() == build_error(request, 0, capped=True, portid=handle.pid)


@pytest.mark.parametrize("version", [0, 1, 77])
async def test_the_version_is_not_looked_at(handle: Handle, version: int) -> None:
    await handle.send(new())
    request = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}, version=version)
    assert errnos(await handle.ask(request)) == [None]


@pytest.mark.parametrize("flags", [0x100, 0x200])
async def test_half_of_nlm_f_dump_is_no_dump(handle: Handle, flags: int) -> None:
    await handle.send(new())
    request = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}, flags=flags)
    (reply,) = await handle.ask(request)
    assert isinstance(reply, Message)
    assert not reply.flags


async def test_nlmsg_pid_is_not_looked_at(handle: Handle) -> None:
    await handle.send(new())
    (reply,) = await handle.ask(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}, pid=4711))
    assert isinstance(reply, Message)
    assert reply.pid == handle.pid


async def test_an_attribute_that_does_not_fit_ends_the_attributes(handle: Handle) -> None:
    await handle.send(new())
    for tail in (b"\1", struct.pack("=HH", 3, 5), struct.pack("=HH", 9, 5), b"\xff" * 8):
        request = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}, tail=tail)
        assert errnos(await handle.ask(request)) == [None]


# Buffers ----------------------------------------------------------------------------------------


async def test_several_messages_in_one_write(handle: Handle) -> None:
    replies = await handle.ask(new("a", ECHO), new("b", ACK), header_only(0x7777), new("c"))
    assert errnos(replies) == [None, 0, ENOENT]
    assert [datapath.name for datapath in handle.daemon.context.switch] == ["a", "b", "c"]


async def test_messages_are_padded_but_the_last_need_not_be(handle: Handle) -> None:
    assert errnos(await handle.ask(ODD, ODD[:-3])) == [ENODEV, ENODEV]


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"\xff" * 15, id="less than a header"),
        pytest.param(header_only(0x7777, length=15), id="nlmsg_len below its header"),
        pytest.param(header_only(0x7777, length=0) + new("b"), id="nlmsg_len 0"),
        pytest.param(header_only(0x7777, length=17), id="one byte is missing"),
        pytest.param(header_only(0x7777, length=100) + new("b"), id="cut"),
    ],
)
async def test_what_does_not_fit_is_swallowed_with_all_after_it(
    handle: Handle, tail: bytes
) -> None:
    assert await handle.ask(tail) == []
    assert errnos(await handle.ask(new("a", ACK), tail)) == [0]
    assert errnos(await handle.ask(new("c", ACK))) == [0]
    assert [datapath.name for datapath in handle.daemon.context.switch] == ["a", "c"]


async def test_a_message_that_the_kernel_has_cut(handle: Handle) -> None:
    """A long write comes in parts, which may end anywhere."""
    dispatcher, session = handle.daemon.dispatcher, handle.session
    whole = ODD + header_only(1, ACK | 1) + ODD + new("a", ACK)
    for cut in range(1, len(whole)):
        assert await dispatcher.write(session, whole[:cut]) == cut
        assert await dispatcher.write(session, whole[cut:], True) == len(whole) - cut
        expected = [ENODEV, 0, ENODEV, 0 if cut == 1 else EEXIST]
        assert errnos(await handle.drain()) == expected, cut


async def test_a_cut_message_is_forgotten_by_the_next_write(handle: Handle) -> None:
    assert await handle.ask(new("a", ACK)[:30]) == []
    assert errnos(await handle.ask(new("b", ACK))) == [0]


async def test_the_longest_message(handle: Handle) -> None:
    padding = MESSAGE_MAXIMUM - len(GET)
    longest = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}, tail=bytes(padding))
    await handle.send(longest)
    (reply,) = await handle.receive(2 * MESSAGE_MAXIMUM)
    assert errnos([reply]) == [ENODEV]


@pytest.mark.parametrize(("size", "echoed"), [(ECHO_MAXIMUM, ECHO_MAXIMUM), (ECHO_MAXIMUM + 4, 16)])
async def test_a_long_message_is_not_echoed(handle: Handle, size: int, echoed: int) -> None:
    """Its error could not be read from every node; it echoes the header alone."""
    request = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "br0"}, tail=bytes(size - len(GET)))
    await handle.send(request)
    answer = await handle.receive_bytes(UNCUT)
    reply = handle.daemon.parse(answer)
    assert isinstance(reply, NetlinkError)
    assert reply.message == "no datapath is named 'br0'"
    assert bool(reply.header.flags & NLM_F_CAPPED) == (echoed == 16)
    assert answer[20 : 20 + echoed] == request[:echoed]
    assert len(answer) - echoed < 100


@pytest.mark.parametrize("length", [MESSAGE_MAXIMUM + 1, 2**32 - 1])
async def test_a_message_that_is_too_long_is_refused(handle: Handle, length: int) -> None:
    """Where it is there, as far as can be seen; what came before it has been done."""
    write = handle.daemon.dispatcher.write
    too_long = header_only(0x7777, length=length).ljust(UNCUT, b"\0")
    with pytest.raises(DatapathError) as caught:
        await write(handle.session, too_long)
    assert caught.value.errno == EMSGSIZE
    before = new("a", ACK)
    assert await write(handle.session, before + too_long) == len(before)
    assert errnos(await handle.drain()) == [0]
    assert handle.session.unfinished is None


@pytest.mark.parametrize("length", [0, 15, MESSAGE_MAXIMUM + 1, 2**32 - 1])
async def test_no_part_counts_after_a_length_that_cannot_be(handle: Handle, length: int) -> None:
    """Nor is memory kept for it."""
    write = handle.daemon.dispatcher.write
    bad = struct.pack("=I", length) + bytes(100)
    assert await write(handle.session, bad) == len(bad)
    assert await write(handle.session, new("a", ACK), True) == len(new("a", ACK))
    assert handle.session.unfinished is None
    assert await handle.drain() == []
    assert errnos(await handle.ask(new("b", ACK))) == [0]


@given(
    parts=st.lists(
        st.sampled_from(
            [new("a", ACK), new("a", ECHO), ODD, GET, DUMP_ALL, header_only(1, ACK | 1), b"\0" * 16]
        )
        | st.binary(max_size=40),
        max_size=6,
    ),
    cuts=st.lists(st.integers(0, 250), max_size=4),
)
def test_any_bytes_in_any_parts(parts: list[bytes], cuts: list[int]) -> None:
    """Parts of one write do what the whole does."""

    async def conversation(chunks: list[bytes]) -> list[bytes]:
        handle = Daemon().open()
        for number, chunk in enumerate(chunks):
            taken = await handle.daemon.dispatcher.write(handle.session, chunk, number > 0)
            assert taken == len(chunk)
        replies = []
        while handle.session.queue.bytes:
            replies += split(await handle.receive_bytes())
        return replies

    whole = b"".join(parts)
    ends = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [whole[a:b] for a, b in pairwise(ends) if a < b]
    assert trio.run(conversation, chunks) == trio.run(conversation, [whole])


# Notifications ----------------------------------------------------------------------------------


async def member(daemon: Daemon) -> Handle:
    """A handle that is in the group of datapaths."""
    handle = daemon.open()
    daemon.context.sessions.join(handle.session, GROUP)
    return handle


@pytest.mark.parametrize("flags", [0, ACK, ECHO, ECHO | ACK])
async def test_members_are_notified_with_the_bytes_of_the_reply(daemon: Daemon, flags: int) -> None:
    requester, watcher = await member(daemon), await member(daemon)
    await requester.send(new(flags=flags))
    (event,) = await watcher.receive()
    assert isinstance(event, Message)
    assert (event.command, event.flags, event.sequence, event.pid) == (
        DpCmd.NEW,
        0,
        7,
        requester.pid,
    )
    own = await requester.drain()
    assert own[0] == event  # once, whether as member or by NLM_F_ECHO
    assert errnos(own[1:]) == ([0] if flags & ACK else [])


async def test_failures_and_reads_notify_nobody(daemon: Daemon, handle: Handle) -> None:
    watcher = await member(daemon)
    await handle.send(build(DATAPATH, DpCmd.NEW), GET, DUMP_ALL)
    assert not watcher.session.queue.bytes


# Reading ----------------------------------------------------------------------------------------


async def test_a_read_returns_one_datagram(handle: Handle) -> None:
    await handle.send(new("a", ECHO | ACK))
    with pytest.raises(DatapathError) as caught:
        await handle.receive_bytes(20)
    assert caught.value.errno == EMSGSIZE
    assert errnos([*await handle.receive(), *await handle.receive()]) == [None, 0]
    with pytest.raises(DatapathError) as caught:
        await handle.receive_bytes()
    assert caught.value.errno == EAGAIN


async def test_replies_are_there_when_the_write_returns(handle: Handle) -> None:
    """Open vSwitch reads EAGAIN after a batch as "all the rest succeeded"."""
    await handle.send(*(new(f"br{number}", ECHO) for number in range(32)))
    assert len(await handle.drain()) == 32


async def test_a_full_queue() -> None:
    cost = 36 + OVERHEAD
    handle = Daemon(queue_limit=5 * cost).open()
    await handle.send(*(header_only(1, ACK | 1) for _ in range(10)))
    with pytest.raises(DatapathError) as caught:
        await handle.receive_bytes()
    assert caught.value.errno == ENOBUFS
    assert len(await handle.drain()) == 5
    assert handle.session.queue.dropped == 5


async def test_a_write_that_is_interrupted_says_how_far_it_went() -> None:
    """What was handled before counts as taken."""

    async def waits(request: Request) -> Answer:
        await trio.Event().wait()
        return Answer()

    family = one_command(waits)
    handle = Daemon([family]).open()
    write = handle.daemon.dispatcher.write
    wait = build(family.schema, 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await write(handle.session, new("a") + wait) == len(new("a"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await write(handle.session, wait)
    assert scope.cancelled_caught
    assert errnos(await handle.ask(new("b", ACK))) == [0]


# Long writes ------------------------------------------------------------------------------------

MONOTONIC = "ovsdp_cuse.families.stream_door.monotonic"


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long things take, no time passes."""
    monkeypatch.setattr(MONOTONIC, lambda: 0.0)


@pytest.mark.usefixtures("no_time")
async def test_a_long_write_gives_others_their_turn(daemon: Daemon, nursery: trio.Nursery) -> None:
    handle, switch = daemon.open(), daemon.context.switch
    count = 2 * MESSAGES_BEFORE_OTHERS + 100
    seen = []

    async def watch() -> None:
        while len(switch) < count:
            seen.append(len(switch))
            await trio.lowlevel.checkpoint()

    nursery.start_soon(watch)
    await handle.send(*(new(f"br{number}") for number in range(count)))
    assert seen, "it had no turn"
    assert set(seen) <= {MESSAGES_BEFORE_OTHERS, 2 * MESSAGES_BEFORE_OTHERS}


async def test_a_slow_write_gives_others_their_turn_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def slow(request: Request) -> Answer:
        handled.append(0)
        return Answer()

    handled: list[int] = []
    monkeypatch.setattr(MONOTONIC, lambda: len(handled) * TIME_BEFORE_OTHERS_S)
    daemon = Daemon([one_command(slow)])
    handle = daemon.open()
    family = daemon.context.registry.lookup(0x20)
    assert family is not None
    requests = [build(family.schema, Cmd.ONLY) for _ in range(3)]
    with trio.CancelScope() as scope:
        scope.cancel()
        taken = await daemon.dispatcher.write(handle.session, b"".join(requests))
    assert (len(handled), taken) == (1, len(requests[0]))


@pytest.mark.usefixtures("no_time")
async def test_a_signal_ends_a_long_write_after_what_was_handled(daemon: Daemon) -> None:
    """So that who goes on where it ended does nothing twice, and leaves nothing out."""
    handle = daemon.open()
    count = MESSAGES_BEFORE_OTHERS + 100
    requests = [new(f"br{number:03}", ACK) for number in range(count)]
    data = b"".join(requests)
    with trio.CancelScope() as scope:
        scope.cancel()
        taken = await daemon.dispatcher.write(handle.session, data)
    assert not scope.cancelled_caught
    assert len(daemon.context.switch) == MESSAGES_BEFORE_OTHERS
    assert taken == sum(map(len, requests[:MESSAGES_BEFORE_OTHERS]))
    await handle.send(data[taken:])
    assert errnos(await handle.drain()) == [0] * count


@pytest.mark.usefixtures("no_time")
async def test_a_short_write_is_not_to_be_interrupted(daemon: Daemon) -> None:
    handle = daemon.open()
    with trio.CancelScope() as scope:
        scope.cancel()
        await handle.send(*(new(f"br{n}") for n in range(MESSAGES_BEFORE_OTHERS - 1)))
    assert not scope.cancelled_caught
    assert len(daemon.context.switch) == MESSAGES_BEFORE_OTHERS - 1
