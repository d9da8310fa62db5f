"""The family ovs_datapath in the tests: <linux/openvswitch.h>."""

from __future__ import annotations

from typing import Any

from tests.contract.messages import DATAPATH, attribute, build, text, u32

NEW, DEL, GET, SET = 1, 2, 3, 4
(
    NAME, UPCALL_PID, STATS, MEGAFLOW_STATS, USER_FEATURES, PAD, MASKS_CACHE_SIZE, PER_CPU_PIDS,
    IFINDEX,
) = range(1, 10)  # fmt: skip
GROUP = 102

UNALIGNED, VPORT_PIDS, TC_RECIRC_SHARING, DISPATCH_UPCALL_PER_CPU = 1, 2, 4, 8


def named(command: int, name: str, *attributes: bytes, **header: Any) -> bytes:
    """A request about the datapath with this name."""
    return build(DATAPATH, command, attribute(NAME, text(name)), *attributes, **header)


def new(name: str, *attributes: bytes, **header: Any) -> bytes:
    """A request for a datapath, with what NEW cannot do without."""
    return named(NEW, name, attribute(UPCALL_PID, u32(0)), *attributes, **header)


def features(value: int) -> bytes:
    """OVS_DP_ATTR_USER_FEATURES."""
    return attribute(USER_FEATURES, u32(value))


def reply_length(name: str, cpus: int = 0) -> int:
    """Bytes of a reply about a datapath: attributes as ovs_dp_cmd_fill_info() has them."""
    return 24 + len(attribute(NAME, text(name))) + 36 + 36 + 8 + 8 + (4 + 4 * cpus if cpus else 0)
