"""Recordings of a real node: however the recorder ends, its file can be read."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovsdp_cuse.captures import read_capture
from ovsdp_cuse.captures.netlink import Frame, frames
from ovsdp_cuse.client import Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.trace import TraceAttr, TraceKind
from tests.live.programs import started
from tests.live.test_command_line import run
from tests.nodes.calls import wait_until
from tests.nodes.interface import DEADLINE_S

pytest_plugins = ("tests.live.devices",)

TALK = [
    TraceKind.OPENED,
    TraceKind.PID_TOLD,
    *[TraceKind.REQUEST, TraceKind.REPLY] * 3,
    TraceKind.CLOSED,
]
ENDS = {signal.SIGINT: 0, signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}
"""How a recorder is ended, and the status that it ends with."""


def talk(path: Path) -> None:
    """A datapath comes, is asked for, and goes."""
    with Device(path) as device:
        name = {DpAttr.NAME: "recorded0"}
        device.transact(DATAPATH, DpCmd.NEW, {**name, DpAttr.UPCALL_PID: (0,)})
        device.transact(DATAPATH, DpCmd.GET, name)
        device.transact(DATAPATH, DpCmd.DEL, name)


def said(file: Path) -> list[TraceKind]:
    """What a recording has, in order; it must be whole."""
    return [TraceKind(frame.as_trace()[TraceAttr.KIND]) for frame in traced(file)]


def traced(file: Path) -> list[Frame]:
    """The packets of a recording that tell what happened."""
    capture = read_capture(file.read_bytes())
    assert capture.problem is None
    told = list(frames(capture))
    families = [frame for frame in told if frame.introduces]
    assert told[: len(families)] == families
    assert len(families) >= 8, "the families come first"
    return told[len(families) :]


def tshark(file: Path, *options: str) -> list[str]:
    """The lines that Debian's tshark prints of a file."""
    done = subprocess.run(
        ["tshark", "-r", str(file), *options], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a recording is written to."""
    return tmp_path / "talk.pcapng"


@pytest.fixture
def recorder(device_path: Path, file: Path) -> Iterator[subprocess.Popen[str]]:
    """A recorder that records."""
    with started(device_path, f"recording {device_path}", "record", str(file)) as process:
        yield process


def end(recorder: subprocess.Popen[str], number: signal.Signals) -> str:
    """End a recorder, as it is to end; the last that it has printed."""
    recorder.send_signal(number)
    _output, errors = recorder.communicate(timeout=DEADLINE_S)
    assert recorder.returncode == ENDS[number]
    return errors


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_the_file_is_whole_however_the_recorder_ends(
    number: signal.Signals, recorder: subprocess.Popen[str], file: Path, device_path: Path
) -> None:
    talk(device_path)
    wait_until(lambda: said(file)[-1:] == [TraceKind.CLOSED], "all is written")
    errors = end(recorder, number)
    assert said(file) == TALK
    if number != signal.SIGKILL:
        assert errors == f"{file}: {len(TALK)} packets\n"
    packets = len(read_capture(file.read_bytes()).packets)
    assert len(tshark(file)) == packets
    assert tshark(file, "-Y", "_ws.malformed") == []


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_nobody_talks_until_it_is_ended(
    number: signal.Signals, recorder: subprocess.Popen[str], file: Path
) -> None:
    errors = end(recorder, number)
    if number != signal.SIGKILL:
        assert errors == f"{file}: 0 packets\n"
    assert said(file) == []


def test_nobody_talks_all_the_time(device_path: Path, file: Path) -> None:
    """It waits more than once, and is still there then."""
    printed = run(device_path, "record", str(file), "--for", "2.2", "--json")
    assert '{"packets": 0, "lost": 0}\n' in printed
    assert said(file) == []


def test_a_recording_is_replayed_to_its_own_device(
    recorder: subprocess.Popen[str], file: Path, device_path: Path
) -> None:
    talk(device_path)
    wait_until(lambda: said(file)[-1:] == [TraceKind.CLOSED], "all is written")
    end(recorder, signal.SIGTERM)
    command = [sys.executable, "-m", "ovsdp_cuse", "replay", str(file), "--to", str(device_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.stdout == "3 requests: 3 answered as recorded, 0 differently, 0 left out\n"
    assert done.returncode == 0, done.stderr
