"""A family whose commands wait, or go wrong, when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import trio

from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.family import FamilySchema
from tests.contract.messages import build

ID = 0x40
GROUP = 200


class TestCmd(IntEnum):
    """The commands."""

    __test__ = False

    WAIT = 1
    RAISE = 2
    REPLY = 3


class Fault(Exception):
    """What no handler should raise."""


class SlowFamily:
    """WAIT replies when `go` is set, or at once if it is; RAISE raises, and so does its dump."""

    def __init__(self) -> None:
        self.go = trio.Event()
        self.cancelled = 0
        operations = DeviceOperation.TRANSACT | DeviceOperation.WRITE
        schema = FamilySchema(ID, "slow", 1, "SLOW_CMD", TestCmd, AttributeSet("SLOW_ATTR", {}))
        self.family = Family(
            schema,
            (
                Command(TestCmd.WAIT, "SLOW_CMD_WAIT", operations, self.wait),
                Command(TestCmd.RAISE, "SLOW_CMD_RAISE", operations, self.fail, self.fail_dump),
                Command(TestCmd.REPLY, "SLOW_CMD_REPLY", operations, self.reply),
            ),
            (MulticastGroup(GROUP, "slow"),),
        )

    async def wait(self, request: Request) -> Answer:
        """Reply when `go` is set."""
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.cancelled += 1
            raise
        return Answer(Body(TestCmd.WAIT))

    async def fail(self, request: Request) -> Answer:
        """Raise what is no DatapathError."""
        raise Fault("on purpose")

    def fail_dump(self, request: Request) -> Iterator[Body]:
        """Yield an object, then raise."""
        yield Body(TestCmd.RAISE)
        raise Fault("on purpose")

    async def reply(self, request: Request) -> Answer:
        """Reply at once."""
        return Answer(Body(TestCmd.REPLY))


WAIT = build(ID, TestCmd.WAIT)
RAISE = build(ID, TestCmd.RAISE)
REPLY = build(ID, TestCmd.REPLY)
