"""What is set for ports and for the datapath itself: queues, policing, caches, and names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from scapy.layers.l2 import ARP

from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack
from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import BROADCAST, ether, udp

SPEED_MBITS: Final = 5000
MODULES: Final = Path("/lib/modules")
FILTER: Final = "pref 65535 bpf"
"""What takes frames away from the host's stack."""


def tc(stack: Stack, *arguments: str) -> str:
    """What tc(8) prints."""
    return stack.programs.run("tc", *arguments).output


def has_queues(stack: Stack, name: str) -> bool:
    """Whether an interface has Open vSwitch's queues."""
    return "htb" in tc(stack, "qdisc", "show", "dev", name)


@pytest.fixture
def queues(stack: Stack) -> Iterator[None]:
    """Ports may have queues, which go before the records of these."""
    yield
    for port in stack.vsctl("--bare", "--columns=name", "find", "port", "qos!=[]").split():
        stack.vsctl("clear", "port", port, "qos")


def test_queues_of_taps(queues: None, stack: Stack, bridge: Bridge) -> None:
    """A qdisc that is there already does not matter. Queues that have no greatest rate have the
    link's, which Open vSwitch 3.1 takes for 10 Gbit/s where it has no name for it."""
    taps = ("tap0", "tap1")
    for tap in taps:
        stack.programs.run("ip", "tuntap", "add", tap, "mode", "tap")
        speed = ("speed", str(SPEED_MBITS), "duplex", "full")
        stack.programs.run("ethtool", "-s", tap, *speed)
        stack.namespace.set_up(tap)
        stack.vsctl("add-port", "br0", tap, "--", "set", "interface", tap, "type=tap")
    tc(stack, "qdisc", "replace", "dev", "tap1", "root", "noqueue")
    stack.vsctl(
        *("--", "--id=@q0", "create", "queue", "other_config:min-rate=2000000"),
        *("other_config:max-rate=3000000", "other_config:burst=3000000"),
        *("--", "--id=@q1", "create", "queue", "other_config:min-rate=4000000"),
        *("--", "--id=@qos", "create", "qos", "type=linux-htb", "queues:0=@q0", "queues:1=@q1"),
        *(part for tap in taps for part in ("--", "set", "port", tap, "qos=@qos")),
    )
    for tap in taps:
        wait_until(partial(has_queues, stack, tap), "HTB is there")
        classes = tc(stack, "class", "show", "dev", tap)
        assert re.search("rate 2Mbit ceil 3Mbit", classes), classes
        assert re.search("rate 4Mbit ceil 10Gbit", classes), classes


def test_packets_go_to_their_queue(
    queues: None, stack: Stack, bridge: Bridge, new_hosts: NewHosts
) -> None:
    one, other = new_hosts(2)
    bridge.connect(one, other)
    stack.vsctl(
        *("--", "--id=@q0", "create", "queue", "other_config:min-rate=1000000"),
        *("--", "--id=@q1", "create", "queue", "other_config:min-rate=1000000"),
        *("--", "--id=@qos", "create", "qos", "type=linux-htb", "queues:0=@q0", "queues:1=@q1"),
        "other_config:max-rate=100000000",
        *("--", "set", "port", other.port, "qos=@qos"),
    )
    bridge.add_flows("in_port=1,udp,tp_dst=1,actions=enqueue:2:1", "in_port=1,actions=2")
    queued, usual = (bytes(udp(one, other, dport=port)) for port in (1, 2))
    with other.capture() as capture:
        one.send(*[queued, usual, queued, queued])
        capture.wait_frame(queued, 3)
        capture.wait_frame(usual)
    shown = tc(stack, "-s", "class", "show", "dev", other.port)
    sent = re.findall(r"class htb (\S+) parent.*?Sent (\d+) bytes (\d+) pkt", shown, re.S)
    counts = {name: (int(octets), int(packets)) for name, octets, packets in sent}
    assert counts["1:2"] == (3 * len(queued), 3)


@pytest.mark.emulated
def test_ingress_policing_is_set(stack: Stack, bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other = new_hosts(2)
    release = stack.programs.run("uname", "-r").output.strip()
    if not (MODULES / release).exists():
        pytest.skip("this kernel has no modules, and no classifier to police with")
    bridge.connect(one, other)
    bridge.normal()
    for rate, shown in (("5000", "rate 5Mbit"), ("0", "")):
        settings = (f"ingress_policing_rate={rate}", "ingress_policing_burst=1000")
        stack.vsctl("set", "interface", one.port, *settings)
        wait_until(partial(has_filter, stack, one.port, shown), "the filter is there")
        wait_until(partial(has_filter, stack, one.port, FILTER), "ours is there, too")
        one.ping(other)


def has_filter(stack: Stack, name: str, text: str) -> bool:
    """Whether what is done with what an interface receives has this text."""
    return text in tc(stack, "-s", "-d", "filter", "show", "dev", name, "ingress")


def test_frames_are_the_datapaths_alone(stack: Stack, bridge: Bridge, new_hosts: NewHosts) -> None:
    """ovs-vswitchd removes the filters of an interface when it gets one; then the host's stack
    must not have what comes in there."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows("in_port=1,actions=2")
    wait_until(partial(has_filter, stack, one.port, FILTER), "the filter is there")
    stack.namespace.add_address(one.port, "10.1.1.77", 24)
    request = ether(one, BROADCAST) / ARP(hwsrc=one.mac, psrc=one.address, pdst="10.1.1.77")
    with one.capture() as answers, other.capture() as capture:
        for count in (1, 2, 3):
            one.send(bytes(request))
            capture.wait_frame(bytes(request), count)
        assert bridge.all_seen(one, answers) == []


def test_the_size_of_the_mask_cache(stack: Stack, bridge: Bridge) -> None:
    def size() -> str:
        found = re.search(r"masks-cache:\s*size:\s*(\d+)", stack.dpctl("cache-get-size"))
        assert found is not None
        return found[1]

    assert size() == "256"
    for arguments, complaint in (
        (("no-such-dp", "masks-cache", "0"), "No such device"),
        (("system@ovs-system", "other-cache", "0"), "not found on dpif"),
        (("system@ovs-system", "masks-cache", "80000"), "Numerical result out of range"),
    ):
        assert complaint in stack.dpctl_fails("cache-set-size", *arguments)
    assert "No such device" in stack.dpctl_fails("cache-get-size", "no-such-dp")
    for wanted in ("0", "256"):
        stack.dpctl("cache-set-size", "system@ovs-system", "masks-cache", wanted)
        assert size() == wanted


def test_an_interface_is_replaced_by_one_with_its_name(
    stack: Stack, bridge: Bridge, expected_complaints: list[str]
) -> None:
    expected_complaints += ("could not open", "failed", "error receiving", "nonexistent port")
    stack.namespace.add_veth("v0", "v1")
    bridge.add_port("v0", 1)
    stack.namespace.delete_link("v0")
    stack.namespace.add_veth("v0", "v1")
    stack.vsctl("del-port", "br0", "v0")
    assert "v0" not in stack.dpctl("show")


def test_an_interface_is_renamed_and_back(
    stack: Stack, bridge: Bridge, new_hosts: NewHosts, expected_complaints: list[str]
) -> None:
    expected_complaints.append("No such device")
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.normal()
    stack.namespace.rename_link(one.port, "renamed")
    wait_until(lambda: one.port not in stack.dpctl("show"), "the port is gone")
    wait_until(
        lambda: "No such device" in stack.vsctl("get", "interface", one.port, "error"),
        "the database says why",
    )
    stack.namespace.rename_link("renamed", one.port)
    wait_until(lambda: one.port in stack.dpctl("show"), "the port is back")
    one.namespace.wait_running("eth0")
    one.ping(other)


def test_flows_survive_no_port(stack: Stack, bridge: Bridge, new_hosts: NewHosts) -> None:
    """A port that goes and comes back is used again, by the same OpenFlow number."""
    one, other = new_hosts(2)
    bridge.connect(one, other)
    bridge.add_flows("in_port=1,actions=2", "in_port=2,actions=1")
    one.ping(other)
    stack.vsctl("del-port", "br0", other.port)
    bridge.connect(other)
    one.ping(other)
