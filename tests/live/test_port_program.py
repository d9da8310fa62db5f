"""The netlink socket over the device that docs/porting.md shows, in tests/c/port.c."""

from __future__ import annotations

import itertools
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from tests.live.conftest import Serve, wait_blocked
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S
from tests.test_header import SOURCES, build, compiler

STEPS = [
    *("create", "SOCK_PROP") * 3,
    *("each", "family", "subscribe", "pend"),
    *("transact:", "wait:", "pend", "read event:"),
    *("transact:", "wait:", "read packet:", "transact:", "wait:", "read packet:"),
    *("transact:", "dump by ioctl:", "dump by read:"),
    *("transact:", "dump by ioctl:", "dump by read:"),
    *("transact:", "unsubscribe", "close"),
]
"""What it does, in the order of Open vSwitch's code for Windows; several in a row are one."""

LOSS = ["create", "SOCK_PROP", "subscribe", "pend", "wait:", "read event:"]
REOPENED = ["create", "SOCK_PROP", "subscribe"]


def build_port(directory: Path, *options: str) -> Path:
    """The program; `options` are the compiler's."""
    socket = str(SOURCES / "port_socket.c")
    return build(directory / "port", SOURCES / "port.c", socket, "-std=c99", *options)


def steps_of(output: str) -> list[str]:
    """The steps that a program has printed, each of which must have gone well."""
    lines = output.splitlines()
    assert [line for line in lines if not line.startswith("ok   ")] == []
    texts = (line.removeprefix("ok   ") for line in lines)
    wholes = {f"{what} " for what in STEPS if " " in what}
    names = (
        next((whole.strip() for whole in wholes if text.startswith(whole)), text.split()[0])
        for text in texts
    )
    return [name for name, _same in itertools.groupby(names)]


def read_to(output: IO[str], last: str) -> list[str]:
    """The lines up to one that has a text, which must come."""
    lines: list[str] = []
    for line in output:
        lines.append(line)
        if last in line:
            return lines
    raise AssertionError(f"no {last!r} in {lines}")


def datapaths(path: Path) -> list[str]:
    """The names of those that are there."""
    with Device(path) as device:
        return [found.attributes[DpAttr.NAME] for found in device.dump(DATAPATH, DpCmd.GET)]


@pytest.mark.parametrize("options", [(), ("-m32",)], ids=["as it is", "32 bits"])
def test_the_port_does_all_that_the_windows_code_does(
    shared: Daemon, tmp_path: Path, options: Sequence[str]
) -> None:
    if options:
        probe = tmp_path / "probe.c"
        probe.write_text("#include <stdio.h>\nint main(void) { return 0; }\n")
        command = [compiler(), *options, "-o", str(tmp_path / "probe"), str(probe)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("gcc has no 32-bit C library here (Debian: gcc-multilib)")
    program = build_port(tmp_path, *options)
    before = datapaths(shared.path)
    done = subprocess.run(
        [program, shared.path, "port-dp"], capture_output=True, text=True, check=False
    )
    assert steps_of(done.stdout) == STEPS
    assert (done.returncode, done.stderr) == (0, "")
    assert datapaths(shared.path) == before


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_port_notices_that_the_device_is_lost_and_opens_it_anew(
    serve: Serve, path: Path, tmp_path: Path, end: signal.Signals
) -> None:
    program = build_port(tmp_path)
    daemon = serve()
    process = subprocess.Popen(
        [program, path, "port-dp", "WAIT"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = read_to(process.stdout, "pend until the device is lost")
        wait_blocked(process, path)
        daemon.stop(end)
        lines += read_to(process.stdout, "read event: it fails")
        serve()
        output, _ = process.communicate("\n", timeout=DEADLINE_S)
    finally:
        process.kill()
        process.communicate()
    assert steps_of("".join(lines)) == [*STEPS, *LOSS]
    assert steps_of(output) == REOPENED
    assert process.returncode == 0
