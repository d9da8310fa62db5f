"""Looking flows up: time by the number of flows and of masks, memory for each flow.

The peer in the same run is one look-up of the same key in a Python dict with as many entries.
"""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Callable, Iterable
from statistics import median
from time import process_time_ns
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Effort
from bench.report import against
from ovsdp_cuse.switch.flow_table import FlowActions, FlowTable
from ovsdp_cuse.switch.key import (
    ETH_DST,
    ETH_SRC,
    ETH_TYPE,
    IN_PORT,
    IP_PROTO,
    IPV4_DST,
    IPV4_SRC,
    MAC_PROTO,
    RECIRC_ID,
    TP_DST,
    TP_SRC,
)

FLOWS = (100, 1_000, 10_000, 100_000, 200_000)
MASKS = (1, 2, 4, 8, 16, 32, 64)
FLOWS_BY_MASK = 6_400
LOOKUPS = 20_000
MEMORY_FLOWS = 10_000
MEMORY_AIM_BYTES = 2048
WIRE_KEY_BYTES = 156
"""OVS_FLOW_ATTR_KEY of a TCP flow of ovs-vswitchd."""

MASK = (
    IN_PORT.ones
    | RECIRC_ID.ones
    | MAC_PROTO.ones
    | ETH_SRC.ones
    | ETH_DST.ones
    | ETH_TYPE.ones
    | IP_PROTO.ones
    | IPV4_SRC.ones
    | IPV4_DST.ones
    | TP_DST.ones
)
"""What a flow of a TCP service looks at; the source port is left out, or a part of it is looked at
to have many masks."""


def connection(number: int) -> int:
    """The key of a packet that only flow `number` matches."""
    return (
        IN_PORT.place(1)
        | MAC_PROTO.place(1)
        | ETH_SRC.place(bytes((2, 0, 0, 0, 0, 1)))
        | ETH_DST.place(bytes((2, 0, 0, 0, 0, 2)))
        | ETH_TYPE.place(0x0800)
        | IP_PROTO.place(6)
        | IPV4_SRC.place((0x0A000000 + number).to_bytes(4, "big"))
        | IPV4_DST.place(bytes((11, 0, 0, 1)))
        | TP_SRC.place(number * 7919 % 65536)
        | TP_DST.place(443)
    )


def mask(number: int) -> int:
    """Mask `number` of up to 65,536: no two are the same."""
    return MASK | TP_SRC.place(number)


def table(flows: int, masks: int = 1) -> FlowTable:
    """A table of so many flows, flow n under mask n % masks."""
    actions = FlowActions((), b"", lambda packet: None)
    made = FlowTable()
    for number in range(flows):
        made.insert(connection(number), mask(number % masks), actions, number.to_bytes(16, "big"))
    return made


def by_lookup_ns(look: Callable[[int], object], keys: list[int]) -> float:
    """Nanoseconds of processor time for one look-up, the loop around it included."""
    start = process_time_ns()
    for key in keys:
        look(key)
    return (process_time_ns() - start) / len(keys)


def compare(made: FlowTable, flows: int, rounds: int) -> dict[str, float]:
    """Medians of rounds that alternate between the flow table and a dict."""
    chosen = random.Random(flows).choices(range(flows), k=LOOKUPS)
    keys = [connection(number) for number in chosen]
    bare = {connection(number): number for number in range(flows)}
    lookup = made.lookup

    def look(key: int) -> object:
        return lookup(key, hash(key))

    if not all(map(look, keys)):
        raise AssertionError("a flow is not found")
    times: dict[str, list[float]] = {"lookup_ns": [], "dict_ns": []}
    for _ in range(rounds):
        times["lookup_ns"].append(by_lookup_ns(look, keys))
        times["dict_ns"].append(by_lookup_ns(bare.get, keys))
    return {name: median(each) for name, each in times.items()}


def memory_bytes() -> int:
    """What one flow of many takes, with what a dump tells of it: its key, its UFID."""
    actions = FlowActions((), b"", lambda packet: None)
    made = FlowTable()
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(MEMORY_FLOWS):
            wire_key = number.to_bytes(WIRE_KEY_BYTES, "big")
            ufid = number.to_bytes(16, "big")
            made.insert(connection(number), MASK, actions, ufid, wire_key, bytes(WIRE_KEY_BYTES))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return used // len(made)


def measure(effort: Effort) -> dict[str, Any]:
    """Look-ups that hit one flow of all at random, by flows and by masks; bytes for each flow."""
    rounds = effort.rounds

    def rows(shapes: Iterable[tuple[int, int]]) -> list[dict[str, float]]:
        return [
            {"flows": flows, "masks": masks, **compare(table(flows, masks), flows, rounds)}
            for flows, masks in shapes
        ]

    return {
        "by_flows": rows((flows, 1) for flows in FLOWS),
        "by_masks": rows((FLOWS_BY_MASK, masks) for masks in MASKS),
        "bytes_per_flow": memory_bytes(),
    }


def show(console: Console, figures: dict[str, Any]) -> None:
    """A row for each size of table."""
    shown = Table(title="One look-up that hits (ns, medians of the rounds)")
    for column in ("flows", "masks", "flow table", "a bare dict", "ratio"):
        shown.add_column(column, justify="right")
    for rows in (figures["by_flows"], figures["by_masks"]):
        for row in rows:
            took, bare = row["lookup_ns"], row["dict_ns"]
            counts = f"{row['flows']:,}", f"{row['masks']}"
            shown.add_row(*counts, f"{took:.0f}", f"{bare:.0f}", f"{took / bare:.1f}")
        shown.add_section()
    console.print(shown)
    used = against(figures["bytes_per_flow"] / 1024, MEMORY_AIM_BYTES / 1024)
    console.print(f"memory for each flow: {used} KiB, with the key and UFID that a dump tells")
