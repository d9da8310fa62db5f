"""Captures as traces: what happened, record by record.

Recordings of our device say of each message whose it is. Those of nlmon do not: there it is told by
sequence numbers and port ids. A notification of a change looks like the reply to it: who asked with
NLM_F_ECHO has got it, and a second time if it was in the multicast group. Who has got a
notification or an upcall is not known there: PID 0; nor is who is behind a PID, nor how a request
came: OPERATION is "".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from sys import byteorder
from typing import Final, NamedTuple

from ovsdp_cuse.captures.netlink import Frame, split
from ovsdp_cuse.wire.datapath import DpCmd
from ovsdp_cuse.wire.netlink import (
    GENERIC_HEADER_SIZE,
    NETLINK_HEADER,
    NLM_F_ECHO,
    NLM_F_REQUEST,
    ControlType,
)
from ovsdp_cuse.wire.trace import TraceKind, TraceRecord

UNKNOWN: Final = "?"
"""The command of a process that is not known."""

_GET: Final = DpCmd.GET
_ANNOUNCED: Final = ("ovs_datapath", "ovs_vport", "ovs_flow")
"""Families whose changes a multicast group is told of; GET has the same number in each."""
_CONTROL: Final = (ControlType.ERROR, ControlType.DONE)


class Recorded(NamedTuple):
    """A record, and the number of its packet."""

    number: int
    record: TraceRecord


def records(frames: Iterable[Frame], ids: Mapping[str, int]) -> Iterator[Recorded]:
    """What happened in a capture, in order; ids: of the families, as it has them.

    The messages at the beginning of a recording that tell the families are left out.
    """
    guess = _Guess(ids)
    for frame in frames:
        if frame.introduces:
            continue
        if frame.trace is not None:
            yield Recorded(frame.number, TraceRecord.from_attributes(frame.as_trace()))
        else:
            for record in guess.records(frame):
                yield Recorded(frame.number, record)


def messages(record: TraceRecord) -> list[bytes]:
    """The messages of a record; of one that was cut, the beginning, with its own length."""
    whole = list(split(record.message))
    size = len(record.message)
    if not whole and GENERIC_HEADER_SIZE <= size < record.length:
        return [size.to_bytes(4, byteorder) + record.message[4:]]
    return whole


@dataclass
class _Asked:
    """A request: its message, when it came, and what it has been replied."""

    message: bytes
    time_ns: int
    pid: int
    replies: set[bytes]


class _Guess:
    """Tells of the messages of nlmon what each is."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._announced = {ids[name] for name in _ANNOUNCED if name in ids}
        self._asked: dict[tuple[int, int], _Asked] = {}

    def records(self, frame: Frame) -> Iterator[TraceRecord]:
        """The records of a frame; messages of the same kind, to or from the same, are one."""
        run: TraceRecord | None = None
        whole = TraceRecord(
            TraceKind.REPLY, frame.time_ns, 0, 0, "", message=frame.data, length=frame.length
        )
        for message in messages(whole):
            record = self._record(frame, message)
            same = run is not None and (run.kind, run.pid) == (record.kind, record.pid)
            if run is not None and same and record.kind is not TraceKind.REQUEST:
                run.message += bytes(-len(run.message) & 3) + message
                run.length = len(run.message)
                continue
            if run is not None:
                yield run
            run = record
        if run is not None:
            if frame.length > len(frame.data):
                run.length = len(run.message) + frame.length - len(frame.data)
            yield run

    def _record(self, frame: Frame, message: bytes) -> TraceRecord:
        header = NETLINK_HEADER.parse(message)
        record = TraceRecord(
            TraceKind.UPCALL,
            frame.time_ns,
            header.pid,
            0,
            UNKNOWN,
            message=message,
            length=len(message),
        )
        if header.flags & NLM_F_REQUEST and header.type not in _CONTROL:
            record.kind = TraceKind.REQUEST
            self._asked[header.pid, header.sequence] = _Asked(
                message, frame.time_ns, header.pid, set()
            )
            return record
        asked = self._asked_by(header.pid, header.sequence)
        if asked is not None and (header.type in _CONTROL or self._is_reply(asked, message)):
            asked.replies.add(message)
            record.kind = TraceKind.REPLY
            record.latency_ns = frame.time_ns - asked.time_ns
        elif asked is None and header.pid and header.sequence:
            record.kind = TraceKind.REPLY  # to what was asked before the capture began
        elif asked is not None or header.type in self._announced:
            record.kind = TraceKind.NOTIFICATION
            record.pid = 0
        return record

    def _asked_by(self, pid: int, sequence: int) -> _Asked | None:
        """The request that an answer is for; a client may leave its PID to the kernel to know."""
        asked = self._asked.get((pid, sequence))
        if asked is None and pid and (0, sequence) in self._asked:
            asked = self._asked[pid, sequence] = self._asked.pop((0, sequence))
        return asked

    def _is_reply(self, asked: _Asked, message: bytes) -> bool:
        """Whether an answer was for the one who asked, and not for a multicast group."""
        request = NETLINK_HEADER.parse(asked.message)
        command = asked.message[16] if len(asked.message) > 16 else 0
        if request.type not in self._announced or command == _GET:
            return True
        return bool(request.flags & NLM_F_ECHO) and message not in asked.replies
