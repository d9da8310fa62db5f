"""Ports that are opened again, or held by others: nothing of the older one reaches the newer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from errno import EBUSY, ENOSPC

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.host import HostPorts
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PORT_TYPE_NETDEV, PortSpec
from tests.namespaces import Namespace
from tests.ports.rigs import Events, SocketEnd

NOBODY = 65534
TURNS = 5
"""More than it takes to hear of everything that has happened."""


@pytest.mark.parametrize("ifindex", [0, 4711])
def test_an_index_that_is_used_again(namespace: Namespace, ifindex: int) -> None:
    """That the older interface is gone is told after the newer one is there."""
    ports = HostPorts()
    events = Events(ports)
    spec = PortSpec(PORT_TYPE_INTERNAL, "tap", ifindex=ifindex)
    ports.open(spec).close()
    again = ports.open(spec)
    for _ in range(TURNS):
        ports.receive_waiting()
    assert not [event for event in events.seen if event[0] == "vanished"]
    assert namespace.has_link("tap")
    again.close()
    ports.close()


def test_a_name_from_before_is_not_told(namespace: Namespace) -> None:
    ports = HostPorts()
    events = Events(ports)
    namespace.add_veth("older", "peer")
    namespace.rename_link("older", "newer")
    ports.open(PortSpec(PORT_TYPE_NETDEV, "newer"))
    for _ in range(TURNS):
        ports.receive_waiting()
    assert not [event for event in events.seen if event[0] == "renamed"]
    ports.close()


HOLD = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
holder = socket.socket(socket.AF_UNIX)
holder.bind("\\0" + sys.argv[1])
holder.listen()
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_only_who_could_have_the_port_can_hold_it(namespace: Namespace, uid: int) -> None:
    """Anybody may bind the address that two daemons tell each other by."""
    namespace.add_veth("port", "peer")
    address = f"ovsdp-cuse/port/{namespace.link('port').ifindex}"
    with subprocess.Popen(
        (sys.executable, "-c", HOLD, address, str(uid)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        ports = HostPorts()
        spec = PortSpec(PORT_TYPE_NETDEV, "port")
        if uid == os.geteuid():
            with pytest.raises(DatapathError) as caught:
                ports.open(spec)
            assert caught.value.errno == EBUSY
        else:
            ports.open(spec).close()
        ports.close()
        holder.kill()


@pytest.mark.parametrize("number", [1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_any_mark_and_priority(
    namespace: Namespace, new_namespace: Callable[[], Namespace], number: int
) -> None:
    there = new_namespace()
    namespace.add_veth("port", "peer", there)
    ports = HostPorts()
    port = ports.open(PortSpec(PORT_TYPE_NETDEV, "port"))
    with there:
        end = SocketEnd("peer")
    end.socket.settimeout(10)
    packet = Packet.of(bytes(12) + b"\x99\x99" + bytes(46))
    packet.priority = packet.mark = number
    assert port.transmit(packet)
    port.flush()
    assert end.socket.recv(2048)[10:] == packet.frame
    end.socket.close()
    ports.close()


@pytest.mark.parametrize("name", ["\u00e9h", "port-\u7aef\u53e3"])
def test_any_name(namespace: Namespace, name: str) -> None:
    """Names are bytes, and need not be ASCII."""
    namespace.add_veth("port", "peer")
    namespace.rename_link("port", name)
    ports = HostPorts()
    port = ports.open(PortSpec(PORT_TYPE_NETDEV, name))
    assert (port.name, port.ifindex) == (name, namespace.link(name).ifindex)
    ports.close()


def test_a_port_that_cannot_be_waited_for_is_given_back(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """epoll_ctl(2) may refuse: there is a limit of watches for each user."""

    def refuse(*arguments: object) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    namespace.add_veth("port", "peer")
    ports = HostPorts()
    monkeypatch.setattr(ports, "_add_source", refuse)
    for spec in (PortSpec(PORT_TYPE_NETDEV, "port"), PortSpec(PORT_TYPE_INTERNAL, "tap")):
        with pytest.raises(DatapathError) as caught:
            ports.open(spec)
        assert caught.value.errno == ENOSPC
    monkeypatch.undo()
    assert not namespace.has_link("tap")
    ports.open(PortSpec(PORT_TYPE_NETDEV, "port"))
    ports.close()
