"""A daemon that switches: real frames between namespaces, through a real node.

The daemon runs in a namespace of its own with two veth ports, whose other ends are hosts. Here is
no Open vSwitch: the test gets the misses and puts the flows.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType
from tests.namespaces import Namespace, fresh_namespaces
from tests.nodes.calls import wait_until
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S
from tests.ports.rigs import SocketEnd

LEFT, RIGHT, SWITCH = "10.9.0.1", "10.9.0.2", "10.9.0.3"
VLAN_TPID = 0x8100


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def output(port: int) -> bytes:
    return pack_attribute(ActionAttr.OUTPUT, u32(port))


class Lan:
    """A daemon with datapath x, whose ports 1 and 2 are wires to the hosts left and right."""

    def __init__(self, daemon: Daemon, path: Path, switch: Namespace, hosts: list[Namespace]):
        self.daemon = daemon
        self.path = path
        self.switch = switch
        self.left, self.right = hosts
        self.device = Device(path)
        settings = {DpAttr.USER_FEATURES: 1, DpAttr.UPCALL_PID: (self.device.pid,)}
        made = self.device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "x"} | settings)
        assert made is not None
        self.index = made.dp_ifindex
        for name in ("to-left", "to-right"):
            self.add_port(name)

    def add_port(self, name: str, kind: VportType = VportType.NETDEV) -> Message:
        port: dict[int, Any] = {VportAttr.NAME: name, VportAttr.TYPE: kind}
        port[VportAttr.UPCALL_PID] = (self.device.pid,)
        return self.ask(VPORT, VportCmd.NEW, port)

    def ask(self, schema: Any, command: int, attributes: Any) -> Message:
        reply = self.device.transact(schema, command, attributes, dp_ifindex=self.index)
        assert reply is not None
        return reply

    def put_flow(self, in_port: int, actions: bytes) -> None:
        """A flow for ARP and IPv4 that come in by a port: nobody here speaks anything else."""
        for eth_type, header in (
            (0x0806, pack_attribute(KeyAttr.ARP, bytes(24))),
            (0x0800, pack_attribute(KeyAttr.IPV4, bytes(12))),
        ):
            key = pack_attribute(KeyAttr.IN_PORT, u32(in_port))
            key += pack_attribute(KeyAttr.ETHERNET, bytes(12))
            key += pack_attribute(KeyAttr.ETHERTYPE, struct.pack("!H", eth_type)) + header
            mask = pack_attribute(KeyAttr.IN_PORT, u32(0xFFFFFFFF))
            mask += pack_attribute(KeyAttr.ETHERTYPE, b"\xff\xff")
            flow = {FlowAttr.KEY: key, FlowAttr.MASK: mask, FlowAttr.ACTIONS: actions}
            self.ask(FLOW, FlowCmd.NEW, flow)

    def wire(self) -> None:
        """What comes in by one port goes out by the other."""
        self.put_flow(1, output(2))
        self.put_flow(2, output(1))

    @contextmanager
    def hub(self) -> Iterator[list[bytes]]:
        """Answer misses as a hub, with an exact flow for each; yields the keys that missed."""
        missed: list[bytes] = []
        stopping = threading.Event()

        def answer() -> None:
            while not stopping.is_set():
                event = self.device.next_event(timeout=0.1)
                if event is None or event[0] is not PACKET:
                    continue
                told = event[1].attributes
                key = told[PacketAttr.KEY]
                missed.append(key)
                in_port = KEY.decode(key, False)[KeyAttr.IN_PORT]
                actions = b"".join(output(port) for port in (1, 2) if port != in_port)
                flow = {FlowAttr.KEY: key, FlowAttr.ACTIONS: actions}
                self.device.transact(FLOW, FlowCmd.NEW, flow, dp_ifindex=self.index)
                execute = {PacketAttr.KEY: key, PacketAttr.ACTIONS: actions}
                execute[PacketAttr.PACKET] = told[PacketAttr.PACKET]
                self.device.transact(PACKET, PacketCmd.EXECUTE, execute, dp_ifindex=self.index)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield missed
        finally:
            stopping.set()
            thread.join()


@pytest.fixture
def new_namespace() -> Iterator[Callable[[], Namespace]]:
    with fresh_namespaces() as make:
        yield make


@pytest.fixture
def lan(kind: str, path: Path, new_namespace: Callable[[], Namespace]) -> Iterator[Lan]:
    switch = new_namespace()
    hosts = []
    for name, address in (("left", LEFT), ("right", RIGHT)):
        host = new_namespace()
        switch.add_veth(f"to-{name}", "eth0", host)
        host.add_address("eth0", address, 24)
        hosts.append(host)
    with switch, Daemon(kind, path, interfaces="host") as daemon:
        lan = Lan(daemon, path, switch, hosts)
        yield lan
        lan.device.close()
        if daemon.process.poll() is None:
            assert daemon.stop() == 0, daemon.log
        assert "Traceback" not in daemon.log, daemon.log
        assert not switch.has_link("x"), "the local port goes with the daemon"


def ping(host: Namespace, address: str) -> bool:
    """Whether a UDP datagram to the discard port of an address is answered: port unreachable."""
    with host, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(DEADLINE_S)
        probe.connect((address, 9))
        probe.send(b"ping")
        try:
            probe.recv(1)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False
    return False


def stats(lan: Lan, name: str) -> Any:
    return lan.ask(VPORT, VportCmd.GET, {VportAttr.NAME: name}).attributes[VportAttr.STATS]


def test_hosts_reach_each_other_by_flows(lan: Lan) -> None:
    lan.wire()
    assert ping(lan.left, RIGHT)
    assert ping(lan.right, LEFT)
    flows = list(lan.device.dump(FLOW, FlowCmd.GET, dp_ifindex=lan.index))
    assert sum(flow.attributes[FlowAttr.STATS].n_packets for flow in flows) >= 6


def test_misses_are_answered_by_userspace(lan: Lan) -> None:
    with lan.hub() as missed:
        assert ping(lan.left, RIGHT)
    assert len(missed) >= 4, "ARP, UDP and ICMP, there and back"
    told = lan.ask(DATAPATH, DpCmd.GET, {DpAttr.NAME: "x"}).attributes[DpAttr.STATS]
    assert told.missed >= len(missed)
    assert told.flows == len(set(missed))


def test_the_host_of_the_switch_is_reached_by_its_local_port(lan: Lan) -> None:
    lan.switch.set_up("x")
    lan.switch.add_address("x", SWITCH, 24)
    lan.put_flow(1, output(0))
    lan.put_flow(0, output(1))
    assert ping(lan.left, SWITCH)
    assert ping(lan.switch, LEFT)


def test_what_a_port_receives_is_taken_from_the_host(lan: Lan) -> None:
    """The switch's own address on a port's interface is reached by nobody."""
    lan.switch.add_address("to-left", SWITCH, 24)
    with lan.left, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.5)
        probe.connect((SWITCH, 9))
        with pytest.raises(OSError):  # no ARP reply: EHOSTUNREACH or a timeout
            probe.send(b"ping")
            probe.recv(1)
    assert stats(lan, "to-left").rx_packets >= 1


def test_a_port_is_gone_when_its_interface_is(lan: Lan) -> None:
    """Also for who asks at once: Open vSwitch does, when it hears of the interface's end."""
    for name in ("to-left", "to-right"):
        lan.switch.delete_link(name)
        ports = lan.device.dump(VPORT, VportCmd.GET, dp_ifindex=lan.index)
        assert name not in [port.attributes[VportAttr.NAME] for port in ports]


def test_tcp_arrives_whole(lan: Lan) -> None:
    """Segments of 64 KB with checksums left to be made, as the hosts' interfaces send them."""
    lan.wire()
    payload = os.urandom(1 << 20) * 8
    with lan.right, socket.create_server((RIGHT, 0)) as server:
        received = hashlib.sha256()

        def receive() -> None:
            with server.accept()[0] as connection:
                while block := connection.recv(1 << 16):
                    received.update(block)

        thread = threading.Thread(target=receive)
        thread.start()
        with lan.left, socket.create_connection(server.getsockname(), DEADLINE_S) as connection:
            connection.sendall(payload)
        thread.join(DEADLINE_S)
    assert received.digest() == hashlib.sha256(payload).digest()
    sizes = stats(lan, "to-right")
    assert sizes.tx_bytes / sizes.tx_packets > 2000, "segments went through in one"


async def test_tags_are_pushed_and_popped(lan: Lan) -> None:
    """Between the switch and the right host frames are tagged, and the left host knows nothing."""
    tag = struct.pack("!HH", VLAN_TPID, 7)
    push = struct.pack("!HH", VLAN_TPID, 0x1000 | 7)  # the bit says that there is a tag
    lan.put_flow(1, pack_attribute(ActionAttr.PUSH_VLAN, push) + output(2))
    inner = pack_attribute(KeyAttr.ETHERTYPE, b"\x08\0") + pack_attribute(KeyAttr.IPV4, bytes(12))
    key = b"".join(
        (
            pack_attribute(KeyAttr.IN_PORT, u32(2)),
            pack_attribute(KeyAttr.ETHERNET, bytes(12)),
            pack_attribute(KeyAttr.ETHERTYPE, struct.pack("!H", VLAN_TPID)),
            pack_attribute(KeyAttr.VLAN, struct.pack("!H", 0x1000 | 7)),
            pack_attribute(KeyAttr.ENCAP, inner),
        )
    )
    lan.ask(
        FLOW,
        FlowCmd.NEW,
        {
            FlowAttr.KEY: key,
            FlowAttr.MASK: b"".join(
                (
                    pack_attribute(KeyAttr.IN_PORT, u32(0xFFFFFFFF)),
                    pack_attribute(KeyAttr.ETHERTYPE, b"\xff\xff"),
                    pack_attribute(KeyAttr.VLAN, b"\xff\xff"),
                    pack_attribute(KeyAttr.ENCAP, pack_attribute(KeyAttr.ETHERTYPE, b"\xff\xff")),
                )
            ),
            FlowAttr.ACTIONS: pack_attribute(ActionAttr.POP_VLAN, b"") + output(1),
        },
    )
    body = b"\x08\0" + IPV4_HEADER + bytes(40)
    there, back = (b"\x02\0\0\0\0\2\x02\0\0\0\0\1", b"\x02\0\0\0\0\1\x02\0\0\0\0\2")
    with lan.left:
        left = SocketEnd("eth0")
    with lan.right:
        right = SocketEnd("eth0")
    left.send(there + body)
    assert await next_of(right, there) == there + tag + body
    right.send(back + tag + body)
    assert await next_of(left, back) == back + body
    left.socket.close()
    right.socket.close()


IPV4_HEADER = bytes.fromhex("4500003c00000000401166a0") + bytes([10, 9, 0, 1, 10, 9, 0, 2])


async def next_of(end: SocketEnd, addresses: bytes) -> bytes:
    """The next frame with these addresses."""
    while True:
        frame = (await end.receive()).frame
        if frame.startswith(addresses):
            return frame


def test_an_interface_that_vanishes_under_traffic_takes_its_port_along(lan: Lan) -> None:
    lan.wire()
    listener = Device(lan.path, read_only=True)
    listener.subscribe("ovs_vport")
    with lan.left:
        flood = subprocess.Popen(
            ("python3", "-c", FLOOD, RIGHT), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        before = stats(lan, "to-left").rx_packets
        wait_until(lambda: stats(lan, "to-left").rx_packets > before + 100, "traffic")
        lan.right.delete_link("eth0")
        event = listener.next_event(DEADLINE_S)
    finally:
        flood.kill()
        flood.wait()
    assert event is not None
    message = event[1]
    assert (message.command, message.pid, message.sequence) == (VportCmd.DEL, 0, 0)
    assert message.attributes[VportAttr.NAME] == "to-right"
    assert names_of(lan) == ["x", "to-left"]
    listener.close()


FLOOD = """
import socket, sys
flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        flood.sendto(bytes(100), (sys.argv[1], 9))
    except OSError:
        pass
"""


def names_of(lan: Lan) -> list[str]:
    """The names of the ports that a dump shows."""
    ports = lan.device.dump(VPORT, VportCmd.GET, dp_ifindex=lan.index)
    return [port.attributes[VportAttr.NAME] for port in ports]


def test_a_renamed_interface_keeps_its_port(lan: Lan) -> None:
    lan.wire()
    lan.switch.rename_link("to-right", "renamed")
    wait_until(lambda: names_of(lan) == ["x", "to-left", "renamed"], "the new name")
    wait_until(lambda: ping(lan.left, RIGHT), "the carrier is back")


def test_a_killed_daemon_leaves_no_interface_and_another_takes_over(
    lan: Lan, kind: str, path: Path
) -> None:
    lan.wire()
    assert ping(lan.left, RIGHT)
    lan.daemon.process.kill()
    lan.daemon.process.wait()
    wait_until(lambda: not lan.switch.has_link("x"), "the local port is gone")
    lan.device.close()
    lan.daemon.__exit__(None, None, None)
    with lan.switch, Daemon(kind, path, interfaces="host") as again:
        other = Lan(again, path, lan.switch, [lan.left, lan.right])
        other.wire()
        assert ping(other.left, RIGHT)
        other.device.close()
        assert again.stop() == 0
