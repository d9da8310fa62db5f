"""The numbers of families and multicast groups, which differ from one kernel's boot to the next.

nlctrl tells them (CTRL_CMD_NEWFAMILY), to whom asked; a capture in which nobody did lacks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ovsdp_cuse.captures.netlink import Frame, split
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.genetlink import GENL_ID_CTRL, NLCTRL, CtrlAttr, CtrlAttrMcastGrp, CtrlCmd
from ovsdp_cuse.wire.netlink import GENERIC_HEADER_SIZE, NETLINK_HEADER


class Names:
    """ids: name -> nlmsg_type. groups: number -> name of a multicast group."""

    def __init__(self, ids: Mapping[str, int] | None = None) -> None:
        self.ids = {NLCTRL.name: GENL_ID_CTRL, **(ids or {})}
        self.groups: dict[int, str] = {}

    def learn(self, message: bytes) -> None:
        """Take note of a family, where the message tells of one; what was told first stays."""
        if NETLINK_HEADER.parse(message).type != GENL_ID_CTRL:
            return
        if len(message) <= GENERIC_HEADER_SIZE or message[16] != CtrlCmd.NEWFAMILY:
            return
        try:
            told = NLCTRL.parse(message).attributes
        except DatapathError:
            return  # of this one we know nothing; whoever shows it says why
        if CtrlAttr.FAMILY_NAME in told and CtrlAttr.FAMILY_ID in told:
            self.ids.setdefault(told[CtrlAttr.FAMILY_NAME], told[CtrlAttr.FAMILY_ID])
        for group in told.get(CtrlAttr.MCAST_GROUPS, {}).values():
            if CtrlAttrMcastGrp.ID in group and CtrlAttrMcastGrp.NAME in group:
                self.groups[group[CtrlAttrMcastGrp.ID]] = group[CtrlAttrMcastGrp.NAME]

    def learn_all(self, frames: Iterable[Frame]) -> None:
        """What a capture tells of families."""
        for frame in frames:
            for message in split(frame.data):
                self.learn(message)
