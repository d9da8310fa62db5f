"""A kind of port: frames are datagrams of a Unix socket, so that any program can be a host.

The port NAME receives at the abstract address @NAME, and sends to @NAME.peer.
"""

import socket

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.kind import Host, HostPort
from ovsdp_cuse.switch.names import validate_name
from ovsdp_cuse.switch.offload import OffloadError, segments
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.port import PortSpec

UNIX = 1000  # its OVS_VPORT_TYPE_*
BATCH = 32


class UnixPort(HostPort):
    type = UNIX

    def __init__(self, name: str) -> None:
        super().__init__(name, ifindex=0)  # the host has no interface for it
        self._peer = f"\0{name}.peer"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(f"\0{name}")
        except OSError as error:
            self._socket.close()
            text = f"the address @{name} cannot be had: {error.strerror}"
            raise DatapathError(error.errno or 0, text) from None

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive_batch(self) -> None:
        try:
            for _ in range(BATCH):
                frame = self._socket.recv(65_536)
                self.counts.rx_packets += 1
                self.counts.rx_bytes += len(frame)
                self.receive(Packet.of(frame))
        except BlockingIOError:
            pass  # that was all
        finally:
            self.received()

    def transmit(self, packet: Packet) -> bool:
        try:
            # Nobody behind a socket finishes what the sender left to its interface.
            for part in segments(packet) if packet.has_offload else [packet]:
                frame = memoryview(part.buffer)[part.start : part.end]
                self._socket.sendto(frame, self._peer)
                self.counts.tx_packets += 1
                self.counts.tx_bytes += len(frame)
        except OffloadError:
            self.counts.tx_errors += 1
        except OSError:
            self.counts.tx_dropped += 1  # nobody is there, or too slow
        return False  # nothing is queued

    def release(self) -> None:
        self._socket.close()


class UnixKind:
    type = UNIX

    def open(self, spec: PortSpec, host: Host) -> UnixPort:
        validate_name(spec.name)
        return UnixPort(spec.name)


KIND = UnixKind()
