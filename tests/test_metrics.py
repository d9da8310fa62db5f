"""Metrics: what is asked, and the text that Prometheus reads, held to its library's own parser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from errno import EIO, ENODEV
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.metrics import METRICS, OfDatapath, Question, Snapshot, questions, render
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DpAttr, DpStats, MegaflowStats
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.meter import BANDS, BandAttr, MeterAttr, MeterStats
from ovsdp_cuse.wire.ovsdp_control import OvsdpCmd
from ovsdp_cuse.wire.state import DropAttr, DropsAttr, HandleAttr, InfoAttr
from ovsdp_cuse.wire.vport import VportAttr, VportStats, VportUpcallAttr

INFO: Attributes = {
    InfoAttr.VERSION: "1.2.3",
    InfoAttr.NODE: "fuse",
    InfoAttr.PATH: "/dev/ovs-datapath",
    InfoAttr.UPTIME_MS: 12_500,
    InfoAttr.INTERFACES: "host",
    InfoAttr.HANDLE_LIMIT: 512,
    InfoAttr.HANDLES: 1,
    InfoAttr.DATAPATHS: 1,
    InfoAttr.LOST_UPCALLS: 3,
}


def handle(command: str) -> Attributes:
    """A handle, every number of which is another."""
    counted = (n for n in HandleAttr if n >= HandleAttr.QUEUE_LIMIT and n != HandleAttr.DUMP)
    return {
        HandleAttr.PID: 7,
        HandleAttr.PROCESS: 4321,
        HandleAttr.COMMAND: command,
        **{int(number): 100 + number for number in counted},
        HandleAttr.CONGESTED: True,
    }


DATAPATH: Attributes = {
    DpAttr.NAME: "br0",
    DpAttr.STATS: DpStats(1, 2, 3, 4),
    DpAttr.MEGAFLOW_STATS: MegaflowStats(5, 6, 0, 7, 0),
    DpAttr.MASKS_CACHE_SIZE: 256,
}
DROPS: Attributes = {
    DropsAttr.NAME: "br0",
    DropsAttr.REASONS: {
        1: {DropAttr.REASON: "meter", DropAttr.PACKETS: 0},
        2: {DropAttr.REASON: "longer than the MTU", DropAttr.PACKETS: 8},
    },
}
PORT: Attributes = {
    VportAttr.NAME: "eth0",
    VportAttr.STATS: VportStats(11, 12, 13, 14, 15, 16, 17, 18),
    VportAttr.UPCALL_STATS: {VportUpcallAttr.SUCCESS: 21, VportUpcallAttr.FAIL: 22},
}
METER: Attributes = {
    MeterAttr.ID: 9,
    MeterAttr.STATS: MeterStats(31, 32),
    MeterAttr.BANDS: BANDS.encode({0: {BandAttr.STATS: MeterStats(33, 34)}}),
}


def snapshot(command: str = "ovs-vswitchd", name: str = "br0") -> Snapshot:
    datapath = {**DATAPATH, DpAttr.NAME: name}
    return Snapshot(
        INFO,
        [handle(command)],
        [datapath],
        [{**DROPS, DropsAttr.NAME: name}],
        [OfDatapath(name, PORT)],
        [OfDatapath(name, METER)],
    )


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) -> value, as Prometheus' library reads it."""
    found = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    assert len(dict(found)) == len(found), "a sample is there twice"
    return dict(found)


def test_every_line() -> None:
    labels = 'pid="7",process="4321",command="ovs-vswitchd"'
    lines = b"".join(render(snapshot())).decode().splitlines()
    for line in (
        'ovsdp_info{interfaces="host",node="fuse",path="/dev/ovs-datapath",version="1.2.3"} 1.0',
        "ovsdp_uptime_seconds 12.5",
        "ovsdp_handles 1.0",
        "ovsdp_lost_upcalls_total 3.0",
        f"ovsdp_handle_requests_total{{{labels}}} {100 + HandleAttr.REQUESTS}.0",
        f"ovsdp_handle_dropped_total{{{labels}}} {100 + HandleAttr.DROPPED}.0",
        f"ovsdp_handle_queue_bytes{{{labels}}} {100 + HandleAttr.QUEUE_BYTES}.0",
        f"ovsdp_handle_congested{{{labels}}} 1.0",
        f'ovsdp_handle_queued{{{labels},kind="packet"}} {100 + HandleAttr.QUEUED_PACKETS}.0',
        'ovsdp_datapath_hits_total{datapath="br0"} 1.0',
        'ovsdp_datapath_misses_total{datapath="br0"} 2.0',
        'ovsdp_datapath_lost_total{datapath="br0"} 3.0',
        'ovsdp_datapath_flows{datapath="br0"} 4.0',
        'ovsdp_datapath_mask_lookups_total{datapath="br0"} 5.0',
        'ovsdp_datapath_masks{datapath="br0"} 6.0',
        'ovsdp_datapath_cache_hits_total{datapath="br0"} 7.0',
        'ovsdp_datapath_drops_total{datapath="br0",reason="longer than the MTU"} 8.0',
        'ovsdp_datapath_drops_total{datapath="br0",reason="meter"} 0.0',
        'ovsdp_port_receive_packets_total{datapath="br0",port="eth0"} 11.0',
        'ovsdp_port_transmit_bytes_total{datapath="br0",port="eth0"} 14.0',
        'ovsdp_port_transmit_drops_total{datapath="br0",port="eth0"} 18.0',
        'ovsdp_port_upcalls_total{datapath="br0",port="eth0",result="fail"} 22.0',
        'ovsdp_meter_packets_total{datapath="br0",meter="9"} 31.0',
        'ovsdp_meter_band_bytes_total{band="0",datapath="br0",meter="9"} 34.0',
    ):
        name, _, value = line.rpartition(" ")
        wanted = samples(f"{line}\n")
        assert wanted.items() <= samples("\n".join(lines) + "\n").items(), (name, value)


def test_each_metric_has_help_and_type_once_and_before_its_samples() -> None:
    lines = b"".join(render(snapshot())).decode().splitlines()
    seen: dict[str, str] = {}
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in seen
            seen[name] = kind
        elif not line.startswith("# HELP "):
            (name,) = re.findall(r"^\w+", line)
            assert name == list(seen)[-1]
    assert seen.pop("ovsdp_info") == "gauge"
    assert seen == {
        metric.name + "_total" * metric.is_counter: "counter" if metric.is_counter else "gauge"
        for metric in METRICS
    }
    helped = [line.split(" ", 3)[2] for line in lines if line.startswith("# HELP ")]
    assert helped == ["ovsdp_info", *seen]


def test_names_follow_the_rules() -> None:
    """https://prometheus.io/docs/practices/naming/: one prefix, base units, no unit twice."""
    for metric in METRICS:
        assert re.fullmatch(r"ovsdp_[a-z]+(_[a-z]+)*", metric.name)
        assert not metric.name.endswith(("_total", "_ms", "_count"))
        assert metric.help.endswith(".")
        assert len(set(metric.labels)) == len(metric.labels)


def test_a_daemon_with_nothing() -> None:
    text = b"".join(render(Snapshot(INFO))).decode()
    assert {name for name, _labels in samples(text)} == {
        "ovsdp_info",
        *(m.name + "_total" * m.is_counter for m in METRICS if not m.labels),
    }


@given(st.text(max_size=20), st.binary(max_size=15))
def test_names_that_others_choose_are_escaped(command: str, name: bytes) -> None:
    """Whatever a process or an interface is called, the text is read back, line by line."""
    text = b"".join(render(snapshot(command, name.decode("utf-8", "surrogateescape"))))
    assert len(text.splitlines()) == len(b"".join(render(snapshot())).splitlines())
    assert all(c.isprintable() or c == "\n" for c in text.decode())
    values = samples(text.decode())
    assert sum(number for (found, _), number in values.items() if found == "ovsdp_handles") == 1
    (labels,) = (dict(labels) for found, labels in values if found == "ovsdp_handle_errors_total")
    if command.isprintable():
        assert labels["command"] == command


def answer(question: Question) -> list[Message]:
    """What a device with one datapath says."""
    schema, command, dp_ifindex, _is_dump = question
    told = {
        ("ovsdp_control", OvsdpCmd.INFO_GET): INFO,
        ("ovsdp_control", OvsdpCmd.HANDLE_GET): handle("x"),
        ("ovsdp_control", OvsdpCmd.DROPS_GET): DROPS,
        ("ovsdp_control", OvsdpCmd.METER_GET): METER,
        ("ovs_datapath", 3): DATAPATH,
        ("ovs_vport", 3): PORT,
    }[schema.name, command]
    return [Message(schema.id, command, told, dp_ifindex or 5)]


def take(ask: Callable[[Question], list[Message]]) -> tuple[list[Question], Snapshot]:
    """Let `ask` answer the questions; what it raises is thrown in."""
    asked: list[Question] = []
    asking = questions()
    step: Callable[[], Question] = asking.__next__
    while True:
        try:
            asked.append(question := step())
        except StopIteration as done:
            return asked, done.value
        try:
            messages = ask(question)
        except DatapathError as error:
            step = partial(asking.throw, error)
        else:
            step = partial(asking.send, messages)


def test_what_is_asked() -> None:
    asked, found = take(answer)
    assert [(q.family.name, q.command, q.dp_ifindex, q.is_dump) for q in asked] == [
        ("ovsdp_control", OvsdpCmd.INFO_GET, 0, False),
        ("ovsdp_control", OvsdpCmd.HANDLE_GET, 0, True),
        ("ovsdp_control", OvsdpCmd.DROPS_GET, 0, True),
        ("ovs_datapath", 3, 0, True),
        ("ovs_vport", 3, 5, True),
        ("ovsdp_control", OvsdpCmd.METER_GET, 5, True),
    ]
    assert found == snapshot("x")


def failing(errno: int) -> Callable[[Question], list[Message]]:
    def ask(question: Question) -> list[Message]:
        if question.dp_ifindex:
            raise DatapathError(errno, "asked for")
        return answer(question)

    return ask


def test_a_datapath_that_goes_meanwhile_has_no_ports() -> None:
    asked, found = take(failing(ENODEV))
    assert len(asked) == 6
    assert (found.ports, found.meters, len(found.datapaths)) == ([], [], 1)
    assert b"".join(render(found)).count(b"ovsdp_port_receive_bytes_total{") == 0


def test_another_error_is_told() -> None:
    with pytest.raises(DatapathError, match="asked for"):
        take(failing(EIO))


def test_the_library_is_loaded_by_who_renders() -> None:
    """And its global registry, which tells of this process and its collector, is left alone."""
    script = (
        "import sys, ovsdp_cuse.metrics as m\n"
        "assert 'prometheus_client' not in sys.modules\n"
        "info = {n: 0 for n in m.InfoAttr} | {n: '' for n in (1, 2, 3, 9)}\n"
        "text = b''.join(m.render(m.Snapshot(info)))\n"
        "assert 'prometheus_client' in sys.modules\n"
        "assert b'python_' not in text and b'process_' not in text, text\n"
    )
    done: Any = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def table() -> str:
    """The table of docs/metrics.md."""
    rows = [
        (
            f"`{metric.name}{'_total' * metric.is_counter}`",
            "counter" if metric.is_counter else "gauge",
            ", ".join(metric.labels),
            metric.help.rstrip("."),
        )
        for metric in METRICS
    ]
    lines = [("metric", "type", "labels", "what"), ("---",) * 4, *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def test_the_page_has_every_metric() -> None:
    page = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
    assert f"<!-- metrics -->\n\n{table()}\n<!-- end -->" in page
