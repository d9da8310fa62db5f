"""Real connections through ports: TCP between namespaces, its segments left to be made."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
import trio

from ovsdp_cuse.ports.host import HostPorts
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PORT_TYPE_NETDEV, Port, PortSpec
from tests.namespaces import Namespace
from tests.ports.rigs import LIMIT_S

SIZE = 4 << 20
ADDRESSES = ("10.2.0.1", "10.2.0.2")


def connect(one: Port, other: Port, sizes: list[int]) -> None:
    """Send what the one receives to the other, and note how long the frames are."""

    def receive(packet: Packet) -> None:
        sizes.append(len(packet))
        other.transmit(packet)

    one.receive, one.received = receive, other.flush


@pytest.mark.parametrize("kind", [PORT_TYPE_NETDEV, PORT_TYPE_INTERNAL], ids=["netdev", "tap"])
async def test_tcp_flows_between_ports(
    namespace: Namespace, new_namespace: Callable[[], Namespace], kind: int
) -> None:
    ports = HostPorts()
    opened: list[Port] = []
    hosts = (new_namespace(), new_namespace())
    for number, (host, address) in enumerate(zip(hosts, ADDRESSES, strict=True)):
        name = f"port{number}"
        if kind == PORT_TYPE_NETDEV:
            namespace.add_veth(name, "eth0", host)
            opened.append(ports.open(PortSpec(kind, name)))
        else:
            opened.append(ports.open(PortSpec(kind, name)))
            namespace.set_link(name, ("IFLA_IFNAME", "eth0"))
            namespace.move_link("eth0", host)
        host.set_up("eth0")
        host.add_address("eth0", address, 24)
    sizes: list[int] = []
    connect(opened[0], opened[1], sizes)
    connect(opened[1], opened[0], sizes)

    with hosts[0], socket.create_server((ADDRESSES[0], 0)) as server:
        target = server.getsockname()
        with hosts[1]:
            client = trio.socket.from_stdlib_socket(socket.socket())
        listening = trio.socket.from_stdlib_socket(server.dup())
    payload = bytes(index * 7 & 0xFF for index in range(SIZE))

    async def send() -> None:
        await client.connect(target)
        stream = trio.SocketStream(client)
        await stream.send_all(payload)
        await stream.aclose()

    got = bytearray()
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ports.run)
            nursery.start_soon(send)
            accepted, _address = await listening.accept()
            async with trio.SocketStream(accepted) as stream:
                async for part in stream:
                    got += part
            nursery.cancel_scope.cancel()
    assert got == payload
    assert max(sizes) > 10_000  # frames that nobody had to cut
    listening.close()
    ports.close()
