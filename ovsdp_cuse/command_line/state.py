"""`handles`, `drops`: what the daemon tells of its handles and of packets that went nowhere."""

from __future__ import annotations

import json
from typing import Any

import click

from ovsdp_cuse.client import Device
from ovsdp_cuse.command_line.options import PID, talks_to_device
from ovsdp_cuse.command_line.requests import ask, find_datapath
from ovsdp_cuse.command_line.tables import print_table
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.wire.object_documents import drops_document, handle_document
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import HANDLE, HandleAttr

# Handles --------------------------------------------------------------------------------------


@click.command()
@click.argument("pid", type=PID, required=False)
@talks_to_device(HANDLE, read_only=True)
def handles(device: Device, as_json: bool, pid: int | None) -> None:
    """Show the handles that are open, or the one with a netlink PID: whose, and what they do.

    Beside a user stands r or w or both, as the handle was opened. What waits to be read is replies,
    events and packets (upcalls); what is dropped found no room there. Counts are since the handle
    was opened, and this command's own handle is shown too.

    \b
    With --json:
      {"handles": [{"pid": 1, "process": 4321, "command": "ovs-vswitchd", "uid": 0, "gid": 0,
        "readable": true, "writable": true, "nonblocking": true, "protocol": "generic",
        "groups": ["ovs_vport"], "dump": null or the command that is dumped,
        "queue": {"limit": BYTES, "bytes": 0, "replies": 0, "events": 0, "packets": 0,
          "dropped": 0, "congested": false},
        "counts": {"requests": 12, "replies": 12, "errors": 0, "events": 0, "upcalls": 3}}]}
    """
    groups = {
        number: name for family in device.families() for name, number in family.groups.items()
    }
    if pid is None:
        found = list(device.dump(OVSDP_CONTROL, OvsdpCmd.HANDLE_GET))
    else:
        found = [ask(device, OVSDP_CONTROL, OvsdpCmd.HANDLE_GET, {HandleAttr.PID: pid})]
    documents = [handle_document(message, groups) for message in found]
    if as_json:
        click.echo(json.dumps({"handles": documents}))
        return
    numbers = ("PID", "uid", "requests", "replies", "errors", "events", "upcalls", "dropped")
    print_table(
        ("PID", "process", "uid", "", *numbers[2:], "waits to be read", "groups"),
        [
            (
                handle["pid"],
                f"{handle['command']}[{handle['process']}]",
                handle["uid"],
                "r" * handle["readable"] + "w" * handle["writable"],
                *handle["counts"].values(),
                handle["queue"]["dropped"],
                _waiting(handle),
                " ".join(map(str, handle["groups"])) or "-",
            )
            for handle in documents
        ],
        right=numbers,
    )


def _waiting(handle: dict[str, Any]) -> str:
    """What waits on a handle, and what is in progress."""
    queue = handle["queue"]
    parts = [f"{kind} {queue[kind]}" for kind in ("replies", "events", "packets") if queue[kind]]
    if queue["congested"]:
        parts.append("congested")
    if handle["dump"]:
        parts.append(f"dump of {handle['dump']}")
    return ", ".join(parts) or "-"


# Drops ----------------------------------------------------------------------------------------


@click.command()
@click.argument("datapath", required=False)
@talks_to_device(read_only=True)
def drops(device: Device, as_json: bool, datapath: str | None) -> None:
    """Show why packets went nowhere, in one datapath or in all.

    Counts are since the datapath was made; reasons for which nothing was dropped are left out. What
    an interface refuses that a packet was given to is its port's to count: see dp-show.

    \b
    With --json, and there every reason is:
      {"drops": [{"datapath": "dp0", "index": 1, "reasons": {"meter": 0, "upcall lost": 12}}]}
    """
    if datapath is None:
        found = list(device.dump(OVSDP_CONTROL, OvsdpCmd.DROPS_GET))
    else:
        index = find_datapath(device, datapath).dp_ifindex
        found = [ask(device, OVSDP_CONTROL, OvsdpCmd.DROPS_GET, {}, index)]
    documents = [drops_document(message) for message in found]
    if as_json:
        click.echo(json.dumps({"drops": documents}))
        return
    rows = [
        (document["datapath"], reason, packets)
        for document in documents
        for reason, packets in document["reasons"].items()
        if packets
    ]
    if rows:
        print_table(("datapath", "reason", "packets"), rows, right=("packets",))
    else:
        where = "in any datapath" if datapath is None else f"in {printable(datapath)}"
        click.echo(f"no packet was dropped {where}")
