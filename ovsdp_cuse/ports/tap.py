"""OVS_VPORT_TYPE_INTERNAL: an interface of the host that is made for the port, a TAP.

It is there as long as its descriptor is open, so it goes with the port and with the daemon. Frames
pass with vnet headers: the host leaves checksums and segments to the switch, and takes such frames.
Source: tuntap.rst of the kernel's documentation, <linux/if_tun.h>, drivers/net/tun.c; what an
internal device is like is in net/openvswitch/vport-internal_dev.c.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from errno import EAFNOSUPPORT, EBADF, EBADFD, EBUSY, EEXIST, EINVAL, EIO, ENODEV
from typing import Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.kind import Host, HostPort, refusals
from ovsdp_cuse.ports.rtnetlink import Link
from ovsdp_cuse.switch.names import NAME_MAXIMUM, validate_name
from ovsdp_cuse.switch.packet import HEADROOM, VNET_HEADER_SIZE, Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PortSpec, PortStats

DEVICE: Final = "/dev/net/tun"

TUNSETIFF: Final = 0x400454CA
TUNSETOFFLOAD: Final = 0x400454D0
TUNSETVNETHDRSZ: Final = 0x400454D8
TUNSETIFINDEX: Final = 0x400454DA
IFF_TAP: Final = 0x0002
IFF_NO_PI: Final = 0x1000
IFF_VNET_HDR: Final = 0x4000
IFF_TUN_EXCL: Final = 0x8000
"""An interface with this name that is there may not be taken."""
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN = 0x01, 0x02, 0x04, 0x08
TUN_F_USO4, TUN_F_USO6 = 0x20, 0x40
OFFLOADS: Final = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN
UDP_OFFLOADS: Final = TUN_F_USO4 | TUN_F_USO6
"""Since Linux 6.2."""

IFREQ: Final = struct.Struct("=16sH22x")
"""struct ifreq: name, flags."""
QUEUE_LENGTH: Final = 1000
"""Frames from the host that may wait for the switch: what Ethernet interfaces have."""
ETH_HLEN: Final = 14

CAPABILITIES: Final = "CAP_NET_ADMIN"

GONE: Final = (EBADF, EBADFD, ENODEV)
"""What a descriptor answers whose interface has been deleted."""


class TapPort(HostPort):
    """An interface that was made for the port."""

    type = PORT_TYPE_INTERNAL
    keeps_interface = True

    def __init__(self, descriptor: int, link: Link, host: Host) -> None:
        super().__init__(link.name, link.ifindex)
        self.mtu, self.flags = link.mtu, link.flags
        self._host = host
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The TAP's descriptor."""
        return self._descriptor

    def receive_batch(self) -> None:
        """Receive what the host has sent; OSError where the interface is gone."""
        descriptor = self._descriptor
        receive = self.receive
        end = HEADROOM - VNET_HEADER_SIZE
        try:
            for buffer, view in self._host.receiver.views:
                length = os.readv(descriptor, view)
                packet = Packet(buffer, HEADROOM, end + length)
                packet.owned = True  # until the batch is done with nobody else has this slot
                receive(packet)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in GONE:
                raise
            self.counts.tx_errors += 1  # EINVAL: a vnet header cannot tell what the frame needs
        finally:
            self.received()

    def transmit(self, packet: Packet) -> bool:
        """Give the host a packet, at once: a TAP takes one at a time."""
        try:
            os.write(
                self._descriptor,
                memoryview(packet.buffer)[packet.start - VNET_HEADER_SIZE : packet.end],
            )
        except OSError as error:
            if error.errno != EIO:  # which the interface counts itself: it is down
                self._refused(error.errno)
        return False

    @property
    def stats(self) -> PortStats:
        """The interface's counters, as the host sees them, and what the TAP did not count.

        The kernel counts what an internal device receives without the Ethernet header.
        """
        try:
            stats = self._host.route.stats(self.ifindex, self.netns_id)
        except OSError:  # it is gone
            stats = PortStats()
        stats.rx_bytes -= ETH_HLEN * stats.rx_packets
        stats.rx_dropped += self.counts.rx_dropped
        stats.rx_errors += self.counts.rx_errors
        stats.tx_errors += self.counts.tx_errors
        return stats

    def release(self) -> None:
        """Close the descriptor: the interface disappears."""
        os.close(self._descriptor)

    def _refused(self, errno: int | None) -> None:
        if errno == EINVAL:  # the vnet header and the frame contradict each other
            self.counts.rx_errors += 1
        else:  # EBADFD where it is gone, which receiving tells; EAGAIN, ENOMEM
            self.counts.rx_dropped += 1


class TapKind:
    """Makes interfaces."""

    type: Final = PORT_TYPE_INTERNAL

    def open(self, spec: PortSpec, host: Host) -> TapPort:
        """As PortProvider.open. The interface is down, and has a random address."""
        validate_name(spec.name)
        wanted = os.fsencode(spec.name)
        if len(wanted) > NAME_MAXIMUM:
            raise DatapathError(EINVAL, f"{spec.name!r} is longer than {NAME_MAXIMUM} bytes")
        with refusals(f"interface {spec.name!r} cannot be made", CAPABILITIES):
            try:
                descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                raise DatapathError(
                    EAFNOSUPPORT, f"there is no {DEVICE}: the kernel's module tun is missing"
                ) from None
            try:
                name = _make(descriptor, wanted, spec.ifindex)
                link = host.route.link(os.fsdecode(name))
                if link is None:
                    raise OSError(ENODEV, os.strerror(ENODEV))
                with suppress(OSError):
                    host.route.set_link(link.ifindex, ("IFLA_TXQLEN", QUEUE_LENGTH))
            except OSError as error:
                os.close(descriptor)
                if error.errno != EBUSY:
                    raise
                if host.route.link(spec.name) is not None:
                    error.errno = EEXIST
                    raise
                raise DatapathError(
                    EBUSY, f"interface index {spec.ifindex} is in use already"
                ) from error
        return TapPort(descriptor, link, host)


def _make(descriptor: int, wanted: bytes, ifindex: int) -> bytes:
    """Make the descriptor a TAP; its name, where "%d" has become a number."""
    if ifindex:
        fcntl.ioctl(descriptor, TUNSETIFINDEX, struct.pack("=I", ifindex))
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL
    answer = fcntl.ioctl(descriptor, TUNSETIFF, IFREQ.pack(wanted, flags))
    fcntl.ioctl(descriptor, TUNSETVNETHDRSZ, struct.pack("=i", VNET_HEADER_SIZE))
    try:
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, OFFLOADS | UDP_OFFLOADS)
    except OSError:
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, OFFLOADS)
    name: bytes = IFREQ.unpack(answer)[0]
    return name.rstrip(b"\0")
