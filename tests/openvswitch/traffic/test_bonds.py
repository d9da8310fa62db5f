"""Bonds: two wires that are one port, and what happens when one is cut."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Final

import pytest
from scapy.layers.inet import UDP

from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge, datapath_flows
from tests.openvswitch.traffic.capture import Capture
from tests.openvswitch.traffic.conftest import NewBridge, NewHosts
from tests.openvswitch.traffic.frames import PAYLOAD, ether, packet
from tests.openvswitch.traffic.hosts import Host

SIZES = (56, 1600, 3200)
WIRES: Final = (("a0", "b0"), ("a1", "b1"))
LACP: Final = ("lacp=active", "other_config:lacp-time=fast")
MANY: Final = 64


class Bonded:
    """Two hosts on two bridges, with the wires a0-b0 and a1-b1 between them."""

    def __init__(self, stack: Stack, new_bridge: NewBridge, hosts: list[Host]) -> None:
        self.stack = stack
        self.hosts = hosts
        self.bridges: list[Bridge] = [new_bridge("br0"), new_bridge("br1")]
        for names in WIRES:
            stack.namespace.add_veth(*names)

    def bond(self, *settings: str) -> None:
        """Make bond0 of the first bridge's ends, and wait until it uses both.

        With LACP the other ends are a bond, too; without it they are ports of a learning switch, as
        Open vSwitch expects them then.
        """
        has_lacp = "lacp=active" in settings
        for end, (bridge, host) in enumerate(zip(self.bridges, self.hosts, strict=True)):
            names = [pair[end] for pair in WIRES]
            if end == 0 or has_lacp:
                self.stack.vsctl("add-bond", bridge.name, f"bond{end}", *names, *settings)
            else:
                for number, name in enumerate(names, 100):
                    bridge.add_port(name, number)
            bridge.connect(host)
            bridge.normal()
        for end in range(1 + has_lacp):
            wait_until(partial(self._is_ready, f"bond{end}", has_lacp), "both members are enabled")

    def active(self) -> str:
        """The member of bond0 that is active."""
        lines = self.stack.appctl("bond/show", "bond0").splitlines()
        active = next(line for line in lines if line.startswith("active member mac"))
        return active.rsplit("(")[1].rstrip(")")

    def _is_ready(self, bond: str, has_lacp: bool) -> bool:
        shown = self.stack.appctl("bond/show", bond)
        members = [line for line in shown.splitlines() if line.startswith("member ")]
        is_negotiated = not has_lacp or "lacp_status: negotiated" in shown
        return is_negotiated and [line.endswith(": enabled") for line in members] == [True, True]


@pytest.fixture
def bonded(stack: Stack, new_bridge: NewBridge, new_hosts: NewHosts) -> Bonded:
    """Two hosts, and wires that are no bond yet."""
    return Bonded(stack, new_bridge, new_hosts(2))


@pytest.mark.parametrize(
    "settings",
    [
        ("bond_mode=active-backup",),
        ("bond_mode=balance-slb",),
        ("bond_mode=balance-tcp", *LACP),
        ("bond_mode=active-backup", *LACP),
    ],
    ids=["active-backup", "balance-slb", "balance-tcp with LACP", "active-backup with LACP"],
)
def test_hosts_reach_each_other_and_survive_a_cut(
    settings: tuple[str, ...], bonded: Bonded
) -> None:
    bonded.bond(*settings)
    one, other = bonded.hosts
    one.ping_until(other)
    one.ping(other, *SIZES)
    cut = bonded.active()
    bonded.stack.namespace.set_up(cut, False)
    wait_until(lambda: bonded.active() not in ("", cut), "another member is active")
    # Each size has flows of its own, of fragments or not, which revalidators change after the cut.
    one.ping_until(other, *SIZES)
    one.ping(other, *SIZES)


def test_balance_tcp_uses_both_wires(bonded: Bonded) -> None:
    """Packets are hashed, recirculated, and sent by what the hash says. Open vSwitch moves hashes
    to a wire with less traffic, once a second at the most."""
    bonded.bond("bond_mode=balance-tcp", "other_config:bond-rebalance-interval=1000", *LACP)
    one, other = bonded.hosts
    one.ping_until(other)
    load = bytes(1000) + PAYLOAD
    frames = [
        bytes(packet(one, other) / UDP(sport=3000 + index, dport=9) / load) for index in range(MANY)
    ]
    sent = 0
    with (
        Capture(bonded.stack.namespace, "b0") as first,
        Capture(bonded.stack.namespace, "b1") as second,
    ):
        wires = (first, second)

        def both_are_used() -> bool:
            nonlocal sent
            one.send(*frames)
            sent += MANY
            return all(wire.seen(is_sent) for wire in wires)

        wait_until(both_are_used, "both wires are used")
        wait_until(partial(have_all, wires, sent), "all frames come")
        counts = Counter(frame for wire in wires for frame in wire.seen(is_sent))
    assert counts == dict.fromkeys(frames, sent // MANY)
    assert datapath_flows(bonded.stack, "hash(l4(0)),recirc("), "the datapath hashes"


def have_all(wires: tuple[Capture, ...], count: int) -> bool:
    """Whether so many of the test's frames have come."""
    return sum(len(wire.seen(is_sent)) for wire in wires) >= count


def is_sent(frame: bytes) -> bool:
    """Whether a frame is one of the test's."""
    return frame.endswith(PAYLOAD)


@pytest.mark.emulated
def test_nothing_comes_back_over_a_bond(bonded: Bonded) -> None:
    """What one wire brings is not sent by the other one."""
    bonded.bond("bond_mode=active-backup")
    one, other = bonded.hosts
    frame = bytes(ether(one, "ff:ff:ff:ff:ff:ff", type=0x88B5) / PAYLOAD)
    with one.capture() as one_sees, other.capture() as other_sees:
        for count in (1, 2):
            one.send(frame)
            other_sees.wait_frame(frame, count)
        assert not [seen for seen in bonded.bridges[0].all_seen(one, one_sees) if seen == frame]
        assert bonded.bridges[1].all_seen(other, other_sees).count(frame) == 2
