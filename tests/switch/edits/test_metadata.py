"""What is not in the frame."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from ovsdp_cuse.switch.actions import CtClear
from ovsdp_cuse.switch.key import (
    CT_LABELS,
    CT_MARK,
    CT_ORIG_IPV4_SRC,
    CT_ORIG_PROTO,
    CT_STATE,
    CT_ZONE,
    SKB_MARK,
)
from tests.switch.board import METADATA, edited, packet_of

FRAME = bytes(Ether() / IP() / UDP())


def test_ct_clear_leaves_a_packet_that_was_not_tracked() -> None:
    others = METADATA | SKB_MARK.place(7) | CT_ORIG_IPV4_SRC.place(b"\x0a\0\0\1")
    tracked = CT_STATE.place(0x22) | CT_ZONE.place(3) | CT_MARK.place(4) | CT_ORIG_PROTO.place(17)
    packet = packet_of(FRAME, metadata=others | tracked | CT_LABELS.place(b"\1" * 16))
    edited(packet, CtClear())
    assert packet.key == packet_of(FRAME, metadata=others).key
    assert packet.frame == FRAME
