"""Segments and checksums are those of this machine's kernel, whose software offload is asked.

A packet socket gives the kernel a frame with its virtio_net_hdr, and the interface can do nothing:
so the kernel finishes the frame, and another packet socket at the peer shows how.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6ExtHdrHopByHop

from ovsdp_cuse.switch.offload import segments
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_GSO_ECN,
    VIRTIO_NET_HDR_GSO_NONE,
    VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6,
    VIRTIO_NET_HDR_GSO_UDP,
    VIRTIO_NET_HDR_GSO_UDP_L4,
    VNET_HEADER_SIZE,
    Offload,
    Packet,
)
from tests.namespaces import fresh_namespaces
from tests.switch.superframes import OPTIONS, OUTER, ipv4, ipv6, superframe

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_VNET_HDR = 15
TP_STATUS_VLAN_VALID = 1 << 4
SO_RCVBUFFORCE = 33
SIOCETHTOOL = 0x8946
FEATURES = {"tx checksum": 0x17, "scatter-gather": 0x19, "TSO": 0x1F, "GSO": 0x24, "GRO": 0x2C}
"""ETHTOOL_STXCSUM, _SSG, _STSO, _SGSO, _SGRO of <linux/ethtool.h>."""
AUXDATA = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata of <linux/if_packet.h>."""


def switch_off(interface: str) -> None:
    """Take all that an interface could do for its frames from it."""
    with socket.socket() as control:
        for command in FEATURES.values():
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(control, SIOCETHTOOL, request)


class Wire:
    """Two ends of a wire; what is sent into one comes out of the other, finished."""

    def __init__(self) -> None:
        for name in ("end0", "end1"):
            switch_off(name)
        self._sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self._sender.bind(("end0", 0))
        self._receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._receiver.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self._receiver.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 25)
        self._receiver.bind(("end1", ETH_P_ALL))
        self._wait_until_up()
        self._receiver.settimeout(10)

    def _wait_until_up(self) -> None:
        """Send until something arrives: the kernel takes its time to tell an end of the other."""
        probe = bytes(VNET_HEADER_SIZE) + bytes(12) + b"\x99\x99" + bytes(46)
        self._receiver.settimeout(0.1)
        for _ in range(100):
            self._sender.send(probe)
            with suppress(TimeoutError):
                self._receiver.recv(2048)
                break
        with suppress(TimeoutError):
            while True:  # those that came late
                self._receiver.recv(2048)

    def close(self) -> None:
        """Close the sockets."""
        self._sender.close()
        self._receiver.close()

    def finish(self, packet: Packet, count: int) -> list[bytes]:
        """Send a frame with its vnet header; the `count` frames that arrive."""
        self._sender.send(packet.buffer[packet.start - VNET_HEADER_SIZE : packet.end])
        return [self._receive() for _ in range(count)]

    def _receive(self) -> bytes:
        data, ancillary, _, _ = self._receiver.recvmsg(70000, 256)
        frame = data[VNET_HEADER_SIZE:]
        for level, kind, value in ancillary:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, *_, tci, tpid = AUXDATA.unpack(value)
                if status & TP_STATUS_VLAN_VALID:
                    frame = frame[:12] + struct.pack(">HH", tpid, tci) + frame[12:]
        return frame


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """A wire in a namespace of its own."""
    with fresh_namespaces() as new_namespace, new_namespace() as namespace:
        namespace.add_veth("end0", "end1")
        wire = Wire()
        yield wire
        wire.close()


def random_frame(rng: random.Random, kind: int, is_ipv6: bool) -> tuple[Packet, int]:
    """A frame to be finished, and where it may differ: the bytes of an IPv6 fragment's id."""
    outer = rng.choice(["ethernet", "vlan", "two tags"])
    size = 8 * rng.randint(1, 170)
    payload = rng.randbytes(rng.randint(size + 1, min(60 * size, 60000)))
    if kind == VIRTIO_NET_HDR_GSO_NONE:
        payload = payload[: rng.randint(1, 1400)]
    ip: Any
    if is_ipv6:
        # Linux makes wrong fragments where there are extension headers.
        extensions = [IPv6ExtHdrHopByHop()] if kind != VIRTIO_NET_HDR_GSO_UDP else []
        ip = ipv6(*rng.choice([[], extensions]))
    else:
        options = rng.choice([b"", b"\x01" * 4])
        ip = ipv4(rng.getrandbits(16), tos=rng.getrandbits(8), flags="DF", options=options)
    transport: Any
    is_tcp = kind in (VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_NONE)
    if is_tcp:
        flags = rng.choice(["A", "PA", "FPA", "FPACE"])
        transport = TCP(sport=1, dport=2, seq=rng.getrandbits(32), flags=flags)
        transport.options = rng.choice([[], OPTIONS])
        if kind:
            kind |= rng.choice([0, VIRTIO_NET_HDR_GSO_ECN])
    else:
        transport = UDP(sport=4001, dport=4003)
    whole = OUTER[outer] / ip / transport / payload
    offload = Offload(0, kind, 0, size, 0, 0)
    packet = superframe(whole, 6 if is_tcp else 17, payload, offload, True)
    return packet, packet.network + 44 if kind == VIRTIO_NET_HDR_GSO_UDP and is_ipv6 else 0


def without(frames: list[bytes], unknown: int) -> list[str]:
    """The frames in hexadecimal, with zeros for the four bytes that may differ."""
    if not unknown:
        return [frame.hex() for frame in frames]
    return [(frame[:unknown] + bytes(4) + frame[unknown + 4 :]).hex() for frame in frames]


@pytest.mark.parametrize(
    ("kind", "is_ipv6"),
    [
        (VIRTIO_NET_HDR_GSO_NONE, False),
        (VIRTIO_NET_HDR_GSO_NONE, True),
        (VIRTIO_NET_HDR_GSO_TCPV4, False),
        (VIRTIO_NET_HDR_GSO_TCPV6, True),
        (VIRTIO_NET_HDR_GSO_UDP, False),
        (VIRTIO_NET_HDR_GSO_UDP, True),
        (VIRTIO_NET_HDR_GSO_UDP_L4, False),
        (VIRTIO_NET_HDR_GSO_UDP_L4, True),
    ],
)
def test_frames_are_finished_as_by_the_kernel(wire: Wire, kind: int, is_ipv6: bool) -> None:
    rng = random.Random(f"{kind} {is_ipv6}")
    for _ in range(25):
        packet, unknown = random_frame(rng, kind, is_ipv6)
        expected = [piece.frame for piece in segments(packet)]
        try:
            found = wire.finish(packet, len(expected))
        except OSError as error:
            if error.errno == errno.EINVAL and kind == VIRTIO_NET_HDR_GSO_UDP_L4:
                pytest.skip("this kernel's packet sockets take no UDP segments (before Linux 6.2)")
            raise
        assert without(found, unknown) == without(expected, unknown)
