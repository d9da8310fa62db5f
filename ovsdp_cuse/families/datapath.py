"""The family `ovs_datapath`: make, remove, read and change datapaths.

Replies and errors are those of net/openvswitch/datapath.c of Linux 6.1, with texts of our own. What
may surprise, and is the kernel's way:

- a NAME decides alone which datapath is meant, whatever dp_ifindex says;
- SET without USER_FEATURES sets the features to 0;
- SET that fails for its PER_CPU_PIDS has changed features and mask cache already;
- PER_CPU_PIDS counts, and is looked at, only with OVS_DP_F_DISPATCH_UPCALL_PER_CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP

from ovsdp_cuse.errors import DatapathError, within
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.families.upcall_pids import checked_pids, whole_pids
from ovsdp_cuse.switch.datapath import Datapath, Pid, Settings, validate_masks_cache_size
from ovsdp_cuse.switch.switch import Switch
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import (
    DATAPATH,
    OVS_DP_VER_FEATURES,
    DpAttr,
    DpCmd,
    DpFeature,
    DpStats,
    MegaflowStats,
)

GROUP = MulticastGroup(102, "ovs_datapath")

KNOWN_FEATURES = int(DpFeature.UNALIGNED | DpFeature.VPORT_PIDS | DpFeature.DISPATCH_UPCALL_PER_CPU)
"""TC_RECIRC_SHARING is known to kernels that are built with CONFIG_NET_TC_SKB_EXT, and needs a
traffic control that shares recirculation ids with the switch; ours has none."""
_PER_CPU = int(DpFeature.DISPATCH_UPCALL_PER_CPU)

# Plain integers: looking up a member of an enumeration costs more than the rest of a GET.
_NAME = int(DpAttr.NAME)
_STATS = int(DpAttr.STATS)
_MEGAFLOW_STATS = int(DpAttr.MEGAFLOW_STATS)
_USER_FEATURES = int(DpAttr.USER_FEATURES)
_MASKS_CACHE_SIZE = int(DpAttr.MASKS_CACHE_SIZE)


def describe(switch: Switch, datapath: Datapath, command: int) -> Body:
    """A datapath as the attributes of a reply, in the order of ovs_dp_cmd_fill_info()."""
    counters, settings, flows = datapath.counters, datapath.settings, datapath.flows
    attributes: Attributes = {
        _NAME: datapath.name,
        _STATS: DpStats(counters.hit, counters.missed, counters.lost, len(flows)),
        _MEGAFLOW_STATS: MegaflowStats(flows.mask_hit, flows.mask_count, 0, flows.cache_hits, 0),
        _USER_FEATURES: settings.user_features,
        _MASKS_CACHE_SIZE: settings.masks_cache_size,
    }
    if settings.user_features & _PER_CPU and settings.per_cpu_pids:
        attributes[int(DpAttr.PER_CPU_PIDS)] = settings.per_cpu_pids[: switch.cpu_count]
    return Body(command, attributes, datapath.index)


def find(request: Request) -> Datapath:
    """The datapath that a request means, by name or else by index; ENODEV where there is none."""
    name = request.attributes.get(_NAME)
    if name is None:
        return request.datapath()
    datapath = request.context.switch.lookup_name(name)
    if datapath is None:
        raise DatapathError(ENODEV, f"no datapath is named {name!r}", (_NAME,))
    return datapath


def change(settings: Settings, attributes: Attributes) -> None:
    """Apply features, cache size and PIDs, in the order of ovs_dp_change().

    Raises EOPNOTSUPP for unknown features (nothing is changed then), EINVAL for a cache size or
    an array of PIDs that cannot be.
    """
    features = attributes.get(_USER_FEATURES, 0)
    if features & ~KNOWN_FEATURES:
        raise DatapathError(
            EOPNOTSUPP,
            f"user features {features & ~KNOWN_FEATURES:#x} are not supported, "
            f"only {KNOWN_FEATURES:#x}",
            (_USER_FEATURES,),
        )
    size = attributes.get(_MASKS_CACHE_SIZE, settings.masks_cache_size)
    with within(DpAttr.MASKS_CACHE_SIZE):
        validate_masks_cache_size(size)
    settings.masks_cache_size = size
    settings.user_features = features
    pids = attributes.get(DpAttr.PER_CPU_PIDS)
    if features & _PER_CPU and pids is not None:
        settings.per_cpu_pids = tuple(map(Pid, whole_pids(pids, DpAttr.PER_CPU_PIDS)))


async def new(request: Request) -> Answer:
    """OVS_DP_CMD_NEW: make a datapath.

    Raises EINVAL without NAME or UPCALL_PID or for a name that no interface may have, EEXIST for
    a name or IFINDEX in use, and what `change` raises.
    """
    switch = request.context.switch
    attributes = request.attributes
    for needed in (DpAttr.NAME, DpAttr.UPCALL_PID):
        if needed not in attributes:
            raise DatapathError(EINVAL, f"{DATAPATH.attributes.name_of(needed)} is missing")
    # Settings are tried before there is a datapath, so a failure leaves nothing.
    settings = Settings()
    change(settings, attributes)
    pids = checked_pids(attributes[DpAttr.UPCALL_PID], switch, DpAttr.UPCALL_PID)
    name = attributes[_NAME]
    existing = switch.lookup_name(name)
    if existing is not None:
        if request.header.version < OVS_DP_VER_FEATURES:
            # A client from before user features goes on with the datapath that is there; it must
            # not be given what it did not ask for.
            existing.settings.user_features = 0
        raise DatapathError(EEXIST, f"a datapath named {name!r} exists already", (_NAME,))
    try:
        datapath = switch.add(name, attributes.get(DpAttr.IFINDEX, 0), pids, settings)
    except DatapathError as error:
        error.path = (DpAttr.IFINDEX if error.errno == EBUSY else DpAttr.NAME,)
        if error.errno == EBUSY:  # ovs_dp_cmd_new() tells it so
            error.errno = EEXIST
        raise
    return Answer(describe(switch, datapath, DpCmd.NEW), GROUP.id)


async def delete(request: Request) -> Answer:
    """OVS_DP_CMD_DEL: remove a datapath; the reply shows it for the last time."""
    switch = request.context.switch
    datapath = find(request)
    body = describe(switch, datapath, DpCmd.DEL)
    switch.remove(datapath)
    return Answer(body, GROUP.id)


async def get(request: Request) -> Answer:
    """OVS_DP_CMD_GET: read one datapath."""
    return Answer(describe(request.context.switch, find(request), DpCmd.GET))


def dump(request: Request) -> Iterator[Body]:
    """OVS_DP_CMD_GET with NLM_F_DUMP: the datapaths that are there from now until their turn."""
    switch = request.context.switch
    now = list(switch)
    return (
        describe(switch, datapath, DpCmd.GET)
        for datapath in now
        if switch.lookup(datapath.index) is datapath
    )


async def set_(request: Request) -> Answer:
    """OVS_DP_CMD_SET: change what NEW may set; raises what `find` and `change` raise."""
    datapath = find(request)
    try:
        change(datapath.settings, request.attributes)
    finally:  # what has been changed before a failure stays changed
        datapath.flows.resize_cache(datapath.settings.masks_cache_size)
    return Answer(describe(request.context.switch, datapath, DpCmd.SET), GROUP.id)


_W, _R, _T = DeviceOperation.WRITE, DeviceOperation.READ, DeviceOperation.TRANSACT

FAMILY = Family(
    schema=DATAPATH,
    summary="datapaths: make, remove, read and change them",
    groups=(GROUP,),
    commands=(
        Command(DpCmd.NEW, "OVS_DP_CMD_NEW", _T | _W, new, admin=True, summary="make a datapath"),
        Command(
            DpCmd.DEL,
            "OVS_DP_CMD_DEL",
            _T | _W,
            delete,
            needs_datapath=True,
            admin=True,
            summary="remove a datapath",
        ),
        Command(
            DpCmd.GET,
            "OVS_DP_CMD_GET",
            _T | _W | _R,
            get,
            dump,
            needs_datapath=True,
            summary="read a datapath, or dump all",
        ),
        Command(
            DpCmd.SET,
            "OVS_DP_CMD_SET",
            _T | _W,
            set_,
            needs_datapath=True,
            admin=True,
            summary="change a datapath's features, mask cache or PIDs",
        ),
    ),
)
