"""Traces as a person reads them."""

from __future__ import annotations

from errno import ENOBUFS
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.trace_text import HANDLES_KEPT, Colour, TraceText, duration
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd
from ovsdp_cuse.wire.trace import TraceKind, TraceRecord
from tests.families.doors import build

REGISTRY = Registry(BUILT_IN)
STATS = (1, 2, 3, 4)


def record(kind: TraceKind, message: bytes = b"", **more: Any) -> TraceRecord:
    """What happened on handle 3 of a process "p" with the number 9."""
    made = TraceRecord(kind, 0, 3, 9, "p", message=message, length=len(message))
    for name, value in more.items():
        setattr(made, name, value)
    return made


def text(made: TraceRecord, verbose: bool = False) -> list[str]:
    return [line.text for line in TraceText(REGISTRY, verbose).lines(made)]


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0us"),
        (1499, "1us"),
        (999_499, "999us"),
        (999_500, "1.00ms"),
        (1_234_000, "1.23ms"),
        (12_340_000, "12.3ms"),
        (123_400_000, "123ms"),
        (999_500_000, "1.00s"),
        (60_000_000_000, "60.0s"),
        (600_000_000_000, "600s"),
    ],
)
def test_durations(nanoseconds: int, shown: str) -> None:
    assert duration(nanoseconds) == shown


def test_what_nobody_asked_for() -> None:
    message = build(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "d"})
    assert text(record(TraceKind.NOTIFICATION, message)) == [
        '3 p[9] < notification ovs_datapath OVS_DP_CMD_NEW REQUEST seq=7 dp_ifindex=0 {NAME="d"}'
    ]
    upcall = build(PACKET, PacketCmd.MISS, {PacketAttr.PACKET: b"\1" * 14})
    assert text(record(TraceKind.UPCALL, upcall)) == [
        "3 p[9] < upcall ovs_packet OVS_PACKET_CMD_MISS REQUEST seq=7 dp_ifindex=0 "
        f"{{PACKET={'01' * 14}}}"
    ]


def test_what_was_lost() -> None:
    lost: dict[str, Any] = {"errno": ENOBUFS, "text": "upcall"}
    assert text(record(TraceKind.LOST, **lost)) == ["3 p[9] ! lost upcall"]
    upcall = build(PACKET, PacketCmd.MISS, {PacketAttr.PACKET: b"\1" * 14})
    (line,) = TraceText(REGISTRY).lines(record(TraceKind.LOST, upcall, **lost))
    assert line.text.startswith("3 p[9] ! lost upcall ovs_packet OVS_PACKET_CMD_MISS ")
    assert line.colour is Colour.RED


def test_what_a_fault_has_done() -> None:
    refused = record(TraceKind.REFUSED, operation="WRITE", errno=5, latency_ns=2000, fault=4)
    assert text(refused) == ["3 p[9] ! WRITE 2us EIO: Input/output error [fault 4]"]
    handled = record(TraceKind.HANDLED, latency_ns=5_000_000, fault=4)
    assert text(handled) == ["3 p[9] < 5.00ms done [fault 4]"]


def test_a_tree() -> None:
    attributes = {DpAttr.NAME: "d", DpAttr.STATS: STATS, DpAttr.UPCALL_PID: (1, 2)}
    message = build(DATAPATH, DpCmd.NEW, attributes)
    assert text(record(TraceKind.REPLY, message, latency_ns=1000), verbose=True) == [
        "3 p[9] < 1us ovs_datapath OVS_DP_CMD_NEW REQUEST seq=7 dp_ifindex=0",
        '    NAME: "d"',
        "    STATS:",
        "        hit: 1",
        "        missed: 2",
        "        lost: 3",
        "        flows: 4",
        "    UPCALL_PID: [1, 2]",
    ]


def test_a_message_that_was_cut() -> None:
    message = build(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "d" * 12})
    cut = record(TraceKind.REQUEST, message[:30], length=len(message), operation="STREAM")
    (line,) = TraceText(REGISTRY).lines(cut)
    assert line.text.endswith(f" (the first 30 of {len(message)} bytes)")
    assert line.colour is Colour.CYAN


def test_what_is_remembered_is_bounded() -> None:
    lines = TraceText(REGISTRY)
    for pid in range(1, HANDLES_KEPT + 10):
        lines.lines(record(TraceKind.REQUEST, b"x", pid=pid, operation="WRITE"))
    assert len(lines._requests) == HANDLES_KEPT
    lines.lines(record(TraceKind.CLOSED, pid=HANDLES_KEPT))
    assert len(lines._requests) == HANDLES_KEPT - 1


@given(
    st.binary(max_size=100),
    st.sampled_from(TraceKind),
    st.sampled_from(["TRANSACT", "WRITE", "STREAM", "ioctl", "?"]),
    st.text(),
    st.booleans(),
)
def test_any_bytes_are_lines(
    data: bytes, kind: TraceKind, operation: str, message: str, verbose: bool
) -> None:
    made = record(
        kind, data, operation=operation, errno=22, text=message, path=(1, 2), command=message
    )
    for line in TraceText(REGISTRY, verbose).lines(made):
        assert line.text.isprintable()
        assert line.text.startswith(("3 ", "    "))
