"""The family `ovs_meter`: make, remove and read the meters of a datapath.

Replies and errors are those of net/openvswitch/meter.c of Linux 6.1, with texts of our own. What
may surprise, and is the kernel's way:

- changes are told to nobody: the multicast group is there and stays silent;
- SET tells the statistics of the meter that it replaces, behind an ID that stands there twice;
- DEL of a meter that is not there succeeds, with a reply that has no attributes;
- a meter may have no bands, and a band of a type that nobody knows: it drops nothing.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT
from sys import byteorder

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.switch.meter import BAND_TYPE_DROP, BANDS_MAXIMUM, Band, Meter
from ovsdp_cuse.wire.attributes import Attributes, walk
from ovsdp_cuse.wire.meter import BAND, BANDS, METER, BandAttr, MeterAttr, MeterCmd, MeterStats

GROUP = MulticastGroup(104, "ovs_meter")

_U64 = (1 << 64) - 1


def describe(meter: Meter) -> Attributes:
    """A meter as the attributes of a reply, in the order of ovs_meter_cmd_reply_stats()."""
    return {
        MeterAttr.ID: meter.id,
        MeterAttr.STATS: meter_stats(meter),
        MeterAttr.USED: meter.used_ms,
        MeterAttr.BANDS: b"".join(
            BANDS.encode({0: {BandAttr.STATS: meter_stats(band)}}) for band in meter.bands
        ),
    }


def meter_stats(counted: Meter | Band) -> MeterStats:
    """What a meter or a band has counted."""
    # A client may have set the counters so high that they wrap.
    return MeterStats(counted.packets & _U64, counted.bytes & _U64)


def parse_bands(payload: bytes) -> list[Band]:
    """The bands of OVS_METER_ATTR_BANDS.

    Raises EINVAL for more bands than a meter may have, for one without TYPE, RATE or BURST, and for
    rate 0; ERANGE for a value that is too short.
    """
    bands = []
    parts = [(number, inner) for _offset, number, inner in walk(payload)]
    if len(parts) > BANDS_MAXIMUM:
        raise DatapathError(EINVAL, f"{len(parts)} bands, a meter has at most {BANDS_MAXIMUM}")
    for number, inner in parts:
        try:
            bands.append(_parse_band(inner))
        except DatapathError as error:
            error.path = (number, *error.path)
            raise
    return bands


def _parse_band(payload: bytes) -> Band:
    attributes = BAND.parse(payload)
    for needed in (BandAttr.TYPE, BandAttr.RATE, BandAttr.BURST):
        if needed not in attributes:
            raise DatapathError(EINVAL, f"{BAND.name_of(needed)} is missing")
    if not attributes[BandAttr.RATE]:
        raise DatapathError(EINVAL, "a band's rate is above 0", (BandAttr.RATE,))
    return Band(attributes[BandAttr.TYPE], attributes[BandAttr.RATE], attributes[BandAttr.BURST])


def _parse_meter(attributes: Attributes, now_ms: int) -> Meter:
    for needed in (MeterAttr.ID, MeterAttr.BANDS):
        if needed not in attributes:
            raise _missing(needed)
    try:
        bands = parse_bands(attributes[MeterAttr.BANDS])
    except DatapathError as error:
        error.path = (MeterAttr.BANDS, *error.path)
        raise
    keep_stats = MeterAttr.CLEAR not in attributes
    meter = Meter(
        attributes[MeterAttr.ID],
        bands,
        now_ms,
        is_kbps=MeterAttr.KBPS in attributes,
        keep_stats=keep_stats,
    )
    if keep_stats and MeterAttr.STATS in attributes:
        meter.packets, meter.bytes = attributes[MeterAttr.STATS]
    return meter


def _missing(attribute: MeterAttr) -> DatapathError:
    return DatapathError(EINVAL, f"{METER.attributes.name_of(attribute)} is missing")


def _id(request: Request) -> int:
    meter_id = request.attributes.get(MeterAttr.ID)
    if meter_id is None:
        raise _missing(MeterAttr.ID)
    return int(meter_id)


def _answer(request: Request, command: MeterCmd, attributes: Attributes) -> Answer:
    """Meters are answered to who asks, and to nobody else."""
    return Answer(Body(command, attributes, request.dp_ifindex))


async def features(request: Request) -> Answer:
    """OVS_METER_CMD_FEATURES: how many meters and bands there may be, and bands of which types."""
    meters = request.datapath().meters
    return _answer(
        request,
        MeterCmd.FEATURES,
        {
            MeterAttr.MAX_METERS: meters.limit,
            MeterAttr.MAX_BANDS: BANDS_MAXIMUM,
            MeterAttr.BANDS: BANDS.encode({0: {BandAttr.TYPE: BAND_TYPE_DROP}}),
        },
    )


async def set_(request: Request) -> Answer:
    """OVS_METER_CMD_SET: make a meter, or replace it.

    Raises EINVAL without ID or BANDS, what `parse_bands` raises, ENODEV, and what
    MeterTable.replace raises.
    """
    meter = _parse_meter(request.attributes, request.context.switch.clock())
    old = request.datapath().meters.replace(meter)
    answer = _answer(request, MeterCmd.SET, {MeterAttr.ID: meter.id})
    if old is None or not old.keep_stats:
        return answer
    assert isinstance(answer.body, Body)
    message = answer.body.build(request) + METER.attributes.build(describe(old))
    return Answer(len(message).to_bytes(4, byteorder) + message[4:])


async def get(request: Request) -> Answer:
    """OVS_METER_CMD_GET: read a meter; EINVAL without ID, ENODEV, ENOENT."""
    meter_id = _id(request)
    meter = request.datapath().meters.lookup(meter_id)
    if meter is None:
        raise DatapathError(ENOENT, f"no meter has the id {meter_id}", (MeterAttr.ID,))
    return _answer(request, MeterCmd.GET, describe(meter))


async def delete(request: Request) -> Answer:
    """OVS_METER_CMD_DEL: remove a meter, if it is there; EINVAL without ID, ENODEV."""
    meter_id = _id(request)
    meter = request.datapath().meters.remove(meter_id)
    return _answer(request, MeterCmd.DEL, {} if meter is None else describe(meter))


_WT = DeviceOperation.WRITE | DeviceOperation.TRANSACT

FAMILY = Family(
    schema=METER,
    summary="meters: make, remove and read them",
    groups=(GROUP,),
    commands=(
        Command(
            MeterCmd.FEATURES,
            "OVS_METER_CMD_FEATURES",
            _WT,
            features,
            needs_datapath=True,
            summary="read how many meters there may be",
        ),
        Command(
            MeterCmd.SET,
            "OVS_METER_CMD_SET",
            _WT,
            set_,
            needs_datapath=True,
            admin=True,
            summary="make or replace a meter",
        ),
        Command(
            MeterCmd.GET,
            "OVS_METER_CMD_GET",
            _WT,
            get,
            needs_datapath=True,
            summary="read a meter",
        ),
        Command(
            MeterCmd.DEL,
            "OVS_METER_CMD_DEL",
            _WT,
            delete,
            needs_datapath=True,
            admin=True,
            summary="remove a meter",
        ),
    ),
)
