"""The harness works: daemons, programs, a bridge with two hosts."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.namespaces import Namespace
from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack


def test_a_bridge_learns_addresses(stack: Stack, new_namespace: Callable[[], Namespace]) -> None:
    stack.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
    hosts = []
    for number in (1, 2):
        host = new_namespace()
        stack.namespace.add_veth(f"p{number}", "eth0", host)
        host.add_address("eth0", f"10.8.0.{number}", 24)
        stack.vsctl("add-port", "br0", f"p{number}")
        hosts.append(host)
    with hosts[0], socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.sendto(b"", ("10.8.0.2", 9))
    wait_until(lambda: len(stack.appctl("fdb/show", "br0").splitlines()) == 3, "two addresses")
    assert stack.complaints() == []
