"""The family `ovs_ct_limit`: how many connections may be tracked in a conntrack zone.

Replies and errors are those of net/openvswitch/conntrack.c of Linux 6.1, with texts of our own.
What may surprise, and is the kernel's way:

- limits belong to no datapath, and dp_ifindex comes back as it was sent;
- zones that cannot be, and bytes that are left over, are ignored;
- changes are told to nobody: the multicast group is there and stays silent.
"""

from __future__ import annotations

from errno import EINVAL, EMSGSIZE

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.switch.ct_limit import DEFAULT_ZONE
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.ct_limit import CT_LIMIT, CtLimitAttr, CtLimitCmd, ZoneLimit

GROUP = MulticastGroup(105, "ovs_ct_limit")

ZONES_MAXIMUM = 653
"""Zones in a reply: what fits a socket buffer of Linux on machines with pages of 4 KiB."""


def _answer(request: Request, command: CtLimitCmd, attributes: Attributes) -> Answer:
    """Limits are answered to who asks, and to nobody else."""
    return Answer(Body(command, attributes, request.header.dp_ifindex))


def _given(request: Request) -> tuple[ZoneLimit, ...]:
    limits: tuple[ZoneLimit, ...] | None = request.attributes.get(CtLimitAttr.ZONE_LIMIT)
    if limits is None:
        name = CT_LIMIT.attributes.name_of(CtLimitAttr.ZONE_LIMIT)
        raise DatapathError(EINVAL, f"{name} is missing")
    return limits


async def set_(request: Request) -> Answer:
    """OVS_CT_LIMIT_CMD_SET: set limits of zones, and the default; EINVAL without ZONE_LIMIT."""
    limits = request.context.switch.ct_limits
    for zone, limit, _count in _given(request):
        limits.set(zone, limit)
    return _answer(request, CtLimitCmd.SET, {})


async def delete(request: Request) -> Answer:
    """OVS_CT_LIMIT_CMD_DEL: remove limits of zones, and the default; EINVAL without ZONE_LIMIT."""
    limits = request.context.switch.ct_limits
    for zone, _limit, _count in _given(request):
        limits.remove(zone)
    return _answer(request, CtLimitCmd.DEL, {})


async def get(request: Request) -> Answer:
    """OVS_CT_LIMIT_CMD_GET: read the limits of the zones that are asked for, or all that are set.

    Raises EMSGSIZE for more than fit a reply of the kernel.
    """
    limits = request.context.switch.ct_limits
    asked: tuple[ZoneLimit, ...] | None = request.attributes.get(CtLimitAttr.ZONE_LIMIT)
    zones = limits if asked is None else [zone for zone, _limit, _count in asked]
    told = []
    for zone in zones:
        limit = limits.get(zone)
        if limit is not None:
            count = 0 if zone == DEFAULT_ZONE else limits.count(zone)
            told.append(ZoneLimit(zone, limit, count))
    if len(told) > ZONES_MAXIMUM:
        raise DatapathError(EMSGSIZE, f"{len(told)} zones, a reply has room for {ZONES_MAXIMUM}")
    return _answer(request, CtLimitCmd.GET, {CtLimitAttr.ZONE_LIMIT: tuple(told)})


_T = DeviceOperation.TRANSACT

FAMILY = Family(
    schema=CT_LIMIT,
    summary="limits of conntrack zones: set, remove and read them",
    groups=(GROUP,),
    commands=(
        Command(
            CtLimitCmd.SET,
            "OVS_CT_LIMIT_CMD_SET",
            _T,
            set_,
            admin=True,
            summary="set limits of zones",
        ),
        Command(
            CtLimitCmd.DEL,
            "OVS_CT_LIMIT_CMD_DEL",
            _T,
            delete,
            admin=True,
            summary="remove limits of zones",
        ),
        Command(
            CtLimitCmd.GET,
            "OVS_CT_LIMIT_CMD_GET",
            _T,
            get,
            summary="read limits of zones",
        ),
    ),
)
