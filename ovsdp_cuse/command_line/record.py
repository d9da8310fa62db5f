"""`record`: what crosses the device, as a file that Wireshark opens."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import FrameType
from typing import Final

import click

import ovsdp_cuse
from ovsdp_cuse.captures.netlink import PLACEHOLDER, cooked
from ovsdp_cuse.captures.note import FAMILY_COMMENT, note_of
from ovsdp_cuse.captures.packet import LINKTYPE_NETLINK, Way
from ovsdp_cuse.captures.pcapng import Writer
from ovsdp_cuse.client import Device, EventsLost
from ovsdp_cuse.client.trace import traces
from ovsdp_cuse.command_line.options import talks_to_device
from ovsdp_cuse.command_line.trace_options import Wanted, filter_options, index_on
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlCmd
from ovsdp_cuse.wire.trace import TRACE_FILTER, TraceKind, TraceRecord

COOKED_SIZE: Final = len(cooked(b"", to_kernel=True))
REPORT_S: Final = 1.0
"""How often standard error is told, where it is a terminal, how much there is."""


@click.command()
@click.argument("file", metavar="FILE.pcapng", type=click.Path(dir_okay=False, path_type=Path))
@filter_options
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N of them.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after so long.",
)
@talks_to_device(TRACE_FILTER)
def record(
    device: Device,
    as_json: bool,
    file: Path,
    wanted: Wanted,
    count: int | None,
    seconds: float | None,
) -> None:
    """Write every request, reply, notification and upcall to a file, until Ctrl-C or SIGTERM.

    The file is pcapng of link type NETLINK (253): Wireshark and tshark open it, `decode` prints it,
    and `replay` sends its requests again. Each packet has a comment with the handle, its process,
    how it came, and how long after its request; the file begins with what nlctrl tells of the
    families. It can be read at any time, also when this program was killed.

    It takes a handle that is opened for writing: a trace shows the frames of others.

    With --json the last line, on standard output, is {"packets": N, "lost": N}.
    """
    try:
        stream = file.open("wb", buffering=0)
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}", param_hint="FILE.pcapng") from None
    recorder = _Recorder(device, stream)
    with stream, _ended_by_sigterm():
        try:
            recorder.begin()
            recorder.follow(wanted, count, seconds)
        except KeyboardInterrupt:
            pass  # that is how it ends
    recorder.tell_end(file, as_json)


class _Recorder:
    """Writes what is traced; each block is written at once, and whole."""

    def __init__(self, device: Device, stream: FileIO) -> None:
        self._device = device
        self._packets = 0
        self._lost = 0
        self._told_s = time.monotonic()
        self._stream = stream
        self._writer = Writer(
            self._write,
            LINKTYPE_NETLINK,
            device.path,
            "an Open vSwitch datapath device",
            f"ovsdp-cuse {ovsdp_cuse.__version__}",
        )

    def begin(self) -> None:
        """What tells readers the names of the families."""
        for family in self._device.dump(NLCTRL, CtrlCmd.GETFAMILY):
            told = cooked(NLCTRL.build(family), to_kernel=False)
            self._writer.packet(told, time.time_ns(), comments=[FAMILY_COMMENT], way=Way.OUTBOUND)

    def follow(self, wanted: Wanted, count: int | None, seconds: float | None) -> None:
        """Write until there are so many, or it lasts so long, or for ever."""
        deadline = None if seconds is None else time.monotonic() + seconds
        told = traces(
            self._device,
            wanted.filter(index_on(self._device)),
            timeout=REPORT_S if seconds is None else min(seconds, REPORT_S),
        )
        click.echo(f"recording {self._device.path}; end it with Ctrl-C", err=True)
        while (deadline is None or time.monotonic() < deadline) and self._packets != count:
            try:
                found = next(told)
            except StopIteration:
                self._tell_progress()
                continue
            except EventsLost:
                self._lost += 1
                continue
            if found.pid != self._device.pid:  # it need not see that it began
                self._add(found)
            self._tell_progress()

    def tell_end(self, file: Path, as_json: bool) -> None:
        """Say how much there is."""
        if as_json:
            click.echo(f'{{"packets": {self._packets}, "lost": {self._lost}}}')
        lost = f"; {self._lost} times some were lost: more came than could be read"
        click.echo(f"{file}: {self._packets} packets{lost if self._lost else ''}", err=True)

    def _add(self, found: TraceRecord) -> None:
        requests = found.kind is TraceKind.REQUEST
        message = found.message or PLACEHOLDER
        length = found.length if found.message else len(message)
        self._writer.packet(
            cooked(message, to_kernel=requests),
            found.time_ns,
            COOKED_SIZE + length,
            [note_of(found.attributes())],
            Way.INBOUND if requests else Way.OUTBOUND,
        )
        self._packets += 1

    def _write(self, block: bytes) -> None:
        """write(2) until all of it is written."""
        left = block
        while left:
            left = left[self._stream.write(left) :]

    def _tell_progress(self) -> None:
        if sys.stderr.isatty() and time.monotonic() - self._told_s > REPORT_S:
            self._told_s = time.monotonic()
            click.echo(f"\r{self._packets} packets, {self._lost} losses", nl=False, err=True)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """While this is open SIGTERM is what Ctrl-C is."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
