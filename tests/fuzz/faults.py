"""A round with faults: the daemon fails on purpose, and yet each request has its one answer.

The round has parts. In each, a keeper makes faults while handles ask; calls that wait are tasks,
time passes only when it is told to, and at the end the keeper removes all faults. Then every call
has ended, and what was written has exactly the answers that it is owed: unless there was a fault
that loses answers (LOSES), where it has no more than those.
"""

from __future__ import annotations

import struct
from collections import Counter
from contextlib import suppress
from errno import errorcode

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.wire.fault import FaultEffect
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, NLMSG_MIN_TYPE, ControlType, Flag
from ovsdp_cuse.wire.ovsdp_control import OvsdpCmd
from ovsdp_cuse.wire.packet import PACKET
from tests.families.doors import Handle, split
from tests.families.fault_rig import Call, running
from tests.fuzz.control import WAITING
from tests.fuzz.doors import HANDLES
from tests.fuzz.inputs import Inputs
from tests.fuzz.record import Record
from tests.fuzz.requests import Requests
from tests.fuzz.switch import World

PART = 25
"""Inputs of a part of the round."""
LOSES = frozenset(
    {
        *(FaultEffect.DROP, FaultEffect.OVERFLOW, FaultEffect.TRUNCATE),
        FaultEffect.CLOSE_QUEUE,
    }
)
"""Effects by which an answer, or the end of it, may never come. An OVERFLOW congests a queue."""
LARGE = 1 << 20
FIRST_SEQUENCE = 1 << 20
READS = (Ioctl.READ, Ioctl.READ_EVENT, Ioctl.READ_PACKET, Ioctl.PEEK, Ioctl.GET_PID)
TIMES_S = (0.0005, 0.002, 0.02, 1.0, 5e6)


class Asked:
    """What one handle has asked, and what it was answered."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.calls: list[Call] = []
        self.owed: Counter[int] = Counter()
        """Answers by sequence number: of an error, an acknowledgement or the end of a dump."""
        self.allowed: Counter[int] = Counter()
        """The same of messages that are answered so only if something is wrong with them."""
        self.answers: Counter[int] = Counter()
        self.loses = False
        """Whether there was a fault by which answers may be lost, or come in part."""

    def write(self, data: bytes) -> None:
        """A message is about to be written."""
        header = NETLINK_HEADER.parse(data)
        whole = 16 <= header.length <= len(data)
        is_request = header.flags & Flag.REQUEST and header.type >= NLMSG_MIN_TYPE
        if not whole:
            return
        dumps = is_request and header.flags & Flag.DUMP == Flag.DUMP
        if header.flags & Flag.ACK or dumps:
            self.owed[header.sequence] += 1
        elif is_request:
            self.allowed[header.sequence] += 1

    def take(self, datagram: bytes) -> None:
        """A datagram of read(2): whole messages, where nothing is cut short."""
        if self.loses or datagram[:4] == bytes(4):
            return
        for message in split(datagram):
            header = NETLINK_HEADER.parse(message)
            if header.type != PACKET.id:  # an upcall may have less of a frame than a request
                self.handle.daemon.parse(message)
            if header.type in (ControlType.ERROR, ControlType.DONE):
                self.answers[header.sequence] += 1

    async def drain(self) -> None:
        """Read all that waits; a read that fails tells something, and the next goes on."""
        session = self.handle.session
        while session.queue.bytes or session.queue.overrun:
            before = session.queue.overrun
            try:
                datagram = await self.handle.receive_bytes(LARGE)
            except DatapathError as error:
                assert before and not session.queue.overrun, f"what waits is not read: {error}"
            else:
                self.take(datagram)

    def check(self) -> None:
        """All calls have ended, and what was written is answered."""
        for call in self.calls:
            assert call.done, "a call has not returned, though no fault is left"
            check_error(call.error)
        session = self.handle.session
        if self.loses or session.closed or session.queue.dropped:
            return
        for sequence, count in self.owed.items():
            most = count + self.allowed[sequence]
            found = self.answers[sequence]
            assert count <= found <= most, f"{found} answers to {sequence}, of {count}..{most}"


def check_error(error: BaseException | None) -> None:
    """What a call may fail with."""
    if error is not None:
        assert isinstance(error, DatapathError), error
        assert error.errno in errorcode or error.errno == 4095, error
        assert error.message, "an error says what was wrong"


class Part:
    """A part of the round: faults are made, and then there are none."""

    def __init__(self, world: World, clock: MockClock, nursery: trio.Nursery) -> None:
        self.world = world
        self.requests = world.requests
        self.random = world.random
        self.record = world.record
        self.clock = clock
        self.nursery = nursery
        self.keeper = world.daemon.open()
        self.asked = [Asked(handle) for handle in world.handles]
        self.ended: list[Asked] = []
        losing = self.random.random() < 0.4
        safe = (*WAITING, *WAITING, FaultEffect.FAIL, FaultEffect.CUT_DUMP)
        self.effects = tuple(FaultEffect) if losing else safe

    async def run(self) -> None:
        """All of it."""
        await self.make_fault()
        for _ in range(PART):
            await self.do_one()
            await wait_all_tasks_blocked()
            self.world.check()
        self.keeper.session.fault = 0
        await self.keeper.transact_bytes(self.requests.build_valid(OvsdpCmd.FAULT_DEL, b""))
        await wait_all_tasks_blocked()
        assert not self.world.daemon.context.faults.active, "a handle waits, and for no fault"
        for asked in self.asked:
            await asked.drain()
            assert asked.handle.session.running is None, "the in-use guard was not given back"
        for asked in (*self.ended, *self.asked):
            asked.check()
        self.keeper.close()

    async def do_one(self) -> None:
        """One input."""
        random = self.random
        number = random.randrange(HANDLES)
        asked = self.asked[number]
        requests = self.requests
        requests.pids = [one.handle.pid for one in self.asked]
        requests.own_pid = asked.handle.pid
        requests.indexes = [datapath.index for datapath in self.world.switch]
        match random.randrange(24):
            case 0:
                self.record.note(f"close and open {asked.handle.pid}")
                asked.handle.close()
                self.ended.append(asked)
                self.world.handles[number] = self.world.daemon.open()
                self.asked[number] = Asked(self.world.handles[number])
                self.asked[number].loses = asked.loses
            case 1 | 2:
                await self.make_fault()
            case 3:
                seconds = random.choice(TIMES_S)
                self.record.note(f"{seconds} s pass")
                self.clock.jump(seconds)
            case 4:
                which = struct.pack("=HHI", 8, 1, random.randrange(1, 12))
                release = requests.build_valid(OvsdpCmd.FAULT_RELEASE, random.choice((b"", which)))
                self.record.note("release", release)
                with suppress(DatapathError):
                    await self.keeper.transact_bytes(release)
            case 5 | 6:
                self.record.note(f"drain {asked.handle.pid}")
                await asked.drain()
            case 7 | 8 | 9:
                self.world.inject()
            case 10:
                self.interrupt(asked)
            case 11 | 12 | 13 | 14 | 15 | 16:
                await self.write(asked)
            case _:
                self.ioctl(asked)

    async def make_fault(self) -> None:
        """The keeper asks for a fault, which may be refused."""
        message = self.requests.new_fault(self.effects)
        self.record.note("fault", message)
        with suppress(DatapathError):
            for reply in split(await self.keeper.transact_bytes(message, LARGE)):
                self.world.daemon.parse(reply)
        if any(fault.effect in LOSES for fault in self.world.daemon.context.faults):
            for asked in self.asked:
                asked.loses = True

    def message(self) -> bytes:
        """A message of 24 bytes at least, whose sequence number is its own, whatever is wrong."""
        built = self.requests.message().ljust(24, b"\0")
        self.requests.sequence += 1
        sequence = FIRST_SEQUENCE + self.requests.sequence
        return built[:8] + struct.pack("=I", sequence) + built[12:]

    async def write(self, asked: Asked) -> None:
        """One write(2) of one message; it never waits."""
        data = self.message()
        if self.random.random() < 0.7:  # acknowledged
            flags = struct.unpack_from("=H", data, 6)[0] | Flag.ACK
            data = data[:6] + struct.pack("=H", flags) + data[8:]
        self.record.note(f"write by {asked.handle.pid}", data)
        try:
            taken = await asked.handle.daemon.dispatcher.write(asked.handle.session, data)
        except DatapathError as error:
            check_error(error)
            return
        assert taken == len(data)
        asked.write(data)

    def ioctl(self, asked: Asked) -> None:
        """One ioctl, by a task: it may wait."""
        random = self.random
        number = random.choice((Ioctl.TRANSACT,) * 6 + (Ioctl.WRITE,) * 3 + READS)
        sends = number in (Ioctl.TRANSACT, Ioctl.WRITE)
        data = self.message() if sends else b""
        size = 0 if number is Ioctl.WRITE else random.choice((LARGE, self.requests.size()))
        self.record.note(f"ioctl {number.name} by {asked.handle.pid}, {size} bytes back", data)
        asked.calls.append(Call(self.nursery, self.call(asked, number, data, size)))

    async def call(self, asked: Asked, number: Ioctl, data: bytes, size: int) -> None:
        """What comes back fits the buffer; and it is an answer to this request, if whole."""
        if number is Ioctl.PEEK:
            await asked.handle.peek(size)
            return
        answer = await asked.handle.ioctl(number, data, size)
        if number is Ioctl.TRANSACT and len(answer) >= 16 and answer[:4] != bytes(4):
            assert answer[8:12] == data[8:12], "an answer to another request"

    def interrupt(self, asked: Asked) -> None:
        """A signal: the call that waits ends with nothing."""
        self.record.note(f"interrupt {asked.handle.pid}")
        for call in asked.calls:
            if not call.done:
                call.scope.cancel()
                break


async def faults_round(inputs: Inputs, record: Record) -> None:
    """Parts until the inputs are used up; between them the daemon is as it should be."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    world = World(Requests(inputs.random), record)
    async with running(world.daemon) as nursery:
        while record.more:
            await world.restore()
            part = Part(world, clock, nursery)
            await part.run()
            for number, handle in enumerate(world.handles):
                if handle.session.shut or handle.session.queue.dropped:
                    handle.close()
                    world.handles[number] = world.daemon.open()
    world.end()
