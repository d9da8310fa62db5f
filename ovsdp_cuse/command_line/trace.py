"""`trace`: everything that crosses the device, as it happens."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator

import click

from ovsdp_cuse.client import Device, EventsLost
from ovsdp_cuse.client.trace import Traces, traces
from ovsdp_cuse.command_line import documents
from ovsdp_cuse.command_line.options import talks_to_device
from ovsdp_cuse.command_line.registry import load_registry
from ovsdp_cuse.command_line.trace_options import Wanted, filter_options, index_on
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.trace import has_colours
from ovsdp_cuse.families.trace_text import TraceText
from ovsdp_cuse.wire.trace import TRACE_FILTER, TraceRecord


@click.command()
@filter_options
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N of them.")
@click.option("-v", "--verbose", is_flag=True, help="Show each attribute on a line of its own.")
@talks_to_device(TRACE_FILTER)
def trace(
    device: Device,
    as_json: bool,
    wanted: Wanted,
    count: int | None,
    verbose: bool,
) -> None:
    """Follow every request, reply, notification and upcall, a line for each, until Ctrl-C.

    A line begins with the PID of a handle, and the command and process id of who opened it. Then
    comes > and what the client sent, and how; < and what it is given, and how long after its
    request; or ! and what failed. Filters go together, and what answers a request is chosen with
    it. Where more came than could be read, standard error says so.

    It takes a handle that is opened for writing: a trace shows the frames of others.

    \b
    With --json a line is
      {"kind": "REPLY", "time_ns": 1753459200000000000, "pid": 7, "process": 4321,
       "process_name": "ovs-dpctl", "operation": null, "latency_ns": 134000, "errno": null,
       "text": null, "path": [], "fault": null, "length": 104, "messages": [MESSAGE, ...]},
    where kind is one of OPENED, CLOSED, REQUEST, REPLY, NOTIFICATION, UPCALL, LOST, REFUSED,
    PID_TOLD and HANDLED, and a MESSAGE is what `send` shows.
    """
    show = printer(load_registry(), as_json, verbose)
    try:
        told = traces(device, wanted.filter(index_on(device)))
        click.echo(f"tracing; this is the handle {device.pid}; end it with Ctrl-C", err=True)
        for number, record in enumerate(all_records(told), 1):
            show(record)
            sys.stdout.flush()
            if number == count:
                return
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Whoever read this has seen enough. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def all_records(told: Traces) -> Iterator[TraceRecord]:
    """What is told, for ever."""
    while True:
        try:
            yield next(told)
        except EventsLost as error:
            click.echo(f"traces were lost: {error}", err=True)


def printer(registry: Registry, as_json: bool, verbose: bool) -> Callable[[TraceRecord], None]:
    """Prints records as lines of text, or of JSON."""
    if as_json:
        return lambda record: click.echo(json.dumps(documents.trace(registry, record)))
    text = TraceText(registry, verbose)
    colours = has_colours(sys.stdout)

    def show(record: TraceRecord) -> None:
        for line in text.lines(record):
            click.echo(line.painted() if colours else line.text, color=colours or None)

    return show
