"""The family `ovs_vport`: make, remove, read and change the ports of datapaths.

Replies and errors are those of net/openvswitch/datapath.c and vport.c of Linux 6.1. What may
surprise, and is the kernel's way:

- a port number of 0 is as good as none: the local port is made with its datapath;
- a NAME is looked for in all datapaths; a dp_ifindex other than 0 must then be its datapath's;
- of several UPCALL_PIDs only the first is told, unless the datapath has OVS_DP_F_VPORT_PIDS.

UPCALL_STATS is told too, which Linux has since 6.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EAFNOSUPPORT, EFBIG, EINVAL, ENODEV, EOPNOTSUPP

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.datapath import GROUP as DATAPATH_GROUP
from ovsdp_cuse.families.datapath import describe as describe_datapath
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Body, Context, Request
from ovsdp_cuse.families.upcall_pids import checked_pids
from ovsdp_cuse.switch.port import OVSP_LOCAL, PORT_NO_MAXIMUM, Port, PortSpec
from ovsdp_cuse.switch.switch import Switch
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.datapath import DATAPATH, DpCmd, DpFeature
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.vport import (
    VPORT,
    VportAttr,
    VportCmd,
    VportStats,
    VportType,
    VportUpcallAttr,
)

GROUP = MulticastGroup(101, "ovs_vport")
"""Its number is fixed by v3.7.1, whose clients join it by number."""

DUMP_BUCKETS = 1024
"""DP_VPORT_HASH_BUCKETS of datapath.h: a dump goes by the port number modulo this."""

# Plain integers: looking up a member of an enumeration costs more than building its attribute.
_PORT_NO = int(VportAttr.PORT_NO)
_TYPE = int(VportAttr.TYPE)
_NAME = int(VportAttr.NAME)
_OPTIONS = int(VportAttr.OPTIONS)
_UPCALL_PID = int(VportAttr.UPCALL_PID)
_STATS = int(VportAttr.STATS)
_IFINDEX = int(VportAttr.IFINDEX)
_NETNSID = int(VportAttr.NETNSID)
_UPCALL_STATS = int(VportAttr.UPCALL_STATS)
_VPORT_PIDS = int(DpFeature.VPORT_PIDS)


def describe(switch: Switch, port: Port, command: int) -> Body:
    """A port as the attributes of a reply, in the order of ovs_vport_cmd_fill_info()."""
    datapath = switch.lookup(port.dp_ifindex)
    features = datapath.settings.user_features if datapath is not None else 0
    stats = port.stats
    attributes: Attributes = {
        _PORT_NO: port.number,
        _TYPE: port.type,
        _NAME: port.name,
        _IFINDEX: port.ifindex,
    }
    if port.netns_id is not None:
        attributes[_NETNSID] = port.netns_id
    attributes[_STATS] = VportStats(
        stats.rx_packets,
        stats.tx_packets,
        stats.rx_bytes,
        stats.tx_bytes,
        stats.rx_errors,
        stats.tx_errors,
        stats.rx_dropped,
        stats.tx_dropped,
    )
    attributes[_UPCALL_STATS] = {
        int(VportUpcallAttr.SUCCESS): port.upcall_successes,
        int(VportUpcallAttr.FAIL): port.upcall_failures,
    }
    attributes[_UPCALL_PID] = port.upcall_pids if features & _VPORT_PIDS else port.upcall_pids[:1]
    if port.options is not None:
        attributes[_OPTIONS] = port.options
    return Body(command, attributes, port.dp_ifindex)


def find(request: Request) -> Port:
    """The port that a request means, by name or else by number.

    Raises EOPNOTSUPP for a search by IFINDEX, EFBIG for a number that no port can have, ENODEV
    where there is no such port or datapath, EINVAL where the request names none.
    """
    # The client may have heard of an interface's end sooner than we have.
    request.context.switch.ports.follow()
    attributes = request.attributes
    if _IFINDEX in attributes:
        raise DatapathError(EOPNOTSUPP, "a port is not found by its IFINDEX", (_IFINDEX,))
    name = attributes.get(_NAME)
    if name is not None:
        port = request.context.switch.lookup_port(name)
        # What the client wrote counts here: at the device door 0 has become the default datapath.
        wanted = request.header.dp_ifindex
        if port is None or (wanted and wanted != port.dp_ifindex):
            where = f" in datapath {wanted}" if wanted else ""
            raise DatapathError(ENODEV, f"no port is named {name!r}{where}", (_NAME,))
        return port
    number = attributes.get(_PORT_NO)
    if number is None:
        raise DatapathError(EINVAL, "a port is named by NAME or PORT_NO, and both are missing")
    _check_number(number)
    port = request.datapath().ports.get(number)
    if port is None:
        raise DatapathError(ENODEV, f"the datapath has no port {number}", (_PORT_NO,))
    return port


def _check_number(number: int) -> None:
    if number >= PORT_NO_MAXIMUM:
        raise DatapathError(
            EFBIG, f"ports have numbers below {PORT_NO_MAXIMUM}, not {number}", (_PORT_NO,)
        )


async def new(request: Request) -> Answer:
    """OVS_VPORT_CMD_NEW: make a port.

    Raises EINVAL without NAME, TYPE or UPCALL_PID, EOPNOTSUPP for an IFINDEX of one that is not
    internal, EFBIG, ENODEV, EAFNOSUPPORT, and what Switch.add_port raises.
    """
    switch = request.context.switch
    attributes = request.attributes
    for needed in (_NAME, _TYPE, _UPCALL_PID):
        if needed not in attributes:
            raise DatapathError(EINVAL, f"{VPORT.attributes.name_of(needed)} is missing")
    kind = attributes[_TYPE]
    if _IFINDEX in attributes and kind != VportType.INTERNAL:
        raise DatapathError(
            EOPNOTSUPP, "the IFINDEX can be chosen for an internal port only", (_IFINDEX,)
        )
    number = attributes.get(_PORT_NO, 0)
    _check_number(number)
    datapath = request.datapath()
    number = datapath.free_number(number)
    if not switch.ports.has_type(kind):
        raise DatapathError(EAFNOSUPPORT, f"there are no ports of type {kind}", (_TYPE,))
    spec = PortSpec(kind, attributes[_NAME], attributes.get(_OPTIONS), attributes.get(_IFINDEX, 0))
    pids = checked_pids(attributes[_UPCALL_PID], switch, _UPCALL_PID)
    port = switch.add_port(datapath, spec, number, pids)
    return Answer(describe(switch, port, VportCmd.NEW), GROUP.id)


async def delete(request: Request) -> Answer:
    """OVS_VPORT_CMD_DEL: remove a port; EINVAL for the local one, and what `find` raises."""
    switch = request.context.switch
    port = find(request)
    if port.number == OVSP_LOCAL:
        raise DatapathError(EINVAL, "the local port goes with its datapath")
    body = describe(switch, port, VportCmd.DEL)
    switch.remove_port(port)
    return Answer(body, GROUP.id)


async def get(request: Request) -> Answer:
    """OVS_VPORT_CMD_GET: read one port; raises what `find` raises."""
    return Answer(describe(request.context.switch, find(request), VportCmd.GET))


def dump(request: Request) -> Iterator[Body]:
    """OVS_VPORT_CMD_GET with NLM_F_DUMP: the ports of a datapath; ENODEV ends it."""
    switch = request.context.switch
    switch.ports.follow()
    datapath = request.datapath()
    # As in the kernel's hash table: by bucket, and in a bucket the newest first.
    newest_first = reversed(datapath.ports.values())
    for port in sorted(newest_first, key=lambda port: port.number % DUMP_BUCKETS):
        if datapath.ports.get(port.number) is port:
            yield describe(switch, port, VportCmd.GET)


async def set_(request: Request) -> Answer:
    """OVS_VPORT_CMD_SET: change options or PIDs.

    Raises EINVAL for a TYPE that is not the port's, EOPNOTSUPP where its kind has no options, and
    what `find` raises.
    """
    switch = request.context.switch
    attributes = request.attributes
    port = find(request)
    kind = attributes.get(_TYPE, port.type)
    if kind != port.type:
        raise DatapathError(EINVAL, f"{port.name!r} is of type {port.type}, not {kind}", (_TYPE,))
    if _OPTIONS in attributes:
        port.set_options(attributes[_OPTIONS])
    if _UPCALL_PID in attributes:
        port.upcall_pids = checked_pids(attributes[_UPCALL_PID], switch, _UPCALL_PID)
    return Answer(describe(switch, port, VportCmd.SET), GROUP.id)


class PortFollower:
    """Follows what happens to the interfaces of ports, and tells the multicast group of it.

    Nobody has asked for these notifications: their PID and sequence number are 0. The kernel tells
    of an interface that vanishes; that it is renamed we tell as well, by OVS_VPORT_CMD_SET. A local
    port's interface can be deleted here, though not in the kernel: its datapath goes with it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def port_vanished(self, port: Port) -> None:
        """The interface is gone, or in another namespace: so is the port."""
        switch = self._context.switch
        datapath = switch.lookup(port.dp_ifindex)
        if datapath is None or datapath.ports.get(port.number) is not port:
            return
        if port.number == OVSP_LOCAL:
            gone = describe_datapath(switch, datapath, DpCmd.DEL)
            switch.remove(datapath)
            self._notify(DATAPATH, DATAPATH_GROUP.id, gone)
        else:
            body = describe(switch, port, VportCmd.DEL)
            switch.remove_port(port)
            self._notify(VPORT, GROUP.id, body)

    def port_renamed(self, port: Port, name: str) -> None:
        """The interface has another name."""
        switch = self._context.switch
        switch.rename_port(port, name)
        self._notify(VPORT, GROUP.id, describe(switch, port, VportCmd.SET))

    def port_changed(self, port: Port) -> None:
        """No message shows what has changed, so nobody is told."""

    def _notify(self, schema: FamilySchema, group: int, body: Body) -> None:
        message = Message(
            schema.id, body.command, body.attributes, body.dp_ifindex, version=schema.version
        )
        self._context.sessions.multicast(group, schema.build(message))


_W, _R, _T = DeviceOperation.WRITE, DeviceOperation.READ, DeviceOperation.TRANSACT

FAMILY = Family(
    schema=VPORT,
    summary="ports: make, remove, read and change them",
    groups=(GROUP,),
    commands=(
        Command(
            VportCmd.NEW,
            "OVS_VPORT_CMD_NEW",
            _T | _W,
            new,
            needs_datapath=True,
            admin=True,
            summary="make a port",
        ),
        Command(
            VportCmd.DEL,
            "OVS_VPORT_CMD_DEL",
            _T | _W,
            delete,
            needs_datapath=True,
            admin=True,
            summary="remove a port",
        ),
        Command(
            VportCmd.GET,
            "OVS_VPORT_CMD_GET",
            _T | _W | _R,
            get,
            dump,
            needs_datapath=True,
            summary="read a port, or dump those of a datapath",
        ),
        Command(
            VportCmd.SET,
            "OVS_VPORT_CMD_SET",
            _T | _W,
            set_,
            needs_datapath=True,
            admin=True,
            summary="change a port's PIDs or options",
        ),
    ),
)
