"""A round at a switch: flows, frames, ports and datapaths that come and go, handles that close.

All of it goes through the doors of a daemon with ports of memory. Every packet, whether it comes in
through a port or by EXECUTE, is kept account of.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from errno import EIO, errorcode
from typing import Any
from unittest.mock import patch

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families import explain
from ovsdp_cuse.ports.memory import MemoryPort
from ovsdp_cuse.switch.actions import Action
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.explain import Obstacle
from ovsdp_cuse.switch.explain import explain as explain_packet
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.trail import Step
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd, DpFeature
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType
from tests.families.doors import READ_WRITE, Daemon, Handle, build, split
from tests.fuzz.accounts import accounted, check_rest, unchanged
from tests.fuzz.doors import HANDLES, Waited, add_harmless_faults, ioctl, open_handle, read, write
from tests.fuzz.inputs import Inputs
from tests.fuzz.record import Record
from tests.fuzz.requests import DATAPATHS, INTERFACES, Requests

QUEUE_LIMIT = 256 << 10
LARGEST_DATAGRAM = 140 << 10
"""Bytes: a request of 64 KiB twice, and what stands around it."""
RESTORE_EVERY = 16


class World:
    """A daemon, its handles and its packets. `problems` are those that a handler would hide."""

    def __init__(self, requests: Requests, record: Record) -> None:
        self.requests = requests
        self.record = record
        self.random = requests.random
        self.daemon = Daemon(queue_limit=QUEUE_LIMIT, queue_maximum=QUEUE_LIMIT)
        self.switch = self.daemon.context.switch
        self.handles = [self._open() for _ in range(HANDLES)]
        self.problems: list[AssertionError] = []
        self._execute = Datapath.execute
        self._explain = explain_packet
        for name in INTERFACES:
            self.daemon.ports.add_interface(name, mtu=self.random.choice((68, 1500, 1500, 9000)))

    def _open(self) -> Handle:
        """A handle that most likely may do everything, and that is told of everything."""
        if self.random.random() < 0.1:
            return open_handle(self.daemon, self.requests)
        return self.daemon.open(READ_WRITE)

    def execute(self, datapath: Datapath, packet: Packet, actions: Sequence[Action]) -> None:
        """In the place of Datapath.execute."""
        try:
            with accounted(datapath, False):
                try:
                    self._execute(datapath, packet, actions)
                except DatapathError as error:
                    failed: DatapathError | None = error
                else:
                    failed = None
        except AssertionError as problem:
            self.problems.append(problem)
        if failed is not None:
            raise failed

    def explain(
        self,
        datapath: Datapath,
        packet: Packet,
        metadata: int,
        now_ms: int,
        obstacle: Obstacle,
        *,
        is_sampled: bool = True,
    ) -> list[Step]:
        """In the place of `switch.explain.explain`: the steps are described at once, too."""
        try:
            with unchanged(datapath, self.daemon.context.sessions):
                steps = self._explain(
                    datapath, packet, metadata, now_ms, obstacle, is_sampled=is_sampled
                )
                for step in steps:
                    explain.describe(step)
            assert steps, "a packet of which there is nothing to tell"
        except AssertionError as problem:
            self.problems.append(problem)
            raise DatapathError(EIO, "see the problem") from None
        return steps

    async def restore(self) -> None:
        """Make what is not there of two datapaths with a few ports each; the daemon answers."""
        probe = self.daemon.open()
        features = self.random.choice((DpFeature(0), DpFeature.UNALIGNED | DpFeature.VPORT_PIDS))
        for number, name in enumerate(DATAPATHS):
            pids = (self.random.choice(self.handles).pid,)
            new: dict[int, Any] = {DpAttr.NAME: name, DpAttr.UPCALL_PID: pids}
            new[DpAttr.USER_FEATURES] = int(features)
            with suppress(DatapathError):
                await probe.write_ioctl(build(DATAPATH, DpCmd.NEW, new))
            told = await probe.transact(build(DATAPATH, DpCmd.GET, {DpAttr.NAME: name}))
            for interface in INTERFACES[number::2]:
                port: dict[int, Any] = {VportAttr.NAME: interface, VportAttr.UPCALL_PID: pids}
                port[VportAttr.TYPE] = VportType.NETDEV
                if isinstance(told, Message):
                    with suppress(DatapathError):
                        request = build(VPORT, VportCmd.NEW, port, dp_ifindex=told.dp_ifindex)
                        await probe.write_ioctl(request)
        probe.close()

    def inject(self) -> None:
        """A frame comes in through a port."""
        datapaths = list(self.switch)
        if not datapaths:
            return
        datapath = self.random.choice(datapaths)
        port = self.random.choice(list(datapath.ports.values()))
        assert isinstance(port, MemoryPort)
        frames = self.requests.frames
        frame = frames.frame()
        offload = frames.offload(frame)
        mark = self.random.choice((0, 0, 0, 1))
        self.record.note(f"frame at {port.name} ({port.number}), {offload}, mark {mark}", frame)
        with accounted(datapath, True):
            port.inject(frame, offload, mark=mark)

    def change_interface(self) -> None:
        """An interface comes, goes, or has another MTU or name; its port hears of it."""
        ports, random = self.daemon.ports, self.random
        name = random.choice((*INTERFACES, "i1"))
        (kind,) = random.choices(range(4), (1, 3, 2, 1))
        self.record.note(f"change {kind} of interface {name}")
        with suppress(DatapathError):
            match kind:
                case 0:
                    ports.remove_interface(name)
                case 1:
                    ports.add_interface(name, mtu=random.choice((68, 1500, 65535)))
                case 2:
                    ports.change_interface(name, mtu=random.choice((0, 68, 1500, 65535)))
                case 3:
                    ports.change_interface(name, new_name=random.choice(INTERFACES))

    async def ask(self) -> None:
        """One system call of one handle."""
        random, requests = self.random, self.requests
        number = random.randrange(HANDLES)
        handle = self.handles[number]
        requests.pids = [handle.pid for handle in self.handles]
        requests.own_pid = handle.pid
        requests.indexes = [datapath.index for datapath in self.switch]
        try:
            match random.randrange(20):
                case 0:
                    self.record.note(f"close and open {handle.pid}")
                    handle.close()
                    self.handles[number] = self._open()
                case 1:
                    await read(handle, requests, self.record)
                case 2:
                    self.record.note(f"drain {handle.pid}")
                    while handle.session.queue.bytes:
                        await self._drain_one(handle)
                case 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11:
                    await write(handle, requests, self.record)
                case _:
                    await ioctl(handle, requests, self.record)
        except DatapathError as error:
            assert error.errno in errorcode, error
            assert error.message, "an error says what was wrong"
        except Waited:
            assert not handle.session.pending
        assert handle.session.running is None, "the in-use guard was not given back"

    async def _drain_one(self, handle: Handle) -> None:
        """One datagram; an overrun is told in between."""
        with suppress(DatapathError):
            datagram = await handle.receive_bytes(1 << 20)
            if datagram[:4] != bytes(4):  # a kept answer of WIN_GET_PID has no length
                for message in split(datagram):
                    self.daemon.parse(message)

    def check(self) -> None:
        """What holds between inputs."""
        if self.problems:
            raise self.problems[0]
        for datapath in self.switch:
            check_rest(datapath)
            assert datapath.ports[0] is datapath.local
            for number, port in datapath.ports.items():
                assert (port.number, port.dp_ifindex) == (number, datapath.index)
                assert self.switch.lookup_port(port.name) is port
        for session in self.daemon.context.sessions:
            assert session.queue.bytes <= QUEUE_LIMIT + LARGEST_DATAGRAM

    def end(self) -> None:
        """Nothing is left when the daemon ends."""
        self.switch.close()
        assert not len(self.switch)


async def switch_round(inputs: Inputs, record: Record) -> None:
    """Requests, frames and changes of interfaces take turns."""
    world = World(Requests(inputs.random), record)

    def execute(datapath: Datapath, packet: Packet, actions: Sequence[Action]) -> None:
        world.execute(datapath, packet, actions)

    with (
        patch.object(Datapath, "execute", execute),
        patch.object(explain, "explain", world.explain),
    ):
        await add_harmless_faults(world.daemon, world.requests)
        await world.restore()
        while record.more:
            chance = world.random.random()
            if chance < 0.4:
                world.inject()
            elif chance < 0.43:
                world.change_interface()
            else:
                await world.ask()
            world.check()
            if not record.count % RESTORE_EVERY:
                await world.restore()
    world.end()
