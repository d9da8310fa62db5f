"""What is of the ports of memory alone; what all kinds share is in test_contract."""

from __future__ import annotations

from errno import EAFNOSUPPORT, EBUSY, EEXIST, EINVAL, ENODEV

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.memory import MemoryPorts, Sent
from ovsdp_cuse.switch.packet import VIRTIO_NET_HDR_F_NEEDS_CSUM, Offload, Packet
from ovsdp_cuse.switch.port import (
    PORT_TYPE_INTERNAL,
    PORT_TYPE_NETDEV,
    NoEvents,
    Port,
    PortSpec,
)

FRAME = bytes(range(60))
COMPLETE = Offload(0, 0, 0, 0, 0, 0)
PARTIAL = Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 54, 0, 34, 16)


class Record(NoEvents):
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def port_vanished(self, port: Port) -> None:
        self.events.append(("vanished", port.name))
        port.close()

    def port_renamed(self, port: Port, name: str) -> None:
        self.events.append(("renamed", name))
        port.name = name

    def port_changed(self, port: Port) -> None:
        self.events.append(("changed", f"{port.name} {port.mtu}"))


@pytest.fixture
def ports() -> MemoryPorts:
    return MemoryPorts()


def internal(name: str, ifindex: int = 0) -> PortSpec:
    return PortSpec(PORT_TYPE_INTERNAL, name, ifindex=ifindex)


def netdev(name: str) -> PortSpec:
    return PortSpec(PORT_TYPE_NETDEV, name)


def refusal(ports: MemoryPorts, spec: PortSpec) -> int:
    with pytest.raises(DatapathError) as caught:
        ports.open(spec)
    return caught.value.errno


def test_internal_ports_are_interfaces_with_indexes_of_their_own(ports: MemoryPorts) -> None:
    first, second = ports.open(internal("one")), ports.open(internal("two%d"))
    assert (first.name, second.name) == ("one", "two0")
    assert first.ifindex != second.ifindex
    assert ports.interface("two0").ifindex == second.ifindex
    assert not ports.interface("one").is_up
    assert ports.interface("one").is_promiscuous
    assert ports.open(internal("three", 77)).ifindex == 77
    first.close()
    first.close()
    with pytest.raises(DatapathError, match="one"):
        ports.interface("one")
    assert ports.open(internal("one")).ifindex not in (first.ifindex, second.ifindex, 77)


def test_indexes_that_were_wanted_are_not_given_again(ports: MemoryPorts) -> None:
    wanted = ports.open(internal("wanted", 3))
    others = {ports.open(internal(f"i{number}")).ifindex for number in range(3)}
    assert len(others) == 3
    assert wanted.ifindex not in others


def test_refusals(ports: MemoryPorts) -> None:
    ports.add_interface("eth0")
    ports.open(internal("inner", 9))
    ports.open(netdev("eth0"))
    assert refusal(ports, internal("inner")) == EEXIST
    assert refusal(ports, internal("eth0")) == EEXIST
    assert refusal(ports, internal("other", 9)) == EBUSY
    assert refusal(ports, internal("a/b")) == EINVAL
    assert refusal(ports, netdev("inner")) == EINVAL
    assert refusal(ports, netdev("eth0")) == EBUSY
    assert refusal(ports, netdev("eth1")) == ENODEV
    assert refusal(ports, PortSpec(3, "gre0")) == EAFNOSUPPORT
    with pytest.raises(DatapathError, match="eth1"):
        ports.interface("eth1")


def test_a_declared_interface_outlives_its_port(ports: MemoryPorts) -> None:
    declared = ports.add_interface("eth0", mtu=9000)
    port = ports.open(netdev("eth0"))
    assert (port.ifindex, port.mtu) == (declared.ifindex, 9000)
    assert ports.interface("eth0").is_promiscuous
    port.close()
    assert ports.interface("eth0") == declared
    assert ports.open(netdev("eth0")).ifindex == declared.ifindex


def test_frames_that_come_in_reach_the_switch_in_a_batch(ports: MemoryPorts) -> None:
    port = ports.open(internal("inner"))
    got: list[tuple[bytes, Offload, int, int]] = []
    port.receive = lambda packet: got.append(
        (packet.frame, packet.offload, packet.priority, packet.mark)
    )
    batches: list[int] = []
    port.received = lambda: batches.append(len(got))
    port.inject(FRAME, PARTIAL, priority=1, mark=2)
    assert got == [(FRAME, PARTIAL, 1, 2)]
    assert batches == [1]
    assert (port.stats.rx_packets, port.stats.rx_bytes) == (1, len(FRAME))


def test_what_is_sent_is_taken_from_memory_when_flushed(ports: MemoryPorts) -> None:
    port = ports.open(internal("inner"))
    packet = Packet.of(FRAME, PARTIAL)
    assert port.transmit(packet)
    assert not packet.owned
    assert port.sent == []
    packet.buffer[packet.start] = 0xEE  # what a switch must not do
    port.flush()
    assert port.sent == [Sent(b"\xee" + FRAME[1:], PARTIAL, 0, 0)]
    assert (port.stats.tx_packets, port.stats.tx_bytes) == (1, len(FRAME))


async def test_what_is_sent_can_be_waited_for(ports: MemoryPorts) -> None:
    port = ports.open(internal("inner"))
    got: list[bytes] = []

    async def take() -> None:
        got.extend([(await port.take_sent()).frame for _ in range(2)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        for frame in (FRAME, FRAME[:20]):
            port.transmit(Packet.of(frame))
        port.flush()
    assert got == [FRAME, FRAME[:20]]
    assert port.sent == []


def test_changes_are_told(ports: MemoryPorts) -> None:
    ports.events = record = Record()
    ports.add_interface("eth0")
    port = ports.open(netdev("eth0"))
    ports.change_interface("eth0", mtu=9000, new_name="uplink")
    assert port.name == "uplink"
    assert ports.interface("uplink").mtu == port.mtu == 9000
    ports.remove_interface("uplink")
    assert record.events == [
        ("changed", "eth0 9000"),
        ("renamed", "uplink"),
        ("vanished", "uplink"),
    ]
    assert not port.is_open
    assert refusal(ports, netdev("uplink")) == ENODEV
