"""`flow-show`, `flow-del`: the flows of a datapath."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from ovsdp_cuse.client import Device
from ovsdp_cuse.command_line.documents import attributes_document
from ovsdp_cuse.command_line.options import talks_to_device
from ovsdp_cuse.command_line.requests import find_datapath
from ovsdp_cuse.command_line.tables import print_table
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd, FlowStats
from ovsdp_cuse.wire.key import KEY, KEY_ATTRIBUTES
from ovsdp_cuse.wire.text.flow import FlowText

JSON_SHAPE = """

\b
With --json what is printed is {"flows": [FLOW, ...]}, a FLOW
  {"ufid": "0011..." or null, "match": TEXT, "actions": TEXT,
   "key": {"IN_PORT": 1, ...}, "mask": {"IN_PORT": 4294967295, ...},
   "packets": 0, "bytes": 0, "used_ms": TIME or null, "tcp_flags": 0}
where a TIME is in milliseconds of CLOCK_MONOTONIC.
"""


def document(message: Message) -> dict[str, Any]:
    """A flow in JSON, as JSON_SHAPE shows it."""
    attributes = message.attributes
    key, mask = attributes.get(FlowAttr.KEY, b""), attributes.get(FlowAttr.MASK, b"")
    text = FlowText()
    stats: FlowStats = attributes.get(FlowAttr.STATS, FlowStats(0, 0))
    ufid: bytes | None = attributes.get(FlowAttr.UFID)
    return {
        "ufid": None if ufid is None else ufid.hex(),
        "match": text.key(key, mask),
        "actions": text.actions(attributes.get(FlowAttr.ACTIONS, b"")),
        "key": attributes_document(KEY_ATTRIBUTES, KEY.decode(key, False)),
        "mask": attributes_document(KEY_ATTRIBUTES, KEY.decode(mask, False)),
        "packets": stats.n_packets,
        "bytes": stats.n_bytes,
        "used_ms": attributes.get(FlowAttr.USED),
        "tcp_flags": attributes.get(FlowAttr.TCP_FLAGS, 0),
    }


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
    flows = [document(found) for found in device.dump(FLOW, FlowCmd.GET, dp_ifindex=index)]
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
