"""Reads a capture: requests in their order, each with what the kernel answered."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.oracle import messages
from tests.oracle.messages import (
    DATAPATH,
    ECHO,
    FAMILY_NAMES,
    FLOW,
    GET,
    GETFAMILY,
    NLCTRL,
    NLMSG_DONE,
    NLMSG_ERROR,
    REQUEST,
    SET,
    VPORT,
    Ctrl,
    Vport,
    attributes,
    errno_of,
    head,
)
from tests.oracle.peers import Numbers

HERE = Path(__file__).parent
NAMES = tuple(sorted(path.name.removesuffix(".pcap.gz") for path in HERE.glob("*.pcap.gz")))

INTERFACES = {"raw": {"v1": 4, "v2": 6}}
"""Interfaces that were there, with their indexes, and that not only successful requests name."""
UNSEEN = {"dpctl": ("v3", 9530)}
"""An interface that was deleted while nobody listened, and the event before which it was."""
SWAPPED = {"startup": 335}
"""An event that the kernel handled after the next one: two threads asked at once."""

REPEATED = {(NLCTRL, GETFAMILY), (DATAPATH, GET), (DATAPATH, SET), (VPORT, GET), (FLOW, GET)}

PCAP_HEADER, RECORD_HEADER, COOKED_HEADER = 24, 16, 16
LINKTYPE_NETLINK = 253


@dataclass
class Exchange:
    """A request in our family ids, and its answers; pid: the socket that asked."""

    request: bytes
    pid: int
    answers: list[bytes] = field(default_factory=list)

    @property
    def family(self) -> int:
        """nlmsg_type of the request."""
        return head(self.request).type

    @property
    def command(self) -> int:
        """genlmsghdr.cmd of the request; 0 where it is cut off before that."""
        return self.request[16] if len(self.request) > 16 else 0

    @property
    def succeeded(self) -> bool:
        """Whether no error came back."""
        return not any(errno_of(answer) for answer in self.answers)

    def replies(self) -> list[bytes]:
        """What the socket that asked has got: no notifications, which look the same."""
        flags = head(self.request).flags
        told: list[bytes] = []
        for answer in self.answers:
            if errno_of(answer) is None:
                notified = self.family in (DATAPATH, VPORT, FLOW) and self.command != GET
                if notified and (not flags & ECHO or answer in told):
                    continue
            told.append(answer)
        return told

    def attribute(self, number: int) -> bytes | None:
        """The payload of an attribute of the request."""
        start = messages.body_start(self.family)
        return dict(attributes(self.request[start:]) or ()).get(number)

    def told(self, number: int) -> bytes | None:
        """The payload of an attribute of the first answer that is no error."""
        for answer in self.answers:
            if head(answer).type == self.family:
                start = messages.body_start(self.family)
                return dict(attributes(answer[start:]) or ()).get(number)
        return None


@dataclass(frozen=True)
class Vanished:
    """An interface has gone, and its port with it."""

    name: str


Event = Exchange | Vanished


def read(name: str) -> list[Event]:
    """What happened in a capture, in order; upcalls are left out."""
    frames = [list(messages.split(frame)) for frame in _frames(name)]
    numbers = _families(frames)
    events: list[Event] = []
    open_exchanges: dict[tuple[int, int], Exchange] = {}
    for frame in frames:
        for original in frame:
            message = numbers.from_kernel(original)
            header = head(message)
            of = header.pid, header.sequence
            if header.flags & REQUEST and header.type not in (NLMSG_ERROR, NLMSG_DONE):
                exchange = Exchange(message, header.pid)
                events.append(exchange)
                open_exchanges[of] = exchange
            elif of in open_exchanges:
                open_exchanges[of].answers.append(message)
            elif header.type == VPORT and not any(of):
                told = dict(attributes(message[24:]) or ())
                events.append(Vanished(told[Vport.NAME].rstrip(b"\0").decode()))
    if name in UNSEEN:
        gone, at = UNSEEN[name]
        events.insert(at, Vanished(gone))
    if name in SWAPPED:
        at = SWAPPED[name]
        events[at], events[at + 1] = events[at + 1], events[at]
    return events


def _frames(name: str) -> Iterator[bytes]:
    """The datagrams of a capture."""
    data = gzip.decompress((HERE / f"{name}.pcap.gz").read_bytes())
    assert struct.unpack_from("<I", data, 20)[0] == LINKTYPE_NETLINK
    start = PCAP_HEADER
    while start < len(data):
        (size,) = struct.unpack_from("<I", data, start + 8)
        start += RECORD_HEADER
        yield data[start + COOKED_HEADER : start + size]
        start += size


def _families(frames: list[list[bytes]]) -> Numbers:
    """The ids that the kernel gave to the families."""
    ours = {name: number for number, name in FAMILY_NAMES.items()}
    numbers = Numbers()
    for frame in frames:
        for message in frame:
            if head(message).type != NLCTRL:
                continue
            told = dict(attributes(message[20:]) or ())
            name = told.get(Ctrl.FAMILY_NAME, b"").rstrip(b"\0").decode()
            if name in ours and Ctrl.FAMILY_ID in told:
                numbers.add(ours[name], struct.unpack("=H", told[Ctrl.FAMILY_ID])[0])
    return numbers


def without_repeats(events: list[Event]) -> list[Event]:
    """The events without requests that read, or set a datapath, as was done since the last change.

    ovs-dpctl asks the same of each port with each command.
    """
    asked: set[bytes] = set()
    kept: list[Event] = []
    for event in events:
        if isinstance(event, Exchange) and (event.family, event.command) in REPEATED:
            # Without sequence number and PID.
            content = event.request[:8] + event.request[16:]
            if content in asked:
                continue
            asked.add(content)
        else:
            asked.clear()
        kept.append(event)
    return kept
