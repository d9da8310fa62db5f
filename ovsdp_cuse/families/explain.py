"""The command of `ovsdp_control` that tells what a datapath would do with a packet: EXPLAIN.

It is a dump whose messages are the steps. They are found out at once, so that they are of one
moment, and built as they are read. Nothing is sent or changed: who may only read may ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINVAL, ENODEV
from functools import lru_cache
from typing import Final

from ovsdp_cuse.errors import DatapathError, within
from ovsdp_cuse.families.packet import build_upcall
from ovsdp_cuse.families.registry import Command, DeviceOperation
from ovsdp_cuse.families.request import Body, Request
from ovsdp_cuse.families.translate.key import build_key, parse_packet_key
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.explain import Obstacle, explain
from ovsdp_cuse.switch.extract import extract_userspace
from ovsdp_cuse.switch.key import (
    ETH_TYPE,
    IN_PORT,
    MAC_PROTO,
    MAC_PROTO_ETHERNET,
)
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.trail import Step, StepKind
from ovsdp_cuse.switch.upcall import Upcall
from ovsdp_cuse.wire.action_attributes import ActionAttr, CheckPktLenAttr, DecTtlAttr, SampleAttr
from ovsdp_cuse.wire.attributes import Attributes, pack_attribute, walk
from ovsdp_cuse.wire.datapath import DpFeature
from ovsdp_cuse.wire.explain import EXPLAIN, ExplainAttr, ExplainStep
from ovsdp_cuse.wire.ovsdp_control import OvsdpCmd

_KINDS: Final = {kind: int(ExplainStep[kind.name]) for kind in StepKind}

_LISTS: Final[dict[int, tuple[int, ...]]] = {
    ActionAttr.SAMPLE: (SampleAttr.ACTIONS,),
    ActionAttr.CHECK_PKT_LEN: (
        CheckPktLenAttr.ACTIONS_IF_GREATER,
        CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL,
    ),
    ActionAttr.DEC_TTL: (DecTtlAttr.ACTION,),
}
"""Action -> the attributes of the lists that it holds; a clone is a list itself."""


def dump(request: Request) -> Iterator[Body]:
    """OVSDP_CMD_EXPLAIN with NLM_F_DUMP: the steps of a packet.

    Raises EINVAL without IN_PORT or PACKET, for a KEY that cannot be read or is not of the packet;
    ENODEV for a datapath or port that is not there.
    """
    attributes = request.attributes
    for needed in (ExplainAttr.IN_PORT, ExplainAttr.PACKET):
        if needed not in attributes:
            raise DatapathError(EINVAL, f"{EXPLAIN.name_of(needed)} is missing")
    datapath = request.datapath()
    port = attributes[ExplainAttr.IN_PORT]
    if port not in datapath.ports:
        raise DatapathError(
            ENODEV, f"the datapath {datapath.name} has no port {port}", (ExplainAttr.IN_PORT,)
        )
    frame = attributes[ExplainAttr.PACKET]
    steps = explain(
        datapath,
        Packet.of(frame),
        _metadata(attributes.get(ExplainAttr.KEY), frame, port),
        request.context.switch.clock(),
        _obstacle(request, datapath),
        is_sampled=ExplainAttr.NOT_SAMPLED not in attributes,
    )
    return (Body(OvsdpCmd.EXPLAIN, describe(step), datapath.index) for step in steps)


def _metadata(key: bytes | None, frame: bytes, port: int) -> int:
    """What is known of a packet beside its frame; DatapathError (EINVAL) as for EXECUTE."""
    if key is None:
        return IN_PORT.place(port) | MAC_PROTO.place(MAC_PROTO_ETHERNET)
    with within(ExplainAttr.KEY):
        told = parse_packet_key(key)
    metadata = IN_PORT.replace(told.metadata, port)
    if MAC_PROTO.get(metadata) == MAC_PROTO_ETHERNET:
        metadata = ETH_TYPE.replace(metadata, 0)
    has_tuple = told.has_ct_ipv4 or told.has_ct_ipv6
    if has_tuple and not extract_userspace(
        Packet.of(frame),
        metadata,
        has_ct_ipv4=told.has_ct_ipv4,
        has_ct_ipv6=told.has_ct_ipv6,
    ):
        raise DatapathError(
            EINVAL, "the packet is malformed, or has not this key", (ExplainAttr.KEY,)
        )
    return metadata


def _obstacle(request: Request, datapath: Datapath) -> Obstacle:
    """What would keep upcalls of a datapath from the handles with their PIDs."""
    sessions = request.context.sessions
    unaligned = bool(datapath.settings.user_features & DpFeature.UNALIGNED)

    def obstacle(upcall: Upcall) -> str | None:
        session = sessions.lookup(upcall.pid)
        if session is None:
            return f"no handle has the PID {upcall.pid}"
        if not session.receives_packets:
            return f"the handle {upcall.pid} wants no upcalls"
        message = build_upcall(datapath.index, upcall, unaligned)
        if message is None:
            return "the frame is longer than a message can tell"
        if not session.queue.has_room(len(message)):
            return f"the queue of the handle {upcall.pid} is full"
        return None

    return obstacle


def describe(step: Step) -> Attributes:
    """A step as the attributes of a message."""
    attributes: Attributes = {
        int(ExplainAttr.STEP): _KINDS[step.kind],
        int(ExplainAttr.DEPTH): step.depth,
    }
    flow = step.flow
    if flow is not None:
        attributes[int(ExplainAttr.KEY)] = flow.wire_key
        attributes[int(ExplainAttr.MASK)] = flow.wire_mask
        if flow.ufid is not None:
            attributes[int(ExplainAttr.UFID)] = flow.ufid
    elif step.mask is not None:
        attributes[int(ExplainAttr.MASK)] = step.mask.wire
    if step.actions is not None:
        wire = step.actions.wire
        attributes[int(ExplainAttr.ACTIONS)] = action_at(wire, step.path) if step.path else wire
    if step.key is not None:
        attributes[int(ExplainAttr.KEY)] = build_key(step.key)
    for number, value in (
        (ExplainAttr.PACKET, step.frame),
        (ExplainAttr.FLOWS, step.flows),
        (ExplainAttr.PORT, step.port),
        (ExplainAttr.PORT_NAME, step.port_name),
        (ExplainAttr.PID, step.pid),
        (ExplainAttr.REASON, None if step.reason is None else step.reason.value),
        (ExplainAttr.TEXT, step.text),
    ):
        if value is not None:
            attributes[int(number)] = value
    return attributes


def action_at(wire: bytes, path: tuple[int, ...]) -> bytes:
    """A list of one action, which is at `path` (see Step) of the list `wire`."""
    *outer, index = path
    for place, branch in zip(outer[::2], outer[1::2], strict=True):
        number, payload = _list(wire)[place]
        wire = dict(_list(payload))[_LISTS[number][branch]] if number in _LISTS else payload
    return pack_attribute(*_list(wire)[index])


@lru_cache(maxsize=64)
def _list(wire: bytes) -> tuple[tuple[int, bytes], ...]:
    """(number, payload) of each attribute; the same list is asked for again and again."""
    return tuple((number, payload) for _offset, number, payload in walk(wire))


_W, _R, _T = DeviceOperation.WRITE, DeviceOperation.READ, DeviceOperation.TRANSACT

COMMANDS = (
    Command(
        OvsdpCmd.EXPLAIN,
        "OVSDP_CMD_EXPLAIN",
        _T | _W | _R,
        dump=dump,
        validates_dump=True,
        summary="dump what a datapath would do with a packet, step by step; nothing is sent",
    ),
)
"""The commands; `families.ovsdp_control` has them in its table."""
