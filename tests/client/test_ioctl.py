"""The numbers are those that the daemon knows, and that C computes."""

from __future__ import annotations

import pytest

from ovsdp_cuse.client import ioctl
from ovsdp_cuse.device.ioctl import lookup
from ovsdp_cuse.families.dispatch import Ioctl

MAXIMUM = ioctl.OVS_IOCTL_MAX_LENGTH


@pytest.mark.parametrize(
    ("number", "operation", "direction", "length"),
    [
        (ioctl.OVS_IOCTL_GET_PID, Ioctl.GET_PID, 2, 4),
        (ioctl.ovs_ioctl_read(MAXIMUM), Ioctl.READ, 2, 16383),
        (ioctl.ovs_ioctl_write(24), Ioctl.WRITE, 1, 24),
        (ioctl.ovs_ioctl_transact(4096), Ioctl.TRANSACT, 3, 4096),
        (ioctl.ovs_ioctl_peek(0), Ioctl.PEEK, 2, 0),
    ],
)
def test_a_number_says_operation_direction_and_length(
    number: int, operation: Ioctl, direction: int, length: int
) -> None:
    assert lookup(number) is operation
    assert (number >> 30, number >> 16 & 0x3FFF) == (direction, length)


def test_a_number_as_the_c_header_has_it() -> None:
    assert ioctl.ovs_ioctl_transact(4096) == 0xD000C805  # _IOWR('\xc8', 5, char[4096])


def test_what_a_number_cannot_carry() -> None:
    with pytest.raises(ValueError, match="16383 bytes, not 16384"):
        ioctl.ovs_ioctl_write(MAXIMUM + 1)
