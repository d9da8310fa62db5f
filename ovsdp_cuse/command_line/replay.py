"""`replay`: the requests of a capture once more, and what is answered differently."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from ovsdp_cuse.captures.conversation import Event, conversation
from ovsdp_cuse.captures.netlink import Frame
from ovsdp_cuse.captures.records import records
from ovsdp_cuse.command_line import documents
from ovsdp_cuse.command_line.capture_file import (
    CaptureFile,
    family_ids,
    file_argument,
    open_capture,
)
from ovsdp_cuse.command_line.registry import load_registry
from ovsdp_cuse.families.describe import describe, printable
from ovsdp_cuse.families.registry import DeviceOperation, Registry
from ovsdp_cuse.families.trace import has_colours
from ovsdp_cuse.replay.channel import Target, TargetError
from ovsdp_cuse.replay.device import DeviceTarget
from ovsdp_cuse.replay.netlink import NetlinkTarget
from ovsdp_cuse.replay.numbers import Schemas
from ovsdp_cuse.replay.player import Outcome, Player
from ovsdp_cuse.replay.timing import in_time

SAME, DIFFERENT, NOT_POSSIBLE = 0, 1, 3
NETLINK: Final = "netlink"


class NotPossible(click.ClickException):
    """There is nobody to replay to, or nothing that could be compared."""

    exit_code = NOT_POSSIBLE


@click.command()
@file_argument
@click.option(
    "--to",
    "to",
    required=True,
    metavar="DEVICE|netlink",
    help="The path of a device, or `netlink` for the kernel's own module.",
)
@click.option("--timing", is_flag=True, help="Keep the times between the requests.")
@family_ids
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each request.")
def replay(capture: list[Frame], to: str, timing: bool, ids: dict[str, int], as_json: bool) -> None:
    """Send the requests of a capture again, and show what is answered differently.

    FILE is what `record` has written, or a pcap or pcapng of nlmon; it may be gzipped. Requests are
    sent in their order, each when the one before is answered, from as many handles as the capture
    has; PIDs, numbers of families and groups, indexes and ports are those of here. What counts
    traffic or time is not compared.

    Interfaces that the capture names must be there, and datapaths of its names must not.

    \b
    With --json a line is, for what is different or was left out,
      {"packet": 124, "request": [MESSAGE], "left_out": TEXT or null,
       "differences": [{"where": "reply: nlmsg_flags", "recorded": "0", "got": "2"}, ...]}
    and the last one
      {"requests": 748, "same": 729, "different": 19, "left_out": 0}

    \b
    Exit status:
      0  all that was compared is the same
      1  something is different
      2  the command line is wrong, or FILE is no capture
      3  there is nobody to send it to, or nothing in FILE that can be compared
    """
    registry = load_registry()
    file = open_capture(capture, ids)
    schemas = {family.schema.name: family.schema for family in registry}
    events = conversation(records(file.frames, file.names.ids))
    try:
        counts = _replay(
            Player(_target(to, file, schemas), file.names, schemas),
            in_time(events) if timing else iter(events),
            len(events),
            _Printer(file.registry(registry), as_json),
        )
    except TargetError as error:
        raise NotPossible(str(error)) from None
    if not counts["same"] + counts["different"]:
        raise NotPossible("nothing was compared")
    sys.exit(DIFFERENT if counts["different"] else SAME)


def _target(to: str, file: CaptureFile, schemas: Schemas) -> Target:
    if to == NETLINK:
        return NetlinkTarget(file.names.ids, schemas)
    return DeviceTarget(to, schemas)


def _replay(player: Player, events: Iterator[Event], total: int, printer: _Printer) -> Counter[str]:
    counts = Counter(same=0, different=0, left_out=0)
    with _progress(total) as advance:
        try:
            for event in events:
                outcome = player.play(event)
                if outcome is not None:
                    counts[_kind(outcome)] += 1
                    printer.show(outcome)
                advance()
        finally:
            player.close()
    printer.summarize(counts)
    if player.lost:
        click.echo(
            f"{player.lost} times notifications or upcalls were lost: more came than had room",
            err=True,
        )
    return counts


def _kind(outcome: Outcome) -> str:
    if outcome.left_out is not None:
        return "left_out"
    return "different" if outcome.differences else "same"


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Shows on standard error, where that is a terminal, how far it is; yields what advances it."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying", total=total)
        yield lambda: progress.advance(task)


class _Printer:
    """Prints what is not the same; registry: of the capture."""

    def __init__(self, registry: Registry, as_json: bool) -> None:
        self._registry = registry
        self._as_json = as_json
        self._reasons: Counter[str] = Counter()

    def show(self, outcome: Outcome) -> None:
        """Show one request, where there is something to say of it."""
        if outcome.left_out is not None:
            self._reasons[outcome.left_out] += 1
        elif not outcome.differences:
            return
        if self._as_json:
            click.echo(json.dumps(self._document(outcome)))
        elif outcome.differences:
            self._print(outcome)

    def summarize(self, counts: Counter[str]) -> None:
        """The last lines."""
        if self._as_json:
            click.echo(json.dumps({"requests": counts.total(), **counts}))
            return
        for reason, count in self._reasons.items():
            click.echo(f"left out, {count} times: {reason}")
        click.echo(
            f"{counts.total()} requests: {counts['same']} answered as recorded, "
            f"{counts['different']} differently, {counts['left_out']} left out"
        )

    def _print(self, outcome: Outcome) -> None:
        exchange = outcome.exchange
        operation = DeviceOperation.__members__.get(exchange.operation or "")
        if operation is DeviceOperation.STREAM:
            operation = None
        for line in describe(self._registry, exchange.request, operation):
            text = f"packet {exchange.number}: {line.text}"
            click.echo(click.style(text, "cyan") if has_colours(sys.stdout) else text)
        for difference in outcome.differences:
            click.echo(f"    {printable(str(difference))}")

    def _document(self, outcome: Outcome) -> dict[str, Any]:
        return {
            "packet": outcome.exchange.number,
            "request": documents.messages(self._registry, outcome.exchange.request),
            "left_out": outcome.left_out,
            "differences": [
                {"where": found.where, "recorded": found.recorded, "got": found.got}
                for found in outcome.differences
            ],
        }
