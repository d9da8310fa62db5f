"""Flows as text: what ovs-dpctl has printed of each thing that they may say."""

from __future__ import annotations

from sys import byteorder

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.wire.action_attributes import OVS_ACTION_ATTR_DROP, ActionAttr, DecTtlAttr
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.flow import FlowAttr
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.text import flow
from ovsdp_cuse.wire.text.actions import actions_text
from ovsdp_cuse.wire.text.flow import FlowText, flow_line, tcp_flags_text, ufid_text
from ovsdp_cuse.wire.text.key import key_text
from ovsdp_cuse.wire.tunnel import TunnelKeyAttr
from tests.wire.text.cases import CASES, OUTPUT, message
from tests.wire.text.generate import flows
from tests.wire.text.recorded import recorded

RECORDED = recorded()
PORT_NAMES = {0: "dp0"}
PORT = pack_attribute(KeyAttr.IN_PORT, bytes(4))


@pytest.mark.parametrize("name", RECORDED)
def test_it_is_what_ovs_dpctl_prints(name: str) -> None:
    plain, verbose = RECORDED[name]
    assert flow_line(CASES[name], None, False, 0) == plain
    assert flow_line(CASES[name], PORT_NAMES, True, 0) == verbose


def test_the_recording_has_all_cases() -> None:
    assert list(RECORDED) == list(CASES)


def test_the_time_of_the_last_use_is_relative() -> None:
    used = message(PORT, used=1_000)
    assert ", used:2.345s, " in flow_line(used, None, False, 3_345)
    assert ", used:0.000s, " in flow_line(used, None, False, 1_000)


def test_what_a_reply_leaves_out() -> None:
    """Flags of the request may omit key, mask and actions; the rest is told."""
    left = message(PORT, b"", OUTPUT, ufid=bytes(16))
    for number in (FlowAttr.KEY, FlowAttr.MASK, FlowAttr.ACTIONS):
        del left.attributes[number]
    assert flow_line(left, None, True, 0) == (
        "ufid:00000000-0000-0000-0000-000000000000, <empty>, packets:0, bytes:0, used:never, dp:ovs"
    )


def test_a_short_ufid_is_shown_as_it_is() -> None:
    assert ufid_text(b"\1\2") == "ufid:0102"


def test_flags_of_packets() -> None:
    assert tcp_flags_text(0) == "none"
    assert tcp_flags_text(0x12) == "S."


def test_a_key_alone() -> None:
    """Without a mask all of it counts."""
    key = PORT + pack_attribute(KeyAttr.ETHERTYPE, b"\x08\0")
    assert key_text(key) == "in_port(0),eth_type(0x0800)"
    assert key_text(key, port_names=PORT_NAMES) == "in_port(dp0),eth_type(0x0800)"
    assert key_text(key, port_names={1: "other"}) == "in_port(0),eth_type(0x0800)"
    assert key_text(b"") == "<empty>"


def test_what_open_vswitch_3_1_misreads_is_written_as_later_versions_do() -> None:
    """It takes the numbers for something else, and reads what is not there."""
    bridge = pack_attribute(TunnelKeyAttr.IPV4_INFO_BRIDGE, b"")
    key = pack_attribute(KeyAttr.TUNNEL, pack_attribute(TunnelKeyAttr.TTL, b"\5") + bridge)
    assert key_text(key) == "tunnel(ttl=5,key16(),flags(0))"
    dec_ttl = pack_attribute(ActionAttr.DEC_TTL, pack_attribute(DecTtlAttr.ACTION, OUTPUT))
    assert actions_text(dec_ttl, PORT_NAMES) == "dec_ttl(le_1(dp0))"
    assert actions_text(pack_attribute(OVS_ACTION_ATTR_DROP, bytes(4))) == "drop"


def test_ports_by_name_in_lists_of_lists() -> None:
    inner = pack_attribute(ActionAttr.CLONE, OUTPUT)
    assert actions_text(OUTPUT + inner, PORT_NAMES) == "dp0,clone(dp0)"
    assert actions_text(OUTPUT + inner) == "0,clone(0)"


def test_a_writer_remembers_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "REMEMBERED", 2)
    text = FlowText()
    for port in (1, 2, 3, 1, 2, 3):
        payload = pack_attribute(ActionAttr.OUTPUT, port.to_bytes(4, byteorder))
        assert text.actions(payload) == str(port)
        assert len(text._actions) <= 2


def test_any_flow_has_one_line() -> None:
    for message_ in flows(3, 500):
        for verbose in (False, True):
            line = flow_line(message_, PORT_NAMES if verbose else None, verbose, 0)
            assert line.isprintable()
            assert ", packets:" in line


BYTES = st.binary(max_size=120)


@given(BYTES, st.none() | BYTES, st.booleans())
def test_any_bytes_have_a_text(key: bytes, mask: bytes | None, verbose: bool) -> None:
    assert key_text(key, mask, PORT_NAMES, verbose).isprintable()
    assert actions_text(key, PORT_NAMES).isprintable()


NUMBERS = st.sampled_from(sorted(KeyAttr))


@given(NUMBERS, BYTES, st.none() | BYTES, st.booleans())
def test_any_payload_has_a_text(
    number: int, payload: bytes, mask: bytes | None, verbose: bool
) -> None:
    """Of any size, alone, in a tag's attributes, and set by actions."""
    key = pack_attribute(number, payload)
    masks = None if mask is None else pack_attribute(number, mask)
    for depth in range(6):
        assert key_text(key, masks, PORT_NAMES, verbose).isprintable(), depth
        key = pack_attribute(KeyAttr.ENCAP, key)
        masks = None if masks is None else pack_attribute(KeyAttr.ENCAP, masks)
    for action in (ActionAttr.SET, ActionAttr.SET_MASKED, ActionAttr.PUSH_NSH):
        inner = pack_attribute(number, payload)
        assert actions_text(pack_attribute(action, inner)).isprintable()


@given(st.sampled_from(sorted(ActionAttr)), BYTES)
def test_any_action_has_a_text(number: int, payload: bytes) -> None:
    data = pack_attribute(number, payload)
    assert actions_text(data).isprintable()
    assert ACTIONS.format(ACTIONS.decode(data, False)) == actions_text(data)


def test_no_list_is_followed_for_ever() -> None:
    for number in (ActionAttr.CLONE, ActionAttr.SAMPLE):
        deep = b""
        while len(deep) < 60_000:
            deep = pack_attribute(number, deep)
        assert actions_text(deep)
    deep = b""
    while len(deep) < 60_000:
        deep = pack_attribute(KeyAttr.ENCAP, deep)
    assert key_text(deep, deep).startswith("encap(encap(encap(encap(")
