"""`decode`: a capture as `trace` would have shown it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from sys import byteorder

import click

from ovsdp_cuse.captures.netlink import Frame
from ovsdp_cuse.captures.records import UNKNOWN, Recorded, records
from ovsdp_cuse.command_line.capture_file import family_ids, file_argument, open_capture
from ovsdp_cuse.command_line.registry import load_registry
from ovsdp_cuse.command_line.trace import printer
from ovsdp_cuse.command_line.trace_options import Wanted, filter_options
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.describe import describe_error
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.tap import Arrived, errno_of
from ovsdp_cuse.families.trace_filter import TraceFilter
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr
from ovsdp_cuse.wire.netlink import NETLINK_HEADER_SIZE, NLMSG_MIN_TYPE
from ovsdp_cuse.wire.trace import TRACE_FILTER, TraceKind, TraceRecord


@click.command()
@file_argument
@filter_options
@family_ids
@click.option("-v", "--verbose", is_flag=True, help="Show each attribute on a line of its own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def decode(
    capture: list[Frame], wanted: Wanted, ids: dict[str, int], verbose: bool, as_json: bool
) -> None:
    """Show a capture, a line for each message, as `trace` shows them. It needs no device.

    FILE is what `record` has written, or a pcap or pcapng of nlmon, of the kernel's own module; it
    may be gzipped. The numbers of the families are taken from nlctrl's answers in it.

    A capture of nlmon does not say which process is behind a PID (?[0]), nor who was told of a
    notification or upcall (0). Its messages are taken for what they are likely to be.
    """
    known = load_registry()
    file = open_capture(capture, ids)
    registry = file.registry(known)
    found = list(records(file.frames, file.names.ids))
    if missing := _unnamed(registry, found):
        click.echo(
            f"nobody tells in FILE which families {missing} are: --family-id NAME=ID says it",
            err=True,
        )
    show = printer(registry, as_json, verbose)
    try:
        for record in _chosen(registry, found, wanted):
            show(_shown(record))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read this has seen enough. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unnamed(registry: Registry, found: Iterable[Recorded]) -> str:
    """The numbers of families that nobody has named."""
    numbers = {
        int.from_bytes(record.message[4:6], byteorder)
        for _number, record in found
        if len(record.message) >= NETLINK_HEADER_SIZE
    }
    missing = [n for n in sorted(numbers) if n >= NLMSG_MIN_TYPE and registry.lookup(n) is None]
    return ", ".join(map(hex, missing))


def _chosen(registry: Registry, found: Iterable[Recorded], wanted: Wanted) -> Iterator[TraceRecord]:
    """The records that the filters let through, with the requests that they answer."""
    found = list(found)
    trace_filter = _filter(registry, found, wanted)
    requests: dict[tuple[int, bytes], Arrived] = {}
    for _number, record in found:
        if trace_filter is None:
            yield record
            continue
        of = record.pid, record.message[8:12]
        if record.kind is TraceKind.REQUEST:
            requests[of] = Arrived(record.message, record, 0)
            requests[record.pid, b""] = requests[of]  # for what answers it without a message
        elif record.kind is TraceKind.REPLY:
            record.errno = record.errno or errno_of(record.message)
        answers = record.kind not in (TraceKind.NOTIFICATION, TraceKind.UPCALL)
        yield from trace_filter.choose(record, requests.get(of) if answers else None)


def _filter(registry: Registry, found: Iterable[Recorded], wanted: Wanted) -> TraceFilter | None:
    def index_of(name: str) -> int:
        for _number, record in found:
            index = _datapath_index(registry, record.message, name)
            if index:
                return index
        raise click.BadParameter(f"no datapath in FILE is named {name!r}", param_hint="--datapath")

    try:
        return TraceFilter.parse(wanted.filter(index_of).attributes(), registry)
    except DatapathError as error:
        raise click.UsageError(describe_error(error, TRACE_FILTER)) from None


def _datapath_index(registry: Registry, message: bytes, name: str) -> int:
    """The dp_ifindex where a message tells of the datapath with this name; else 0."""
    if len(message) < NETLINK_HEADER_SIZE:
        return 0
    family = registry.lookup(int.from_bytes(message[4:6], byteorder))
    if family is None or family.schema.name != DATAPATH.name:
        return 0
    try:
        told = family.schema.parse(message)
    except DatapathError:
        return 0
    return told.dp_ifindex if told.attributes.get(DpAttr.NAME) == name else 0


def _shown(record: TraceRecord) -> TraceRecord:
    """The record; what a program has sent by a socket stands as what comes by the stream door."""
    if record.kind is TraceKind.REQUEST and record.command == UNKNOWN:
        return replace(record, operation="STREAM")
    return record
