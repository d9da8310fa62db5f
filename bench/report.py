"""Figures as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import ECHO, GETFAMILY, MEMORY_AIM_KIB, P99_AIM, Memory, Transactions


def us(ns: float) -> str:
    """Nanoseconds as microseconds."""
    return f"{ns / 1000:.1f}"


def against(value: float, aim: float | None) -> str:
    """A ratio, its aim beside it, and whether it is met."""
    if aim is None:
        return f"{value:.2f}"
    colour, word = ("green", "met") if value <= aim else ("red", "missed")
    return f"{value:.2f} [{colour}](at most {aim:g}: {word})[/]"


def at_least(value: float, aim: float) -> str:
    """A ratio that is to be high, its aim beside it, and whether it is met."""
    colour, word = ("green", "met") if value >= aim else ("red", "missed")
    return f"{value:.2f} [{colour}](at least {aim:g}: {word})[/]"


def show_transactions(console: Console, kind: str, results: list[Transactions]) -> None:
    """One row per placement and subject, and the ratios behind them."""
    table = Table(title=f"One transaction, {kind} node (us, medians of the rounds)")
    for column in ("placement", "subject"):
        table.add_column(column)
    for column in ("median", "rounds from - to", "p90", "p99", "mean"):
        table.add_column(column, justify="right")
    for result in results:
        for name, subject in result.subjects.items():
            span = f"{us(subject.lowest_median_ns)} - {us(subject.highest_median_ns)}"
            figures = (subject.p90_ns, subject.p99_ns, subject.mean_ns)
            table.add_row(
                result.placement.value, name, us(subject.median_ns), span, *map(us, figures)
            )
        table.add_section()
    console.print(table)
    for result in results:
        console.print(
            f"{result.placement.value}: {against(result.ratio_to(ECHO), result.placement.aim)} "
            f"times the {ECHO}, {result.ratio_to(GETFAMILY):.1f} times {GETFAMILY}; "
            f"p99 {against(result.p99_ratio, P99_AIM)} times the median"
        )


def show_dump(console: Console, figures: dict[str, Any]) -> None:
    """A dump through each door."""
    for door, name in (("ioctl", "WRITE and READ"), ("stream", "write and read")):
        dump = figures[door]
        console.print(
            f"dump of {figures['datapaths']} datapaths in one pass by {name}: "
            f"{dump['median_ns'] / 1e6:.2f} ms, {dump['reads']} reads"
        )


def show_memory(console: Console, memory: Memory) -> None:
    """Resident memory, and what the transactions added."""
    console.print(
        f"resident memory: {against(memory.start_kib / 1024, MEMORY_AIM_KIB / 1024)} MiB at start, "
        f"{memory.warm_kib / 1024:.1f} MiB warm, {memory.end_kib / 1024:.1f} MiB after "
        f"{memory.transactions:,} transactions more: {memory.growth_kib:+d} KiB"
    )
