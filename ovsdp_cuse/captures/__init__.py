"""Capture files, as bytes: pcapng (read and written) and pcap (read), plain or gzipped.

capture = read_capture(Path("dump.pcapng").read_bytes())
for packet in capture.packets:
    print(packet.time_ns, packet.linktype, packet.data.hex())
if capture.problem:
    print(capture.problem)
"""

from ovsdp_cuse.captures.packet import (
    LINKTYPE_ETHERNET,
    LINKTYPE_NETLINK,
    Capture,
    CaptureError,
    Packet,
    Way,
)
from ovsdp_cuse.captures.read import read_capture

__all__ = [
    "LINKTYPE_ETHERNET",
    "LINKTYPE_NETLINK",
    "Capture",
    "CaptureError",
    "Packet",
    "Way",
    "read_capture",
]
