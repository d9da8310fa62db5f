"""Which families a client can decode, and what nlctrl tells of those that are served."""

from __future__ import annotations

from dataclasses import dataclass

from ovsdp_cuse.wire.control import CONTROL
from ovsdp_cuse.wire.ct_limit import CT_LIMIT
from ovsdp_cuse.wire.datapath import DATAPATH
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.flow import FLOW
from ovsdp_cuse.wire.genetlink import (
    NLCTRL,
    CtrlAttr,
    CtrlAttrMcastGrp,
    CtrlAttrOp,
    OperationFlag,
)
from ovsdp_cuse.wire.meter import METER
from ovsdp_cuse.wire.netdev import NETDEV
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL
from ovsdp_cuse.wire.packet import PACKET
from ovsdp_cuse.wire.vport import VPORT

SCHEMAS: tuple[FamilySchema, ...] = (
    NLCTRL,
    CONTROL,
    DATAPATH,
    PACKET,
    VPORT,
    FLOW,
    NETDEV,
    CT_LIMIT,
    METER,
    OVSDP_CONTROL,
)


@dataclass(frozen=True, slots=True)
class FamilyInfo:
    """A family that the device serves, as nlctrl describes it.

    header_size: bytes between genlmsghdr and the attributes. commands: number -> what it can do.
    groups: name -> number of its multicast groups.
    """

    id: int
    name: str
    version: int
    header_size: int
    commands: dict[int, OperationFlag]
    groups: dict[str, int]

    @classmethod
    def from_message(cls, message: Message) -> FamilyInfo:
        """What CTRL_CMD_NEWFAMILY says."""
        attributes = message.attributes
        return cls(
            attributes[CtrlAttr.FAMILY_ID],
            attributes[CtrlAttr.FAMILY_NAME],
            attributes[CtrlAttr.VERSION],
            attributes[CtrlAttr.HDRSIZE],
            {
                operation[CtrlAttrOp.ID]: OperationFlag(operation[CtrlAttrOp.FLAGS])
                for operation in attributes.get(CtrlAttr.OPS, {}).values()
            },
            {
                group[CtrlAttrMcastGrp.NAME]: group[CtrlAttrMcastGrp.ID]
                for group in attributes.get(CtrlAttr.MCAST_GROUPS, {}).values()
            },
        )
