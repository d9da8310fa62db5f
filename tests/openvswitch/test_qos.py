"""Policing: ovs-vswitchd has traffic control of the kernel do it, which our daemon looks at."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable

import pytest

from tests.namespaces import Namespace
from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.hosts import Host

FRAMES, SIZE = 200, 1000
PORT = 9
POLICE = "filter add dev lo ingress protocol all prio 1 basic action police rate 1mbit burst 10k"


@pytest.fixture
def hosts(stack: Stack, new_namespace: Callable[[], Namespace]) -> tuple[Host, Host]:
    """Two hosts at a bridge, which know each other."""
    stack.add_bridge("br0")
    one, two = (Host(new_namespace(), stack.namespace, number) for number in (1, 2))
    for host in (one, two):
        stack.vsctl("add-port", "br0", host.port)
    one.ping(two)
    return one, two


def burst(one: Host, two: Host) -> int:
    """How many arrive of FRAMES datagrams that are sent at once, before an answer to a ping."""
    with two.capture() as heard:
        with one.socket(socket.SOCK_DGRAM) as sender:
            for _ in range(FRAMES):
                sender.sendto(bytes(SIZE), (two.address, PORT))
        one.ping_until(two)
        return len(heard.seen(lambda frame: len(frame) > SIZE))


@pytest.fixture
def can_police(new_namespace: Callable[[], Namespace]) -> None:
    """Skips where the kernel has no police action, or the classifier that Open vSwitch uses."""
    with new_namespace():
        subprocess.run(("tc", "qdisc", "add", "dev", "lo", "ingress"), check=True)
        done = subprocess.run(("tc", *POLICE.split()), capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this kernel cannot police: {done.stderr}")


@pytest.mark.emulated
def test_what_a_port_receives_is_policed(
    stack: Stack, hosts: tuple[Host, Host], can_police: None
) -> None:
    one, two = hosts
    assert burst(one, two) == FRAMES
    limit = ("ingress_policing_rate=800", "ingress_policing_burst=320")
    stack.vsctl("set", "interface", one.port, *limit)
    assert 30 <= burst(one, two) <= FRAMES / 2, "40 KB at once, and then 100 KB a second"
    stack.vsctl("set", "interface", one.port, "ingress_policing_rate=0")
    wait_until(lambda: burst(one, two) == FRAMES, "there is no limit any more")
    assert stack.complaints() == []
    wait_until(lambda: "ingress" in stack.namespace.qdiscs(one.port), "the port's frames are taken")
