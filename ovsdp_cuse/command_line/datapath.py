"""`dp-add`, `dp-del`, `dp-show`: datapaths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from errno import ENODEV
from typing import Any

import click

from ovsdp_cuse.client import DatapathError, Device
from ovsdp_cuse.command_line import port
from ovsdp_cuse.command_line.options import PID, talks_to_device
from ovsdp_cuse.command_line.requests import ask
from ovsdp_cuse.command_line.tables import print_table
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.object_documents import FEATURES, datapath_document, port_document

JSON_SHAPE = """

\b
With --json a datapath is
  {"name": "dp0", "index": 1, "features": ["unaligned"], "masks_cache_size": 256,
   "per_cpu_pids": [], "stats": {"hit": 0, "missed": 0, "lost": 0, "flows": 0},
   "megaflow_stats": {"mask_hit": 0, "masks": 0, "cache_hits": 0}}
"""


def _features(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Feature names, separated by commas, or bits as a number."""
    if value is None:
        return None
    bits = 0
    for name in value.lower().split(","):
        try:
            bits |= FEATURES[name] if name in FEATURES else int(name, 0)
        except ValueError:
            raise click.BadParameter(
                f"{name!r} is neither a number nor one of {', '.join(FEATURES)}"
            ) from None
    if not 0 <= bits < 2**32:
        raise click.BadParameter(f"{bits:#x} does not fit 32 bits")
    return bits


def _say(message: Message, done: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(datapath_document(message)))
        return
    name = printable(message.attributes[DpAttr.NAME])
    click.echo(f"{name} {done} (index {message.dp_ifindex})")


@click.command(
    "dp-add",
    help="Make a datapath.\n\nA %d in NAME is replaced by the lowest number that is free."
    + JSON_SHAPE,
)
@click.argument("name")
@click.option(
    "--features",
    callback=_features,
    metavar="LIST",
    help=f"User features, with commas between: {', '.join(FEATURES)}; or bits as a number.",
)
@click.option(
    "--index",
    type=click.IntRange(1, 2**31 - 1),
    metavar="N",
    help="Its dp_ifindex; left out, the daemon chooses.",
)
@click.option(
    "--masks-cache-size",
    type=PID,
    metavar="N",
    help="Entries of the mask cache: a power of two up to 4096, or 0.",
)
@click.option(
    "--upcall-pid",
    "upcall_pids",
    type=PID,
    multiple=True,
    metavar="PID",
    help="Who receives what no flow matches, once for each CPU.  [default: 0, nobody]",
)
@talks_to_device(DATAPATH.attributes)
def dp_add(
    device: Device,
    as_json: bool,
    name: str,
    features: int | None,
    index: int | None,
    masks_cache_size: int | None,
    upcall_pids: tuple[int, ...],
) -> None:
    attributes = {
        DpAttr.NAME: name,
        DpAttr.UPCALL_PID: upcall_pids or (0,),
        DpAttr.USER_FEATURES: features,
        DpAttr.MASKS_CACHE_SIZE: masks_cache_size,
        DpAttr.IFINDEX: index,
    }
    given = {number: value for number, value in attributes.items() if value is not None}
    _say(ask(device, DATAPATH, DpCmd.NEW, given), "made", as_json)


@click.command("dp-del", help="Remove a datapath, and all in it." + JSON_SHAPE)
@click.argument("name")
@talks_to_device(DATAPATH.attributes)
def dp_del(device: Device, as_json: bool, name: str) -> None:
    _say(ask(device, DATAPATH, DpCmd.DEL, {DpAttr.NAME: name}), "removed", as_json)


@click.command(
    "dp-show",
    help="Show one datapath, or all, with their ports.\n\n"
    "Counts of a datapath are since it was made: packets that hit a flow, missed all flows, and "
    "upcalls that were lost on the way to userspace. Flows and masks are how many there are now. "
    "Of a port PID is who receives what no flow matches; the other counts are its interface's, and "
    "as that sees them: what the datapath sends to an internal port is received there."
    + JSON_SHAPE
    + 'and what is printed is {"datapaths": [DATAPATH, ...]}, each with "ports": [PORT, ...].'
    + port.JSON_SHAPE,
)
@click.argument("name", required=False)
@talks_to_device(DATAPATH.attributes, read_only=True)
def dp_show(device: Device, as_json: bool, name: str | None) -> None:
    if name is None:
        found = device.dump(DATAPATH, DpCmd.GET)
    else:
        found = iter([ask(device, DATAPATH, DpCmd.GET, {DpAttr.NAME: name})])
    datapaths = list(_with_ports(device, found))
    if as_json:
        click.echo(json.dumps({"datapaths": datapaths}))
    elif not datapaths:
        click.echo("there is no datapath; make one with: ovsdp-cuse dp-add NAME")
    else:
        _print(datapaths)


def _with_ports(device: Device, messages: Iterator[Message]) -> Iterator[dict[str, Any]]:
    """The documents of datapaths with those of their ports; not of datapaths that are gone."""
    for message in messages:
        shown = datapath_document(message)
        try:
            ports = port.ports_of(device, message.dp_ifindex)
        except DatapathError as error:
            if error.errno != ENODEV:
                raise
        else:
            yield {**shown, "ports": [port_document(found, shown["name"]) for found in ports]}


def _print(datapaths: list[dict[str, Any]]) -> None:
    numbers = ("index", "hit", "missed", "lost", "flows", "masks", "mask cache")
    print_table(
        ("name", *numbers, "features"),
        [
            (
                datapath["name"],
                datapath["index"],
                *datapath["stats"].values(),
                datapath["megaflow_stats"]["masks"],
                datapath["masks_cache_size"],
                " ".join(datapath["features"]) or "-",
            )
            for datapath in datapaths
        ],
        right=numbers,
    )
    click.echo()
    port.print_ports(shown for datapath in datapaths for shown in datapath["ports"])
