"""The family `ovs_packet`: upcalls go out, packets to execute come in.

The messages are those of net/openvswitch/datapath.c of Linux 6.1. In an upcall the packet is the
last attribute; with OVS_DP_F_UNALIGNED neither it nor the message is padded.
"""

from __future__ import annotations

from errno import EINVAL

from ovsdp_cuse.errors import DatapathError, within
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Context, Request
from ovsdp_cuse.families.translate.actions import parse_actions
from ovsdp_cuse.families.translate.key import build_key, parse_packet_key
from ovsdp_cuse.switch.extract import extract_userspace
from ovsdp_cuse.switch.flow_hash import flow_hash
from ovsdp_cuse.switch.key import PRIORITY, SKB_MARK
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.upcall import Upcall
from ovsdp_cuse.wire.attributes import NLA_HEADER_SIZE, Attributes
from ovsdp_cuse.wire.datapath import DpFeature
from ovsdp_cuse.wire.netlink import OVS_HEADER_SIZE, OVS_MESSAGE_HEADER
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd

GROUP = MulticastGroup(106, "ovs_packet")

LARGEST_PACKET = 0xFFFF - NLA_HEADER_SIZE
"""Bytes of a packet in an upcall: what nla_len can say."""

# Plain integers: looking up a member of an enumeration costs more than building its attribute.
_PACKET = int(PacketAttr.PACKET)
_KEY = int(PacketAttr.KEY)
_ACTIONS = int(PacketAttr.ACTIONS)
_USERDATA = int(PacketAttr.USERDATA)
_MRU = int(PacketAttr.MRU)
_LEN = int(PacketAttr.LEN)
_HASH = int(PacketAttr.HASH)
_UNALIGNED = int(DpFeature.UNALIGNED)


class UpcallSender:
    """Makes messages of upcalls and gives them to the handles with their PIDs."""

    def __init__(self, context: Context) -> None:
        self._switch = context.switch
        self._sessions = context.sessions

    def __call__(self, dp_ifindex: int, upcall: Upcall) -> bool:
        """As UpcallSink; a packet that no attribute can hold is lost."""
        if not self._sessions.can_upcall(upcall.pid):
            return False
        datapath = self._switch.lookup(dp_ifindex)
        features = datapath.settings.user_features if datapath is not None else 0
        message = build_upcall(dp_ifindex, upcall, bool(features & _UNALIGNED))
        return message is not None and self._sessions.upcall(upcall.pid, message)


def build_upcall(dp_ifindex: int, upcall: Upcall, unaligned: bool) -> bytes | None:
    """The message of an upcall, in the order of queue_userspace_packet(); None if it is too long.

    unaligned: whether the packet, and so the message, is left without padding.
    """
    packet = upcall.packet
    size = len(packet)
    told = min(size, packet.cut) if packet.cut else size
    if told > LARGEST_PACKET:
        return None
    attributes: Attributes = {_KEY: build_key(packet.key)}
    if upcall.userdata is not None:
        attributes[_USERDATA] = upcall.userdata
    if upcall.actions is not None:
        attributes[_ACTIONS] = upcall.actions
    if packet.mru:
        attributes[_MRU] = packet.mru
    if told < size:
        attributes[_LEN] = size
    if packet.hash is None:
        flow_hash(packet)
    attributes[_HASH] = packet.hash
    attributes[_PACKET] = bytes(packet.buffer[packet.start : packet.start + told])
    payload = PACKET.attributes.build(attributes)
    if unaligned and told & 3:
        payload = payload[: -(-told & 3)]
    size = OVS_HEADER_SIZE + len(payload)
    command = PacketCmd.MISS if upcall.is_miss else PacketCmd.ACTION
    header = (size, PACKET.id, 0, 0, 0, command, PACKET.version, 0, dp_ifindex)
    return OVS_MESSAGE_HEADER.pack(*header) + payload


async def execute(request: Request) -> Answer:
    """OVS_PACKET_CMD_EXECUTE: run actions on a packet.

    Raises EINVAL without PACKET, KEY or ACTIONS, or for a packet that has no key; what parsing
    raises; ENODEV; and what running the actions fails with.
    """
    attributes = request.attributes
    for needed in (_PACKET, _KEY, _ACTIONS):
        if needed not in attributes:
            raise DatapathError(EINVAL, f"{PACKET.attributes.name_of(needed)} is missing")
    packet = Packet.of(attributes[_PACKET])
    packet.mru = attributes.get(_MRU, 0)
    packet.hash = attributes.get(_HASH, 0)
    with within(_KEY):
        told = parse_packet_key(attributes[_KEY])
    if not extract_userspace(
        packet, told.metadata, has_ct_ipv4=told.has_ct_ipv4, has_ct_ipv6=told.has_ct_ipv6
    ):
        raise DatapathError(EINVAL, "the packet is malformed, or has not this key", (_PACKET,))
    with within(_ACTIONS):
        parsed = parse_actions(attributes[_ACTIONS], packet.key)
    packet.priority = PRIORITY.get(packet.key)
    packet.mark = SKB_MARK.get(packet.key)
    datapath = request.datapath()
    datapath.execute(packet, parsed.actions)
    return Answer()


_W, _T = DeviceOperation.WRITE, DeviceOperation.TRANSACT


FAMILY = Family(
    schema=PACKET,
    summary="upcalls, and packets to execute",
    groups=(GROUP,),
    commands=(
        Command(
            PacketCmd.EXECUTE,
            "OVS_PACKET_CMD_EXECUTE",
            _T | _W,
            execute,
            needs_datapath=True,
            admin=True,
            summary="run actions on a packet",
        ),
    ),
)
