"""Faults on demand: rules, what they match, and how often they have acted.

The doors and the table of sessions ask here, and only while there is a rule (`active`): then a
request, a read, a notification or an upcall meets the rules in the order of their numbers, and the
first that applies is its fault. What an effect does is done where it is to be seen: FAIL and
CUT_DUMP in `execute`, TRUNCATE in the doors, DROP and OVERFLOW in SessionTable; waiting, and
CLOSE_QUEUE, here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from errno import EBADF, ENOENT
from typing import TYPE_CHECKING, NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.fault_turns import Line, Turn
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr
from ovsdp_cuse.wire.fault import FaultAttr, FaultEffect
from ovsdp_cuse.wire.netlink import NLMSG_MIN_TYPE, OVS_HEADER_SIZE, OVS_MESSAGE_HEADER
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL
from ovsdp_cuse.wire.vport import VPORT, VportAttr

if TYPE_CHECKING:
    from ovsdp_cuse.families.request import Body, Context, Request
    from ovsdp_cuse.families.session import Session
    from ovsdp_cuse.wire.attributes import Attributes

CERTAIN = 2**32 - 1
"""PROBABILITY of what always happens."""

WAITS = frozenset({FaultEffect.DELAY, FaultEffect.HOLD, FaultEffect.STALL})
"""Effects that let a request wait."""


class Occasion(NamedTuple):
    """What may meet a fault: an operation on a handle, and what it carries, if anything."""

    operation: str
    session: Session
    family: int | None = None
    command: int | None = None
    datapath: int = 0
    is_dump: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule looks for; None matches all. See FaultAttr for each."""

    operations: frozenset[str]
    family: int | None = None
    command: int | None = None
    pid: int | None = None
    process: int | None = None
    process_name: str | None = None
    datapath: int | None = None
    only_dumps: bool = False

    def fits(self, occasion: Occasion) -> bool:
        """Whether an occasion is what the rule looks for."""
        session = occasion.session
        return (
            occasion.operation in self.operations
            and self.family in (None, occasion.family)
            and self.command in (None, occasion.command)
            and self.pid in (None, session.pid)
            and self.process in (None, session.owner.pid)
            and self.process_name in (None, session.command)
            and self.datapath in (None, occasion.datapath)
            and (occasion.is_dump or not self.only_dumps)
        )


class Frequency:
    """How often a rule that matches applies: the n-th, each n-th, at most so often, by chance.

    probability: of CERTAIN. The chance is drawn for what NTH, EVERY and TIMES let pass, so that
    with the same seed the same of a sequence are chosen.
    """

    def __init__(
        self,
        nth: int | None = None,
        every: int | None = None,
        times: int | None = None,
        probability: int = CERTAIN,
        seed: int = 0,
    ) -> None:
        self._nth = nth
        self._every = every
        self._times = times
        self._probability = probability
        self._random = random.Random(seed)

    def applies(self, matched: int, applied: int) -> bool:
        """Whether the match with this number, from 1, applies, after `applied` that did."""
        if self._nth not in (None, matched):
            return False
        if self._every is not None and matched % self._every:
            return False
        if self._times is not None and applied >= self._times:
            return False
        return self._probability >= CERTAIN or self._random.getrandbits(32) < self._probability


class Fault:
    """One rule, with what it has done. `attributes` is what NEW was given, to be told again."""

    def __init__(
        self,
        match: Match,
        effect: FaultEffect,
        attributes: Attributes,
        frequency: Frequency | None = None,
    ) -> None:
        self.id = 0
        self.match = match
        self.effect = effect
        self.attributes = attributes
        self.errno: int = attributes.get(FaultAttr.ERRNO, 0)
        self.text: str = attributes.get(FaultAttr.TEXT, "")
        self.size: int = attributes.get(FaultAttr.SIZE, 0)
        self.delay_s: float = attributes.get(FaultAttr.DELAY_MS, 0) / 1000
        self.matched = 0
        self.applied = 0
        self.waiting: set[Turn] = set()
        self._frequency = frequency or Frequency()

    @property
    def waits(self) -> bool:
        """Whether it lets a request wait."""
        return self.effect in WAITS

    def applies(self) -> bool:
        """Count a match, and whether it applies this time."""
        self.matched += 1
        if not self._frequency.applies(self.matched, self.applied):
            return False
        self.applied += 1
        return True

    def refuse(self) -> None:
        """Raise what FAIL refuses a request with, if that is the effect."""
        if self.effect is FaultEffect.FAIL:
            raise self._error()

    def cut(self, reply: bytes) -> bytes:
        """What TRUNCATE leaves of a reply; all of it, if the effect is another."""
        return reply[: self.size] if self.effect is FaultEffect.TRUNCATE else reply

    def cut_dump(self, bodies: Iterator[Body]) -> Iterator[Body]:
        """What CUT_DUMP leaves of a dump, with its error then; all, if the effect is another."""
        if self.effect is not FaultEffect.CUT_DUMP:
            return bodies
        return self._first_of(bodies)

    def _first_of(self, bodies: Iterator[Body]) -> Iterator[Body]:
        for given, body in enumerate(bodies):
            if given == self.size:
                break
            yield body
        else:
            return  # it has ended by itself
        if self.errno:
            raise self._error()

    def _error(self) -> DatapathError:
        return DatapathError(self.errno, self.text or f"fault {self.id} refused it")

    def release(self) -> int:
        """Let all go on that wait; how many."""
        waiting = list(self.waiting)
        for turn in waiting:
            turn.release()
        return len(waiting)


class Faults:
    """The rules of a daemon, and the lines of the handles that wait because of them.

    active: whether anything is to be asked here at all: there are rules, or requests that wait.
    """

    def __init__(self) -> None:
        self.active = False
        self._faults: dict[int, Fault] = {}
        self._lines: dict[Session, Line] = {}
        self._next_id = 1
        self._context: Context | None = None

    def __iter__(self) -> Iterator[Fault]:
        """The rules by ascending number, as they are now."""
        return iter(list(self._faults.values()))

    def __len__(self) -> int:
        return len(self._faults)

    def bind(self, context: Context) -> None:
        """Let rules act on what the handles of this context are given unasked."""
        self._context = context
        self._update()

    # Rules -------------------------------------------------------------------------------------

    def lookup(self, number: int) -> Fault:
        """The rule with a number; ENOENT."""
        fault = self._faults.get(number)
        if fault is None:
            raise DatapathError(ENOENT, f"there is no fault {number}", (FaultAttr.ID,))
        return fault

    def add(self, fault: Fault) -> None:
        """Put a rule behind all others, with a number that none had before."""
        fault.id = self._next_id
        self._next_id += 1
        self._faults[fault.id] = fault
        self._update()

    def remove(self, number: int | None = None) -> int:
        """Remove a rule, or all, and let go on what waits for it; how many. ENOENT."""
        released = self.release(number)
        if number is None:
            self._faults.clear()
        else:
            del self._faults[number]
        self._update()
        return released

    def release(self, number: int | None = None) -> int:
        """Let go on what waits for a rule, or for any; how many. ENOENT."""
        faults = list(self) if number is None else [self.lookup(number)]
        return sum(fault.release() for fault in faults)

    def find(self, occasion: Occasion) -> Fault | None:
        """The rule that applies to an occasion; CLOSE_QUEUE has been done then."""
        if occasion.family == OVSDP_CONTROL.id:
            return None
        line = self._lines.get(occasion.session)
        for fault in self._faults.values():
            if not fault.match.fits(occasion):
                continue
            if line is not None and fault.effect is FaultEffect.STALL and line.is_stalled(fault):
                fault.matched += 1  # it waits for that stall, and begins no other
            elif fault.applies():
                if fault.effect is FaultEffect.CLOSE_QUEUE:
                    occasion.session.shut_queue()
                return fault
        return None

    # Requests ----------------------------------------------------------------------------------

    def find_for(self, request: Request) -> Fault | None:
        """The rule that applies to a request."""
        header = request.header
        operation = request.operation
        return self.find(
            Occasion(
                operation.name or "" if operation is not None else "STREAM",
                request.session,
                header.type,
                header.command,
                request.dp_ifindex or _named_datapath(request),
                request.is_dump,
            )
        )

    def is_waiting(self, session: Session) -> bool:
        """Whether requests of a handle wait, so that whatever else it sends waits, too."""
        return session in self._lines

    def join(self, session: Session, fault: Fault | None) -> Turn | None:
        """A turn for a request that has to wait, or comes after one that does; else None."""
        line = self._lines.get(session)
        if line is None:
            if fault is None or not fault.waits:
                return None
            line = self._lines[session] = Line()
            self._update()
        return line.join(fault if fault is not None and fault.waits else None)

    def leave(self, session: Session, turn: Turn) -> None:
        """End a turn of a handle."""
        turn.end()
        if not turn.line and self._lines.get(session) is turn.line:
            del self._lines[session]
            self._update()

    async def meet(self, request: Request) -> None:
        """Give a request its fault, and wait as that wants; EBADF if the handle is closed then."""
        if request.family.schema is OVSDP_CONTROL:
            return
        request.fault = fault = self.find_for(request)
        turn = self.join(request.session, fault)
        if turn is not None:
            await self._wait(request.session, turn)
        if fault is not None:
            request.session.fault = fault.id

    async def meet_read(self, session: Session, operation: str, upcoming: bytes) -> Fault | None:
        """The fault of a read, after the wait that it wants; raises what FAIL says.

        upcoming: the message that would be given, b"" where there is none.
        """
        occasion = self._occasion(operation, session, upcoming)
        if occasion.family == OVSDP_CONTROL.id:
            return None
        fault = self.find(occasion)
        line = self._lines.get(session)
        stalled = operation == "READ" and line is not None and line.is_stalled()
        if stalled or (fault is not None and fault.waits):
            turn = self.join(session, fault)
            if turn is not None:
                await self._wait(session, turn)
        if fault is not None:
            session.fault = fault.id
            fault.refuse()
        return fault

    async def _wait(self, session: Session, turn: Turn) -> None:
        try:
            await turn.wait()
        finally:
            self.leave(session, turn)
        if session.closed:
            raise DatapathError(EBADF, "the handle was closed")

    def forget(self, session: Session) -> None:
        """A handle is closed: let all go on that it waits for, so that it ends."""
        line = self._lines.pop(session, None)
        if line is not None:
            line.release()
            self._update()

    # What is given unasked ---------------------------------------------------------------------

    def find_unasked(self, session: Session, operation: str, datagram: bytes) -> Fault | None:
        """The rule that applies to a notification or upcall before it is delivered."""
        return self.find(self._occasion(operation, session, datagram))

    def _occasion(self, operation: str, session: Session, data: bytes) -> Occasion:
        header = OVS_MESSAGE_HEADER.parse(data.ljust(OVS_HEADER_SIZE, b"\0"))
        if header.type < NLMSG_MIN_TYPE or self._context is None:
            return Occasion(operation, session)
        family = self._context.registry.lookup(header.type)
        has_datapath = family is not None and family.schema.header_size
        datapath = header.dp_ifindex if has_datapath else 0
        return Occasion(operation, session, header.type, header.command, datapath)

    def _update(self) -> None:
        self.active = bool(self._faults or self._lines)
        if self._context is not None:
            self._context.sessions.faults = self if self._faults else None


def _named_datapath(request: Request) -> int:
    """The index of the datapath that a request means by a name, its own or a port's; 0 if none."""
    switch = request.context.switch
    schema = request.family.schema
    if schema is DATAPATH:
        datapath = switch.lookup_name(request.attributes.get(DpAttr.NAME, ""))
        return 0 if datapath is None else datapath.index
    if schema is VPORT:
        port = switch.lookup_port(request.attributes.get(VportAttr.NAME, ""))
        return 0 if port is None else port.dp_ifindex
    return 0
