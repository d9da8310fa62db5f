"""Traces of a real node: what others do, how long it took, and who traces."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from errno import EEXIST, ENODEV, EPERM
from itertools import pairwise
from pathlib import Path

import pytest

from ovsdp_cuse.client import DatapathError, Device, EventsLost
from ovsdp_cuse.client.trace import TraceFilter, traces
from ovsdp_cuse.wire.action_attributes import ActionAttr, UserspaceAttr
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd
from ovsdp_cuse.wire.state import HandleAttr
from ovsdp_cuse.wire.trace import TRACE_GROUP, TraceKind, TraceRecord
from tests.live.programs import next_line, started
from tests.nodes.calls import wait_until
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S

pytest_plugins = ("tests.live.devices",)

FRAME = bytes.fromhex("0200000000020200000000019999") + b"what is in a frame!"
DATAPATH_GROUP = 102
ASKED = [TraceKind.REQUEST, TraceKind.REPLY]
DONE = [TraceKind.REQUEST, TraceKind.HANDLED]


def make(device: Device, name: str) -> int:
    """Make a datapath; its index."""
    made = device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)})
    assert made is not None
    return made.dp_ifindex


@pytest.fixture
def datapath(device_path: Path) -> Iterator[tuple[str, int]]:
    """The name and index of a datapath."""
    with Device(device_path) as device:
        yield "traced0", make(device, "traced0")
        device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "traced0"})


def take(told: Iterator[TraceRecord], pid: int) -> list[TraceRecord]:
    """What is told of a handle until it is closed."""
    records = []
    for record in told:
        if record.pid == pid:
            records.append(record)
            if record.kind is TraceKind.CLOSED:
                return records
    raise TimeoutError(f"the handle was not closed: {records}")


def execute(device: Device, index: int, pid: int) -> None:
    """Send a packet to who has a PID."""
    userspace = pack_attribute(UserspaceAttr.PID, pid.to_bytes(4, sys.byteorder))
    attributes = {
        PacketAttr.PACKET: FRAME,
        PacketAttr.KEY: pack_attribute(KeyAttr.IN_PORT, bytes(4)),
        PacketAttr.ACTIONS: pack_attribute(ActionAttr.USERSPACE, userspace),
    }
    device.transact(PACKET, PacketCmd.EXECUTE, attributes, dp_ifindex=index)


def request(command: int, name: str) -> bytes:
    """A request for ovs_datapath, as bytes."""
    return DATAPATH.build(
        Message(DATAPATH.id, command, {int(DpAttr.NAME): name}, flags=1, sequence=77, version=2)
    )


def test_what_crosses_the_device(device_path: Path, datapath: tuple[str, int]) -> None:
    """Requests and replies by either door, dumps, errors, notifications, upcalls, refusals."""
    name, index = datapath
    with Device(device_path) as tracer:
        told = traces(tracer, timeout=DEADLINE_S)
        began_ns = time.monotonic_ns()
        with Device(device_path) as client:
            pid = client.pid
            client.subscribe(DATAPATH_GROUP)
            client.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: name})
            client.send(request(DpCmd.GET, name))
            client.receive(DEADLINE_S)
            list(client.dump(DATAPATH, DpCmd.GET))
            with pytest.raises(DatapathError):
                make(client, name)
            with pytest.raises(DatapathError):
                client.ioctl_write(request(DpCmd.DEL, "no-such"))
            make(client, "traced1")
            client.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "traced1"})
            execute(client, index, pid)
        elapsed_ns = time.monotonic_ns() - began_ns
        records = take(told, pid)
    told_of_change = [TraceKind.REQUEST, TraceKind.NOTIFICATION, TraceKind.REPLY]
    assert [record.kind for record in records] == [
        TraceKind.OPENED,
        TraceKind.PID_TOLD,
        *DONE,  # joining the group
        *ASKED,
        *ASKED,
        *(TraceKind.REQUEST, TraceKind.REPLY, TraceKind.REPLY),
        *ASKED,
        *(TraceKind.REQUEST, TraceKind.REFUSED),
        *told_of_change,
        *told_of_change,
        *(TraceKind.REQUEST, TraceKind.UPCALL, TraceKind.HANDLED),
        TraceKind.CLOSED,
    ]
    operations = [r.operation for r in records if r.kind is TraceKind.REQUEST]
    assert operations == ["WRITE", "TRANSACT", "STREAM", "WRITE", *["TRANSACT"] * 1,
                          "WRITE", *["TRANSACT"] * 3]  # fmt: skip
    assert [r.errno for r in records if r.errno] == [EEXIST, ENODEV]
    answers = [r for r in records if r.kind in (*ASKED[1:], TraceKind.REFUSED, TraceKind.HANDLED)]
    assert len(answers) == 10
    latencies = [record.latency_ns for record in answers]
    assert all(latency is not None and latency > 0 for latency in latencies)
    assert sum(latency or 0 for latency in latencies) < elapsed_ns
    assert all(earlier.time_ns <= later.time_ns for earlier, later in pairwise(records))
    upcall = next(record for record in records if record.kind is TraceKind.UPCALL)
    assert FRAME in upcall.message


def test_two_tracers_with_filters_of_their_own(
    device_path: Path, datapath: tuple[str, int]
) -> None:
    name, _index = datapath
    with (
        Device(device_path) as first,
        Device(device_path) as second,
        Device(device_path) as client,
        Device(device_path) as other,
    ):
        errors = traces(first, TraceFilter(errors=True, pid=client.pid), timeout=DEADLINE_S)
        gets = traces(
            second,
            TraceFilter(command="OVS_DP_CMD_GET", process=os.getpid(), slower_ns=0),
            timeout=DEADLINE_S,
        )
        with pytest.raises(DatapathError):
            make(client, name)
        with pytest.raises(DatapathError):
            make(other, name)
        client.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: name})
        other.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: name})
        failed = [next(errors), next(errors)]
        assert [(record.kind, record.pid) for record in failed] == [
            (kind, client.pid) for kind in ASKED
        ]
        assert failed[1].errno == EEXIST
        found = [next(gets) for _ in range(4)]
        assert [record.kind for record in found] == ASKED * 2
        assert [record.pid for record in found] == [client.pid] * 2 + [other.pid] * 2


def test_who_may_only_read_may_not_trace(device_path: Path) -> None:
    with Device(device_path, read_only=True) as device:
        with pytest.raises(DatapathError) as caught:
            traces(device)
        assert caught.value.errno == EPERM
        assert device.family("ovsdp_control").groups == {"ovsdp_trace": TRACE_GROUP}


def test_a_slow_tracer_loses_traces_and_holds_up_nobody(
    device_path: Path, datapath: tuple[str, int]
) -> None:
    name, _index = datapath
    with Device(device_path) as tracer, Device(device_path) as client:
        told = traces(tracer, timeout=0, queue_limit=16384)
        for _ in range(200):
            assert client.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: name})
        with pytest.raises(EventsLost):
            next(told)
        before = len(list(told))
        assert 0 < before < 400
        client.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: name})
        assert [record.kind for record in told] == ASKED


def tracing(device_path: Path, *options: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """The program that traces, once it does."""
    return started(device_path, "tracing; this is the handle ", "trace", *options)


def members(device_path: Path) -> list[int]:
    """The PIDs of those who trace."""
    with Device(device_path) as device:
        return [
            handle.attributes[HandleAttr.PID]
            for handle in device.dump(OVSDP_CONTROL, OvsdpCmd.HANDLE_GET)
            if TRACE_GROUP in handle.attributes[HandleAttr.GROUPS]
        ]


def test_the_program_until_ctrl_c(device_path: Path, datapath: tuple[str, int]) -> None:
    name, index = datapath
    with tracing(device_path, "--datapath", name, "--family", "ovs_datapath") as process:
        assert process.stdout is not None
        with Device(device_path) as client:
            client.transact(DATAPATH, DpCmd.GET, dp_ifindex=index)
            pid = client.pid
        who = rf"{pid} \S+\[{os.getpid()}\] "
        assert re.match(who + "> TRANSACT ovs_datapath OVS_DP_CMD_GET", next_line(process.stdout))
        assert re.match(who + r"< [\d.]+[um]s ovs_datapath OVS_DP_CMD_", next_line(process.stdout))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=DEADLINE_S)
        assert (output, errors, process.returncode) == ("", "", 0)
    wait_until(lambda: not members(device_path), "nobody traces")


def test_the_program_as_json(device_path: Path, datapath: tuple[str, int]) -> None:
    name, _index = datapath
    with tracing(device_path, "--json", "--errors") as process:
        assert process.stdout is not None
        with Device(device_path) as client, pytest.raises(DatapathError):
            make(client, name)
        documents = [json.loads(next_line(process.stdout)) for _ in range(2)]
    assert [document["kind"] for document in documents] == ["REQUEST", "REPLY"]
    assert documents[1]["errno"] == "EEXIST"
    assert documents[0]["messages"][0]["attributes"]["NAME"] == name


def test_the_program_ends_when_nobody_reads(device_path: Path) -> None:
    with tracing(device_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        Device(device_path).close()
        assert process.wait(DEADLINE_S) == 0
        assert process.stderr.read() == ""


def test_a_tracer_that_is_killed(device_path: Path, datapath: tuple[str, int]) -> None:
    name, _index = datapath
    with tracing(device_path) as process:
        assert len(members(device_path)) == 1
        process.kill()
        process.wait(DEADLINE_S)
        wait_until(lambda: not members(device_path), "the kernel closes the handle")
    with Device(device_path) as client:
        assert client.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: name})


def test_a_daemon_that_goes_away(new_daemon: Daemon) -> None:
    with new_daemon as daemon, tracing(daemon.path) as process:
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        _output, errors = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 1
        assert "the daemon has ended" in errors
