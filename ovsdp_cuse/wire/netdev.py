"""`ovs_win_netdev`: network interfaces as messages.

Source: datapath-windows/include/OvsDpInterfaceExt.h of Open vSwitch v3.7.1, and ovs_datapath.h.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.datapath import IFNAMSIZ
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.values import Binary, Integer, PolicyType, String, u32

OVS_WIN_NETDEV_VERSION = 1
MAC_SIZE = 6


class NetdevCmd(IntEnum):
    """enum ovs_win_netdev_cmd."""

    UNSPEC = 0
    GET = 1


class NetdevAttr(IntEnum):
    """enum ovs_win_netdev_attr."""

    UNSPEC = 0
    PORT_NO = 1
    TYPE = 2
    NAME = 3
    MAC_ADDR = 4
    MTU = 5
    IF_FLAGS = 6


class InterfaceFlag(IntFlag):
    """OVS_WIN_NETDEV_IFF_*: bits of NetdevAttr.IF_FLAGS."""

    UP = 1 << 0
    PROMISC = 1 << 1


class MacValue(Binary):
    """A MAC address, shown with colons."""

    def __init__(self) -> None:
        super().__init__(MAC_SIZE, MAC_SIZE)

    def format(self, obj: Any) -> str:
        return ":".join(f"{byte:02x}" for byte in obj)


class InterfaceFlags(Integer):
    """A u32 of InterfaceFlag bits, shown by their names."""

    def __init__(self) -> None:
        super().__init__("I", PolicyType.U32)

    def format(self, obj: Any) -> str:
        names = [str(flag.name) for flag in InterfaceFlag if obj & flag]
        return f"{obj:#x}" + (f"({'|'.join(names)})" if names else "")


NETDEV = FamilySchema(
    id=0x16,
    name="ovs_win_netdev",
    version=OVS_WIN_NETDEV_VERSION,
    command_prefix="OVS_WIN_NETDEV_CMD",
    commands=NetdevCmd,
    attributes=AttributeSet(
        "OVS_WIN_NETDEV_ATTR",
        {
            NetdevAttr.PORT_NO: u32(),
            NetdevAttr.TYPE: u32(),
            NetdevAttr.NAME: String(IFNAMSIZ - 1),
            NetdevAttr.MAC_ADDR: MacValue(),
            NetdevAttr.MTU: u32(),
            NetdevAttr.IF_FLAGS: InterfaceFlags(),
        },
    ),
)
