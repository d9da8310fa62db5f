"""What waits on a handle to be read: replies, events and packets, in the order they came.

The rules are those of a netlink socket's receive queue (netlink_broadcast_deliver(),
netlink_overrun() and netlink_rcv_wake() of net/netlink/af_netlink.c):

1. A datagram is accepted while the queue is empty or it fits below the limit, and the queue is
   not congested. What counts is what it costs to keep, not its length alone.
2. The first that is not accepted congests the queue, which is an overrun: the next read fails
   with ENOBUFS, once. Further ones are counted and dropped.
3. A read that leaves the queue empty ends the congestion. Where overruns are not to be told
   (NETLINK_NO_ENOBUFS) there is none: what does not fit is dropped, what fits is accepted.
4. What was promised is not subject to this, and is bounded in another way: a reply that its ioctl
   could not give (one at a time), and the next part of a dump (made when the queue is at most
   half full).

The device door reads one kind at a time (READ_EVENT, READ_PACKET), the stream door any kind in
order; so each kind has its own line and each datagram a running number.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

OVERHEAD = 256
"""Bytes that a datagram costs beside its own, as the kernel counts its buffers (skb->truesize)."""


class Kind(IntEnum):
    """Why a datagram is in the queue."""

    KEPT = 0
    """A reply that did not fit its ioctl's buffer; read before anything else."""
    REPLY = 1
    EVENT = 2
    PACKET = 3


class Queue:
    """The datagrams that wait on one handle; `limit` is in bytes, OVERHEAD included."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self.dropped = 0
        self.congested = False
        self.overrun = False
        self._tells_overruns = True
        self._lines: tuple[deque[tuple[int, bytes]], ...] = tuple(deque() for _ in Kind)
        self._number = 0

    def __len__(self) -> int:
        return sum(map(len, self._lines))

    def count(self, kind: Kind) -> int:
        """How many datagrams of a kind wait."""
        return len(self._lines[kind])

    def append(self, kind: Kind, datagram: bytes) -> bool:
        """Queue a datagram; False if it was dropped for want of room.

        `overrun` is set then, where overruns are told.
        """
        if not self.has_room(len(datagram)):
            self.refuse()
            return False
        self.append_promised(kind, datagram)
        return True

    def refuse(self) -> None:
        """Drop a datagram as `append` does one that finds no room."""
        self.dropped += 1
        if self._tells_overruns and not self.congested:
            self.congested = self.overrun = True

    def has_room(self, size: int) -> bool:
        """Whether `append` would take a datagram of so many bytes."""
        if self.congested:
            return False
        return not self.bytes or self.bytes + size + OVERHEAD <= self.limit

    def append_promised(self, kind: Kind, datagram: bytes) -> None:
        """Queue a datagram whatever room there is."""
        self._number += 1
        self._lines[kind].append((self._number, datagram))
        self.bytes += len(datagram) + OVERHEAD

    def keep(self, reply: bytes) -> None:
        """Keep a reply that did not fit its ioctl, in the place of one that was kept before."""
        if self._lines[Kind.KEPT]:
            self.pop(Kind.KEPT)
        self._lines[Kind.KEPT].append((0, reply))
        self.bytes += len(reply) + OVERHEAD

    def peek(self, kind: Kind | None = None) -> bytes | None:
        """The next datagram of a kind, or of any; None where none waits."""
        line = self._line(kind)
        return line[0][1] if line else None

    def pop(self, kind: Kind | None = None) -> bytes:
        """Take what `peek` shows; IndexError where that is nothing."""
        datagram = self._line(kind).popleft()[1]
        self.bytes -= len(datagram) + OVERHEAD
        if not self.bytes:
            self.congested = False
        return datagram

    @property
    def tells_overruns(self) -> bool:
        """Whether an overrun congests the queue and is told; one of before is told all the same."""
        return self._tells_overruns

    @tells_overruns.setter
    def tells_overruns(self, tells: bool) -> None:
        self._tells_overruns = tells
        if not tells:
            self.congested = False

    def take_overrun(self) -> bool:
        """Whether datagrams were lost since the last call that said so.

        Where nothing waits any more, what is told ends the congestion, too: no read will.
        """
        overrun, self.overrun = self.overrun, False
        if not self.bytes:
            self.congested = False
        return overrun

    def clear(self) -> None:
        """Forget all that waits."""
        for line in self._lines:
            line.clear()
        self.bytes = 0
        self.congested = self.overrun = False

    def _line(self, kind: Kind | None) -> deque[tuple[int, bytes]]:
        if kind is not None:
            return self._lines[kind]
        return min(self._lines, key=lambda line: line[0][0] if line else float("inf"))
