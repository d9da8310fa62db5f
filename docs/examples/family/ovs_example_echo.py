"""A family in ten lines: ECHO replies the attribute that it was sent."""

from enum import IntEnum

from ovsdp_cuse import (
    Answer,
    AttributeSet,
    Binary,
    Body,
    Command,
    DeviceOperation,
    Family,
    FamilySchema,
    Request,
)

Cmd = IntEnum("Cmd", {"ECHO": 1})
Attr = IntEnum("Attr", {"DATA": 1})
ATTRIBUTES = AttributeSet("EXAMPLE_ECHO_ATTR", {Attr.DATA: Binary()})
SCHEMA = FamilySchema(0x20, "example_echo", 1, "EXAMPLE_ECHO_CMD", Cmd, ATTRIBUTES)


async def echo(request: Request) -> Answer:
    return Answer(Body(Cmd.ECHO, request.attributes))


ECHO = Command(Cmd.ECHO, "EXAMPLE_ECHO_CMD_ECHO", DeviceOperation.TRANSACT, echo)
FAMILY = Family(SCHEMA, (ECHO,), summary="replies what it is sent")
