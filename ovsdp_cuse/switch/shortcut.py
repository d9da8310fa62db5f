"""The shortcut: in by one port, out by another, and nothing else to be done.

That is what happens to most frames. Such a frame need not become a Packet: the receiving port asks
where it goes, and puts it where it lies on the lane of the port that sends it. A lane is a list of
numbers that the ports understand; the switch only knows which one it is, and flushes the port.

It is for frames of known microflows (see microflow.py) whose flow has a single output and no other
action, to a port that is there, has a lane, and an MTU that the frame does not pass. It never does
anything else than the long way would, which all other frames go.

What was sent so is counted in the microflow, and with the flow at the end of the batch: nobody can
ask meanwhile.
"""

from __future__ import annotations

from ovsdp_cuse.switch.flow_table import FlowTable
from ovsdp_cuse.switch.key import TCP_FLAGS
from ovsdp_cuse.switch.microflow import Microflow, MicroflowCache
from ovsdp_cuse.switch.port import Forward, Port
from ovsdp_cuse.switch.protocols import ETHERNET_SIZE


def make_shortcut(
    cache: MicroflowCache,
    ports: dict[int, Port],
    queued: dict[Port, None],
    uncounted: list[Microflow],
) -> Forward:
    """What tells a port where a frame goes; on the way of every frame, so all is looked up here.

    queued: gets the ports that are to be flushed. uncounted: gets the microflows to be counted.
    """
    lookup = cache.lookup
    port_of = ports.get

    def forward(buffer: bytearray, start: int, size: int) -> list[int] | None:
        found = lookup(buffer, start, size)
        if found is None:
            return None
        port = port_of(found.flow.actions.output)
        if port is None or size > port.mtu + ETHERNET_SIZE:
            return None
        lane = port.lane
        if lane is None:
            return None
        if not found.packets:
            uncounted.append(found)
        found.packets += 1
        found.bytes += size
        if not lane:
            queued[port] = None
        return lane

    return forward


def count(uncounted: list[Microflow], flows: FlowTable, now_ms: int) -> int:
    """Count what took the shortcut with its flows, and return how many packets that were.

    For the statistics of the table each is a hit of the mask cache, where there is one.
    """
    packets = 0
    for microflow in uncounted:
        flow = microflow.flow
        flow.packets += microflow.packets
        flow.bytes += microflow.bytes
        flow.used_ms = now_ms
        flow.tcp_flags |= TCP_FLAGS.get(microflow.key)
        flow.mask.hits += microflow.packets
        packets += microflow.packets
        microflow.packets = microflow.bytes = 0
    uncounted.clear()
    flows.mask_hit += packets
    if flows.cache_size:
        flows.cache_hits += packets
    return packets
