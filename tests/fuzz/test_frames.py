"""Every frame cut at each length, through ports and by EXECUTE, with every action that reads it."""

from __future__ import annotations

import struct

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.actions import parse_actions
from ovsdp_cuse.ports.memory import MemoryPort, MemoryPorts
from ovsdp_cuse.switch.actions import Action
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import IN_PORT, MAC_PROTO
from ovsdp_cuse.switch.packet import Offload, Packet
from ovsdp_cuse.switch.port import PORT_TYPE_INTERNAL, PortSpec
from ovsdp_cuse.switch.switch import Switch
from ovsdp_cuse.wire.action_attributes import ActionAttr, DecTtlAttr
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.key import KeyAttr
from tests.frames import load
from tests.fuzz.accounts import accounted
from tests.oracle.frames import GOOD

ETHERNET = MAC_PROTO.place(1) | IN_PORT.place(1)


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def set_masked(number: int, size: int) -> bytes:
    """Change every other bit of a header that may be changed."""
    value, mask = bytearray(b"\x55" * size), bytearray(b"\x55" * size)
    if number in (KeyAttr.IPV4, KeyAttr.IPV6):  # protocol and fragment stay; labels have 20 bits
        for at in (-4, -1):
            value[at] = mask[at] = 0
    if number == KeyAttr.IPV6:
        value[32:34] = mask[32:34] = b"\0\5"
    return pack_attribute(ActionAttr.SET_MASKED, pack_attribute(number, bytes(value + mask)))


OUTPUT = pack_attribute(ActionAttr.OUTPUT, u32(2))
POP_VLAN = pack_attribute(ActionAttr.POP_VLAN, b"")
PUSH_VLAN = pack_attribute(ActionAttr.PUSH_VLAN, struct.pack("!HH", 0x8100, 0x1005))
HASH = pack_attribute(ActionAttr.HASH, u32(0) + u32(7))
RECIRC = pack_attribute(ActionAttr.RECIRC, u32(5))
LISTS = {
    "set Ethernet": set_masked(KeyAttr.ETHERNET, 12),
    "set IPv4": set_masked(KeyAttr.IPV4, 12),
    "set IPv6": set_masked(KeyAttr.IPV6, 40),
    "set TCP": set_masked(KeyAttr.TCP, 4),
    "set UDP": set_masked(KeyAttr.UDP, 4),
    "set SCTP": set_masked(KeyAttr.SCTP, 4),
    "set MPLS": set_masked(KeyAttr.MPLS, 4),
    "push_vlan, twice": PUSH_VLAN * 2,
    "pop_vlan": POP_VLAN,
    "pop_vlan, twice": POP_VLAN * 2,
    "push_mpls": pack_attribute(ActionAttr.PUSH_MPLS, struct.pack("!IHxx", 1, 0x8847)),
    "pop_mpls": pack_attribute(ActionAttr.POP_MPLS, struct.pack("!H", 0x0800)),
    "pop_mpls, recirc": pack_attribute(ActionAttr.POP_MPLS, struct.pack("!H", 0x0800)) + RECIRC,
    "pop_eth, push_eth": pack_attribute(ActionAttr.POP_ETH, b"")
    + pack_attribute(ActionAttr.PUSH_ETH, bytes(12)),
    "pop_nsh": pack_attribute(ActionAttr.POP_NSH, b""),
    "dec_ttl": pack_attribute(ActionAttr.DEC_TTL, pack_attribute(DecTtlAttr.ACTION, OUTPUT)),
    "trunc": pack_attribute(ActionAttr.TRUNC, u32(14)),
    "hash, recirc": HASH + RECIRC,
    "pop_vlan, hash, recirc": POP_VLAN + HASH + RECIRC,
}
WHOLE = (*(golden.frame for golden in load()), *GOOD.values())
LONGEST = 140
"""Bytes: no header that extraction reads is beyond."""
OFFLOADS = (
    Offload(1, 0, 0, 0, 34, 16),
    Offload(1, 0, 0, 0, 34, 6),
    Offload(1, 1, 54, 8, 34, 16),
    Offload(1, 4, 74, 8, 54, 16),
    Offload(1, 5, 42, 8, 34, 6),
    Offload(0, 3, 42, 8, 0, 0),
    Offload(0xFF, 0xFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF),
)


@pytest.fixture(scope="module")
def datapath() -> Datapath:
    """A datapath with ports 1 and 2, whose upcalls everybody gets."""
    switch = Switch(MemoryPorts())
    switch.send_upcall = lambda index, upcall: bool(upcall.packet.frame)
    datapath = switch.add("x", upcall_pids=(1,))
    for name in "ab":
        switch.add_port(datapath, PortSpec(PORT_TYPE_INTERNAL, name), 0, (1,))
    return datapath


def lists_for(key: int) -> list[tuple[Action, ...]]:
    """The lists that are possible for a packet with this key."""
    lists = []
    for data in LISTS.values():
        try:
            lists.append(parse_actions(data + OUTPUT, key).actions)
        except DatapathError:
            continue
    return lists


def test_each_list_is_possible_for_some_frame() -> None:
    possible = set()
    for frame in WHOLE:
        packet = Packet.of(frame)
        if extract(packet, ETHERNET):
            for name, data in LISTS.items():
                try:
                    parse_actions(data + OUTPUT, packet.key)
                except DatapathError:
                    continue
                possible.add(name)
    assert possible == set(LISTS)


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_cut_anywhere(datapath: Datapath, number: int) -> None:
    frame = WHOLE[number]
    port = datapath.ports[1]
    assert isinstance(port, MemoryPort)
    whole = Packet.of(frame)
    lists = lists_for(whole.key) if extract(whole, ETHERNET) else []
    for size in range(min(len(frame), LONGEST) + 1):
        cut = frame[:size]
        for offload in (None, OFFLOADS[size % len(OFFLOADS)]):
            with accounted(datapath, True):
                port.inject(cut, offload)
        packet = Packet.of(cut)
        if not extract(packet, ETHERNET):
            continue
        # Lists are checked with the key of a flow, which the whole frame may have been the first
        # to match: what they find in a frame that was cut is for them to see.
        for actions in (*lists, *lists_for(packet.key)):
            packet = Packet.of(cut)
            assert extract(packet, ETHERNET)
            with accounted(datapath, False):
                try:
                    datapath.execute(packet, actions)
                except DatapathError as error:
                    assert error.message
