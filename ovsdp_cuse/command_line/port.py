"""`port-add`, `port-del`: the ports of a datapath, which `dp-show` shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from ovsdp_cuse.client import Device
from ovsdp_cuse.command_line.options import PID, talks_to_device
from ovsdp_cuse.command_line.requests import ask, find_datapath
from ovsdp_cuse.command_line.tables import print_table
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.wire.datapath import DpAttr
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.object_documents import PORT_TYPES, port_document
from ovsdp_cuse.wire.vport import (
    VPORT,
    VportAttr,
    VportCmd,
    VportStats,
)

JSON_SHAPE = """

\b
With --json a port is
  {"name": "veth0", "datapath": "dp0", "number": 1, "type": "netdev", "index": 5,
   "upcall_pids": [0], "upcalls": {"success": 0, "fail": 0},
   "stats": {"rx_packets": 0, "tx_packets": 0, "rx_bytes": 0, "tx_bytes": 0,
             "rx_errors": 0, "tx_errors": 0, "rx_dropped": 0, "tx_dropped": 0}}
where index is the interface's, and a type without a name is a number.
"""


def _type(ctx: click.Context, parameter: click.Parameter, value: str) -> int:
    """A type's name, or the number of one that another package brings."""
    try:
        return PORT_TYPES[value.lower()] if value.lower() in PORT_TYPES else int(value, 0)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither a number nor one of {', '.join(PORT_TYPES)}"
        ) from None


def ports_of(device: Device, dp_ifindex: int) -> list[Message]:
    """The ports of a datapath; ENODEV where it is gone."""
    return list(device.dump(VPORT, VportCmd.GET, dp_ifindex=dp_ifindex))


def print_ports(ports: Iterable[dict[str, Any]]) -> None:
    """A table of ports, from their documents."""
    columns = ("datapath", "port", "name", "type", "index", "PID", "upcalls", "lost")
    counts = [name.replace("_", " ") for name in VportStats._fields]
    print_table(
        (*columns, *counts),
        [
            (
                port["datapath"],
                port["number"],
                port["name"],
                port["type"],
                port["index"],
                " ".join(map(str, port["upcall_pids"])),
                port["upcalls"]["success"],
                port["upcalls"]["fail"],
                *port["stats"].values(),
            )
            for port in ports
        ],
        right=("port", "index", "PID", "upcalls", "lost", *counts),
    )


def _say(message: Message, datapath: Message, done: str, as_json: bool) -> None:
    name = datapath.attributes[DpAttr.NAME]
    port = port_document(message, name)
    if as_json:
        click.echo(json.dumps(port))
    else:
        click.echo(f"{printable(port['name'])} {done} {printable(name)} (port {port['number']})")


@click.command(
    "port-add",
    help="Make INTERFACE a port of the datapath DP.\n\n"
    "An interface that is a port is taken from the host: what it receives goes to the datapath "
    "alone. Of the type internal a port makes its interface, named INTERFACE." + JSON_SHAPE,
)
@click.argument("datapath", metavar="DP")
@click.argument("name", metavar="INTERFACE")
@click.option(
    "--type",
    "kind",
    default="netdev",
    show_default=True,
    callback=_type,
    metavar="TYPE",
    help="netdev: an interface that is there. internal: one that is made. Or a number.",
)
@click.option(
    "--number",
    type=click.IntRange(1, 65534),
    metavar="N",
    help="Its number in the datapath; left out, the lowest that is free.",
)
@click.option(
    "--upcall-pid",
    "upcall_pids",
    type=PID,
    multiple=True,
    metavar="PID",
    help="Who receives what no flow matches; may be given several times.  [default: 0, nobody]",
)
@talks_to_device(VPORT.attributes)
def port_add(
    device: Device,
    as_json: bool,
    datapath: str,
    name: str,
    kind: int,
    number: int | None,
    upcall_pids: tuple[int, ...],
) -> None:
    found = find_datapath(device, datapath)
    attributes: dict[VportAttr, Any] = {
        VportAttr.TYPE: kind,
        VportAttr.NAME: name,
        VportAttr.UPCALL_PID: upcall_pids or (0,),
    }
    if number is not None:
        attributes[VportAttr.PORT_NO] = number
    made = ask(device, VPORT, VportCmd.NEW, attributes, found.dp_ifindex)
    _say(made, found, "added to", as_json)


@click.command(
    "port-del",
    help="Remove the port INTERFACE from the datapath DP.\n\n"
    "The host has its interface back; one that was made for the port is gone." + JSON_SHAPE,
)
@click.argument("datapath", metavar="DP")
@click.argument("name", metavar="INTERFACE")
@talks_to_device(VPORT.attributes)
def port_del(device: Device, as_json: bool, datapath: str, name: str) -> None:
    found = find_datapath(device, datapath)
    gone = ask(device, VPORT, VportCmd.DEL, {VportAttr.NAME: name}, found.dp_ifindex)
    _say(gone, found, "removed from", as_json)
