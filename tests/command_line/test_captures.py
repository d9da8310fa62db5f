"""record, decode and replay."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ovsdp_cuse.captures import Way, read_capture
from ovsdp_cuse.captures.netlink import frames
from ovsdp_cuse.client import DatapathError, Device
from ovsdp_cuse.replay import device as replay_device
from ovsdp_cuse.replay import timing
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.trace import TRACE_GROUP, TraceAttr, TraceKind
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType
from tests.client.handles import DoorHandle, connect
from tests.command_line.conftest import Run
from tests.families.doors import Daemon
from tests.replay.virtual import VirtualTime

NLMON = Path(__file__).parents[1] / "captures" / "startup.pcap.gz"
PORT = {VportAttr.NAME: "i0", VportAttr.TYPE: VportType.INTERNAL, VportAttr.UPCALL_PID: (0,)}

TALK = 13
"""Records of `talk`: opened, five requests with an answer, the end of a dump, closed."""


def talk() -> None:
    """What is recorded: a datapath comes, fails to come again, has a port, and goes."""
    with Device() as device:
        new = {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)}
        made = device.transact(DATAPATH, DpCmd.NEW, new)
        assert made is not None
        with pytest.raises(DatapathError, match="EEXIST"):
            device.transact(DATAPATH, DpCmd.NEW, new)
        device.transact(VPORT, VportCmd.NEW, PORT, dp_ifindex=made.dp_ifindex)
        assert len(list(device.dump(VPORT, VportCmd.GET, dp_ifindex=made.dp_ifindex))) == 2
        device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "dp0"})


@contextmanager
def talking(daemon: Daemon) -> Iterator[None]:
    """Talks as soon as somebody traces."""
    stop = threading.Event()

    def wait_and_talk() -> None:
        while not stop.is_set():
            if any(TRACE_GROUP in session.groups for session in daemon.context.sessions):
                talk()
                return

    thread = threading.Thread(target=wait_and_talk)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def recording(daemon: Daemon, run: Run, tmp_path: Path) -> Path:
    """A file in which somebody talked."""
    path = tmp_path / "talk.pcapng"
    with talking(daemon):
        result = run("record", str(path), "--count", str(TALK), "--for", "20", "--json")
    told = json.loads(result.stdout)
    assert told["lost"] == 0
    assert told["packets"] == TALK
    assert f"{path}: {told['packets']} packets\n" in result.stderr
    return path


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """Another daemon, which has seen nothing."""
    daemon = Daemon(first_pid=1000)
    connect(monkeypatch, daemon)
    monkeypatch.setattr(
        replay_device,
        "Handle",
        lambda path, read_only=False: DoorHandle(daemon, path, read_only),
    )
    return daemon


def test_a_recording_holds_what_was_said(recording: Path) -> None:
    capture = read_capture(recording.read_bytes())
    assert capture.problem is None
    told = list(frames(capture))
    families = [frame for frame in told if frame.introduces]
    assert len(families) >= 8
    assert told[: len(families)] == families
    assert capture.packets[0].interface is not None
    assert capture.packets[0].interface.endswith("/device")
    traces = [frame.as_trace() for frame in told if frame.trace is not None]
    assert traces[0][TraceAttr.KIND] == TraceKind.OPENED
    assert traces[-1][TraceAttr.KIND] == TraceKind.CLOSED
    assert len({trace[TraceAttr.PID] for trace in traces}) == 1
    replies = [trace for trace in traces if trace[TraceAttr.KIND] == TraceKind.REPLY]
    assert all(trace[TraceAttr.LATENCY_NS] > 0 for trace in replies)
    ways = {
        frame.trace[TraceAttr.KIND]: packet.way
        for frame, packet in zip(told, capture.packets, strict=True)
        if frame.trace is not None
    }
    assert ways[TraceKind.REQUEST] == Way.INBOUND
    assert ways[TraceKind.REPLY] == Way.OUTBOUND


def test_count_ends_a_recording(daemon: Daemon, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "few.pcapng"
    with talking(daemon):
        assert json.loads(run("record", str(path), "--count", "3", "--json").stdout) == {
            "packets": 3,
            "lost": 0,
        }
    traced = [frame for frame in frames(read_capture(path.read_bytes())) if frame.trace]
    assert len(traced) == 3


def test_filters_of_a_recording(daemon: Daemon, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "few.pcapng"
    with talking(daemon):
        run("record", str(path), "--errors", "--count", "2")
    assert "EEXIST" in run("decode", str(path)).stdout


def test_a_file_that_cannot_be_written(daemon: Daemon, run: Run, tmp_path: Path) -> None:
    result = run("record", str(tmp_path / "none" / "x.pcapng"), status=2)
    assert "No such file or directory" in result.stderr


def test_decode_shows_what_trace_shows(recording: Path, run: Run) -> None:
    lines = run("decode", str(recording)).stdout.splitlines()
    assert lines[0].endswith(" opened, O_NONBLOCK")
    assert "> TRANSACT ovs_datapath OVS_DP_CMD_NEW REQUEST seq=" in lines[1]
    assert any("NLMSG_ERROR EEXIST" in line and "OVS_DP_ATTR_NAME" in line for line in lines)
    assert lines[-1].endswith(" closed")
    documents = [
        json.loads(line) for line in run("decode", "--json", str(recording)).stdout.splitlines()
    ]
    assert documents[1]["kind"] == "REQUEST"
    assert documents[1]["messages"][0]["attributes"]["NAME"] == "dp0"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--errors",), 2),
        (("--family", "ovs_vport", "--command", "OVS_VPORT_CMD_NEW"), 2),
        (("--process", "nobody"), 0),
        (("--slower-than", "1e6"), 0),
    ],
)
def test_filters_of_decode(recording: Path, run: Run, options: tuple[str, ...], count: int) -> None:
    assert len(run("decode", str(recording), *options).stdout.splitlines()) == count


def test_decode_finds_a_datapath_by_its_name(recording: Path, run: Run) -> None:
    by_name = run("decode", str(recording), "--datapath", "dp0").stdout
    assert "OVS_VPORT_CMD_NEW" in by_name
    result = run("decode", str(recording), "--datapath", "dp9", status=2)
    assert "no datapath in FILE is named 'dp9'" in result.stderr
    result = run("decode", str(recording), "--family", "ovs_flwo", status=2)
    assert "no family is named 'ovs_flwo'" in result.stderr


def test_decode_of_a_capture_of_nlmon(run: Run) -> None:
    lines = run("decode", str(NLMON)).stdout.splitlines()
    assert lines[0] == (
        "150 ?[0] > STREAM nlctrl CTRL_CMD_GETFAMILY REQUEST seq=1 pid=150 "
        '{FAMILY_NAME="ovs_datapath"}'
    )
    assert any("ovs_datapath OVS_DP_CMD_NEW" in line for line in lines)
    assert not any("family 0x" in line for line in lines)


def test_families_that_nobody_tells(run: Run, recording: Path, tmp_path: Path) -> None:
    """A capture from which the families' names were cut out."""
    data = recording.read_bytes()
    packets = read_capture(data).packets
    first = next(packet for packet in packets if "opened" in packet.comments[0])
    path = tmp_path / "cut.pcapng"
    path.write_bytes(data[: packets[0].offset] + data[first.offset :])
    result = run("decode", str(path))
    assert "which families 0x12, 0x14 are: --family-id NAME=ID says it" in result.stderr
    assert "family 0x12 " in result.stdout
    ids = ("--family-id", "ovs_datapath=0x12", "--family-id", "ovs_vport=20")
    result = run("decode", str(path), *ids)
    assert result.stderr == ""
    assert "OVS_VPORT_CMD_NEW" in result.stdout
    for wrong in ("ovs_vport", "ovs_vport=x", "ovs_vport=3"):
        assert "--family-id" in run("decode", str(path), "--family-id", wrong, status=2).stderr


def test_what_is_no_capture(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("hello, world")
    for command in (("decode",), ("replay", "--to", "nowhere")):
        result = run(*command, str(path), status=2)
        assert "neither pcapng nor pcap: the file begins with 68 65 6c 6c" in result.stderr
    assert "No such file" in run("decode", str(tmp_path / "none"), status=2).stderr


def test_a_capture_that_is_cut_off(recording: Path, run: Run) -> None:
    recording.write_bytes(recording.read_bytes()[:-5])
    result = run("decode", str(recording))
    assert "what comes before that is whole" in result.stderr
    assert result.stdout.count("opened") == 1


def test_a_recording_replayed_to_a_fresh_device(recording: Path, fresh: Daemon, run: Run) -> None:
    """Nothing is different, though PIDs and indexes are others."""
    fresh.ports.add_interface("taken")
    result = run("replay", str(recording), "--to", "device")
    assert result.stdout == "5 requests: 5 answered as recorded, 0 differently, 0 left out\n"
    assert list(fresh.context.sessions) == []


def test_differences_are_told(recording: Path, fresh: Daemon, run: Run) -> None:
    with Device() as device:
        device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
    result = run("replay", str(recording), "--to", "device", status=1)
    lines = result.stdout.splitlines()
    assert "OVS_DP_CMD_NEW REQUEST" in lines[0]
    assert lines[1] == "    reply: recorded OVS_DP_CMD_NEW, got NLMSG_ERROR EEXIST"
    assert lines[-1] == "5 requests: 4 answered as recorded, 1 differently, 0 left out"
    with Device() as device:
        device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
    result = run("replay", str(recording), "--to", "device", "--json", status=1)
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert documents[0]["request"][0]["command"] == "OVS_DP_CMD_NEW"
    assert documents[0]["differences"] == [
        {"where": "reply", "recorded": "OVS_DP_CMD_NEW", "got": "NLMSG_ERROR EEXIST"}
    ]
    assert documents[-1]["requests"] == 5


def test_replay_keeps_the_times(
    recording: Path, fresh: Daemon, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list(frames(read_capture(recording.read_bytes())))
    times = [frame.time_ns for frame in told if frame.trace is not None]
    assert times[-1] > times[0]
    clock = VirtualTime()
    monkeypatch.setattr(timing, "time", clock)
    run("replay", str(recording), "--to", "device", "--timing")
    assert clock.slept_ns == pytest.approx(times[-1] - times[0], abs=100)


def test_replay_to_nobody(
    recording: Path, run: Run, fresh: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    result = run("replay", str(recording), "--to", "/nowhere", status=3)
    assert "there is no /nowhere: start the daemon" in result.stderr


def test_tshark_opens_a_recording(recording: Path) -> None:
    def tshark(*options: str) -> list[str]:
        command = ("tshark", "-r", str(recording), *options)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    assert tshark("-Y", "_ws.malformed") == []
    whole = "\n".join(tshark("-V"))
    assert "Family ID: 0x12 (ovs_datapath)" in whole
    assert "Family ID: 0x14 (ovs_vport)" in whole
    fields = ("-e", "genl.cmd", "-e", "frame.comment", "-e", "frame.interface_name")
    requests = tshark("-Y", "genl.cmd == 1", "-T", "fields", *fields)
    first, comment, interface = next(line for line in requests if "request" in line).split("\t")
    assert first == "1"
    assert comment.startswith("request; handle ")
    assert comment.endswith("; by TRANSACT")
    assert interface.endswith("/device")
