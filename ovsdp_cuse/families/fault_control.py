"""The commands of `ovsdp_control` that keep the rules of faults.

They are never subject to faults themselves, so what was set up can always be taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINVAL, ENOSPC

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.fault_rules import make_fault
from ovsdp_cuse.families.faults import Fault
from ovsdp_cuse.families.registry import Command, DeviceOperation
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.fault import FAULT, FaultAttr
from ovsdp_cuse.wire.ovsdp_control import OvsdpCmd

FAULTS_MAXIMUM = 1024
"""Rules that there may be at a time: each request meets them one after the other."""


def describe_fault(fault: Fault) -> Body:
    """A rule as FAULT_GET tells it: what it was given, and what has happened."""
    attributes: Attributes = {
        int(FaultAttr.ID): fault.id,
        **{int(number): value for number, value in sorted(fault.attributes.items())},
        int(FaultAttr.MATCHED): fault.matched,
        int(FaultAttr.APPLIED): fault.applied,
        int(FaultAttr.HELD): len(fault.waiting),
    }
    return Body(OvsdpCmd.FAULT_GET, attributes)


async def new_fault(request: Request) -> Answer:
    """OVSDP_CMD_FAULT_NEW: make a rule, and reply it. EINVAL as make_fault says, ENOSPC."""
    faults = request.context.faults
    if len(faults) >= FAULTS_MAXIMUM:
        raise DatapathError(ENOSPC, f"there are {FAULTS_MAXIMUM} faults, as many as there may be")
    fault = make_fault(request.attributes, request.context.registry)
    faults.add(fault)
    body = describe_fault(fault)
    return Answer(Body(OvsdpCmd.FAULT_NEW, body.attributes))


async def delete_fault(request: Request) -> Answer:
    """OVSDP_CMD_FAULT_DEL: remove a rule, or all, and let go on what it holds; ENOENT."""
    number = request.attributes.get(FaultAttr.ID)
    held = request.context.faults.remove(number)
    return Answer(Body(OvsdpCmd.FAULT_DEL, {int(FaultAttr.HELD): held}))


async def get_fault(request: Request) -> Answer:
    """OVSDP_CMD_FAULT_GET: one rule; EINVAL without ID, ENOENT."""
    number = request.attributes.get(FaultAttr.ID)
    if number is None:
        raise DatapathError(EINVAL, f"{FAULT.name_of(FaultAttr.ID)} is missing")
    return Answer(describe_fault(request.context.faults.lookup(number)))


def dump_faults(request: Request) -> Iterator[Body]:
    """OVSDP_CMD_FAULT_GET with NLM_F_DUMP: all rules."""
    return map(describe_fault, request.context.faults)


async def release_fault(request: Request) -> Answer:
    """OVSDP_CMD_FAULT_RELEASE: let go on what waits for a rule, or for any; ENOENT."""
    number = request.attributes.get(FaultAttr.ID)
    held = request.context.faults.release(number)
    return Answer(Body(OvsdpCmd.FAULT_RELEASE, {int(FaultAttr.HELD): held}))


_W, _R, _T = DeviceOperation.WRITE, DeviceOperation.READ, DeviceOperation.TRANSACT

COMMANDS = (
    Command(
        OvsdpCmd.FAULT_NEW,
        "OVSDP_CMD_FAULT_NEW",
        _T,
        new_fault,
        admin=True,
        summary="make the device fail on purpose; reply the fault",
    ),
    Command(
        OvsdpCmd.FAULT_DEL,
        "OVSDP_CMD_FAULT_DEL",
        _T | _W,
        delete_fault,
        admin=True,
        summary="remove a fault, or all; what they hold goes on",
    ),
    Command(
        OvsdpCmd.FAULT_GET,
        "OVSDP_CMD_FAULT_GET",
        _T | _W | _R,
        get_fault,
        dump_faults,
        summary="read a fault, or dump all",
    ),
    Command(
        OvsdpCmd.FAULT_RELEASE,
        "OVSDP_CMD_FAULT_RELEASE",
        _T | _W,
        release_fault,
        admin=True,
        summary="let the requests go on that a fault, or any, lets wait",
    ),
)
"""The commands; `families.ovsdp_control` has them in its table."""
