"""Hosts: namespaces with one interface, which a wire connects with a port of the switch."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.namespaces import Namespace
from tests.nodes.interface import DEADLINE_S
from tests.openvswitch.traffic.capture import ETH_P_ALL, Capture
from tests.openvswitch.traffic.ping import ping, ping_until

INTERFACE: Final = "eth0"
IPV6: Final = Path("/proc/sys/net/ipv6/conf")


class ProgramError(AssertionError):
    """A program failed; the text has what it printed."""


def ip(namespace: Namespace, *commands: str) -> None:
    """Run commands of ip(8) in a namespace, such as "link set eth0 mtu 1400"; ProgramError."""
    with namespace:
        done = subprocess.run(
            ("ip", "-batch", "-"),
            input="\n".join(commands),
            text=True,
            capture_output=True,
            timeout=DEADLINE_S,
        )
    if done.returncode:
        raise ProgramError(f"ip {commands}: {done.stderr}")


class Host:
    """A host. number: makes its addresses, 10.1.1.NUMBER and fc00::NUMBER and its MAC.

    port: the interface at the other end of its wire, which is to be a port of the switch.
    """

    def __init__(self, namespace: Namespace, switch: Namespace, number: int) -> None:
        self.namespace = namespace
        self.number = number
        self.port = f"to-h{number}"
        self.mac = f"02:00:00:00:01:{number:02x}"
        self.address = f"10.1.1.{number}"
        self.address6 = f"fc00::{number:x}"
        switch.add_veth(self.port, INTERFACE, namespace)
        namespace.set_up("lo")
        namespace.set_link(INTERFACE, ("IFLA_ADDRESS", self.mac))
        namespace.add_address(INTERFACE, self.address, 24)

    def use_ipv6(self) -> None:
        """Give it its IPv6 address: without it, it says nothing by itself.

        Linux takes a moment before it sends from there: `ping_until` waits for that.
        """
        with self.namespace:
            (IPV6 / INTERFACE / "accept_dad").write_text("0")
            (IPV6 / INTERFACE / "disable_ipv6").write_text("0")
        ip(self.namespace, f"address add {self.address6}/96 dev {INTERFACE} nodad")

    def ip(self, *commands: str) -> None:
        """Run commands of ip(8)."""
        ip(self.namespace, *commands)

    def know(self, other: Host, address: str | None = None) -> None:
        """Know the MAC of another one, which then need not be asked for."""
        neighbour = address or other.address
        self.ip(f"neighbour replace {neighbour} lladdr {other.mac} dev {INTERFACE}")

    def ping(self, other: Host | str, *sizes: int, count: int = 1) -> None:
        """Ping another host, all answered; see `ping.ping`."""
        ping(self.namespace, _address(other), *sizes, count=count)

    def ping_until(self, other: Host | str, *sizes: int) -> None:
        """Ping until there is an answer to each size; see `ping.ping_until`."""
        ping_until(self.namespace, _address(other), *sizes)

    def capture(self) -> Capture:
        """The frames that it receives from now on."""
        return Capture(self.namespace, INTERFACE)

    def send(self, *frames: bytes) -> None:
        """Put frames on its wire."""
        with self.namespace:
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        with wire:
            for frame in frames:
                wire.sendto(frame, (INTERFACE, 0))

    def socket(self, kind: socket.SocketKind, *, ipv6: bool = False) -> socket.socket:
        """A socket in it, with a time limit."""
        with self.namespace:
            made = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, kind)
        made.settimeout(DEADLINE_S)
        return made

    def run(self, *command: str) -> str:
        """What a program in it prints; ProgramError where it fails."""
        with self.namespace:
            done = subprocess.run(command, text=True, capture_output=True, timeout=DEADLINE_S)
        if done.returncode:
            raise ProgramError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """A program in it, whose output can be read; ended with the block."""
        with self.namespace:
            process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _address(other: Host | str) -> str:
    return other if isinstance(other, str) else other.address
