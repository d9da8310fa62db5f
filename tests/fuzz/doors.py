"""A round at the doors of a few handles: Dispatcher and sessions, with no device.

Whoever waits is cancelled at once, which is what a signal in the client does.
"""

from __future__ import annotations

from contextlib import suppress
from errno import errorcode

import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.datapath import GROUP
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.session import LARGEST_DUMP_PART, LEAST_QUEUE_LIMIT, Access
from ovsdp_cuse.families.stream_door import MESSAGE_MAXIMUM
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NLMSG_MIN_TYPE,
    OVS_HEADER_SIZE,
    ControlType,
    Flag,
)
from tests.families.doors import READ_WRITE, Daemon, Handle, build, split
from tests.fuzz.control import ControlInputs
from tests.fuzz.inputs import Inputs
from tests.fuzz.record import Record

HANDLES = 6
QUEUE_LIMIT = 64 << 10
QUEUE_MAXIMUM = 96 << 10
KEPT_MAXIMUM = 8192
"""Bytes of the longest reply that is sent by any command, with its overhead."""
CHECK_EVERY = 16
GROUPS = sum(len(family.groups) for family in BUILT_IN)
ACCESSES = (READ_WRITE, READ_WRITE, READ_WRITE, Access.READ, Access.WRITE, Access(0))

PROBE = "probe"
GET = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: PROBE})
NEW = build(DATAPATH, DpCmd.NEW, {DpAttr.NAME: PROBE, DpAttr.UPCALL_PID: (0,)})
ACKNOWLEDGED = int(Flag.ACK)


class Waited(Exception):
    """A call was waiting, and was interrupted."""


async def doors_round(inputs: Inputs, record: Record) -> None:
    """Ioctls, writes, reads, polls, opens and closes with any bytes."""
    random = inputs.random
    daemon = Daemon(
        queue_limit=QUEUE_LIMIT,
        queue_maximum=QUEUE_MAXIMUM,
        first_pid=random.choice((1, 2**32 - 4)),
    )
    assert isinstance(inputs, ControlInputs)
    await add_harmless_faults(daemon, inputs)
    handles = [open_handle(daemon, inputs) for _ in range(HANDLES)]
    while record.more:
        inputs.pids = [handle.pid for handle in handles]
        number = random.randrange(HANDLES)
        handle = handles[number]
        inputs.own_pid = handle.pid
        try:
            match random.randrange(20):
                case 0:
                    record.note(f"close and open {handle.pid}")
                    handle.close()
                    handles[number] = open_handle(daemon, inputs)
                case 1 | 2 | 3:
                    await read(handle, inputs, record)
                case 4 | 5 | 6 | 7 | 8 | 9:
                    await write(handle, inputs, record)
                case _:
                    await ioctl(handle, inputs, record)
        except DatapathError as error:
            assert error.errno in errorcode, error
            assert error.message, "an error says what was wrong"
        except Waited:
            assert not handle.session.pending
        assert handle.session.running is None, "the in-use guard was not given back"
        handle.session.poll()
        if not record.count % CHECK_EVERY:
            await check(daemon)


async def add_harmless_faults(daemon: Daemon, inputs: ControlInputs) -> None:
    """In half of the rounds there are faults that match no handle, which must change nothing."""
    keeper = daemon.open()
    for _ in range(inputs.random.choice((0, 0, 1, 3))):
        with suppress(DatapathError):
            await keeper.transact_bytes(inputs.harmless_fault())
    keeper.close()


def open_handle(daemon: Daemon, inputs: Inputs) -> Handle:
    """A handle of any kind; some get events from the start. Its PID is not 0."""
    random = inputs.random
    handle = daemon.open(random.choice(ACCESSES), random.random() < 0.5)
    assert handle.pid
    if random.random() < 0.3:
        daemon.context.sessions.join(handle.session, GROUP)
    return handle


async def ioctl(handle: Handle, inputs: Inputs, record: Record) -> None:
    """One ioctl: its data are whole messages that fit the buffer."""
    random = inputs.random
    number = random.choices((*Ioctl, None), (1, 5, 2, 2, 10, 10, 2, 1))[0]
    sends = number in (Ioctl.WRITE, Ioctl.TRANSACT)
    data = inputs.message() if sends else b""
    out_size = 0 if number is Ioctl.WRITE else inputs.size()
    name = number.name if number is not None else "unknown"
    record.note(f"ioctl {name} by {handle.pid}, {out_size} bytes back", data)
    if number is Ioctl.PEEK:
        await peek(handle, out_size)
        return
    with trio.CancelScope() as scope:
        scope.cancel()
        answer = await handle.ioctl(number, data, out_size)
    if scope.cancelled_caught:
        assert sends
        raise Waited
    if number is Ioctl.GET_PID:
        assert len(answer) == 4
    elif answer[:4] == bytes(4):
        assert len(answer) == OVS_HEADER_SIZE, "only WIN_GET_PID answers with no length"
    else:
        for message in split(answer):
            handle.daemon.parse(message)


async def peek(handle: Handle, size: int) -> None:
    """One PEEK: it takes nothing, and shows what a read would give."""
    queue = handle.session.queue
    before = len(queue), queue.bytes
    length, data = await handle.peek(size)
    assert (len(queue), queue.bytes) == before
    assert data == (queue.peek() or b"")[:size]
    assert bool(length) == bool(before[0])


async def write(handle: Handle, inputs: Inputs, record: Record) -> None:
    """One write: it takes all, and each message has the answers that it is owed."""
    continues = inputs.random.random() < 0.1
    data = inputs.messages()
    record.note(f"{'continued ' if continues else ''}write by {handle.pid}", data)
    before = handle.session.queue._number
    with trio.CancelScope() as scope:
        scope.cancel()
        taken = await handle.daemon.dispatcher.write(handle.session, data, continues)
        if not scope.cancel_called or taken == len(data):
            check_answers(handle, data, continues, before)
        return
    raise Waited


def check_answers(handle: Handle, data: bytes, continues: bool, before: int) -> None:
    """What has been queued since the datagram of number `before`.

    Of one message alone, on a handle where nothing else waits: one answer at the most but for
    an acknowledgement, and that exactly if it was asked for or something was wrong."""
    session = handle.session
    length = NETLINK_HEADER.parse(data).length if len(data) >= 16 else 0
    alone = not continues and 16 <= length <= len(data) < length + 16
    waiting = [
        datagram for line in session.queue._lines for order, datagram in line if order > before
    ]
    if not alone or session.groups or session.stream_dump or len(waiting) > 2:
        return
    header = NETLINK_HEADER.parse(data)
    kinds = [
        NETLINK_HEADER.parse(datagram).type
        for datagram in waiting
        if NETLINK_HEADER.parse(datagram).sequence == header.sequence
    ]
    errors = kinds.count(ControlType.ERROR)
    handled = header.flags & Flag.REQUEST and header.type >= NLMSG_MIN_TYPE
    asked = bool(header.flags & ACKNOWLEDGED)
    assert errors <= 1
    if not handled:
        assert len(kinds) == errors == asked
    elif asked and len(waiting) == len(kinds) and header.flags & Flag.DUMP != Flag.DUMP:
        assert errors == 1 or session.queue.dropped


async def read(handle: Handle, inputs: Inputs, record: Record) -> None:
    """One read: a datagram of whole messages that fits the buffer."""
    size = inputs.random.choice((65536, inputs.size()))
    record.note(f"read by {handle.pid}, {size} bytes")
    nonblocking = inputs.random.random() < 0.5
    with trio.CancelScope() as scope:
        scope.cancel()
        datagram = await handle.daemon.dispatcher.read(handle.session, size, nonblocking)
    if scope.cancelled_caught:
        assert not nonblocking
        raise Waited
    assert 0 < len(datagram) <= size
    if datagram[:4] != bytes(4):
        for message in split(datagram):
            handle.daemon.parse(message)


async def check(daemon: Daemon) -> None:
    """The daemon answers a correct GET, and holds no more than it may."""
    probe = daemon.open()
    await probe.transact(NEW)
    reply = await probe.transact(GET)
    assert isinstance(reply, Message)
    assert reply.attributes[DpAttr.NAME] == PROBE
    probe.close()
    sessions = daemon.context.sessions
    assert len(sessions) == HANDLES
    for session in sessions:
        most = QUEUE_MAXIMUM if session.writable else QUEUE_LIMIT
        assert LEAST_QUEUE_LIMIT <= session.queue.limit <= most
        assert session.queue.bytes <= most + LARGEST_DUMP_PART + KEPT_MAXIMUM
        assert session.unfinished is None or len(session.unfinished[0]) < MESSAGE_MAXIMUM
        assert len(session.groups) <= GROUPS
