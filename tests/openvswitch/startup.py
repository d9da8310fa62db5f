"""What ovs-vswitchd finds out of a datapath when it starts, by its features and its log."""

from __future__ import annotations

import re

from tests.openvswitch.stack import SLOWNESS, Stack
from tests.openvswitch.transcript import LOGGED

ABOUT_THE_DATAPATH = re.compile(r"^(?:dpif|dpif_netlink|dpif_netlink_rtnl|ofproto_dpif|ofproto)$")
"""The modules whose lines tell of the datapath, whatever their level; of all others, warnings."""


def probed(stack: Stack) -> str:
    """Make a bridge, and tell what ovs-vswitchd thinks the datapath can do."""
    stack.add_bridge("br0")
    return stack.appctl("dpif/show-dp-features", "br0")


def of_interest(log: str) -> list[str]:
    """The lines of a log that tell of the datapath, and all warnings, without their times."""
    found = []
    for line in log.splitlines():
        logged = LOGGED.match(line)
        if logged is None:
            found.append(line)
        elif not SLOWNESS.search(line) and (
            ABOUT_THE_DATAPATH.match(logged[1]) or logged[2] != "INFO"
        ):
            found.append(LOGGED.sub(r"\2 \1: ", line))
    return found
