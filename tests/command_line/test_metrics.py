"""metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from errno import ENODEV
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ovsdp_cuse.client import Device
from ovsdp_cuse.command_line.metrics import take
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.metrics import METRICS
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.vport import VPORT
from tests.command_line.conftest import Run
from tests.families.doors import Daemon


def test_the_text(daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    run("port-add", "dp0", "p1", "--type", "internal")
    (datapath,) = daemon.context.switch
    datapath.drops[DropReason.METER] = 5
    text = run("metrics").stdout
    found = {metric.name for metric in text_string_to_metric_families(text)}
    assert {metric.name for metric in METRICS} <= found
    lines = text.splitlines()
    assert 'ovsdp_datapath_drops_total{datapath="dp0",reason="meter"} 5.0' in lines
    assert 'ovsdp_port_receive_packets_total{datapath="dp0",port="p1"} 0.0' in lines
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_the_same_as_json(daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    metrics = json.loads(run("metrics", "--json").stdout)["metrics"]
    (hits,) = (metric for metric in metrics if metric["name"] == "ovsdp_datapath_hits_total")
    assert hits == {
        "name": "ovsdp_datapath_hits_total",
        "type": "counter",
        "help": "Packets that matched a flow.",
        "samples": [{"labels": {"datapath": "dp0"}, "value": 0.0}],
    }


def test_a_datapath_that_goes_while_it_is_asked(
    daemon: Daemon, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("dp-add", "dp0")
    with Device(read_only=True) as device:
        dump = device.dump

        def gone(family: FamilySchema, *arguments: Any, **header: Any) -> Iterator[Message]:
            if family is VPORT:
                raise DatapathError(ENODEV, "gone")
            return dump(family, *arguments, **header)

        monkeypatch.setattr(device, "dump", gone)
        snapshot = take(device)
    assert len(snapshot.datapaths) == 1
    assert snapshot.ports == []
