"""The numbers of the ioctls, which carry the size of their argument.

Direction in bits 30-31, size in 16-29, type in 8-15, number in 0-7: <asm-generic/ioctl.h>, which
is what x86, Arm, RISC-V and s390 use. <ovs_datapath.h> has the same for C.
"""

from __future__ import annotations

IOC_WRITE, IOC_READ = 1, 2
IOCTL_TYPE = 0xC8

OVS_IOCTL_MAX_LENGTH = (1 << 14) - 1
"""The largest argument that a number can carry; what is larger goes through the stream door."""


def encode(direction: int, number: int, length: int) -> int:
    """An ioctl's number; ValueError for an argument of more than OVS_IOCTL_MAX_LENGTH bytes."""
    if not 0 <= length <= OVS_IOCTL_MAX_LENGTH:
        raise ValueError(f"an ioctl carries at most {OVS_IOCTL_MAX_LENGTH} bytes, not {length}")
    return direction << 30 | length << 16 | IOCTL_TYPE << 8 | number


OVS_IOCTL_GET_PID = encode(IOC_READ, 0, 4)


def ovs_ioctl_read(length: int) -> int:
    """The next part of the dump that WRITE began, in a buffer of `length` bytes."""
    return encode(IOC_READ, 1, length)


def ovs_ioctl_write(length: int) -> int:
    """A request of at most `length` bytes, without a reply."""
    return encode(IOC_WRITE, 4, length)


def ovs_ioctl_transact(length: int) -> int:
    """A request and its reply in one buffer of `length` bytes."""
    return encode(IOC_READ | IOC_WRITE, 5, length)


def ovs_ioctl_peek(length: int) -> int:
    """The first `length` bytes of the next datagram, which stays."""
    return encode(IOC_READ, 6, length)
