"""ovs_win_netdev on the wire."""

from __future__ import annotations

from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netdev import NETDEV, InterfaceFlag, NetdevAttr, NetdevCmd

MESSAGE = Message(
    NETDEV.id,
    NetdevCmd.GET,
    {
        NetdevAttr.PORT_NO: 2,
        NetdevAttr.TYPE: 1,
        NetdevAttr.NAME: "eth0",
        NetdevAttr.MAC_ADDR: b"\x02\0\0\0\0\x09",
        NetdevAttr.MTU: 1500,
        NetdevAttr.IF_FLAGS: int(InterfaceFlag.UP | InterfaceFlag.PROMISC),
    },
    dp_ifindex=7,
    version=1,
)


def test_golden() -> None:
    """As CreateNetlinkMesgForNetdev() of v3.7.1 orders the attributes."""
    wire = bytes.fromhex(
        "5000000016000000 0000000000000000 0101000007000000"
        "0800010002000000 0800020001000000 090003006574683000000000"
        "0a00040002000000 00090000 08000500dc050000 0800060003000000"
    )
    assert NETDEV.build(MESSAGE) == wire
    assert NETDEV.parse(wire) == MESSAGE


def test_values_are_shown() -> None:
    assert NETDEV.format(MESSAGE) == (
        'OVS_WIN_NETDEV_CMD_GET dp_ifindex=7 {PORT_NO=2, TYPE=1, NAME="eth0", '
        "MAC_ADDR=02:00:00:00:00:09, MTU=1500, IF_FLAGS=0x3(UP|PROMISC)}"
    )
    assert NETDEV.attributes.table[NetdevAttr.IF_FLAGS].format(0) == "0x0"
