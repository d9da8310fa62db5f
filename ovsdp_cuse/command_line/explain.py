"""`explain`: what a datapath would do with a packet."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import click

from ovsdp_cuse.captures import LINKTYPE_ETHERNET, CaptureError, read_capture
from ovsdp_cuse.client import DatapathError, Device
from ovsdp_cuse.command_line.explain_text import document, lines
from ovsdp_cuse.command_line.options import talks_to_device
from ovsdp_cuse.command_line.requests import ask, find_datapath
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.explain import EXPLAIN, ExplainAttr
from ovsdp_cuse.wire.key import KEY, KeyAttr
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import HandleAttr
from ovsdp_cuse.wire.text.flow import FlowText
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd

U32: Final = click.IntRange(0, 2**32 - 1)
_HEXADECIMAL: Final = re.compile(r"(?:[0-9a-fA-F]{2}[\s:]*)+")

JSON_SHAPE = """

\b
With --json what is printed is
  {"datapath": NAME, "in_port": 1, "packets": [{"packet": HEX, "steps": [STEP, ...]}]}
where a STEP has "step", such as "HIT", and "depth", and of these what belongs to it:
"key", "mask", "actions", "ufid", "packet", "flows", "port", "port_name", "pid", "reason", "text".
"""


def frames_of(text: str, number: int | None) -> list[bytes]:
    """The frames of a command line: one in hexadecimal, or those of a capture file.

    number: the only one that is wanted of a file, counted from 1. Raises click.ClickException.
    """
    if not text.strip():
        raise click.UsageError("PACKET is empty: it is a frame in hexadecimal, or a capture file")
    if _HEXADECIMAL.fullmatch(text.strip()):
        if number is not None:
            raise click.UsageError("--frame is for capture files")
        return [bytes.fromhex(text.replace(":", " "))]
    try:
        capture = read_capture(Path(text).read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise click.UsageError(
            f"{text!r} is neither a frame in hexadecimal nor a file: {reason}"
        ) from None
    except CaptureError as error:
        raise click.ClickException(f"{text}: {error}") from None
    if capture.problem:
        click.echo(f"{printable(text)}: {capture.problem}", err=True)
    packets = [packet for packet in capture.packets if number in (None, packet.number)]
    if not packets:
        which = "no packets" if number is None else f"no packet {number}"
        raise click.ClickException(f"{text} has {which}")
    for packet in packets:
        if packet.linktype != LINKTYPE_ETHERNET:
            raise click.ClickException(
                f"{text}: packet {packet.number} has link type {packet.linktype}, "
                f"a frame has {LINKTYPE_ETHERNET} (Ethernet)"
            )
        if packet.cut:
            click.echo(
                f"{printable(text)}: packet {packet.number} had {packet.length} bytes, of which "
                f"{len(packet.data)} are there",
                err=True,
            )
    return [packet.data for packet in packets]


def _find_port(device: Device, dp_ifindex: int, port: str) -> Attributes:
    """The port of a datapath that is named, or given by its number."""
    wanted: dict[int, Any] = {VportAttr.NAME: port}
    if port.isascii() and port.isdigit():
        if int(port) >= 2**32:
            raise click.UsageError(f"{port} is no number of a port")
        wanted = {VportAttr.PORT_NO: int(port)}
    try:
        return ask(device, VPORT, VportCmd.GET, wanted, dp_ifindex).attributes
    except DatapathError as error:
        # It blames an attribute of another request.
        raise DatapathError(error.errno, f"the port {port}: {error.message}") from None


@click.command(
    "explain",
    help="Tell what the datapath DP would do with a packet, and do nothing.\n\n"
    "PACKET is a frame in hexadecimal, with spaces or colons where you like, or a file: pcap or "
    "pcapng, with Ethernet frames. What is told is the packet's key, the masks that are tried, the "
    "flow that matches, each of its actions with the packet after it, and where the packet goes or "
    "why it is dropped. No port sends it, nobody gets an upcall, and nothing is counted.\n\n"
    "A meter judges as it would now. A sample that chance decides about is taken." + JSON_SHAPE,
)
@click.argument("packet", metavar="PACKET")
@click.option("--dp", "datapath", metavar="DP", required=True, help="The datapath.")
@click.option(
    "--in-port", metavar="PORT", required=True, help="The port that it comes in by: name or number."
)
@click.option("--frame", type=click.IntRange(1), metavar="N", help="Only packet N of the file.")
@click.option("--recirc-id", type=U32, help="As if it came from recirculation.")
@click.option("--skb-mark", type=U32, help="Its mark.")
@click.option("--skb-priority", type=U32, help="Its priority.")
@click.option("--no-samples", is_flag=True, help="Samples that chance decides about are not taken.")
@talks_to_device(EXPLAIN, read_only=True)
def explain(
    device: Device,
    as_json: bool,
    packet: str,
    datapath: str,
    in_port: str,
    frame: int | None,
    recirc_id: int | None,
    skb_mark: int | None,
    skb_priority: int | None,
    no_samples: bool,
) -> None:
    frames = frames_of(packet, frame)
    index = find_datapath(device, datapath).dp_ifindex
    found = _find_port(device, index, in_port)
    port, name = found[VportAttr.PORT_NO], found[VportAttr.NAME]
    request: dict[int, Any] = {ExplainAttr.IN_PORT: port}
    metadata = {
        KeyAttr.RECIRC_ID: recirc_id,
        KeyAttr.SKB_MARK: skb_mark,
        KeyAttr.PRIORITY: skb_priority,
    }
    key = KEY.encode({number: value for number, value in metadata.items() if value is not None})
    if key:
        request[ExplainAttr.KEY] = key
    if no_samples:
        request[ExplainAttr.NOT_SAMPLED] = True
    text = FlowText()

    @cache
    def owner(pid: int) -> str:
        return _owner(device, pid)

    told = []
    for number, one in enumerate(frames):
        asked = request | {ExplainAttr.PACKET: one}
        steps: list[Attributes] = [
            message.attributes
            for message in device.dump(OVSDP_CONTROL, OvsdpCmd.EXPLAIN, asked, dp_ifindex=index)
        ]
        if as_json:
            told.append({"packet": one.hex(), "steps": [document(step, text) for step in steps]})
            continue
        if number:
            click.echo()
        place = f"port {port} ({printable(name)}) of {printable(datapath)}"
        click.echo(f"{len(one)} bytes come in by {place}")
        for line in lines(steps, text, owner):
            click.echo(line)
    if as_json:
        click.echo(json.dumps({"datapath": datapath, "in_port": port, "packets": told}))


def _owner(device: Device, pid: int) -> str:
    """Who has the handle with a PID."""
    try:
        found = ask(device, OVSDP_CONTROL, OvsdpCmd.HANDLE_GET, {HandleAttr.PID: pid}).attributes
    except DatapathError:
        return "nobody any more"  # it was closed in between
    return f"{printable(found[HandleAttr.COMMAND])}[{found[HandleAttr.PROCESS]}]"
