"""What several commands ask of the device: a reply that must be there, a datapath by its name."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EIO
from typing import Any

from ovsdp_cuse.client import DatapathError, Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import FamilySchema, Message


def ask(
    device: Device,
    schema: FamilySchema,
    command: int,
    attributes: Mapping[Any, Any],
    dp_ifindex: int = 0,
) -> Message:
    """The reply to a request; EIO where there is none."""
    reply = device.transact(schema, command, attributes, dp_ifindex=dp_ifindex)
    if reply is None:
        raise DatapathError(EIO, f"the device did not reply to {schema.command_name(command)}")
    return reply


def find_datapath(device: Device, name: str) -> Message:
    """The datapath with this name.

    Its errors blame no attribute: the command that needs a datapath asks for something else.
    """
    try:
        return ask(device, DATAPATH, DpCmd.GET, {DpAttr.NAME: name})
    except DatapathError as error:
        raise DatapathError(error.errno, error.message) from None
