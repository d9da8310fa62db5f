"""The family `ovs_win_netdev`: read a network interface by its name.

Open vSwitch on Windows asks the datapath what it asks rtnetlink on Linux. The answers are those of
OvsGetNetdevCmdHandler() in datapath-windows/ovsext/Vport.c of v3.7.1, whose client does without
none of the attributes; where there are many datapaths and interfaces that belong to none:

- dp_ifindex does not matter to the look-up; the reply has that of the interface's datapath, or 0;
- an interface that is no port has the number 65535 (OVS_DPPORT_NUMBER_INVALID) and the type that it
  would have as a port, OVS_VPORT_TYPE_NETDEV.
"""

from __future__ import annotations

from errno import EINVAL

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.switch.key import NO_PORT
from ovsdp_cuse.switch.port import PORT_TYPE_NETDEV, Interface
from ovsdp_cuse.wire.netdev import NETDEV, InterfaceFlag, NetdevAttr, NetdevCmd


def _flags(interface: Interface) -> int:
    flags = InterfaceFlag.UP if interface.is_up else InterfaceFlag(0)
    return int(flags | InterfaceFlag.PROMISC if interface.is_promiscuous else flags)


async def get(request: Request) -> Answer:
    """OVS_WIN_NETDEV_CMD_GET: read an interface.

    Raises EINVAL without NAME or for an empty one, ENODEV where there is no such interface.
    """
    name = request.attributes.get(NetdevAttr.NAME)
    if not name:
        what = NETDEV.attributes.name_of(NetdevAttr.NAME)
        raise DatapathError(EINVAL, f"{what} is missing or empty")
    try:
        interface = request.context.ports.interface(name)
    except DatapathError as error:
        error.path = (NetdevAttr.NAME,)
        raise
    port = request.context.switch.lookup_port(name)
    attributes = {
        int(NetdevAttr.PORT_NO): NO_PORT if port is None else port.number,
        int(NetdevAttr.TYPE): PORT_TYPE_NETDEV if port is None else port.type,
        int(NetdevAttr.NAME): name,
        int(NetdevAttr.MAC_ADDR): interface.mac,
        int(NetdevAttr.MTU): interface.mtu,
        int(NetdevAttr.IF_FLAGS): _flags(interface),
    }
    return Answer(Body(NetdevCmd.GET, attributes, 0 if port is None else port.dp_ifindex))


FAMILY = Family(
    schema=NETDEV,
    summary="network interfaces, ports or not: read them",
    commands=(
        Command(
            NetdevCmd.GET,
            "OVS_WIN_NETDEV_CMD_GET",
            DeviceOperation.TRANSACT,
            get,
            summary="read an interface by its name",
        ),
    ),
)
