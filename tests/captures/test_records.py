"""Captures as records: what our own recordings say, and what is guessed of others'."""

from __future__ import annotations

from ovsdp_cuse.captures.conversation import Exchange, conversation
from ovsdp_cuse.captures.netlink import Frame
from ovsdp_cuse.captures.records import UNKNOWN, Recorded, messages, records
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import (
    NETLINK_HEADER,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_ECHO,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    build_done,
)
from ovsdp_cuse.wire.trace import TraceAttr, TraceKind, TraceRecord

ID = 0x22
IDS = {DATAPATH.name: ID}


def message(command: DpCmd, flags: int = 0, sequence: int = 5, pid: int = 7) -> bytes:
    """A message of a datapath."""
    attributes = {int(DpAttr.NAME): "dp0"}
    return DATAPATH.build(
        Message(ID, command, attributes, 3, flags, sequence, pid, DATAPATH.version)
    )


def guessed(*datagrams: bytes) -> list[tuple[TraceKind, int, int | None]]:
    """Kind, PID and latency of what is in a capture of nlmon, a packet each microsecond."""
    told = records(
        [
            Frame(number, 1000 * number, data, len(data))
            for number, data in enumerate(datagrams, start=1)
        ],
        IDS,
    )
    return [(record.kind, record.pid, record.latency_ns) for _number, record in told]


def recorded(kind: TraceKind, data: bytes = b"", **fields: object) -> Recorded:
    """A record of our own."""
    record = TraceRecord(kind, 1, 7, 1, "python", message=data, length=len(data))
    for name, value in fields.items():
        setattr(record, name, value)
    return Recorded(1, record)


def test_a_request_and_its_reply() -> None:
    request, reply = message(DpCmd.GET, NLM_F_REQUEST), message(DpCmd.NEW)
    assert guessed(request, reply) == [
        (TraceKind.REQUEST, 7, None),
        (TraceKind.REPLY, 7, 1000),
    ]


def test_a_client_that_leaves_its_pid_to_the_kernel() -> None:
    request = message(DpCmd.GET, NLM_F_REQUEST, pid=0)
    assert guessed(request, message(DpCmd.NEW))[1] == (TraceKind.REPLY, 7, 1000)


def test_a_change_is_a_notification_but_for_who_wants_its_echo() -> None:
    changed = message(DpCmd.NEW)
    asked = message(DpCmd.NEW, NLM_F_REQUEST | NLM_F_ACK)
    assert guessed(asked, changed)[1][:2] == (TraceKind.NOTIFICATION, 0)
    with_echo = message(DpCmd.NEW, NLM_F_REQUEST | NLM_F_ECHO)
    kinds = [kind for kind, _pid, _latency in guessed(with_echo, changed, changed)]
    assert kinds == [TraceKind.REQUEST, TraceKind.REPLY, TraceKind.NOTIFICATION]


def test_what_was_asked_before_the_capture_began() -> None:
    assert guessed(message(DpCmd.NEW))[0][:2] == (TraceKind.REPLY, 7)
    assert guessed(message(DpCmd.NEW, pid=0, sequence=0))[0][:2] == (TraceKind.NOTIFICATION, 0)


def test_the_parts_of_a_dump_are_one_record_and_requests_are_not() -> None:
    part = message(DpCmd.NEW, NLM_F_MULTI)
    first = message(DpCmd.GET, NLM_F_REQUEST | NLM_F_DUMP)
    second = message(DpCmd.GET, NLM_F_REQUEST, sequence=6)
    assert guessed(first + second, part + part) == [
        (TraceKind.REQUEST, 7, None),
        (TraceKind.REQUEST, 7, None),
        (TraceKind.REPLY, 7, 1000),
    ]


def test_what_our_own_recording_says_is_taken() -> None:
    data = message(DpCmd.NEW)
    trace: Attributes = {
        TraceAttr.KIND: TraceKind.NOTIFICATION,
        TraceAttr.PID: 9,
        TraceAttr.PROCESS: 4,
        TraceAttr.COMMAND: "someone",
    }
    told = list(
        records(
            [
                Frame(1, 10, data, len(data), introduces=True),
                Frame(2, 20, data, len(data), trace=trace),
            ],
            IDS,
        )
    )
    assert [number for number, _record in told] == [2]
    record = told[0].record
    assert (record.kind, record.pid, record.command) == (TraceKind.NOTIFICATION, 9, "someone")
    assert record.time_ns == 20
    assert record.message == data


def test_a_message_that_was_cut_has_its_own_length() -> None:
    data = message(DpCmd.NEW)
    record = TraceRecord(TraceKind.REPLY, 1, 7, 0, UNKNOWN, message=data[:24], length=len(data))
    (cut,) = messages(record)
    assert cut == (24).to_bytes(4, "little") + data[4:24]


class TestTheEndOfARecording:
    """A recorder may end between a request and its answer, which is no difference then."""

    REQUEST = recorded(TraceKind.REQUEST, message(DpCmd.GET, NLM_F_REQUEST), operation="TRANSACT")
    DUMP = recorded(
        TraceKind.REQUEST, message(DpCmd.GET, NLM_F_REQUEST | NLM_F_DUMP), operation="WRITE"
    )
    PART = recorded(TraceKind.REPLY, message(DpCmd.NEW, NLM_F_MULTI))
    DONE = recorded(TraceKind.REPLY, build_done(NETLINK_HEADER.parse(DUMP.record.message), 0, 7))

    def cut(self, *told: Recorded) -> bool:
        """Whether the last request has not all of its answers."""
        last = [event for event in conversation(told) if isinstance(event, Exchange)][-1]
        return last.cut

    def test_a_request_without_its_answer(self) -> None:
        assert self.cut(self.REQUEST)
        assert not self.cut(self.REQUEST, recorded(TraceKind.REPLY, message(DpCmd.NEW)))
        assert not self.cut(self.REQUEST, recorded(TraceKind.HANDLED))
        refused = recorded(TraceKind.REFUSED, errno=22, latency_ns=1)
        assert not self.cut(self.REQUEST, refused)

    def test_a_dump_without_its_end(self) -> None:
        handled = recorded(TraceKind.HANDLED)
        assert self.cut(self.DUMP, handled)
        assert self.cut(self.DUMP, handled, self.PART)
        assert not self.cut(self.DUMP, handled, self.PART, self.DONE)

    def test_who_has_closed_wants_no_more(self) -> None:
        assert not self.cut(self.DUMP, self.PART, recorded(TraceKind.CLOSED))

    def test_nlmon_does_not_tell_when_a_request_is_done(self) -> None:
        assert not self.cut(
            recorded(TraceKind.REQUEST, message(DpCmd.GET, NLM_F_REQUEST), command=UNKNOWN)
        )
