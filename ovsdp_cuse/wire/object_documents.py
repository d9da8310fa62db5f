"""Datapaths, ports, handles and drops as JSON documents.

What `ovsdp-cuse --json` prints and the files of live state show: one shape for each.
"""

from __future__ import annotations

from collections.abc import Mapping

from ovsdp_cuse.wire.datapath import DpAttr, DpFeature, DpStats, MegaflowStats
from ovsdp_cuse.wire.documents import Document
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import NETLINK_GENERIC, NETLINK_NETFILTER
from ovsdp_cuse.wire.state import DropAttr, DropsAttr, HandleAttr
from ovsdp_cuse.wire.vport import VportAttr, VportStats, VportType, VportUpcallAttr

FEATURES = {str(feature.name).lower().replace("_", "-"): int(feature) for feature in DpFeature}
"""Name -> OVS_DP_F_* bit."""

PORT_TYPES = {kind.name.lower(): int(kind) for kind in VportType if kind is not VportType.UNSPEC}
"""Name -> OVS_VPORT_TYPE_*."""
_PORT_TYPE_NAMES = {number: name for name, number in PORT_TYPES.items()}

PROTOCOLS = {NETLINK_GENERIC: "generic", NETLINK_NETFILTER: "netfilter"}
"""Netlink protocol -> name."""


def datapath_document(message: Message) -> Document:
    """A datapath, as the help of `dp-show` shows it."""
    attributes = message.attributes
    stats: DpStats = attributes.get(DpAttr.STATS, DpStats())
    megaflows: MegaflowStats = attributes.get(DpAttr.MEGAFLOW_STATS, MegaflowStats())
    return {
        "name": attributes.get(DpAttr.NAME),
        "index": message.dp_ifindex,
        "features": feature_names(attributes.get(DpAttr.USER_FEATURES, 0)),
        "masks_cache_size": attributes.get(DpAttr.MASKS_CACHE_SIZE),
        "per_cpu_pids": list(attributes.get(DpAttr.PER_CPU_PIDS, ())),
        "stats": stats._asdict(),
        "megaflow_stats": {
            "mask_hit": megaflows.mask_hit,
            "masks": megaflows.masks,
            "cache_hits": megaflows.cache_hits,
        },
    }


def feature_names(bits: int) -> list[str]:
    """The names of OVS_DP_F_* bits, in the order of the bits; the rest in hexadecimal."""
    names = [name for name, bit in FEATURES.items() if bits & bit]
    rest = bits & ~sum(FEATURES.values())
    return names + ([f"{rest:#x}"] if rest else [])


def port_document(message: Message, datapath: str) -> Document:
    """A port, as the help of `port-add` shows it; a type without a name is a number."""
    attributes = message.attributes
    kind = attributes.get(VportAttr.TYPE)
    stats: VportStats = attributes.get(VportAttr.STATS, VportStats())
    upcalls = attributes.get(VportAttr.UPCALL_STATS, {})
    return {
        "name": attributes.get(VportAttr.NAME),
        "datapath": datapath,
        "number": attributes.get(VportAttr.PORT_NO),
        "type": _PORT_TYPE_NAMES.get(kind, kind) if kind is not None else None,
        "index": attributes.get(VportAttr.IFINDEX),
        "upcall_pids": list(attributes.get(VportAttr.UPCALL_PID, ())),
        "upcalls": {
            "success": upcalls.get(VportUpcallAttr.SUCCESS, 0),
            "fail": upcalls.get(VportUpcallAttr.FAIL, 0),
        },
        "stats": stats._asdict(),
    }


def handle_document(message: Message, groups: Mapping[int, str]) -> Document:
    """A handle, as the help of `handles` shows it; `groups` are names by numbers."""
    told = message.attributes
    protocol = told[HandleAttr.PROTOCOL]
    return {
        "pid": told[HandleAttr.PID],
        "process": told[HandleAttr.PROCESS],
        "command": told[HandleAttr.COMMAND],
        "uid": told[HandleAttr.UID],
        "gid": told[HandleAttr.GID],
        "readable": HandleAttr.READABLE in told,
        "writable": HandleAttr.WRITABLE in told,
        "nonblocking": HandleAttr.NONBLOCKING in told,
        "protocol": PROTOCOLS.get(protocol, protocol),
        "groups": [groups.get(number, number) for number in told[HandleAttr.GROUPS]],
        "dump": told.get(HandleAttr.DUMP),
        "queue": {
            "limit": told[HandleAttr.QUEUE_LIMIT],
            "bytes": told[HandleAttr.QUEUE_BYTES],
            "replies": told[HandleAttr.QUEUED_REPLIES],
            "events": told[HandleAttr.QUEUED_EVENTS],
            "packets": told[HandleAttr.QUEUED_PACKETS],
            "dropped": told[HandleAttr.DROPPED],
            "congested": HandleAttr.CONGESTED in told,
        },
        "counts": {
            "requests": told[HandleAttr.REQUESTS],
            "replies": told[HandleAttr.REPLIES],
            "errors": told[HandleAttr.ERRORS],
            "events": told[HandleAttr.EVENTS],
            "upcalls": told[HandleAttr.UPCALLS],
        },
    }


def drops_document(message: Message) -> Document:
    """The drops of a datapath, as the help of `drops` shows them."""
    return {
        "datapath": message.attributes[DropsAttr.NAME],
        "index": message.dp_ifindex,
        "reasons": {
            reason[DropAttr.REASON]: reason[DropAttr.PACKETS]
            for reason in message.attributes[DropsAttr.REASONS].values()
        },
    }
