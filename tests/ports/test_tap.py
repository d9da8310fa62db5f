"""What is of ports alone whose interfaces are made for them: TAPs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from errno import EBUSY, EEXIST, EINVAL
from pathlib import Path

import pytest
import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.host import HostPorts
from ovsdp_cuse.ports.rtnetlink import IFF_UP
from ovsdp_cuse.ports.tap import DEVICE, IFF_NO_PI, IFF_TAP, IFREQ, TUNSETIFF
from ovsdp_cuse.switch.packet import Offload, Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PORT_TYPE_NETDEV, Port, PortSpec
from tests.namespaces import Namespace
from tests.ports.frames import numbered
from tests.ports.rigs import Events, Frame, Receptions, SocketEnd

TUNSETPERSIST = 0x400454CB


@pytest.fixture
def ports(namespace: Namespace) -> Iterator[HostPorts]:
    """Ports in a namespace where there is nothing yet."""
    ports = HostPorts()
    yield ports
    ports.close()


def open_port(ports: HostPorts, name: str, ifindex: int = 0) -> Port:
    return ports.open(PortSpec(PORT_TYPE_INTERNAL, name, ifindex=ifindex))


def refusal(ports: HostPorts, name: str, ifindex: int = 0) -> int:
    with pytest.raises(DatapathError, match=str(ifindex) if ifindex else None) as caught:
        open_port(ports, name, ifindex)
    return caught.value.errno


def test_its_interface_is_as_internal_devices_are(ports: HostPorts, namespace: Namespace) -> None:
    port = open_port(ports, "inner")
    link = namespace.link("inner")
    assert (link.ifindex, link.mtu, link.flags & IFF_UP) == (port.ifindex, 1500, 0)
    other = open_port(ports, "other")
    macs = {link.mac, namespace.link("other").mac}
    assert len(macs) == 2
    assert all(mac[0] & 0b11 == 0b10 for mac in macs)  # local addresses of one station
    port.close()
    assert not namespace.has_link("inner")
    ports.close()
    assert not namespace.has_link("other")
    assert other.stats.rx_packets == 0


def test_names_and_indexes(ports: HostPorts, namespace: Namespace) -> None:
    assert open_port(ports, "tap%d").name == "tap0"
    assert open_port(ports, "tap%d").name == "tap1"
    assert open_port(ports, "wanted", 4711).ifindex == 4711
    namespace.add_veth("veth", "other")
    assert refusal(ports, "wanted") == EEXIST
    assert refusal(ports, "veth") == EEXIST
    assert refusal(ports, "lo") == EEXIST
    assert refusal(ports, "another", 4711) == EBUSY
    assert refusal(ports, "a/b") == EINVAL
    assert refusal(ports, "a" * 16) == EINVAL
    unlettered = os.fsdecode(b"\xff\xfe")
    assert open_port(ports, unlettered).name == unlettered
    assert refusal(ports, unlettered) == EEXIST


def test_a_tap_of_somebody_else_is_not_taken(ports: HostPorts) -> None:
    with Path(DEVICE).open("rb+", buffering=0) as tap:
        fcntl.ioctl(tap, TUNSETIFF, IFREQ.pack(b"theirs", IFF_TAP | IFF_NO_PI))
        fcntl.ioctl(tap, TUNSETPERSIST, 1)
    assert refusal(ports, "theirs") == EEXIST


def test_where_the_kernel_has_no_taps_it_says_so(
    ports: HostPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsdp_cuse.ports.tap.DEVICE", "/dev/net/nothing")
    with pytest.raises(DatapathError, match="module tun is missing"):
        open_port(ports, "inner")


async def test_frames_for_an_interface_that_is_down_are_drops(
    ports: HostPorts, namespace: Namespace
) -> None:
    port = open_port(ports, "inner")
    for number in range(3):
        assert not port.transmit(Packet.of(numbered(number)))
    assert (port.stats.rx_packets, port.stats.rx_dropped) == (0, 3)
    namespace.set_up("inner")
    end = SocketEnd("inner")
    assert not port.transmit(Packet.of(numbered(4), Offload(1, 0, 0, 0, 9000, 16)))
    assert not port.transmit(Packet.of(numbered(5)))
    assert await end.receive() == Frame(numbered(5))
    assert (port.stats.rx_packets, port.stats.rx_dropped, port.stats.rx_errors) == (1, 3, 1)
    end.socket.close()


async def test_it_stays_a_port_in_another_namespace(
    ports: HostPorts, namespace: Namespace, new_namespace: Callable[[], Namespace]
) -> None:
    """As internal devices do: so a container gets its interface."""
    elsewhere = new_namespace()
    elsewhere.add_veth("veth", "other")  # so the index is another one there
    port = open_port(ports, "inner", ifindex=2)
    got, events = Receptions(port), Events(ports)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        namespace.move_link("inner", elsewhere)
        await events.wait("changed", "inner 1500")
        assert port.netns_id is not None
        assert port.ifindex == elsewhere.link("inner").ifindex != 2
        elsewhere.set_up("inner")
        with elsewhere:
            end = SocketEnd("inner")
        end.send(numbered(1))
        assert await got.wait(1) == [Frame(numbered(1))]
        port.transmit(Packet.of(numbered(2)))
        assert await end.receive() == Frame(numbered(2))
        assert (port.stats.rx_packets, port.stats.tx_packets) == (1, 1)
        end.socket.close()
        there_again = open_port(ports, "inner", ifindex=2)
        elsewhere.delete_link("inner")
        await events.wait("vanished", "inner")
        assert namespace.link("inner").ifindex == there_again.ifindex
        nursery.cancel_scope.cancel()


async def test_the_host_may_change_it(ports: HostPorts, namespace: Namespace) -> None:
    port = open_port(ports, "inner")
    events = Events(ports)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        namespace.set_link("inner", ("IFLA_ADDRESS", "02:00:00:00:00:77"), ("IFLA_MTU", 65_521))
        await events.wait("changed", "inner 65521")
        nursery.cancel_scope.cancel()
    assert ports.interface("inner").mac == bytes.fromhex("020000000077")
    assert port.mtu == 65_521


def test_a_full_queue_of_the_interface_is_counted(ports: HostPorts, namespace: Namespace) -> None:
    port = open_port(ports, "inner")
    namespace.set_up("inner")
    end, got = SocketEnd("inner"), Receptions(port)
    count = 5000
    sent = 0
    for number in range(count):
        try:
            end.send(numbered(number))
            sent += 1
        except OSError:  # ENOBUFS: the interface's queue on the host's side is full
            break
    before = port.stats
    while port.stats.tx_packets + port.stats.tx_dropped < sent and not _is_idle(ports, got):
        pass
    assert len(got.frames) == port.stats.tx_packets
    assert len(got.frames) >= before.tx_packets
    end.socket.close()


def _is_idle(ports: HostPorts, got: Receptions) -> bool:
    before = len(got.frames)
    ports.receive_waiting()
    return len(got.frames) == before


def test_thousands_of_them(ports: HostPorts, namespace: Namespace) -> None:
    """4,096 ports, as many descriptors; the first and the last one work, and all can be closed."""
    opened = [open_port(ports, f"t{number}") for number in range(4096)]
    assert len({port.ifindex for port in opened}) == 4096
    for port in (opened[0], opened[-1]):
        namespace.set_up(port.name)
        end, got = SocketEnd(port.name), Receptions(port)
        end.send(numbered(1))
        while not got.frames:
            ports.receive_waiting()
        assert got.frames == [Frame(numbered(1))]
        end.socket.close()
    ports.close_ports(opened)
    assert not any(namespace.has_link(port.name) for port in opened)


def test_ports_are_closed_together_whatever_has_become_of_them(
    ports: HostPorts, namespace: Namespace, new_namespace: Callable[[], Namespace]
) -> None:
    namespace.add_veth("veth", "other")
    opened = [open_port(ports, f"t{number}") for number in range(4)]
    opened.append(ports.open(PortSpec(PORT_TYPE_NETDEV, "veth")))
    namespace.delete_link("t1")
    elsewhere = new_namespace()
    namespace.move_link("t2", elsewhere)
    opened[0].close()
    ports.close_ports(opened)
    assert not any(namespace.has_link(f"t{number}") for number in range(4))
    assert not elsewhere.has_link("t2")
    assert namespace.has_link("veth")
