"""What ovs-vswitchd makes of faults: unmodified, on the shim, with handles opened by threads."""

from __future__ import annotations

import socket

from ovsdp_cuse.client import Device
from ovsdp_cuse.client.faults import Faults
from ovsdp_cuse.wire.fault import FaultEffect
from tests.nodes.calls import wait_until
from tests.openvswitch.stack import Stack

TIMES = 3


def test_flows_that_find_no_room(stack: Stack) -> None:
    """It warns of each flow that it could not put, and puts it when it can."""
    stack.add_bridge("br0")
    for port in ("p1", "p2"):
        stack.vsctl("add-port", "br0", port, "--", "set", "interface", port, "type=internal")
        stack.namespace.set_up(port)
    assert stack.daemon is not None
    with Device(stack.daemon.path) as device, stack.namespace:
        faults = Faults(device)
        with (
            faults.added(
                FaultEffect.FAIL,
                errno=28,
                command="OVS_FLOW_CMD_NEW",
                process="ovs-vswitchd",
                times=TIMES,
            ) as fault,
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender,
        ):
            sender.bind(("p1", 0))

            def put() -> bool:
                sender.send(b"\xff" * 6 + bytes((2, 0, 0, 0, 0, 1)) + b"\x88\xb5" + bytes(60))
                return "eth_type(0x88b5)" in stack.dpctl("dump-flows", "system@ovs-system")

            wait_until(put, "the flow is put in the end")
            assert faults.get(fault.id).applied == TIMES
    assert stack.log.count("(No space left on device)") == TIMES
