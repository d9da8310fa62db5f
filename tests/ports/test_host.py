"""The provider of the host's ports: what one port does is nothing to the others."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import EIO
from types import SimpleNamespace

import pytest
import trio

from ovsdp_cuse.ports.host import BUILT_IN, HostPorts, installed_kinds
from ovsdp_cuse.ports.kind import Host, HostPort, PortKindError
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import PORT_TYPE_NETDEV, PortSpec
from tests.namespaces import Namespace
from tests.ports.frames import numbered
from tests.ports.rigs import Events, Receptions, SocketEnd

PIPE_TYPE = 99


class PipePort(HostPort):
    """A port of a kind of its own: a pair of connected sockets, with no interface."""

    type = PIPE_TYPE

    def __init__(self, name: str) -> None:
        super().__init__(name, ifindex=0)
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.setblocking(False)
        self.breaks = False

    def fileno(self) -> int:
        return self.ours.fileno()

    def receive_batch(self) -> None:
        if self.breaks:
            raise OSError(EIO, "broken")
        self.receive(Packet.of(self.ours.recv(2048)))
        self.received()

    def transmit(self, packet: Packet) -> bool:
        self.ours.send(packet.frame)
        return False

    def release(self) -> None:
        self.ours.close()
        self.theirs.close()


class PipeKind:
    """What another package would register."""

    type = PIPE_TYPE

    def open(self, spec: PortSpec, host: Host) -> PipePort:
        return PipePort(spec.name)


@pytest.fixture
def ports() -> Iterator[HostPorts]:
    """Ports that take no privileges."""
    ports = HostPorts((*BUILT_IN, PipeKind()))
    yield ports
    ports.close()


def open_pipe(ports: HostPorts, name: str) -> PipePort:
    port = ports.open(PortSpec(PIPE_TYPE, name))
    assert isinstance(port, PipePort)
    return port


async def test_a_kind_of_another_package_is_a_kind(ports: HostPorts) -> None:
    assert ports.has_type(PIPE_TYPE)
    port = open_pipe(ports, "pipe")
    got = Receptions(port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        port.theirs.send(numbered(1))
        assert (await got.wait(1))[0].frame == numbered(1)
        nursery.cancel_scope.cancel()
    port.transmit(Packet.of(numbered(2)))
    assert port.theirs.recv(2048) == numbered(2)
    assert installed_kinds() == []


async def test_what_fails_in_a_port_is_nothing_to_the_others(
    ports: HostPorts, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, failing, well = (open_pipe(ports, name) for name in ("broken", "failing", "well"))
    got, events = Receptions(well), Events(ports)

    def fail(packet: Packet) -> None:
        raise ValueError("this packet is more than I can take")

    failing.receive = fail
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        failing.theirs.send(numbered(1))
        broken.breaks = True
        broken.theirs.send(numbered(1))
        await events.wait("vanished", "broken")
        well.theirs.send(numbered(2))
        await got.wait(1)
        nursery.cancel_scope.cancel()
    assert "more than I can take" in capsys.readouterr().out
    assert events.seen == [("vanished", "broken")]


async def test_a_flooded_port_lets_the_others_have_their_turn(ports: HostPorts) -> None:
    flooded, other = open_pipe(ports, "flooded"), open_pipe(ports, "other")
    got = Receptions(other)
    turns = 0

    def again(packet: Packet) -> None:
        flooded.theirs.send(packet.frame)

    flooded.receive = again

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        nursery.start_soon(count_turns)
        flooded.theirs.send(numbered(1))
        other.theirs.send(numbered(2))
        await got.wait(1)
        assert turns > 0
        nursery.cancel_scope.cancel()


def close_it(port: HostPort) -> Callable[[Packet], None]:
    """What a port may do with a packet, too."""
    return lambda packet: port.close()


async def test_ports_come_and_go_while_it_runs(ports: HostPorts) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        for number in range(10):
            first, second = open_pipe(ports, "first"), open_pipe(ports, "second")
            got = Receptions(second)
            first.receive = close_it(second)
            second.theirs.send(numbered(number))
            assert (await got.wait(1))[0].frame == numbered(number)
            first.theirs.send(numbered(number))
            second.theirs.send(numbered(number))
            first.close()
            second.close()
        nursery.cancel_scope.cancel()


async def test_lost_notifications_are_made_up_for(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsdp_cuse.ports.interfaces.SOCKET_MEMORY", 4096)
    ports = HostPorts()
    names = ("stays", "renamed", "gone")
    for name in names:
        namespace.add_veth(name, f"{name}-end")
        ports.open(PortSpec(PORT_TYPE_NETDEV, name))
    events = Events(ports)
    for number in range(100):
        namespace.set_link("lo", ("IFLA_MTU", 60_000 + number))
    namespace.rename_link("renamed", "other")
    namespace.delete_link("gone")
    namespace.set_link("stays", ("IFLA_MTU", 1400))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ports.run)
        await events.wait("renamed", "renamed other")
        await events.wait("vanished", "gone")
        await events.wait("changed", "stays 1400")
        nursery.cancel_scope.cancel()
    ports.close()


def test_what_has_happened_is_told_when_somebody_asks(namespace: Namespace) -> None:
    ports = HostPorts()
    namespace.add_veth("gone", "end")
    ports.open(PortSpec(PORT_TYPE_NETDEV, "gone"))
    events = Events(ports)
    namespace.delete_link("gone")
    assert events.seen == []
    ports.follow()
    assert events.seen[-1] == ("vanished", "gone")
    ports.close()


def test_any_interface_can_be_looked_at(namespace: Namespace) -> None:
    ports = HostPorts()
    interface = ports.interface("lo")
    assert (interface.name, interface.is_up, interface.is_promiscuous) == ("lo", False, False)
    namespace.set_up("lo")
    assert ports.interface("lo").is_up
    namespace.add_veth("one", "two")
    end = SocketEnd("two")
    assert ports.interface("two").mac == namespace.link("two").mac
    end.socket.close()
    ports.close()


def test_as_many_descriptors_as_there_may_be(ports: HostPorts) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard


@dataclass(frozen=True)
class Entry:
    """An entry point, as importlib.metadata has them."""

    name: str
    value: str
    found: object

    def load(self) -> object:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (ImportError("no module"), "'pipe' of entry point 'pipe:KIND' cannot be loaded"),
        ("a string", "'pipe' of entry point 'pipe:KIND' cannot be loaded"),
        (SimpleNamespace(type=9), "'pipe' (pipe:KIND) is no PortKind"),
        (SimpleNamespace(type="9", open=print), "'pipe' (pipe:KIND) is no PortKind"),
    ],
)
def test_a_broken_kind_is_told(
    monkeypatch: pytest.MonkeyPatch, found: object, complaint: str
) -> None:
    entries = [Entry("pipe", "pipe:KIND", found)]
    monkeypatch.setattr("ovsdp_cuse.ports.host.entry_points", lambda group: entries)
    with pytest.raises(PortKindError) as caught:
        installed_kinds()
    assert complaint in str(caught.value)


def test_two_kinds_cannot_have_one_type() -> None:
    with pytest.raises(PortKindError, match="the type 99"):
        HostPorts((*BUILT_IN, PipeKind(), PipeKind()))
