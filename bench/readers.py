"""How long a request waits while somebody reads all flows as a file, beside when nobody does.

Rounds alternate. In each, a client asks for a datapath again and again, for as long as `cat` takes
for the file of 100,000 flows, and for as long again without it; what counts is the longest wait.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic_ns
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import DATAPATH, Effort
from bench.programs import BenchError
from bench.servers import NodeKind, daemon
from ovsdp_cuse.client import Device
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.datapath import DATAPATH as DATAPATHS
from ovsdp_cuse.wire.datapath import DpAttr, DpCmd
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KeyAttr

FLOWS = 100_000
ALONE = "nobody reads"
READ = "somebody reads"
SOURCE = b"\2\1\0\0\0\0"


def measure(directory: Path, kind: NodeKind, effort: Effort) -> dict[str, Any]:
    """By subject {"longest_ns": [...], "median_ns": [...]}, a number for each round; and "file"."""
    state = directory / "state"
    figures: dict[str, Any] = {name: {"longest_ns": [], "median_ns": []} for name in (ALONE, READ)}
    with (
        daemon(kind, directory, role="readers", state=str(state)) as server,
        Device(server.node) as device,
    ):
        _put_flows(device)
        path = state / "datapaths" / DATAPATH / "flows"
        file = {"bytes": len(path.read_bytes()), "before_kib": server.resident_kib}
        took_ns = [_round(device, path, figures) for _ in range(effort.rounds)]
        figures["file"] = file | {"read_ns": took_ns, "after_kib": server.resident_kib}
    return figures


def _round(device: Device, path: Path, figures: dict[str, Any]) -> int:
    """Note how long requests wait while a file is read, and without; how long that took, in ns."""
    begun = monotonic_ns()
    with subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL) as cat:
        _note(figures[READ], device, lambda: cat.poll() is None)
    if cat.returncode:
        raise BenchError(f"cat {path} ended with {cat.returncode}")
    ended = monotonic_ns()
    took_ns = ended - begun
    _note(figures[ALONE], device, lambda: monotonic_ns() < ended + took_ns)
    return took_ns


def _put_flows(device: Device) -> None:
    made = device.transact(DATAPATHS, DpCmd.NEW, {DpAttr.NAME: DATAPATH, DpAttr.UPCALL_PID: (0,)})
    if made is None:
        raise BenchError("a new datapath was not told of")
    for number in range(FLOWS):
        key = (
            pack_attribute(KeyAttr.IN_PORT, struct.pack("=I", 1))
            + pack_attribute(KeyAttr.ETHERNET, SOURCE + b"\2\0" + number.to_bytes(4))
            + pack_attribute(KeyAttr.ETHERTYPE, struct.pack("!H", 0x9999))
        )
        put = {FlowAttr.KEY: key, FlowAttr.ACTIONS: b""}
        device.transact(FLOW, FlowCmd.NEW, put, dp_ifindex=made.dp_ifindex)


def _note(figures: dict[str, list[float]], device: Device, goes_on: Callable[[], bool]) -> None:
    """Ask for as long as it goes on, and note the median and the longest wait in nanoseconds."""
    waits = []
    while goes_on():
        before = monotonic_ns()
        device.transact(DATAPATHS, DpCmd.GET, {DpAttr.NAME: DATAPATH})
        waits.append(monotonic_ns() - before)
    figures["longest_ns"].append(max(waits))
    figures["median_ns"].append(median(waits))


def show(console: Console, figures: dict[str, Any]) -> None:
    """The waits of the rounds, and how long the file took."""
    table = Table(title=f"A request while a file of {FLOWS:,} flows is read (ms)")
    table.add_column("subject")
    for column in ("median", "longest, median of rounds", "best", "worst"):
        table.add_column(column, justify="right")
    for name in (ALONE, READ):
        longest = figures[name]["longest_ns"]
        each = (median(figures[name]["median_ns"]), median(longest), min(longest), max(longest))
        table.add_row(name, *(f"{wait / 1e6:.2f}" for wait in each))
    console.print(table)
    file = figures["file"]
    grown = file["after_kib"] - file["before_kib"]
    console.print(
        f"The file has {file['bytes'] / 1e6:.0f} MB and takes {median(file['read_ns']) / 1e9:.1f} s"
        f" beside that client; the daemon has {grown:,} KiB more after {len(file['read_ns'])} times"
    )
