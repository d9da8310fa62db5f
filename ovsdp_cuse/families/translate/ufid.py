"""UFIDs, the names that userspace gives to flows."""

from __future__ import annotations

from typing import Final

MAX_UFID_LENGTH: Final = 16
"""net/openvswitch/flow.h of Linux 6.1."""


def parse_ufid(payload: bytes) -> bytes | None:
    """The UFID in OVS_FLOW_ATTR_UFID; None for one that counts as if it were not there.

    That is one longer than 16 bytes (get_ufid_len() in net/openvswitch/flow_netlink.c; an empty
    one is refused before, by the policy). A shorter one is not the same as with zeros behind it.
    """
    return payload if 0 < len(payload) <= MAX_UFID_LENGTH else None
