"""Which number stands for which, as it is learned from answers."""

from __future__ import annotations

from sys import byteorder

from ovsdp_cuse.replay.numbers import Numbers, Side
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.genetlink import GENL_ID_CTRL, NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, build_error
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd

SCHEMAS = {schema.name: schema for schema in (NLCTRL, DATAPATH, VPORT)}
THERE = {NLCTRL.name: GENL_ID_CTRL, DATAPATH.name: 0x30, VPORT.name: 0x31}
HERE = {NLCTRL.name: GENL_ID_CTRL, DATAPATH.name: 0x41, VPORT.name: 0x40}


def numbers() -> Numbers:
    """Numbers of which nothing has been learned but the families and groups."""
    return Numbers(
        Side(SCHEMAS, THERE, {5: "ovs_datapath", 6: "theirs"}),
        Side(SCHEMAS, HERE, {50: "ovs_datapath"}),
    )


def built(
    ids: dict[str, int], schema: FamilySchema, command: int, attributes: Attributes, dp: int = 0
) -> bytes:
    """A message with a side's number of its family."""
    return schema.build(Message(ids[schema.name], command, attributes, dp, 0, 1, 7, 1))


def port(ids: dict[str, int], name: str, number: int, index: int, dp: int) -> bytes:
    """A port."""
    attributes: Attributes = {
        VportAttr.NAME: name,
        VportAttr.PORT_NO: number,
        VportAttr.IFINDEX: index,
    }
    return built(ids, VPORT, VportCmd.NEW, attributes, dp)


def asked(ids: dict[str, int], number: int, dp: int) -> bytes:
    """A request for a port by its number."""
    return built(ids, VPORT, VportCmd.GET, {VportAttr.PORT_NO: number}, dp)


def test_families_have_the_number_of_the_same_name() -> None:
    both = numbers()
    message = built(THERE, DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"})
    sent = both.to_ours(message)
    assert sent == built(HERE, DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"})
    assert both.to_recorded(sent) == message
    told = built(THERE, NLCTRL, CtrlCmd.NEWFAMILY, {CtrlAttr.FAMILY_ID: THERE[VPORT.name]})
    assert NLCTRL.parse(both.to_ours(told)).attributes[CtrlAttr.FAMILY_ID] == HERE[VPORT.name]


def test_pids() -> None:
    both = numbers()
    both.bind_pid(7, 4_000_000_001)
    message = built(THERE, DATAPATH, DpCmd.NEW, {DpAttr.PER_CPU_PIDS: (7, 8)})
    sent = both.to_ours(message)
    assert NETLINK_HEADER.parse(sent).pid == 4_000_000_001
    assert DATAPATH.parse(sent).attributes[DpAttr.PER_CPU_PIDS] == (4_000_000_001, 8)
    assert both.to_recorded(sent) == message
    assert list(both.pids_in(message)) == [7, 8]


def test_ports_and_datapaths_are_known_by_their_names() -> None:
    both = numbers()
    both.learn(
        [port(THERE, "i0", 2, 17, dp=4), port(THERE, "i1", 1, 18, dp=4)],
        [port(HERE, "i1", 3, 90, dp=9), port(HERE, "i0", 1, 91, dp=9)],
    )
    assert both.to_ours(asked(THERE, 2, dp=4)) == asked(HERE, 1, dp=9)
    assert both.to_ours(asked(THERE, 1, dp=4)) == asked(HERE, 3, dp=9)
    # Of another datapath nothing is known.
    assert both.to_ours(asked(THERE, 2, dp=5)) == asked(HERE, 2, dp=5)
    assert both.to_recorded(port(HERE, "i0", 1, 91, dp=9)) == port(THERE, "i0", 2, 17, dp=4)


def test_what_has_another_name_teaches_nothing() -> None:
    both = numbers()
    both.learn([port(THERE, "i0", 2, 17, dp=4)], [port(HERE, "i1", 3, 90, dp=9)])
    assert both.to_ours(asked(THERE, 2, dp=4)) == asked(HERE, 2, dp=4)


def test_a_number_that_is_used_again_stands_for_the_new_object() -> None:
    both = numbers()
    both.learn([port(THERE, "i0", 2, 17, dp=4)], [port(HERE, "i0", 1, 91, dp=9)])
    both.learn([port(THERE, "i1", 2, 18, dp=4)], [port(HERE, "i1", 5, 92, dp=9)])
    assert both.to_ours(asked(THERE, 2, dp=4)) == asked(HERE, 5, dp=9)
    assert both.to_recorded(asked(HERE, 5, dp=9)) == asked(THERE, 2, dp=4)
    assert both.to_recorded(asked(HERE, 1, dp=9)) == asked(THERE, 1, dp=4)


def test_the_request_in_an_error_is_translated_with_it() -> None:
    both = numbers()
    both.bind_pid(7, 70)
    both.learn([port(THERE, "i0", 2, 17, dp=4)], [port(HERE, "i0", 1, 91, dp=9)])
    request = both.to_ours(asked(THERE, 2, dp=4))
    error = build_error(request, 19, capped=False, portid=70)
    seen = both.to_recorded(error)
    assert NETLINK_HEADER.parse(seen).pid == 7
    echoed = seen[20:36]
    assert int.from_bytes(echoed[4:6], byteorder) == THERE[VPORT.name]
    assert NETLINK_HEADER.parse(echoed).pid == 7


def test_messages_of_families_that_are_not_known_stay() -> None:
    unknown = NETLINK_HEADER.pack(20, 0x99, 0, 1, 7) + b"abcd"
    assert numbers().to_ours(unknown) == unknown
    assert list(numbers().pids_in(unknown)) == []
