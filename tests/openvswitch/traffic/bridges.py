"""A bridge of ovs-vswitchd on the device: its ports, flows, groups and counters."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.capture import Capture
from tests.openvswitch.traffic.hosts import Host

PROTOCOLS: Final = "protocols=OpenFlow10,OpenFlow13,OpenFlow15"
COUNTS: Final = re.compile(r"n_packets=(\d+), n_bytes=(\d+)")
FENCE: Final = bytes.fromhex("020000000001 020000000002 88b6")
"""How frames begin that tests send after others; IEEE Std 802 Local Experimental Ethertype 2."""

_fences = itertools.count()


class Counts(NamedTuple):
    """What flows have matched."""

    packets: int
    octets: int


class Bridge:
    """A bridge with no flows. Hosts have the OpenFlow port of their number."""

    def __init__(self, stack: Stack, name: str, *settings: str) -> None:
        self.stack = stack
        self.name = name
        stack.add_bridge(name, PROTOCOLS, "fail_mode=secure", *settings)

    def connect(self, *hosts: Host, settings: tuple[str, ...] = ()) -> None:
        """Make the wires of hosts ports, with settings of their Port records such as tag=5."""
        self._add_ports({host.port: host.number for host in hosts}, settings)

    def add_port(self, name: str, number: int, *settings: str) -> None:
        """Make an interface a port with an OpenFlow number."""
        self._add_ports({name: number}, settings)

    def _add_ports(self, numbers: dict[str, int], settings: tuple[str, ...]) -> None:
        commands: list[str] = []
        for name, number in numbers.items():
            commands += ("--", "add-port", self.name, name, *settings)
            commands += ("--", "set", "interface", name, f"ofport_request={number}")
        self.stack.vsctl(*commands)

    def join(self, other: Bridge, number: int) -> None:
        """A veth pair between two bridges, whose ports have this number on both: frames are on a
        wire there, as between patch ports they are not."""
        here, there = f"{self.name}-{other.name}", f"{other.name}-{self.name}"
        self.stack.namespace.add_veth(here, there)
        self.add_port(here, number)
        other.add_port(there, number)

    def add_flows(self, *flows: str) -> None:
        """Add flows, all or none; `ovs-ofctl` says what is wrong."""
        self.stack.ofctl("--bundle", "add-flows", self.name, self._file("\n".join(flows)))

    def replace_flows(self, *flows: str) -> None:
        """These flows instead of those that there are; the datapath has them when this returns."""
        self.stack.ofctl("--bundle", "replace-flows", self.name, self._file("\n".join(flows)))
        self.stack.appctl("revalidator/wait")

    def add_groups(self, *groups: str) -> None:
        """Add groups."""
        self.stack.ofctl("add-groups", self.name, self._file("\n".join(groups)))

    def add_meter(self, meter: str) -> None:
        """Add a meter."""
        self.stack.ofctl("add-meter", self.name, meter)

    def normal(self) -> None:
        """Forward as a learning switch does."""
        self.add_flows("actions=NORMAL")

    def wire(self, one: Host, other: Host) -> None:
        """Give what comes from one host to the other."""
        self.add_flows(
            f"in_port={one.number},actions={other.number}",
            f"in_port={other.number},actions={one.number}",
        )

    def counts(self, match: str) -> Counts:
        """What the flows that match ("cookie=5/-1": see ovs-ofctl dump-flows) have counted, with
        what the datapath has counted for them."""
        self.stack.appctl("revalidator/purge")
        found = COUNTS.findall(self.stack.ofctl("dump-flows", self.name, match))
        return Counts(sum(int(one) for one, _ in found), sum(int(octets) for _, octets in found))

    def wait_counts(self, match: str, wanted: Callable[[Counts], bool]) -> Counts:
        """The counts once they are as wanted; TimeoutError."""
        last = Counts(0, 0)

        def reached() -> bool:
            nonlocal last
            last = self.counts(match)
            return wanted(last)

        try:
            wait_until(reached, match)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; but {last}") from error
        return last

    def wait_packets(self, match: str, count: int) -> Counts:
        """The counts once there are that many packets or more."""
        return self.wait_counts(match, lambda counts: counts.packets >= count)

    def packet_out(self, frame: bytes, actions: str, in_port: str = "LOCAL") -> None:
        """Send a frame by actions, as a controller does."""
        text = f"in_port={in_port},packet={frame.hex()},actions={actions}"
        self.stack.ofctl("packet-out", self.name, text)

    def all_seen(self, host: Host, capture: Capture) -> list[bytes]:
        """All that has come to a host by now: a frame is sent after it."""
        fence = FENCE + next(_fences).to_bytes(50, "big")
        self.packet_out(fence, str(host.number))
        capture.wait_frame(fence)
        return capture.seen(lambda frame: not frame.startswith(FENCE))

    def trace(self, *flow: str) -> str:
        """ofproto/trace: what would become of a packet."""
        return self.stack.appctl("ofproto/trace", self.name, *flow)

    def _file(self, text: str) -> str:
        path = self.stack.directory / "flows.txt"
        path.write_text(text + "\n")
        return str(path)


def datapath_flows(stack: Stack, wanted: str = "") -> list[str]:
    """The flows of the datapath, with names of ports, that contain a text."""
    lines = stack.appctl("dpctl/dump-flows", "--names").splitlines()
    return [line for line in lines if wanted in line]
