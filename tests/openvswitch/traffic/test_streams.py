"""TCP: transfers that arrive whole, through segments that nobody but the receiver cuts."""

from __future__ import annotations

import ftplib
import hashlib
import http.client
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.ftp import FtpServer
from tests.openvswitch.traffic.hosts import Host

BLOCK: Final = hashlib.sha256(b"a block").digest() * 2048
"""64 KiB."""
SIZES: Final = {"fuse": 100_000_000, "cuse": 4_000_000}
"""Bytes that are transferred: less in the virtual machine, where there is CUSE."""
FRAME_LIMIT: Final = 1514
SWITCHED_OFF: Final = ("tso", "gso", "sg", "tx")


@pytest.fixture
def size(kind: str) -> int:
    """How many bytes a transfer has."""
    return SIZES[kind]


@pytest.fixture
def pair(bridge: Bridge, new_hosts: NewHosts) -> list[Host]:
    """Two hosts on a learning switch."""
    hosts = new_hosts(2)
    bridge.connect(*hosts)
    bridge.normal()
    return hosts


@contextmanager
def serving(host: Host, size: int, ipv6: bool = False) -> Iterator[int]:
    """An HTTP server, with one file of `size` bytes; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            for start in range(0, size, len(BLOCK)):
                self.wfile.write(BLOCK[: size - start])

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    class Server(http.server.HTTPServer):
        address_family = socket.AF_INET6 if ipv6 else socket.AF_INET

    with host.namespace:
        server = Server(("", 0), Handler)
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def fetch(host: Host, address: str, port: int) -> str:
    """The digest of what an HTTP server has."""
    connection = http.client.HTTPConnection(address, port)
    connection.sock = host.socket(socket.SOCK_STREAM, ipv6=":" in address)
    connection.sock.connect((address, port))
    digest = hashlib.sha256()
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.status == 200
        while block := response.read(1 << 20):
            digest.update(block)
    finally:
        connection.close()
    return digest.hexdigest()


def expected(size: int) -> str:
    """The digest of the file of that many bytes."""
    digest = hashlib.sha256()
    for start in range(0, size, len(BLOCK)):
        digest.update(BLOCK[: size - start])
    return digest.hexdigest()


@pytest.mark.emulated
def test_http(pair: list[Host], bridge: Bridge, size: int) -> None:
    client, server = pair
    with serving(server, size) as port:
        assert fetch(client, server.address, port) == expected(size)
    assert bridge.counts("table=0").octets > size


def test_http_over_ipv6(pair: list[Host], size: int) -> None:
    client, server = pair
    for host in pair:
        host.use_ipv6()
    size //= 4
    with serving(server, size, ipv6=True) as port:
        assert fetch(client, server.address6, port) == expected(size)


@pytest.mark.parametrize("switched_off", [0, 1])
def test_a_port_without_offloads(
    switched_off: int, pair: list[Host], stack: Stack, size: int
) -> None:
    """What a port cannot cut, sum or gather itself is cut and summed for it."""
    stack.programs.run(
        *("ethtool", "-K", pair[switched_off].port),
        *(word for name in SWITCHED_OFF for word in (name, "off")),
    )
    for client, server in (pair, pair[::-1]):
        with serving(server, size // 10) as port, client.capture() as capture:
            assert fetch(client, server.address, port) == expected(size // 10)
            longest = max(map(len, capture.seen(bool)))
        if client is pair[switched_off]:
            assert longest == FRAME_LIMIT
        else:
            assert longest > FRAME_LIMIT


@pytest.mark.parametrize("options", [(), ("--reverse",), ("--parallel", "4")])
def test_iperf3(options: tuple[str, ...], pair: list[Host], size: int) -> None:
    report = iperf3(pair, "--bytes", str(size), *options)
    assert report["end"]["sum_sent"]["bytes"] >= size
    # What is on its way when the sender has sent all is not counted
    assert report["end"]["sum_received"]["bytes"] >= size / 2


def test_iperf3_with_datagrams(pair: list[Host]) -> None:
    report = iperf3(pair, "--udp", "--bitrate", "8M", "--length", "1000", "--bytes", "1M")
    assert report["end"]["sum"]["packets"] >= 1000
    assert report["end"]["sum"]["lost_packets"] == 0


def iperf3(pair: list[Host], *options: str) -> dict[str, dict[str, dict[str, int]]]:
    """What iperf3 between two hosts reports; see its --json."""
    client, server = pair
    with server.running("iperf3", "--server", "--one-off", "--forceflush") as process:
        assert process.stdout is not None
        while "listening" not in process.stdout.readline():
            assert process.poll() is None
        output = client.run("iperf3", "--client", server.address, "--json", *options)
    report: dict[str, dict[str, dict[str, int]]] = json.loads(output)
    return report


def test_ftp_with_a_connection_from_the_server(pair: list[Host]) -> None:
    client, server = pair
    received = bytearray()
    with FtpServer(server, BLOCK), client.namespace, ftplib.FTP() as ftp:
        ftp.connect(server.address)
        ftp.login()
        ftp.set_pasv(False)
        ftp.retrbinary("RETR file", received.extend)
        ftp.quit()
    assert received == BLOCK
