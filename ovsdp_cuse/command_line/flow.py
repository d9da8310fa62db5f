"""`flow-show`, `flow-del`: the flows of a datapath."""

from __future__ import annotations

import json
import time

import click

from ovsdp_cuse.client import Device
from ovsdp_cuse.command_line.options import talks_to_device
from ovsdp_cuse.command_line.requests import find_datapath
from ovsdp_cuse.command_line.tables import print_table
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.wire.flow import FLOW, FlowCmd
from ovsdp_cuse.wire.text.document import flow_document
from ovsdp_cuse.wire.text.flow import FlowText

JSON_SHAPE = """

\b
With --json what is printed is {"flows": [FLOW, ...]}, a FLOW
  {"ufid": "0011..." or null, "match": TEXT, "actions": TEXT,
   "key": {"IN_PORT": 1, ...}, "mask": {"IN_PORT": 4294967295, ...},
   "packets": 0, "bytes": 0, "used_ms": TIME or null, "tcp_flags": 0}
where a TIME is in milliseconds of CLOCK_MONOTONIC.
"""


def _ago(used_ms: int | None) -> str:
    if used_ms is None:
        return "never"
    return f"{max(time.monotonic() - used_ms / 1000, 0):.1f} s ago"


@click.command(
    "flow-show",
    help="Show the flows of the datapath DP.\n\n"
    "A match leaves out what may be anything, and shows a mask behind what is matched in part. "
    "Actions are in the order in which they are done; a number is a port that the packet is sent "
    "to. Both are spelled as 'ovs-dpctl dump-flows' spells them." + JSON_SHAPE,
)
@click.argument("datapath", metavar="DP")
@talks_to_device(FLOW.attributes, read_only=True)
def flow_show(device: Device, as_json: bool, datapath: str) -> None:
    index = find_datapath(device, datapath).dp_ifindex
    text = FlowText()
    found = device.dump(FLOW, FlowCmd.GET, dp_ifindex=index)
    flows = [flow_document(message, text) for message in found]
    if as_json:
        click.echo(json.dumps({"flows": flows}))
    elif not flows:
        click.echo(f"{printable(datapath)} has no flows")
    else:
        print_table(
            ("match", "actions", "packets", "bytes", "used"),
            [
                (
                    flow["match"],
                    flow["actions"],
                    flow["packets"],
                    flow["bytes"],
                    _ago(flow["used_ms"]),
                )
                for flow in flows
            ],
            right=("packets", "bytes", "used"),
        )


@click.command("flow-del")
@click.argument("datapath", metavar="DP")
@click.option("--all", "all_flows", is_flag=True, required=True, help="Remove all flows.")
@talks_to_device(FLOW.attributes)
def flow_del(device: Device, as_json: bool, datapath: str, all_flows: bool) -> None:
    """Remove all flows of the datapath DP.

    Its packets miss, then, and go to userspace.

    With --json: {"datapath": NAME, "removed": "all"}.
    """
    index = find_datapath(device, datapath).dp_ifindex
    device.transact(FLOW, FlowCmd.DEL, dp_ifindex=index)
    if as_json:
        click.echo(json.dumps({"datapath": datapath, "removed": "all"}))
    else:
        click.echo(f"all flows of {printable(datapath)} removed")
