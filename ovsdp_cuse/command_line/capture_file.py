"""What the commands that read captures share: the file, and the numbers of its families."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import click

from ovsdp_cuse.captures import CaptureError, read_capture
from ovsdp_cuse.captures.families import Names
from ovsdp_cuse.captures.netlink import Frame, frames
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.wire.netlink import NLMSG_MIN_TYPE


@dataclass(frozen=True)
class CaptureFile:
    """What is of generic netlink in a capture, and the numbers of the families in it."""

    frames: list[Frame]
    names: Names

    def registry(self, known: Registry) -> Registry:
        """The families that the capture tells of, with the numbers that they have there."""
        return Registry(
            replace(family, schema=replace(family.schema, id=self.names.ids[family.schema.name]))
            for family in known
            if family.schema.name in self.names.ids
        )


def _file(ctx: click.Context, parameter: click.Parameter, value: Path) -> list[Frame]:
    try:
        capture = read_capture(value.read_bytes())
    except (OSError, CaptureError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise click.BadParameter(f"{value}: {why}") from None
    if capture.problem is not None:
        click.echo(f"{value}: {capture.problem}; what comes before that is whole", err=True)
    found = list(frames(capture))
    if not found:
        count = len(capture.packets)
        raise click.BadParameter(f"{value}: none of its {count} packets is of generic netlink")
    return found


def _ids(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, int]:
    ids = {}
    for text in value:
        name, _equals, number = text.partition("=")
        try:
            ids[name] = int(number, 0)
        except ValueError:
            raise click.BadParameter(f"{text!r} is no NAME=NUMBER, such as ovs_flow=0x1f") from None
        if not NLMSG_MIN_TYPE <= ids[name] <= 0xFFFF:
            raise click.BadParameter(f"{text!r}: a family's id is in {NLMSG_MIN_TYPE:#x}..0xffff")
    return ids


file_argument = click.argument(
    "capture", metavar="FILE", type=click.Path(path_type=Path), callback=_file
)
"""A capture, which the command gets as a list of Frames; it is an error where that is empty."""

family_ids = click.option(
    "--family-id",
    "ids",
    metavar="NAME=ID",
    multiple=True,
    callback=_ids,
    help="The number of a family in the capture, where nobody asks nlctrl for it there.",
)


def open_capture(capture: list[Frame], ids: dict[str, int]) -> CaptureFile:
    """A capture, with the families that it tells of itself, or that `ids` do."""
    names = Names(ids)
    names.learn_all(capture)
    return CaptureFile(capture, names)
