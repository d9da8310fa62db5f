"""Bridges and their ports, as ovs-vsctl makes them and ovs-appctl shows them.

Bonds, VLANs and mirrors are in traffic/."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest

from tests.namespaces import Namespace
from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.hosts import Host

CURRENT = r"system@ovs-system:\n  flows         : \(current [1-9]"

NewHosts = Callable[[int], list[Host]]


@pytest.fixture
def new_hosts(stack: Stack, new_namespace: Callable[[], Namespace]) -> NewHosts:
    """Makes hosts, which are connected with nothing yet."""

    def make(count: int) -> list[Host]:
        return [Host(new_namespace(), stack.namespace, number + 1) for number in range(count)]

    return make


def ports_shown(stack: Stack) -> dict[str, str]:
    """Name and kind of each port in `dpif/show`."""
    found = re.findall(
        r"^    (\S+) \d+/(\S+): \((\S+?)[):]", stack.appctl("dpif/show"), re.MULTILINE
    )
    return {name: kind for name, _number, kind in found}


@pytest.mark.emulated
def test_ports_of_each_kind(stack: Stack) -> None:
    stack.namespace.add_veth("v1", "v2")
    stack.add_bridge("br0")
    stack.add_bridge("br1")
    stack.vsctl("add-port", "br0", "v1")
    stack.vsctl("add-port", "br0", "i0", "--", "set", "interface", "i0", "type=internal")
    for bridge, name, peer in (("br0", "p0", "p1"), ("br1", "p1", "p0")):
        patch = ("type=patch", f"options:peer={peer}")
        stack.vsctl("add-port", bridge, name, "--", "set", "interface", name, *patch)
    assert ports_shown(stack) == {
        "br0": "internal",
        "br1": "internal",
        "i0": "internal",
        "v1": "system",
        "p0": "patch",
        "p1": "patch",
    }
    shown = stack.dpctl("show", "ovs-system")
    assert {"br0 (internal)", "br1 (internal)", "i0 (internal)", "v1"} <= {
        line.partition(": ")[2] for line in shown.splitlines()
    }
    assert stack.namespace.has_link("i0")
    stack.vsctl("del-port", "br0", "i0", "--", "del-port", "br0", "v1")
    assert not stack.namespace.has_link("i0")
    assert stack.namespace.has_link("v1"), "it is the host's again"
    assert ports_shown(stack).keys() == {"br0", "br1", "p0", "p1"}
    stack.vsctl("del-br", "br0", "--", "del-br", "br1")
    assert stack.dpctl("dump-dps") == "", "the datapath goes with its last bridge"
    assert stack.complaints() == []


def test_a_port_that_is_not_there_comes_later(stack: Stack) -> None:
    stack.add_bridge("br0")
    stack.vsctl("add-port", "br0", "later")
    assert stack.vsctl("get", "interface", "later", "error") == (
        '"could not open network device later (No such device)"\n'
    )
    stack.namespace.add_veth("later", "far")
    stack.vsctl("wait-until", "interface", "later", "ofport>0")
    assert ports_shown(stack)["later"] == "system"
    stack.namespace.delete_link("later")
    stack.vsctl("wait-until", "interface", "later", "ofport=-1")
    assert "later" not in ports_shown(stack)


def has_happened(stack: Stack, event: str) -> bool:
    """Whether `coverage/show` has counted an event."""
    return bool(re.search(rf"(?m)^{event} .*total: [1-9]", stack.appctl("coverage/show")))


@pytest.mark.emulated
def test_what_is_shown(stack: Stack, new_hosts: NewHosts) -> None:
    """Commands of ovs-appctl that look at the datapath, while there are flows in it."""
    one, two = new_hosts(2)
    stack.add_bridge("br0")
    for host in (one, two):
        stack.vsctl("add-port", "br0", host.port)
    one.ping(two, count=3)

    assert stack.appctl("dpctl/dump-dps") == "system@ovs-system\n"
    assert re.search(r"flows: [1-9]", stack.appctl("dpctl/show"))
    flows = stack.appctl("dpctl/dump-flows", "-m")
    assert f"in_port({one.port})" in flows
    assert "dp:ovs" in flows
    ufid = re.findall(r"ufid:[0-9a-f-]+", flows)[0]
    assert "actions:" in stack.appctl("dpctl/get-flow", ufid)
    shown = stack.appctl("dpif/show")
    assert re.search(r"system@ovs-system: hit:[1-9]\d* missed:[1-9]", shown), shown
    assert "in_port" in stack.appctl("dpif/dump-flows", "br0")
    packet = f"in_port={one.port},icmp,dl_src={one.mac},dl_dst={two.mac}"
    traced = stack.appctl("ofproto/trace", "br0", packet)
    assert "Datapath actions: " in traced
    # These are counted now and then.
    wait_until(lambda: bool(re.search(CURRENT, stack.appctl("upcall/show"))), "flows are counted")
    for event in ("dpif_flow_put", "netlink_sent"):
        wait_until(partial(has_happened, stack, event), event)
    assert stack.appctl("revalidator/wait") == ""
    stack.appctl("revalidator/purge")
    assert stack.appctl("dpctl/dump-flows") == ""
    one.ping(two)
    stack.appctl("dpctl/del-flows")
    one.ping(two)
    assert stack.complaints() == []
