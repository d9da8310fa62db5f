"""OVS_VPORT_TYPE_NETDEV: an interface that exists already, by a packet socket.

The interface is promiscuous, what it receives is taken from the host's stack (see ingress.py), and
frames pass whole: what is to be checksummed or segmented yet is told by their vnet headers. Frames
go out through the interface's queueing discipline, as the kernel's datapath sends them: that is
where a packet's priority counts. What may be a port is ovs_netdev_link()'s rule in
net/openvswitch/vport-netdev.c. Options of the socket: packet(7), <linux/if_packet.h>.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import time
from contextlib import suppress
from errno import EADDRINUSE, EBUSY, EINVAL, ENETDOWN, ENODEV, ENOENT, EOPNOTSUPP
from typing import Final

import structlog

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.batch import Receiver, SendQueue
from ovsdp_cuse.ports.ingress import (
    add_filter,
    filters,
    leave_frames,
    take_frames,
    was_left,
)
from ovsdp_cuse.ports.kind import Host, HostPort, refusals
from ovsdp_cuse.ports.policing import Policer, policers_in
from ovsdp_cuse.ports.rtnetlink import ARPHRD_ETHER, IFF_LOOPBACK, Link
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PORT_TYPE_NETDEV, PortSpec, PortStats

SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_STATISTICS: Final = 6
PACKET_AUXDATA: Final = 8
PACKET_VNET_HDR: Final = 15
PACKET_IGNORE_OUTGOING: Final = 23
PACKET_MR_PROMISC: Final = 1
ETH_P_ALL: Final = 0x0003
ARPHRD_NONE: Final = 0xFFFE
ETH_HLEN: Final = 14
NO_QDISC: Final = (EINVAL, ENOENT)
"""What a filter is refused with where there is nothing to put it in."""
NO_TRAFFIC_CONTROL: Final = (ENOENT, EOPNOTSUPP)
"""What a kernel answers that does not have a qdisc or a filter of that kind."""

MEMBERSHIP: Final = struct.Struct("=iHH8x")
"""struct packet_mreq: ifindex, type, length of the address, the address."""
STATISTICS: Final = struct.Struct("=II")
"""struct tpacket_stats: packets, drops."""

SO_SNDBUFFORCE: Final = 32
SO_RCVBUFFORCE: Final = 33
SOCKET_MEMORY: Final = 8 << 20
"""Bytes of frames, with what the kernel needs beside, that may wait each way."""

log = structlog.get_logger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)

CREDENTIALS: Final = struct.Struct("=iII")
"""struct ucred: process, user and group id."""
SOCKADDR_LL: Final = struct.Struct("=HHi12x")
"""struct sockaddr_ll: family, protocol in network order, interface index."""
U32: Final = struct.Struct("=I")

CAPABILITIES: Final = "CAP_NET_ADMIN and CAP_NET_RAW"


class NetdevPort(HostPort):
    """An interface that exists already. `claim` is a lock that keeps other daemons away."""

    type = PORT_TYPE_NETDEV

    def __init__(self, link: Link, host: Host) -> None:
        super().__init__(link.name, link.ifindex)
        self.mtu, self.flags = link.mtu, link.flags
        self._host = host
        self._queue = SendQueue(host.sender)
        self.lane = self._queue.frames
        self._priority = self._mark = 0
        self._has_qdisc = False
        self._policers: list[Policer] = []
        what = f"interface {link.name!r} cannot be a port"
        with refusals(what, CAPABILITIES):
            self._claim = _claim(link)
            try:
                self._socket = _packet_socket(link)
            except OSError:
                self._claim.close()
                raise
            try:
                was_there = was_left(host.route, link.ifindex)
                self._has_qdisc = take_frames(host.route, link.ifindex) or was_there
                self._look_at_policers()
            except OSError as error:
                self.release()
                if error.errno in NO_TRAFFIC_CONTROL:
                    why = "the kernel lacks sch_ingress or cls_bpf, which take its frames"
                    raise DatapathError(error.errno, f"{what}: {why}") from error
                raise
        self._descriptor = self._socket.fileno()

    def fileno(self) -> int:
        """The packet socket."""
        return self._descriptor

    def receive_batch(self) -> None:
        """Receive what waits. A socket's errors pass: what becomes of the interface is told."""
        receiver: Receiver = self._host.receiver
        forward, give = self.forward, self.receive
        if self._policers:
            forward, give = _no_lane, self._police
        try:
            receiver.receive(self._descriptor, forward, give, self.counts)
        except OSError as error:
            # ENETDOWN says that the interface went down, others that a frame has an offload which
            # a vnet header cannot tell.
            if error.errno != ENETDOWN:
                self.counts.rx_errors += 1
        finally:
            self.received()

    def transmit(self, packet: Packet) -> bool:
        """Queue a packet where it lies."""
        if packet.priority != self._priority or packet.mark != self._mark:
            self._set_marks(packet.priority, packet.mark)
        self._queue.add(packet)
        return True

    def flush(self) -> None:
        """Send what is queued. What the interface refuses is counted; nothing is tried again."""
        queue = self._queue
        self._host.sender.send(self._descriptor, queue.frames, self._refused)
        queue.clear()

    @property
    def stats(self) -> PortStats:
        """The interface's counters; with them, what was lost between it and the switch."""
        try:
            answer = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, STATISTICS.size)
            self.counts.rx_dropped += STATISTICS.unpack(answer)[1]  # asking sets it to zero
            stats = self._host.route.stats(self.ifindex)
        except OSError:  # the interface is gone, or the port closed
            stats = PortStats()
        stats.rx_dropped += self.counts.rx_dropped
        stats.rx_errors += self.counts.rx_errors
        stats.tx_dropped += self.counts.tx_dropped
        stats.tx_errors += self.counts.tx_errors
        return stats

    def qdisc_gone(self) -> None:
        """If there is one again, it is not ours."""
        self._has_qdisc = False

    def filters_changed(self, *, make_qdisc: bool) -> bool:
        """Take the frames again, where somebody has removed the filter; see what is policed."""
        route, ifindex = self._host.route, self.ifindex
        try:
            if make_qdisc:
                self._has_qdisc |= take_frames(route, ifindex)
            else:
                add_filter(route, ifindex)
            self._look_at_policers()
        except OSError as error:
            self._policers = []
            return make_qdisc or error.errno not in NO_QDISC
        return True

    def release(self) -> None:
        """Give the interface back; the kernel ends its promiscuity with the socket."""
        self._queue.clear()
        with suppress(OSError):  # the interface may be gone, or the capability
            leave_frames(self._host.route, self.ifindex, self._has_qdisc)
        self._close_sockets()

    def _look_at_policers(self) -> None:
        self._policers = policers_in(filters(self._host.route, self.ifindex), time.monotonic_ns())

    def _police(self, packet: Packet) -> None:
        now_ns, length = time.monotonic_ns(), packet.end - packet.start - ETH_HLEN
        for policer in self._policers:
            if not policer.allows(length, now_ns):
                self.counts.rx_dropped += 1
                return
        self.receive(packet)

    def _close_sockets(self) -> None:
        self._socket.close()
        self._claim.close()

    def _set_marks(self, priority: int, mark: int) -> None:
        self.flush()
        self.lane = None  # what lies there has neither; and if this fails, nothing is known
        self._priority = self._mark = -1
        for option, number in ((socket.SO_PRIORITY, priority), (socket.SO_MARK, mark)):
            # Packed here: Python takes numbers of 31 bits only.
            self._socket.setsockopt(socket.SOL_SOCKET, option, U32.pack(number))
        self._priority, self._mark = priority, mark
        self.lane = None if priority or mark else self._queue.frames  # what lies there has neither

    def _refused(self, errno: int, count: int) -> None:
        if errno == EINVAL:  # the vnet header and the frame contradict each other
            self.counts.tx_errors += count
        else:  # ENOBUFS of a full queue, EAGAIN of a full socket, ENETDOWN, ENXIO, EMSGSIZE
            self.counts.tx_dropped += count


def _no_lane(buffer: bytearray, start: int, size: int) -> None:
    """No frame goes a short way that is to be policed first: a Forward."""


def _packet_socket(link: Link) -> socket.socket:
    """A packet socket that receives nothing until all of its options are set."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        opened.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_MEMORY)
        opened.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_MEMORY)
        _bind(opened, link.ifindex)
        membership = MEMBERSHIP.pack(link.ifindex, PACKET_MR_PROMISC, 0)
        opened.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
    except OSError:
        opened.close()
        raise
    return opened


def _bind(opened: socket.socket, ifindex: int) -> None:
    """Bind a packet socket by index: Python's bind() takes names only, and those change."""
    address = SOCKADDR_LL.pack(socket.AF_PACKET, socket.htons(ETH_P_ALL), ifindex)
    if _libc.bind(opened.fileno(), address, len(address)) < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def _claim(link: Link) -> socket.socket:
    """Hold an abstract address of this namespace, which only one process can; else EBUSY.

    Anybody may bind such an address, but only who could have a port is believed.
    """
    address = f"\0ovsdp-cuse/port/{link.ifindex}"
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        claim.bind(address)
        claim.listen()
    except OSError as error:
        holder = _holder(address) if error.errno == EADDRINUSE else None
        if holder in (0, os.geteuid()):
            claim.close()
            raise OSError(EBUSY, os.strerror(EBUSY)) from error
        log.warning("somebody else holds a port's lock", port=link.name, uid=holder)
    return claim


def _holder(address: str) -> int | None:
    """Whose process listens at an abstract address: its user id; None where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asker:
        try:
            asker.connect(address)
            peer = asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        except OSError:
            return None
    uid: int = CREDENTIALS.unpack(peer)[1]
    return uid


class NetdevKind:
    """Opens interfaces that exist already."""

    type: Final = PORT_TYPE_NETDEV

    def open(self, spec: PortSpec, host: Host) -> NetdevPort:
        """As PortProvider.open."""
        link = host.route.link(spec.name)
        if link is None:
            raise DatapathError(ENODEV, f"there is no interface {spec.name!r}")
        there = host.port_at(link.ifindex)
        if there is not None and there.type == PORT_TYPE_INTERNAL:
            raise DatapathError(EINVAL, f"{spec.name!r} is an internal port")
        if link.flags & IFF_LOOPBACK:
            raise DatapathError(EINVAL, f"{spec.name!r} is a loopback interface")
        if link.hardware == ARPHRD_NONE:
            raise DatapathError(EOPNOTSUPP, f"{spec.name!r} has frames without an Ethernet header")
        if link.hardware != ARPHRD_ETHER:
            raise DatapathError(
                EINVAL, f"{spec.name!r} is no Ethernet interface (ARPHRD {link.hardware})"
            )
        if link.master:
            raise DatapathError(EBUSY, f"{spec.name!r} belongs to interface {link.master}")
        if there is not None:
            raise DatapathError(EBUSY, f"{spec.name!r} is a port already")
        return NetdevPort(link, host)
