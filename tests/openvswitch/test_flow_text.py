"""Flows as our text writes them, and as ovs-dpctl does: line for line the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from sys import byteorder

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd
from ovsdp_cuse.wire.text.flow import FlowText
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd
from tests.openvswitch.canned import PORT_NAMES, dump_flows
from tests.openvswitch.stack import Stack
from tests.oracle.generator import keys
from tests.oracle.generator.actions import Lists
from tests.oracle.generator.tree import Node, build
from tests.oracle.messages import Action
from tests.wire.text.cases import CASES
from tests.wire.text.generate import flows
from tests.wire.text.recorded import recorded

COUNT = 4000
"""Flows of one kind in one run."""
KEPT = 300
"""Flows that must be left of those that the daemon is asked to take."""
USED = re.compile(r"used:(\d+\.\d+)s")

WRITERS = {(): FlowText(), ("-m",): FlowText(PORT_NAMES, verbose=True)}
"""What writes as ovs-dpctl does, by its options."""


def check(messages: list[Message]) -> None:
    """See that ovs-dpctl writes these flows as we do."""
    printed = dump_flows(messages, *WRITERS)
    for text, lines in zip(WRITERS.values(), printed, strict=True):
        assert lines == [text.line(message, 0) for message in messages]


@pytest.mark.parametrize("seed", [1, 2])
def test_any_flows(seed: int) -> None:
    check(list(flows(seed, COUNT)))


def test_flows_as_linux_takes_them() -> None:
    """Keys, masks and actions that make sense; DEC_TTL is none of Open vSwitch 3.1's."""

    def likely() -> Iterator[Message]:
        for number in range(COUNT):
            random = Random(f"likely {number}")
            key = keys.key(random)
            mask = keys.mask(random, key)
            actions = Lists(random, 7, False, key).make()
            if key and not _has(actions, Action.DEC_TTL):
                told = {
                    FlowAttr.KEY: build(key),
                    FlowAttr.MASK: build(mask),
                    FlowAttr.ACTIONS: build(actions),
                }
                yield Message(FLOW.id, FlowCmd.GET, {int(n): value for n, value in told.items()})

    messages = list(likely())
    assert len(messages) > COUNT / 2
    check(messages)


def _has(actions: list[Node], number: int) -> bool:
    """Whether an action is among these, or in them; a number that is the same elsewhere counts."""
    return any(
        node.number == number or (isinstance(node.content, list) and _has(node.content, number))
        for node in actions
    )


def test_the_recording_is_what_it_prints() -> None:
    lines = recorded()
    plain, verbose = dump_flows(CASES.values(), *WRITERS)
    assert lines == dict(zip(CASES, zip(plain, verbose, strict=True), strict=True))


def test_what_a_daemon_has_taken(stack: Stack) -> None:
    """Ports are named with -m; there are flows that are used, and flows by ovs-dpctl."""
    stack.dpctl("add-dp", "dp0")
    stack.namespace.add_veth("v1", "v1-far")
    stack.dpctl("add-if", "dp0", "v1")
    assert stack.daemon is not None
    with Device(stack.daemon.path) as device:
        index = _index(device)
        taken = sum(_put(device, index, number) for number in range(2 * KEPT))
        assert taken >= KEPT
        stack.dpctl(
            *("add-flow", "dp0", "recirc_id(7),in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)"),
            "userspace(pid=3,slow_path(lacp)),push_vlan(vid=5,pcp=1),0",
        )
        _use(device, index)
        names = {
            found.attributes[VportAttr.PORT_NO]: found.attributes[VportAttr.NAME]
            for found in device.dump(VPORT, VportCmd.GET, dp_ifindex=index)
        }
        assert names == {0: "dp0", 1: "v1"}
        messages = list(device.dump(FLOW, FlowCmd.GET, dp_ifindex=index))
    lines = stack.dpctl("dump-flows", "dp0"), stack.dpctl("dump-flows", "-m", "dp0")
    for text, printed in zip((FlowText(), FlowText(names, verbose=True)), lines, strict=True):
        # The time of the last use is told relative to now: theirs is asked of them.
        ago = max(float(match[1]) for match in USED.finditer(printed))
        used = max(message.attributes.get(FlowAttr.USED, 0) for message in messages)
        ours = [text.line(message, used + round(1000 * ago)) for message in messages]
        assert sorted(printed.splitlines()) == sorted(ours)
    (used_line,) = [line for line in lines[1].splitlines() if "used:never" not in line]
    assert "in_port(v1)" in used_line
    assert used_line.endswith("actions:userspace(pid=3,slow_path(lacp)),push_vlan(vid=5,pcp=1),dp0")
    assert 0 <= ago < 60


def _index(device: Device) -> int:
    named = {DpAttr.NAME: "dp0"}
    found = device.transact(DATAPATH, DpCmd.GET, named)
    assert found is not None
    return found.dp_ifindex


def _put(device: Device, index: int, number: int) -> bool:
    """Ask for a flow; whether it was taken."""
    random = Random(f"taken {number}")
    key = keys.key(random)
    actions = Lists(random, 7, False, key).make()
    asked = {FlowAttr.KEY: build(key), FlowAttr.ACTIONS: build(actions)}
    if random.random() < 0.8:
        asked[FlowAttr.MASK] = build(keys.mask(random, key))
    if random.random() < 0.5:
        asked[FlowAttr.UFID] = random.randbytes(16)
    if _has(actions, Action.DEC_TTL):
        return False
    try:
        device.transact(FLOW, FlowCmd.NEW, asked, dp_ifindex=index)
    except DatapathError:
        return False
    return True


def _use(device: Device, index: int) -> None:
    """Let the flow that has a recirc_id be used."""
    frame = bytes.fromhex("020000000001 020000000002 0800") + bytes.fromhex("4500 0014") + bytes(16)
    asked = {
        PacketAttr.PACKET: frame,
        PacketAttr.KEY: pack_attribute(KeyAttr.IN_PORT, (1).to_bytes(4, byteorder)),
        PacketAttr.ACTIONS: pack_attribute(ActionAttr.RECIRC, (7).to_bytes(4, byteorder)),
    }
    device.transact(PACKET, PacketCmd.EXECUTE, asked, dp_ifindex=index)
