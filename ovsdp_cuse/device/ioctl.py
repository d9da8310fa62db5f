"""ioctl number <-> device operation.

The numbers carry the size of their argument, as EVIOCGNAME(len) does: direction in bits 30-31,
size in 16-29, type in 8-15, number in 0-7 (<asm-generic/ioctl.h>). The size says nothing about
which operation is meant, so it is not looked at here.
"""

from __future__ import annotations

from ovsdp_cuse.families.dispatch import Ioctl

IOCTL_TYPE = 0xC8
"""_IOC_TYPE of all: the low byte of Open vSwitch's Windows device type, 45000."""

_BY_NUMBER: dict[int, Ioctl] = {IOCTL_TYPE << 8 | ioctl: ioctl for ioctl in Ioctl}


def lookup(number: int) -> Ioctl | None:
    """The operation that an ioctl number asks for; None where it is not one of ours."""
    return _BY_NUMBER.get(number & 0xFFFF)
