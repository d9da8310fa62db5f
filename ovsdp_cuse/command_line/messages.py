"""`monitor` and `send`: the messages themselves, decoded."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from ovsdp_cuse.client import Device, EventsLost
from ovsdp_cuse.client.ioctl import OVS_IOCTL_MAX_LENGTH
from ovsdp_cuse.command_line import documents
from ovsdp_cuse.command_line.options import talks_to_device
from ovsdp_cuse.command_line.registry import load_registry
from ovsdp_cuse.families.describe import Line, describe
from ovsdp_cuse.families.registry import DeviceOperation, Registry
from ovsdp_cuse.families.trace import has_colours
from ovsdp_cuse.wire.trace import TRACE_GROUP


@click.command()
@click.argument("groups", metavar="[GROUP]...", nargs=-1)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@talks_to_device(read_only=True)
def monitor(device: Device, as_json: bool, groups: tuple[str, ...], count: int | None) -> None:
    """Follow events, a line for each, until Ctrl-C.

    An event is what a multicast group is told. A GROUP is a name or a number, as `info` lists
    them; without one, all are followed but that of `trace`. Upcalls for the PID of this handle,
    which standard error tells, are followed too: give it to dp-add or port-add as --upcall-pid.
    Where events came too fast and were lost, standard error says so.

    With --json a line is one message, as `send` shows it.
    """
    registry = load_registry()
    wanted = [int(group) if group.isdecimal() else group for group in groups]
    device.subscribe(*(wanted or _all_groups(device)))
    what = ", ".join(groups) or "all groups"
    click.echo(f"following {what}, and upcalls for PID {device.pid}; end it with Ctrl-C", err=True)
    try:
        for number, event in enumerate(_events(device), 1):
            if as_json:
                for document in documents.messages(registry, event):
                    click.echo(json.dumps(document))
            else:
                _show(describe(registry, event), "yellow")
            sys.stdout.flush()
            if number == count:
                return
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Whoever read this has seen enough. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _all_groups(device: Device) -> list[int]:
    groups = {group for family in device.families() for group in family.groups.values()}
    return sorted(groups - {TRACE_GROUP})


def _events(device: Device) -> Iterator[bytes]:
    """The datagrams that come, for ever."""
    while True:
        try:
            datagram = device.receive()
        except EventsLost as error:
            click.echo(str(error), err=True)
            continue
        if datagram is not None:
            yield datagram


def _bytes(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> bytes:
    """Hexadecimal digits, with or without spaces and colons."""
    try:
        data = bytes.fromhex(" ".join(value).replace(":", " "))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not data:
        raise click.BadParameter("there is nothing to send")
    return data


@click.command()
@click.argument("data", metavar="HEX...", nargs=-1, required=True, callback=_bytes)
@click.option(
    "--door",
    type=click.Choice(("device", "stream")),
    default="device",
    show_default=True,
    help="device: by ioctl. stream: by write and read.",
)
@click.option(
    "--operation",
    type=click.Choice(("transact", "write")),
    default="transact",
    show_default=True,
    help="The ioctl, for the device door.",
)
@talks_to_device()
def send(device: Device, as_json: bool, data: bytes, door: str, operation: str) -> None:
    """Send bytes as they are, and show every answer decoded.

    HEX is hexadecimal; spaces and colons do not matter. An ioctl that writes is followed by READs,
    for what a dump has to give. The bytes are a message: nlmsghdr (16 bytes), genlmsghdr (4),
    struct ovs_header (4), attributes, in the byte order of this machine.

    \b
    All datapaths:
      ovsdp-cuse send 18000000 1200 0103 01000000 00000000 03 02 0000 00000000

    \b
    With --json: {"request": DATAGRAM, "answers": [DATAGRAM, ...]}, where a DATAGRAM is
      {"hex": "0011...", "messages": [MESSAGE, ...]}, a MESSAGE of a family
      {"family": "ovs_datapath", "command": "OVS_DP_CMD_GET", "flags": 2, "sequence": 1,
       "pid": 7, "dp_ifindex": 1, "attributes": {"NAME": "dp0", ...}},
    and another one
      {"type": "NLMSG_ERROR" or "NLMSG_DONE", "errno": "EEXIST" or "0", "message": TEXT or null,
       "offset": BYTE or null, "flags": 0, "sequence": 1, "pid": 7}
    or, where it cannot be decoded, {"hex": "0011..."}.
    """
    registry = load_registry()
    if door == "device" and len(data) > OVS_IOCTL_MAX_LENGTH:
        raise click.UsageError(
            f"an ioctl carries at most {OVS_IOCTL_MAX_LENGTH} bytes: use --door stream"
        )
    device_operation = DeviceOperation[operation.upper()] if door == "device" else None
    if not as_json:
        _show(describe(registry, data, device_operation), "cyan", "> ")
    answers = list(_exchange(device, data, device_operation))
    if as_json:
        document = {
            "request": _datagram(registry, data),
            "answers": [_datagram(registry, answer) for answer in answers],
        }
        click.echo(json.dumps(document))
        return
    for answer in answers:
        _show(describe(registry, answer, None, data), "green", "< ")
    if not answers:
        click.echo("no answer")


def _exchange(device: Device, data: bytes, operation: DeviceOperation | None) -> Iterator[bytes]:
    """Send a request; the datagrams that answer it."""
    if operation is None:
        device.send(data)
        while (datagram := device.receive(timeout=0)) is not None:
            yield datagram
        return
    if operation is DeviceOperation.TRANSACT:
        reply = device.ioctl_transact(data)
        if reply:
            yield reply
    else:
        device.ioctl_write(data)
    while part := device.ioctl_read():
        yield part


def _datagram(registry: Registry, data: bytes) -> dict[str, Any]:
    return {"hex": data.hex(), "messages": documents.messages(registry, data)}


def _show(lines: Iterable[Line], colour: str, prefix: str = "") -> None:
    for line in lines:
        text = prefix + line.text
        if has_colours(sys.stdout):
            text = click.style(text, "red" if line.is_error else colour)
        click.echo(text)
