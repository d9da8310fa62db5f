"""A family of the tests, whose messages can be as long as they want to be."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.wire.attributes import AttributeSet, Nested
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.values import Binary, u16, u32


class BigCmd(IntEnum):
    """ECHO answers what it is given; TELL tells the group and answers nothing."""

    ECHO = 1
    TELL = 2


class BigAttr(IntEnum):
    """PAYLOAD: anything. COUNT: how many messages a dump has. NEST: holds a COUNT."""

    PAYLOAD = 1
    COUNT = 2
    NEST = 3


_NEST = AttributeSet("BIG_NEST", {BigAttr.COUNT: u16()})

SCHEMA = FamilySchema(
    id=0x66,
    name="big",
    version=1,
    command_prefix="BIG_CMD",
    commands=BigCmd,
    attributes=AttributeSet(
        "BIG_ATTR", {BigAttr.PAYLOAD: Binary(), BigAttr.COUNT: u32(), BigAttr.NEST: Nested(_NEST)}
    ),
)
GROUP = MulticastGroup(666, "big")


async def echo(request: Request) -> Answer:
    """The attributes of the request."""
    return Answer(Body(BigCmd.ECHO, request.attributes, request.dp_ifindex))


def dump(request: Request) -> Iterator[Body]:
    """The attributes of the request, COUNT times."""
    attributes = SCHEMA.attributes.parse(request.data, SCHEMA.attributes_start)
    for index in range(attributes[BigAttr.COUNT]):
        yield Body(BigCmd.ECHO, attributes, index)


async def tell(request: Request) -> Answer:
    """The attributes of the request, to the group."""
    return Answer(Body(BigCmd.TELL, request.attributes), GROUP.id)


_ANY = DeviceOperation.READ | DeviceOperation.WRITE | DeviceOperation.TRANSACT

BIG = Family(
    schema=SCHEMA,
    groups=(GROUP,),
    commands=(
        Command(BigCmd.ECHO, "BIG_CMD_ECHO", _ANY, echo, dump),
        Command(BigCmd.TELL, "BIG_CMD_TELL", _ANY, tell),
    ),
)
