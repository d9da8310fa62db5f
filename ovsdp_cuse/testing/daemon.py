"""The daemon in a thread of this process: all of it but, where no kernel is wanted, the node."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import trio
import trio.testing
from structlog.typing import EventDict

from ovsdp_cuse.client.device import Device
from ovsdp_cuse.client.faults import Faults
from ovsdp_cuse.configuration import Configuration
from ovsdp_cuse.daemon import choose_node, load_registry
from ovsdp_cuse.device.channel import ChannelClosed
from ovsdp_cuse.device.node import Node, NodeError, refusals_of
from ovsdp_cuse.device.serve import Server
from ovsdp_cuse.families.dispatch import Dispatcher
from ovsdp_cuse.families.local import LocalHandle
from ovsdp_cuse.families.registry import Family, Registry
from ovsdp_cuse.families.request import Context
from ovsdp_cuse.families.session import Access, Owner, SessionTable
from ovsdp_cuse.ports.memory import MemoryPorts
from ovsdp_cuse.switch.switch import Switch, monotonic_ms
from ovsdp_cuse.testing.calls import Call
from ovsdp_cuse.testing.clock import REBALANCE_INTERVAL_S, VirtualClock
from ovsdp_cuse.testing.handle import ThreadHandle
from ovsdp_cuse.testing.logs import DaemonLog, describe
from ovsdp_cuse.testing.messages import Messages
from ovsdp_cuse.testing.ports import Ports
from ovsdp_cuse.testing.thread import TIME_LIMIT_S, LoopThread
from ovsdp_cuse.wire.family import FamilySchema

P = ParamSpec("P")
T = TypeVar("T")

NODES = ("memory", "fuse", "cuse", "auto")
"""Nodes: none, a FUSE file, a CUSE device, or CUSE where there can be one and else FUSE."""

_numbers = itertools.count(1)


class DaemonFailure(AssertionError):
    """The daemon did what it must not: it ended, or logged an error; the text says what."""


class LocalDaemon:
    """A daemon with a device and interfaces of its own; a context manager.

    node: one of NODES. families: beside the built-in ones and those of installed packages.
    virtual_clock: whether time goes on only by `clock.advance`. handle_limit, queue_limit,
    queue_maximum: as those of `serve`.

    Raises NodeError, when it is entered, where there can be no such node; the text says what to do.
    At the end DaemonFailure is raised where the daemon has ended by itself, or has logged an error
    that `take_errors` did not take.
    """

    def __init__(
        self,
        *,
        node: str = "memory",
        families: Iterable[Family] = (),
        virtual_clock: bool = False,
        handle_limit: int = 512,
        queue_limit: int = 1 << 20,
        queue_maximum: int = 8 << 20,
    ) -> None:
        if node not in NODES:
            raise ValueError(f"node: {node!r} is none of {', '.join(NODES)}")
        self._wanted_node = node
        self._families = tuple(families)
        self._virtual = VirtualClock(self._rebalance) if virtual_clock else None
        self._memory = MemoryPorts()
        self.context = Context(
            Switch(
                self._memory,
                os.cpu_count() or 1,
                monotonic_ms if self._virtual is None else lambda: self.clock.now_ms,
            ),
            Registry((*load_registry(), *self._families)),
            SessionTable(handle_limit, queue_limit, queue_maximum=queue_maximum),
        )
        """The switch, the families and the handles, for code that `run` runs."""
        self.messages = Messages(self.context.registry)
        """What has crossed the device, decoded."""
        self._dispatcher = Dispatcher(self.context, self.messages)
        self._node: Node | None = None
        self._loop = LoopThread(
            self._serve, None if self._virtual is None else self._virtual.trio_clock
        )
        if self._virtual is not None:
            self._virtual.loop = self._loop
        self.log = DaemonLog(lambda: self._loop.identity)
        self.ports = Ports(self._memory, self._run_and_settle)
        """Its interfaces."""
        self.end_limit_s = 10.0
        """How long the calls of `start` may take, at the end, to notice that it is over."""
        self._devices: list[Device] = []
        self._calls: list[Call[object]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start it, and return when the device can be opened."""
        with ExitStack() as stack:
            self._make_node(stack)
            self.log.begin()
            stack.callback(self.log.end)
            stack.callback(self._loop.stop)
            try:
                self._loop.start()
            except BaseExceptionGroup as group:
                failure = _node_error(group)
                if failure is None:
                    raise
                raise failure from None
            stack.callback(self._close_devices)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all handles, stop it, and raise what was wrong."""
        try:
            self._stack.close()
        finally:
            if error is None:
                self.check()

    # What a test does with it ------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._loop.running

    @property
    def path(self) -> Path:
        """The path of the device; RuntimeError where it has none, being in memory."""
        if self._node is None:
            raise RuntimeError(
                "a device in memory has no path: choose the node fuse or cuse "
                "(--ovsdp-node, or `ovsdp_serve`)"
            )
        return self._node.path

    @property
    def clock(self) -> VirtualClock:
        """The clock; RuntimeError where the daemon has the machine's."""
        if self._virtual is None:
            raise RuntimeError("this daemon has the machine's clock: ask for a virtual one")
        return self._virtual

    def open(self, *, read_only: bool = False, families: Iterable[FamilySchema] = ()) -> Device:
        """An open Device, which is closed at the end; the arguments are those of Device."""
        schemas = (*(family.schema for family in self._families), *families)
        if self._node is not None:
            device = Device(self._node.path, read_only=read_only, families=schemas)
        else:
            access = Access.READ if read_only else Access.READ | Access.WRITE
            owner = Owner(os.getpid(), os.geteuid(), os.getegid())
            handle = ThreadHandle(
                self._loop,
                lambda: LocalHandle(self._dispatcher, owner, access, nonblocking=True),
                self._virtual,
            )
            device = Device(families=schemas, handle=handle)
        self._devices.append(device)
        return device

    def faults(self) -> Faults:
        """The daemon's faults, through a handle of their own."""
        return Faults(self.open())

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        """Make a call in a thread; return when it waits for the device, or has ended.

        A device is for one thread at a time: give the call one of its own (`open`).
        """
        call = Call(lambda: function(*args, **kwargs))
        self._calls.append(call)
        end = time.monotonic() + TIME_LIMIT_S
        while not call.done and not self._waits(call.thread):
            if time.monotonic() > end:
                raise TimeoutError(f"the call does not wait for the device: {call}")
            time.sleep(0.001)  # nobody tells
        if self._node is None and self.running:
            self.settle()
        return call

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in the daemon's thread, where the switch may be looked at."""
        return self._loop.run(function)

    def settle(self) -> None:
        """Return when the daemon has nothing to do but to wait."""
        self._loop.call(trio.testing.wait_all_tasks_blocked, TIME_LIMIT_S)

    def take_errors(self) -> list[EventDict]:
        """The errors that the daemon has logged since the last call: the test expects them."""
        return self.log.take_errors()

    def check(self) -> None:
        """Raise DaemonFailure where the daemon has ended, or has logged an error."""
        if self._loop.error is not None:
            raise DaemonFailure(f"the daemon has ended: {self._loop.error!r}") from self._loop.error
        errors = self.take_errors()
        if errors:
            text = "\n".join(map(describe, errors))
            raise DaemonFailure(f"the daemon has logged what is wrong in it:\n{text}")

    # Within ------------------------------------------------------------------------------------

    def _make_node(self, stack: ExitStack) -> None:
        if self._wanted_node == "memory":
            return
        directory = Path(tempfile.mkdtemp(prefix="ovsdp-"))
        stack.callback(shutil.rmtree, directory)
        name = f"ovsdp-{os.getpid()}-{next(_numbers)}"
        configuration = Configuration(
            node=self._wanted_node,
            name=name,
            path=str(directory / name),
            owner=str(os.geteuid()),
            group=str(os.getegid()),
        )
        self._node, _why_no_cuse = choose_node(configuration)

    async def _serve(self, ready: Callable[[], None]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._memory.run)
                if self._virtual is None:
                    nursery.start_soon(self._rebalance_for_ever)
                if self._node is not None:
                    await self._serve_node(self._node, nursery)
                ready()
        finally:
            if self._node is not None:
                with trio.CancelScope(shield=True):
                    await self._node.withdraw()
            self.context.switch.close()
            self._memory.close()

    async def _serve_node(self, node: Node, nursery: trio.Nursery) -> None:
        with refusals_of(node):
            channel = await node.attach()
        server = Server(channel, node.connection, self._dispatcher, node.wait_limit_s)

        async def serve() -> None:
            try:
                await server.serve()
            except ChannelClosed:
                problem = node.connection.problem or f"the kernel has taken {node.path} away"
                raise NodeError(problem) from None

        nursery.start_soon(serve)
        with refusals_of(node):
            await node.publish()

    async def _rebalance_for_ever(self) -> None:
        while True:
            await trio.sleep(REBALANCE_INTERVAL_S)
            self._rebalance()

    def _rebalance(self) -> None:
        for datapath in self.context.switch:
            datapath.flows.rebalance()

    def _run_and_settle(self, function: Callable[[], T]) -> T:
        async def run() -> T:
            try:
                return function()
            finally:
                await trio.testing.wait_all_tasks_blocked()

        return self._loop.call(run, TIME_LIMIT_S)

    def _waits(self, thread: threading.Thread) -> bool:
        """Whether a thread waits for the device: in our loop, or in a system call."""
        if self._node is None:
            return self._loop.waits(thread.ident)
        try:
            function = Path(f"/proc/self/task/{thread.native_id}/wchan").read_text()
        except OSError:  # it has ended
            return False
        return "request_wait" in function or "poll" in function

    def _close_devices(self) -> None:
        """Let every call end, and close every handle."""
        for device in self._devices:
            device.close()
        hanging = []
        for call in self._calls:
            call.thread.join(self.end_limit_s)
            if call.thread.is_alive():
                hanging.append(call)
        if hanging:
            raise DaemonFailure(f"calls that the test has started do not end: {hanging}")


def _node_error(error: BaseException) -> NodeError | None:
    """The first failure of a node in a group of exceptions, however deep."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_node_error, error.exceptions)), None)
    return error if isinstance(error, NodeError) else None
