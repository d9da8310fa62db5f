"""The family `ovs_flow`: put, change, remove and read the flows of datapaths.

Replies and errors are those of net/openvswitch/datapath.c of Linux 6.1. What may surprise, and is
the kernel's way:

- key, UFID and actions are checked before it is asked whether there is such a datapath;
- NEW changes the actions of a flow that is there, unless NLM_F_CREATE or NLM_F_EXCL is set;
- a UFID that is there with another key is ENOENT for NEW;
- DEL without KEY and UFID removes all flows, and never answers.

A flow keeps the bytes of its key and mask as they are told, so that a dump only puts them together.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EEXIST, EINVAL, ENOENT

from ovsdp_cuse.errors import DatapathError, within
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.families.translate.actions import parse_actions
from ovsdp_cuse.families.translate.key import (
    build_key,
    build_mask,
    parse_exact_key,
    parse_match,
)
from ovsdp_cuse.families.translate.ufid import parse_ufid
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.flow_table import Flow
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd, FlowStats, UfidFlag
from ovsdp_cuse.wire.netlink import NLM_F_CREATE, NLM_F_EXCL

GROUP = MulticastGroup(103, "ovs_flow")

# Plain integers: looking up a member of an enumeration costs more than building its attribute.
_KEY = int(FlowAttr.KEY)
_ACTIONS = int(FlowAttr.ACTIONS)
_STATS = int(FlowAttr.STATS)
_TCP_FLAGS = int(FlowAttr.TCP_FLAGS)
_USED = int(FlowAttr.USED)
_CLEAR = int(FlowAttr.CLEAR)
_MASK = int(FlowAttr.MASK)
_UFID = int(FlowAttr.UFID)
_UFID_FLAGS = int(FlowAttr.UFID_FLAGS)
_OMIT_KEY = int(UfidFlag.OMIT_KEY)
_OMIT_MASK = int(UfidFlag.OMIT_MASK)
_OMIT_ACTIONS = int(UfidFlag.OMIT_ACTIONS)


def describe(flow: Flow, dp_ifindex: int, command: int, ufid_flags: int) -> Body:
    """A flow as the attributes of a reply, in the order of ovs_flow_cmd_fill_info()."""
    attributes: Attributes
    if flow.ufid is None:
        attributes = {_KEY: flow.wire_key}
    else:
        attributes = {_UFID: flow.ufid}
        if not ufid_flags & _OMIT_KEY:
            attributes[_KEY] = flow.wire_key
    if not ufid_flags & _OMIT_MASK:
        attributes[_MASK] = flow.wire_mask
    if flow.used_ms:
        attributes[_USED] = flow.used_ms
    if flow.packets:
        attributes[_STATS] = FlowStats(flow.packets, flow.bytes)
    if flow.tcp_flags & 0xFF:
        attributes[_TCP_FLAGS] = flow.tcp_flags & 0xFF
    if not ufid_flags & _OMIT_ACTIONS:
        attributes[_ACTIONS] = flow.actions.wire
    return Body(command, attributes, dp_ifindex)


def _given_ufid(attributes: Attributes) -> bytes | None:
    ufid = attributes.get(_UFID)
    return None if ufid is None else parse_ufid(ufid)


def _find(datapath: Datapath, ufid: bytes | None, key: int | None) -> Flow:
    """The flow that a request names, by UFID or else by unmasked key; ENOENT."""
    if ufid is not None:
        flow = datapath.flows.lookup_ufid(ufid)
    else:
        flow = None if key is None else datapath.flows.lookup_unmasked(key)
    if flow is None:
        what = "key" if ufid is None else "UFID"
        raise DatapathError(ENOENT, f"no flow has this {what}", (_KEY if ufid is None else _UFID,))
    return flow


async def new(request: Request) -> Answer:
    """OVS_FLOW_CMD_NEW: put a flow, or change the actions of one that is there.

    Raises EINVAL without KEY or ACTIONS, what parsing them raises, ENODEV, EEXIST for a flow that
    is there and may not be changed, ENOENT for one that overlaps and is another.
    """
    attributes = request.attributes
    for needed in (_KEY, _ACTIONS):
        if needed not in attributes:
            raise DatapathError(EINVAL, f"{FLOW.attributes.name_of(needed)} is missing")
    mask_given = attributes.get(_MASK)
    key, mask = parse_match(attributes[_KEY], mask_given)
    ufid = _given_ufid(attributes)
    with within(_ACTIONS):
        parsed = parse_actions(attributes[_ACTIONS], key & mask)
    datapath = request.datapath()
    flows = datapath.flows
    flow = flows.lookup_ufid(ufid) if ufid is not None else None
    if flow is None:
        flow = flows.lookup_any(key)
    if flow is None:
        shown = key if ufid is None else key & mask
        flow = flows.insert(
            key,
            mask,
            datapath.compile(*parsed),
            ufid,
            build_key(shown),
            build_mask(key & mask, mask),
        )
    else:
        flow = _existing(request, datapath, flow, key)
        flow.actions = datapath.compile(*parsed)
    index, flags = datapath.index, attributes.get(_UFID_FLAGS, 0)
    return Answer(lambda: describe(flow, index, FlowCmd.NEW, flags), GROUP.id)


def _existing(request: Request, datapath: Datapath, flow: Flow, key: int) -> Flow:
    """The flow that NEW may change, of one that it has found; EEXIST, ENOENT."""
    if request.header.flags & (NLM_F_CREATE | NLM_F_EXCL):
        raise DatapathError(EEXIST, "a flow that matches this key is there already", (_KEY,))
    if (flow.key if flow.unmasked_key is None else flow.unmasked_key) == key:
        return flow
    exact = datapath.flows.lookup_unmasked(key) if flow.ufid is None else None
    if exact is None:
        raise DatapathError(ENOENT, "a flow with another key overlaps, or has this UFID", (_KEY,))
    return exact


async def set_(request: Request) -> Answer:
    """OVS_FLOW_CMD_SET: change the actions of a flow, or clear its statistics.

    Raises EINVAL without KEY and UFID, or with ACTIONS and no KEY; what parsing raises; ENODEV;
    ENOENT for a flow that is not there.
    """
    attributes = request.attributes
    ufid = _given_ufid(attributes)
    if _KEY not in attributes and ufid is None:
        raise DatapathError(EINVAL, "a flow is named by KEY or UFID, and both are missing")
    key = parsed = None
    if _KEY in attributes:
        key, mask = parse_match(attributes[_KEY], attributes.get(_MASK))
        if _ACTIONS in attributes:
            with within(_ACTIONS):
                parsed = parse_actions(attributes[_ACTIONS], key & mask)
    elif _ACTIONS in attributes:
        raise DatapathError(EINVAL, "actions are checked with the KEY, which is missing")
    datapath = request.datapath()
    flow = _find(datapath, ufid, key)
    if parsed is not None:
        flow.actions = datapath.compile(*parsed)
    body = describe(flow, datapath.index, FlowCmd.SET, attributes.get(_UFID_FLAGS, 0))
    if _CLEAR in attributes:
        flow.packets = flow.bytes = flow.used_ms = flow.tcp_flags = 0
    return Answer(body, GROUP.id)


async def get(request: Request) -> Answer:
    """OVS_FLOW_CMD_GET: read one flow.

    Raises EINVAL without KEY and UFID, what parsing the key raises, ENODEV, ENOENT.
    """
    attributes = request.attributes
    ufid = _given_ufid(attributes)
    key = parse_exact_key(attributes[_KEY]) if _KEY in attributes else None
    if key is None and ufid is None:
        raise DatapathError(EINVAL, "a flow is named by KEY or UFID, and both are missing")
    datapath = request.datapath()
    flow = _find(datapath, ufid, key)
    return Answer(describe(flow, datapath.index, FlowCmd.GET, attributes.get(_UFID_FLAGS, 0)))


async def delete(request: Request) -> Answer:
    """OVS_FLOW_CMD_DEL: remove one flow; without KEY and UFID all, and then nothing is answered.

    Raises what parsing the key raises, ENODEV, ENOENT.
    """
    attributes = request.attributes
    ufid = _given_ufid(attributes)
    key = parse_exact_key(attributes[_KEY]) if _KEY in attributes else None
    datapath = request.datapath()
    if key is None and ufid is None:
        datapath.flush_flows()
        return Answer()
    flow = _find(datapath, ufid, key)
    datapath.flows.remove(flow)
    index, flags = datapath.index, attributes.get(_UFID_FLAGS, 0)
    return Answer(lambda: describe(flow, index, FlowCmd.DEL, flags), GROUP.id)


def dump(request: Request) -> Iterator[Body]:
    """OVS_FLOW_CMD_GET with NLM_F_DUMP: the flows of a datapath.

    ENODEV, and an attribute that breaks its policy, end it.
    """
    attributes = FLOW.attributes.parse(request.data, FLOW.attributes_start)
    flags = attributes.get(_UFID_FLAGS, 0)
    datapath = request.datapath()
    index = datapath.index
    for flow in datapath.flows:
        yield describe(flow, index, FlowCmd.GET, flags)


_W, _R, _T = DeviceOperation.WRITE, DeviceOperation.READ, DeviceOperation.TRANSACT

FAMILY = Family(
    schema=FLOW,
    summary="flows: put, change, remove and read them",
    groups=(GROUP,),
    commands=(
        Command(
            FlowCmd.NEW,
            "OVS_FLOW_CMD_NEW",
            _T | _W,
            new,
            needs_datapath=True,
            admin=True,
            summary="put a flow, or change its actions",
        ),
        Command(
            FlowCmd.DEL,
            "OVS_FLOW_CMD_DEL",
            _T | _W,
            delete,
            needs_datapath=True,
            admin=True,
            summary="remove a flow, or all",
        ),
        Command(
            FlowCmd.GET,
            "OVS_FLOW_CMD_GET",
            _T | _W | _R,
            get,
            dump,
            needs_datapath=True,
            summary="read a flow, or dump those of a datapath",
        ),
        Command(
            FlowCmd.SET,
            "OVS_FLOW_CMD_SET",
            _T | _W,
            set_,
            needs_datapath=True,
            admin=True,
            summary="change a flow's actions, or clear its statistics",
        ),
    ),
)
