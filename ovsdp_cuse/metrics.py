"""What the device tells of itself, as metrics for Prometheus.

METRICS is the table: names, what they mean, labels, and where the numbers are. They are asked for
by `questions`, which does no I/O: whoever has a client, blocking or not, asks what it yields and
sends the answers back, or throws the DatapathError in; what it returns is made into text by
`render`. https://prometheus.io/docs/instrumenting/exposition_formats/ has the format and
https://prometheus.io/docs/practices/naming/ the rules of names.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from errno import ENODEV
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.meter import BANDS, BandAttr, MeterAttr
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import DropAttr, DropsAttr, HandleAttr, InfoAttr
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportUpcallAttr

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` makes, for who serves it by HTTP."""


class Question(NamedTuple):
    """A request: a dump where `is_dump`, whose answer is all its messages; else its one reply."""

    family: FamilySchema
    command: int
    dp_ifindex: int = 0
    is_dump: bool = True


class OfDatapath(NamedTuple):
    """A port or meter, with the name of its datapath."""

    datapath: str
    attributes: Attributes


@dataclass(slots=True)
class Snapshot:
    """The answers that metrics are made of."""

    info: Attributes = field(default_factory=dict)
    handles: list[Attributes] = field(default_factory=list)
    datapaths: list[Attributes] = field(default_factory=list)
    drops: list[Attributes] = field(default_factory=list)
    ports: list[OfDatapath] = field(default_factory=list)
    meters: list[OfDatapath] = field(default_factory=list)


def questions() -> Generator[Question, list[Message], Snapshot]:
    """Ask for all that metrics need; a datapath that goes meanwhile has no ports and meters.

    Other errors than that pass through.
    """
    snapshot = Snapshot()
    (info,) = yield Question(OVSDP_CONTROL, OvsdpCmd.INFO_GET, is_dump=False)
    snapshot.info = info.attributes
    handles = yield Question(OVSDP_CONTROL, OvsdpCmd.HANDLE_GET)
    snapshot.handles = [handle.attributes for handle in handles]
    drops = yield Question(OVSDP_CONTROL, OvsdpCmd.DROPS_GET)
    snapshot.drops = [found.attributes for found in drops]
    datapaths = yield Question(DATAPATH, DpCmd.GET)
    snapshot.datapaths = [datapath.attributes for datapath in datapaths]
    for datapath in datapaths:
        name, index = datapath.attributes[DpAttr.NAME], datapath.dp_ifindex
        for family, command, found in (
            (VPORT, VportCmd.GET, snapshot.ports),
            (OVSDP_CONTROL, OvsdpCmd.METER_GET, snapshot.meters),
        ):
            try:
                messages = yield Question(family, command, index)
            except DatapathError as error:
                if error.errno != ENODEV:
                    raise
            else:
                found += [OfDatapath(name, message.attributes) for message in messages]
    return snapshot


# The table ------------------------------------------------------------------------------------

Sample = tuple[tuple[str, ...], float]


class Metric(NamedTuple):
    """One metric. A counter's name ends with _total, without which it stands here."""

    name: str
    help: str
    is_counter: bool
    labels: tuple[str, ...]
    samples: Callable[[Snapshot], Iterable[Sample]]


def _of_info(attribute: InfoAttr, unit: float, snapshot: Snapshot) -> Iterator[Sample]:
    yield (), snapshot.info[attribute] * unit


def _of_handle(attribute: HandleAttr, snapshot: Snapshot) -> Iterator[Sample]:
    for handle in snapshot.handles:
        yield _handle_labels(handle), handle.get(attribute, 0)


def _handle_labels(handle: Attributes) -> tuple[str, ...]:
    told = (handle[HandleAttr.PID], handle[HandleAttr.PROCESS], handle[HandleAttr.COMMAND])
    return tuple(map(str, told))


def _queued(snapshot: Snapshot) -> Iterator[Sample]:
    for handle in snapshot.handles:
        for kind, attribute in (
            ("reply", HandleAttr.QUEUED_REPLIES),
            ("event", HandleAttr.QUEUED_EVENTS),
            ("packet", HandleAttr.QUEUED_PACKETS),
        ):
            yield (*_handle_labels(handle), kind), handle[attribute]


def _of_datapath(attribute: DpAttr, member: str, snapshot: Snapshot) -> Iterator[Sample]:
    for datapath in snapshot.datapaths:
        yield (datapath[DpAttr.NAME],), getattr(datapath[attribute], member)


def _cache_size(snapshot: Snapshot) -> Iterator[Sample]:
    for datapath in snapshot.datapaths:
        yield (datapath[DpAttr.NAME],), datapath[DpAttr.MASKS_CACHE_SIZE]


def _drops(snapshot: Snapshot) -> Iterator[Sample]:
    for drops in snapshot.drops:
        for reason in drops[DropsAttr.REASONS].values():
            yield (drops[DropsAttr.NAME], reason[DropAttr.REASON]), reason[DropAttr.PACKETS]


def _of_port(member: str, snapshot: Snapshot) -> Iterator[Sample]:
    for datapath, port in snapshot.ports:
        yield (datapath, port[VportAttr.NAME]), getattr(port[VportAttr.STATS], member)


def _port_upcalls(snapshot: Snapshot) -> Iterator[Sample]:
    for datapath, port in snapshot.ports:
        upcalls = port.get(VportAttr.UPCALL_STATS, {})
        for result in VportUpcallAttr:
            labels = (datapath, port[VportAttr.NAME], result.name.lower())
            yield labels, upcalls.get(result, 0)


def _of_meter(member: str, snapshot: Snapshot) -> Iterator[Sample]:
    for datapath, meter in snapshot.meters:
        yield (datapath, str(meter[MeterAttr.ID])), getattr(meter[MeterAttr.STATS], member)


def _of_band(member: str, snapshot: Snapshot) -> Iterator[Sample]:
    for datapath, meter in snapshot.meters:
        for number, band in BANDS.decode(meter[MeterAttr.BANDS], False).items():
            labels = (datapath, str(meter[MeterAttr.ID]), str(number))
            yield labels, getattr(band[BandAttr.STATS], member)


_HANDLE = ("pid", "process", "command")
_DATAPATH = ("datapath",)
_PORT = ("datapath", "port")
_METER = ("datapath", "meter")
_BAND = (*_METER, "band")


def _info(name: str, text: str, attribute: InfoAttr, is_counter: bool = False) -> Metric:
    unit = 0.001 if attribute is InfoAttr.UPTIME_MS else 1
    return Metric(f"ovsdp_{name}", text, is_counter, (), partial(_of_info, attribute, unit))


def _handle(name: str, text: str, attribute: HandleAttr, is_counter: bool = True) -> Metric:
    samples = partial(_of_handle, attribute)
    return Metric(f"ovsdp_handle_{name}", text, is_counter, _HANDLE, samples)


def _datapath(
    name: str, text: str, attribute: DpAttr, member: str, is_counter: bool = True
) -> Metric:
    samples = partial(_of_datapath, attribute, member)
    return Metric(f"ovsdp_datapath_{name}", text, is_counter, _DATAPATH, samples)


def _port(name: str, text: str, member: str) -> Metric:
    return Metric(f"ovsdp_port_{name}", text, True, _PORT, partial(_of_port, member))


METRICS: tuple[Metric, ...] = (
    _info("uptime_seconds", "Seconds since the daemon started.", InfoAttr.UPTIME_MS),
    _info("handles", "Handles that are open.", InfoAttr.HANDLES),
    _info("handle_limit", "Handles that may be open.", InfoAttr.HANDLE_LIMIT),
    _info("datapaths", "Datapaths that there are.", InfoAttr.DATAPATHS),
    _info("lost_upcalls", "Upcalls that no handle took.", InfoAttr.LOST_UPCALLS, True),
    _handle("requests", "Requests that came by a handle.", HandleAttr.REQUESTS),
    _handle("replies", "Replies, errors and parts of dumps made for it.", HandleAttr.REPLIES),
    _handle("errors", "Requests of a handle that were refused.", HandleAttr.ERRORS),
    _handle("events", "Notifications put in a handle's queue.", HandleAttr.EVENTS),
    _handle("upcalls", "Upcalls put in a handle's queue.", HandleAttr.UPCALLS),
    _handle("dropped", "Datagrams that a handle's queue had no room for.", HandleAttr.DROPPED),
    _handle("queue_bytes", "Bytes that wait on a handle.", HandleAttr.QUEUE_BYTES, False),
    _handle("queue_limit_bytes", "Bytes that may wait.", HandleAttr.QUEUE_LIMIT, False),
    _handle(
        "congested",
        "Whether a handle's queue takes nothing until it was read empty.",
        HandleAttr.CONGESTED,
        False,
    ),
    Metric(
        "ovsdp_handle_queued",
        "Datagrams that wait on a handle.",
        False,
        (*_HANDLE, "kind"),
        _queued,
    ),
    _datapath("hits", "Packets that matched a flow.", DpAttr.STATS, "hit"),
    _datapath("misses", "Packets that matched no flow.", DpAttr.STATS, "missed"),
    _datapath("lost", "Packets whose upcall was lost.", DpAttr.STATS, "lost"),
    _datapath("flows", "Flows that there are.", DpAttr.STATS, "flows", False),
    _datapath("mask_lookups", "Masks looked at.", DpAttr.MEGAFLOW_STATS, "mask_hit"),
    _datapath("masks", "Masks that there are.", DpAttr.MEGAFLOW_STATS, "masks", False),
    _datapath(
        "cache_hits", "Packets that the mask cache had.", DpAttr.MEGAFLOW_STATS, "cache_hits"
    ),
    Metric(
        "ovsdp_datapath_mask_cache_entries",
        "Room of the mask cache.",
        False,
        _DATAPATH,
        _cache_size,
    ),
    Metric(
        "ovsdp_datapath_drops",
        "Packets that went nowhere, by the reason.",
        True,
        (*_DATAPATH, "reason"),
        _drops,
    ),
    _port("receive_packets", "Packets that a port's interface received.", "rx_packets"),
    _port("receive_bytes", "Bytes that a port's interface received.", "rx_bytes"),
    _port("receive_errors", "Errors while it received.", "rx_errors"),
    _port("receive_drops", "Received packets that it dropped.", "rx_dropped"),
    _port("transmit_packets", "Packets that a port's interface sent.", "tx_packets"),
    _port("transmit_bytes", "Bytes that a port's interface sent.", "tx_bytes"),
    _port("transmit_errors", "Errors while it sent.", "tx_errors"),
    _port("transmit_drops", "Packets that it dropped and did not send.", "tx_dropped"),
    Metric(
        "ovsdp_port_upcalls",
        "Upcalls of packets that a port received.",
        True,
        (*_PORT, "result"),
        _port_upcalls,
    ),
    Metric(
        "ovsdp_meter_packets",
        "Packets through a meter, dropped ones included.",
        True,
        _METER,
        partial(_of_meter, "n_packets"),
    ),
    Metric(
        "ovsdp_meter_bytes",
        "Bytes through a meter, dropped ones included.",
        True,
        _METER,
        partial(_of_meter, "n_bytes"),
    ),
    Metric(
        "ovsdp_meter_band_packets",
        "Packets that exceeded a meter's band.",
        True,
        _BAND,
        partial(_of_band, "n_packets"),
    ),
    Metric(
        "ovsdp_meter_band_bytes",
        "Bytes that exceeded a meter's band.",
        True,
        _BAND,
        partial(_of_band, "n_bytes"),
    ),
)
"""All metrics but ovsdp_info, whose labels say what the daemon is."""


def render(snapshot: Snapshot) -> Iterator[bytes]:
    """The text, a metric at a time, so that who renders may let others have their turn."""
    # It is loaded by who wants metrics: it looks at much of the machine when it is.
    from prometheus_client import generate_latest
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        InfoMetricFamily,
    )
    from prometheus_client.registry import Collector

    class Single(Collector):
        """A collector of one metric; the library's global registry is left alone."""

        def __init__(self, family: Family) -> None:
            self._family = family

        def collect(self) -> Iterable[Family]:
            return (self._family,)

    def text(family: Family) -> bytes:
        written: bytes = generate_latest(Single(family))
        return written

    yield text(InfoMetricFamily("ovsdp", "What the daemon is.", _description(snapshot.info)))
    for metric in METRICS:
        family: Any = (CounterMetricFamily if metric.is_counter else GaugeMetricFamily)(
            metric.name, metric.help, labels=metric.labels
        )
        for labels, value in metric.samples(snapshot):
            family.add_metric([_label(label) for label in labels], value)
        yield text(family)


def _description(info: Attributes) -> dict[str, str]:
    attributes = (InfoAttr.VERSION, InfoAttr.NODE, InfoAttr.PATH, InfoAttr.INTERFACES)
    return {attribute.name.lower(): _label(info[attribute]) for attribute in attributes}


def _label(text: str) -> str:
    """A label's value: what no encoding has, and what would steer a terminal, is escaped.

    Backslashes and quotes are the library's to escape.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
