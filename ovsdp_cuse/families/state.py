"""The commands of `ovsdp_control` that tell what the daemon, its handles and datapaths are like.

They change nothing, and who may open the device for reading may ask. What waits in the queue of a
handle is counted, never shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINVAL, ENOENT

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.meter import meter_stats
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.registry import Command, DeviceOperation
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.families.session import Session
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.drops import DropReason
from ovsdp_cuse.switch.meter import Meter
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.meter import BANDS, BandAttr, MeterAttr
from ovsdp_cuse.wire.ovsdp_control import OvsdpCmd
from ovsdp_cuse.wire.state import (
    HANDLE,
    DropAttr,
    DropsAttr,
    HandleAttr,
    InfoAttr,
    MaskAttr,
)


async def get_info(request: Request) -> Answer:
    """OVSDP_CMD_INFO_GET: what the daemon is and serves."""
    context = request.context
    information, sessions = context.information, context.sessions
    attributes: Attributes = {
        int(InfoAttr.VERSION): information.version,
        int(InfoAttr.NODE): information.node,
        int(InfoAttr.PATH): information.path,
        int(InfoAttr.MODE): information.mode,
        int(InfoAttr.UID): information.uid,
        int(InfoAttr.GID): information.gid,
        int(InfoAttr.PROCESS): information.process,
        int(InfoAttr.UPTIME_MS): information.uptime_ms,
        int(InfoAttr.INTERFACES): information.interfaces,
        int(InfoAttr.HANDLE_LIMIT): sessions.handle_limit,
        int(InfoAttr.QUEUE_LIMIT): sessions.queue_limit,
        int(InfoAttr.QUEUE_MAXIMUM): sessions.queue_maximum,
        int(InfoAttr.HANDLES): len(sessions),
        int(InfoAttr.DATAPATHS): len(context.switch),
        int(InfoAttr.LOST_UPCALLS): sessions.lost_upcalls,
    }
    if information.state:
        attributes[int(InfoAttr.STATE)] = information.state
    return Answer(Body(OvsdpCmd.INFO_GET, attributes))


# Handles ---------------------------------------------------------------------------------------


def describe_handle(session: Session) -> Body:
    """An open handle as HANDLE_GET tells it."""
    owner, queue = session.owner, session.queue
    attributes: Attributes = {
        int(HandleAttr.PID): session.pid,
        int(HandleAttr.PROCESS): owner.pid,
        int(HandleAttr.UID): owner.uid,
        int(HandleAttr.GID): owner.gid,
        int(HandleAttr.COMMAND): session.command,
    }
    for number, is_set in (
        (HandleAttr.READABLE, session.readable),
        (HandleAttr.WRITABLE, session.writable),
        (HandleAttr.NONBLOCKING, session.nonblocking),
    ):
        if is_set:
            attributes[int(number)] = True
    attributes |= {
        int(HandleAttr.PROTOCOL): session.protocol,
        int(HandleAttr.GROUPS): tuple(sorted(session.groups)),
        int(HandleAttr.QUEUE_LIMIT): queue.limit,
        int(HandleAttr.QUEUE_BYTES): queue.bytes,
        int(HandleAttr.QUEUED_REPLIES): queue.count(Kind.KEPT) + queue.count(Kind.REPLY),
        int(HandleAttr.QUEUED_EVENTS): queue.count(Kind.EVENT),
        int(HandleAttr.QUEUED_PACKETS): queue.count(Kind.PACKET),
        int(HandleAttr.DROPPED): queue.dropped,
    }
    if queue.congested:
        attributes[int(HandleAttr.CONGESTED)] = True
    dump = session.dump or session.stream_dump
    if dump is not None:
        attributes[int(HandleAttr.DUMP)] = dump.command_name
    attributes |= {
        int(HandleAttr.REQUESTS): session.requests,
        int(HandleAttr.REPLIES): session.replies,
        int(HandleAttr.ERRORS): session.errors,
        int(HandleAttr.EVENTS): session.events,
        int(HandleAttr.UPCALLS): session.upcalls,
    }
    return Body(OvsdpCmd.HANDLE_GET, attributes)


async def get_handle(request: Request) -> Answer:
    """OVSDP_CMD_HANDLE_GET: the handle with a PID; EINVAL without PID, ENOENT for nobody's."""
    pid = request.attributes.get(HandleAttr.PID)
    if pid is None:
        raise DatapathError(EINVAL, f"{HANDLE.name_of(HandleAttr.PID)} is missing")
    session = request.context.sessions.lookup(pid)
    if session is None:
        raise DatapathError(ENOENT, f"no open handle has the PID {pid}", (HandleAttr.PID,))
    return Answer(describe_handle(session))


def dump_handles(request: Request) -> Iterator[Body]:
    """OVSDP_CMD_HANDLE_GET with NLM_F_DUMP: the handles that are open from now until their turn."""
    sessions = list(request.context.sessions)
    return (describe_handle(session) for session in sessions if not session.closed)


# Datapaths -------------------------------------------------------------------------------------


def describe_drops(datapath: Datapath) -> Body:
    """The drops of a datapath, every reason in the order of DropReason."""
    reasons = {
        index: {int(DropAttr.REASON): reason.value, int(DropAttr.PACKETS): datapath.drops[reason]}
        for index, reason in enumerate(DropReason, 1)
    }
    return Body(
        OvsdpCmd.DROPS_GET,
        {int(DropsAttr.NAME): datapath.name, int(DropsAttr.REASONS): reasons},
        datapath.index,
    )


async def get_drops(request: Request) -> Answer:
    """OVSDP_CMD_DROPS_GET: the packets that a datapath has dropped, by reason; ENODEV."""
    return Answer(describe_drops(request.datapath()))


def dump_drops(request: Request) -> Iterator[Body]:
    """OVSDP_CMD_DROPS_GET with NLM_F_DUMP: of all datapaths."""
    switch = request.context.switch
    now = list(switch)
    return (
        describe_drops(datapath) for datapath in now if switch.lookup(datapath.index) is datapath
    )


def dump_masks(request: Request) -> Iterator[Body]:
    """OVSDP_CMD_MASK_GET with NLM_F_DUMP: a datapath's masks, as they are in order now; ENODEV.

    A mask whose last flow goes before its turn is left out.
    """
    datapath = request.datapath()
    return (
        Body(
            OvsdpCmd.MASK_GET,
            {
                int(MaskAttr.MASK): mask.wire,
                int(MaskAttr.FLOWS): len(mask.flows),
                int(MaskAttr.HITS): mask.hits,
            },
            datapath.index,
        )
        for mask in datapath.flows.masks
        if mask.flows
    )


def describe_meter(meter: Meter, dp_ifindex: int) -> Body:
    """A meter as METER_GET tells it: as OVS_METER_CMD_GET, and what its bands are."""
    attributes: Attributes = {int(MeterAttr.ID): meter.id}
    if meter.is_kbps:
        attributes[int(MeterAttr.KBPS)] = True
    attributes |= {
        int(MeterAttr.STATS): meter_stats(meter),
        int(MeterAttr.USED): meter.used_ms,
        int(MeterAttr.BANDS): BANDS.encode(
            {
                index: {
                    BandAttr.TYPE: band.type,
                    BandAttr.RATE: band.rate,
                    BandAttr.BURST: band.burst,
                    BandAttr.STATS: meter_stats(band),
                }
                for index, band in enumerate(meter.bands)
            }
        ),
    }
    return Body(OvsdpCmd.METER_GET, attributes, dp_ifindex)


def dump_meters(request: Request) -> Iterator[Body]:
    """OVSDP_CMD_METER_GET with NLM_F_DUMP: a datapath's meters by ascending id; ENODEV.

    One that goes before its turn is left out.
    """
    datapath = request.datapath()
    meters = datapath.meters
    return (
        describe_meter(meter, datapath.index)
        for meter in meters
        if meters.lookup(meter.id) is meter
    )


_W, _R, _T = DeviceOperation.WRITE, DeviceOperation.READ, DeviceOperation.TRANSACT

COMMANDS = (
    Command(
        OvsdpCmd.INFO_GET,
        "OVSDP_CMD_INFO_GET",
        _T,
        get_info,
        summary="read what the daemon is and serves",
    ),
    Command(
        OvsdpCmd.HANDLE_GET,
        "OVSDP_CMD_HANDLE_GET",
        _T | _W | _R,
        get_handle,
        dump_handles,
        summary="read an open handle by its PID, or dump all",
    ),
    Command(
        OvsdpCmd.DROPS_GET,
        "OVSDP_CMD_DROPS_GET",
        _T | _W | _R,
        get_drops,
        dump_drops,
        needs_datapath=True,
        summary="read a datapath's drops by reason, or dump those of all",
    ),
    Command(
        OvsdpCmd.MASK_GET,
        "OVSDP_CMD_MASK_GET",
        _T | _W | _R,
        dump=dump_masks,
        summary="dump a datapath's masks in the order of look-ups",
    ),
    Command(
        OvsdpCmd.METER_GET,
        "OVSDP_CMD_METER_GET",
        _T | _W | _R,
        dump=dump_meters,
        summary="dump a datapath's meters",
    ),
)
"""The commands; `families.ovsdp_control` has them in its table."""
