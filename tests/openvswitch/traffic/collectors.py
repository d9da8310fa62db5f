"""What a bridge tells of its traffic: sFlow version 5 (sflow.org) and IPFIX (RFC 7011), as much of
both as tests look at."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.namespaces import Namespace
from tests.nodes.interface import DEADLINE_S

SFLOW_HEADER: Final = struct.Struct("!II4sIIII")
"""Version, type and address of the agent, its part, number, its uptime, samples."""
FLOW_SAMPLE, COUNTER_SAMPLE = 1, 2
FLOW_FIELDS: Final = struct.Struct("!IIIIIIII")
"""Number, source, rate, pool, drops, input, output, records."""
COUNTER_FIELDS: Final = struct.Struct("!III")
"""Number, source, records."""
RAW_HEADER, INTERFACE_COUNTERS = 1, 1
RAW_FIELDS: Final = struct.Struct("!IIII")
"""Protocol, length of the frame, bytes left out, bytes that follow."""
INTERFACE_FIELDS: Final = struct.Struct("!IIQIIQI")
"""Index, type, speed, direction, status; octets and unicast packets that came in. More follows."""

IPFIX_HEADER: Final = struct.Struct("!HHIII")
"""Version, length, time, number, observation domain."""
TEMPLATE_SET: Final = 2
VARIABLE: Final = 0xFFFF


class Collector:
    """A UDP port of the loopback interface of a namespace; a context manager."""

    def __init__(self, namespace: Namespace) -> None:
        namespace.set_up("lo")
        with namespace:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(DEADLINE_S)
        self.target = f'"127.0.0.1:{self._socket.getsockname()[1]}"'
        """How Open vSwitch is told where it is."""

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def receive(self) -> bytes:
        """The next datagram; TimeoutError."""
        return self._socket.recv(1 << 16)


class FlowSample(NamedTuple):
    """A packet, as sFlow tells it. header: its first bytes."""

    rate: int
    input: int
    output: int
    length: int
    header: bytes


class PortCounters(NamedTuple):
    """What an interface has received."""

    interface: int
    octets: int
    packets: int


def sflow_samples(datagram: bytes) -> Iterator[FlowSample | PortCounters]:
    """The samples of a datagram of sFlow."""
    version, _type, _agent, _part, _number, _uptime, count = SFLOW_HEADER.unpack_from(datagram)
    assert version == 5
    samples = _counted(datagram[SFLOW_HEADER.size :], count)
    for kind, sample in samples:
        if kind == FLOW_SAMPLE:
            fields = FLOW_FIELDS.unpack_from(sample)
            records = dict(_counted(sample[FLOW_FIELDS.size :], fields[-1]))
            raw = records[RAW_HEADER]
            _protocol, length, _stripped, size = RAW_FIELDS.unpack_from(raw)
            header = raw[RAW_FIELDS.size : RAW_FIELDS.size + size]
            yield FlowSample(fields[2], fields[5], fields[6], length, header)
        elif kind == COUNTER_SAMPLE:
            number_of_records = COUNTER_FIELDS.unpack_from(sample)[-1]
            records = dict(_counted(sample[COUNTER_FIELDS.size :], number_of_records))
            if INTERFACE_COUNTERS in records:  # others are of the bridge
                counters = INTERFACE_FIELDS.unpack_from(records[INTERFACE_COUNTERS])
                yield PortCounters(counters[0], counters[5], counters[6])


def _counted(data: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """Kind and content of things that each tell their length."""
    for _ in range(count):
        kind, length = struct.unpack_from("!II", data)
        yield kind, data[8 : 8 + length]
        data = data[8 + length :]


class Field(NamedTuple):
    """A field of a template: an information element (RFC 7012), 0 and its enterprise if it is
    somebody's own, and its length."""

    element: int
    length: int


class Exporter:
    """What an IPFIX exporter has told of its templates."""

    def __init__(self) -> None:
        self._templates: dict[int, list[Field]] = {}

    def records(self, message: bytes) -> Iterator[tuple[int, dict[int, bytes]]]:
        """Observation domain, and information elements with their values, of each record."""
        version, length, _time, _number, domain = IPFIX_HEADER.unpack_from(message)
        assert (version, length) == (10, len(message))
        at = IPFIX_HEADER.size
        while at < length:
            number, size = struct.unpack_from("!HH", message, at)
            content = message[at + 4 : at + size]
            if number == TEMPLATE_SET:
                self._learn(content)
            elif number in self._templates:
                yield from ((domain, record) for record in self._decode(number, content))
            at += size

    def _learn(self, content: bytes) -> None:
        while len(content) >= 4:
            number, count = struct.unpack_from("!HH", content)
            content = content[4:]
            fields = []
            for _ in range(count):
                element, length = struct.unpack_from("!HH", content)
                is_own = bool(element & 0x8000)
                fields.append(Field(0 if is_own else element, length))
                content = content[8 if is_own else 4 :]
            self._templates[number] = fields

    def _decode(self, number: int, content: bytes) -> Iterator[dict[int, bytes]]:
        fields = self._templates[number]
        while len(content) >= sum(1 if size == VARIABLE else size for _, size in fields):
            record: dict[int, bytes] = {}
            for element, size in fields:
                if size == VARIABLE:
                    size, content = content[0], content[1:]
                record[element], content = content[:size], content[size:]
            yield record
