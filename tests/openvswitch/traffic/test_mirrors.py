"""Mirrors: copies of what a bridge forwards, for a port or a VLAN."""

from __future__ import annotations

import pytest

from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import PAYLOAD, ether
from tests.openvswitch.traffic.hosts import Host


def mirror(bridge: Bridge, *settings: str, ports: tuple[Host, ...] = ()) -> None:
    """A mirror of a bridge; settings name the ports of hosts as @h1 and so on."""
    known = (
        part for host in ports for part in ("--", f"--id=@h{host.number}", "get", "port", host.port)
    )
    bridge.stack.vsctl(
        *known,
        *("--", "--id=@m", "create", "mirror", "name=m", *settings),
        *("--", "set", "bridge", bridge.name, "mirrors=@m"),
    )


def frame_between(sender: Host, receiver: Host, tag: bytes = b"") -> bytes:
    """A frame that no host answers."""
    whole = bytes(ether(sender, receiver, type=0x88B5) / PAYLOAD)
    return whole[:12] + tag + whole[12:]


@pytest.mark.parametrize(
    ("selection", "sees_sent", "sees_received"),
    [
        pytest.param("select-all=true", True, True, marks=pytest.mark.emulated),
        ("select-src-port=@h1", True, False),
        ("select-dst-port=@h1", False, True),
    ],
)
def test_mirrors(
    selection: str, sees_sent: bool, sees_received: bool, bridge: Bridge, new_hosts: NewHosts
) -> None:
    one, other, third = hosts = new_hosts(3)
    bridge.connect(*hosts)
    bridge.add_flows("in_port=1,actions=2", "in_port=2,actions=1")
    mirror(bridge, selection, "output-port=@h3", ports=tuple(hosts))
    sent, received = frame_between(one, other), frame_between(other, one)
    with third.capture() as copies, one.capture() as one_sees, other.capture() as other_sees:
        for count in (1, 2, 3):
            one.send(sent)
            other_sees.wait_frame(sent, count)
            other.send(received)
            one_sees.wait_frame(received, count)
        found = bridge.all_seen(third, copies)
    assert found.count(sent) == 3 * sees_sent
    assert found.count(received) == 3 * sees_received
    assert len(found) == found.count(sent) + found.count(received)


def test_a_mirror_to_a_vlan(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other, trunk = hosts = new_hosts(3)
    bridge.connect(one, other, settings=("tag=5",))
    bridge.connect(trunk)
    bridge.normal()
    mirror(bridge, "select-src-port=@h1", "output-vlan=77", ports=tuple(hosts))
    for sender in (other, one):  # both addresses are known then
        with trunk.capture() as copies:
            sender.send(frame_between(sender, one if sender is other else other))
            bridge.wait_packets("table=0", 1)
            if sender is one:
                copies.wait_frame(frame_between(one, other, bytes.fromhex("8100004d")))


def test_a_mirror_of_the_beginnings_of_packets(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other, third = hosts = new_hosts(3)
    bridge.connect(*hosts)
    bridge.add_flows("in_port=1,actions=2")
    mirror(bridge, "select-all=true", "output-port=@h3", "snaplen=40", ports=tuple(hosts))
    frame = frame_between(one, other)
    with third.capture() as copies, other.capture() as capture:
        for count in (1, 2):
            one.send(frame)
            capture.wait_frame(frame, count)
            copies.wait_frame(frame[:40], count)
        assert bridge.all_seen(third, copies) == [frame[:40]] * 2


def test_a_mirror_copies_a_packet_as_it_came(bridge: Bridge, new_hosts: NewHosts) -> None:
    one, other, third = hosts = new_hosts(3)
    bridge.connect(*hosts)
    bridge.add_flows(f"in_port=1,actions=mod_dl_dst:{third.mac},push_vlan:0x8100,mod_vlan_vid:9,2")
    mirror(bridge, "select-src-port=@h1", "output-port=@h3", ports=tuple(hosts))
    frame = frame_between(one, other)
    changed = frame_between(one, third, bytes.fromhex("81000009"))
    with third.capture() as copies, other.capture() as capture:
        for count in (1, 2):
            one.send(frame)
            capture.wait_frame(changed, count)
            copies.wait_frame(frame, count)
