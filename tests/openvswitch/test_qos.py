"""Quality of service, which ovs-vswitchd has traffic control of the kernel do: at the ports."""

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


def test_what_a_port_sends_has_queues(stack: Stack, hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    stack.vsctl(
        *("--", "set", "port", two.port, "qos=@qos"),
        *("--", "--id=@qos", "create", "qos", "type=linux-htb", "other-config:max-rate=1000000"),
        *("queues:0=@normal", "queues:1=@slow"),
        *("--", "--id=@normal", "create", "queue", "other-config:min-rate=500000"),
        *("--", "--id=@slow", "create", "queue", "other-config:max-rate=100000"),
    )
    assert "htb" in stack.namespace.qdiscs(two.port)
    assert "set_queue" not in stack.ofctl("dump-flows", "br0")
    stack.ofctl("add-flow", "br0", f"in_port={one.port},icmp,actions=set_queue:1,normal")
    one.ping(two)
    shown = stack.appctl("qos/show", two.port)
    assert "max-rate: 1000000" in shown
    slow = shown.partition("Queue 1:")[2].partition("Queue ")[0]
    assert "tx_packets: 1" in slow, shown
    assert stack.complaints() == []
    stack.vsctl("clear", "port", two.port, "qos")
    wait_until(lambda: "htb" not in stack.namespace.qdiscs(two.port), "its queues are gone")
