"""Replays a conversation: the same requests, in a world like the one in which they were made."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from errno import EAFNOSUPPORT, EOPNOTSUPP, EPERM
from typing import Protocol

from tests.captures.conversation import Event, Exchange, Vanished
from tests.oracle import messages
from tests.oracle.messages import (
    DATAPATH,
    FLOW,
    METER,
    NEW,
    NLMSG_DONE,
    NLMSG_ERROR,
    VPORT,
    Dp,
    Flow,
    Meter,
    Vport,
    attr,
    attributes,
    errno_of,
    head,
    numbered,
)
from tests.oracle.peers import Channel, drain
from tests.oracle.steps import INTERNAL, NETDEV

NAMED_BY: Mapping[int, tuple[int, ...]] = {
    FLOW: (Flow.UFID, Flow.KEY),
    VPORT: (Vport.NAME, Vport.PORT_NO),
}
NOT_SUPPORTED = (EOPNOTSUPP, EAFNOSUPPORT)

BY_TRAFFIC: Mapping[int, tuple[int, ...]] = {
    DATAPATH: (Dp.STATS, Dp.MEGAFLOW_STATS),
    VPORT: (Vport.STATS, 10),
    FLOW: (Flow.STATS, Flow.TCP_FLAGS, Flow.USED),
    METER: (Meter.STATS, Meter.USED),
}
"""Attributes that tell of packets, which are not replayed (10: OVS_VPORT_ATTR_UPCALL_STATS)."""


class World(Protocol):
    """Where interfaces are."""

    def add(self, name: str, index: int) -> None:
        """Make an interface that can be a port; nothing happens where there is one."""

    def remove(self, name: str) -> None:
        """Take an interface away."""


@dataclass
class Replay:
    """One replay. open: a new channel, told whether it is privileged. world: the interfaces."""

    open: Callable[[bool], Channel]
    world: World
    _channels: dict[tuple[int, bool], Channel] = field(default_factory=dict)

    def event(self, event: Event) -> list[bytes]:
        """Do what happened; the replies to a request, with the PIDs of the capture."""
        if isinstance(event, Vanished):
            self.world.remove(event.name)
            return []
        if (event.family, event.command) == (VPORT, NEW) and event.succeeded:
            self._prepare(event)
        may_write = not any(errno_of(answer) == EPERM for answer in event.answers)
        channel = self._channels.get((event.pid, may_write))
        if channel is None:
            channel = self._channels[event.pid, may_write] = self.open(may_write)
        request = request_of(event)
        channel.send(numbered(request, head(request).sequence))
        replies, problem = drain(channel)
        assert not problem, f"reading fails with {problem}"
        answers = [_with_pid(reply, event.pid) for reply in replies if any(reply[8:16])]
        if request != event.request:  # the header that an acknowledgement echoes is shorter
            answers = [reply.replace(request[:16], event.request[:16]) for reply in answers]
        return answers

    def close(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            channel.close()

    def _prepare(self, exchange: Exchange) -> None:
        """Make the interface that a port is made of."""
        kind = exchange.attribute(Vport.TYPE)
        name = exchange.attribute(Vport.NAME)
        index = exchange.told(Vport.IFINDEX)
        if kind == messages.u32(NETDEV) and name is not None and index is not None:
            self.world.add(_text(name), struct.unpack("=I", index)[0])


def request_of(exchange: Exchange) -> bytes:
    """The request; what makes an interface gives it the index that it had then."""
    request = exchange.request
    if exchange.command != NEW or not exchange.succeeded or not exchange.answers:
        return request
    made = next((answer for answer in exchange.answers if errno_of(answer) is None), None)
    if made is None:
        return request
    if exchange.family == DATAPATH and exchange.attribute(Dp.IFINDEX) is None:
        index = attr(Dp.IFINDEX, made[20:24])
    elif exchange.family == VPORT and exchange.attribute(Vport.TYPE) == messages.u32(INTERNAL):
        index = attr(Vport.IFINDEX, exchange.told(Vport.IFINDEX) or b"")
    else:
        return request
    request += bytes(-len(request) & 3) + index
    return struct.pack("=I", len(request)) + request[4:]


class Refused:
    """The flows and ports that the daemon does not support yet: they are not compared."""

    def __init__(self) -> None:
        self._names: set[tuple[int, int, bytes]] = set()

    def concerns(self, exchange: Exchange, ours: Sequence[bytes]) -> bool:
        """Whether a request is for one of them, which is refused now or was earlier."""
        family = exchange.family
        if family not in NAMED_BY:
            return False
        if exchange.succeeded and any(errno_of(reply) in NOT_SUPPORTED for reply in ours):
            for number in NAMED_BY[family]:
                name = exchange.attribute(number) or exchange.told(number)
                if name is not None:
                    self._names.add((family, number, name))
                    if family == FLOW:
                        break  # a UFID, where there is one
            return True
        start = exchange.request[24:]
        return any((family, *attribute) in self._names for attribute in attributes(start) or ())

    def without(self, replies: Iterable[bytes]) -> list[bytes]:
        """What the kernel told, without them."""
        return [
            reply
            for reply in replies
            if not any(
                (head(reply).type, *attribute) in self._names
                for attribute in attributes(reply[24:]) or ()
            )
        ]


def without_traffic(message: bytes) -> bytes:
    """A message without what tells of packets."""
    family = head(message).type
    if family not in BY_TRAFFIC:
        return message
    kept = b"".join(
        attr(number, payload)
        for number, payload in attributes(message[24:]) or ()
        if number not in BY_TRAFFIC[family]
    )
    return struct.pack("=I", 24 + len(kept)) + message[4:24] + kept


def _text(payload: bytes) -> str:
    return payload.rstrip(b"\0").decode()


def _with_pid(message: bytes, pid: int) -> bytes:
    """A message to another socket."""
    if head(message).type in (NLMSG_ERROR, NLMSG_DONE) or head(message).pid:
        return message[:12] + struct.pack("=I", pid) + message[16:]
    return message
