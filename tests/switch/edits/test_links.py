"""Pushing and popping what a frame begins with: VLAN tags, Ethernet, MPLS, NSH."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether

from ovsdp_cuse.switch.actions import (
    Action,
    AddMpls,
    Layer,
    PopEth,
    PopMpls,
    PopNsh,
    PopVlan,
    PushEth,
    PushMpls,
    PushNsh,
    PushVlan,
    Set,
)
from ovsdp_cuse.switch.edits import CannotApply
from ovsdp_cuse.switch.edits.link import is_ethernet, length, link, mac_length, update_key
from ovsdp_cuse.switch.key import (
    ETH_DST,
    ETH_TYPE,
    IN_PORT,
    IPV4_SRC,
    MPLS_LSE_0,
    NSH_PATH_HDR,
    VLAN_TCI,
    VLAN_TPID,
)
from ovsdp_cuse.switch.packet import VIRTIO_NET_HDR_F_NEEDS_CSUM, Offload, Packet
from tests.switch.board import edited, packet_of

ETHER = Ether(dst="02:00:00:00:00:0b", src="02:00:00:00:00:0a")
IP_TCP: Any = IP(src="192.0.2.1", dst="198.51.100.2") / TCP(sport=1, dport=2) / b"data"
QINQ: Any = Dot1AD(vlan=200) / Dot1Q(vlan=100, prio=5, dei=1)
FRAMES = {
    "untagged": bytes(ETHER / IP_TCP),
    "tagged": bytes(ETHER / Dot1Q(vlan=100, prio=5) / IP_TCP),
    "tagged twice": bytes(ETHER / QINQ / IP_TCP),
    "tagged three times": bytes(ETHER / QINQ / Dot1Q(vlan=5) / IP_TCP),
    "ipv6": bytes(ETHER / IPv6() / UDP() / b"data"),
    "mpls": bytes(ETHER / MPLS(label=3, ttl=9, s=0) / MPLS(label=4, s=1) / IP_TCP),
    "snap": bytes(Dot3(dst="02:00:00:00:00:0b", src="02:00:00:00:00:0a") / LLC() / SNAP() / b"x"),
}
L3 = {
    "ipv4": (bytes(IP_TCP), 0x0800),
    "mpls": (bytes(MPLS(label=3, s=1) / IP_TCP), 0x8847),
}
LSE = 0x12345_2_40 & 0xFFFFFFFF
NSH_HEADER = bytes.fromhex("0fc6 01 03 00112233") + bytes(range(16))
assert len(NSH_HEADER[:3]) == 3


def l3_packet(name: str) -> Packet:
    """A packet without Ethernet."""
    frame, eth_type = L3[name]
    return packet_of(frame, metadata=ETH_TYPE.place(eth_type) | IN_PORT.place(3))


def all_of(packet: Packet) -> tuple[Any, ...]:
    """What must be as before, when what was pushed is popped again."""
    return packet.frame, packet.network, packet.transport, link(packet), is_ethernet(packet)


INVERSES: dict[str, tuple[Action, Action]] = {
    "vlan": (PushVlan(0x8100, 0x1005), PopVlan()),
    "service vlan": (PushVlan(0x88A8, 0xF005), PopVlan()),
    "nsh": (PushNsh(NSH_HEADER), PopNsh()),
}


@pytest.mark.parametrize("frame", [name for name in FRAMES if name != "snap"])
@pytest.mark.parametrize("inverse", ["vlan", "service vlan"])
def test_pop_is_the_inverse_of_push_vlan(frame: str, inverse: str) -> None:
    """The packet is as before, and a key that is made valid again too."""
    packet = packet_of(FRAMES[frame])
    before, key = all_of(packet), packet.key
    edited(packet, *INVERSES[inverse])
    assert all_of(packet) == before
    update_key(packet)
    assert packet.key == key


def test_first_tag_leaves_the_key_valid() -> None:
    """Its CFI bit is 1 in the key and 0 in the frame."""
    packet = edited(packet_of(FRAMES["untagged"]), PushVlan(0x8100, 0xB005))
    assert packet.key_valid
    assert (VLAN_TPID.get(packet.key), VLAN_TCI.get(packet.key)) == (0x8100, 0xB005)
    assert packet.frame == bytes(ETHER / Dot1Q(vlan=5, prio=5) / IP_TCP)
    assert (packet.network, packet.transport) == (18, 38)
    assert_update_changes_nothing(packet)
    edited(packet, PopVlan())
    assert packet.key_valid
    assert packet.key == packet_of(FRAMES["untagged"]).key


def assert_update_changes_nothing(packet: Packet) -> None:
    """The key is what extraction finds."""
    told = packet.key, packet.network, packet.transport
    packet.key_valid = False
    update_key(packet)
    assert (packet.key, packet.network, packet.transport) == told


@pytest.mark.parametrize(
    ("frame", "action"), [("tagged", PushVlan(0x88A8, 0x1007)), ("tagged twice", PopVlan())]
)
def test_second_tag_makes_the_key_invalid(frame: str, action: Action) -> None:
    """And leaves it as it was: upcalls show that."""
    packet = packet_of(FRAMES[frame])
    key = packet.key
    edited(packet, action)
    assert (packet.key, packet.key_valid) == (key, False)
    update_key(packet)
    assert (packet.key, packet.key_valid) == (packet_of(packet.frame).key, True)


@pytest.mark.parametrize(
    ("frame", "rest"),
    [
        ("tagged", ETHER / IP_TCP),
        ("tagged twice", ETHER / Dot1Q(vlan=100, prio=5, dei=1) / IP_TCP),
        ("tagged three times", ETHER / Dot1Q(vlan=100, prio=5, dei=1) / Dot1Q(vlan=5) / IP_TCP),
    ],
)
def test_pop_vlan(frame: str, rest: Any) -> None:
    """The outermost tag goes; the bits of the next stay as they were."""
    assert edited(packet_of(FRAMES[frame]), PopVlan()).frame == bytes(rest)


def test_pop_vlan_without_a_tag() -> None:
    """Nothing happens."""
    packet = packet_of(FRAMES["untagged"])
    key = packet.key
    edited(packet, PopVlan())
    assert (packet.frame, packet.key, packet.key_valid) == (FRAMES["untagged"], key, True)


@pytest.mark.parametrize("size", [16, 17])
def test_pop_of_a_tag_that_is_cut_off(size: int) -> None:
    """ENOMEM of skb_ensure_writable()."""
    with pytest.raises(CannotApply):
        edited(packet_of(FRAMES["tagged"][:size]), PopVlan())


def test_pop_uncovers_a_tag_that_is_cut_off() -> None:
    """The next tag would become the outermost, and is not whole."""
    with pytest.raises(CannotApply):
        edited(packet_of(FRAMES["tagged twice"][:20]), PopVlan())


@pytest.mark.parametrize("frame", ["untagged", "ipv6", "mpls"])
def test_mpls(frame: str) -> None:
    """Pushed behind Ethernet; the old EtherType comes back with pop."""
    packet = packet_of(FRAMES[frame])
    before, eth_type = all_of(packet), ETH_TYPE.get(packet.key)
    edited(packet, PushMpls(LSE, 0x8847))
    old = FRAMES[frame]
    assert packet.frame == old[:12] + b"\x88\x47" + LSE.to_bytes(4, "big") + old[14:]
    assert not packet.key_valid
    assert link(packet) == (0x8847, False)
    edited(packet, PopMpls(eth_type))
    assert all_of(packet) == before


def test_mpls_after_the_outer_tag_was_popped() -> None:
    """With a tag beside the frame, the EtherType that changes is behind it."""
    packet = edited(packet_of(FRAMES["tagged twice"]), PopVlan(), PushMpls(LSE, 0x8848))
    inner = Dot1Q(vlan=100, prio=5, dei=1, type=0x8848)
    assert packet.frame == bytes(ETHER / inner / LSE.to_bytes(4, "big") / IP_TCP)


def test_pop_mpls_shows_what_is_below() -> None:
    """The key stays as it was and is not valid; made valid it shows the next label."""
    packet = packet_of(FRAMES["mpls"])
    first = MPLS_LSE_0.get(packet.key)
    edited(packet, PopMpls(0x8847))
    assert packet.frame == bytes(ETHER / MPLS(label=4, s=1) / IP_TCP)
    assert MPLS_LSE_0.get(packet.key) == first
    update_key(packet)
    assert MPLS_LSE_0.get(packet.key) >> 12 == 4


def test_pop_mpls_without_mpls() -> None:
    """skb_mpls_pop() does nothing, and the key is not valid all the same."""
    packet = edited(packet_of(FRAMES["untagged"]), PopMpls(0x0800))
    assert packet.frame == FRAMES["untagged"]
    assert not packet.key_valid


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_set_mpls(value: int, mask: int) -> None:
    """Any bits of the outermost entry."""
    packet = packet_of(FRAMES["mpls"])
    old = int.from_bytes(FRAMES["mpls"][14:18], "big")
    new = old & ~mask | value & mask
    edited(packet, Set(Layer.MPLS, MPLS_LSE_0.place(value & mask), MPLS_LSE_0.place(mask)))
    assert packet.frame[14:18] == new.to_bytes(4, "big")
    assert MPLS_LSE_0.get(packet.key) == new
    assert packet.key_valid


def test_set_mpls_without_mpls() -> None:
    """EINVAL of skb_mpls_update_lse()."""
    with pytest.raises(CannotApply):
        edited(packet_of(FRAMES["untagged"]), Set(Layer.MPLS, 0, 0))


def test_add_mpls_in_front_of_everything() -> None:
    """The frame becomes what follows the label, and can have another Ethernet header before it."""
    packet = edited(packet_of(FRAMES["untagged"]), AddMpls(LSE, 0x8847, is_l3=False))
    assert packet.frame == LSE.to_bytes(4, "big") + FRAMES["untagged"]
    assert not is_ethernet(packet)
    edited(packet, PushEth(b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"))
    outer = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02", type=0x8847)
    assert packet.frame == bytes(outer) + LSE.to_bytes(4, "big") + FRAMES["untagged"]
    assert is_ethernet(packet)
    edited(packet, PopEth(), PopMpls(0x6558))
    assert packet.frame == FRAMES["untagged"]
    assert is_ethernet(packet)
    update_key(packet)
    assert packet.key == packet_of(FRAMES["untagged"]).key


def test_add_mpls_behind_ethernet() -> None:
    """With OVS_MPLS_L3_TUNNEL_FLAG_MASK it is push_mpls."""
    one = edited(packet_of(FRAMES["untagged"]), AddMpls(LSE, 0x8847, is_l3=True))
    other = edited(packet_of(FRAMES["untagged"]), PushMpls(LSE, 0x8847))
    assert all_of(one) == all_of(other)


@pytest.mark.parametrize("name", L3)
def test_push_eth_is_the_inverse_of_pop_eth(name: str) -> None:
    """What a packet without Ethernet begins with becomes the EtherType."""
    packet = l3_packet(name)
    frame, eth_type = L3[name]
    before = all_of(packet)
    edited(packet, PushEth(b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"))
    outer = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02", type=eth_type)
    assert packet.frame == bytes(outer) + frame
    assert not packet.key_valid
    update_key(packet)
    assert ETH_TYPE.get(packet.key) == eth_type
    edited(packet, PopEth())
    assert all_of(packet) == before


@pytest.mark.parametrize(
    ("frame", "action"),
    [
        ("tagged", PopEth()),
        ("untagged", PushEth(bytes(6), bytes(6))),
    ],
)
def test_ethernet_that_is_in_the_way(frame: str, action: Action) -> None:
    """EPROTO: no tag may be popped with Ethernet, and no header pushed on one."""
    with pytest.raises(CannotApply):
        edited(packet_of(FRAMES[frame]), action)


def test_a_tag_beside_the_frame_is_in_the_way_of_push_eth() -> None:
    """In Linux the tag stays beside the frame when MPLS is added before it."""
    packet = edited(packet_of(FRAMES["tagged"]), AddMpls(LSE, 0x8847, is_l3=False))
    with pytest.raises(CannotApply):
        edited(packet, PushEth(bytes(6), bytes(6)))


@pytest.mark.parametrize("frame", ["untagged", "tagged"])
def test_nsh(frame: str) -> None:
    """A header before the whole frame, which says that Ethernet follows."""
    packet = packet_of(FRAMES[frame])
    key = packet.key
    edited(packet, PushNsh(NSH_HEADER))
    assert packet.frame == NSH_HEADER + FRAMES[frame]
    assert NSH(packet.frame).nextproto == 3
    assert not is_ethernet(packet)
    edited(packet, PopNsh())
    assert packet.frame == FRAMES[frame]
    update_key(packet)
    assert packet.key == key


def test_nsh_before_ip() -> None:
    """What follows is told by its number, and read when the key is made valid."""
    packet = edited(l3_packet("ipv4"), PushNsh(NSH_HEADER))
    assert NSH(packet.frame).nextproto == 1
    update_key(packet)
    assert ETH_TYPE.get(packet.key) == 0x894F
    assert NSH_PATH_HDR.get(packet.key) == 0x00112233
    edited(packet, PopNsh())
    update_key(packet)
    assert packet.key == l3_packet("ipv4").key


def test_what_a_popped_nsh_uncovers_is_not_read() -> None:
    """A tag in the frame that comes out is not popped before the frame is read again."""
    packet = edited(packet_of(FRAMES["untagged"]), PushVlan(0x8100, 0x1005), PushNsh(NSH_HEADER))
    outer = packet_of(packet.frame, metadata=ETH_TYPE.place(0x894F))
    edited(outer, PopNsh(), PopVlan())
    tagged = packet.frame[len(NSH_HEADER) :]
    assert outer.frame == tagged
    update_key(outer)
    edited(outer, PopVlan())
    assert outer.frame == FRAMES["untagged"]


def test_a_tag_that_pop_mpls_uncovers() -> None:
    """It is in the frame in Linux too, and popped from there; MPLS goes where it was."""
    tag_and_rest = bytes.fromhex("0007 0800") + bytes(IP_TCP)
    packet = packet_of(bytes(ETHER / MPLS(label=3, s=1)) + tag_and_rest)
    edited(packet, PopMpls(0x8100), PopVlan())
    assert packet.frame == FRAMES["untagged"]
    assert (packet.network, link(packet)) == (14, (0x0800, False))
    assert VLAN_TCI.get(packet.key) == 0
    edited(packet, PushMpls(LSE, 0x8847))
    assert packet.frame == bytes(Ether(FRAMES["untagged"][:12] + b"\x88\x47")) + (
        LSE.to_bytes(4, "big") + bytes(IP_TCP)
    )


@pytest.mark.parametrize(
    "header", ["0fc6", "0fc1 0103 00112233", "0fc6 0109 00112233", "0fff 0103 00112233"]
)
def test_malformed_nsh(header: str) -> None:
    """Cut off, too short, of nothing known, longer than the frame."""
    packet = packet_of(bytes(40), metadata=ETH_TYPE.place(0x0800))
    packet.make_writable()
    packet.buffer[packet.start : packet.start + len(bytes.fromhex(header))] = bytes.fromhex(header)
    packet.end = packet.start + min(40, 20 * len(bytes.fromhex(header)) - 38)
    with pytest.raises(CannotApply):
        edited(packet, PopNsh())


def test_snap_header_is_in_the_way_of_push_eth() -> None:
    """pop_eth leaves LLC and SNAP before the network header: a header cannot be pushed there."""
    packet = edited(packet_of(FRAMES["snap"]), PopEth())
    with pytest.raises(CannotApply):
        edited(packet, PushEth(bytes(6), bytes(6)))


def test_lengths_are_without_the_outermost_tag() -> None:
    """skb->len and skb->mac_len."""
    packet = packet_of(FRAMES["tagged twice"])
    assert (length(packet), mac_length(packet)) == (len(packet) - 4, 18)
    edited(packet, PushVlan(0x88A8, 0x1007))
    assert (length(packet), mac_length(packet)) == (len(packet) - 4, 22)


def test_offload_moves_with_the_headers() -> None:
    """csum_start is counted from the frame's beginning."""
    packet = packet_of(FRAMES["untagged"], Offload(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0, 0, 34, 16))
    edited(packet, PushVlan(0x8100, 0x1005), PushVlan(0x8100, 0x1005))
    assert packet.offload.csum_start == packet.transport == 42
    edited(packet, PopVlan(), PopVlan(), PushMpls(LSE, 0x8847))
    assert packet.offload.csum_start == packet.transport == 38


def test_clones_do_not_share_what_is_written() -> None:
    """An edit of a copy is not seen in the packet, nor the other way."""
    packet = packet_of(FRAMES["untagged"])
    copy = packet.clone()
    edited(copy, PushVlan(0x8100, 0x1005), Set(Layer.ETHERNET, ETH_DST.ones, ETH_DST.ones))
    assert packet.frame == FRAMES["untagged"]
    edited(packet, Set(Layer.IPV4, IPV4_SRC.ones, IPV4_SRC.ones))
    assert (
        copy.frame[:18] == b"\xff" * 6 + FRAMES["untagged"][6:12] + b"\x81\x00\x00\x05\x08\x00"[:6]
    )
