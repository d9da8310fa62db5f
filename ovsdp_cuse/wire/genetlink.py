"""`nlctrl`, the generic netlink controller. Source: <linux/genetlink.h>, <linux/netlink.h>."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from ovsdp_cuse.wire.attributes import AttributeSet, Nested, NestedArray
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.values import String, s64, u16, u32, u64

GENL_NAMSIZ = 16
GENL_ID_CTRL = 0x10


class CtrlCmd(IntEnum):
    """The commands of <linux/genetlink.h> (CTRL_CMD_*)."""

    UNSPEC = 0
    NEWFAMILY = 1
    DELFAMILY = 2
    GETFAMILY = 3
    NEWOPS = 4
    DELOPS = 5
    GETOPS = 6
    NEWMCAST_GRP = 7
    DELMCAST_GRP = 8
    GETMCAST_GRP = 9
    GETPOLICY = 10


class CtrlAttr(IntEnum):
    """CTRL_ATTR_*."""

    UNSPEC = 0
    FAMILY_ID = 1
    FAMILY_NAME = 2
    VERSION = 3
    HDRSIZE = 4
    MAXATTR = 5
    OPS = 6
    MCAST_GROUPS = 7
    POLICY = 8
    OP_POLICY = 9
    OP = 10


class CtrlAttrOp(IntEnum):
    """CTRL_ATTR_OP_*."""

    ID = 1
    FLAGS = 2


class CtrlAttrMcastGrp(IntEnum):
    """CTRL_ATTR_MCAST_GRP_*."""

    NAME = 1
    ID = 2


class CtrlAttrPolicy(IntEnum):
    """CTRL_ATTR_POLICY_DO and _DUMP: the policy index that a command uses."""

    DO = 1
    DUMP = 2


class PolicyAttr(IntEnum):
    """enum netlink_policy_type_attr (NL_POLICY_TYPE_ATTR_*)."""

    TYPE = 1
    MIN_VALUE_S = 2
    MAX_VALUE_S = 3
    MIN_VALUE_U = 4
    MAX_VALUE_U = 5
    MIN_LENGTH = 6
    MAX_LENGTH = 7
    POLICY_IDX = 8
    POLICY_MAXTYPE = 9
    BITFIELD32_MASK = 10
    PAD = 11
    MASK = 12


class OperationFlag(IntFlag):
    """GENL_*: what CTRL_ATTR_OP_FLAGS says of a command."""

    ADMIN_PERM = 0x01
    CMD_CAP_DO = 0x02
    CMD_CAP_DUMP = 0x04
    CMD_CAP_HASPOL = 0x08
    UNS_ADMIN_PERM = 0x10


class _Told(NestedArray):
    """What an answer holds, and no request may: it has no policy, so GETPOLICY does not list it."""

    policy_type = None


_OPERATION = AttributeSet(
    "CTRL_ATTR_OP", {CtrlAttrOp.ID: u32(), CtrlAttrOp.FLAGS: u32(hexadecimal=True)}
)
_GROUP = AttributeSet(
    "CTRL_ATTR_MCAST_GRP",
    {CtrlAttrMcastGrp.NAME: String(GENL_NAMSIZ - 1), CtrlAttrMcastGrp.ID: u32()},
)
_OPERATION_POLICY = AttributeSet(
    "CTRL_ATTR_POLICY", {CtrlAttrPolicy.DO: u32(), CtrlAttrPolicy.DUMP: u32()}
)
_POLICY = AttributeSet(
    "NL_POLICY_TYPE_ATTR",
    {
        PolicyAttr.TYPE: u32(),
        PolicyAttr.MIN_VALUE_S: s64(),
        PolicyAttr.MAX_VALUE_S: s64(),
        PolicyAttr.MIN_VALUE_U: u64(),
        PolicyAttr.MAX_VALUE_U: u64(),
        PolicyAttr.MIN_LENGTH: u32(),
        PolicyAttr.MAX_LENGTH: u32(),
        PolicyAttr.POLICY_IDX: u32(),
        PolicyAttr.POLICY_MAXTYPE: u32(),
        PolicyAttr.BITFIELD32_MASK: u32(hexadecimal=True),
        PolicyAttr.MASK: u64(),
    },
)
_FAMILY_ID = u16()
_FAMILY_NAME = String(GENL_NAMSIZ - 1)

NLCTRL = FamilySchema(
    id=GENL_ID_CTRL,
    name="nlctrl",
    version=2,
    command_prefix="CTRL_CMD",
    commands=CtrlCmd,
    header_size=0,
    attributes=AttributeSet(
        "CTRL_ATTR",
        {
            CtrlAttr.FAMILY_ID: _FAMILY_ID,
            CtrlAttr.FAMILY_NAME: _FAMILY_NAME,
            CtrlAttr.VERSION: u32(),
            CtrlAttr.HDRSIZE: u32(),
            CtrlAttr.MAXATTR: u32(),
            CtrlAttr.OPS: NestedArray(Nested(_OPERATION)),
            CtrlAttr.MCAST_GROUPS: NestedArray(Nested(_GROUP)),
        },
    ),
    attributes_by_command={
        # What a client may send with GETFAMILY.
        CtrlCmd.GETFAMILY: AttributeSet(
            "CTRL_ATTR",
            {CtrlAttr.FAMILY_ID: _FAMILY_ID, CtrlAttr.FAMILY_NAME: _FAMILY_NAME},
        ),
        # The request and its answer have the same number, so both stand in one set.
        CtrlCmd.GETPOLICY: AttributeSet(
            "CTRL_ATTR",
            {
                CtrlAttr.FAMILY_ID: _FAMILY_ID,
                CtrlAttr.FAMILY_NAME: _FAMILY_NAME,
                CtrlAttr.POLICY: _Told(
                    NestedArray(Nested(_POLICY, flagged=True), flagged=True), flagged=True
                ),
                CtrlAttr.OP_POLICY: _Told(Nested(_OPERATION_POLICY, flagged=True), flagged=True),
                CtrlAttr.OP: u32(),
            },
            strict=True,
        ),
    },
)
