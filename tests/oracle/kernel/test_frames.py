"""Frames through veths: in through one, out of the others, on the device and on the kernel.

Each frame first meets no flow; the key of its upcall becomes a flow with the actions of the case,
and the frame comes again. What is told and what comes out must be the same, byte by byte.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest

from ovsdp_cuse.daemon import load_registry
from tests.namespaces import Namespace
from tests.oracle.compare import Difference
from tests.oracle.frames import BAD, GOOD
from tests.oracle.generator.actions import Lists
from tests.oracle.generator.cases import fields_of
from tests.oracle.generator.tree import build
from tests.oracle.kernel.conftest import Sides
from tests.oracle.kernel.wire import MARKER_TYPE, Wire, marker
from tests.oracle.keys import (
    ethertype,
    in_port,
    output,
    pop_vlan,
    push_mpls,
    push_vlan,
    set_masked,
    trunc,
    userspace,
)
from tests.oracle.messages import (
    ACK,
    DEL,
    FLOW,
    GET,
    NEW,
    PACKET,
    Action,
    Flow,
    Key,
    Packet,
    attr,
    attributes,
    head,
    message,
    nest,
    numbered,
)
from tests.oracle.peers import Answers, Peer, drain
from tests.oracle.report import Report
from tests.oracle.runner import clean, run
from tests.oracle.steps import INTERFACES, Pids, Script

SOURCE = "frames"
GENERATED = 100


class Side:
    """A datapath with three ports, and the wires that lead to them."""

    def __init__(self, peer: Peer, namespace: Namespace) -> None:
        self.peer = peer
        clean(peer)
        with namespace:
            self.wires = [Wire(name.replace("p", "q")) for name in INTERFACES]
        script = Script(Pids(peer.requests.pid, peer.listener.pid))
        script.make_datapath()
        script.make_ports()
        told = nest(Flow.KEY, in_port(1), attr(Key.ETHERNET, bytes(12)), ethertype(MARKER_TYPE))
        mask = nest(Flow.MASK, attr(Key.IN_PORT, b"\xff" * 4), attr(Key.ETHERTYPE, b"\xff\xff"))
        everywhere = nest(Flow.ACTIONS, output(1), output(2), output(3))
        script.ask("a flow for markers", FLOW, NEW, told, mask, everywhere)
        for answers in run(peer, script.steps):
            assert not any(head(reply).type == 2 for reply in answers.replies)

    def pass_through(self, frame: bytes, number: int) -> tuple[list[list[bytes]], Answers]:
        """Send a frame: what comes out of each port, and which upcalls are told."""
        self.wires[0].send(frame)
        end = marker(number)
        self.wires[0].send(end)
        frames = [wire.until(end) for wire in self.wires]
        replies, problem = drain(self.peer.requests)
        events, other = drain(self.peer.listener)
        return frames, Answers(replies, events, problem or other)

    def ask(self, command: int, *told: bytes) -> Answers:
        """A request for a flow."""
        return self.peer.ask(numbered(message(FLOW, command, *told, flags=ACK), 1))

    def close(self) -> None:
        clean(self.peer)
        for wire in self.wires:
            wire.close()


class Bench:
    """Both sides; compares what each makes of a frame."""

    def __init__(self, sides: Sides) -> None:
        self.both = (
            Side(sides.ours, sides.our_namespace),
            Side(sides.kernel, sides.kernel_namespace),
        )
        self.report = Report(load_registry(), SOURCE)
        self._number = 0

    @property
    def pid(self) -> int:
        """Where userspace actions send packets."""
        return self.both[0].peer.requests.pid

    def missed(self, label: str, frame: bytes) -> bytes | None:
        """Send a frame that no flow is for; the key of its upcall, None where there is none."""
        self._pass(f"{label}: missed", frame)
        for event in self._upcalls.events:
            if head(event).type == PACKET:
                return dict(attributes(event[24:]) or ())[Packet.KEY]
        return None

    def try_actions(self, label: str, frame: bytes, actions: bytes) -> None:
        """Send a frame, install a flow for it, send it again, read the flow."""
        key = self.missed(label, frame)
        if key is None:
            return
        told = attr(Flow.KEY, key), attr(Flow.ACTIONS, actions)
        self._ask(f"{label}: install", NEW, *told)
        self._pass(label, frame, message(FLOW, NEW, *told))
        self._ask(f"{label}: statistics", GET, told[0])
        self._ask(f"{label}: delete", DEL, told[0])

    def _pass(self, label: str, frame: bytes, flow: bytes = b"") -> None:
        """Send a frame; flow: the request that made a flow for it."""
        self._number += 1
        (ours, here), (theirs, there) = (
            side.pass_through(frame, self._number) for side in self.both
        )
        self.report.compare(label, (flow,), here, there)
        self._upcalls = there
        for port, (sent, expected) in enumerate(zip(ours, theirs, strict=True), 1):
            if sent != expected:
                in_hex = (" ".join(map(bytes.hex, frames)) for frames in (sent, expected))
                self.report.add(Difference(label, flow, f"frames of port {port}", *in_hex))

    def _ask(self, label: str, command: int, *told: bytes) -> None:
        here, there = (side.ask(command, *told) for side in self.both)
        self.report.compare(label, (message(FLOW, command, *told),), here, there)

    def close(self) -> None:
        for side in self.both:
            side.close()


@pytest.fixture(scope="module")
def bench(node_sides: Sides) -> Iterator[Bench]:
    """Ports are made once. All is sent from one processor, so that nothing overtakes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    bench = Bench(node_sides)
    yield bench
    bench.close()
    os.sched_setaffinity(0, before)


def test_frames_are_told_and_forwarded(bench: Bench) -> None:
    for label, frame in GOOD.items():
        bench.try_actions(label, frame, output(2) + output(3))
    bench.report.check()


def test_malformed_frames(bench: Bench) -> None:
    for label, frame in BAD.items():
        if len(frame) > 14:  # a packet socket sends no less
            bench.missed(label, frame)
    bench.report.check()


def test_actions(bench: Bench) -> None:
    address = set_masked(Key.ETHERNET, b"\x02" * 12, b"\xff" * 12)
    for label, actions in {
        "nothing": b"",
        "back": output(1),
        "to nobody": output(77),
        "to the local port": output(0) + output(2),
        "to all": output(1) + output(2) + output(3),
        "set between": output(2) + address + output(3),
        "push_vlan between": output(2) + push_vlan() + output(3) + pop_vlan() + output(1),
        "push_mpls between": output(2) + push_mpls() + output(3),
        "pop_eth": output(3) + attr(Action.POP_ETH) + output(2),
        "truncated once": trunc(20) + output(2) + output(3),
        "userspace": userspace(bench.pid) + output(2),
        "userspace, truncated": trunc(20) + userspace(bench.pid) + output(2),
    }.items():
        for name in ("UDP", "TCP over IPv6", "VLAN", "two VLANs", "ARP request", "large"):
            bench.try_actions(f"{name}: {label}", GOOD[name], actions)
    bench.report.check()


def test_generated_actions(bench: Bench, seed: int) -> None:
    labels = [label for label in GOOD if label != "three VLANs"]
    for number in range(GENERATED):
        random = Random(f"{seed} frame {number}")
        frame = GOOD[random.choice(labels)]
        actions = Lists(random, bench.pid, True, fields_of(frame)).make()
        label = f"frame {number} of seed {seed}"
        bench.try_actions(label, frame, build(actions) + output(2) + output(3))
    bench.report.check()
