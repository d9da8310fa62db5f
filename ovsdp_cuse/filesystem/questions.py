"""What the files ask: one function for each, which gives the document that a file shows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from errno import ENODATA, ENODEV
from typing import Any

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.filesystem.render import Document
from ovsdp_cuse.filesystem.stream import has_gone
from ovsdp_cuse.wire.attributes import AttributeSet, Nested
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.genetlink import (
    NLCTRL,
    CtrlAttr,
    CtrlAttrMcastGrp,
    CtrlAttrOp,
    CtrlAttrPolicy,
    CtrlCmd,
    OperationFlag,
    PolicyAttr,
)
from ovsdp_cuse.wire.object_documents import (
    datapath_document,
    drops_document,
    handle_document,
    port_document,
)
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import HandleAttr, InfoAttr
from ovsdp_cuse.wire.values import PolicyType
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd

NODE_ATTRIBUTES = (
    InfoAttr.NODE,
    InfoAttr.PATH,
    InfoAttr.MODE,
    InfoAttr.UID,
    InfoAttr.GID,
    InfoAttr.INTERFACES,
    InfoAttr.PROCESS,
    InfoAttr.UPTIME_MS,
    InfoAttr.HANDLES,
    InfoAttr.HANDLE_LIMIT,
    InfoAttr.QUEUE_LIMIT,
    InfoAttr.QUEUE_MAXIMUM,
    InfoAttr.DATAPATHS,
    InfoAttr.LOST_UPCALLS,
    InfoAttr.STATE,
)

_ABILITIES = {
    OperationFlag.CMD_CAP_DO: "do",
    OperationFlag.CMD_CAP_DUMP: "dump",
    OperationFlag.ADMIN_PERM | OperationFlag.UNS_ADMIN_PERM: "admin",
}


async def ask(
    device: LocalDevice,
    family: FamilySchema,
    command: int,
    attributes: Mapping[Any, Any] | None = None,
    dp_ifindex: int = 0,
) -> Message:
    """The reply to a request that always has one."""
    reply = await device.transact(family, command, attributes, dp_ifindex=dp_ifindex)
    if reply is None:
        raise RuntimeError(f"{family.command_name(command)} was not answered")
    return reply


# The daemon ------------------------------------------------------------------------------------


async def version(device: LocalDevice) -> Document:
    """The version of the package."""
    info = await ask(device, OVSDP_CONTROL, OvsdpCmd.INFO_GET)
    return {"version": info.attributes[InfoAttr.VERSION]}


async def node(device: LocalDevice) -> Document:
    """The daemon and its node."""
    told = (await ask(device, OVSDP_CONTROL, OvsdpCmd.INFO_GET)).attributes
    document = {name.name.lower(): told.get(name) for name in NODE_ATTRIBUTES}
    return document | {"mode": f"{told.get(InfoAttr.MODE, 0):04o}"}


async def handle_names(device: LocalDevice) -> list[bytes]:
    """The PIDs of all handles."""
    dump = device.dump(OVSDP_CONTROL, OvsdpCmd.HANDLE_GET)
    return [b"%d" % found.attributes[HandleAttr.PID] async for found in dump]


async def handle(device: LocalDevice, pid: int) -> Document:
    """The handle with a PID; ENOENT."""
    told = await ask(device, OVSDP_CONTROL, OvsdpCmd.HANDLE_GET, {HandleAttr.PID: pid})
    names = {
        number: name for family in await device.families() for name, number in family.groups.items()
    }
    return handle_document(told, names)


async def drops(device: LocalDevice) -> list[Document]:
    """The drops of all datapaths, by reason."""
    dump = device.dump(OVSDP_CONTROL, OvsdpCmd.DROPS_GET)
    return [drops_document(found) async for found in dump]


# Families --------------------------------------------------------------------------------------


async def family_names(device: LocalDevice) -> list[bytes]:
    """The names of all families."""
    return [to_name(found.name) for found in await device.families()]


async def family(device: LocalDevice, name: bytes, schemas: Mapping[str, FamilySchema]) -> Document:
    """A family with its commands, groups and attributes; ENOENT.

    schemas: by their family's name; they have the names of what nlctrl tells by numbers.
    """
    wanted = {CtrlAttr.FAMILY_NAME: from_name(name)}
    told = (await ask(device, NLCTRL, CtrlCmd.GETFAMILY, wanted)).attributes
    schema = schemas.get(told[CtrlAttr.FAMILY_NAME])
    sets, attributes = await _policies(device, wanted, schema)
    return {
        "name": told[CtrlAttr.FAMILY_NAME],
        "id": told[CtrlAttr.FAMILY_ID],
        "version": told[CtrlAttr.VERSION],
        "header_size": told[CtrlAttr.HDRSIZE],
        "groups": {
            group[CtrlAttrMcastGrp.NAME]: group[CtrlAttrMcastGrp.ID]
            for group in told.get(CtrlAttr.MCAST_GROUPS, {}).values()
        },
        "commands": [
            {
                "number": (number := operation[CtrlAttrOp.ID]),
                "name": schema.command_name(number) if schema else None,
                "operations": [
                    ability
                    for bits, ability in _ABILITIES.items()
                    if operation[CtrlAttrOp.FLAGS] & bits
                ],
                "attributes": sets.get(number),
            }
            for operation in told.get(CtrlAttr.OPS, {}).values()
        ],
        "attributes": attributes,
    }


async def _policies(
    device: LocalDevice, wanted: Mapping[Any, Any], schema: FamilySchema | None
) -> tuple[dict[int, str], dict[str, list[Document]]]:
    """Which set of attributes each command takes, and the attributes of each set."""
    uses: dict[int, str] = {}
    known: dict[int, AttributeSet] = {}
    sets: dict[str, list[Document]] = {}

    def name_of(index: int) -> str:
        return known[index].name if index in known else f"set {index}"

    try:
        async for found in device.dump(NLCTRL, CtrlCmd.GETPOLICY, wanted):
            for command, use in found.attributes.get(CtrlAttr.OP_POLICY, {}).items():
                index = use.get(CtrlAttrPolicy.DO, use.get(CtrlAttrPolicy.DUMP))
                if schema is not None:
                    known[index] = schema.attributes_of(command)
                uses[command] = name_of(index)
            for index, attributes in found.attributes.get(CtrlAttr.POLICY, {}).items():
                for number, policy in attributes.items():
                    inner = policy.get(PolicyAttr.POLICY_IDX)
                    names = known[index].names if index in known else {}
                    value = known[index].table.get(number) if index in known else None
                    if inner is not None and isinstance(value, Nested):
                        known[inner] = value.attributes
                    described = {"number": number, "name": names.get(number)} | _policy(policy)
                    if inner is not None:
                        described["attributes"] = name_of(inner)
                    sets.setdefault(name_of(index), []).append(described)
    except DatapathError as error:
        if error.errno != ENODATA:
            raise
    return uses, sets


def _policy(policy: Mapping[int, int]) -> dict[str, Any]:
    """The type of an attribute, and its limits."""
    document: dict[str, Any] = {"type": PolicyType(policy[PolicyAttr.TYPE]).name.lower()}
    for name, numbers in (
        ("minimum", (PolicyAttr.MIN_VALUE_S, PolicyAttr.MIN_VALUE_U)),
        ("maximum", (PolicyAttr.MAX_VALUE_S, PolicyAttr.MAX_VALUE_U)),
        ("maximum_length", (PolicyAttr.MAX_LENGTH,)),
    ):
        for number in numbers:
            if number in policy:
                document[name] = policy[number]
    return document


# Datapaths -------------------------------------------------------------------------------------


async def datapath_names(device: LocalDevice) -> list[bytes]:
    """The names of all datapaths."""
    dump = device.dump(DATAPATH, DpCmd.GET)
    return [to_name(found.attributes[DpAttr.NAME]) async for found in dump]


async def datapath(device: LocalDevice, name: bytes) -> Message:
    """The datapath with this name; ENODEV."""
    return await ask(device, DATAPATH, DpCmd.GET, {DpAttr.NAME: from_name(name)})


async def datapath_info(device: LocalDevice, name: bytes) -> Document:
    """What a datapath is; ENODEV."""
    document = datapath_document(await datapath(device, name))
    return {key: value for key, value in document.items() if not key.endswith("stats")}


async def datapath_stats(device: LocalDevice, name: bytes) -> Document:
    """What a datapath counts; ENODEV."""
    document = datapath_document(await datapath(device, name))
    return {**document["stats"], **document["megaflow_stats"]}


async def port_names(device: LocalDevice, name: bytes) -> list[bytes]:
    """The names of a datapath's ports; ENODEV."""
    index = (await datapath(device, name)).dp_ifindex
    dump = device.dump(VPORT, VportCmd.GET, dp_ifindex=index)
    return [to_name(found.attributes[VportAttr.NAME]) async for found in dump]


async def port_names_by_number(device: LocalDevice, dp_ifindex: int) -> dict[int, str]:
    """The names of a datapath's ports by their numbers."""
    dump = device.dump(VPORT, VportCmd.GET, dp_ifindex=dp_ifindex)
    return {
        found.attributes[VportAttr.PORT_NO]: found.attributes[VportAttr.NAME]
        async for found in dump
    }


async def port(device: LocalDevice, name: bytes, port_name: bytes) -> Document:
    """A port of a datapath; ENODEV."""
    index = (await datapath(device, name)).dp_ifindex
    wanted = {VportAttr.NAME: from_name(port_name)}
    found = await ask(device, VPORT, VportCmd.GET, wanted, index)
    if found.dp_ifindex != index:
        raise DatapathError(ENODEV, "the port is another datapath's")
    return port_document(found, from_name(name))


async def of_datapath(
    device: LocalDevice, family: FamilySchema, command: int, name: bytes
) -> AsyncGenerator[Message, None]:
    """All objects of a kind of a datapath; they end where it goes meanwhile. ENODEV at first."""
    index = (await datapath(device, name)).dp_ifindex
    found: AsyncIterator[Message] = device.dump(family, command, dp_ifindex=index)
    while True:
        try:
            message = await anext(found, None)
        except DatapathError as error:
            if has_gone(error):
                return
            raise
        if message is None:
            return
        yield message


def to_name(text: str) -> bytes:
    """A name in a message as a file's name: the same bytes."""
    return text.encode("utf-8", "surrogateescape")


def from_name(name: bytes) -> str:
    """The inverse of `to_name`."""
    return name.decode("utf-8", "surrogateescape")
