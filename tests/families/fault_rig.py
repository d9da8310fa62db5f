"""A daemon whose handles meet faults: what waits is handled, and faults are made by another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from ovsdp_cuse.families.faults import Fault
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.fault import FaultAttr, FaultEffect
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from tests.families.doors import Daemon, build


class Rig:
    """`handle` meets faults, `other` does not, `keeper` makes them."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.handle = daemon.open()
        self.other = daemon.open()
        self.keeper = daemon.open()

    async def add(self, effect: FaultEffect, **rule: Any) -> Fault:
        """Make a fault of `handle`'s, or of another PID or of all where PID is told; its rule."""
        rule.setdefault("PID", self.handle.session.pid)
        attributes = {FaultAttr[name]: value for name, value in rule.items() if value is not None}
        told = await self.say(OvsdpCmd.FAULT_NEW, {FaultAttr.EFFECT: effect, **attributes})
        return self.daemon.context.faults.lookup(told[FaultAttr.ID])

    async def release(self, fault: Fault | None = None) -> int:
        """Let go on what waits; how many."""
        return await self._count(OvsdpCmd.FAULT_RELEASE, fault)

    async def delete(self, fault: Fault | None = None) -> int:
        """Remove a fault, or all; how many went on."""
        return await self._count(OvsdpCmd.FAULT_DEL, fault)

    async def say(self, command: OvsdpCmd, attributes: Mapping[Any, Any]) -> dict[int, Any]:
        """What the keeper is replied."""
        reply = await self.keeper.transact(build(OVSDP_CONTROL, command, attributes))
        assert isinstance(reply, Message), reply
        return reply.attributes

    async def _count(self, command: OvsdpCmd, fault: Fault | None) -> int:
        attributes = {} if fault is None else {FaultAttr.ID: fault.id}
        held: int = (await self.say(command, attributes))[FaultAttr.HELD]
        return held


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[trio.Nursery]:
    """What waits is handled, for the time of an `async with`; its tasks end with it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.dispatcher.run)
        yield nursery
        nursery.cancel_scope.cancel()


class Call:
    """A system call that waits, made by a task."""

    def __init__(self, nursery: trio.Nursery, awaitable: Any) -> None:
        self.scope = trio.CancelScope()
        self.result: Any = None
        self.error: BaseException | None = None
        self._done = trio.Event()
        nursery.start_soon(self._run, awaitable)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._done.is_set()

    async def wait(self) -> Any:
        """Its result, or what it raised."""
        await self._done.wait()
        if self.error is not None:
            raise self.error
        return self.result

    async def _run(self, awaitable: Any) -> None:
        try:
            with self.scope:
                self.result = await awaitable
        except Exception as error:
            self.error = error
        finally:
            self._done.set()


async def settle() -> None:
    """Let all tasks go as far as they can."""
    await trio.testing.wait_all_tasks_blocked()
