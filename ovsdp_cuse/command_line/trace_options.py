"""The filters of the commands that show traces, live or from a file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENODEV
from typing import Any

import click

from ovsdp_cuse.client import DatapathError, Device
from ovsdp_cuse.client.trace import TraceFilter
from ovsdp_cuse.command_line.options import PID
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd

_OPTIONS = (
    click.option("--handle", "pid", type=PID, metavar="PID", help="Only the handle with this PID."),
    click.option(
        "--process", metavar="PID|NAME", help="Only handles that this process has opened."
    ),
    click.option("--family", metavar="NAME", help="Only requests to this family, and its events."),
    click.option("--command", metavar="NAME", help="Only this one: OVS_FLOW_CMD_NEW."),
    click.option("--datapath", metavar="NAME|INDEX", help="Only what is about this datapath."),
    click.option("--errors", is_flag=True, help="Only what failed, with its request."),
    click.option(
        "--slower-than",
        "slower_ms",
        type=click.FloatRange(min=0, max=2**63 / 1e6),
        metavar="MS",
        help="Only what took more milliseconds to answer, with its request.",
    ),
)


@dataclass(frozen=True)
class Wanted:
    """What is to be shown, as the command line says it; datapath: a name or a number."""

    pid: int | None
    process: str | None
    family: str | None
    command: str | None
    datapath: str | None
    errors: bool
    slower_ms: float | None

    def filter(self, index_of: Callable[[str], int]) -> TraceFilter:
        """The filter; index_of: the dp_ifindex of the datapath with a name."""
        process, datapath = self.process, self.datapath
        index = None
        if datapath is not None:
            index = int(datapath) if datapath.isdecimal() else index_of(datapath)
        return TraceFilter(
            self.pid,
            int(process) if process is not None and process.isdecimal() else process,
            self.family,
            self.command,
            index,
            self.errors,
            None if self.slower_ms is None else int(self.slower_ms * 1e6),
        )


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the filters, and the argument `wanted` for them."""

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        names = Wanted.__dataclass_fields__
        wanted = Wanted(**{name: arguments.pop(name) for name in names})
        command(wanted=wanted, **arguments)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def index_on(device: Device) -> Callable[[str], int]:
    """Finds the dp_ifindex of a datapath of the device; ENODEV where there is none."""

    def find(name: str) -> int:
        for found in device.dump(DATAPATH, DpCmd.GET):
            if found.attributes[DpAttr.NAME] == name:
                return found.dp_ifindex
        raise DatapathError(ENODEV, f"no datapath is named {name!r}")

    return find
