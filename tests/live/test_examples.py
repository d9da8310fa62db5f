"""The learning switch of the tutorial, on a real node, between hosts in namespaces."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr, KeyEthernet
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType
from tests.live.conftest import check_end
from tests.namespaces import Namespace, fresh_namespaces
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "learning_switch.py"
ADDRESSES = {"one": "10.9.1.1", "two": "10.9.1.2", "three": "10.9.1.3"}


@pytest.fixture
def new_namespace() -> Iterator[Callable[[], Namespace]]:
    with fresh_namespaces() as make:
        yield make


def reaches(host: Namespace, address: str) -> bool:
    """Whether a host answers at an address: that nobody listens at its discard port."""
    with host, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(DEADLINE_S)
        probe.connect((address, 9))
        probe.send(b"ping")
        with pytest.raises(ConnectionRefusedError):
            probe.recv(1)
    return True


def add_port(device: Device, index: int, name: str) -> None:
    """Make the interface to a host a port."""
    port = {VportAttr.TYPE: VportType.NETDEV, VportAttr.NAME: f"to-{name}"}
    device.transact(VPORT, VportCmd.NEW, {**port, VportAttr.UPCALL_PID: (0,)}, dp_ifindex=index)


def flows(device: Device, index: int) -> dict[tuple[int, KeyEthernet], bytes]:
    """The actions of the flows, by port and addresses."""
    found = {}
    for flow in device.dump(FLOW, FlowCmd.GET, dp_ifindex=index):
        key = KEY.decode(flow.attributes[FlowAttr.KEY], False)
        place = (key[KeyAttr.IN_PORT], key[KeyAttr.ETHERNET])
        found[place] = flow.attributes[FlowAttr.ACTIONS]
    return found


def test_the_learning_switch(kind: str, path: Path, new_namespace: Callable[[], Namespace]) -> None:
    switch = new_namespace()
    hosts = {}
    for name, address in ADDRESSES.items():
        hosts[name] = host = new_namespace()
        switch.add_veth(f"to-{name}", "eth0", host)
        host.add_address("eth0", address, 24)
    with switch, Daemon(kind, path, interfaces="host") as daemon, Device(path) as device:
        made = device.transact(
            DATAPATH, DpCmd.NEW, {DpAttr.NAME: "learning", DpAttr.UPCALL_PID: (0,)}
        )
        assert made is not None
        index = made.dp_ifindex
        for name in ("one", "two"):
            add_port(device, index, name)
        example = subprocess.Popen(
            (sys.executable, EXAMPLE, "learning", path), stdout=subprocess.PIPE, text=True
        )
        try:
            assert example.stdout is not None
            assert example.stdout.readline() == "learning learns; its ports are [0, 1, 2]\n"
            assert reaches(hosts["one"], ADDRESSES["two"])
            assert reaches(hosts["two"], ADDRESSES["one"])
            device.subscribe("ovs_vport")
            add_port(device, index, "three")  # while it runs: it claims the new port
            claimed: set[int] = set()
            while claimed != {0, 1, 2, 3}:
                event = device.next_event(DEADLINE_S)
                assert event is not None
                if event[1].command == VportCmd.SET:
                    claimed.add(event[1].attributes[VportAttr.PORT_NO])
            assert reaches(hosts["one"], ADDRESSES["three"])
            macs = [host.link("eth0").mac for host in hosts.values()]
            learned = flows(device, index)
            assert (1, KeyEthernet(macs[0], macs[1])) in learned
            assert (2, KeyEthernet(macs[1], macs[0])) in learned
            assert (3, KeyEthernet(macs[2], macs[0])) in learned
            assert example.poll() is None
        finally:
            example.kill()
            example.communicate()
        check_end(daemon)
