"""`ovs_win_control`: handles, subscriptions and waiting, which sockets have and a device has not.

Numbers: Open vSwitch v3.7.1, datapath-windows/include/OvsDpInterfaceExt.h; WIN_GET_PID is the 2014
patch's, where it is command 0 as WIN_PEND_REQ is later. TRANSACT tells the former from the latter.
SOCK_RCVBUF and those behind it are our own, each named for the socket option that it stands for.
"""

from __future__ import annotations

from enum import IntEnum

from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.values import u8, u32


class ControlCmd(IntEnum):
    """enum ovs_win_control_cmd."""

    WIN_PEND_REQ = 0
    WIN_GET_PID = 0
    WIN_PEND_PACKET_REQ = 1
    MC_SUBSCRIBE_REQ = 2
    PACKET_SUBSCRIBE_REQ = 3
    EVENT_NOTIFY = 4
    READ_NOTIFY = 5
    SOCK_PROP = 6


class SocketAttr(IntEnum):
    """Attributes of SOCK_PROP."""

    SOCK_PROTO = 0
    SOCK_PID = 1
    SOCK_RCVBUF = 2
    SOCK_EXT_ACK = 3
    SOCK_CAP_ACK = 4
    SOCK_NO_ENOBUFS = 5
    SOCK_BIND = 6


class McastAttr(IntEnum):
    """Attributes of MC_SUBSCRIBE_REQ."""

    MCAST_GRP = 0
    MCAST_JOIN = 1


class PacketSubscribeAttr(IntEnum):
    """Attributes of PACKET_SUBSCRIBE_REQ."""

    PACKET_SUBSCRIBE = 2
    PACKET_PID = 3


# These sets are strict in nothing, as all of the device door's; their numbers begin at 0.
CONTROL = FamilySchema(
    id=0x11,
    name="ovs_win_control",
    version=1,
    command_prefix="OVS_CTRL_CMD",
    commands=ControlCmd,
    attributes=AttributeSet("OVS_NL_ATTR", {}, maximum=3),  # OVS_WIN_CONTROL_ATTR_MAX
    attributes_by_command={
        ControlCmd.SOCK_PROP: AttributeSet(
            "OVS_NL_ATTR",
            {
                SocketAttr.SOCK_PROTO: u32(),
                SocketAttr.SOCK_PID: u32(),
                SocketAttr.SOCK_RCVBUF: u32(),
                SocketAttr.SOCK_EXT_ACK: u8(),
                SocketAttr.SOCK_CAP_ACK: u8(),
                SocketAttr.SOCK_NO_ENOBUFS: u8(),
                SocketAttr.SOCK_BIND: u32(),
            },
        ),
        ControlCmd.MC_SUBSCRIBE_REQ: AttributeSet(
            "OVS_NL_ATTR", {McastAttr.MCAST_GRP: u32(), McastAttr.MCAST_JOIN: u8()}
        ),
        ControlCmd.PACKET_SUBSCRIBE_REQ: AttributeSet(
            "OVS_NL_ATTR",
            {PacketSubscribeAttr.PACKET_SUBSCRIBE: u8(), PacketSubscribeAttr.PACKET_PID: u32()},
        ),
    },
)
