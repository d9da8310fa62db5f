"""The captures of this folder as events, and the world in which they were made."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from errno import EAFNOSUPPORT, EOPNOTSUPP
from pathlib import Path
from typing import Final, Protocol

from ovsdp_cuse.captures import read_capture
from ovsdp_cuse.captures.conversation import Exchange, Unasked, conversation
from ovsdp_cuse.captures.families import Names
from ovsdp_cuse.captures.netlink import frames
from ovsdp_cuse.captures.records import records
from ovsdp_cuse.client import SCHEMAS
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.replay.numbers import Numbers, Schemas, Side
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportType
from tests.oracle.messages import (
    DATAPATH,
    FAMILY_NAMES,
    FLOW,
    GET,
    GETFAMILY,
    METER,
    NEW,
    NLCTRL,
    SET,
    Dp,
    Flow,
    Meter,
    Vport,
    attr,
    attributes,
    body_start,
    errno_of,
    head,
)
from tests.oracle.messages import VPORT as PORT

HERE: Final = Path(__file__).parent
NAMES: Final = tuple(sorted(path.name.removesuffix(".pcap.gz") for path in HERE.glob("*.pcap.gz")))
SCHEMA_OF: Final[Schemas] = {schema.name: schema for schema in SCHEMAS}

INTERFACES: Final = {"raw": ("v1", "v2")}
"""Interfaces that were there, and that not only successful requests name."""
UNSEEN: Final = {"dpctl": ("v3", 9530)}
"""An interface that was deleted while nobody listened, and the event before which it was."""
SWAPPED: Final = {"startup": 335}
"""An event that the kernel handled after the next one: two threads asked at once."""

REPEATED: Final = {(NLCTRL, GETFAMILY), (DATAPATH, GET), (DATAPATH, SET), (PORT, GET), (FLOW, GET)}

NAMED_BY: Final[Mapping[int, tuple[int, ...]]] = {
    FLOW: (Flow.UFID, Flow.KEY),
    PORT: (Vport.NAME, Vport.PORT_NO),
}
NOT_SUPPORTED: Final = (EOPNOTSUPP, EAFNOSUPPORT)

BY_TRAFFIC: Final[Mapping[int, tuple[int, ...]]] = {
    DATAPATH: (Dp.STATS, Dp.MEGAFLOW_STATS),
    PORT: (Vport.STATS, 10),
    FLOW: (Flow.STATS, Flow.TCP_FLAGS, Flow.USED),
    METER: (Meter.STATS, Meter.USED),
}
"""Attributes that tell of packets, which are not replayed (10: OVS_VPORT_ATTR_UPCALL_STATS)."""


class World(Protocol):
    """Where interfaces are."""

    def add(self, name: str) -> None:
        """Make an interface that can be a port; nothing happens where there is one."""

    def remove(self, name: str) -> None:
        """Take an interface away."""


class Recorded:
    """One capture. names: of its families and groups. events: what happened in it, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        there = list(frames(read_capture((HERE / f"{name}.pcap.gz").read_bytes())))
        self.names = Names()
        self.names.learn_all(there)
        self.side = Side(SCHEMA_OF, self.names.ids, self.names.groups)
        ids = {family: number for number, family in FAMILY_NAMES.items()}
        self._ours = Numbers(self.side, Side(SCHEMA_OF, ids, {}))
        self.events = conversation(records(there, self.names.ids))
        if name in SWAPPED:
            at = SWAPPED[name]
            self.events[at : at + 2] = reversed(self.events[at : at + 2])

    def prepare(self, world: World, number: int) -> None:
        """Make and remove the interfaces that were made and removed before an event."""
        event = self.events[number]
        if number == 0:
            for name in INTERFACES.get(self.name, ()):
                world.add(name)
        if self.name in UNSEEN and UNSEEN[self.name][1] == number:
            world.remove(UNSEEN[self.name][0])
        if isinstance(event, Unasked):
            gone = self.side.parse(event.message)
            assert gone is not None
            world.remove(gone.attributes[VportAttr.NAME])
        elif isinstance(event, Exchange) and self.succeeded(event):
            asked = self.port_request(event)
            if asked is not None and asked.attributes.get(VportAttr.TYPE) == VportType.NETDEV:
                world.add(asked.attributes[VportAttr.NAME])

    def port_request(self, exchange: Exchange) -> Message | None:
        """The OVS_VPORT_CMD_NEW that a request is."""
        schema: FamilySchema | None = self.side.schema_of(exchange.request)
        if schema is not VPORT or exchange.request[16:17] != bytes([NEW]):
            return None
        try:
            return VPORT.parse(exchange.request)
        except DatapathError:
            return None

    def succeeded(self, exchange: Exchange) -> bool:
        """Whether no error came back."""
        return not any(errno_of(reply) for reply in exchange.replies)

    def in_our_ids(self, messages: Iterable[bytes]) -> list[bytes]:
        """Messages of the capture with the ids that our families have."""
        return [self._ours.to_ours(message) for message in messages]

    def without_repeats(self) -> list[int]:
        """The numbers of the events without requests that read, or set a datapath, as was done
        since the last change.

        ovs-dpctl asks the same of each port with each command.
        """
        asked: set[bytes] = set()
        kept: list[int] = []
        for number, event in enumerate(self.events):
            if isinstance(event, Exchange) and self._kind(event) in REPEATED:
                # Without sequence number and PID.
                content = event.request[:8] + event.request[16:]
                if content in asked:
                    continue
                asked.add(content)
            else:
                asked.clear()
            kept.append(number)
        return kept

    def _kind(self, exchange: Exchange) -> tuple[int, int]:
        (request,) = self.in_our_ids([exchange.request])
        return head(request).type, request[16] if len(request) > 16 else 0


class Refused:
    """The flows and ports that the daemon does not support yet: they are not compared."""

    def __init__(self) -> None:
        self._names: set[tuple[int, int, bytes]] = set()

    def concerns(self, request: bytes, theirs: Sequence[bytes], ours: Sequence[bytes]) -> bool:
        """Whether a request is for one of them, which is refused now or was earlier."""
        family = head(request).type
        if family not in NAMED_BY:
            return False
        asked = dict(attributes(request[body_start(family) :]) or ())
        succeeded = not any(map(errno_of, theirs))
        if succeeded and any(errno_of(reply) in NOT_SUPPORTED for reply in ours):
            told: dict[int, bytes] = {}
            for reply in theirs:
                if head(reply).type == family:
                    told = dict(attributes(reply[body_start(family) :]) or ())
            for number in NAMED_BY[family]:
                name = asked.get(number) or told.get(number)
                if name is not None:
                    self._names.add((family, number, name))
                    if family == FLOW:
                        break  # a UFID, where there is one
            return True
        return any((family, *attribute) in self._names for attribute in asked.items())

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
