"""The example of a kind of port: it is found where it is installed, and moves frames."""

from __future__ import annotations

import os
import runpy
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from errno import EADDRINUSE, EINVAL
from pathlib import Path

import pytest
import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.host import HostPorts
from ovsdp_cuse.switch.key import MAC_PROTO, MAC_PROTO_ETHERNET
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import Port, PortSpec
from tests.ports.frames import numbered, tcp
from tests.ports.rigs import LIMIT_S, Receptions

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "port"
TIME_LIMIT_S = 120
FIND = (
    "from ovsdp_cuse.ports.host import installed_kinds; print([k.type for k in installed_kinds()])"
)


@pytest.fixture
def ports() -> Iterator[HostPorts]:
    """A provider that has this kind of port alone."""
    module = runpy.run_path(str(EXAMPLE / "ovs_unix_port.py"))
    ports = HostPorts([module["KIND"]])
    yield ports
    ports.close()


@pytest.fixture
def name() -> str:
    """A name that nobody else on the machine has."""
    return f"ovsdp-{os.getpid()}"


@pytest.fixture
def port(ports: HostPorts, name: str) -> Port:
    """A port of this kind."""
    return ports.open(PortSpec(1000, name))


@pytest.fixture
def host(name: str) -> Iterator[socket.socket]:
    """What is at the other end of the port."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as host:
        host.settimeout(LIMIT_S)
        host.bind(f"\0{name}.peer")
        yield host


def test_it_is_found_where_it_is_installed(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    install = (
        *("-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation"),
        *("--disable-pip-version-check", "--target", str(site), str(source)),
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for arguments in (install, ("-c", FIND)):
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert done.stdout == "[1000]\n"


async def test_it_receives(ports: HostPorts, port: Port, name: str, host: socket.socket) -> None:
    got = Receptions(port)
    frames = [numbered(number) for number in range(100)]
    host.setblocking(False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        for frame in frames:
            while True:
                try:
                    host.sendto(frame, f"\0{name}")
                    break
                except BlockingIOError:  # the port is to be given a turn
                    await trio.lowlevel.checkpoint()
        assert [frame for frame, _offload in await got.wait(len(frames))] == frames
        nursery.cancel_scope.cancel()
    assert (port.stats.rx_packets, port.stats.rx_bytes) == (100, 6000)


def test_it_sends(port: Port, host: socket.socket) -> None:
    assert not port.transmit(Packet.of(numbered(1)))
    assert host.recv(100) == numbered(1)
    assert (port.stats.tx_packets, port.stats.tx_bytes) == (1, 60)


def test_it_sends_what_is_to_be_segmented_as_whole_frames(port: Port, host: socket.socket) -> None:
    frame, offload = tcp(3000, 1000)
    packet = Packet.of(frame, offload)
    packet.key = MAC_PROTO.place(MAC_PROTO_ETHERNET)
    port.transmit(packet)
    parts = [host.recv(4000) for _ in range(3)]
    header = len(frame) - 3000
    assert b"".join(part[header:] for part in parts) == frame[header:]
    assert port.stats.tx_packets == 3


def test_what_nobody_takes_is_counted(port: Port) -> None:
    port.transmit(Packet.of(numbered(1)))
    frame, offload = tcp(3000, 1000)
    port.transmit(Packet.of(frame[:20], offload))
    assert (port.stats.tx_packets, port.stats.tx_dropped, port.stats.tx_errors) == (0, 1, 1)


def test_names_that_cannot_be(ports: HostPorts, port: Port, name: str) -> None:
    for wanted, errno in ((name, EADDRINUSE), ("a/b", EINVAL)):
        with pytest.raises(DatapathError) as caught:
            ports.open(PortSpec(1000, wanted))
        assert caught.value.errno == errno
    port.close()
    ports.open(PortSpec(1000, name))
