"""What is of ports alone that are existing interfaces: packet sockets and the host's stack."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from errno import EBUSY, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM
from pathlib import Path

import pytest
import trio
import trio.testing

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.host import HostPorts
from ovsdp_cuse.ports.ingress import leave_frames, take_frames, was_left
from ovsdp_cuse.ports.kind import HostPort
from ovsdp_cuse.ports.netdev import ETH_P_ALL
from ovsdp_cuse.ports.rtnetlink import RouteSocket
from ovsdp_cuse.ports.tap import DEVICE, IFF_NO_PI, IFREQ, TUNSETIFF
from ovsdp_cuse.switch.packet import Offload, Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PORT_TYPE_NETDEV, Port, PortSpec
from tests.namespaces import Namespace
from tests.ports.frames import numbered, tcp
from tests.ports.rigs import Events, Frame, Receptions, SocketEnd

IFF_TUN = 0x0001
SO_ATTACH_FILTER = 26
ADDRESS = "10.1.0.1"


@pytest.fixture
def ports(namespace: Namespace) -> Iterator[HostPorts]:
    """Ports in a namespace where `port` and `end` are a pair of interfaces."""
    namespace.add_veth("port", "end")
    ports = HostPorts()
    yield ports
    ports.close()


@pytest.fixture
def end(ports: HostPorts) -> Iterator[SocketEnd]:
    """The other end of the pair."""
    end = SocketEnd("end")
    yield end
    end.socket.close()


def open_port(ports: HostPorts, name: str = "port") -> Port:
    return ports.open(PortSpec(PORT_TYPE_NETDEV, name))


def refusal(ports: HostPorts, name: str) -> tuple[int, str]:
    with pytest.raises(DatapathError) as caught:
        open_port(ports, name)
    return caught.value.errno, caught.value.message


def arp_request() -> bytes:
    """Who has ADDRESS?"""
    sender = bytes.fromhex("020000000009") + socket.inet_aton("10.1.0.2")
    target = bytes(6) + socket.inet_aton(ADDRESS)
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + sender + target
    return b"\xff" * 6 + sender[:6] + b"\x08\x06" + arp + bytes(18)


async def host_answers(end: SocketEnd) -> bool:
    """Whether the host's stack answers; where it does not, the frames after it come first."""
    end.send(arp_request())
    with trio.move_on_after(0.2):  # the stack answers while the frame is sent
        frame = await end.receive()
        return frame.frame[12:14] == b"\x08\x06"
    return False


async def test_the_host_does_not_see_what_a_port_receives(
    ports: HostPorts, end: SocketEnd, namespace: Namespace
) -> None:
    namespace.add_address("port", ADDRESS, 24)
    assert await host_answers(end)
    port = open_port(ports)
    assert not await host_answers(end)
    port.close()
    assert await host_answers(end)


async def test_a_filter_that_a_dead_daemon_has_left_is_replaced(
    ports: HostPorts, end: SocketEnd, namespace: Namespace
) -> None:
    namespace.add_address("port", ADDRESS, 24)
    route = RouteSocket()
    assert take_frames(route, namespace.link("port").ifindex)
    route.close()
    assert not await host_answers(end)
    open_port(ports).close()
    assert await host_answers(end)
    assert namespace.qdiscs("port") == ["noqueue"]


async def test_a_filter_that_somebody_removes_is_put_back(
    ports: HostPorts, end: SocketEnd, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsdp_cuse.ports.host.QDISC_PATIENCE_S", 0.0)
    namespace.add_address("port", ADDRESS, 24)
    port = open_port(ports)
    route = RouteSocket()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        leave_frames(route, port.ifindex, remove_qdisc=False)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not await host_answers(end)
        leave_frames(route, port.ifindex, remove_qdisc=True)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not await host_answers(end)
        nursery.cancel_scope.cancel()
    route.close()


async def test_the_filter_goes_into_a_qdisc_that_comes_instead(
    ports: HostPorts, namespace: Namespace
) -> None:
    """Open vSwitch removes an interface's ingress qdisc, and adds one to police it."""
    port = open_port(ports)
    route = RouteSocket()
    leave_frames(route, port.ifindex, remove_qdisc=True)
    ports.follow()
    assert namespace.qdiscs("port") == ["noqueue"], "none is made at once"
    assert take_frames(route, port.ifindex), "so there is room for that of somebody else"
    leave_frames(route, port.ifindex, remove_qdisc=False)
    ports.follow()
    assert was_left(route, port.ifindex)
    port.close()
    assert namespace.qdiscs("port") == ["noqueue", "ingress"], "it stays: it is not ours"
    route.close()


def test_a_queueing_discipline_of_the_user_stays(ports: HostPorts, namespace: Namespace) -> None:
    route = RouteSocket()
    ifindex = namespace.link("port").ifindex
    assert take_frames(route, ifindex)
    leave_frames(route, ifindex, remove_qdisc=False)  # so there is a qdisc without any filter
    open_port(ports).close()
    assert not take_frames(route, ifindex)
    leave_frames(route, ifindex, remove_qdisc=True)
    open_port(ports).close()
    assert take_frames(route, ifindex)  # while that of the port itself goes
    route.close()


def test_interfaces_that_cannot_be_ports(ports: HostPorts, namespace: Namespace) -> None:
    ports.open(PortSpec(PORT_TYPE_INTERNAL, "inner"))
    assert refusal(ports, "nothing") == (ENODEV, "there is no interface 'nothing'")
    assert refusal(ports, "nothing" * 9)[0] == ENODEV
    assert refusal(ports, "lo") == (EINVAL, "'lo' is a loopback interface")
    assert refusal(ports, "inner") == (EINVAL, "'inner' is an internal port")
    open_port(ports)
    assert refusal(ports, "port") == (EBUSY, "'port' is a port already")
    namespace.add_link("bridge", "bridge")
    master = namespace.link("bridge").ifindex
    namespace.set_link("end", ("IFLA_MASTER", master))
    assert refusal(ports, "end") == (EBUSY, f"'end' belongs to interface {master}")


def test_a_port_of_another_daemon_is_busy(ports: HostPorts) -> None:
    others = HostPorts()
    theirs = open_port(others)
    assert refusal(ports, "port")[0] == EBUSY
    theirs.close()
    open_port(ports)
    assert refusal(others, "port")[0] == EBUSY
    others.close()


def test_interfaces_without_ethernet_are_refused(ports: HostPorts) -> None:
    with Path(DEVICE).open("rb+", buffering=0) as tun:
        fcntl.ioctl(tun, TUNSETIFF, IFREQ.pack(b"tun0", IFF_TUN | IFF_NO_PI))
        errno, text = refusal(ports, "tun0")
    assert errno == EOPNOTSUPP
    assert "without an Ethernet header" in text


@pytest.mark.parametrize("kind", [PORT_TYPE_NETDEV, PORT_TYPE_INTERNAL])
def test_without_privileges_it_says_what_is_needed(ports: HostPorts, kind: int) -> None:
    name = "port" if kind == PORT_TYPE_NETDEV else "inner"
    os.seteuid(65534)
    try:
        with pytest.raises(DatapathError, match="the daemon needs CAP_NET_ADMIN") as caught:
            ports.open(PortSpec(kind, name))
    finally:
        os.seteuid(0)
    assert caught.value.errno == EPERM
    ports.open(PortSpec(kind, name))


def test_a_kernel_without_the_filters_is_told_and_nothing_stays(
    ports: HostPorts, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_arguments: object) -> None:
        raise OSError(ENOENT, os.strerror(ENOENT))

    before = namespace.qdiscs("port")
    with monkeypatch.context() as patch:
        patch.setattr("ovsdp_cuse.ports.ingress.add_filter", lacking)
        errno, text = refusal(ports, "port")
    assert errno == ENOENT
    assert "the kernel lacks sch_ingress or cls_bpf" in text
    assert namespace.qdiscs("port") == before
    open_port(ports)
    assert namespace.qdiscs("port") == [*before, "ingress"]


def test_filters_that_cannot_be_read_do_no_harm(
    ports: HostPorts, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_arguments: object) -> list[bytes]:
        raise OSError(EPERM, os.strerror(EPERM))

    before = namespace.qdiscs("port")
    with monkeypatch.context() as patch:
        patch.setattr("ovsdp_cuse.ports.netdev.filters", failing)
        assert refusal(ports, "port")[0] == EPERM
        assert namespace.qdiscs("port") == before, "nothing takes its frames"
    port = open_port(ports)
    assert isinstance(port, HostPort)
    with monkeypatch.context() as patch:
        patch.setattr("ovsdp_cuse.ports.netdev.filters", failing)
        assert port.filters_changed(make_qdisc=True)
        port.filters_changed(make_qdisc=False)
    assert namespace.qdiscs("port") == [*before, "ingress"]


async def test_what_an_interface_refuses_is_counted(
    ports: HostPorts, end: SocketEnd, namespace: Namespace
) -> None:
    port = open_port(ports)
    namespace.set_up("port", False)
    for number in range(40):
        port.transmit(Packet.of(numbered(number)))
    port.flush()
    assert port.stats.tx_dropped == 40
    namespace.set_up("port")
    wrong = Offload(1, 0, 0, 0, 9000, 16)  # a checksum beyond the frame
    port.transmit(Packet.of(numbered(1), wrong))
    port.transmit(Packet.of(numbered(2)))
    port.flush()
    assert await end.receive() == Frame(numbered(2))
    assert (port.stats.tx_errors, port.stats.tx_dropped) == (1, 40)


async def test_a_port_outlives_that_its_interface_is_down(
    ports: HostPorts, end: SocketEnd, namespace: Namespace
) -> None:
    port = open_port(ports)
    got, events = Receptions(port), Events(ports)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        namespace.set_up("port", False)
        await events.wait("changed", "port 1500")
        namespace.set_up("port")
        namespace.wait_running("end")
        end.send(numbered(1))
        await got.wait(1)
        nursery.cancel_scope.cancel()
    assert got.frames[0] == Frame(numbered(1))
    assert port.stats.rx_errors == 0


def test_what_does_not_fit_into_the_socket_is_counted(ports: HostPorts, end: SocketEnd) -> None:
    port = open_port(ports)
    got = Receptions(port)
    frame, count = tcp(60_000, 1448), 500
    for _ in range(count):
        end.send(*frame)
    lost = port.stats.rx_dropped
    assert lost > 0
    assert port.stats.rx_dropped == lost
    while not got.batches or got.batches[-1] < count - lost:
        ports.receive_waiting()
    assert len(got.frames) == count - lost


async def test_an_interface_that_goes_to_another_namespace_leaves_its_port(
    ports: HostPorts, namespace: Namespace, new_namespace: Callable[[], Namespace]
) -> None:
    elsewhere = new_namespace()
    open_port(ports)
    events = Events(ports)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        namespace.move_link("port", elsewhere)
        await events.wait("vanished", "port")
        nursery.cancel_scope.cancel()
    elsewhere.move_link("port", namespace)
    open_port(ports)


async def test_leaving_a_bridge_is_no_end(
    ports: HostPorts, end: SocketEnd, namespace: Namespace
) -> None:
    """A bridge tells of interfaces that leave it as if they were gone, in its own family."""
    port = open_port(ports)
    got, events = Receptions(port), Events(ports)
    namespace.add_link("bridge", "bridge")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        namespace.set_link("port", ("IFLA_MASTER", namespace.link("bridge").ifindex))
        namespace.set_link("port", ("IFLA_MASTER", 0))
        namespace.set_link("port", ("IFLA_MTU", 1400))
        await events.wait("changed", "port 1400")
        end.send(numbered(1))
        await got.wait(1)
        nursery.cancel_scope.cancel()
    assert ("vanished", "port") not in events.seen


async def test_an_interface_vanishes_under_traffic(
    ports: HostPorts, end: SocketEnd, namespace: Namespace
) -> None:
    port = open_port(ports)
    got, events = Receptions(port), Events(ports)
    got.each = lambda packet: port.flush() if port.transmit(packet) else None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        for number in range(1000):
            end.send(numbered(number))
        await got.wait(1)
        namespace.delete_link("port")
        await events.wait("vanished", "port")
        nursery.cancel_scope.cancel()
    assert port.stats.rx_packets == 0  # there is nobody left who knows
    assert not port.transmit(Packet.of(numbered(1))) or port.stats.tx_packets == 0


async def test_priority_and_mark_go_with_each_packet(ports: HostPorts, end: SocketEnd) -> None:
    port = open_port(ports)
    seen = marked_frames("port")
    for number, mark in enumerate((0, 7, 7, 0, 9, 7)):
        packet = Packet.of(numbered(number))
        packet.mark, packet.priority = mark, number
        port.transmit(packet)
    port.flush()
    assert [(await end.receive()).frame for _ in range(6)] == [numbered(n) for n in range(6)]
    assert [seen.recv(2048) for _ in range(3)] == [numbered(n) for n in (1, 2, 5)]
    seen.close()


def marked_frames(interface: str) -> socket.socket:
    """A packet socket that sees frames with mark 7 only, those that go out too."""
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    # Classic BPF: load the mark (SKF_AD_OFF + SKF_AD_MARK); is it 7?; return all; return nothing.
    program = struct.pack(
        "=HBBI HBBI HBBI HBBI",
        *(0x20, 0, 0, 0xFFFFF014),
        *(0x15, 0, 1, 7),
        *(0x06, 0, 0, 0xFFFF),
        *(0x06, 0, 0, 0),
    )
    buffer = ctypes.create_string_buffer(program)
    seen.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 4, ctypes.addressof(buffer))
    )
    seen.bind((interface, ETH_P_ALL))
    seen.settimeout(20)
    return seen
