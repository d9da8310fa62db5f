"""One replay: the requests of a capture, in order, from as many channels as it has handles."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from errno import ENOENT, EPERM
from typing import Final

from ovsdp_cuse.captures.conversation import Closed, Event, Exchange, Opened
from ovsdp_cuse.captures.families import Names
from ovsdp_cuse.errors import errno_name
from ovsdp_cuse.replay.channel import Channel, ChannelError, NotSendable, Target
from ovsdp_cuse.replay.compare import Difference, compare, is_dump
from ovsdp_cuse.replay.fields import NETLINK_COMMAND
from ovsdp_cuse.replay.numbers import Numbers, Schemas, Side
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, SocketAttr
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlCmd
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, NLMSG_MIN_TYPE, ControlType, parse_error
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd

NOBODY: Final = (0, 0xFFFFFFFF)
"""PIDs that are no handle's: the kernel's, and what Open vSwitch writes where none counts."""

Message = tuple[int, bytes]
"""The PID of the handle that has got it, as the capture has it, and the message."""


@dataclass
class Outcome:
    """What became of a request.

    request: as it was sent. replies: what came, as the capture would have it. left_out: why it was
    not sent, or not compared.
    """

    exchange: Exchange
    request: bytes = b""
    replies: list[bytes] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    left_out: str | None = None


class Player:
    """Sends the requests of one capture to a target; names: the capture's families and groups."""

    def __init__(self, target: Target, names: Names, schemas: Schemas) -> None:
        self.recorded = Side(schemas, names.ids, names.groups)
        self.numbers = Numbers(self.recorded, target.side)
        self.lost = 0
        self._target = target
        self._channels: dict[tuple[int, bool], Channel] = {}
        self._read_only: set[int] = set()
        self._listening: dict[int, Channel] = {}
        """Who may be told what it has not asked for: members of groups, and receivers of upcalls,
        by their PIDs in the capture."""

    def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def play(self, event: Event) -> Outcome | None:
        """Do what happened; the outcome of a request, None of what is none.

        Raises TargetError where the target is gone.
        """
        if isinstance(event, Exchange):
            outcome = Outcome(event, left_out=self._reason_to_leave_out(event))
            if outcome.left_out is None:
                try:
                    self._play(event, outcome)
                except NotSendable as error:
                    outcome.left_out = str(error)
            return outcome
        if isinstance(event, Opened) and event.read_only:
            self._read_only.add(event.handle)
        elif isinstance(event, Closed):
            self._close(event.handle)
        return None

    def _play(self, exchange: Exchange, outcome: Outcome) -> None:
        may_write = exchange.handle not in self._read_only and not _was_forbidden(exchange)
        channel = self._channel(exchange.handle, may_write)
        for pid in self.numbers.pids_in(exchange.request):
            if pid not in NOBODY:
                self._listening[pid] = self._channel(pid, may_write=True)
        outcome.request = self.numbers.to_ours(exchange.request)
        failure, answers = self._ask(channel, outcome.request, exchange.operation)
        self.numbers.learn(exchange.replies, answers)
        if self._is_command(exchange, CONTROL.name, ControlCmd.MC_SUBSCRIBE_REQ):
            self._listening[exchange.handle] = channel
        if self._is_command(exchange, CONTROL.name, ControlCmd.SOCK_PROP):
            self._take_pid(exchange, channel, answers)
        outcome.replies = [self.numbers.to_recorded(answer) for answer in answers]
        told = [
            (pid, self.numbers.to_recorded(message))
            for pid, other in self._listening.items()
            if other is not channel
            for message in self._receive(other)
        ]
        if exchange.cut:
            outcome.left_out = "sent, but not compared: the capture has not all of it"
        elif (failure or 0) != (exchange.refused or 0):
            texts = (errno_name(n) if n else "done" for n in (exchange.refused, failure))
            outcome.differences = [Difference("the call", *texts)]
        else:
            outcome.differences = self._compare(exchange, outcome.replies, told)

    @staticmethod
    def _ask(
        channel: Channel, request: bytes, operation: str | None
    ) -> tuple[int | None, list[bytes]]:
        """The errno with which the call fails, and all that came."""
        try:
            return None, channel.send(request, operation) + channel.receive()
        except ChannelError as error:
            return error.errno, []

    def _receive(self, channel: Channel) -> list[bytes]:
        """What a listener has been told; `lost` counts how often that was too much."""
        try:
            return channel.receive()
        except ChannelError:
            self.lost += 1
            return channel.receive()

    def _compare(
        self, exchange: Exchange, replies: list[bytes], told: list[Message]
    ) -> list[Difference]:
        side, request, handle = self.recorded, exchange.request, exchange.handle
        sequence = NETLINK_HEADER.parse(request).sequence
        upcalls = [m for m in replies if self._is_upcall(m)]
        upcalls += [m for _pid, m in told if self._is_upcall(m)]
        # What has another number was not caused by this request, but by what happens here.
        replies = [m for m in replies if NETLINK_HEADER.parse(m).sequence == sequence]
        # A member of a group is told of its own changes, too.
        own = [m for pid, m in exchange.notifications if pid == handle]
        found = compare(side, request, exchange.replies + own, replies)
        for listener in self._listening:
            if listener != handle:
                there = [m for pid, m in exchange.notifications if pid == listener]
                here = [
                    m
                    for pid, m in told
                    if pid == listener and NETLINK_HEADER.parse(m)[3:] == (sequence, handle)
                ]
                found += compare(side, request, there, here, f"notification to {listener}")
        if self._is_command(exchange, PACKET.name, PacketCmd.EXECUTE):
            found += self._compare_upcalls(exchange, upcalls)
        return found

    def _compare_upcalls(self, exchange: Exchange, got: list[bytes]) -> list[Difference]:
        """Upcalls of the action userspace. Others may have come in the capture, of other packets:
        so many are compared as are here, and the packet itself must be among them."""
        recorded = [m for _pid, m in exchange.upcalls if self._is_upcall(m)]
        if not recorded and exchange.operation is None:
            return []  # a capture of nlmon does not tell whether anybody had that PID
        if got:
            recorded = recorded[: len(got)]
        else:
            frame = self._frame(exchange.request)
            recorded = [m for m in recorded if self._frame(m) == frame][:1]
        return compare(self.recorded, exchange.request, recorded, got, "upcall")

    def _frame(self, message: bytes) -> object:
        parsed = self.recorded.parse(message)
        return parsed.attributes.get(PacketAttr.PACKET) if parsed is not None else None

    def _is_upcall(self, message: bytes) -> bool:
        """Whether it is OVS_PACKET_CMD_ACTION; those of misses are of packets that came in."""
        family = NETLINK_HEADER.parse(message).type
        return (
            family == self.recorded.ids.get(PACKET.name)
            and len(message) > NETLINK_COMMAND
            and message[NETLINK_COMMAND] == PacketCmd.ACTION
        )

    def _is_command(self, exchange: Exchange, family: str, command: int) -> bool:
        request = exchange.request
        return (
            self.recorded.names.get(NETLINK_HEADER.parse(request).type) == family
            and len(request) > NETLINK_COMMAND
            and request[NETLINK_COMMAND] == command
        )

    def _reason_to_leave_out(self, exchange: Exchange) -> str | None:
        """Why a request is not to be sent; None where it is."""
        number = NETLINK_HEADER.parse(exchange.request).type
        name = self.recorded.names.get(number)
        there = self._target.side
        if name == OVSDP_CONTROL.name:
            return "it asks the daemon about itself"
        if name is None and number >= NLMSG_MIN_TYPE:
            if ENOENT in map(_errno, exchange.replies) and number not in there.names:
                return None  # nobody has that family, there nor here
            return f"its family {number:#x} is not known: --family-id NAME={number:#x} says it"
        if name is not None and name not in there.ids:
            return f"{self._target.name} has no family {name}"
        lists_all = self._is_command(exchange, NLCTRL.name, CtrlCmd.GETFAMILY)
        if lists_all and is_dump(exchange.request) and set(there.ids) != set(self.recorded.ids):
            return "it lists all families, which are others here"
        return None

    def _channel(self, handle: int, may_write: bool) -> Channel:
        """The channel that stands for a handle."""
        channel = self._channels.get((handle, may_write))
        if channel is None:
            channel = self._channels[handle, may_write] = self._target.open(may_write)
        if handle not in NOBODY:
            self.numbers.bind_pid(handle, channel.pid)
        return channel

    def _close(self, handle: int) -> None:
        self._read_only.discard(handle)
        self._listening.pop(handle, None)
        for may_write in (True, False):
            channel = self._channels.pop((handle, may_write), None)
            if channel is not None:
                channel.close()

    def _take_pid(self, exchange: Exchange, channel: Channel, answers: list[bytes]) -> None:
        """SOCK_BIND gives a handle another PID, there and here."""
        there, here = (
            next((_told_pid(side, m) for m in messages if _told_pid(side, m)), 0)
            for side, messages in (
                (self.recorded, exchange.replies),
                (self._target.side, answers),
            )
        )
        if there and here:
            channel.pid = here
            self.numbers.bind_pid(there, here)
        if there and there != exchange.handle:
            for may_write in (True, False):
                moved = self._channels.pop((exchange.handle, may_write), None)
                if moved is not None:
                    self._channels[there, may_write] = moved
            listening = self._listening.pop(exchange.handle, None)
            if listening is not None:
                self._listening[there] = listening


def _told_pid(side: Side, message: bytes) -> int:
    """The PID that a reply to SOCK_PROP tells; 0 for none."""
    parsed = side.parse(message)
    return parsed.attributes.get(SocketAttr.SOCK_PID, 0) if parsed is not None else 0


def _was_forbidden(exchange: Exchange) -> bool:
    """Whether who asked had no rights."""
    return EPERM in map(_errno, exchange.replies)


def _errno(message: bytes) -> int | None:
    """The errno of an NLMSG_ERROR; None of another message."""
    if NETLINK_HEADER.parse(message).type != ControlType.ERROR:
        return None
    try:
        return parse_error(message).errno
    except struct.error:
        return None
