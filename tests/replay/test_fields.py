"""Numbers that are another system's choice, found in messages."""

from __future__ import annotations

from sys import byteorder

from ovsdp_cuse.replay.fields import Field, Kind, fields, unwrapped
from ovsdp_cuse.wire.attributes import Attributes, pack_attribute
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, McastAttr
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlAttrMcastGrp, CtrlCmd
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd


def built(schema: FamilySchema, command: int, attributes: Attributes, dp_ifindex: int = 3) -> bytes:
    """A message of a family."""
    return schema.build(Message(schema.id, command, attributes, dp_ifindex, 0, 1, 2, 1))


def found(schema: FamilySchema, message: bytes) -> list[tuple[Kind, int]]:
    """The kinds and values of the numbers in a message."""
    return [
        (field.kind, int.from_bytes(message[field.offset : field.offset + field.size], byteorder))
        for field in fields(schema, message)
    ]


def test_a_datapath_and_who_hears_of_its_upcalls() -> None:
    message = built(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.PER_CPU_PIDS: (11, 12)})
    assert found(DATAPATH, message) == [(Kind.DATAPATH, 3), (Kind.PID, 11), (Kind.PID, 12)]
    assert next(iter(fields(DATAPATH, message))) == Field(Kind.DATAPATH, 20, 4)


def test_a_port() -> None:
    attributes: Attributes = {
        VportAttr.PORT_NO: 5,
        VportAttr.UPCALL_PID: (9, 8),
        VportAttr.IFINDEX: 77,
    }
    assert sorted(
        found(VPORT, built(VPORT, VportCmd.NEW, attributes)), key=lambda pair: pair[1]
    ) == [
        (Kind.DATAPATH, 3),
        (Kind.PORT, 5),
        (Kind.PID, 8),
        (Kind.PID, 9),
        (Kind.INTERFACE, 77),
    ]


def test_a_family_and_its_groups() -> None:
    group = {CtrlAttrMcastGrp.NAME: "g", CtrlAttrMcastGrp.ID: 33}
    attributes: Attributes = {CtrlAttr.FAMILY_ID: 22, CtrlAttr.MCAST_GROUPS: {1: group}}
    message = built(NLCTRL, CtrlCmd.NEWFAMILY, attributes)
    assert found(NLCTRL, message) == [(Kind.FAMILY, 22), (Kind.GROUP, 33)]


def test_a_group_that_is_joined() -> None:
    message = built(CONTROL, ControlCmd.MC_SUBSCRIBE_REQ, {McastAttr.MCAST_GRP: 33})
    assert (Kind.GROUP, 33) in found(CONTROL, message)


def raw_flow(*attributes: bytes) -> bytes:
    """A flow of attributes that are bytes already."""
    return built(FLOW, FlowCmd.NEW, {}) + b"".join(attributes)


def number(attribute: int, value: int) -> bytes:
    """An attribute of 32 bits."""
    return pack_attribute(attribute, value.to_bytes(4, byteorder))


IN_PORT = 3
OUTPUT, USERSPACE, SAMPLE, CLONE = 1, 2, 6, 20
USERSPACE_PID, SAMPLE_ACTIONS = 1, 2


def test_the_port_in_a_key_but_not_in_a_mask() -> None:
    key = pack_attribute(FlowAttr.KEY, number(IN_PORT, 4))
    mask = pack_attribute(FlowAttr.MASK, number(IN_PORT, 0xFFFFFFFF))
    assert found(FLOW, raw_flow(key, mask)) == [(Kind.DATAPATH, 3), (Kind.PORT, 4)]


def test_ports_and_pids_in_actions_in_actions() -> None:
    inner = number(OUTPUT, 6) + pack_attribute(USERSPACE, number(USERSPACE_PID, 41))
    sample = pack_attribute(SAMPLE, pack_attribute(SAMPLE_ACTIONS, inner))
    actions = number(OUTPUT, 5) + sample + pack_attribute(CLONE, number(OUTPUT, 7))
    message = raw_flow(pack_attribute(FlowAttr.ACTIONS, actions))
    assert found(FLOW, message)[1:] == [
        (Kind.PORT, 5),
        (Kind.PORT, 6),
        (Kind.PID, 41),
        (Kind.PORT, 7),
    ]


def test_what_has_another_size_is_left_alone() -> None:
    key = pack_attribute(FlowAttr.KEY, pack_attribute(IN_PORT, b"ab"))
    assert found(FLOW, raw_flow(key)) == [(Kind.DATAPATH, 3)]
    assert found(FLOW, raw_flow()[:22]) == []


def test_what_only_shows_a_value_is_taken_off() -> None:
    assert unwrapped(None) is None
    for value in FLOW.attributes_of(FlowCmd.NEW).table.values():
        inner = unwrapped(value)
        assert inner is not None
        assert not hasattr(inner, "inner")
