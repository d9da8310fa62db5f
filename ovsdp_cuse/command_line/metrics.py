"""`metrics`: what the device counts, for Prometheus."""

from __future__ import annotations

import functools
import json
from typing import Any

import click

from ovsdp_cuse.client import DatapathError, Device
from ovsdp_cuse.command_line.options import talks_to_device
from ovsdp_cuse.command_line.requests import ask
from ovsdp_cuse.metrics import Question, Snapshot, questions, render
from ovsdp_cuse.wire.family import Message


@click.command()
@talks_to_device(read_only=True)
def metrics(device: Device, as_json: bool) -> None:
    """Print what the daemon, handles, datapaths, ports and meters count, for Prometheus.

    That is its text format, as node_exporter's textfile collector reads it from a file *.prom.

    \b
    With --json:
      {"metrics": [{"name": "ovsdp_datapath_hits_total", "type": "counter", "help": TEXT,
        "samples": [{"labels": {"datapath": "dp0"}, "value": 0}]}]}
    """
    text = b"".join(render(take(device))).decode()
    click.echo(json.dumps({"metrics": _documents(text)}) if as_json else text, nl=as_json)


def take(device: Device) -> Snapshot:
    """What metrics are made of, as it is now; DatapathError where the device refuses to tell."""
    asking = questions()
    step = functools.partial(next, asking)
    while True:
        try:
            question = step()
        except StopIteration as done:
            snapshot: Snapshot = done.value
            return snapshot
        try:
            step = functools.partial(asking.send, _answer(device, question))
        except DatapathError as error:
            step = functools.partial(asking.throw, error)


def _answer(device: Device, question: Question) -> list[Message]:
    family, command, dp_ifindex, is_dump = question
    if is_dump:
        return list(device.dump(family, command, dp_ifindex=dp_ifindex))
    return [ask(device, family, command, {}, dp_ifindex)]


def _documents(text: str) -> list[dict[str, Any]]:
    """The metrics of a text, as the library reads it."""
    from prometheus_client.parser import text_string_to_metric_families

    return [
        {
            "name": found.samples[0].name if found.samples else found.name,
            "type": found.type,
            "help": found.documentation,
            "samples": [
                {"labels": sample.labels, "value": sample.value} for sample in found.samples
            ],
        }
        for found in text_string_to_metric_families(text)
    ]
