"""The innermost network and transport headers of a frame: what segments and checksums are about.

Extraction stops at what the flow key knows; this goes on through MPLS and the Network Service
Header, because a frame that was to be segmented before such a header was pushed still is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ovsdp_cuse.switch.key import ETH_TYPE, MAC_PROTO
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.protocols import (
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_MPLS_UC,
    ETH_P_NSH,
    ETH_P_TEB,
    ETHERNET_SIZE,
    IPPROTO_DSTOPTS,
    IPPROTO_HOPOPTS,
    IPPROTO_ROUTING,
    IPV4_SIZE,
    IPV6_SIZE,
    MPLS_SIZE,
    MPLS_TYPES,
    VLAN_SIZE,
    VLAN_TYPES,
)

_EXTENSIONS: Final = (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS)
"""Extension headers that may stand before what is segmented (INET6_PROTO_GSO_EXTHDR)."""
_NSH_PROTOCOLS: Final = {
    1: ETH_P_IP,
    2: ETH_P_IPV6,
    3: ETH_P_TEB,
    4: ETH_P_NSH,
    5: ETH_P_MPLS_UC,
}
"""What follows a Network Service Header, by its next protocol (RFC 8300)."""
_NSH_SIZE: Final = 8


class OffloadError(Exception):
    """A frame cannot be finished: its virtio_net_hdr does not fit it, or is of an unknown kind."""


class Layers(NamedTuple):
    """Offsets from the frame's beginning, the network header's EtherType, the transport's protocol.

    fragmentable: where IPv6 headers end that every fragment has, and where before that (an offset,
    too) the protocol of what follows is told.
    """

    network: int
    eth_type: int
    transport: int
    protocol: int
    fragmentable: int = 0
    next_header: int = 0


def find_layers(packet: Packet) -> Layers:
    """The innermost IPv4 or IPv6 header and where its transport header begins.

    The packet's key says whether the frame begins with Ethernet (MAC_PROTO), and if not, that or
    `packet.link` with what. Raises OffloadError where there is no IP or a header is cut off.
    """
    frame = memoryview(packet.buffer)[packet.start : packet.end]
    if MAC_PROTO.get(packet.key):
        eth_type = ETH_P_TEB
    else:
        eth_type = packet.link[0] if packet.link is not None else ETH_TYPE.get(packet.key)
    try:
        network, eth_type = _find_network(frame, eth_type)
        if eth_type == ETH_P_IP:
            return _ipv4(frame, network)
        return _ipv6(frame, network)
    except IndexError:
        raise OffloadError("a header is cut off") from None


def _find_network(frame: memoryview, eth_type: int) -> tuple[int, int]:
    """(offset, EtherType) of the innermost IP header; IndexError where the frame ends before."""
    at = 0
    while eth_type not in (ETH_P_IP, ETH_P_IPV6):
        if eth_type == ETH_P_TEB:
            at += ETHERNET_SIZE
            eth_type = _u16(frame, at - 2)
        elif eth_type in VLAN_TYPES:
            at += VLAN_SIZE
            eth_type = _u16(frame, at - 2)
        elif eth_type in MPLS_TYPES:
            at += MPLS_SIZE
            if frame[at - 2] & 1:
                # MPLS does not say what follows; Linux remembers it, a frame shows it.
                version = frame[at] >> 4
                eth_type = {4: ETH_P_IP, 6: ETH_P_IPV6}.get(version, ETH_P_TEB)
        elif eth_type == ETH_P_NSH:
            eth_type = _NSH_PROTOCOLS.get(frame[at + 3], 0)
            at += max(_NSH_SIZE, 4 * (frame[at + 1] & 0x3F))
        else:
            raise OffloadError(f"there is no IP in EtherType {eth_type:#06x}")
    return at, eth_type


def _ipv4(frame: memoryview, network: int) -> Layers:
    length = 4 * (frame[network] & 0xF)
    if length < IPV4_SIZE or network + length > len(frame):
        raise OffloadError("the IPv4 header is cut off")
    return Layers(network, ETH_P_IP, network + length, frame[network + 9])


def _ipv6(frame: memoryview, network: int) -> Layers:
    at = network + IPV6_SIZE
    if at > len(frame):
        raise OffloadError("the IPv6 header is cut off")
    next_header = network + 6
    has_routing = False
    cut: tuple[int, int] | None = None
    while frame[next_header] in _EXTENSIONS:
        # Destination options behind a routing header are for the destination alone (RFC 8200).
        if frame[next_header] == IPPROTO_DSTOPTS and has_routing and cut is None:
            cut = at, next_header
        has_routing = has_routing or frame[next_header] == IPPROTO_ROUTING
        next_header = at
        at += 8 * (frame[at + 1] + 1)
    return Layers(network, ETH_P_IPV6, at, frame[next_header], *(cut or (at, next_header)))


def _u16(frame: memoryview, at: int) -> int:
    return frame[at] << 8 | frame[at + 1]
