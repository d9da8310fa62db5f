"""MPLS: labels that flows push, pop, change and match, with and without an Ethernet header of their
own, in the datapath and, where it were not able to, in ovs-vswitchd."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.l2 import Ether

from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.capture import Capture
from tests.openvswitch.traffic.conftest import NewBridge, NewHosts
from tests.openvswitch.traffic.frames import echo
from tests.openvswitch.traffic.hosts import Host

UNICAST, MULTICAST = 0x8847, 0x8848
LINK: Final = 100
"""The port that joins the two bridges, on each of them."""
NEW_HEADER: Final = (
    "encap(ethernet),set_field:02:00:00:00:09:02->dl_dst,set_field:02:00:00:00:09:01->dl_src"
)
NEW_SOURCE, NEW_DESTINATION = "02:00:00:00:09:01", "02:00:00:00:09:02"


class Path(NamedTuple):
    """How packets cross the link: actions that put labels on, flows (match and actions) that take
    them off, and how they look on it."""

    encapsulate: str
    decapsulate: tuple[tuple[str, str], ...]
    ethertype: int
    labels: tuple[int, ...]


def layer_2(encap: str, ethertype: int, *labels: int) -> Path:
    """Labels between the old and a new Ethernet header."""
    encaps = ",".join(f"encap({encap}),set_mpls_label:{label}" for label in reversed(labels))
    types = [f"decap(packet_type(ns=1,type={ethertype:#x}))"] * (len(labels) - 1)
    decap = ",".join(["decap()", *types, "decap(packet_type(ns=0,type=0))", "output:{host}"])
    match = f"dl_type={ethertype:#x},mpls_label={labels[0]}"
    return Path(f"{encaps},{NEW_HEADER}", ((match, decap),), ethertype, labels)


PATHS: Final = {
    "a label": Path(
        "push_mpls:0x8847,set_mpls_label:4",
        (("mpls,mpls_label=4", "pop_mpls:0x0800,output:{host}"),),
        UNICAST,
        (4,),
    ),
    "three labels": Path(
        ",".join(f"push_mpls:0x8847,set_mpls_label:{label}" for label in (4, 2, 1)),
        (
            ("mpls,mpls_label=1", "pop_mpls:0x8847,resubmit(,1)"),
            ("mpls,mpls_label=2", "pop_mpls:0x8847,resubmit(,2)"),
            ("mpls,mpls_label=4", "pop_mpls:0x0800,output:{host}"),
        ),
        UNICAST,
        (1, 2, 4),
    ),
    "a label in layer 2": layer_2("mpls", UNICAST, 2),
    "a multicast label in layer 2": layer_2("mpls_mc", MULTICAST, 2),
    "two labels in layer 2": layer_2("mpls", UNICAST, 2, 3),
    "two multicast labels in layer 2": layer_2("mpls_mc", MULTICAST, 2, 3),
    "encapsulated, then popped": Path(
        f"decap,encap(mpls),set_mpls_label:2,{NEW_HEADER}",
        (
            (
                "mpls,mpls_label=2",
                "pop_mpls:0x0800,set_field:{mac}->eth_dst,output:{host}",
            ),
        ),
        UNICAST,
        (2,),
    ),
    "pushed, then decapsulated": Path(
        "push_mpls:0x8847,set_field:2->mpls_label",
        (
            (
                "mpls,mpls_label=2",
                "decap,decap(packet_type(ns=1,type=0x0800)),encap(ethernet),"
                "set_field:{mac}->eth_dst,output:{host}",
            ),
        ),
        UNICAST,
        (2,),
    ),
}

EMULATED: Final = {"a label in layer 2"}


def labels(frame: bytes) -> tuple[int, ...]:
    """The labels of a frame, the outer one first."""
    found = []
    layer: Any = MPLS(frame[14:])
    while isinstance(layer, MPLS):
        found.append(layer.label)
        layer = layer.payload
    return tuple(found)


def connect(bridge: Bridge, host: Host, path: Path) -> None:
    """A host on a bridge whose IP packets take the path over the link; other packets go as they
    are."""
    bridge.connect(host)
    ends = [
        f"table={table},in_port={LINK},priority=100,{match},"
        f"actions={actions.format(host=host.number, mac=host.mac)}"
        for table, (match, actions) in enumerate(path.decapsulate)
    ]
    bridge.add_flows(
        f"in_port={host.number},ip,actions={path.encapsulate},output:{LINK}",
        f"in_port={host.number},arp,actions=output:{LINK}",
        f"in_port={LINK},arp,actions=output:{host.number}",
        *ends,
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.emulated] if name in EMULATED else [])
        for name in PATHS
    ],
)
def test_hosts_reach_each_other_through_labels(
    name: str, new_bridge: NewBridge, new_hosts: NewHosts, stack: Stack
) -> None:
    path = PATHS[name]
    one, other = new_hosts(2)
    bridges = new_bridge("br0"), new_bridge("br1")
    bridges[0].join(bridges[1], LINK)
    for bridge, host in zip(bridges, (one, other), strict=True):
        connect(bridge, host, path)
    with Capture(stack.namespace, "br1-br0") as link:
        one.ping(other, count=3)
        other.ping(one, count=3)
        frames = link.wait(lambda frame: Ether(frame).type == path.ethertype, 6)
    assert {labels(frame) for frame in frames} == {path.labels}


@pytest.mark.parametrize("in_datapath", [True, False], ids=["datapath", "slow path"])
@pytest.mark.parametrize(("encap", "ethertype"), [("mpls", UNICAST), ("mpls_mc", MULTICAST)])
class TestFramesInFrames:
    """Whole frames behind a label and a new Ethernet header."""

    def make(self, bridge: Bridge, new_hosts: NewHosts, in_datapath: bool) -> list[Host]:
        hosts = new_hosts(2)
        bridge.connect(*hosts)
        if not in_datapath:
            bridge.stack.appctl("dpif/set-dp-features", bridge.name, "add_mpls", "false")
        return hosts

    def inner_and_outer(self, hosts: list[Host], ethertype: int) -> tuple[bytes, bytes]:
        inner = bytes(echo(*hosts))
        header: Any = Ether(src=NEW_SOURCE, dst=NEW_DESTINATION, type=ethertype)
        return inner, bytes(header / MPLS(label=2, s=1, ttl=64)) + inner

    def test_encap(
        self, encap: str, ethertype: int, in_datapath: bool, bridge: Bridge, new_hosts: NewHosts
    ) -> None:
        one, other = self.make(bridge, new_hosts, in_datapath)
        inner, outer = self.inner_and_outer([one, other], ethertype)
        bridge.add_flows(f"ip,actions=encap({encap}),set_mpls_label:2,{NEW_HEADER},output:2")
        with other.capture() as capture:
            for count in (1, 2):
                one.send(inner)
                capture.wait_frame(outer, count)

    def test_decap(
        self, encap: str, ethertype: int, in_datapath: bool, bridge: Bridge, new_hosts: NewHosts
    ) -> None:
        one, other = self.make(bridge, new_hosts, in_datapath)
        inner, outer = self.inner_and_outer([one, other], ethertype)
        bridge.add_flows(
            f"dl_type={ethertype:#x},mpls_label=2,"
            "actions=decap(),decap(packet_type(ns=0,type=0)),output:2"
        )
        with other.capture() as capture:
            for count in (1, 2):
                one.send(outer)
                capture.wait_frame(inner, count)
