"""What ovs-vswitchd finds out of the datapath, and what it logs: as on the kernel's."""

from __future__ import annotations

from typing import Final

import pytest

from tests.openvswitch.stack import Stack
from tests.openvswitch.startup import of_interest, probed
from tests.openvswitch.transcript import RECORDED

pytestmark = pytest.mark.emulated

DIFFERENCES: Final = {
    # Connection tracking is not there yet.
    "Conntrack eventmask: Yes": "Conntrack eventmask: No",
    "Conntrack timeout policy: Yes": "Conntrack timeout policy: No",
    "Datapath supports eventmask in": "Datapath does not support eventmask in",
    "Datapath supports timeout policy in": "Datapath does not support timeout policy in",
    # OVS_HASH_ALG_SYM_L4 is of Linux 6.7.
    "Max dp_hash algorithm: 0": "Max dp_hash algorithm: 1",
    "Max dp_hash algorithm probed to be 0": "Max dp_hash algorithm probed to be 1",
}
"""What is said of the kernel's datapath, and what of ours instead."""


def expected(name: str) -> list[str]:
    """The lines of a recording, with what differs."""
    text = (RECORDED / name).read_text()
    for theirs, ours in DIFFERENCES.items():
        text = text.replace(theirs, ours)
    return text.splitlines()


def test_it_finds_the_features_of_the_kernel_s_datapath(stack: Stack) -> None:
    assert probed(stack).splitlines() == expected("features.txt")


def test_it_logs_what_it_does_on_the_kernel_s_datapath(stack: Stack) -> None:
    probed(stack)
    assert of_interest(stack.log) == expected("startup.txt")
