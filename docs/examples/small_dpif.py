# SPDX-License-Identifier: Apache-2.0
"""A small dpif: python small_dpif.py DATAPATH [DEVICE] [PORT...]; Ctrl-C ends it.

What ovs-vswitchd does with a datapath, in little: it makes one with its ports, reads the packets
that no flow matches, learns where each address is, puts a flow, sends the packet on its way, and
removes flows that nobody uses any more. docs/testing.md tests it.
"""

import sys
import time
from errno import EEXIST, ENOENT

from ovsdp_cuse.client import DEFAULT_PATH, DatapathError, Device, EventsLost
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr, KeyEthernet
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType

EXACT = KeyEthernet(b"\xff" * 6, b"\xff" * 6)
MASK = KEY.encode({KeyAttr.IN_PORT: 0xFFFFFFFF, KeyAttr.ETHERNET: EXACT})
IDLE_MS = 10_000
BATCH = 50


def monotonic_ms() -> int:
    """The clock that the times of flows are in."""
    return time.monotonic_ns() // 1_000_000


class SmallDpif:
    """One datapath, through an open device.

    lost: how often upcalls came too fast. refused: flows that the datapath did not take.
    """

    def __init__(self, device, name, now_ms=monotonic_ms):
        self.device, self.now_ms = device, now_ms
        self.lost = self.refused = 0
        self.ports, self.learned, self.made_ms = {}, {}, {}
        try:
            asked = {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)}
            self.index = device.transact(DATAPATH, DpCmd.NEW, asked).dp_ifindex
        except DatapathError as error:
            if error.errno != EEXIST:
                raise
            self.index = device.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: name}).dp_ifindex

    def add_port(self, name):
        """Make an interface a port; its number."""
        asked = {VportAttr.NAME: name, VportAttr.TYPE: VportType.NETDEV}
        asked[VportAttr.UPCALL_PID] = (self.device.pid,)
        made = self._ask(VPORT, VportCmd.NEW, asked).attributes
        self.ports[name] = made[VportAttr.PORT_NO]
        return self.ports[name]

    def run(self, timeout=0):
        """Handle up to BATCH upcalls; how many there were."""
        for number in range(BATCH):
            try:
                event = self.device.next_event(timeout if not number else 0)
            except EventsLost:
                self.lost += 1  # who sent the packets will send them again
                continue
            if event is None:
                return number
            if event[0] is PACKET:
                self.forward(event[1].attributes)
        return BATCH

    def forward(self, upcall):
        """Learn from a packet, put the flow that it is of, and send it on its way."""
        key = KEY.decode(upcall[PacketAttr.KEY], False)
        in_port, addresses = key[KeyAttr.IN_PORT], key[KeyAttr.ETHERNET]
        self.learned[addresses.src] = in_port
        known = self.learned.get(addresses.dst)
        outputs = [known] if known is not None else self.ports.values()
        actions = ACTIONS.encode([(ActionAttr.OUTPUT, p) for p in outputs if p != in_port])
        if known is not None:
            self.put_flow({KeyAttr.IN_PORT: in_port, KeyAttr.ETHERNET: addresses}, actions)
        packet = {number: upcall[number] for number in (PacketAttr.PACKET, PacketAttr.KEY)}
        self._ask(PACKET, PacketCmd.EXECUTE, {**packet, PacketAttr.ACTIONS: actions})

    def put_flow(self, match, actions):
        """Put a flow; where there is no room the next packet comes here, too, and no harm done."""
        key = KEY.encode(match)
        flow = {FlowAttr.KEY: key, FlowAttr.MASK: MASK, FlowAttr.ACTIONS: actions}
        try:
            self._ask(FLOW, FlowCmd.NEW, flow)
            self.made_ms[key] = self.now_ms()
        except DatapathError:
            self.refused += 1

    def expire(self):
        """Remove the flows that have had no packet for IDLE_MS; how many."""
        expired = 0
        for flow in self.flows():
            key = flow.attributes[FlowAttr.KEY]
            used_ms = flow.attributes.get(FlowAttr.USED, self.made_ms.get(key, 0))
            if self.now_ms() - used_ms > IDLE_MS:
                try:
                    self._ask(FLOW, FlowCmd.DEL, {FlowAttr.KEY: key})
                except DatapathError as error:
                    if error.errno != ENOENT:  # it has gone by itself
                        raise
                self.made_ms.pop(key, None)
                expired += 1
        return expired

    def flows(self):
        """The flows of the datapath, as messages."""
        return list(self.device.dump(FLOW, FlowCmd.GET, dp_ifindex=self.index))

    def _ask(self, family, command, attributes):
        return self.device.transact(family, command, attributes, dp_ifindex=self.index)


def main():
    """Serve a datapath until Ctrl-C."""
    name, path, *ports = [*sys.argv[1:], *([] if len(sys.argv) > 2 else [DEFAULT_PATH])]
    with Device(path) as device:
        dpif = SmallDpif(device, name)
        for port in ports:
            print(f"{port} is port {dpif.add_port(port)} of {name}", flush=True)
        while True:
            dpif.run(timeout=1)
            dpif.expire()


if __name__ == "__main__":
    main()
