# SPDX-License-Identifier: Apache-2.0
"""A learning switch: python learning_switch.py DATAPATH [DEVICE]; Ctrl-C ends it.

It gets the packets that no flow matches, learns at which port each address is, and puts a flow for
each pair of addresses: so only the first packet from one host to another comes here.
"""

import sys

from ovsdp_cuse.client import DEFAULT_PATH, Device, EventsLost
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr, KeyEthernet
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd

EXACT = KeyEthernet(b"\xff" * 6, b"\xff" * 6)
MASK = KEY.encode({KeyAttr.IN_PORT: 0xFFFFFFFF, KeyAttr.ETHERNET: EXACT})


def claim(device: Device, index: int) -> list[int]:
    """Have the misses of all ports sent to this handle; the numbers of the ports."""
    found = device.dump(VPORT, VportCmd.GET, dp_ifindex=index)
    ports = [port.attributes[VportAttr.PORT_NO] for port in found]
    for port in ports:
        change = {VportAttr.PORT_NO: port, VportAttr.UPCALL_PID: (device.pid,)}
        device.transact(VPORT, VportCmd.SET, change, dp_ifindex=index)
    return ports


with Device(sys.argv[2] if len(sys.argv) > 2 else DEFAULT_PATH) as device:
    index = device.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: sys.argv[1]}).dp_ifindex
    device.subscribe("ovs_vport")
    ports, learned = claim(device, index), {}
    print(f"{sys.argv[1]} learns; its ports are {ports}", flush=True)
    while True:
        try:
            family, message = device.next_event()
        except EventsLost:
            continue  # too much came at once: who sent it will send it again
        told = message.attributes
        if family is VPORT and message.command in (VportCmd.NEW, VportCmd.DEL):
            ports = claim(device, index)
        elif family is PACKET:
            key = KEY.decode(told[PacketAttr.KEY], False)
            in_port, addresses = key[KeyAttr.IN_PORT], key[KeyAttr.ETHERNET]
            if learned.get(addresses.src, in_port) != in_port:
                device.transact(FLOW, FlowCmd.DEL, dp_ifindex=index)  # it has moved: forget all
            learned[addresses.src] = in_port
            known = learned.get(addresses.dst)
            outputs = [p for p in (ports if known is None else [known]) if p != in_port]
            actions = ACTIONS.encode([(ActionAttr.OUTPUT, port) for port in outputs])
            if known is not None:
                match = KEY.encode({KeyAttr.IN_PORT: in_port, KeyAttr.ETHERNET: addresses})
                flow = {FlowAttr.KEY: match, FlowAttr.MASK: MASK, FlowAttr.ACTIONS: actions}
                device.transact(FLOW, FlowCmd.NEW, flow, dp_ifindex=index)
            packet = {number: told[number] for number in (PacketAttr.PACKET, PacketAttr.KEY)}
            packet[PacketAttr.ACTIONS] = actions
            device.transact(PACKET, PacketCmd.EXECUTE, packet, dp_ifindex=index)
