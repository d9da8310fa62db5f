"""Daemons that stop, and that are killed: what goes on, what comes back, and what is left."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.namespaces import Namespace
from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.hosts import Host

BOTH = pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGKILL, id="SIGKILL", marks=pytest.mark.emulated),
    ],
)
ADDRESS = "10.1.1.9"
WATCHED_S = 3.0
"""How long a daemon that has nothing to do is watched."""
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def hosts(own_stack: Stack, new_namespace: Callable[[], Namespace]) -> Iterator[list[Host]]:
    """Two hosts at a bridge with a port of its own; their wires are there until the end."""
    hosts = [Host(new_namespace(), own_stack.namespace, number) for number in (1, 2)]
    own_stack.add_bridge("br0")
    for host in hosts:
        own_stack.vsctl("add-port", "br0", host.port)
    own_stack.vsctl("add-port", "br0", "i0", "--", "set", "interface", "i0", "type=internal")
    yield hosts
    own_stack.vsctl("--no-wait", "del-br", "br0")
    for host in hosts:
        own_stack.namespace.delete_link(host.port)


def shown_ports(stack: Stack) -> set[str]:
    """The names of the datapath's ports."""
    lines = stack.dpctl("show", "system@ovs-system").splitlines()
    return {line.split()[2] for line in lines if line.startswith("  port ")}


@BOTH
def test_ovs_vswitchd_ends_while_traffic_runs(
    own_stack: Stack, hosts: list[Host], number: signal.Signals
) -> None:
    one, two = hosts
    one.ping(two, count=3)
    ports = shown_ports(own_stack)
    own_stack.openvswitch.stop_vswitchd(number)
    assert shown_ports(own_stack) == ports, "the datapath stays"
    one.ping(two, count=3)  # by the flows that are there
    own_stack.openvswitch.start_vswitchd()
    one.ping_until(two)
    assert shown_ports(own_stack) == ports
    two.ping(one, count=3)
    assert own_stack.namespace.has_link("i0")
    own_stack.vsctl("del-br", "br0", "--", "add-br", "br0")
    assert shown_ports(own_stack) == {"ovs-system", "br0"}


class Transfer:
    """A stream of TCP that one host sends another as fast as it goes, from start to `finish`."""

    def __init__(self, one: Host, two: Host) -> None:
        self._stopping = threading.Event()
        self._sent, self._received = hashlib.sha256(), hashlib.sha256()
        self.size = 0
        """Bytes that have arrived."""
        with two.namespace:
            self._server = socket.create_server((two.address, 0))
        self._client = one.socket(socket.SOCK_STREAM)
        self._threads = [threading.Thread(target=part) for part in (self._receive, self._send)]
        for thread in self._threads:
            thread.start()

    def wait_more(self) -> None:
        """Return once some more has arrived."""
        before = self.size
        wait_until(lambda: self.size > before + (1 << 20), "the transfer goes on")

    def finish(self) -> None:
        """End it; all must have arrived as it was sent."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._server.close()
        assert self._received.digest() == self._sent.digest()

    def _send(self) -> None:
        with self._client as client:
            client.connect(self._server.getsockname())
            while not self._stopping.is_set():
                block = os.urandom(1 << 16)
                client.sendall(block)
                self._sent.update(block)

    def _receive(self) -> None:
        with self._server.accept()[0] as connection:
            while block := connection.recv(1 << 16):
                self._received.update(block)
                self.size += len(block)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_transfer_survives_that_ovs_vswitchd_is_restarted(
    own_stack: Stack, hosts: list[Host], number: signal.Signals
) -> None:
    transfer = Transfer(*hosts)
    transfer.wait_more()
    own_stack.openvswitch.stop_vswitchd(number)
    transfer.wait_more()
    own_stack.openvswitch.start_vswitchd()
    transfer.wait_more()
    transfer.finish()


def seconds_used(process: subprocess.Popen[str]) -> float:
    """User and system time of a process: fields 14 and 15 of proc_pid_stat(5)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def at_rest(stack: Stack) -> Iterator[None]:
    """ovs-vswitchd answers after the block as before, and then does not spin."""
    process = stack.openvswitch.vswitchd
    yield
    before = seconds_used(process)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(WATCHED_S)
    used = seconds_used(process) - before
    assert used < WATCHED_S / 3, f"it spins: {used} s of {WATCHED_S} s"
    assert "ovs-vswitchd (Open vSwitch)" in stack.appctl("version")


def said(stack: Stack) -> list[str]:
    """What the library has to say in ovs-vswitchd."""
    return [line for line in stack.openvswitch.log.splitlines() if line.startswith("ovsdp-cuse:")]


@BOTH
def test_our_daemon_ends_under_ovs_vswitchd(
    own_stack: Stack, hosts: list[Host], number: signal.Signals
) -> None:
    one, two = hosts
    one.ping(two)
    assert own_stack.daemon is not None
    with at_rest(own_stack):
        own_stack.daemon.stop(number)
        wait_until(lambda: not own_stack.namespace.has_link("i0"), "its interface is gone")
    assert sum("the daemon is gone" in line for line in said(own_stack)) == 1

    with at_rest(own_stack):
        own_stack.start_daemon()
        wait_until(lambda: "the daemon is back" in said(own_stack)[-1], "it is found again")
    assert "with no datapaths" in said(own_stack)[-1]
    assert "restart" in said(own_stack)[-1]
    assert own_stack.dpctl("show") == "", "nobody has made them again"
    own_stack.openvswitch.stop_vswitchd()
    own_stack.openvswitch.start_vswitchd()
    one.ping_until(two)
    assert own_stack.namespace.has_link("i0")
    assert {"ovs-system", "br0", "i0", one.port, two.port} == shown_ports(own_stack)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_at_the_ports(
    own_stack: Stack, hosts: list[Host], number: signal.Signals
) -> None:
    """What a daemon that was killed has left goes with the port of the next one."""
    port, namespace = hosts[0].port, own_stack.namespace
    assert own_stack.daemon is not None

    def is_taken() -> bool:
        return "ingress" in namespace.qdiscs(port)

    wait_until(is_taken, "the port's frames are taken")
    own_stack.daemon.stop(number)
    assert is_taken() == (number == signal.SIGKILL), "whom could a killed daemon have asked?"
    own_stack.openvswitch.stop_vswitchd()
    own_stack.start_daemon()
    own_stack.openvswitch.start_vswitchd()
    wait_until(is_taken, "the port's frames are taken")
    own_stack.vsctl("del-port", "br0", port)
    assert not is_taken()
